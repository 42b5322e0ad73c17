"""A step of fixed sizes and places, as a recording needs it, and the recording where there is a GPU."""

from __future__ import annotations

import copy

import pytest
import torch

from helpers.random_models import random_lm
from musicgen_edu.fast import cuda_graph, quick
from musicgen_edu.fast.cuda_graph import StaticStep, record
from musicgen_edu.fast.quick import QuickLM
from musicgen_edu.fast.step import StepWeights
from musicgen_edu.model.generation import generate_codes
from musicgen_edu.model.lm import MusicgenLM
from musicgen_edu.model.sampling import Sampling


class Replayed(StaticStep):
    """As a recording has it: the logits of each step lie where those of the step before lay."""

    def run(self):
        place = self.logits
        self.compute()
        if place is not None:
            self.logits = place.copy_(self.logits)


@pytest.mark.parametrize("prompt", [1, 5])
def test_static_steps_of_a_model_equal_its_steps_also_after_a_prompt_and_beyond_the_table_of_positions(prompt):
    model, steps = random_lm(), 30  # the table has 16 rows
    twin = copy.deepcopy(model)  # its table grows by itself
    condition = model.project_text(torch.randn(2, 5, 20), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]))
    sequence = torch.randint(0, 17, (4, 4, steps))
    plain, state = twin.start(4, steps, condition), model.start(4, steps, condition)
    state.cache.memory.fill_(torch.nan)  # memory that nobody has written may hold anything
    twin.step(sequence[:, :, :prompt], plain), model.step(sequence[:, :, :prompt], state)
    static, given = Replayed(model, StepWeights.of(model, 4), state), []
    for s in range(prompt, steps):
        expected = twin.step(sequence[:, :, s : s + 1], plain)
        given.append((static(sequence[:, :, s : s + 1]), expected))
    for logits, expected in given:  # only now: a later step must not write over what an earlier one gave
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    assert state.cache.length == steps
    with pytest.raises(ValueError, match="holds 30 steps, but step 31"):
        static(sequence[:, :, :1])


def test_a_static_step_uses_the_same_memory_each_time():
    """What a recording needs: between two steps nothing that it reads changes its place."""
    model = random_lm()
    static = StaticStep(model, StepWeights.of(model), model.start(2, 6))

    def places():
        return [t.data_ptr() for t in (static.columns, static.position, static.cache.memory, model.positions)]

    before = places()
    for _ in range(6):
        static(torch.randint(0, 17, (2, 4, 1)))
        assert places() == before


def recordable(monkeypatch, model: MusicgenLM) -> QuickLM:
    """A model whose first step is recorded, as on CUDA."""
    lm = QuickLM(model)
    start = lm.start

    def as_on_cuda(*arguments):
        state = start(*arguments)
        state.recordable = True
        return state

    monkeypatch.setattr(lm, "start", as_on_cuda)
    return lm


def test_generation_goes_through_the_recorded_step(monkeypatch):
    """As on CUDA, with a recording that is played by computing anew."""
    model, calls = random_lm(), []
    condition = model.project_text(torch.randn(2, 5, 20), torch.ones(2, 5))
    expected = generate_codes(model, 12, [1, 2], condition, Sampling(top_k=5))

    class Counted(StaticStep):
        def run(self):
            calls.append(1)
            super().run()

    monkeypatch.setattr(quick, "record", Counted)
    lm = recordable(monkeypatch, model)
    assert torch.equal(generate_codes(lm, 12, [1, 2], condition, Sampling(top_k=5)), expected)
    assert len(calls) == 15


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine that cannot record")
def test_generation_goes_on_where_nothing_can_be_recorded(monkeypatch):
    model = random_lm()
    lm, usual = recordable(monkeypatch, model), QuickLM(model)
    state, plain = lm.start(2, 3), usual.start(2, 3)
    columns = torch.randint(0, 17, (2, 4, 3))
    with pytest.warns(UserWarning, match="could not be recorded as a CUDA graph"):
        first = lm.step(columns[..., :1], state)
    assert not state.recordable
    assert torch.equal(first, usual.step(columns[..., :1], plain))
    for s in (1, 2):
        assert torch.equal(lm.step(columns[..., s : s + 1], state), usual.step(columns[..., s : s + 1], plain))
    with pytest.warns(UserWarning, match="could not be recorded as a CUDA graph"):
        assert record(model, StepWeights.of(model), model.start(1, 1)) is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_recorded_step_equals_the_plain_one_on_cuda(dtype):
    model = random_lm().to("cuda", dtype)
    lm = QuickLM(model)
    condition = model.project_text(torch.randn(1, 5, 20, device="cuda", dtype=dtype), torch.ones(1, 5, device="cuda"))
    columns = torch.randint(0, 17, (2, 4, 40), device="cuda")
    plain, state = lm.start(2, 40, condition), lm.start(2, 40, condition)
    plain.recordable = False
    lm.step(columns[..., :3], plain), lm.step(columns[..., :3], state)
    for s in range(3, 40):
        expected = lm.step(columns[..., s : s + 1], plain)
        tolerance = 1e-4 if dtype == torch.float32 else 0.05
        torch.testing.assert_close(lm.step(columns[..., s : s + 1], state), expected, atol=tolerance, rtol=tolerance)
    assert isinstance(state.recorded, cuda_graph.RecordedStep)
