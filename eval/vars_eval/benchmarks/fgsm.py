"""FGSM: one step of the size of the ball, from the clean image (Goodfellow et al. 2015)."""

from dataclasses import dataclass

from vars_eval.benchmarks.pgd import PGD


@dataclass(frozen=True)
class FGSM(PGD):
    """PGD with one full step and no random start."""

    steps: int = 1
    rel_step: float = 1.0
    start: bool = False

    name = "fgsm"
    summary = "FGSM, L-inf 1/255, one step, no random start, in float32 pixel space"

    def _stem(self) -> str:
        return "fgsm" if self.steps == 1 else f"fgsm{self.steps}"
