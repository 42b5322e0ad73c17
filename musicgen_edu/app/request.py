"""What a visitor of the app may ask for, and what is told when it cannot be."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..model.settings import Sampling
from ..model.values import half_character

Sentence = tuple[str, dict[str, object]]  # a key of `texts.TEXTS`, and what its places are filled with
WHOLE = ("seed", "top_k")


@dataclass(frozen=True)
class Limits:
    """What one request may ask for, and how many may ask: seconds, waiting, at work at once, characters."""

    seconds: float = 30.0
    queue: int = 8
    concurrent: int = 1
    prompt: int = 500

    def __post_init__(self):
        if not 1 <= self.seconds <= 3600:
            raise ValueError(f"the longest clip must be 1 to 3600 seconds, not {self.seconds:g}")
        if self.queue < 0:
            raise ValueError(f"the queue must have 0 or more places, not {self.queue}")
        if self.concurrent < 1:
            raise ValueError(f"at least 1 request must be made at a time, not {self.concurrent}")

    def ranges(self) -> dict[str, tuple[float, float]]:
        """The least and the most of each number."""
        return {
            "seconds": (0.5, self.seconds),
            "chunk_seconds": (0.1, 10.0),
            "seed": (0, 2**32 - 1),
            "guidance_scale": (0.0, 10.0),
            "top_k": (0, 2048),
            "temperature": (0.0, 2.0),
        }


@dataclass(frozen=True)
class Request:
    """What a visitor asks for. Numbers are None where a field was left empty; only the seed may be."""

    prompt: str
    seconds: float | None = 8.0
    chunk_seconds: float | None = 1.5
    seed: int | None = None
    guidance_scale: float | None = Sampling.guidance_scale
    top_k: int | None = Sampling.top_k
    temperature: float | None = Sampling.temperature
    model: str = "tiny"
    recording: str | None = None

    @property
    def sampling(self) -> Sampling:
        """How codes are to be chosen; of a request that was checked."""
        return Sampling(self.guidance_scale, self.temperature, int(self.top_k))


class Refused(Exception):
    """A request that cannot be met: a sentence for the visitor."""

    def __init__(self, key: str, **values: object):
        super().__init__(key)
        self.line: Sentence = (key, values)


def check_request(request: Request, limits: Limits) -> None:
    """Raise `Refused` unless prompt and numbers are in order; what the model must know is checked later."""
    if not request.prompt.strip():
        raise Refused("empty")
    if half := half_character(request.prompt):
        raise Refused("not_text", character=half)
    if len(request.prompt) > limits.prompt:
        raise Refused("long_prompt", length=len(request.prompt), limit=limits.prompt)
    for name, (low, high) in limits.ranges().items():
        value = getattr(request, name)
        if value is None:
            if name != "seed":
                raise Refused("no_number", label=name, low=low, high=high)
        elif not (math.isfinite(value) and low <= value <= high):
            raise Refused("out_of_range", label=name, low=low, high=high, value=f"{value:.15g}")
        elif name in WHOLE and value != int(value):
            raise Refused("not_whole", label=name, value=f"{value:.15g}")
