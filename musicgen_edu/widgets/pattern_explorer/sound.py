"""What a half-written table of codes sounds like: the sound of the pattern explorer (lesson 05).

Decoding takes longer than a move may. So the clip is decoded once with each number of its first codebooks, and a move
only chooses, column by column, from which of these K + 1 sounds a piece is taken.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...model.encodec import EncodecModel
from ...model.shapes import check_shape
from ..spectrogram import mel_power, shades

FRAMES = 5  # a column of the explorer lasts so many frames, or 24 of them would be over in half a second
FADE = 81  # samples over which one sound gives way to the next
WINDOW = 640  # samples


class PatternSound:
    """A clip decoded with 0 to K codebooks, put together column by column.

    Args:
        codec: decodes.
        codes: of a clip, int64 [K, at least columns * FRAMES].
        columns: how many columns there can be.

    Attributes:
        clips: float32 [K + 1, N]; number 0 is silence.
    """

    def __init__(self, codec: EncodecModel, codes: Tensor, columns: int):
        K, T = check_shape("codes", codes, "K T")
        if columns * FRAMES > T:
            raise ValueError(f"{columns} columns of {FRAMES} frames need {columns * FRAMES} frames, not {T}")
        codes = codes[None, :, : columns * FRAMES]
        decoded = [codec.decode(codes[:, :k]).mean(1)[0].cpu() for k in range(1, K + 1)]  # each [N]
        self.clips = torch.stack([torch.zeros_like(decoded[0]), *decoded])
        self.num_codebooks, self.sample_rate = K, codec.config.sampling_rate
        self.samples = FRAMES * self.sample_rate // round(codec.config.frame_rate)  # of a column
        power = mel_power(self.clips, self.sample_rate, WINDOW)[..., :-1]
        self._shades = shades(power, float(power[-1].max()))  # [K + 1, bands, cells], all on one scale

    @classmethod
    def of_clip(cls, codec: EncodecModel, audio: Tensor, columns: int = 24) -> PatternSound:
        """From a clip [C, N] at the codec's sample rate, by its codes."""
        return cls(codec, codec.encode(audio[None])[0], columns)

    def counts(self, known: Tensor) -> Tensor:
        """How many codebooks count in each column, int64 [T]: those known from the first on without a gap."""
        return known.long().cumprod(0).sum(0)

    def audio(self, counts: Tensor) -> Tensor:
        """The sound [N] of T columns, each decoded with so many codebooks."""
        share = F.one_hot(counts, len(self.clips)).T.float().repeat_interleave(self.samples, 1)  # [K + 1, N]
        share = F.avg_pool1d(F.pad(share, (FADE // 2, FADE // 2), mode="replicate"), FADE, stride=1)
        return (share * self.clips[:, : share.shape[1]]).sum(0)  # [N]

    def shades(self, counts: Tensor) -> np.ndarray:
        """The mel spectrogram [bands, cells] of T columns, each decoded with so many codebooks; low bands last."""
        cells = self._shades.shape[2] * self.samples // self.clips.shape[1]  # of a column
        columns = [self._shades[n, :, t * cells : (t + 1) * cells] for t, n in enumerate(counts.tolist())]
        return np.concatenate(columns, 1)

    def note(self) -> str:
        """How the sound is made, for the reader."""
        seconds = self.samples / self.sample_rate
        return (
            f"In the sound a column lasts {FRAMES} frames, {seconds:g} s. A code counts once all codebooks above it "
            "are known too; each column is decoded from the codebooks that count, and one without any is silent."
        )
