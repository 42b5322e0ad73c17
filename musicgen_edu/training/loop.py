"""The loop of every training: from the state on disk, update by update, averaged, judged, told, and written again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .averaging import WeightAverage
from .runs import Report, load_run, save_run, set_learning_rate

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
        ValueError: the checkpoint is that of another kind of run.
    """
    changing |= {} if averaged is None else {"averaged": averaged}
    start = load_run(checkpoint, model, **changing) if checkpoint and checkpoint.exists() else 0
    model.train()
    source = updates(start)
    for step in range(start, steps):
        figures = next(source)
        if averaged is not None:
            averaged.update_parameters(model)
        if judge:
            figures = figures | judge(step, averaged.module if averaged and averaged.updates else model)
        if report and main:
            report(step, figures)
        if checkpoint and main and ((step + 1) % checkpoint_every == 0 or step + 1 == steps):
            save_run(checkpoint, model, step=step + 1, **changing)
    if averaged is not None and averaged.updates:
        model.load_state_dict(averaged.module.state_dict())
    return model.eval()


def apply_gradients(
    model: nn.Module, optimizers: dict[str, torch.optim.Optimizer], rate: float, clip_norm: float
) -> None:
    """Update the weights: the gradient, shortened to `clip_norm` if it is longer, at a learning rate."""
    torch.nn.utils.clip_grad_norm_(model.parameters(), clip_norm)
    for optimizer in optimizers.values():
        set_learning_rate(optimizer, rate)
        optimizer.step()
