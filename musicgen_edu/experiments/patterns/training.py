"""One language model trained under one pattern, on terms that are the same for every pattern (lesson 07).

What is equal: the weights at the start, the batches and their order, the optimizer, and the cells that count. A window
of T frames is laid out whole, so every pattern predicts all K * T codes of it, each exactly once, in training and in
validation. Under every pattern the sum of the cells' nats is -log P of the same window, so the sums can be compared.

(The training of the shipped model cuts the delayed sequence after T steps instead; codebook k then has T - k targets.)
The models have no text: the order of the codes is the only thing that differs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from statistics import median

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...fast.quick import QuickLM
from ...model.generation import generate_codes
from ...model.lm import LMConfig, MusicgenLM
from ...model.patterns import interleave, pattern_table
from ...model.sampling import Sampling
from ...model.shapes import check_shape
from ...training.averaging import averaged_weights
from ...training.loop import apply_gradients, train
from ...training.optimizers import make_optimizers
from ...training.runs import Report
from .synthetic_codes import StickySource

FRAME_RATE = 50  # codec frames a second; taken for the synthetic codes too


@dataclass(frozen=True)
class Terms:
    """What all patterns have in common.

    After the warm-up the rate stays: a short run is exactly the beginning of a longer one. What is validated is the
    running average of the weights, which stands for a run whose rate was brought down there.
    """

    dim: int = 64
    layers: int = 4
    batch: int = 16
    checks: tuple[int, ...] = (75, 150, 300, 600)  # updates after which the model is validated; the last is the end
    learning_rate: float = 3e-3
    warmup: int = 50
    average: float = 0.98  # decay of the running average
    weight_decay: float = 0.05
    clip_norm: float = 1.0
    bfloat16: bool = False  # in training; validation is in float32
    muon: bool = False  # train the decoder's matrices by Muon (Jordan 2024), the rest by AdamW


@dataclass(frozen=True)
class CodeData:
    """Codes to train on and codes to validate on.

    `draw(clips, generator)` gives windows for training, int64 [B, K, T]; `validation` is int64 [N, K, T].
    """

    codebook_size: int
    draw: Callable[[int, torch.Generator], Tensor]
    validation: Tensor


def synthetic_data(source: StickySource, frames: int, clips: int = 128) -> CodeData:
    """Fresh codes of the synthetic source for every batch, and `clips` others to validate on."""
    validation = source.draw(clips, frames, generator_for(-1, 0))
    return CodeData(source.V, lambda batch, generator: source.draw(batch, frames, generator), validation)


def window_data(train: Tensor, validation: Tensor, frames: int, codebook_size: int) -> CodeData:
    """Windows of `frames` frames at random places of the training clips [N, K, T]; for validation one of each clip."""
    check_shape("training codes", train, "N K T")
    if frames > min(train.shape[2], validation.shape[2]):
        raise ValueError(f"a window of {frames} frames does not fit into clips of {train.shape[2]} frames")

    def windows(codes: Tensor, clips: Tensor, generator: torch.Generator) -> Tensor:
        first = torch.randint(codes.shape[2] - frames + 1, (len(clips),), generator=generator)
        return torch.stack([codes[i, :, f : f + frames] for i, f in zip(clips, first, strict=True)]).long()

    def draw(batch: int, generator: torch.Generator) -> Tensor:
        return windows(train, torch.randint(len(train), (batch,), generator=generator), generator)

    return CodeData(codebook_size, draw, windows(validation, torch.arange(len(validation)), generator_for(-1, 0)))


def generator_for(seed: int, update: int) -> torch.Generator:
    """The random numbers of one update of one run; the same for every pattern. Seed -1 is for validation."""
    state = np.random.SeedSequence((seed + 1, update)).generate_state(1)[0]
    return torch.Generator().manual_seed(int(state))


def new_model(data: CodeData, terms: Terms, seed: int) -> MusicgenLM:
    """A model with fresh weights: the same for every pattern."""
    _, K, T = data.validation.shape
    torch.manual_seed(seed)
    return MusicgenLM(
        LMConfig(
            dim=terms.dim, num_heads=max(1, terms.dim // 32), layers=terms.layers, feed_forward=4 * terms.dim,
            num_codebooks=K, codebook_size=data.codebook_size, text_dim=1, max_steps=K * T + 1,
        )
    )  # fmt: skip


def cell_nats(model: MusicgenLM, codes: Tensor, step: Tensor) -> Tensor:
    """What the model pays for each code: -log P(code | codes of earlier steps) in nats, [B, K, T].

    It equals the cross-entropy of `undo_logits(model(sequence), step)`, but each head is computed only at the steps
    that its codebook needs: under flattening that is a fourth of them.

    Args:
        codes: int64 [B, K, T].
        step: a pattern's table [K, T].
    """
    B, K, T = check_shape("codes", codes, "B K T", K=step.shape[0], T=step.shape[1])
    sequence = interleave(codes, step, model.config.special)[:, :, :-1]  # [B, K, S]
    x = model.decoder(model.embed(sequence), model.decoder.prepare(None))  # [B, S, D]
    x = x[:, step]  # [B, K, T, D]
    heads = model.heads.weight.view(K, model.config.codebook_size, -1)  # [K, V, D]
    logits = torch.einsum("bktd,kvd->bktv", x, heads).float()
    return F.cross_entropy(logits.flatten(0, 2), codes.flatten(), reduction="none").view(B, K, T)


@torch.inference_mode()
def window_nats(model: MusicgenLM, codes: Tensor, step: Tensor, batch: int = 16) -> Tensor:
    """Mean nats of each codebook's codes, float64 [K], over every cell of windows [N, K, T]; their sum is per frame."""
    nats = torch.cat([cell_nats(model, part, step) for part in codes.split(batch)])  # [N, K, T]
    return nats.double().mean((0, 2))


