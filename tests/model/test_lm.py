"""The language model against `transformers`, its cache, its condition and its loss."""

from __future__ import annotations

import pytest
import torch
from transformers import MusicgenDecoderConfig, MusicgenForCausalLM

from helpers.judges import SMALL_DECODER, our_lm, spread
from musicgen_edu.model.decoder import Condition
from musicgen_edu.model.lm import CONFIGS, LMConfig, MusicgenLM, codebook_loss, count_parameters, on_meta


@pytest.fixture(scope="module")
def pair():
    torch.manual_seed(0)
    theirs = MusicgenForCausalLM(MusicgenDecoderConfig(**SMALL_DECODER)).eval()
    spread(theirs)
    return theirs, our_lm(theirs)


def random_condition(B, L, D):
    """Text states of unequal lengths, the first row full."""
    lengths = torch.cat([torch.tensor([L]), torch.randint(1, L, (B - 1,))])
    mask = torch.arange(L) < lengths[:, None]
    return torch.randn(B, L, D) * mask[..., None], mask


@pytest.mark.parametrize("trial", range(4))
def test_logits_equal_transformers_with_unequal_prompts(pair, trial):
    theirs, ours = pair
    torch.manual_seed(trial)
    B, L, S = 3, 7, int(torch.randint(1, 40, ()))
    sequence = torch.randint(0, 17, (B, 4, S))
    states, mask = random_condition(B, L, 32)
    with torch.no_grad():
        expected = theirs(
            sequence.view(B * 4, S), encoder_hidden_states=states, encoder_attention_mask=mask.long()
        ).logits.view(B, 4, S, 16)
        logits = ours(sequence, states, mask)
    assert expected.std() > 0.3  # logits that are all alike would make the comparison empty
    torch.testing.assert_close(logits, expected, atol=1e-5, rtol=0)


def test_the_text_matters_and_padding_does_not(pair):
    ours = pair[1]
    sequence = torch.randint(0, 17, (2, 4, 9))
    states, mask = random_condition(2, 7, 32)
    with torch.no_grad():
        logits = ours(sequence, states, mask)
        garbage = torch.where(mask[..., None], states, 100 * torch.randn_like(states))
        torch.testing.assert_close(ours(sequence, garbage, mask), logits, atol=1e-5, rtol=0)
        assert (ours(sequence, states.roll(1, 0), mask.roll(1, 0)) - logits).abs().max() > 0.01


def test_without_a_mask_every_state_counts(pair):
    sequence, states = torch.randint(0, 17, (2, 4, 9)), torch.randn(2, 5, 32)
    with torch.no_grad():
        torch.testing.assert_close(pair[1](sequence, states), pair[1](sequence, states, torch.ones(2, 5)))


def test_a_row_alone_equals_the_row_in_a_batch(pair):
    ours = pair[1]
    sequence = torch.randint(0, 17, (3, 4, 9))
    states, mask = random_condition(3, 7, 32)
    with torch.no_grad():
        together = ours(sequence, states, mask)
        for row in range(3):
            n = int(mask[row].sum())
            alone = ours(sequence[row : row + 1], states[row : row + 1, :n], mask[row : row + 1, :n])
            torch.testing.assert_close(alone[0], together[row], atol=1e-5, rtol=0)


def test_unconditional_equals_transformers_with_zeros_and_skips_cross_attention(pair):
    theirs, ours = pair
    sequence = torch.randint(0, 17, (2, 4, 9))
    with torch.no_grad():
        zeros = theirs(
            sequence.view(8, 9),
            encoder_hidden_states=torch.zeros(2, 5, 32),
            encoder_attention_mask=torch.zeros(2, 5, dtype=torch.long),
        ).logits.view(2, 4, 9, 16)
        torch.testing.assert_close(ours(sequence), zeros, atol=1e-5, rtol=0)
        masked = ours(sequence, torch.randn(2, 5, 32), torch.zeros(2, 5))
        torch.testing.assert_close(masked, zeros, atol=1e-5, rtol=0)


def test_a_row_without_words_in_a_batch_with_words_has_no_nan(pair):
    ours = pair[1]
    sequence = torch.randint(0, 17, (2, 4, 9))
    states, mask = torch.randn(2, 5, 32), torch.tensor([[1, 1, 1, 1, 0], [0, 0, 0, 0, 0]])
    with torch.no_grad():
        logits = ours(sequence, states, mask)
        torch.testing.assert_close(logits[1:], ours(sequence[1:]), atol=1e-5, rtol=0)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("first", [1, 5])
def test_steps_with_the_cache_equal_the_full_forward(pair, first):
    ours = pair[1]
    sequence = torch.randint(0, 17, (2, 4, 12))
    states, mask = random_condition(2, 6, 32)
    with torch.no_grad():
        full = ours(sequence, states, mask)
        state = ours.start(2, 12, ours.project_text(states, mask))
        starts = [0, *range(first, 12)]
        for begin, end in zip(starts, [*starts[1:], 12], strict=True):
            logits = ours.step(sequence[:, :, begin:end], state)
            torch.testing.assert_close(logits, full[:, :, end - 1], atol=1e-5, rtol=0)


