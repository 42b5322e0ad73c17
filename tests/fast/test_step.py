"""One column in fewer operations against the decoder that is written to be read."""

from __future__ import annotations

import pytest
import torch

from helpers.random_models import random_conditions, random_lm
from musicgen_edu.fast.step import StepWeights, single_step, static_step
from musicgen_edu.model.lm import GenerationState


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [0, 2, 5])
@torch.no_grad()
def test_a_single_step_equals_the_decoder(bias, rows):
    """With and without biases, with no, some or all rows conditioned."""
    model = random_lm(dim=24, num_heads=3, layers=4, feed_forward=40, bias=bias)
    for parameter in model.decoder.parameters():  # norms and biases that are not 1 and 0
        parameter.copy_(torch.randn_like(parameter) / 4)
    decoder, weights, conditions = model.decoder, StepWeights.of(model), random_conditions(model, rows)
    caches = decoder.new_cache(5, 6), decoder.new_cache(5, 6)
    state = GenerationState(conditions, caches[0])
    for _ in range(6):
        x = torch.randn(5, 24)
        before = x.clone()
        quick = single_step(x, weights, state)
        torch.testing.assert_close(quick, decoder(x[:, None], conditions, caches[1])[:, 0], atol=1e-5, rtol=1e-5)
        assert torch.equal(x, before)
    torch.testing.assert_close(caches[0].memory, caches[1].memory)
    assert caches[0].length == caches[1].length == 6
    with pytest.raises(ValueError, match="holds 6 steps, but step 7"):
        single_step(x, weights, state)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("rows", [0, 2, 5])
def test_the_static_step_equals_the_single_step(bias, rows):
    model = random_lm(dim=24, num_heads=3, layers=4, feed_forward=40, bias=bias)
    for parameter in model.decoder.parameters():
        parameter.copy_(torch.randn_like(parameter) / 4)
    decoder, conditions, weights = model.decoder, random_conditions(model, rows), StepWeights.of(model, 5)
    growing, fixed = decoder.new_cache(5, 9), decoder.new_cache(5, 9)
    state, still = GenerationState(conditions, growing), GenerationState(conditions, fixed)
    fixed.memory.fill_(1e4)  # finite, as is asked for, and ruinous if it is seen
    for s in range(9):
        x = torch.randn(5, 24)
        expected = single_step(x, weights, state)
        given = static_step(x, weights, still, torch.tensor([s]))
        torch.testing.assert_close(given, expected, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(fixed.memory[..., : s + 1, :], growing.memory[..., : s + 1, :])
        assert (fixed.memory[..., s + 1 :, :] == 1e4).all()
    assert fixed.length == 0
