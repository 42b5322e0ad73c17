"""Sampling and the generation loop: what a lecturer relies on."""

from __future__ import annotations

import pytest
import torch

from helpers.judges import our_lm, their_musicgen
from musicgen_edu.fast.quick import QuickLM
from musicgen_edu.model.decoder import KeyValueCache
from musicgen_edu.model.generation import delay_table, generate_codes
from musicgen_edu.model.patterns import PATTERNS, pattern_table
from musicgen_edu.model.sampling import Sampling


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
