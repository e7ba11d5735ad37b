"""Solvers of the sparse code of VARS in the paper's formulation, measured: each command prints and writes a table.

    python scripts/solvers.py table      # the energy after a number of steps, by solver
    python scripts/solvers.py steps      # accuracy against the number of steps at test time, on digits
    python scripts/solvers.py attacks    # attacks with unrolled against implicit gradients: a check for masking
    python scripts/solvers.py train      # a model of one block trained through the solver, beside one with five updates

All but the first train the demo's models, once: the weights stay in the output folder.
"""

import argparse
import csv
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent / "demo"))

import digits
import training
from vars_eval.attacks.linf import linf_pgd, random_start

import vars_timm  # noqa: F401  (registers the models)
from vars_timm.mixers import SparseMixer, create_mixer, solutions
from vars_timm.mixers.lasso import METHODS

SIZES = {"img_size": digits.SIDE, "patch_size": 4, "embed_dim": 64, "num_classes": 10}
MIXER_ARGS: dict[str, dict[str, Any]] = {"vars_s": {}, "vars_d": {"head_dim": 32}, "vars_sd": {"head_dim": 32}}
POSITIONS: dict[str, dict[str, Any]] = {"vars_sd": {"pos_embed": True}}
SOLVED = {"solver": "fista", "tol": 1e-4, "max_steps": 300}

Row = dict[str, Any]


def kwargs_of(mixer: str, depth: int = 3, **options: Any) -> dict[str, Any]:
    """How to build the demo's model with a mixer in the paper's formulation."""
    args = {"formulation": "paper", "mixer_args": {**MIXER_ARGS[mixer], **options}}
    return {**SIZES, "depth": depth, **POSITIONS.get(mixer, {}), **args}


def build(mixer: str, **options: Any) -> nn.Module:
    """The demo's model with a mixer in the paper's formulation."""
    return timm.create_model(f"deit_tiny_{mixer}", **kwargs_of(mixer, **options)).eval()


