"""The quick `start` and `step` against the model's own: the same logits, the same codes, at the same cost each step."""

from __future__ import annotations

import collections

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import MusicgenDecoderConfig, MusicgenForCausalLM

from helpers.judges import SMALL_DECODER, our_lm, spread
from helpers.random_models import random_lm
from musicgen_edu.fast.quick import QuickLM
from musicgen_edu.model.generation import generate_codes, write_frames
from musicgen_edu.model.patterns import PATTERNS, pattern_table
from musicgen_edu.model.sampling import Sampling, UniformNumbers


@pytest.mark.parametrize("rows", [1, 2, 4])
@pytest.mark.parametrize("first", [1, 5])
@pytest.mark.parametrize("student", [False, True])
def test_steps_equal_those_of_the_model(first, rows, student):
    """One column after the other or some first, with a condition for half of the rows, one of them without words."""
    changes = {"bias": True, "head_bias": True, "final_norm": False, "text_layers": 2} if student else {}
    model = random_lm(**changes)
    lm = QuickLM(model)
    assert lm.config is model.config
    assert lm.device == model.device
    sequence, mask = torch.randint(0, 17, (rows, 4, 24)), torch.tensor([[1, 1, 0], [0, 0, 0]])[: max(1, rows // 2)]
    condition = model.project_text(torch.randn(len(mask), 3, 20), mask)
    state, plain = lm.start(rows, 24, condition), model.start(rows, 24, condition)
    starts = [0, *range(first, 24)]
    for begin, end in zip(starts, [*starts[1:], 24], strict=True):
        logits = lm.step(sequence[:, :, begin:end], state)
        expected = model.step(sequence[:, :, begin:end], plain)
        assert logits.shape == (rows, 4, 16)
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(state.plain.cache.memory, plain.cache.memory, atol=1e-5, rtol=1e-5)
    with pytest.raises(ValueError, match="holds 24 steps, but step 25"):
        lm.step(sequence[:, :, :1], state)


@pytest.mark.parametrize("name", PATTERNS)
def test_generation_writes_the_same_codes(name):
    model = random_lm()
    condition = model.project_text(torch.randn(2, 5, 20), torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]))
    plain, quick = (
        generate_codes(lm, 12, [1, 2], condition, Sampling(top_k=5), pattern_table(name, 4, 12))
        for lm in (model, QuickLM(model))
    )
    assert torch.equal(quick, plain)


class Count(TorchDispatchMode):
    """Counts the operations that PyTorch is asked for."""

    def __init__(self):
        super().__init__()
        self.operations = collections.Counter()

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.operations[str(function)] += 1
        return function(*arguments, **(options or {}))


@torch.no_grad()
def test_late_steps_ask_for_no_more_operations_than_early_ones():
    model = random_lm(max_steps=256)
    condition = model.project_text(torch.randn(2, 5, 20), torch.ones(2, 5))
    table, numbers = pattern_table("delay", 4, 203), UniformNumbers([1, 2], 4)
    frames = write_frames(QuickLM(model), table, 200, numbers, condition, Sampling(top_k=5))
    counts = []
    for _ in range(200):
        with Count() as count:
            next(frames)
        counts.append(count.operations)
    assert sum(counts[5].values()) > 50
    assert all(count == counts[5] for count in counts[5:-1])  # in the last one a slice is the whole, another operation


@pytest.mark.parametrize("dtype,eps", [(torch.bfloat16, 2**-8), (torch.float16, 2**-11)])
@torch.no_grad()
def test_reduced_formats_equal_transformers_as_far_as_the_format_goes(dtype, eps):
    """Both sides round some 20 times a layer, in another order: each time by at most eps / 2 of the number.

    Independent roundings add up like the root of their number: sqrt(2 layers * 20 * 2 sides) * eps / 2, about 5 eps.
    And the logits must not be further from those of float32, same weights, than theirs are.
    """
    torch.manual_seed(0)
    theirs = MusicgenForCausalLM(MusicgenDecoderConfig(**SMALL_DECODER)).eval()
    spread(theirs)
    theirs.to(dtype).float()  # weights that the format has
    exact, reduced = our_lm(theirs), our_lm(theirs).to(dtype)
    theirs.to(dtype)
    B, S = 6, 24
    sequence, states, mask = torch.randint(0, 17, (B, 4, S)), torch.randn(B, 7, 32), torch.ones(B, 7)
    mask[1, 3:] = 0
    states = states.to(dtype) * mask[..., None].to(dtype)
    expected = theirs(sequence.view(B * 4, S), encoder_hidden_states=states, encoder_attention_mask=mask.long()).logits
    expected = expected.view(B, 4, S, 16).float()
    reference = exact(sequence, states.float(), mask)
    condition, ways = reduced.project_text(states, mask.to(dtype)), [reduced(sequence, states, mask.to(dtype))]
    for lm in (reduced, QuickLM(reduced)):
        state = lm.start(B, S, condition)
        steps = [lm.step(sequence[:, :, s : s + 1], state) for s in range(S)]
        assert steps[0].dtype == dtype
        ways.append(torch.stack(steps, 2))
    for logits in ways:
        difference = (logits.float() - expected).norm() / expected.norm()
        assert difference < 5 * eps
        ours, judge = ((given.float() - reference).norm() / reference.norm() for given in (logits, expected))
        assert 0 < ours < 1.25 * judge
