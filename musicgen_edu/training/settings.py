"""What training runs need to know. Plain numbers without torch, so that the command line can offer them at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

WINDOWS = (2048, 1024, 512, 256, 128)  # of the discriminator: samples, at 24 kHz


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
        """Updates in all phases together."""
        return sum(steps for _, _, steps in self.phases)

    def sizes(self, step: int) -> list[tuple[int, int]]:
        """Frames and batch size of each batch that a step trains on."""
        for frames, batch, steps in self.phases:
            if step < steps:
                return [(frames, batch), *([self.beginnings] if self.beginnings else [])]
            step -= steps
        raise ValueError(f"the run has {self.steps} steps")


@dataclass(frozen=True)
class AdversarialTraining:
    """How the discriminator is built and trained; the defaults are those of the paper's 24 kHz model.

    `shares` are the balancer's weights. The discriminator joins in at step `start` and learns in a share of
    `learns` of the steps, so that it does not run away from the codec.
    """

    windows: tuple[int, ...] = WINDOWS
    channels: int = 32
    learning_rate: float = 3e-4
    start: int = 0
    learns: float = 2 / 3
    shares: Mapping[str, float] = field(
        default_factory=lambda: {"waveform": 0.1, "mel": 1.0, "adversarial": 3.0, "features": 3.0}
    )


@dataclass(frozen=True)
class CodecTraining:
    """What a codec training run needs to know.

    `waveform_weight` decides whether a small SEANet hears pitch at all: with 10 it learns onsets and shaped noise,
    with 60 it learns tones. With `adversarial` these weights are not used: its shares stand in their place.
    `ema_decay` is that of the averaged weights, which then are the run's result.
    """

    steps: int = 4000
    batch: int = 32
    segment_frames: int = 50
    learning_rate: float = 1e-3
    warmup: int = 100
    waveform_weight: float = 60.0
    mel_weight: float = 1.0
    commitment_weight: float = 1.0
    clip_norm: float = 1.0
    seed: int = 0
    bfloat16: bool = True
    adversarial: AdversarialTraining | None = None
    ema_decay: float | None = None
