"""Exercise 2, `drop_words`: a caption in which some words are missing."""

from __future__ import annotations

import numpy as np

from ...training.words import drop_words as _drop
from .. import Exercise, expect
from ._words_answers import RIGHT, WRONG

WORDS = tuple(f"word{i}" for i in range(10))
CAPTION = " ".join(WORDS)
UNTIDY = " a calm,\tslow  piano;\nno drums (none) "


def _many(answer, share: float, count: int = 300, caption: str = CAPTION) -> list[list[str]]:
    """The words that are left of the same caption, many times, from one generator."""
    rng = np.random.default_rng(4)
    return [answer(caption, share, rng).split() for _ in range(count)]


def gives_whole_words(answer):
    """The result is one string of whole words of the caption with their commas, one space between them."""
    rng = np.random.default_rng(1)
    for share in (0.0, 0.3, 0.9):
        for caption in 20 * (CAPTION, UNTIDY):
            found = answer(caption, share, rng)
            expect(isinstance(found, str), f"the result must be a str, not {type(found).__name__}")
            strange = [word for word in found.split() if word not in caption.split()]
            expect(not strange, f"{strange[:3]} are no words of {caption!r}")
            expect(found == " ".join(found.split()), f"{found!r}: one space between words, none at the ends")


def keeps_the_order(answer):
    """What is left stands in the order of the caption."""
    for found in _many(answer, 0.5, 40):
        places = [WORDS.index(word) for word in found]
        expect(places == sorted(places), f"words {places} of the caption, in this order")


def share_0_keeps_all(answer):
    """A share of 0 keeps every word; an empty caption stays empty."""
    for caption in ("a calm piano", "drums", ""):
        found = answer(caption, 0.0, np.random.default_rng(2))
        expect(found == caption, f"share 0 of {caption!r} gives {found!r}")


def share_1_drops_all(answer):
    """A share of 1 leaves nothing, not one word: the empty caption."""
    for caption in ("a calm piano", "drums", ""):
        found = answer(caption, 1.0, np.random.default_rng(2))
        expect(found == "", f"share 1 of {caption!r} gives {found!r}")


def random_numbers_come_from_the_generator(answer):
    """The same generator gives the same words, goes on from call to call, and nothing else is asked."""
    first, second = (_seeded_calls(answer, notebook) for notebook in (5, 6))
    expect(first == second, "generators with the same seed give different words")
    expect(len(set(first)) > 1, "eight calls with one generator all give the same words")
    np.random.seed(7)
    answer(CAPTION, 0.5, np.random.default_rng(3))
    left = np.random.rand()
    np.random.seed(7)
    expect(left == np.random.rand(), "the random numbers of the whole program have moved")


def _seeded_calls(answer, notebook: int) -> list[str]:
    np.random.seed(notebook)  # what else goes on in the program
    rng = np.random.default_rng(3)
    return [answer(CAPTION, 0.5, rng) for _ in range(8)]


def drops_the_share(answer):
    """Of many words, the share is dropped."""
    for share in (0.2, 0.7):
        gone = 1 - sum(map(len, _many(answer, share, 1500))) / (1500 * len(WORDS))
        expect(abs(gone - share) < 0.02, f"share {share}: {gone:.2f} of 15,000 words are dropped")


def each_word_has_its_own_chance(answer):
    """How many words go differs from time to time, as if a coin were thrown for each, and any of them may go."""
    draws = _many(answer, 0.5)
    left = [len(found) for found in draws]
    mean = sum(left) / len(left)
    variance = sum((one - mean) ** 2 for one in left) / len(left)
    expect(1.5 < variance < 4, f"of 10 words at share 0.5 {min(left)} to {max(left)} are left; the variance is "
           f"{variance:.1f}, where 2.5 is expected")  # fmt: skip
    for i in range(len(WORDS)):
        stays = sum(WORDS[i] in found for found in draws) / len(draws)
        expect(0.35 < stays < 0.65, f"share 0.5: word {i} of 10 stays in {stays:.2f} of 300 captions")


def a_repeated_word_is_two_words(answer):
    """Of two equal words one may go and the other stay, whichever."""
    left = [" ".join(found) for found in _many(answer, 0.5, 200, "drums and drums")]
    for one in ("drums and", "and drums"):
        expect(one in left, f"of 'drums and drums' never {one!r} is left")


drop_words = Exercise(
    "drop_words",
    reference=_drop,
    properties=(
        gives_whole_words,
        keeps_the_order,
        share_0_keeps_all,
        share_1_drops_all,
        random_numbers_come_from_the_generator,
        drops_the_share,
        each_word_has_its_own_chance,
        a_repeated_word_is_two_words,
    ),
    wrong=WRONG,
    right=RIGHT,
    examples=lambda generator: [
        (caption, share, np.random.default_rng(seed))
        for caption in ("drums and drums with a slow piano and more drums", UNTIDY)
        for share, seed in ((0.4, 0), (0.8, 1), (1.0, 2), (0.0, 3))
    ],
)
