"""Averaged weights: a copy of a model that follows it slowly, and is better for it (lesson 07)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class WeightAverage(AveragedModel):
    """`AveragedModel` of torch that takes note of every n-th call of `update_parameters` only.

    Args:
        model: to follow.
        multi_avg_fn: how the average moves.
        every: n.
    """

    def __init__(self, model: nn.Module, multi_avg_fn, every: int):
        super().__init__(model, multi_avg_fn=multi_avg_fn)
        self.every = every
        if every > 1:  # it is part of the run's state; without it there is nothing to count
            self.register_buffer("calls", torch.tensor(0))

    @property
    def updates(self) -> int:
        """How many updates the average has seen; before the first one it holds the weights it was made with."""
        return int(self.n_averaged)

    def update_parameters(self, model: nn.Module) -> None:
        """Call after each update of the model."""
        if self.every > 1:
            self.calls += 1
            if int(self.calls) % self.every:
                return
        super().update_parameters(model)


def averaged_weights(model: nn.Module, decay: float, every: int = 1) -> WeightAverage:
    """A copy of the model whose weights follow it as a moving average: `update_parameters(model)` after each step.

    At its first update the average is the model. After that, average = d * average + (1 - d) * model, where d starts
    low and rises to `decay`: d = min(decay, (1 + u) / (10 + u)) with u updates done. Else a short run would mostly
    remember its beginning. Buffers are copied as they are (the codebooks of a codec are moving averages already).

    Args:
        model: copied, and not kept.
        decay: 0 to less than 1.
        every: only every n-th call of `update_parameters` counts; then the average spans n times as many steps.

    Returns:
        the average; `module` is the averaged model.

    Raises:
        ValueError: the decay or `every` makes no sense.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"decay must be at least 0 and less than 1, not {decay}")
    if every < 1:
        raise ValueError(f"every must be at least 1, not {every}")

    def average(averaged: list[Tensor], current: list[Tensor], updates: Tensor) -> None:
        now = min(decay, (1 + float(updates)) / (10 + float(updates)))
        get_ema_multi_avg_fn(now)(averaged, current, updates)

    return WeightAverage(model, average, every)
