"""The model's `start` and `step`, quicker: what generation is given in place of a model that need not be read.

    generate_codes(QuickLM(model.lm), ...)

The logits are those of the model, up to rounding. Several columns at once (a prompt) go through the model itself; one
column goes through `step.single_step`, and on CUDA through a recording of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..model.decoder import Condition
from ..model.lm import GenerationState, LMConfig, MusicgenLM
from .cuda_graph import StaticStep, record
from .step import StepWeights, single_step


@dataclass
class QuickState:
    """The model's own state, and its weights at hand.

    The first step of a single column is recorded (`recorded`), if the device allows it (`recordable`).
    """

    plain: GenerationState
    weights: StepWeights
    recordable: bool
    recorded: StaticStep | None = None


class QuickLM:
    """A language model to generate with.

    Args:
        model: in evaluation mode; may have been through `to_int8`. It must not change between `start` and the last
            `step`.
    """

    def __init__(self, model: MusicgenLM):
        self.model = model

    @property
    def config(self) -> LMConfig:
        """The model's sizes."""
        return self.model.config

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return self.model.device

    def start(self, rows: int, steps: int, condition: Condition | None = None) -> QuickState:
        """As `MusicgenLM.start`."""
        plain = self.model.start(rows, steps, condition)
        return QuickState(plain, StepWeights.of(self.model, rows), recordable=self.device.type == "cuda")

    @torch.no_grad()
    def step(self, columns: Tensor, state: QuickState) -> Tensor:
        """As `MusicgenLM.step`: int64 [B, K, n] to logits [B, K, V]."""
        B, K, n = columns.shape
        if n > 1:
            return self.model.step(columns, state.plain)
        if state.recordable and state.recorded is None:
            state.recorded = record(self.model, state.weights, state.plain)
            state.recordable = state.recorded is not None
        if state.recorded is not None:
            return state.recorded(columns)
        x = self.model.embed(columns, state.plain.cache.length)[:, 0]  # [B, D]
        x = single_step(x, state.weights, state.plain)  # [B, D]
        return state.weights.heads(x).view(B, K, -1)
