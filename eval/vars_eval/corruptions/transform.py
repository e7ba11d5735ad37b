"""A corruption as a torchvision transform, for training."""

from collections.abc import Sequence
from typing import Any

import torch
from torchvision.transforms import v2

from vars_eval.corruptions.apply import check_name, corrupt
from vars_eval.corruptions.names import SCORED, SEVERITIES


class Corrupt(v2.Transform):  # type: ignore[misc]
    """Applies a random corruption at a random severity to an image (3, S, S) or a batch (N, 3, S, S).

    Seeded by torch's global generator, as torchvision's own transforms are, so each worker and epoch differs.

    Args:
        names: Corruptions to choose among.
        severities: Severities to choose among.
        jpeg85: See `corrupt`.

    Raises:
        ValueError: Unknown corruption or severity, or nothing to choose from.
    """

    def __init__(
        self, names: Sequence[str] = SCORED, severities: Sequence[int] = SEVERITIES, jpeg85: bool = False
    ) -> None:
        super().__init__()
        self.names = (names,) if isinstance(names, str) else tuple(names)
        self.severities = tuple(severities)
        self.jpeg85 = jpeg85
        if not (self.names and self.severities):
            raise ValueError("There is nothing to choose from; give at least one corruption and one severity.")
        for name in self.names:
            for severity in self.severities:
                check_name(name, severity)

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """Chooses corruption, severity and seed for all that is transformed together."""
        return {
            "name": self.names[int(torch.randint(len(self.names), ()))],
            "severity": self.severities[int(torch.randint(len(self.severities), ()))],
            "seed": int(torch.randint(2**62, ())),
        }

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """Corrupts an image; anything but an image is passed on."""
        if not isinstance(inpt, torch.Tensor) or inpt.ndim not in (3, 4):
            return inpt
        batch = corrupt(inpt if inpt.ndim == 4 else inpt[None], **params, jpeg85=self.jpeg85)
        return batch if inpt.ndim == 4 else batch[0]
