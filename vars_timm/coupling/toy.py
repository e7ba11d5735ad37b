"""The inverse problem of Fig. 1, x = (3 z1, 4 z2): an iterative algorithm, and networks that were trained for it."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ALPHA = torch.tensor([3.0, 4.0])
EPSILON = torch.tensor([0.3, 0.8])
LOW, HIGH = 0.5, 2.0
KINDS = ("feed-forward", "residual", "recurrent")
# Ours, as the papers give no sizes.
WIDTH, HIDDEN, DEPTH = 8, 16, 10


class ErrorCorrection(nn.Module):
    """One block of the algorithm as a residual network: the state is (z, x), and x is carried along.

    Positive and negative errors are two rectified units, p = ReLU(alpha z - x) and n = ReLU(x - alpha z), and
    z <- z - sign(alpha) eps / |alpha| (p - n). As printed the step is not divided by |alpha|, and diverges for
    alpha = 4 and eps = 0.8; so divided, an error shrinks by 1 - eps in each step.
    """

    def __init__(self) -> None:
        """Set the weights."""
        super().__init__()
        compare = torch.cat([torch.diag(ALPHA), -torch.eye(2)], dim=1)
        self.first = nn.Linear(4, 4, bias=False)
        self.second = nn.Linear(4, 4, bias=False)
        correct = torch.diag(ALPHA.sign() * EPSILON / ALPHA.abs())
        with torch.no_grad():
            self.first.weight.copy_(torch.cat([compare, -compare]))
            self.second.weight.zero_()
            self.second.weight[:2].copy_(torch.cat([-correct, correct], dim=1))

    def forward(self, state: Tensor) -> Tensor:
        """(B, 4) -> (B, 4)."""
        return state + self.second(self.first(state).relu())


class Block(nn.Module):
    """Linear, ReLU, Linear, with or without a skip connection; (B, 8) -> (B, 8)."""

    def __init__(self, *, skip: bool) -> None:
        """Build the block."""
        super().__init__()
        self.first, self.second, self.skip = nn.Linear(WIDTH, HIDDEN), nn.Linear(HIDDEN, WIDTH), skip

    def forward(self, h: Tensor) -> Tensor:
        """(B, 8) -> (B, 8)."""
        out = self.second(self.first(h).relu())
        return h + out if self.skip else out


@dataclass(frozen=True)
class Solver:
    """An encoder, blocks, and a read-out of z, for x (B, 2)."""

    name: str
    encode: Callable[[Tensor], Tensor]
    blocks: list[nn.Module]
    decode: Callable[[Tensor], Tensor]

    def trajectory(self, x: Tensor, blocks: list[nn.Module] | None = None) -> Tensor:
        """The estimates in front of the first block and behind each, (blocks + 1, B, 2)."""
        state = self.encode(x)
        estimates = [self.decode(state)]
        for block in self.blocks if blocks is None else blocks:
            state = block(state)
            estimates.append(self.decode(state))
        return torch.stack(estimates)

    def without(self, x: Tensor, index: int) -> Tensor:
        """The trajectory if a block (from 0) is left out."""
        return self.trajectory(x, self.blocks[:index] + self.blocks[index + 1 :])

    def repeated(self, x: Tensor, extra: int) -> Tensor:
        """The trajectory if the last block is applied `extra` more times."""
        return self.trajectory(x, self.blocks + [self.blocks[-1]] * extra)


def algorithm(depth: int = DEPTH) -> Solver:
    """The error-corrective algorithm, which starts from z = x."""
    block = ErrorCorrection()
    return Solver("algorithm", lambda x: torch.cat([x, x], dim=1), [block] * depth, lambda state: state[:, :2])


def trained(kind: str, *, steps: int, seed: int) -> Solver:
    """A network trained on random z, by Adam on the mean squared error of its output.

    Args:
        kind: "feed-forward", "residual" or "recurrent", a residual network of one block.
        steps: Of training, batches of 128.
        seed: Of weights and data.

    Raises:
        ValueError: If there is no such kind, or no step.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder, decoder = nn.Linear(2, WIDTH), nn.Linear(WIDTH, 2)
        first = Block(skip=kind != "feed-forward")
        # Copies of one block start the residual network where the recurrent one starts.
        blocks: list[nn.Module] = [first if kind == "recurrent" else copy.deepcopy(first) for _ in range(DEPTH)]
        if kind == "feed-forward":
            blocks = [Block(skip=False) for _ in range(DEPTH)]
        solver = Solver(kind, encoder, blocks, decoder)
        optimizer = torch.optim.Adam(nn.ModuleList([encoder, *blocks, decoder]).parameters(), lr=1e-3)
        for _ in range(steps):
            z = draw(128)
            optimizer.zero_grad()
            (solver.trajectory(ALPHA * z)[-1] - z).square().mean().backward()
            optimizer.step()
    return solver


def draw(count: int) -> Tensor:
    """Random z, uniform, (count, 2)."""
    return LOW + (HIGH - LOW) * torch.rand(count, 2)


@torch.no_grad()
def errors(trajectory: Tensor, z: Tensor) -> list[float]:
    """Mean distance of the estimates from z along a trajectory (T + 1, B, 2)."""
    return (trajectory - z).norm(dim=2).mean(dim=1).tolist()
