"""Training a codec: a readable loop over random segments, with checkpoints that a stopped run goes on from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.pieces import GRID
from ..data.procedural import make_clip
from ..model.encodec import EncodecModel
from .adversarial import Adversary
from .averaging import averaged_weights
from .loop import apply_gradients, train
from .losses import MelLoss
from .runs import Report, learning_rate
from .settings import CodecTraining


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


def reconstruct(model: EncodecModel, audio: Tensor, bfloat16: bool = False) -> tuple[Tensor, Tensor]:
    """Reconstruction [B, C, N] of a batch [B, C, N], and the commitment loss.

    With `bfloat16` the networks compute in that format; the quantizer does not: small distances decide its codes.
    """
    with torch.autocast(audio.device.type, torch.bfloat16, enabled=bfloat16):
        latents = model.encoder(audio)
    quantized, _, commitment = model.quantizer(latents.float())
    with torch.autocast(audio.device.type, torch.bfloat16, enabled=bfloat16):
        reconstruction = model.decoder(quantized)
    return reconstruction.float()[..., : audio.shape[-1]], commitment


def codec_losses(mel_loss: MelLoss, audio: Tensor, reconstruction: Tensor, commitment: Tensor) -> dict[str, Tensor]:
    """Waveform L1, mel and commitment loss of a batch and its reconstruction [B, C, N]."""
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
    device = next(model.parameters()).device
    mel_loss = MelLoss(model.config.sampling_rate).to(device)
    optimizers = {"optimizer": torch.optim.AdamW(model.parameters(), betas=(0.8, 0.99), weight_decay=0.0)}
    torch.manual_seed(settings.seed)
    adversary = averaged = None
    if settings.adversarial:
        adversary = Adversary(settings.adversarial, model.config.audio_channels, device, settings.bfloat16)
    if settings.ema_decay is not None:
        averaged = averaged_weights(model, settings.ema_decay)

    def updates(start: int) -> Iterator[dict[str, float]]:
        for step, audio in enumerate(segments(start), start):
            losses = add_gradients(model, settings, mel_loss, adversary, audio.to(device), step)
            rate = learning_rate(step, settings.steps, settings.learning_rate, settings.warmup)
            apply_gradients(model, optimizers, rate, settings.clip_norm)
            yield {name: value.item() for name, value in losses.items()}

    changing = optimizers | ({"adversary": adversary} if adversary else {})
    return train(model, updates, settings.steps, averaged, checkpoint, checkpoint_every, report, **changing)


def add_gradients(
    model: EncodecModel,
    settings: CodecTraining,
    mel_loss: MelLoss,
    adversary: Adversary | None,
    audio: Tensor,
    step: int,
) -> dict[str, Tensor]:
    """Send the losses of a batch [B, C, N] back through the codec, balanced if there is an adversary; returns them."""
    reconstruction, commitment = reconstruct(model, audio, settings.bfloat16)
    losses = codec_losses(mel_loss, audio, reconstruction, commitment)
    model.zero_grad()
    if adversary:
        (settings.commitment_weight * commitment).backward(retain_graph=True)  # it is not the output's
        return losses | adversary.backward(step, losses, audio, reconstruction)
    total = settings.waveform_weight * losses["waveform"] + settings.mel_weight * losses["mel"]
    (total + settings.commitment_weight * commitment).backward()
    return losses
