"""A small codec and small sound files, for the tests of codes on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch

from musicgen_edu.model.encodec import EncodecConfig, EncodecModel

RATE, HOP, K = 16000, 320, 2


def small_codec(seed: int, rate: int = RATE) -> EncodecModel:
    """A codec of random weights in evaluation mode."""
    torch.manual_seed(seed)
    config = EncodecConfig(sampling_rate=rate, num_filters=2, upsampling_ratios=(8, 8, 5), hidden_size=8,
                           codebook_size=16, num_codebooks=K, num_lstm_layers=1)  # fmt: skip
    model = EncodecModel(config)
    for layer in model.quantizer.layers:
        layer.embed.normal_()
    return model.eval()


def write_sound(path: Path, seconds: float, seed: int = 0, rate: int = RATE, channels: int = 1) -> Path:
    """Write noise of a seed; returns the path."""
    rng = np.random.default_rng(seed)
    soundfile.write(path, 0.1 * rng.standard_normal((round(seconds * rate), channels)), rate)
    return path
