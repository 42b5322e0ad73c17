"""Exercise 2, `drop_words`: a caption in which some words are missing."""

from __future__ import annotations

import itertools

import numpy as np

from ...training.words import drop_words as _drop
from .. import Exercise, Wrong, expect, seal

WORDS = tuple(f"word{i}" for i in range(10))
CAPTION = " ".join(WORDS)


def _many(answer, share: float, count: int = 300, caption: str = CAPTION) -> list[list[str]]:
    """The words that are left of the same caption, many times, from one generator."""
    rng = np.random.default_rng(4)
    return [answer(caption, share, rng).split() for _ in range(count)]


def gives_whole_words(answer):
    """The result is one string of whole words of the caption, one space between them."""
    rng = np.random.default_rng(1)
    for share in (0.0, 0.3, 0.9):
        for _ in range(20):
            found = answer(CAPTION, share, rng)
            expect(isinstance(found, str), f"the result must be a str, not {type(found).__name__}")
            strange = [word for word in found.split() if word not in WORDS]
            expect(not strange, f"{strange[:3]} are no words of the caption")
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
        expect(abs(gone - share) < 0.06, f"share {share}: {gone:.2f} of 15,000 words are dropped")


def each_word_has_its_own_chance(answer):
    """How many words go differs from time to time, as if a coin were thrown for each."""
    left = [len(found) for found in _many(answer, 0.5)]
    mean = sum(left) / len(left)
    variance = sum((one - mean) ** 2 for one in left) / len(left)
    expect(1.5 < variance < 4, f"of 10 words at share 0.5 {min(left)} to {max(left)} are left; the variance is "
           f"{variance:.1f}, where 2.5 is expected")  # fmt: skip


def a_repeated_word_is_two_words(answer):
    """Of two equal words one may go and the other stay."""
    left = [len(found) for found in _many(answer, 0.5, 60, "drums drums")]
    expect(1 in left, "'drums drums' is never 'drums'")


def _drop_list(caption, share, rng):
    return _drop(caption, share, rng).split()


def _drop_characters(caption, share, rng):
    return "".join(letter for letter in caption if rng.random() >= share)


def _drop_leaves_spaces(caption, share, rng):
    return " ".join(word if rng.random() >= share else "" for word in caption.split())


def _drop_sample(caption, share, rng):
    words = caption.split()
    order = rng.permutation(len(words))
    return " ".join(words[i] for i in order if rng.random() >= share)


def _drop_reversed(caption, share, rng):
    return " ".join(word for word in caption.split() if rng.random() < share)


def _drop_keep_one(caption, share, rng):
    return _drop(caption, share, rng) or str(rng.choice(caption.split() or [""]))


def _drop_one_draw(caption, share, rng):
    return caption if rng.random() >= share else ""


def _drop_fixed_count(caption, share, rng):
    words = caption.split()
    kept = sorted(rng.permutation(len(words))[round(share * len(words)) :])
    return " ".join(words[i] for i in kept)


def _drop_kinds(caption, share, rng):
    gone = {word for word in dict.fromkeys(caption.split()) if rng.random() < share}
    return " ".join(word for word in caption.split() if word not in gone)


def _drop_global(caption, share, rng):
    return _drop(caption, share, np.random)


def _drop_seeded_anew(caption, share, rng):
    return _drop(caption, share, np.random.default_rng(len(caption)))


def _drop_half_share(caption, share, rng):
    return " ".join(word for word in caption.split() if rng.random() + rng.random() >= 2 * share)


def _drop_loop(caption, share, rng):
    left = []
    for word in caption.split(" "):
        if not rng.random() < share:
            left.append(word)
    return " ".join(left)


def _drop_compress(caption, share, rng):
    words = caption.split()
    keep = rng.binomial(1, 1 - share, size=len(words))
    return " ".join(itertools.compress(words, keep))


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
    wrong=(
        Wrong(_drop_list, "gives_whole_words", "You return the list of words. Join them: the tokenizer takes a text."),
        Wrong(
            _drop_characters,
            "gives_whole_words",
            "You drop letters. A word with holes is another text for T5; take the caption apart into words first.",
        ),
        Wrong(
            _drop_leaves_spaces,
            "gives_whole_words",
            "A dropped word leaves its space behind. Join only the words that stay.",
        ),
        Wrong(
            _drop_sample,
            "keeps_the_order",
            "You draw the words that stay, and a permutation shuffles them. Go through the caption, word by word.",
        ),
        Wrong(
            _drop_reversed,
            "share_0_keeps_all",
            "It is the other way round: you keep a word with probability `share`.",
        ),
        Wrong(
            _drop_keep_one,
            "share_1_drops_all",
            "You keep at least one word. An empty caption is allowed: it is what the model hears with guidance.",
        ),
        Wrong(
            _drop_global,
            "random_numbers_come_from_the_generator",
            "You use the random numbers of the whole program. Use rng.random(), or no run can be repeated.",
        ),
        Wrong(
            _drop_seeded_anew,
            "random_numbers_come_from_the_generator",
            "You make a generator of your own in each call, so a caption loses the same words in every epoch.",
        ),
        Wrong(
            _drop_half_share,
            "drops_the_share",
            "You compare the sum of two draws with twice the share. Such a sum is seldom small: at 0.2 only 0.08 of "
            "the words go. One draw a word.",
        ),
        Wrong(
            _drop_one_draw,
            "each_word_has_its_own_chance",
            "You draw once for the whole caption: all words go or none. That is condition dropout, exercise 3.",
        ),
        Wrong(
            _drop_fixed_count,
            "each_word_has_its_own_chance",
            "You always drop the same number of words. Each word is dropped with probability `share`, on its own.",
        ),
        Wrong(
            _drop_kinds,
            "a_repeated_word_is_two_words",
            "You decide once for each different word. Two equal words stand in two places, and each has its own draw.",
        ),
    ),
    right=(_drop_loop, _drop_compress),
    examples=lambda generator: [
        ("drums and drums with a slow piano and more drums", share, np.random.default_rng(seed))
        for share, seed in ((0.4, 0), (0.8, 1), (1.0, 2), (0.0, 3))
    ],
)

seal(__name__)
