"""Training a language model on codes and captions: a pattern's targets, the masked loss, dropout for guidance."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..model.lm import codebook_loss
from .averaging import averaged_weights
from .layout import Batch, Update, make_update, pattern_sequence, with_noise
from .optimizers import make_optimizers
from .processes import ALONE, Processes
from .runs import Report, learning_rate, load_run, save_run, set_learning_rate
from .text_to_codes import TextToCodes
from .validation import Validation, validation_nats
from .words import drop_words, first_words

Batches = Callable[[int], Iterator[list[Batch]]]


@dataclass(frozen=True)
class LMTraining:
    """What a language model training run needs to know.

    `phases` are (frames, batch, steps): short clips first, whole ones at the end. `beginnings` are (frames, batch) of
    very short clips that each step trains on besides. `condition_dropout` is the share of rows that are trained
    without their caption, which is what guidance needs. `input_noise` is the largest share of a row's input codes that
    are replaced by those of other rows, so that the model learns to go on after a code that was sampled badly. With
    `muon` the matrices of the layers are trained by Muon (Jordan 2024), with the rates that suit AdamW.

    A step is an update of the weights. With `accumulation` its batch is computed in so many parts, one after the
    other, with the gradient of the whole: it takes less memory, and nothing else changes. `ema_decay` is that of the
    averaged weights, which then are the run's result; they take note of every `ema_every`-th update. Of a caption the
    first `max_words` words are kept, and each of these is dropped with probability `word_dropout`.
    """

    phases: tuple[tuple[int, int, int], ...] = ((256, 16, 3400), (512, 8, 2600))
    beginnings: tuple[int, int] | None = None
    learning_rate: float = 2e-3
    warmup: int = 200
    hold: float = 0.4
    weight_decay: float = 0.05
    condition_dropout: float = 0.15
    input_noise: float = 0.0
    muon: bool = False
    clip_norm: float = 1.0
    seed: int = 0
    bfloat16: bool = True
    accumulation: int = 1
    ema_decay: float | None = None
    ema_every: int = 1
    word_dropout: float = 0.0
    max_words: int | None = None
    pattern: str = "delay"

    @property
    def steps(self) -> int:
        return sum(steps for _, _, steps in self.phases)

    def sizes(self, step: int) -> list[tuple[int, int]]:
        """Frames and batch size of each batch that a step trains on."""
        for frames, batch, steps in self.phases:
            if step < steps:
                return [(frames, batch), *([self.beginnings] if self.beginnings else [])]
            step -= steps
        raise ValueError(f"the run has {self.steps} steps")


def pattern_loss(
    model: TextToCodes,
    codes: Tensor,
    captions: list[str],
    dropped: Tensor,
    pattern: str = "delay",
    noise: float = 0.0,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Cross-entropy of codes under a pattern: per codebook over its targets, then the mean of those (nats).

    Args:
        model: text and sequence to logits.
        codes: int64 [B, K, T].
        captions: B texts.
        dropped: bool [B], rows that see no caption.
        pattern: a key of `patterns.PATTERNS`; `layout.pattern_columns` says which columns count. Under the delay
            pattern codebook k has T - k targets.
        noise: share of wrong codes in the input, see `layout.with_noise`.
        lengths: int64 [B], frames of each row that are music; what follows has no target and no influence.

    Returns:
        loss: a scalar; per codebook: [K].
    """
    sequence, cells = pattern_sequence(codes, pattern, model.lm.config.special, lengths)  # [B, K, S + 1]
    given = with_noise(sequence[:, :, :-1], cells[..., :-1], noise) if noise else sequence[:, :, :-1]
    logits = model(captions, given, dropped)  # [B, K, S, V]
    return codebook_loss(logits, sequence[:, :, 1:], cells[..., 1:])


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
            logits = model(part.captions, part.given, part.dropped)  # [B, K, S, V]
            loss, per_codebook = codebook_loss(logits, part.targets, part.valid, part.counts)
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
    check_settings(settings)
    optimizer, others = make_optimizers(model, settings)
    optimizers = [optimizer, *others.values()]
    averaged = None
    if settings.ema_decay is not None:
        averaged = others["averaged"] = averaged_weights(model, settings.ema_decay, settings.ema_every)
    torch.manual_seed(settings.seed)
    start = load_run(checkpoint, model, optimizer, **others) if checkpoint and checkpoint.exists() else 0
    model.train()
    source = batches(start)
    for step in range(start, settings.steps):
        nats = update_weights(model, optimizers, next(source), settings, step, processes)
        figures = named(nats[0]) | {f"loss {i}": other.mean().item() for i, other in enumerate(nats[1:], 1)}
        if averaged:
            averaged.update_parameters(model)
        if validation and validation.due(step, settings.steps):
            judged = averaged.module if averaged and averaged.updates else model
            figures |= named(validation_nats(judged, validation.batches, settings.pattern, processes), "validation ")
        if report and processes.main:
            report(step, figures)
        if checkpoint and processes.main and ((step + 1) % checkpoint_every == 0 or step + 1 == settings.steps):
            save_run(checkpoint, model, optimizer, step + 1, **others)
    if averaged and averaged.updates:
        model.load_state_dict(averaged.module.state_dict())
    return model.eval()


def update_weights(
    model: TextToCodes,
    optimizers: list[torch.optim.Optimizer],
    batches: list[Batch],
    settings: LMTraining,
    step: int,
    processes: Processes,
) -> list[Tensor]:
    """One step: the gradients of all its batches, clipped, and an update; returns each batch's nats [K]."""
    rate = learning_rate(step, settings.steps, settings.learning_rate, settings.warmup, settings.hold)
    for each in optimizers:
        set_learning_rate(each, rate)
        each.zero_grad()
    nats = []
    for index, batch in enumerate(batches):
        update = draw_update(Batch(*batch), settings, step, index, model.lm.config.special)
        nats.append(add_gradient(model, update, settings, processes))
    processes.sum_gradients(model)
    torch.nn.utils.clip_grad_norm_(model.parameters(), settings.clip_norm)
    for each in optimizers:
        each.step()
    return nats


def check_settings(settings: LMTraining) -> None:
    """Raise a `ValueError` that names a setting which makes no sense."""
    if settings.accumulation < 1:
        raise ValueError(f"accumulation must be at least 1, not {settings.accumulation}")
    if settings.ema_decay is not None and not 1 <= settings.ema_every <= settings.steps:
        raise ValueError(f"ema_every must be 1 to the number of steps, {settings.steps}, not {settings.ema_every}")
    for name in ("condition_dropout", "word_dropout"):
        if not 0 <= getattr(settings, name) <= 1:
            raise ValueError(f"{name} must be 0 to 1, not {getattr(settings, name)}")
