"""Run the numeric tests under other instruction sets and threads, and measure how far numbers move between them.

`python scripts/check_numerics.py` prints both tables of `docs/numerics.md`. Each setting is a process of its own, since
libraries choose their kernels when they are loaded; a setting that the processor lacks is reported as such.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import timm
import torch
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
from vars_eval import stats
from vars_eval.attacks.linf import linf_pgd
from vars_eval.benchmarks._attention import upsample
from vars_eval.corruptions import NAMES, corrupt
from vars_eval.metrics import saliency

import vars_timm
from vars_timm.attention_maps import attention_maps

ROOT = Path(__file__).parents[1]
_AVX2 = ("X86_V3", "F16C", "FMA3", "AVX2")
ISAS = {
    "default": ("SSE41", "SSE4_2", ()),
    "avx2": ("AVX2", "AVX2", _AVX2),
    "avx512": ("AVX512_CORE", "AVX512", tuple(__cpu_dispatch__)),
}
"""ATEN_CPU_CAPABILITY -> ONEDNN_MAX_CPU_ISA, MKL_ENABLE_INSTRUCTIONS, and what is left on of NumPy's own dispatch."""

MIXERS = ["softmax", "performer", "vars_s", "vars_d", "vars_sd"]


def environment(isa: str, threads: int) -> dict[str, str]:
    """The environment of one setting; OPENBLAS_* stay as they are."""
    onednn, mkl, kept = ISAS[isa]
    # NumPy warns of what it was not built with, or the processor lacks, and cannot switch off what it was built for.
    disabled = [name for name in __cpu_dispatch__ if __cpu_features__.get(name) and name not in kept]
    paths = [str(ROOT), str(ROOT / "eval"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "ATEN_CPU_CAPABILITY": isa,
        "ONEDNN_MAX_CPU_ISA": onednn,
        "MKL_ENABLE_INSTRUCTIONS": mkl,
        "NPY_DISABLE_CPU_FEATURES": " ".join(disabled),
        "OMP_NUM_THREADS": str(threads),
        "VARS_TEST_THREADS": str(threads),
    }


def measure(path: Path) -> None:
    """Writes name -> array of representative numbers, from fixed draws."""
    assert vars_timm.__name__  # registers the models
    random = np.random.default_rng(0)
    pixels = torch.from_numpy(random.random((2, 3, 224, 224), dtype=np.float32))
    labels = torch.arange(2)
    points = random.uniform(0, (640, 480), (60, 2))
    found: dict[str, np.ndarray] = {}
    # The released threshold of VARS-D and -SD jumps where a code is zero; the soft one does not.
    soft = {"vars_sd, soft threshold": ("vars_sd", {"shrinkage": "soft"})}
    for mixer, (kind, options) in ({name: (name, {}) for name in MIXERS} | soft).items():
        torch.manual_seed(0)
        net = timm.create_model(f"rvt_tiny_{kind}", num_classes=10, **options)
        net.eval().requires_grad_(False)
        x = pixels.clone().requires_grad_()
        logits = net(x)
        (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, labels), x)
        found[f"logits, {mixer}"] = logits.detach().numpy()
        found[f"input gradient, {mixer}"] = gradient.numpy()
        if mixer == "vars_d":
            eps = 1 / 255
            attacked = linf_pgd(net, pixels, labels, eps, eps / 2, 5, None)
            found["PGD image"] = attacked.detach().numpy()
            found["logits under PGD"] = net(attacked).detach().numpy()
            maps = attention_maps(net, pixels).final.double().numpy()
            grids = [upsample(values, 480, 640) for values in maps]
            found["NSS"] = np.array([saliency.nss(grid, points) for grid in grids])
            found["AUC"] = np.array([saliency.auc(grid, points) for grid in grids])
    fixed = random.random((14, 14))
    grid = upsample(fixed, 480, 640)
    found["upsampling of a given map"] = grid
    found["NSS of a given map"] = np.array([saliency.nss(grid, points)])
    found["AUC of a given map"] = np.array([saliency.auc(grid, points)])
    centre = saliency.centre_gaussian((480, 640))
    found["centre Gaussian"] = centre
    found["AUC of the centre Gaussian"] = np.array([saliency.auc(centre, points)])
    images = torch.from_numpy(random.integers(0, 256, (2, 3, 64, 64), dtype=np.uint8))
    for implementation in ("reference", "fast"):
        for name in NAMES:
            out = corrupt(images, name, 3, implementation=implementation)
            found[f"corruption, {implementation}, {name}"] = out.numpy()
    hits = random.integers(0, 2, (15, 500)).astype(np.float64)
    found["mean and interval over images"] = np.array(stats.weighted_mean(hits, np.full(15, 1 / 15)))
    np.savez(path, **found)