def trained(mixer: str, options: argparse.Namespace, kind: str = "", **given: Any) -> dict[str, Tensor]:
    """The weights of a trained model, with five updates where no solver is given; kept in the output folder."""
    path = options.out / f"{mixer}{kind}-{options.epochs}-epochs-seed{options.seed}.pth"
    if not path.exists():
        pictures, labels, _, _ = digits.load()
        images = training.to_tensor(pictures), torch.from_numpy(labels)
        model = f"deit_tiny_{mixer}"
        training.train(model, kwargs_of(mixer, **given), *images, options.epochs, options.seed, path)
    weights: dict[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return weights


def held_out(count: int) -> tuple[Tensor, Tensor]:
    """Test pictures, (N, 3, 24, 24) in [0, 1], and their labels."""
    _, _, pictures, labels = digits.load()
    return training.to_tensor(pictures[:count]), torch.from_numpy(labels[:count])


class Pixels(nn.Module):
    """A model that takes pixels in [0, 1]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits of pixels (B, 3, H, W)."""
        logits: Tensor = self.model(training.normalise(pixels))
        return logits


@torch.no_grad()
def accuracy(model: nn.Module, pixels: Tensor, labels: Tensor) -> float:
    """Per cent right."""
    right = [
        (Pixels(model)(some).argmax(dim=1) == wanted)
        for some, wanted in zip(pixels.split(60), labels.split(60), strict=True)
    ]
    return 100 * torch.cat(right).double().mean().item()


def energies(mixer: SparseMixer, problem: Any, codes: Tensor) -> Tensor:
    """|x - P u|^2 / 2 + lam |u|_1 less |x|^2 / 2, of each channel of each image, (B, C)."""
    terms = (mixer.gram(problem, codes) / 2 - problem.drive) * codes + problem.threshold * codes.abs()
    return mixer.split_channels(terms).sum(dim=-1)


@torch.no_grad()
def table(options: argparse.Namespace) -> Iterable[Row]:
    """The excess of the energy over its minimum, relative to that of the start, mean over images and channels."""
    for name in options.mixers:
        torch.manual_seed(options.seed)
        tokens = torch.randn(2, 36, 64, dtype=torch.float64).cumsum(dim=1)
        tokens = nn.functional.layer_norm(tokens, (64,))
        mixer = create_mixer(name, 64, (6, 6), formulation="paper", **MIXER_ARGS[name]).double()
        assert isinstance(mixer, SparseMixer)
        problem = mixer.problem(tokens)
        optimum = create_mixer(
            name, 64, (6, 6), formulation="paper", solver="fista", tol=1e-11, max_steps=5000, **MIXER_ARGS[name]
        ).double()
        optimum.load_state_dict(mixer.state_dict())
        lowest = energies(mixer, problem, optimum.solve(problem))
        first = energies(mixer, problem, mixer.code_path(problem)[0]) - lowest
        for solver in METHODS:
            found: Row = {"mixer": name, "solver": solver}
            other = create_mixer(
                name, 64, (6, 6), formulation="paper", solver=solver, tol=0.0, **MIXER_ARGS[name]
            ).double()
            other.load_state_dict(mixer.state_dict())
            for steps in (10, 30, 100, 300, 1000):
                if solver == "lca" and steps > 300:
                    continue
                other.num_steps = steps
                excess = (energies(mixer, problem, other.solve(problem)) - lowest) / first
                found[f"after {steps}"] = f"{excess.mean().item():.0e}"
            yield found


def steps(options: argparse.Namespace) -> Iterable[Row]:
    """Accuracy of models trained with five updates when they are tested with other numbers, and solved."""
    pixels, labels = held_out(options.pictures)
    for name in options.mixers:
        weights = trained(name, options)
        for solver in ("ista", "fista"):
            model = build(name, solver=solver, tol=0.0)
            model.load_state_dict(weights)
            found: Row = {"mixer": name, "solver": solver}
            for count in (1, 2, 5, 10, 20, 50):
                for block in model.blocks:
                    block.attn.num_steps = count
                found[f"{count} steps"] = f"{accuracy(model, pixels, labels):.1f}"
            if solver == "fista":
                solved = build(name, **SOLVED)
                solved.load_state_dict(weights)
                found["solved"] = f"{accuracy(solved, pixels, labels):.1f}"
                last = solutions(solved).values()
                found["settled"] = f"{100 * torch.stack([s.converged.double().mean() for s in last]).mean():.1f}"
            yield found


def attacks(options: argparse.Namespace) -> Iterable[Row]:
    """Accuracy under attacks that were made with either gradient, and carried over to the other model."""
    pixels, labels = held_out(options.pictures)
    start = random_start([str(index) for index in range(len(pixels))], options.seed, tuple(pixels.shape[1:]))
    for name in options.mixers:
        weights = trained(name, options)
        models = {"five updates": build(name)}
        models["solved, implicit"] = build(name, **SOLVED, adjoint="implicit")
        models["solved, unrolled"] = build(name, **SOLVED, adjoint="unrolled")
        for model in models.values():
            model.load_state_dict(weights)
        tested = {"five updates": models["five updates"], "solved": models["solved, implicit"]}
        yield {"mixer": name, "attack by": "none", **_scores(tested, pixels, labels)}
        for kind, model in models.items():
            attacked = torch.cat(
                [
                    linf_pgd(
                        Pixels(model), some, wanted, options.eps / 255, options.eps / 510, options.pgd_steps, noise
                    )
                    for some, wanted, noise in zip(pixels.split(20), labels.split(20), start.split(20), strict=True)
                ]
            )
            yield {"mixer": name, "attack by": kind, **_scores(tested, attacked, labels)}


def train(options: argparse.Namespace) -> Iterable[Row]:
    """Accuracy of models trained through the solver and with five updates, tested both ways; time and memory."""
    pixels, labels = held_out(options.pictures)
    rough = {"solver": "fista", "tol": 1e-3, "max_steps": 100}  # what a training can afford
    for name in options.mixers:
        for kind, given in {
            "five updates": {},
            "solved": rough,
            "solved, unrolled": {**rough, "adjoint": "unrolled"},
        }.items():
            model = build(name, depth=1, **given)
            cost = _cost(model, pixels[:32], labels[:32])
            found: Row = {"mixer": name, "trained": kind, **cost}
            if "adjoint" not in given:
                weights = trained(name, options, f"-depth1-{kind.replace(' ', '-')}", depth=1, **given)
                tested = {"with five updates": build(name, depth=1), "solved": build(name, depth=1, **SOLVED)}
                for other in tested.values():
                    other.load_state_dict(weights)
                found |= _scores(tested, pixels, labels)
            yield found


def _cost(model: nn.Module, pixels: Tensor, labels: Tensor) -> Row:
    """CPU time of a training step on one thread, the least of three, and what its graph keeps."""
    kept: dict[int, int] = {}
    times = []

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    for _ in range(3):
        begin = time.process_time()
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = nn.functional.cross_entropy(Pixels(model)(pixels), labels)
        loss.backward()
        times.append(time.process_time() - begin)
    return {"ms a batch of 32": f"{1000 * min(times):.0f}", "kept (MiB)": f"{sum(kept.values()) / 2**20:.0f}"}


def _scores(models: dict[str, nn.Module], pixels: Tensor, labels: Tensor) -> Row:
    return {f"tested {kind}": f"{accuracy(model, pixels, labels):.1f}" for kind, model in models.items()}


def report(rows: Iterable[Row], path: Path) -> None:
    """Print rows as they come, and write them as a CSV."""
    kept = []
    for row in rows:
        kept.append(row)
        print("  ".join(f"{key}: {value}" for key, value in row.items()), flush=True)
    columns = list(dict.fromkeys(key for row in kept for key in row))
    print("\n| " + " | ".join(columns) + " |\n|" + "---|" * len(columns))
    for row in kept:
        print("| " + " | ".join(str(row.get(column, "")) for column in columns) + " |")
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(kept)
    print(f"\n{path}")


def main() -> None:
    """One of the commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for function, pictures, mixers in (
        (table, 0, MIXER_ARGS),
        (steps, 360, MIXER_ARGS),
        (attacks, 100, ["vars_d"]),
        (train, 360, ["vars_d"]),
    ):
        command = commands.add_parser(function.__name__, help=function.__doc__.splitlines()[0])
        command.set_defaults(rows=function)
        command.add_argument("--mixers", nargs="+", choices=list(MIXER_ARGS), default=list(mixers))
        command.add_argument("--seed", type=int, default=0, help="weights, order and starts (default: 0)")
        command.add_argument("--out", type=Path, default=Path("results/solvers"), help="folder (default: %(default)s)")
        if pictures:
            command.add_argument("--epochs", type=int, default=6, help="of the training (default: %(default)s)")
            command.add_argument("--pictures", type=int, default=pictures, help="to test on (default: %(default)s)")
        if function is attacks:
            command.add_argument(
                "--eps", type=float, default=8, help="radius of the attack, of 255 (default: %(default)s)"
            )
            command.add_argument("--pgd-steps", type=int, default=5, help="steps of the attack (default: %(default)s)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    report(options.rows(options), options.out / f"{options.command}.csv")


if __name__ == "__main__":
    main()
