"""A step that the GPU repeats from a recording (a CUDA graph), so that Python need not ask for its hundreds of kernels.

A recording repeats the same operations on the same memory: nothing in it may depend on a number that Python holds.
So the step's place is a tensor, attention looks at the whole cache behind a mask, and columns and logits stay where
they are. (Recordings are made and used on CUDA only; `StaticStep`, all that is in one, runs anywhere, and the tests
hold it to `MusicgenLM.step`.)
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from ..model.lm import GenerationState, MusicgenLM
from .step import StepWeights, static_step

WARM_UP = 3  # runs before the recording: libraries choose their kernels and take their memory in the first ones


class StaticStep:
    """One column to logits, from and to the same memory each time.

    Args:
        model: must not change from now on.
        weights: of it.
        state: from `model.start`; columns that are known before must be in it already.
    """

    def __init__(self, model: MusicgenLM, weights: StepWeights, state: GenerationState):
        self.model, self.weights, self.state, self.cache = model, weights, state, state.cache
        model.grow_positions(self.cache.steps)
        self.cache.memory[..., self.cache.length :, :].zero_()  # behind the mask, too, a NaN would spread
        rows, device = self.cache.memory.shape[2], self.cache.memory.device
        self.columns = torch.zeros(rows, model.config.num_codebooks, 1, dtype=torch.int64, device=device)
        self.position = torch.full((1,), self.cache.length, device=device)
        self.logits: Tensor | None = None

    def compute(self) -> None:
        """The logits of `columns` at `position`."""
        B, K, _ = self.columns.shape
        place = self.model.positions.index_select(0, self.position)  # [1, D]
        x = self.model.embedding(self.columns)[:, 0] + place  # [B, D]
        x = static_step(x, self.weights, self.state, self.position)
        self.logits = self.weights.heads(x).view(B, K, -1)  # [B, K, V]

    def run(self) -> None:
        """Fill `logits` from `columns`."""
        self.compute()

    def __call__(self, columns: Tensor) -> Tensor:
        """Columns int64 [B, K, 1] to logits [B, K, V]; nothing here waits for the device."""
        self.cache.room(1)
        self.columns.copy_(columns)
        self.position.fill_(self.cache.length)
        self.run()
        self.cache.length += 1
        return self.logits.clone()  # the next step writes over it


class RecordedStep(StaticStep):
    """A `StaticStep` that was recorded once and is repeated since; for CUDA."""

    def __init__(self, model: MusicgenLM, weights: StepWeights, state: GenerationState):
        super().__init__(model, weights, state)
        side = torch.cuda.Stream()  # recording wants its warm-up on another stream than the usual one
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UP):
                self.compute()  # writes the cache where the first true step will write again
        torch.cuda.current_stream().wait_stream(side)
        expected = self.logits.clone()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.compute()
        self.graph.replay()
        if not torch.allclose(self.logits, expected, rtol=1e-2, atol=1e-2 * float(expected.abs().max())):
            raise RuntimeError("the recording does not give what was recorded")

    def run(self) -> None:
        """Fill `logits` from `columns`, by repeating what was recorded."""
        self.graph.replay()


def record(model: MusicgenLM, weights: StepWeights, state: GenerationState) -> StaticStep | None:
    """A recorded step, or None and a warning where CUDA refuses; generation then goes on without."""
    try:
        return RecordedStep(model, weights, state)
    except RuntimeError as error:
        warnings.warn(f"the step could not be recorded as a CUDA graph, so it is slower: {error}", stacklevel=3)
        return None
