"""Small trees, and the command line in this process."""

import functools
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)

from vars_eval import benchmarks as registry  # noqa: E402
from vars_eval import cli  # noqa: E402
from vars_eval.benchmarks.imagenet_c_fly import ImageNetCFly  # noqa: E402
from vars_eval.data import scenes, synthetic  # noqa: E402
from vars_eval.data.layout import with_manifest, write_manifest  # noqa: E402


@pytest.fixture(scope="session")
def trees(tmp_path_factory):
    """Benchmark name -> its synthetic tree in small pictures, at most eight cells of it; not to be changed."""
    root, made = tmp_path_factory.mktemp("trees"), {}

    def get(name: str) -> Path:
        benchmark = registry.all_benchmarks()[name]()
        if benchmark.dataset not in made:
            small = functools.partial(synthetic.picture, side=64)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(synthetic, "picture", small)
                patch.setattr(scenes, "LONGER", 128)
                tree = benchmark.synthesize(root / benchmark.dataset)
            layout = with_manifest(benchmark.layout, tree)
            step = -(-len(layout.cells) // 8)
            write_manifest(tree, replace(layout, cells=layout.cells[::step]))
            made[benchmark.dataset] = tree
        return made[benchmark.dataset]

    return get


@pytest.fixture(autouse=True)
def few_variants(monkeypatch):
    """Nine of the corruptions on the fly in place of 75 cells, unless they are named."""
    whole = ImageNetCFly.variants.fget
    few = property(lambda self: whole(self) if self.only else whole(self)[::9])
    monkeypatch.setattr(ImageNetCFly, "variants", few)


@pytest.fixture
def run(capsys):
    """Calls the command line; gives exit code, output and errors."""

    def call(*words: object) -> tuple[int, str, str]:
        try:
            code = cli.main([str(word) for word in words])
        except SystemExit as exit_:
            code = exit_.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture
def make_tree():
    """Writes a tree of random pictures: make_tree(root, {"n01440764": 2, "n01443537": 1}, side=32)."""

    def make(root: Path, counts: dict[str, int], side: int = 32, seed: int = 0) -> Path:
        generator = np.random.default_rng(seed)
        for name, count in counts.items():
            (root / name).mkdir(parents=True)
            for index in range(count):
                pixels = generator.integers(0, 256, (side, side, 3), np.uint8)
                Image.fromarray(pixels).save(root / name / f"{index}.png")
        return root

    return make
