"""Prompts to states: which of them belong to words, and that a batch changes none."""

from __future__ import annotations

import pytest
import torch

from helpers.judges import save_musicgen, their_musicgen
from musicgen_edu import MusicGen
from musicgen_edu.model.text import TextEncoder

PROMPTS = ["a calm bell", "piano", ""]


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> TextEncoder:
    torch.manual_seed(0)
    return MusicGen.from_pretrained(
        save_musicgen(their_musicgen(), tmp_path_factory.mktemp("model")), device="cpu"
    ).text


def test_the_mask_covers_words_and_the_end_and_nothing_of_an_empty_prompt(text):
    states, mask = text(PROMPTS)
    assert states.shape == (3, 4, 24)  # three words and the end
    assert mask.tolist() == [[True] * 4, [True, True, False, False], [False] * 4]
    assert not text(["", "  "])[1].any()
    assert text.tokens("a calm bell") == ["a", "calm", "bell", "</s>"]


def test_a_prompt_alone_has_the_states_that_it_has_in_a_batch(text):
    states, mask = text(PROMPTS)
    for row in (0, 1):
        alone, _ = text(PROMPTS[row : row + 1])
        torch.testing.assert_close(alone[0], states[row][mask[row]], atol=1e-6, rtol=1e-5)
    assert not states.requires_grad


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ("a bell", "write \\['a bell'\\] for a single one"),
        ([], "prompts is empty"),
        (["a bell", None], "each prompt must be a string, not NoneType"),
    ],
)
def test_bad_prompts_are_named(text, prompts, message):
    with pytest.raises(ValueError, match=message):
        text(prompts)
