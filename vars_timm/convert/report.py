"""What a conversion kept, dropped and added."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PREFIX_TOKENS = {
    "performer": "take part as any other token",
    "vars_d": "take part as any other token",
    "vars_sd": "are rebuilt from dynamic atoms alone, as the static atoms cover the patches only",
    "vars_s": "get the mean over the mixed patches, as the mixer takes the patches only",
}


@dataclass(frozen=True)
class Conversion:
    """What `convert` did to a model; str() tells it in a few lines.

    Attributes:
        mixer: Name of the mixer.
        options: The mixer's arguments as given.
        attentions: Names of the modules that were replaced.
        num_prefix_tokens: Class and register tokens of the model.
        kept: Parts of the attentions that live on with the bits they had -> number of their values in all attentions.
        dropped: Parts that have no place in the mixer, likewise.
        new: Parameters and buffers of the mixers that start as those of a new model, likewise.
    """

    mixer: str
    options: Mapping[str, Any]
    attentions: tuple[str, ...]
    num_prefix_tokens: int
    kept: Mapping[str, int]
    dropped: Mapping[str, int]
    new: Mapping[str, int]

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `convert` that do the same to another model of this architecture."""
        return {"mixer": self.mixer, **self.options}

    def __str__(self) -> str:
        options = "".join(f", {name}={value!r}" for name, value in self.options.items())
        lines = [
            f"{self.mixer}{options} in place of {len(self.attentions)} attentions, "
            f"{self.attentions[0]} to {self.attentions[-1]}",
            f"kept:    {_values(self.kept)}; and all that is not attention",
            f"dropped: {_values(self.dropped)}",
            f"new:     {_values(self.new)}",
        ]
        if self.num_prefix_tokens:
            lines.append(f"prefix:  {self.num_prefix_tokens} class and register tokens {PREFIX_TOKENS[self.mixer]}")
        return "\n".join(lines)


def _values(parts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in parts.items()) or "nothing"
