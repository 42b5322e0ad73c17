"""Reconstruction losses of a codec: on the waveform and on mel spectrograms of several resolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..model.audio import mel_filters

RESOLUTIONS = ((2048, 80), (1024, 64), (512, 40), (256, 20))  # (window in samples, mel bands)


class MelLoss(nn.Module):
    """Mean over four resolutions of L1 on mel magnitudes and on their logarithms (EnCodec, eq. 2, with L1 for both).

    Args:
        sample_rate: Hz.
    """

    def __init__(self, sample_rate: int):
        super().__init__()
        for window, bands in RESOLUTIONS:
            self.register_buffer(f"filters_{window}", mel_filters(sample_rate, window, bands), persistent=False)
            self.register_buffer(f"window_{window}", torch.hann_window(window), persistent=False)

    def mel(self, audio: Tensor, window: int) -> Tensor:
        """Magnitudes of audio [B, 1, N] in mel bands [B, bands, frames]."""
        spectrum = torch.stft(
            audio[:, 0], window, window // 4, window=self.get_buffer(f"window_{window}"), return_complex=True
        )
        magnitude = (spectrum.real.square() + spectrum.imag.square() + 1e-8).sqrt()  # a gradient at 0, too
        return self.get_buffer(f"filters_{window}") @ magnitude

    def forward(self, audio: Tensor, reconstruction: Tensor) -> Tensor:
        """Both [B, 1, N]; a scalar."""
        total = audio.new_zeros(())
        for window, _ in RESOLUTIONS:
            target, made = self.mel(audio, window), self.mel(reconstruction, window)
            total = total + (target - made).abs().mean() + ((target + 1e-3).log() - (made + 1e-3).log()).abs().mean()
        return total / len(RESOLUTIONS)
