"""Training a codec: a readable loop over random segments, with checkpoints that a stopped run goes on from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.pieces import GRID
from ..data.procedural import make_clip
from ..encodec import EncodecModel
from .losses import MelLoss
from .runs import Report, learning_rate, load_run, save_run, set_learning_rate


@dataclass(frozen=True)
class CodecTraining:
    """What a codec training run needs to know.

    `waveform_weight` decides whether a small SEANet hears pitch at all: with 10 it learns onsets and shaped noise,
    with 60 it learns tones.
    """

    steps: int = 4000
    batch: int = 32
    segment_frames: int = 50
    learning_rate: float = 1e-3
    warmup: int = 100
    waveform_weight: float = 60.0
    mel_weight: float = 1.0
    commitment_weight: float = 1.0
    clip_norm: float = 1.0
    seed: int = 0
    bfloat16: bool = True


def procedural_segments(batch: int, frames: int, seed: int, start: int) -> Iterator[Tensor]:
    """Batches of random segments [B, 1, N] of new procedural clips, four of each clip; `start` skips whole batches."""
    step = start
    while True:
        segments = []
        for index in range(-(-batch // 4)):
            rng = np.random.default_rng((seed, step, index))
            audio = make_clip(np.random.SeedSequence((seed, step, index)), 512).audio
            for offset in rng.integers(0, 512 - frames + 1, size=4):
                segments.append(audio[offset * GRID : (offset + frames) * GRID])
        yield torch.from_numpy(np.stack(segments[:batch]))[:, None]  # [B, 1, N]
        step += 1


def codec_losses(model: EncodecModel, mel_loss: MelLoss, audio: Tensor, bfloat16: bool = False) -> dict[str, Tensor]:
    """Waveform L1, mel and commitment loss of a batch [B, C, N].

    With `bfloat16` the networks compute in that format; the quantizer does not: small distances decide its codes.
    """
    with torch.autocast(audio.device.type, torch.bfloat16, enabled=bfloat16):
        latents = model.encoder(audio)
    quantized, _, commitment = model.quantizer(latents.float())
    with torch.autocast(audio.device.type, torch.bfloat16, enabled=bfloat16):
        reconstruction = model.decoder(quantized)
    reconstruction = reconstruction.float()[..., : audio.shape[-1]]
    return {
        "waveform": (audio - reconstruction).abs().mean(),
        "mel": mel_loss(audio, reconstruction),
        "commitment": commitment,
    }


def train_codec(
    model: EncodecModel,
    settings: CodecTraining,
    segments: Callable[[int], Iterator[Tensor]],
    checkpoint: Path | None = None,
    checkpoint_every: int = 250,
    report: Report | None = None,
) -> EncodecModel:
    """Train a codec; a run that was stopped goes on from its checkpoint and gets the same numbers.

    Args:
        model: trained in place.
        settings: sizes, weights and seed.
        segments: called with the first step, gives batches [B, C, N].
        checkpoint: file that holds the state of the run; read if it exists.
        checkpoint_every: steps between writes of that file.
        report: called after each step with the step and its losses.

    Returns:
        the model, in evaluation mode.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, betas=(0.8, 0.99), weight_decay=0.0)
    device = next(model.parameters()).device
    mel_loss = MelLoss(model.config.sampling_rate).to(device)
    start = 0
    if checkpoint and checkpoint.exists():
        start = load_run(checkpoint, model, optimizer)
    else:
        torch.manual_seed(settings.seed)
    model.train()
    batches = segments(start)
    for step in range(start, settings.steps):
        audio = next(batches).to(device)
        set_learning_rate(optimizer, learning_rate(step, settings.steps, settings.learning_rate, settings.warmup))
        losses = codec_losses(model, mel_loss, audio, settings.bfloat16)
        total = (
            settings.waveform_weight * losses["waveform"]
            + settings.mel_weight * losses["mel"]
            + settings.commitment_weight * losses["commitment"]
        )
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
        optimizer.step()
        if report:
            report(step, {name: value.item() for name, value in losses.items()})
        if checkpoint and ((step + 1) % checkpoint_every == 0 or step + 1 == settings.steps):
            save_run(checkpoint, model, optimizer, step + 1)
    return model.eval()
