"""Attention weights against the modules that they come from."""

from __future__ import annotations

import pytest
import torch

from musicgen_edu.analysis.attention_maps import attention_maps, cross_weights, self_weights
from musicgen_edu.model.decoder import Condition, Decoder, join_heads
from musicgen_edu.model.lm import LMConfig, MusicgenLM


@pytest.fixture
def model() -> MusicgenLM:
    config = LMConfig(dim=24, num_heads=3, layers=2, feed_forward=40, codebook_size=16, text_dim=8, max_steps=32)
    model = MusicgenLM(config).eval().requires_grad_(False)
    for parameter in model.parameters():  # weights that make a difference between columns
        parameter.copy_(torch.randn_like(parameter) / 3)
    return model


@pytest.mark.parametrize("bias", [False, True])
@torch.no_grad()
def test_weights_times_values_are_what_the_modules_return(bias):
    decoder = Decoder(24, 3, 1, 40, bias=bias)
    layer, x = decoder.layers[0], torch.randn(2, 7, 24)
    weights, values = self_weights(layer.self_attention, x)
    torch.testing.assert_close(layer.self_attention.out(join_heads(weights @ values)), layer.self_attention(x))
    mask = torch.tensor([[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]])
    (text,) = decoder.prepare(Condition(torch.randn(2, 5, 24), mask))
    weights, values = cross_weights(layer.cross_attention, x, text)
    torch.testing.assert_close(layer.cross_attention.out(join_heads(weights @ values)), layer.cross_attention(x, text))
    assert (weights[1, :, :, 2:] == 0).all()


def test_rows_sum_to_one_and_nothing_looks_ahead(model):
    sequence, states = torch.randint(0, 17, (2, 4, 9)), torch.randn(2, 5, 8)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    maps = attention_maps(model, sequence, states, mask)
    assert maps.own.shape == (2, 2, 3, 9, 9)
    assert maps.text.shape == (2, 2, 3, 9, 5)
    torch.testing.assert_close(maps.own.sum(-1), torch.ones(2, 2, 3, 9))
    torch.testing.assert_close(maps.text.sum(-1), torch.ones(2, 2, 3, 9))
    assert (maps.own.triu(1) == 0).all()
    assert (maps.text[:, 1, :, :, 3:] == 0).all()
    assert (maps.own[0] - maps.own[1]).abs().max() > 0.01, "layers differ"


def test_a_change_ahead_changes_no_row_before_it(model):
    sequence = torch.randint(0, 16, (1, 4, 9))
    changed = sequence.clone()
    changed[:, :, 6] = 16
    before, after = attention_maps(model, sequence).own, attention_maps(model, changed).own
    torch.testing.assert_close(before[..., :6, :], after[..., :6, :])
    assert (before[..., 6:, :] - after[..., 6:, :]).abs().max() > 1e-3


def test_without_words_there_is_nothing_to_look_at(model):
    sequence = torch.randint(0, 17, (2, 4, 6))
    assert attention_maps(model, sequence).text is None
    maps = attention_maps(model, sequence, torch.randn(2, 3, 8), torch.tensor([[1, 1, 0], [0, 0, 0]]))
    assert (maps.text[:, 1] == 0).all()
    torch.testing.assert_close(maps.text[:, 0].sum(-1), torch.ones(2, 3, 6))


def test_the_model_is_left_as_it_was(model):
    sequence = torch.randint(0, 17, (1, 4, 6))
    before = model(sequence)
    attention_maps(model, sequence)
    assert torch.equal(model(sequence), before)
    assert not any(module._forward_hooks for module in model.modules())
    with pytest.raises(ValueError, match="0 to 16"):
        attention_maps(model, sequence + 30)
    assert not any(module._forward_hooks for module in model.modules())
