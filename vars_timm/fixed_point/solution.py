"""What comes back from a solve."""

from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Solution:
    """A solution of z = f(z), sample by sample, and how far it can be trusted.

    Attributes:
        value: z*, in the shape of z0.
        steps: Steps that each sample took, integers in the shape of the batch axes.
        residuals: Largest entry of |f(z*) - z*| of each sample, in the shape of the batch axes.
        tol: The tolerance that was asked for.
        solver: Name of the solver.
        advice: What to try if it did not converge.
    """

    value: Tensor
    steps: Tensor
    residuals: Tensor
    tol: float
    solver: str
    advice: str = field(repr=False)

    @property
    def converged(self) -> Tensor:
        """Which samples have a residual of at most tol: booleans in the shape of the batch axes."""
        return self.residuals <= self.tol

    @property
    def result(self) -> str:
        """One sentence: that all samples converged, or how many did not and what to try."""
        total, most = self.residuals.numel(), int(self.steps.max())
        missing = int((~self.converged).sum())
        samples = f"{total} sample{'s' * (total != 1)}"
        if not missing:
            return f"Converged: {samples} to a residual of {self.tol:.0e} in at most {most} steps of {self.solver}."
        where = f"{missing} of {samples} did not converge to {self.tol:.0e} in {most} steps of {self.solver}"
        if not bool(torch.isfinite(self.residuals).all()):
            return f"{where}, and some are no longer finite; try a smaller step or damping, and check f at z0."
        largest = float(self.residuals.max())
        rounding = 16 * torch.finfo(self.value.dtype).eps * max(1.0, float(self.value.detach().abs().max()))
        if largest <= rounding:
            kind = str(self.value.dtype).removeprefix("torch.")
            return f"{where} (largest residual {largest:.0e}), which is the rounding of {kind}; try a larger tol."
        return f"{where} (largest residual {largest:.0e}); try {self.advice}."