def movement(name: str, arrays: list[np.ndarray]) -> str:
    """How far one quantity moves between settings: nothing, or the largest difference of the largest value."""
    first = arrays[0].astype(np.float64)
    if all(np.array_equal(arrays[0], other) for other in arrays[1:]):
        return "same bits"
    apart = max(float(np.abs(other.astype(np.float64) - first).max()) for other in arrays[1:])
    text = f"{apart / np.abs(first).max():.1e} of the largest"
    if name.startswith("corruption") or name == "PGD image":
        share = max(float((other != arrays[0]).mean()) for other in arrays[1:])
        text += f", in {100 * share:.2g} % of values"
    return text


def tests(isa: str, threads: int) -> tuple[str, list[str]]:
    """The counts of pytest's last line, and the lines of failures and skips."""
    command = [sys.executable, "-m", "pytest", "-m", "numerics and not slow", "-rsfE", "--tb=no", "tests"]
    run = subprocess.run(command, cwd=ROOT, env=environment(isa, threads), capture_output=True, text=True, check=False)
    lines = run.stdout.splitlines()
    found = re.findall(r"(\d+) (passed|failed|skipped|error)", lines[-1] if lines else "")
    counts = {what: number for number, what in found}
    if "passed" not in counts:
        return f"pytest did not run (exit status {run.returncode})", [*lines[-5:], run.stderr[-500:]]
    row = " | ".join(counts.get(what, "0") for what in ("passed", "failed", "error", "skipped"))
    return row, [line for line in lines if line.startswith(("FAILED", "ERROR", "SKIPPED"))]


def main() -> int:
    """Both tables; the exit status is 1 where a test failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", type=Path, metavar="FILE", help="write the numbers of this process's own setting")
    parser.add_argument("--only", choices=["tests", "numbers"], help="one of the two tables")
    args = parser.parse_args()
    if args.measure:
        torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
        measure(args.measure)
        return 0
    settings = [(isa, threads) for isa in ISAS for threads in (1, 2)]
    print(f"processor: {torch.backends.cpu.get_cpu_capability()}; torch {torch.__version__}, numpy {np.__version__}\n")
    failed = False
    if args.only != "numbers":
        print("| instruction set | threads | passed | failed | error | skipped |", "| --- " * 6 + "|", sep="\n")
        notes: dict[str, None] = {}
        for isa, threads in settings:
            row, lines = tests(isa, threads)
            failed |= " | 0 | 0 | " not in row
            notes.update(dict.fromkeys(lines))
            print(f"| {isa} | {threads} | {row} |", flush=True)
        print("", *notes, sep="\n")
    if args.only != "tests":
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / f"{isa}{threads}.npz" for isa, threads in settings]
            for (isa, threads), file in zip(settings, files, strict=True):
                command = [sys.executable, __file__, "--measure", file]
                subprocess.run(command, env=environment(isa, threads), check=True)
            found = [dict(np.load(file)) for file in files]
        print("| number | moves by |\n| --- | --- |")
        for name in found[0]:
            print(f"| {name} | {movement(name, [each[name] for each in found])} |")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
