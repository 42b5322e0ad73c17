"""What a half-written table of codes sounds like: the sound of the pattern explorer (lesson 05).

Decoding takes longer than a move may. So the clip is decoded once with each number of its first codebooks, and a move
only chooses, column by column, from which of these K + 1 sounds a piece is taken.
"""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..figures.players import player_html
from ..model.audio import mel_filters
from ..model.shapes import check_shape

if TYPE_CHECKING:
    from ..model.encodec import EncodecModel

FRAMES = 5  # a column of the explorer lasts so many frames, or 24 of them would be over in half a second
FADE = 81  # samples over which one sound gives way to the next
BANDS, WINDOW, FLOOR = 64, 640, -70.0  # mel bands; samples; dB below the loudest cell, and black


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
        self._pictures = _spectrograms(self.clips, self.sample_rate)  # [K + 1, BANDS, cells, 3]
        self._made: dict[tuple[int, ...], str] = {}

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

    def player(self, known: Tensor, caption: str) -> str:
        """A captioned player and the spectrogram below it; empty if no code counts."""
        counts = self.counts(known)
        if not counts.any():
            return ""
        key = tuple(counts.tolist())
        if key not in self._made:
            audio, image = self.audio(counts), self._spectrogram(counts)
            self._made[key] = player_html(audio, self.sample_rate, "{caption}", spectrogram=False).replace(
                "</figure>",
                '<img alt="mel spectrogram: time to the right, frequency upwards" style="display:block;width:100%;'
                f'height:90px;image-rendering:pixelated" src="{image}"></figure>',
            )
        return self._made[key].replace("{caption}", html.escape(caption, quote=True))

    def note(self) -> str:
        """How the sound is made, for the reader."""
        seconds = self.samples / self.sample_rate
        return (
            f"In the sound a column lasts {FRAMES} frames, {seconds:g} s. A code counts once all codebooks above it "
            "are known too; each column is decoded from the codebooks that count, and one without any is silent."
        )

    def _spectrogram(self, counts: Tensor) -> str:
        """A PNG data URL of T columns, all on one scale."""
        from PIL import Image

        cells = self._pictures.shape[2] * self.samples // self.clips.shape[1]  # of a column
        columns = [self._pictures[n, :, t * cells : (t + 1) * cells] for t, n in enumerate(counts.tolist())]
        buffer = io.BytesIO()
        Image.fromarray(np.concatenate(columns, 1)).save(buffer, format="PNG")
        return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _spectrograms(clips: Tensor, sample_rate: int) -> np.ndarray:
    """Mel spectrograms as colours, uint8 [clips, BANDS, cells, 3], low bands at the bottom, all on one scale in dB."""
    import matplotlib

    window = torch.hann_window(WINDOW)
    spectrum = torch.stft(clips, WINDOW, WINDOW // 4, window=window, return_complex=True)  # [clips, bins, cells + 1]
    power = (mel_filters(sample_rate, WINDOW, BANDS) @ spectrum.abs().square())[..., :-1]
    decibels = 10 * torch.log10(power.clamp(min=1e-12) / power[-1].max().clamp(min=1e-12))
    shade = (1 - decibels / FLOOR).clamp(0, 1).flip(1).numpy()
    return (matplotlib.colormaps["magma"](shade)[..., :3] * 255).astype(np.uint8)
