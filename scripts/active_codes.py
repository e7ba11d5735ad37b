"""The share of active codes in every block at the start and after training, for both formulations of VARS.

    python scripts/active_codes.py --epochs 6

Trains small DeiTs on scikit-learn's digits, one after the other; the codes are those of 64 test pictures.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import timm
import torch

sys.path.insert(0, str(Path(__file__).parent / "demo"))

import digits
import training

from vars_timm import active_codes

SIZES = {"img_size": digits.SIDE, "patch_size": 4, "embed_dim": 64, "depth": 3, "num_classes": 10}
HEADS = {"mixer_args": {"head_dim": 32}}
MODELS: dict[str, dict[str, Any]] = {
    "vars_s, released": {},
    "vars_s, released, lam 0.1": {"lam": 0.1},
    "vars_s, paper": {"formulation": "paper"},
    "vars_d, released": HEADS,
    "vars_d, paper": {**HEADS, "formulation": "paper"},
    "vars_sd, released": HEADS,
    # Without static atoms of every position, there is nothing to tell positions apart but an embedding.
    "vars_sd, paper": {**HEADS, "formulation": "paper", "pos_embed": True},
}


def main() -> None:
    """Train each model and print its shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=6, help="passes over 1,437 pictures (default %(default)s)")
    epochs = parser.parse_args().epochs
    torch.set_num_threads(1)
    train_x, train_y, test_x, test_y = digits.load()
    images, held_out = training.to_tensor(train_x), training.normalise(training.to_tensor(test_x))
    rows = []
    with TemporaryDirectory() as folder:
        for label, kwargs in MODELS.items():
            name, kwargs = f"deit_tiny_{label.split(',')[0]}", {**SIZES, **kwargs}
            torch.manual_seed(0)
            start = active_codes(timm.create_model(name, **kwargs), held_out[:64])
            path = Path(folder) / "model.pt"
            model = training.train(name, kwargs, images, torch.from_numpy(train_y), epochs, 0, path)
            with torch.no_grad():
                right = (model(held_out).argmax(dim=1) == torch.from_numpy(test_y)).double().mean()
            rows.append((label, start, active_codes(model, held_out[:64]), float(right)))
    print(f"\n{'model':27} {'block':>10} {'start':>8} {'trained':>8} {'accuracy':>9}")
    for label, start, trained, right in rows:
        for block, share in start.items():
            print(f"{label:27} {block:>10} {share:>8.1%} {trained[block]:>8.1%} {right:>9.1%}")


if __name__ == "__main__":
    main()
