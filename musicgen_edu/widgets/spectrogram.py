"""Spectrograms as shades from 0 to 1, made once, so that a move only chooses among them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..model.audio import mel_filters

BANDS, FLOOR = 64, -70.0  # mel bands; dB below the loudest cell, and black


def mel_power(audio: Tensor, sample_rate: int, window: int) -> Tensor:
    """Mel power [..., BANDS, frames] of audio [..., N], a frame each quarter of a window of samples."""
    spectrum = torch.stft(
        audio, window, window // 4, window=torch.hann_window(window), pad_mode="constant", return_complex=True
    )
    return mel_filters(sample_rate, window, BANDS) @ spectrum.abs().square()


def shades(power: Tensor, loudest: float) -> np.ndarray:
    """Mel power [..., BANDS, frames] as shades: 1 as loud as `loudest`, 0 at FLOOR and below; low bands last."""
    decibels = 10 * torch.log10(power.clamp(min=1e-20) / max(loudest, 1e-12))
    return (1 - decibels / FLOOR).clamp(0, 1).flip(-2).numpy()
