"""Measures of sound: how close a reconstruction or another clip comes to a sound."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..model.audio import chromagram, mel_filters
from ..model.shapes import check_shape


def si_sdr(reference: Tensor, estimate: Tensor) -> Tensor:
    """Scale-invariant signal-to-distortion ratio in dB, a value for each clip.

    The reference is scaled to be the projection of the estimate; what the estimate has beyond it is distortion
    (Le Roux et al. 2019, arXiv 1811.02508, eq. 3).

    Args:
        reference, estimate: [B, N].

    Returns:
        [B]; larger is better.
    """
    B, N = check_shape("reference", reference, "B N")
    check_shape("estimate", estimate, "B N", B=B, N=N)
    reference, estimate = reference - reference.mean(1, keepdim=True), estimate - estimate.mean(1, keepdim=True)
    scale = (reference * estimate).sum(1, keepdim=True) / reference.square().sum(1, keepdim=True).clamp(min=1e-12)
    target = scale * reference
    distortion = (estimate - target).square().sum(1).clamp(min=1e-12)
    return 10 * torch.log10(target.square().sum(1).clamp(min=1e-12) / distortion)


def chroma_cosine(reference: np.ndarray, estimate: np.ndarray, sample_rate: int) -> float:
    """Mean cosine between the chroma frames of two clips [N]: 1 means that the same notes are heard."""
    a, b = chromagram(reference, sample_rate), chromagram(estimate, sample_rate)  # [12, frames]
    norm = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    heard = np.linalg.norm(a, axis=0) > 0
    return float(((a * b).sum(0)[heard] / np.maximum(norm[heard], 1e-9)).mean())


def log_mel_distance(reference: Tensor, estimate: Tensor, sample_rate: int) -> Tensor:
    """Mean absolute difference of natural-log mel magnitudes (64 bands), a value for each clip of [B, N]: [B]."""
    window = 1024
    filters, taper = mel_filters(sample_rate, window, 64), torch.hann_window(window)

    def log_mel(audio: Tensor) -> Tensor:
        spectrum = torch.stft(audio, window, window // 4, window=taper, return_complex=True).abs()
        return (filters @ spectrum + 1e-3).log()

    return (log_mel(reference) - log_mel(estimate)).abs().mean((1, 2))
