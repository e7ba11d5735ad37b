"""Implicit recurrent networks of any depth as one system Z = f(W Z + drive), for many runs at once."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from vars_timm.fixed_point import Solution
from vars_timm.implicit.equilibrium import Equilibrium


class RecurrentNetwork(nn.Module):
    """Layers of sigmoid neurons with lateral and feedback connections (Sanokowski, sections 3.1 and 3.2).

    The state is that of all layers from the first hidden one to the output, Z = [Y_1, ..., Y_n]. Layer k receives
    Q_k Y_{k-1}, where Y_0 is the input, W_k Y_k and R_k Y_{k+1}. One layer is eq. 3, two layers are the paper's fully
    recurrent network, which counts layers from the output.

    Q and T start uniform in [-0.5, 0.5], W and R at zero.

    Args:
        sizes: Number of inputs, of neurons of each hidden layer, and of outputs.
        runs: Number of networks side by side, each with weights of its own; None for a single one without that axis.
        equilibrium: How to solve and to differentiate.
        generator: Source of the initial weights.

    Raises:
        ValueError: Fewer than two sizes, or a size or number of runs below 1.
    """

    def __init__(
        self,
        sizes: tuple[int, ...],
        *,
        runs: int | None = None,
        equilibrium: Equilibrium | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.layers = Layers(sizes, runs, generator)
        self.equilibrium = equilibrium or Equilibrium()
        neurons = sizes[1:]
        self.w = nn.ParameterList([nn.Parameter(torch.zeros(runs or 1, n, n)) for n in neurons])
        pairs = pairwise(neurons)
        self.r = nn.ParameterList([nn.Parameter(torch.zeros(runs or 1, low, high)) for low, high in pairs])

    def blocks(self) -> tuple[Tensor, Tensor]:
        """The system's matrix in two parts, (runs, N, N) each: forward (Q between layers) and recurrent (W and R)."""
        neurons, n = self.layers.sizes[1:], len(self.w)
        forward = {(k, k - 1): self.layers.q[k] for k in range(1, n)}
        recurrent = {(k, k): self.w[k] for k in range(n)} | {(k, k + 1): self.r[k] for k in range(n - 1)}
        return assemble(forward, neurons, self.w[0]), assemble(recurrent, neurons, self.w[0])

    def solve(self, x: Tensor) -> Solution:
        """The equilibrium of all neurons.

        Args:
            x: (B, inputs), the same for all runs, or (runs, B, inputs).

        Returns:
            The solution, whose value is (runs, B, neurons), the output layer last.
        """
        forward, recurrent = self.blocks()
        whole = forward + recurrent
        transposed = whole.mT
        x = self.layers.with_runs(x)
        first = x @ self.layers.q[0].mT
        drive = nn.functional.pad(first, (0, whole.shape[-1] - first.shape[-1]))
        drive = drive + torch.cat(list(self.layers.t), dim=-1)[:, None]

        def update(z: Tensor, held: Tensor) -> Tensor:
            if z is held:
                return torch.baddbmm(drive, z, transposed).sigmoid()
            return (z @ forward.mT + torch.baddbmm(drive, held, recurrent.mT)).sigmoid()

        return self.equilibrium.find(update, torch.zeros_like(drive), depth=len(self.w), batch_dims=2)

    def forward(self, x: Tensor) -> Tensor:
        """Output layer at the equilibrium: (B, inputs) or (runs, B, inputs) -> (runs, B, outputs), or (B, outputs)."""
        return self.layers.without_runs(self.solve(x).value[..., -self.layers.sizes[-1] :])


class FeedForward(nn.Module):
    """The network without recurrent connections: the paper's comparator, with the same initial weights.

    Args:
        sizes: Number of inputs, of neurons of each hidden layer, and of outputs.
        runs: Number of networks side by side; None for a single one without that axis.
        generator: Source of the initial weights.
    """

    def __init__(
        self, sizes: tuple[int, ...], *, runs: int | None = None, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        self.layers = Layers(sizes, runs, generator)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) or (runs, B, inputs) -> (runs, B, outputs), without runs (B, outputs)."""
        x = self.layers.with_runs(x)
        for q, t in zip(self.layers.q, self.layers.t, strict=True):
            x = (x @ q.mT + t[:, None]).sigmoid()
        return self.layers.without_runs(x)


class Layers(nn.Module):
    """The weights Q and T that recurrent and feed-forward networks share, and the axis of their runs."""

    def __init__(self, sizes: tuple[int, ...], runs: int | None, generator: torch.Generator | None) -> None:
        super().__init__()
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes is {sizes}: expected (inputs, ..., outputs), each 1 or more.")
        if runs is not None and runs < 1:
            raise ValueError(f"runs is {runs}: expected 1 or more, or None.")
        self.sizes, self.runs = tuple(sizes), runs

        def uniform(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.rand(runs or 1, *shape, generator=generator) - 0.5)

        self.q = nn.ParameterList([uniform(n, m) for m, n in pairwise(sizes)])
        self.t = nn.ParameterList([uniform(n) for n in sizes[1:]])

    def with_runs(self, x: Tensor) -> Tensor:
        """(B, inputs) or (runs, B, inputs) -> (runs, B, inputs)."""
        runs = self.runs or 1
        fits = x.shape[-1:] == self.sizes[:1] and (x.dim() == 2 or (x.dim() == 3 and self.runs == len(x)))
        if not fits:
            or_runs = f" or ({runs}, B, {self.sizes[0]})" if self.runs else ""
            raise ValueError(f"x has shape {tuple(x.shape)}: expected (B, {self.sizes[0]}){or_runs}.")
        return x.expand(runs, -1, -1)

    def without_runs(self, y: Tensor) -> Tensor:
        """Drop the axis of the runs where there is a single network."""
        return y if self.runs else y[0]


def assemble(blocks: dict[tuple[int, int], nn.Parameter], sizes: tuple[int, ...], like: Tensor) -> Tensor:
    """A block matrix (runs, N, N) from its blocks, (to, from) -> (runs, to, from), and zeros elsewhere."""
    rows = []
    for i, high in enumerate(sizes):
        row = [blocks[i, j] if (i, j) in blocks else like.new_zeros(len(like), high, n) for j, n in enumerate(sizes)]
        rows.append(torch.cat(row, dim=-1))
    return torch.cat(rows, dim=-2)


def num_weights(network: nn.Module) -> int:
    """Weights and biases of one run of a network."""
    return sum(parameter[0].numel() for parameter in network.parameters())


def twin_sizes(sizes: tuple[int, ...]) -> tuple[int, int, int]:
    """Sizes of the feed-forward network with one hidden layer whose number of weights is nearest to a recurrent one.

    >>> twin_sizes((50, 5, 2))  # 306 weights; 6 hidden neurons have 320
    (50, 6, 2)
    """
    wanted = num_weights(RecurrentNetwork(sizes))
    inputs, outputs = sizes[0], sizes[-1]
    return inputs, max(1, round((wanted - outputs) / (inputs + outputs + 1))), outputs
