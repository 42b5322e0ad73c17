"""Sampling and the generation loop: what a lecturer relies on."""

from __future__ import annotations

import pytest
import torch

from helpers.judges import our_lm, their_musicgen
from musicgen_edu.fast.quick import QuickLM
from musicgen_edu.model.decoder import KeyValueCache
from musicgen_edu.model.generation import delay_table, generate_codes
from musicgen_edu.model.patterns import PATTERNS, pattern_table
from musicgen_edu.model.sampling import Sampling, distribution, draw, guide, uniform_numbers


@pytest.fixture(scope="module")
def lm():
    torch.manual_seed(0)
    return our_lm(their_musicgen())


def condition(lm, rows, L=6):
    mask = torch.arange(L) < torch.randint(2, L + 1, (rows,))[:, None]
    return lm.project_text(torch.randn(rows, L, lm.config.text_dim), mask)


def rows_of(condition, *rows):
    return type(condition)(condition.states[list(rows)], condition.mask[list(rows)])


SAMPLING = Sampling(guidance_scale=3.0, top_k=8)


def test_the_same_seed_gives_the_same_tokens_alone_and_in_a_batch(lm):
    text = condition(lm, 3)
    together = generate_codes(lm, 20, [7, 8, 9], text, SAMPLING)
    for row, seed in enumerate([7, 8, 9]):
        alone = generate_codes(lm, 20, [seed], rows_of(text, row), SAMPLING)
        assert torch.equal(alone[0], together[row])
    assert not torch.equal(together[0], together[1])


def test_a_row_does_not_depend_on_its_place(lm):
    text = condition(lm, 2)
    forwards = generate_codes(lm, 12, [5, 6], text, SAMPLING)
    backwards = generate_codes(lm, 12, [6, 5], rows_of(text, 1, 0), SAMPLING)
    assert torch.equal(forwards, backwards.flip(0))


@pytest.mark.parametrize("short", [1, 2, 3, 4, 13])
def test_a_shorter_clip_is_the_beginning_of_a_longer_one(lm, short):
    text = condition(lm, 2)
    long = generate_codes(lm, 30, [1, 2], text, SAMPLING)
    assert torch.equal(generate_codes(lm, short, [1, 2], text, SAMPLING), long[:, :, :short])


def test_guidance_1_is_the_conditional_model_and_0_the_unconditional_one(lm):
    text = condition(lm, 2)

    def codes(scale, text):
        return generate_codes(lm, 15, [1, 2], text, Sampling(guidance_scale=scale, top_k=8))

    conditional, unconditional = codes(1, text), codes(0, None)
    # Scales beside 1 and 0 go through both halves: the result must not jump.
    assert torch.equal(codes(1 + 1e-7, text), conditional)
    assert torch.equal(codes(1e-7, text), unconditional)
    assert torch.equal(codes(0, text), unconditional)
    assert torch.equal(codes(3, None), unconditional)
    assert not torch.equal(conditional, unconditional)
    assert not torch.equal(codes(3, text), conditional)


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_generates_codes_inside_the_codebook(lm, name):
    codes = generate_codes(lm, 9, [1, 2], condition(lm, 2), SAMPLING, table=pattern_table(name, 4, 9))
    assert codes.shape == (2, 4, 9)
    assert int(codes.min()) >= 0
    assert int(codes.max()) < lm.config.codebook_size


def test_no_token_outside_the_codebook_even_at_the_highest_temperature(lm):
    codes = generate_codes(lm, 40, [1, 2, 3], None, Sampling(temperature=100.0, top_k=0))
    assert codes.unique().tolist() == list(range(16))


@pytest.mark.parametrize("quick", [False, True])
def test_a_step_reads_one_column_and_copies_no_cache(lm, monkeypatch, quick):
    """The cost of a step: one new column enters the decoder, and the cache stays where it is."""
    lengths, places = [], set()
    room = KeyValueCache.room

    def spy(cache, n):
        lengths.append(n)
        places.add(cache.memory.data_ptr())
        return room(cache, n)

    monkeypatch.setattr(KeyValueCache, "room", spy)
    generate_codes(QuickLM(lm) if quick else lm, 20, [1], condition(lm, 1), SAMPLING)
    assert lengths == [1] * 23 * (1 if quick else lm.config.layers)  # each layer asks, or the quick step for all
    assert len(places) == 1


