"""What a training run of a language model needs to know."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LMTraining:
    """What a language model training run needs to know.

    `phases` are (frames, batch, steps): short clips first, whole ones at the end. `beginnings` are (frames, batch) of
    very short clips that each step trains on besides. `condition_dropout` is the share of rows that are trained
    without their caption, which is what guidance needs. `input_noise` is the largest share of a row's input codes that
    are replaced by those of other rows, so that the model learns to go on after a code that was sampled badly. With
    `muon` the matrices of the layers are trained by Muon (Jordan 2024), with the rates that suit AdamW.

    A step is an update of the weights. With `accumulation` its batch is computed in so many parts, one after the
    other, with the gradient of the whole: it takes less memory, and nothing else changes. `ema_decay` is that of the
    averaged weights, which then are the run's result; they take note of every `ema_every`-th update. Of a caption the
    first `max_words` words are kept, and each of these is dropped with probability `word_dropout`.

    Raises:
        ValueError: a setting makes no sense; the message names it.
    """

    phases: tuple[tuple[int, int, int], ...] = ((256, 16, 3400), (512, 8, 2600))
    beginnings: tuple[int, int] | None = None
    learning_rate: float = 2e-3
    warmup: int = 200
    hold: float = 0.4
    weight_decay: float = 0.05
    condition_dropout: float = 0.15
    input_noise: float = 0.0
    muon: bool = False
    clip_norm: float = 1.0
    seed: int = 0
    bfloat16: bool = True
    accumulation: int = 1
    ema_decay: float | None = None
    ema_every: int = 1
    word_dropout: float = 0.0
    max_words: int | None = None
    pattern: str = "delay"

    def __post_init__(self):
        if self.accumulation < 1:
            raise ValueError(f"accumulation must be at least 1, not {self.accumulation}")
        if self.ema_decay is not None and not 1 <= self.ema_every <= self.steps:
            raise ValueError(f"ema_every must be 1 to the number of steps, {self.steps}, not {self.ema_every}")
        for name in ("condition_dropout", "word_dropout"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1, not {getattr(self, name)}")

    @property
    def steps(self) -> int:
        return sum(steps for _, _, steps in self.phases)

    def sizes(self, step: int) -> list[tuple[int, int]]:
        """Frames and batch size of each batch that a step trains on."""
        for frames, batch, steps in self.phases:
            if step < steps:
                return [(frames, batch), *([self.beginnings] if self.beginnings else [])]
            step -= steps
        raise ValueError(f"the run has {self.steps} steps")
