"""What can be chosen at the sampling desk of lesson 08, and the clips that are made from it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...model.sampling import Sampling
from ..generator.state import EXAMPLES

AXES = ("probability", "square root")  # of the picture; under roots a sure model's other tokens can be seen too


@dataclass(frozen=True)
class Choice:
    """What is chosen: the code that is looked at, and how a token is drawn. The defaults are those of MusicGen."""

    caption: str = EXAMPLES[0]
    frame: int = 30
    codebook: int = 0
    space: str = "logits"
    scale: float = 3.0  # of guidance in logits
    gamma: float = 0.2  # of guidance in probabilities
    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 0.0
    seed: int = 5
    axis: str = "probability"

    @property
    def sampling(self) -> Sampling:
        """The same for the generation loop."""
        guidance = self.scale if self.space == "logits" else self.gamma
        return Sampling(guidance, self.temperature, self.top_k, self.top_p, self.space)

    def heard(self) -> dict[str, str]:
        """What a clip depends on, in words; where we look is not part of it."""
        amount = f"scale {self.scale:g}" if self.space == "logits" else f"gamma {self.gamma:g}"
        return {
            "caption": f"“{self.caption}”",
            "guidance": f"{amount} in {self.space}",
            "temperature": f"{self.temperature:g}" if self.temperature else "0 (greedy)",
            "top-k": f"{self.top_k}" if self.top_k else "off",
            "top-p": f"{self.top_p:g}" if self.top_p else "off",
            "seed": str(self.seed),
        }

    def __str__(self) -> str:
        caption, guidance, *others = self.heard().items()
        return ", ".join([caption[1], guidance[1], *(f"{name} {value}" for name, value in others)])


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip that was generated: its number, what it was made with, float32 [C, N], and its rate in Hz."""

    number: int
    made_with: Choice
    audio: Tensor
    sample_rate: int


def compare(first: Clip, second: Clip) -> str:
    """One sentence on what two clips were made with."""
    if first.number == second.number:
        return f"Both are clip {first.number}."
    a, b = first.made_with.heard(), second.made_with.heard()
    differences = [f"{name}: {a[name]} against {b[name]}" for name in a if a[name] != b[name]]
    if not differences:
        return f"Clips {first.number} and {second.number} were made with the same settings."
    return f"Clips {first.number} and {second.number} differ in {'; '.join(differences)}."
