"""What the listener of lesson 01 shows: a clip stored with few bits and few samples, and turned back into sound."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ...model.audio import resample
from ...model.pcm import decode, encode, snr

DIVISORS = (1, 2, 4, 8, 16)  # the sample rates on offer are the clip's rate over these
QUIETEST = -60  # dB


@dataclass(frozen=True)
class Settings:
    """How a clip is stored: which clip, bits a sample, law, samples a second, low-pass filter or not, level in dB."""

    clip: str
    bits: int = 4
    law: str = "linear"
    sample_rate: int = 16000
    low_pass: bool = True
    level: int = 0

    def __str__(self) -> str:
        how = "" if self.low_pass else " without low-pass filter"
        return f"{self.clip}, {self.bits} bits {self.law}, {self.sample_rate} Hz{how}, level {self.level} dB"


class Listener:
    """A clip, stored with few bits and few samples, and turned back into sound.

    Args:
        clips: name to audio, float [N] in [-1, 1], none of them silent.
        sample_rate: of all clips, in Hz, divisible by 16.
        settings: what to start from; None takes the first clip at its own rate.

    Attributes:
        settings: how it is stored now.
        source, output: float32 [N], what goes in (at its level) and what comes out, both at the clip's rate.
        signal_to_noise: dB, of output against source.
    """

    def __init__(self, clips: dict[str, np.ndarray], sample_rate: int = 16000, settings: Settings | None = None):
        if not clips:
            raise ValueError("the listener needs at least one clip")
        if sample_rate % DIVISORS[-1]:
            raise ValueError(f"the sample rate must be divisible by {DIVISORS[-1]}, but it is {sample_rate}")
        self.clips = {name: np.asarray(audio, np.float32) for name, audio in clips.items()}
        for name, audio in self.clips.items():
            if audio.ndim != 1 or not audio.any():
                raise ValueError(f"clip {name!r} must be audio [N] that is not silent")
        self.sample_rate = sample_rate
        self.rates = tuple(sample_rate // divisor for divisor in DIVISORS)
        self.settings = settings or Settings(next(iter(clips)), sample_rate=sample_rate)
        self.set()

    def set(self, **changes: str | int | bool) -> None:
        """Change some of the settings by name, and store and read the clip again.

        Raises:
            ValueError: a value that is not on offer; nothing changes then.
        """
        settings = replace(self.settings, **changes)
        if settings.clip not in self.clips:
            raise ValueError(f"there is no clip {settings.clip!r}: expected one of {', '.join(self.clips)}")
        if settings.sample_rate not in self.rates:
            raise ValueError(
                f"sample rate must be one of {', '.join(map(str, self.rates))}, not {settings.sample_rate}"
            )
        if not QUIETEST <= settings.level <= 0:
            raise ValueError(f"level must lie between {QUIETEST} and 0 dB, not {settings.level}")
        encode(np.zeros(1), settings.bits, settings.law)  # says so if bits or law cannot be
        self.settings = settings
        self._store_and_read()

    def _store_and_read(self) -> None:
        now, divisor = self.settings, self.sample_rate // self.settings.sample_rate
        self.source = self.clips[now.clip] * np.float32(10 ** (now.level / 20))
        samples = self.source[::divisor]
        if now.low_pass:
            samples = _resample(self.source, self.sample_rate, now.sample_rate)
        self.stored = decode(encode(samples, now.bits, now.law), now.bits, now.law)
        self.output = _resample(self.stored, now.sample_rate, self.sample_rate)[: len(self.source)]
        self.signal_to_noise = snr(self.source, self.output)

    def gain(self) -> float:
        """By how many dB the player turns the output up: to the loudness of the clip, as far as nothing clips."""
        peak = float(np.abs(self.output).max())
        return min(-self.settings.level, -20 * np.log10(peak)) if peak > 0 else 0.0

    def heard(self) -> np.ndarray:
        """What the player plays, float32 [N]."""
        return self.output * np.float32(10 ** (self.gain() / 20))

    def bit_rate(self) -> float:
        """Thousands of bits a second."""
        return self.settings.bits * self.settings.sample_rate / 1000

    def in_words(self) -> str:
        """The state in words, one line each: settings, what is stored, how wrong it is."""
        whole = 16 * self.sample_rate / 1000
        return "\n".join(
            [
                f"settings: {self.settings}",
                f"stored:   {2**self.settings.bits} levels, {self.bit_rate():g} kbit/s; the clip itself has {whole:g}",
                f"error:    signal-to-noise ratio {self.signal_to_noise:.1f} dB",
            ]
        )


def _resample(audio: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    return resample(torch.from_numpy(audio)[None], rate, new_rate)[0].numpy()
