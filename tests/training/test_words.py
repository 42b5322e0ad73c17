"""What is left of a caption in training."""

from __future__ import annotations

import numpy as np
import pytest

from musicgen_edu.training.words import drop_words, first_words


def subsequence(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(word in rest for word in part)


def test_what_is_left_is_in_order_and_a_share_is_missing():
    rng = np.random.default_rng(0)
    words = [f"w{i}" for i in range(40)]
    left = [drop_words(" ".join(words), 0.2, rng).split() for _ in range(200)]
    assert all(subsequence(part, words) for part in left)
    share = 1 - np.mean([len(part) for part in left]) / 40
    assert share == pytest.approx(0.2, abs=4 * np.sqrt(0.2 * 0.8 / 8000))
    kept = np.array([[word in part for word in words] for part in left])
    assert kept.mean(0).min() > 0.6  # no place is preferred
    assert np.abs(np.corrcoef(kept.T) - np.eye(40)).max() < 0.4  # and words fall independently


def test_nothing_and_all():
    rng = np.random.default_rng(1)
    assert drop_words("  a  calm\tbell ", 0.0, rng) == "a calm bell"
    assert drop_words("a calm bell", 1.0, rng) == ""
    assert drop_words("", 0.5, rng) == ""
    for share in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="share must be 0 to 1"):
            drop_words("a", share, rng)


def test_the_same_generator_gives_the_same_words_and_each_word_takes_one_draw():
    text = "a slow bell with drums and a pad"
    assert drop_words(text, 0.4, np.random.default_rng(3)) == drop_words(text, 0.4, np.random.default_rng(3))
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    drop_words(text, 0.4, one)
    other.random(8)
    assert one.random() == other.random()


@pytest.mark.parametrize("count", [1, 3, 250])
def test_first_words(count):
    words = [f"w{i}" for i in range(300)]
    assert first_words("  ".join(words), count).split() == words[:count]
    assert first_words("a b", count).split() == ["a", "b"][:count]


def test_no_words_are_no_caption():
    with pytest.raises(ValueError, match="count must be at least 1, not 0"):
        first_words("a", 0)
