"""The iterative shrinkage-thresholding algorithm: the recurrent dynamics of VARS."""

from collections.abc import Callable

from torch import Tensor


def ista(
    drive: Tensor,
    gram: Callable[[Tensor], Tensor],
    shrink: Callable[[Tensor, Tensor | float], Tensor],
    *,
    step_size: Tensor | float,
    threshold: Tensor | float,
    num_steps: int,
) -> Tensor:
    """Find sparse codes u of a signal x in a dictionary P (the paper's eq. 10-12, released formulation).

    u_0 = shrink(b, t);  u <- shrink(u - s (G u - b), s t), num_steps times, where b = P^T x and G = P^T P.
    The start is the thresholded drive, with the full threshold t.

    Args:
        drive: b, the encoded signal; its shape is the shape of the codes.
        gram: u -> G u, in the shape of the codes.
        shrink: (codes, threshold) -> codes.
        step_size: s, usually 1 / L with L no smaller than the largest eigenvalue of G; broadcast against the codes.
        threshold: t, the weight of the sparsity term; broadcast against the codes.
        num_steps: How many updates follow the start, 0 or more.

    Returns:
        The codes after the last update, in the shape of drive.
    """
    codes = shrink(drive, threshold)
    for _ in range(num_steps):
        codes = shrink(codes - step_size * (gram(codes) - drive), step_size * threshold)
    return codes