def test_several_columns_after_the_cache_are_still_causal(pair):
    ours = pair[1]
    sequence = torch.randint(0, 17, (1, 4, 10))
    with torch.no_grad():
        state = ours.start(1, 10)
        ours.step(sequence[:, :, :4], state)
        logits = ours.step(sequence[:, :, 4:9], state)
        torch.testing.assert_close(logits, ours(sequence)[:, :, 8], atol=1e-5, rtol=0)


def test_only_the_first_rows_have_a_condition(pair):
    """Guidance: one batch, whose second half is unconditional."""
    ours = pair[1]
    column = torch.randint(0, 17, (2, 4, 1))
    states, mask = random_condition(2, 6, 32)
    with torch.no_grad():
        state = ours.start(4, 1, ours.project_text(states, mask))
        logits = ours.step(torch.cat([column, column]), state)
        torch.testing.assert_close(logits[:2], ours(column, states, mask)[:, :, 0], atol=1e-5, rtol=0)
        torch.testing.assert_close(logits[2:], ours(column)[:, :, 0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name,millions", [("small", 419.58), ("medium", 1837.56), ("large", 3255.38)])
def test_parameter_counts_of_the_published_sizes(name, millions):
    model = on_meta(CONFIGS[name])
    projection = count_parameters(model.text_projection)
    assert round((count_parameters(model) - projection) / 1e6, 2) == millions
    assert projection == {"small": 787_456, "medium": 1_181_184, "large": 1_574_912}[name]


@pytest.mark.parametrize("name,count", [("MusicGen-1", 119_171_072), ("MusicGen-2", 844_689_408)])
def test_parameter_counts_of_the_student_project(name, count):
    assert count_parameters(on_meta(CONFIGS[name])) == count


def test_the_student_configuration_runs_with_cache_and_without_words():
    config = LMConfig(
        dim=16, num_heads=2, layers=2, feed_forward=24, codebook_size=8, text_dim=6, max_steps=16, special_tokens=2,
        bias=True, head_bias=True, final_norm=False, text_layers=2,
    )  # fmt: skip
    model = MusicgenLM(config).eval()
    sequence, states = torch.randint(0, 10, (2, 4, 6)), torch.randn(2, 3, 6)
    mask = torch.tensor([[1, 1, 0], [0, 0, 0]])
    with torch.no_grad():
        full = model(sequence, states, mask)
        torch.testing.assert_close(full[1:], model(sequence[1:]), atol=1e-5, rtol=0)
        state = model.start(2, 6, model.project_text(states, mask))
        for s in range(6):
            torch.testing.assert_close(model.step(sequence[:, :, s : s + 1], state), full[:, :, s], atol=1e-5, rtol=0)


def test_positions_grow_when_they_are_needed(pair):
    theirs, ours = pair
    sequence = torch.randint(0, 17, (1, 4, 100))  # the table has 64 rows
    with torch.no_grad():
        expected = theirs(sequence.view(4, 100)).logits.view(1, 4, 100, 16)
        torch.testing.assert_close(ours(sequence), expected, atol=1e-5, rtol=0)


def test_bad_input_is_named(pair):
    ours = pair[1]
    with pytest.raises(ValueError, match="0 to 16"):
        ours(torch.full((1, 4, 2), 17))
    with pytest.raises(ValueError, match="K = 4, not 3"):
        ours(torch.zeros(1, 3, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="D = 32, not 5"):
        ours(torch.zeros(1, 4, 2, dtype=torch.int64), torch.zeros(1, 3, 5))
    with pytest.raises(ValueError, match="multiple of the number of heads"):
        MusicgenLM(LMConfig(dim=10, num_heads=3))


def test_loss_is_the_mean_over_codebooks_of_the_mean_over_valid_positions():
    B, K, S, V = 2, 2, 3, 5
    logits, codes = torch.randn(B, K, S, V), torch.randint(0, V, (B, K, S))
    valid = torch.tensor([[True, True, True], [False, True, True]])
    nats = -logits.log_softmax(-1).gather(3, codes[..., None])[..., 0]
    expected = torch.stack([nats[:, 0].mean(), nats[:, 1, 1:].mean()])
    codes[:, 1, 0] = 99  # an invalid position is not looked at
    loss, per_codebook = codebook_loss(logits, codes, valid)
    torch.testing.assert_close(per_codebook, expected)
    torch.testing.assert_close(loss, expected.mean())
    with pytest.raises(ValueError, match=r"\[6, 0\]"):
        codebook_loss(logits, codes, torch.tensor([[True] * 3, [False] * 3]))


def test_condition_holds_zeros_where_there_is_padding(pair):
    ours = pair[1]
    condition = ours.project_text(torch.randn(1, 3, 32), torch.tensor([[1, 1, 0]]))
    assert isinstance(condition, Condition)
    assert (condition.states[0, 2] == 0).all()
    assert (condition.states[0, :2] != 0).any()