@dataclass
class Clock:
    """Seconds of training alone: processor time, which other programs do not disturb, and time on the wall."""

    cpu: float = 0.0
    wall: float = 0.0

    def __enter__(self) -> Clock:
        self._began = time.process_time(), time.perf_counter()
        return self

    def __exit__(self, *_) -> None:
        self.cpu += time.process_time() - self._began[0]
        self.wall += time.perf_counter() - self._began[1]


def train_pattern(
    data: CodeData, pattern: str, terms: Terms, seed: int = 0, report: Report | None = None
) -> tuple[MusicgenLM, dict]:
    """Train a model from fresh weights under a pattern.

    Args:
        data: what to train and to validate on.
        pattern: a key of `PATTERNS`.
        terms: what is equal for all patterns.
        seed: of the weights at the start and of the batches.
        report: called after each update with the loss in nats a code.

    Returns:
        the model with averaged weights, in evaluation mode; and what was measured: `parameters` (those that are
        trained), `cells` (codes that count in a batch) and `checks`, a list of dictionaries with `updates`, `codes`
        (codes seen), `nats` (validation, per codebook [K]; the sum is nats a frame), `cpu` and `wall` (seconds).
    """
    _, K, T = data.validation.shape
    step, clock, checks = pattern_table(pattern, K, T), Clock(), []
    model = new_model(data, terms, seed)
    cells = terms.batch * K * T

    def judge(update: int, judged: MusicgenLM) -> dict[str, float]:
        if update + 1 in terms.checks:
            nats = window_nats(judged.eval(), data.validation, step).tolist()
            checks.append({"updates": update + 1, "codes": (update + 1) * cells, "nats": nats, **_seconds(clock)})
        return {}

    updates = partial(pattern_updates, model, data, step, terms, seed, clock)
    averaged = averaged_weights(model, terms.average)
    train(model, updates, terms.checks[-1], averaged, report=report, judge=judge)
    trained = sum(p.numel() for p in model.parameters() if p.grad is not None)
    return model, {"parameters": trained, "cells": cells, "checks": checks}


def pattern_updates(
    model: MusicgenLM, data: CodeData, step: Tensor, terms: Terms, seed: int, clock: Clock, start: int
) -> Iterator[dict[str, float]]:
    """Update the weights on batch after batch; the clock counts that, and not the drawing of the codes."""
    optimizers = make_optimizers(model, terms.weight_decay, terms.muon)
    for update in count(start):
        codes = data.draw(terms.batch, generator_for(seed, update))
        with clock:
            model.zero_grad()
            with torch.autocast("cpu", torch.bfloat16, terms.bfloat16):
                loss = cell_nats(model, codes, step).mean()
            loss.backward()
            rate = terms.learning_rate * min(1.0, (update + 1) / terms.warmup)
            apply_gradients(model, optimizers, rate, terms.clip_norm)
        yield {"loss": loss.item()}


def _seconds(clock: Clock) -> dict[str, float]:
    return {"cpu": round(clock.cpu, 3), "wall": round(clock.wall, 3)}


def generate(model: MusicgenLM, pattern: str, frames: int, seeds: list[int], top_k: int = 0) -> Tensor:
    """Codes of a trained model without text, int64 [B, K, T], in the order of a pattern."""
    table = pattern_table(pattern, model.config.num_codebooks, frames)
    sampling = Sampling(guidance_scale=1.0, top_k=top_k)
    return generate_codes(QuickLM(model), frames, seeds, sampling=sampling, table=table)


def generation_seconds(model: MusicgenLM, pattern: str, frames: int) -> float:
    """Processor seconds to generate one second of music, one clip at a time: the median of three clips."""
    clocks = [Clock() for _ in range(3)]
    for i, clock in enumerate(clocks):
        with clock:
            generate(model, pattern, frames, [i])
    return median(clock.cpu for clock in clocks) * FRAME_RATE / frames
