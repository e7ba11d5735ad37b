"""Kernels of gradient coupling."""

import pytest
import torch
from torch.testing import assert_close

from vars_timm.coupling import triangular_kernel, uniform_kernel

LAMS = [0.0, 0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.999, 1.0]


@pytest.mark.parametrize("depth", [1, 2, 5, 16])
@pytest.mark.parametrize("lam", LAMS)
@pytest.mark.parametrize("kernel", [uniform_kernel, triangular_kernel])
def test_symmetric_positive_with_unit_rows(kernel, lam, depth):
    matrix = kernel(depth, lam)
    assert_close(matrix.sum(dim=1), torch.ones(depth, dtype=torch.float64), rtol=0, atol=1e-13)
    assert_close(matrix, matrix.T, rtol=0, atol=1e-15)
    assert (matrix >= 0).all()
    assert torch.linalg.eigvalsh(matrix).min() > -1e-14


@pytest.mark.parametrize("kernel", [uniform_kernel, triangular_kernel])
def test_ends(kernel):
    assert torch.equal(kernel(16, 0.0), torch.eye(16, dtype=torch.float64))
    assert_close(kernel(16, 1.0), torch.full((16, 16), 1 / 16, dtype=torch.float64))


def test_triangle_at_small_lam_is_the_identity():
    assert torch.equal(triangular_kernel(16, 1 / 32), torch.eye(16, dtype=torch.float64))
    assert triangular_kernel(16, 1 / 31)[0, 1] > 0


@pytest.mark.parametrize(("lam", "row"), [(0.5, [0.144, 0.123, 0.107, 0.094]), (0.9, [0.071, 0.069, 0.068, 0.066])])
def test_known_rows(lam, row):
    assert_close(triangular_kernel(16, lam)[0, :4], torch.tensor(row, dtype=torch.float64), rtol=0, atol=5e-4)


@pytest.mark.parametrize("lam", [0.1, 0.4, 0.6, 0.9])
def test_triangle_as_printed(lam):
    """Both branches of Eq. 7."""
    slope = 2 * (1 - lam) / 16 if lam >= 0.5 else 1 / (2 * lam * 16)
    expected = [[max(0.0, 1 - slope * abs(s - t)) for s in range(16)] for t in range(16)]
    assert_close(triangular_kernel(16, lam, "none"), torch.tensor(expected, dtype=torch.float64))
    rows = triangular_kernel(16, lam, "row")
    assert_close(rows.sum(dim=1), torch.ones(16, dtype=torch.float64))
    assert_close(rows * rows.diagonal().reciprocal()[:, None], torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("lam", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize("kernel", [uniform_kernel, triangular_kernel])
def test_wrong_lam(kernel, lam):
    with pytest.raises(ValueError, match=r"lam must be in \[0, 1\]"):
        kernel(4, lam)


def test_wrong_normalisation():
    with pytest.raises(ValueError, match="normalize must be one of sinkhorn, row, none, got 'sum'"):
        triangular_kernel(4, 0.5, "sum")
