"""Two objects in a binary scene, decoded step by step: the salient one survives (the paper's section 3.3, Fig. 2).

python scripts/binary_scene.py --out docs/binary_scene.png
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from vars_timm.sparse import ista_step, lasso_energy, normalise_atoms, start_codes

SIDE = 16
LAM = 3.6
STEPS = 60
SHOWN = (0, 1, 5, 20, 60)
# Every object is in the dictionary at these places: where it is drawn, and one pixel off.
SHIFTS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))


def shapes() -> dict[str, Tensor]:
    """Object templates, binary maps (SIDE, SIDE): a large 0, a small 1, and objects that are not in the scene."""
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    radius = ((rows - 6) ** 2 / 1.6 + (columns - 5) ** 2).sqrt()
    zero = (radius > 2.4) & (radius < 4.3)
    one = (columns == 12) & (rows >= 8) & (rows < 15)
    bar = (rows >= 5) & (rows < 8) & (columns < 11)
    cross = ((rows - columns).abs() < 1) & (rows < 12)
    square = (rows >= 9) & (rows < 15) & (columns >= 9) & (columns < 15)
    seven = ((rows == 2) & (columns >= 6)) | (rows + columns == 17)
    maps = {"0": zero, "1": one, "bar": bar, "diagonal": cross, "square": square, "7": seven}
    return {name: shape.double() for name, shape in maps.items()}


def scene() -> Tensor:
    """The large 0 and the small 1 with every twentieth pixel flipped, (SIDE, SIDE)."""
    parts = shapes()
    picture = (parts["0"] + parts["1"]).clamp(max=1)
    flipped = torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(0)) < 0.05
    return torch.where(flipped, 1 - picture, picture)


def dictionary() -> Tensor:
    """P, (pixels, objects x shifts), atoms of unit norm: matching a binary object gives the root of its size."""
    moved = [shape.roll(shift, dims=(0, 1)).flatten() for shape in shapes().values() for shift in SHIFTS]
    return normalise_atoms(torch.stack(moved, dim=1))


def decode_steps(picture: Tensor, atoms: Tensor, lam: float, num_steps: int) -> tuple[Tensor, Tensor]:
    """The codes of a picture by ISTA from its encoding, and their energies.

    Returns:
        (num_steps + 1, atoms) and (num_steps + 1,).
    """
    x, threshold = picture.flatten(), torch.tensor(lam, dtype=picture.dtype)
    drive = atoms.T @ x
    step_size = 1 / torch.linalg.matrix_norm(atoms, 2).square()
    path = [start_codes(drive, threshold, "encoding", "soft")]
    for _ in range(num_steps):
        path.append(ista_step(path[-1], atoms.T @ (atoms @ path[-1] - x), step_size, threshold, "soft"))
    codes = torch.stack(path)
    return codes, lasso_energy(x.expand(len(codes), -1), codes @ atoms.T, codes, lam)


def draw(path: Path) -> None:
    """The scene, its templates, the reconstruction after some steps, and the codes over all of them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    picture, atoms, objects = scene(), dictionary(), shapes()
    codes, _ = decode_steps(picture, atoms, LAM, STEPS)
    figure = plt.figure(figsize=(9.6, 4.9), layout="constrained")
    grid = figure.add_gridspec(3, 6, height_ratios=(1, 1, 1.25))

    def show(place: object, image: Tensor, title: str, colours: str) -> None:
        axes = figure.add_subplot(place)
        axes.imshow(image, cmap=colours, vmin=0, vmax=max(1.0, float(image.max())))
        axes.set_title(title, fontsize=9)
        axes.axis("off")

    for column, (name, shape) in enumerate(objects.items()):
        show(grid[0, column], shape, f"template {name}", "Greys")
    show(grid[1, 0], picture, "scene x", "Greys")
    for column, step in enumerate(SHOWN, start=1):
        image = (atoms @ codes[step]).view(SIDE, SIDE)
        show(grid[1, column], image, "P u, encoding" if step == 0 else f"P u, step {step}", "Greys")
    axes = figure.add_subplot(grid[2, :])
    for index, name in enumerate(objects):
        place, *off = codes[:, index * len(SHIFTS) : (index + 1) * len(SHIFTS)].T
        axes.plot(place, label=name, color=f"C{index}", linewidth=2)
        for values in off:
            axes.plot(values, color=f"C{index}", linewidth=0.7, linestyle="--")
    axes.set_xlim(0, 30)
    axes.set_xlabel("step (dashed: the object one pixel off)")
    axes.set_ylabel("code")
    axes.legend(ncols=6, fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Draw the figure and print the strongest code of every object after some steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("binary_scene.png"), help="where the figure goes")
    path = parser.parse_args().out
    codes, energies = decode_steps(scene(), dictionary(), LAM, STEPS)
    print(f"lam {LAM}\n{'step':>6} {'energy':>8} {'active':>8}  " + "  ".join(f"{name:>8}" for name in shapes()))
    for step in SHOWN:
        strongest = codes[step].view(-1, len(SHIFTS)).abs().amax(dim=1)
        numbers = "  ".join(f"{code:>8.3f}" for code in strongest.tolist())
        print(f"{step:>6} {energies[step]:>8.2f} {int(codes[step].count_nonzero()):>8}  {numbers}")
    draw(path)
    print(f"figure: {path}")


if __name__ == "__main__":
    main()
