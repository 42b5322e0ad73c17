"""Pulse-code modulation: each sample by itself becomes one of 2^bits numbers, and comes back.

The steps between the levels are equal ("linear") or finer near silence ("mu-law", as telephones use).
"""

from __future__ import annotations

import numpy as np

MU = 255  # ITU-T G.711
LAWS = ("linear", "mu-law")


def compress(audio: np.ndarray, mu: float = MU) -> np.ndarray:
    """Bend amplitudes in [-1, 1] so that quiet ones take more room: sign(x) ln(1 + mu |x|) / ln(1 + mu)."""
    return np.sign(audio) * np.log1p(mu * np.abs(audio)) / np.log1p(mu)


def expand(bent: np.ndarray, mu: float = MU) -> np.ndarray:
    """Undo `compress`."""
    return np.sign(bent) * np.expm1(np.abs(bent) * np.log1p(mu)) / mu


def encode(audio: np.ndarray, bits: int, law: str = "linear") -> np.ndarray:
    """Quantize: float in [-1, 1], of any shape, to int64 codes of the same shape, 0 (lowest) to 2^bits - 1.

    Args:
        audio: what lies outside [-1, 1] gets the outermost codes.
        bits: 1 to 16.
        law: one of `LAWS`.

    Raises:
        ValueError: other bits, another law, or samples that are not finite.
    """
    levels = _levels(bits, law)
    values = np.asarray(audio, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("audio contains NaN or infinite samples; every sample must be a finite number")
    values = compress(values) if law == "mu-law" else values
    return np.clip(np.floor((values + 1) / 2 * levels), 0, levels - 1).astype(np.int64)


def decode(codes: np.ndarray, bits: int, law: str = "linear") -> np.ndarray:
    """The middle of each code's cell: float32 of the same shape.

    Raises:
        ValueError: other bits, another law, or codes outside 0 to 2^bits - 1.
    """
    levels, codes = _levels(bits, law), np.asarray(codes)
    if codes.size and not 0 <= codes.min() <= codes.max() < levels:
        raise ValueError(f"codes of {bits} bits lie between 0 and {levels - 1}, not {codes.min()} and {codes.max()}")
    values = (codes + 0.5) / levels * 2 - 1
    return (expand(values) if law == "mu-law" else values).astype(np.float32)


def _levels(bits: int, law: str) -> int:
    if law not in LAWS:
        raise ValueError(f"law must be one of {', '.join(LAWS)}, not {law!r}")
    if not isinstance(bits, int | np.integer) or not 1 <= bits <= 16:
        raise ValueError(f"bits must be a whole number from 1 to 16, not {bits!r}")
    return 2 ** int(bits)


def snr(reference: np.ndarray, estimate: np.ndarray) -> float:
    """Signal-to-noise ratio in dB: energy of the reference over the energy of what the estimate has wrong.

    Infinite where nothing is wrong.

    Raises:
        ValueError: shapes that differ, or a silent reference.
    """
    reference, estimate = np.asarray(reference, np.float64), np.asarray(estimate, np.float64)
    if reference.shape != estimate.shape:
        raise ValueError(f"both must have one shape, not {list(reference.shape)} and {list(estimate.shape)}")
    signal, noise = np.square(reference).sum(), np.square(reference - estimate).sum()
    if signal == 0:
        raise ValueError("the reference is silent: there is no signal to compare noise with")
    return float(10 * np.log10(signal / noise)) if noise else float("inf")