def test_progress_counts_the_steps(lm):
    calls = []
    generate_codes(lm, 5, [1], None, SAMPLING, progress=lambda done, total: calls.append((done, total)))
    assert calls == [(i, 8) for i in range(1, 9)]


def test_the_special_ending_fills_finished_codebooks_with_the_special_token(lm, monkeypatch):
    seen = []
    step = type(lm).step
    monkeypatch.setattr(
        type(lm), "step", lambda self, columns, state: (seen.append(columns), step(self, columns, state))[1]
    )
    for ending, rows in (
        ("special", [[True, False, False, False], [True, True, False, False]]),
        ("continue", [[False] * 4] * 2),
    ):
        seen.clear()
        generate_codes(lm, 6, [1], None, SAMPLING, table=delay_table(4, 6, ending))
        assert [(column[0, :, 0] == 16).tolist() for column in seen[-2:]] == rows
    with pytest.raises(ValueError, match="'continue' or 'special', not 'cut'"):
        delay_table(4, 6, "cut")


def test_guidance_formula():
    conditional, unconditional = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 4.0])
    assert guide(conditional, unconditional, 3.0).tolist() == [3.0, -2.0]
    assert torch.equal(guide(conditional, unconditional, 0.0), unconditional)
    assert torch.equal(guide(conditional, unconditional, 1.0), conditional)


def test_distribution_filters():
    logits = torch.tensor([0.1, 0.4, 0.2, 0.3]).log()
    torch.testing.assert_close(distribution(logits), torch.tensor([0.1, 0.4, 0.2, 0.3]))
    torch.testing.assert_close(distribution(logits, top_k=2), torch.tensor([0, 4 / 7, 0, 3 / 7]))
    torch.testing.assert_close(distribution(logits, top_p=0.5), torch.tensor([0, 4 / 7, 0, 3 / 7]))
    torch.testing.assert_close(distribution(logits, top_p=0.4), torch.tensor([0.0, 1.0, 0.0, 0.0]))
    torch.testing.assert_close(distribution(logits, temperature=0), torch.tensor([0.0, 1.0, 0.0, 0.0]))
    cold, hot = distribution(logits, temperature=0.5), distribution(logits, temperature=2.0)
    assert cold.max() > 0.4 > hot.max()


@pytest.mark.parametrize("trial", range(5))
def test_filters_keep_what_they_promise(trial):
    torch.manual_seed(trial)
    logits, k, p = torch.randn(7, 50), int(torch.randint(1, 50, ())), float(torch.rand(()))
    full = distribution(logits)
    kept = distribution(logits, top_k=k) > 0
    assert (kept.sum(-1) == k).all()
    assert (full.where(kept, 2.0).min(-1).values >= full.where(~kept, 0.0).max(-1).values).all()
    nucleus = distribution(logits, top_p=p) > 0
    total = full.where(nucleus, 0.0).sum(-1)
    assert (total >= p - 1e-5).all()
    assert (total - full.where(nucleus, 2.0).min(-1).values < p + 1e-5).all()  # one token less would not reach p


def test_draw_follows_the_distribution_and_never_takes_probability_zero():
    probabilities = torch.tensor([0.0, 0.5, 0.0, 0.3, 0.2, 0.0])
    uniform = (torch.arange(100_000) + 0.5) / 100_000
    counts = torch.bincount(draw(probabilities.expand(100_000, -1), uniform), minlength=6)
    assert counts.tolist() == pytest.approx([0, 50_000, 0, 30_000, 20_000, 0], abs=2)
    edges = draw(probabilities.expand(2, -1), torch.tensor([0.0, 1 - 2**-24]))
    assert edges.tolist() == [1, 4]


def test_random_numbers_of_a_row_are_its_own_and_a_longer_run_begins_like_a_shorter_one():
    numbers = uniform_numbers([3, 4], 10, 4)
    assert torch.equal(uniform_numbers([4], 10, 4)[:, 0], numbers[:, 1])
    for steps in (1, 3, 9):
        assert torch.equal(uniform_numbers([3, 4], steps, 4), numbers[:steps])
    assert numbers.unique().numel() > 70


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((3, -1, 0, 0), "temperature"),
        ((3, 1, 17, 0), "codebook size 16, not 17"),
        ((3, 1, -1, 0), "top_k"),
        ((3, 1, 0, 1.5), "top_p"),
        ((float("inf"), 1, 0, 0), "guidance_scale"),
    ],
)
def test_settings_that_make_no_sense_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        Sampling(*settings).check(16)
