"""What the RVQ listener shows: a clip, its K + 1 reconstructions, and which of them is looked at and heard."""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ...model.encodec import EncodecModel, check_audio
from ...model.quantization import bit_rate
from ...model.shapes import check_shape
from ..spectrogram import mel_power, shades

WINDOW = 1024  # samples
HEARD = {"original": "A: original", "reconstruction": "B: reconstruction", "residual": "A − B: what is missing"}


class Listening:
    """A clip, what each number of codebooks makes of it, and which of them is looked at and heard.

    Everything is computed once, at the start: a move only chooses.

    Args:
        codec: encodes and decodes.
        audio: the clip, float [C, N] at the codec's sample rate.
        codebooks: how many of the first codebooks are used, 0 to K; None takes all K.
        heard: "original", "reconstruction" or "residual".

    Attributes:
        reconstructions: K + 1 clips [C, N]; number 0 is what the decoder makes of zeros.
        residuals: the original minus each of them.
        left_over: energy of each residual relative to the original's, in dB.
    """

    def __init__(self, codec: EncodecModel, audio: Tensor, codebooks: int | None = None, heard: str = "reconstruction"):
        config = codec.config
        C, N = check_shape("audio", audio, "C N", C=config.audio_channels)
        check_audio(audio)
        self.sample_rate, self.config, self.K = config.sampling_rate, config, config.num_codebooks
        codes = codec.encode(audio[None].to(codec.quantizer.layers[0].embed.device))  # [1, K, T]
        with torch.no_grad():
            nothing = codec.decoder(torch.zeros_like(codec.quantizer.decode(codes)))
        decoded = [nothing, *(codec.decode(codes[:, :k]) for k in range(1, self.K + 1))]
        self.original = audio.cpu()
        self.reconstructions = [clip[0, :, :N].cpu() for clip in decoded]
        self.residuals = [self.original - clip for clip in self.reconstructions]
        energy = self.original.square().sum().clamp(min=1e-12)
        self.left_over = [10 * math.log10(float(r.square().sum().clamp(min=1e-12) / energy)) for r in self.residuals]
        self.codebooks, self.heard = self.K, "reconstruction"
        self.move(self.K if codebooks is None else codebooks, heard)

    def move(self, codebooks: int | None = None, heard: str | None = None) -> None:
        """Choose a number of codebooks, or what is heard; None leaves it.

        Raises:
            ValueError: not 0 to K codebooks, or nothing of that name to hear. Nothing has changed then.
        """
        codebooks = self.codebooks if codebooks is None else codebooks
        heard = self.heard if heard is None else heard
        if codebooks not in range(self.K + 1):
            raise ValueError(f"the number of codebooks must be 0 to {self.K}, not {codebooks}")
        if heard not in HEARD:
            raise ValueError(f"there is nothing called {heard!r} to hear: choose one of {', '.join(HEARD)}")
        self.codebooks, self.heard = int(codebooks), heard

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return self.original.shape[-1] / self.sample_rate

    def clip(self, heard: str, codebooks: int) -> Tensor:
        """The sound of one choice: [C, N]."""
        if heard == "original":
            return self.original
        return (self.reconstructions if heard == "reconstruction" else self.residuals)[codebooks]

    def in_words(self) -> str:
        """What was chosen and what follows from it by arithmetic, one line each; nothing that is measured."""
        V, rate = self.config.codebook_size, self.config.frame_rate
        bits = bit_rate(self.codebooks, V, rate)
        return "\n".join(
            [
                f"codebooks: {self.codebooks} of {self.K}",
                f"bit rate:  {self.codebooks} x {math.log2(V):g} bits x {rate:g} frames/s = {bits / 1000:.1f} kbit/s",
                f"listening: {caption(self.heard, self.codebooks)}",
            ]
        )

    def measured(self) -> str:
        """One sentence on how much of the sound is left over."""
        level = round(self.left_over[self.codebooks], 1)
        return f"What is missing lies {abs(level):.1f} dB {'above' if level > 0 else 'below'} the original in energy."

    @cached_property
    def spectrograms(self) -> dict[tuple[str, int], np.ndarray]:
        """Shades [bands, frames] by (kind, number of codebooks), all on the scale of the original's loudest cell."""

        def power(clip: Tensor) -> Tensor:
            return mel_power(clip.mean(0), self.sample_rate, WINDOW)

        loudest = float(power(self.original).max())
        return {
            (kind, k): shades(power(clips[k]), loudest)
            for kind, clips in (("reconstruction", self.reconstructions), ("residual", self.residuals))
            for k in range(self.K + 1)
        }


def caption(heard: str, codebooks: int) -> str:
    """What a choice is called."""
    return HEARD["original"] if heard == "original" else f"{HEARD[heard]}, {count(codebooks)}"


def count(codebooks: int) -> str:
    """So many codebooks, in words."""
    return f"{codebooks} codebook{'' if codebooks == 1 else 's'}"
