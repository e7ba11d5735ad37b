"""One mixer beside its formulas, or beside the released layer: a row of the table."""

from functools import partial
from pathlib import Path

import torch
from candidates import DIM, GRID, MEMORY_BATCH, mixer_of
from literal import LITERAL
from measure import difference, medians, peak_mebibytes, step_of
from released import import_released, released


def mixer_row(
    name: str, *, device: str, batch: int, repeats: int, threads: int, checkout: Path | None, compiled: bool
) -> str:
    """Measure one mixer, in Markdown.

    Args:
        name: Name of the mixer.
        device: "cpu" or "cuda".
        batch: Images, for the times.
        repeats: Turns of which the median is taken.
        threads: Of a CPU.
        checkout: Folder of the released layers, which then take the place of the formulas.
        compiled: Whether to time torch.compile as well.
    """
    torch.set_num_threads(threads)
    mixer = mixer_of(name, device)
    candidates = {"ours": mixer}
    if name in LITERAL:
        other = released(name, mixer, import_released(checkout)) if checkout else partial(LITERAL[name], mixer)
        candidates["other"] = other
    x = torch.randn(batch, GRID[0] * GRID[1], DIM, device=device)
    cells = [name]
    for train in (False, True):
        steps = {key: step_of(forward, x, train=train) for key, forward in candidates.items()}
        if compiled:
            steps["compiled"] = step_of(torch.compile(mixer, fullgraph=True), x, train=train)
        times = medians(steps, repeats, device)
        beside = f" (compiled {times['compiled']:.1f})" if compiled else ""
        ratio = f"{times['other'] / times['ours']:.2f}" if "other" in times else ""
        cells += [f"{times['ours']:.1f}{beside}", ratio]
    larger = torch.randn(MEMORY_BATCH, *x.shape[1:], device=device)
    peak = {
        key: f"{peak_mebibytes(step_of(forward, larger, train=True), device):.0f}"
        for key, forward in candidates.items()
    }
    cells += [peak["ours"], peak.get("other", "")]
    if "other" in candidates:
        largest, left_out = difference(mixer(x).detach(), candidates["other"](x).detach())
        cells += [f"{largest:.1e}", f"{left_out:.1e}"]
    else:
        cells += ["", ""]
    return "| " + " | ".join(cells) + " |"
