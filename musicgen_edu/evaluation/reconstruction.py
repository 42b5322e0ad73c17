"""How well a codec reconstructs: to codes and back, measured by number of codebooks."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..model.encodec import EncodecModel
from ..model.quantization import perplexity
from .scores import chroma_cosine, log_mel_distance, si_sdr


def encoded(codec: EncodecModel, audio: Tensor, batch: int = 4) -> Tensor:
    """Codes [B, K, T] of mono sounds [B, N], a few at a time: more are slower on a CPU."""
    return torch.cat([codec.encode(part[:, None]) for part in audio.split(batch)])


def decoded(codec: EncodecModel, codes: Tensor, batch: int = 4) -> Tensor:
    """Mono sounds [B, N] of codes [B, up to K, T], a few at a time."""
    return torch.cat([codec.decode(part)[:, 0] for part in codes.long().split(batch)])


def codec_measures(codec: EncodecModel, audio: Tensor) -> list[dict[str, float]]:
    """For each number of codebooks what is measured on mono clips [B, N] at the codec's sample rate.

    The perplexity is that of the last codebook in use: how many of its V entries are in effective use.
    """
    config, codes, rows = codec.config, encoded(codec, audio), []
    for k in range(1, config.num_codebooks + 1):
        made = decoded(codec, codes[:, :k])[:, : audio.shape[1]]
        sdr = si_sdr(audio, made)
        pairs = zip(audio.numpy(), made.numpy(), strict=True)
        rows.append(
            {
                "codebooks": k,
                "kbit/s": config.bandwidth * k / config.num_codebooks,
                "SI-SDR median": sdr.median().item(),
                "SI-SDR mean": sdr.mean().item(),
                "chroma": float(np.mean([chroma_cosine(a, b, config.sampling_rate) for a, b in pairs])),
                "log-mel": log_mel_distance(audio, made, config.sampling_rate).mean().item(),
                "perplexity": perplexity(codes[:, k - 1], config.codebook_size),
            }
        )
    return rows
