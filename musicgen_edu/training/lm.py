"""Training a language model on codes and captions, with all random choices fixed by seed and step (lesson 07)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from .averaging import averaged_weights
from .layout import Batch, Update, make_update, pattern_loss
from .loop import apply_gradients, train
from .optimizers import make_optimizers
from .processes import ALONE, Processes
from .runs import Report, learning_rate
from .settings import LMTraining
from .text_to_codes import TextToCodes
from .validation import Validation, validation_nats
from .words import drop_words, first_words

Batches = Callable[[int], Iterator[list[Batch]]]


def quick_attention(device: torch.device, frames: int):
    """A context in which many short clips train faster: there the CPU's fused kernel is slow backwards."""
    return sdpa_kernel(SDPBackend.MATH) if device.type == "cpu" and frames < 64 else nullcontext()


def mixed_precision(device: torch.device, wanted: bool):
    """A context in which the matrix products are in bfloat16, if that is wanted and the GPU can do it."""
    able = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.autocast(device.type, torch.bfloat16, wanted and able)


def draw_update(batch: Batch, settings: LMTraining, step: int, index: int, special: int) -> Update:
    """Make all random choices for batch number `index` of a step: dropped words, dropped captions, noise.

    They depend on the seed, the step and the whole batch, and on nothing that happened before: not on how many
    processes share the rows, and not on where a run was stopped.
    """
    rng = np.random.default_rng((settings.seed, step, index, 1))  # the 1 keeps it apart from (seed, step)
    captions = batch.captions
    if settings.max_words is not None:
        captions = [first_words(caption, settings.max_words) for caption in captions]
    if settings.word_dropout:
        captions = [drop_words(caption, settings.word_dropout, rng) for caption in captions]
    generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
    dropped = torch.rand(len(captions), generator=generator) < settings.condition_dropout
    batch = Batch(batch.codes, captions, batch.lengths)
    return make_update(batch, settings.pattern, special, dropped, settings.input_noise, generator)


def add_gradient(model: TextToCodes, update: Update, settings: LMTraining, processes: Processes) -> Tensor:
    """Add this process's share of a batch's gradient, in parts; returns the nats per codebook [K] of the whole.

    Each part is divided by the counts of the whole batch, so the sum over parts and processes is the mean over all.
    """
    device = next(model.parameters()).device
    nats = torch.zeros(len(update.counts), device=device)
    mine = update.part(processes.rows(len(update.captions)))
    for part in mine.micro_batches(settings.accumulation):
        part = part.to(device)
        with quick_attention(device, part.given.shape[2]), mixed_precision(device, settings.bfloat16):
            loss, per_codebook = pattern_loss(model, part)
        loss.backward()
        nats += per_codebook.detach()
    return processes.sum(nats)


def named(nats: Tensor, prefix: str = "") -> dict[str, float]:
    """Nats per codebook [K] by name, and their mean."""
    values = nats.tolist()
    return {f"{prefix}loss": sum(values) / len(values)} | {f"{prefix}k{k}": value for k, value in enumerate(values)}


def train_lm(
    model: TextToCodes,
    settings: LMTraining,
    batches: Batches,
    checkpoint: Path | None = None,
    checkpoint_every: int = 250,
    report: Report | None = None,
    validation: Validation | None = None,
    processes: Processes = ALONE,
) -> TextToCodes:
    """Train; a run that was stopped goes on from its checkpoint and gets the same numbers.

    Args:
        model: trained in place.
        settings: phases, rates and seed.
        batches: called with the first step, gives each step's list of batches: codes int64 [B, K, T], B captions
            and, where rows have padding, lengths [B]. Several processes are all given the whole batches.
        checkpoint: file that holds the state of the run; read if it exists.
        checkpoint_every: steps between writes of that file.
        report: called after each step with the step and the losses of its first batch in nats; after a validation
            there are "validation loss" and "validation k0" to "validation k3", too.
        validation: held-out batches; the averaged weights are used if there are any.
        processes: those that train together; only the main one writes and reports.

    Returns:
        the model, in evaluation mode.

    Raises:
        ValueError: a setting makes no sense, or the checkpoint is that of another kind of run.
    """
    optimizers = make_optimizers(model, settings.weight_decay, settings.muon)
    averaged = None
    if settings.ema_decay is not None:
        averaged = averaged_weights(model, settings.ema_decay, settings.ema_every)

    def judge(step: int, judged: nn.Module) -> dict[str, float]:
        if validation is None or not validation.due(step, settings.steps):
            return {}
        return named(validation_nats(judged, validation.batches, settings.pattern, processes), "validation ")

    updates = partial(lm_updates, model, optimizers, batches, settings, processes)
    main, steps = processes.main, settings.steps
    torch.manual_seed(settings.seed)
    return train(model, updates, steps, averaged, checkpoint, checkpoint_every, report, judge, main, **optimizers)


def lm_updates(
    model: TextToCodes,
    optimizers: dict[str, torch.optim.Optimizer],
    batches: Batches,
    settings: LMTraining,
    processes: Processes,
    start: int,
) -> Iterator[dict[str, float]]:
    """Update the weights step by step, from `start` on; gives each step's losses."""
    for step, found in enumerate(batches(start), start):
        nats = update_weights(model, optimizers, found, settings, step, processes)
        yield named(nats[0]) | {f"loss {i}": other.mean().item() for i, other in enumerate(nats[1:], 1)}


def update_weights(
    model: TextToCodes,
    optimizers: dict[str, torch.optim.Optimizer],
    batches: list[Batch],
    settings: LMTraining,
    step: int,
    processes: Processes,
) -> list[Tensor]:
    """One step: the gradients of all its batches, clipped, and an update; returns each batch's nats [K]."""
    model.zero_grad()
    nats = []
    for index, batch in enumerate(batches):
        update = draw_update(Batch(*batch), settings, step, index, model.lm.config.special)
        nats.append(add_gradient(model, update, settings, processes))
    processes.sum_gradients(model)
    rate = learning_rate(step, settings.steps, settings.learning_rate, settings.warmup, settings.hold)
    apply_gradients(model, optimizers, rate, settings.clip_norm)
    return nats
