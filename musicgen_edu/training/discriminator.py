"""The discriminator of EnCodec, and the three losses that it takes part in.

It looks at complex spectrograms of several window lengths. One learns to tell recordings from reconstructions; the
codec learns to be taken for a recording, and to look the same as one on the way through the discriminator's layers.

Source: Défossez et al. 2022 (EnCodec, arXiv 2210.13438), section 3.4 and figure 3.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from .settings import WINDOWS

Maps = list[list[Tensor]]  # one list for each window, one map [B, channels, frames, frequencies] for each layer


class STFTDiscriminator(nn.Module):
    """Judges one complex spectrogram, every patch of it by itself.

    Args:
        window: samples in a window of the STFT; they overlap by three quarters.
        channels: of each convolution.
        audio_channels: C.
    """

    def __init__(self, window: int, channels: int = 32, audio_channels: int = 1):
        super().__init__()
        self.window = window
        taper = torch.hann_window(window)
        self.register_buffer("taper", taper / taper.norm(), persistent=False)  # levels like those of the samples
        wide = [  # 3 frames by 8 frequencies: two frames further apart in each layer, half as many frequencies
            nn.Conv2d(channels, channels, (3, 8), stride=(1, 2), dilation=(dilation, 1), padding=(dilation, 3))
            for dilation in (1, 2, 4)
        ]
        first = nn.Conv2d(2 * audio_channels, channels, (3, 8), padding=(1, 3))
        last = nn.Conv2d(channels, channels, 3, padding=1)
        self.layers = nn.ModuleList(weight_norm(layer) for layer in (first, *wide, last))
        self.out = weight_norm(nn.Conv2d(channels, 1, 3, padding=1))

    def spectrogram(self, audio: Tensor) -> Tensor:
        """audio [B, C, N] to real and imaginary parts as channels: [B, 2 C, frames, frequencies]."""
        B, C, N = audio.shape
        spectrum = torch.stft(
            audio.reshape(B * C, N), self.window, self.window // 4, window=self.taper, pad_mode="constant",
            return_complex=True,
        )  # fmt: skip
        parts = torch.view_as_real(spectrum).permute(0, 3, 2, 1)  # [B*C, 2, frames, frequencies]
        return parts.reshape(B, 2 * C, *parts.shape[2:])

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        """audio [B, C, N] to logits [B, 1, frames, frequencies / 8], and what each layer makes of it."""
        x, maps = self.spectrogram(audio), []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            maps.append(x)
        return self.out(x), maps


class MultiScaleSTFTDiscriminator(nn.Module):
    """Discriminators of one structure, each with a window of its own: long ones resolve pitch, short ones time.

    Args:
        windows: samples; the paper's five at 24 kHz, twice as long at 48 kHz.
        channels: of each convolution; 32 in the paper.
        audio_channels: C.
    """

    def __init__(self, windows: Sequence[int] = WINDOWS, channels: int = 32, audio_channels: int = 1):
        super().__init__()
        if not windows or min(windows) < 32 or channels < 1:
            raise ValueError(f"a discriminator needs windows of 32 samples or more and 1 channel, not {list(windows)}")
        self.scales = nn.ModuleList(STFTDiscriminator(window, channels, audio_channels) for window in windows)

    def forward(self, audio: Tensor) -> tuple[list[Tensor], Maps]:
        """audio [B, C, N] to the logits and the feature maps of each window."""
        judged = [scale(audio) for scale in self.scales]
        return [logits for logits, _ in judged], [maps for _, maps in judged]


def discriminator_loss(real_logits: list[Tensor], fake_logits: list[Tensor]) -> Tensor:
    """Hinge loss: recordings should get more than 1, reconstructions less than -1. Mean over the windows."""
    pairs = zip(real_logits, fake_logits, strict=True)
    return sum(F.relu(1 - real).mean() + F.relu(1 + fake).mean() for real, fake in pairs) / len(real_logits)


def adversarial_loss(fake_logits: list[Tensor]) -> Tensor:
    """The codec's side of it: reconstructions should get more than 1. Mean over the windows."""
    return sum(F.relu(1 - fake).mean() for fake in fake_logits) / len(fake_logits)


def feature_matching_loss(real_maps: Maps, fake_maps: Maps) -> Tensor:
    """Mean over windows and layers of |real - fake|, relative to |real|: no layer counts more for being loud."""
    pairs = [pair for real, fake in zip(real_maps, fake_maps, strict=True) for pair in zip(real, fake, strict=True)]
    return sum((fake - real).abs().mean() / real.abs().mean().clamp(min=1e-8) for real, fake in pairs) / len(pairs)
