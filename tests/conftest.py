"""Every test starts from the same random state, and test processes do not fight over the cores."""

import os
from pathlib import Path

import pytest
import torch

# One thread unless scripts/check_numerics.py asks for more.
torch.set_num_threads(int(os.environ.get("VARS_TEST_THREADS", "1")))

HERE = Path(__file__).parent
NUMERICS = [
    "vars_eval/corruptions/test_corrupt.py",
    "vars_eval/corruptions/test_parts.py",
    "vars_eval/test_attacks.py",
    "vars_eval/test_metrics.py",
    "vars_eval/test_mit1003_nss.py",
    "vars_eval/test_saliency.py",
    "vars_eval/test_segmentation.py",
    "vars_eval/test_stats.py",
    "vars_eval/test_voc_attention.py",
    "vars_timm/attention_maps/test_gradient.py",
    "vars_timm/coupling/test_identities.py",
    "vars_timm/fixed_point/test_adjoints.py",
    "vars_timm/fixed_point/test_solvers.py",
    "vars_timm/test_fixtures.py",
    "vars_timm/test_lasso.py",
    "vars_timm/test_mixers.py",
    "vars_timm/test_sparse.py",
]
"""Files whose tests hold numbers against oracles, and together take half a minute."""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.relative_to(HERE).as_posix() in NUMERICS:
            item.add_marker(pytest.mark.numerics)


def pytest_configure():
    missing = [name for name in NUMERICS if not (HERE / name).is_file()]
    if missing:
        raise pytest.UsageError(f"NUMERICS in tests/conftest.py names no such file: {missing}; correct the list.")


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)
