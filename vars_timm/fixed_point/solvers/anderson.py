"""Anderson acceleration: the next step is the best combination of the last few."""

import math
from collections import deque
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from vars_timm.fixed_point.check import positive, whole, within
from vars_timm.fixed_point.types import Advance, Map


@dataclass(frozen=True)
class Anderson:
    """Type-II Anderson acceleration of every sample on its own; one evaluation a step (Walker and Ni, 2011, section 2).

    On a linear map it is GMRES with a sliding window, so it also converges for many maps that are no contractions.

    Attributes:
        memory: Number of earlier steps that are combined.
        damping: Share of the residual that is added to the combination, in (0, 1].
        ridge: Regularisation of the small least squares problem, relative to its trace.
        safeguard: Whether a step that made the residual of a sample longer is taken back: from the state before it, the
            sample goes on with a plain step and an empty memory. For maps that do not expand, but have kinks.
    """

    memory: int = 6
    damping: float = 1.0
    ridge: float = 1e-14
    safeguard: bool = False
    name: ClassVar[str] = "Anderson"

    def __post_init__(self) -> None:
        whole("memory", self.memory, 1)
        within("damping", self.damping, 0, 1)
        positive("ridge", self.ridge)

    @property
    def advice(self) -> str:
        """What to try next."""
        return f"more steps, Anderson(memory={2 * self.memory}), or the solver 'rk4', which follows the flow"

    def start(self, f: Map) -> Advance:
        """See Solver."""
        z_moves: deque[Tensor] = deque(maxlen=self.memory)
        r_moves: deque[Tensor] = deque(maxlen=self.memory)
        last: list[Tensor] = []
        kept: list[Tensor] = []  # where to go back to, and the length of the residual that a step must not exceed

        def advance(z: Tensor, fz: Tensor) -> Tensor:
            r = fz - z
            if last:
                z_moves.append(z - last[0])
                r_moves.append(r - last[1])
            last[:] = z, r
            plain = z + self.damping * r
            if self.safeguard:
                length = r.detach().norm(dim=1, keepdim=True)
                if not kept:
                    kept[:] = plain, length
                taken = length <= kept[1]
                plain = torch.where(taken, plain, kept[0])
                # A plain step is always taken: its residual may rise by rounding.
                kept[:] = plain, torch.where(taken, length, math.inf)
                for moves in (z_moves, r_moves):
                    moves.extend([torch.where(taken, moves.popleft(), 0) for _ in range(len(moves))])
            if not r_moves:
                return plain
            dz, dr = torch.stack(list(z_moves), dim=1), torch.stack(list(r_moves), dim=1)  # (samples, memory, entries)
            return plain - (self._weights(dr, r)[:, None] @ (dz + self.damping * dr))[:, 0]

        return advance

    def _weights(self, dr: Tensor, r: Tensor) -> Tensor:
        """Least squares of r by the rows of dr: (samples, memory, entries), (samples, entries) -> (samples, memory)."""
        # Rows of unit length: old moves are larger than new ones by many orders; the normal equations square that.
        length = dr.detach().norm(dim=2).clamp_min(torch.finfo(r.dtype).tiny)
        dr = dr / length[:, :, None]
        ridge = max(self.ridge, 10 * torch.finfo(r.dtype).eps)
        gram = dr @ dr.mT + ridge * dr.shape[1] * torch.eye(dr.shape[1], dtype=r.dtype, device=r.device)
        weights: Tensor = torch.linalg.solve_ex(gram, dr @ r[:, :, None])[0][:, :, 0] / length
        return weights
