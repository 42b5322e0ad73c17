"""The loop of every training: from the state on disk, update by update, averaged, judged, told, and written again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..errors import NotFinite
from .averaging import WeightAverage
from .runs import Report, check_state, load_run, save_run, set_learning_rate

Updates = Callable[[int], Iterator[dict[str, float]]]
Judge = Callable[[int, nn.Module], dict[str, float]]


def train(
    model: nn.Module,
    updates: Updates,
    steps: int,
    averaged: WeightAverage | None = None,
    checkpoint: Path | None = None,
    checkpoint_every: int = 250,
    report: Report | None = None,
    judge: Judge | None = None,
    main: bool = True,
    **changing: Any,
) -> nn.Module:
    """Do the updates of a run that are not done yet; a run that was stopped gets the same numbers.

    Args:
        model: trained in place.
        updates: called with the first step; each further value is one update done, and gives its losses by name.
        steps: of the whole run.
        averaged: a copy that follows the model; if it has seen an update it is the run's result.
        checkpoint, checkpoint_every: file of the run's state, read if it exists, and steps between writes of it.
        report: called after each step with its number and its figures.
        judge: called after each step with its number and the model that would be the result; gives further figures.
        main: whether this process writes and reports.
        changing: what else changes in the run, by name: optimizers, and anything that has a `state_dict`.

    Returns:
        the model, in evaluation mode.

    Raises:
        ValueError: the checkpoint is damaged, or that of another kind of run.
        NotFinite: a loss, the gradient or a weight became NaN or infinite; the checkpoint keeps the last good state.
    """
    changing |= {} if averaged is None else {"averaged": averaged}
    start = load_run(checkpoint, model, **changing) if checkpoint and checkpoint.exists() else 0
    model.train()
    source, written = updates(start), start
    for step in range(start, steps):
        try:
            figures = next(source)
            if averaged is not None:
                averaged.update_parameters(model)
            if judge:
                figures = figures | judge(step, averaged.module if averaged and averaged.updates else model)
            check_figures(figures)
            if report and main:
                report(step, figures)
            if (step + 1) % checkpoint_every == 0 or step + 1 == steps:
                if checkpoint and main:
                    save_run(checkpoint, model, step=step + 1, **changing)
                else:  # where several processes train, all of them must notice
                    check_state(model, **changing)
                written = step + 1
        except NotFinite as error:
            raise stopped(step, steps, error, checkpoint, written) from error
    if averaged is not None and averaged.updates:
        model.load_state_dict(averaged.module.state_dict())
    return model.eval()


def check_figures(figures: Mapping[str, float]) -> None:
    """Raise `NotFinite` with the first of a step's figures that is NaN or infinite."""
    for name, value in figures.items():
        if not math.isfinite(value):
            raise NotFinite(f"{name} is {value}")


def stopped(step: int, steps: int, error: NotFinite, checkpoint: Path | None, written: int) -> NotFinite:
    """The error of a run whose numbers broke: where, by what, what is left of it, and what may help."""
    kept = f"{checkpoint} keeps the state after {written} steps" if checkpoint and written else "nothing was written"
    return NotFinite(
        f"training stopped in step {step + 1} of {steps}: {error}; {kept}; a smaller learning rate or a longer warm-up "
        f"may help, in a run of its own"
    )


def apply_gradients(
    model: nn.Module, optimizers: dict[str, torch.optim.Optimizer], rate: float, clip_norm: float
) -> None:
    """Update the weights: the gradient, shortened to `clip_norm` if it is longer, at a learning rate.

    Raises:
        NotFinite: the gradient is NaN or infinite; nothing was updated.
    """
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    if not math.isfinite(norm):
        raise NotFinite(f"the length of the gradient is {float(norm)}")
    for optimizer in optimizers.values():
        set_learning_rate(optimizer, rate)
        optimizer.step()
