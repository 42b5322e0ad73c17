"""Exercise 2, `drop_words`: a caption in which some words are missing."""

from __future__ import annotations

import itertools
import random
import re  # noqa: F401  a mistake uses it

import numpy as np
import torch

from .. import Exercise, expect, expect_equal, mistakes

CAPTION = "a slow, sad organ melody in A minor with BASS"  # ten different words
WORDS = tuple(CAPTION.split())
UNTIDY = " A calm,\tslow  piano;\r\nno\x0bdrums\u00a0(none) "


def _drop(caption, share, rng):
    words = caption.split()
    left = [word for word in words if rng.random() >= share]
    return " ".join(left)


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
            expect(not strange, f"only words of {caption!r} are expected, not {strange[:3]}")
            tidy = " ".join(found.split())
            expect(found == tidy, f"one space between words and none at the ends: expected {tidy!r}, not {found!r}")


def keeps_the_order(answer):
    """What is left stands in the order of the caption."""
    for found in _many(answer, 0.5, 40):
        places = [WORDS.index(word) for word in found]
        expect_equal(places, sorted(places), "the places of the words in the caption")


def share_0_keeps_all(answer):
    """A share of 0 keeps every word, also a repeated one; an empty caption stays empty."""
    for caption in ("a calm piano", "drums", "", "drums and drums", " ".join(f"word{i}" for i in range(100))):
        expect_equal(answer(caption, 0.0, np.random.default_rng(2)), caption, f"share 0 of {caption!r}")
    expect_equal(answer(" \n ", 0.0, np.random.default_rng(2)), "", "share 0 of white space alone")


def share_1_drops_all(answer):
    """A share of 1 leaves nothing, not one word: the empty caption."""
    for caption in ("a calm piano", "drums", ""):
        expect_equal(answer(caption, 1.0, np.random.default_rng(2)), "", f"share 1 of {caption!r}")


def random_numbers_come_from_the_generator(answer):
    """The same generator gives the same words, goes on from call to call, and nothing else is asked."""
    first, second = (_seeded_calls(answer, notebook) for notebook in (5, 6))
    expect_equal(second, first, "the words of a second generator with the same seed, while the notebook's differs")
    expect(len(set(first)) > 1, f"eight calls with one generator are expected to differ, not all to give {first[0]!r}")
    before = _states()
    answer(CAPTION, 0.5, np.random.default_rng(3))
    expect(before == _states(), "the random numbers of the whole program are expected to stay, and have moved")


def _seeded_calls(answer, notebook: int) -> list[str]:
    for seed in (np.random.seed, random.seed, torch.manual_seed):
        seed(notebook)  # what else goes on in the program
    rng = np.random.default_rng(3)
    return [answer(CAPTION, 0.5, rng) for _ in range(8)]


def _states() -> list:
    return [np.random.get_state()[2], random.getstate(), torch.get_rng_state().tolist()]


def drops_the_share(answer):
    """Of many words, the share is dropped."""
    for share in (0.2, 0.7, 0.1):
        gone = 1 - sum(map(len, _many(answer, share, 1500))) / (1500 * len(WORDS))
        expect(abs(gone - share) < 0.02, f"of 15,000 words {share} are expected to be dropped, not {gone:.3f}")


def each_word_has_its_own_chance(answer):
    """How many words go differs from time to time, as if a coin were thrown for each, and any of them may go."""
    draws = np.array([[word in found for word in WORDS] for found in _many(answer, 0.5, 1000)])  # [1000, 10]
    left = draws.sum(1)
    expect(1.5 < left.var() < 4, f"of 10 words at share 0.5 {left.min()} to {left.max()} are left; a variance of 2.5 "
           f"is expected, not {left.var():.1f}")  # fmt: skip
    gone = 1 - sum(map(len, _many(answer, 0.008, 2000))) / (2000 * len(WORDS))
    expect(0.004 < gone < 0.012, f"of 20,000 words 0.008 are expected to be dropped, not {gone:.4f}")
    alone = sum(map(len, _many(answer, 0.5, 1000, "drums"))) / 1000
    expect(0.4 < alone < 0.6, f"share 0.5: the only word of a caption is expected to stay in 0.5, not in {alone:.2f}")
    for i, j in itertools.combinations(range(10), 2):
        stays, both = draws[:, i].mean(), (draws[:, i] & draws[:, j]).mean()
        expect(0.4 < stays < 0.6, f"share 0.5: {WORDS[i]!r} is expected to stay in 0.5 of the captions, not in "
               f"{stays:.2f}")  # fmt: skip
        expect(0.17 < both < 0.33, f"share 0.5: {WORDS[i]!r} and {WORDS[j]!r} are expected to stay together in 0.25 of "
               f"the captions, not {both:.2f}")  # fmt: skip


def a_repeated_word_is_two_words(answer):
    """Of two equal words one may go and the other stay, whichever."""
    left = [" ".join(found) for found in _many(answer, 0.5, 200, "drums and drums")]
    for one in ("drums and", "and drums", "drums and drums", "drums drums"):
        expect(one in left, f"of 'drums and drums', {one!r} is expected now and then; it is never left")


def _while_iterating(caption, share, rng):
    words = caption.split()
    for word in words:
        if rng.random() < share:
            words.remove(word)
    return " ".join(words)


def _first_equal(caption, share, rng):
    words = caption.split()
    for word in caption.split():
        if rng.random() < share:
            words.remove(word)
    return " ".join(words)


def _fixed_count(caption, share, rng):
    words = caption.split()
    kept = sorted(rng.permutation(len(words))[round(share * len(words)) :])
    return " ".join(words[i] for i in kept)


def _drop_loop(caption, share, rng):
    left = []
    for word in caption.split():
        if not rng.random() < share:
            left.append(word)
    return " ".join(left)


def _drop_compress(caption, share, rng):
    words = caption.split()
    keep = rng.binomial(1, 1 - share, size=len(words))
    return " ".join(itertools.compress(words, keep))


LEFT = "[word for word in words if rng.random() >= share]"

drop_words = Exercise(
    "drop_words",
    reference=_drop,
    properties=(
        gives_whole_words, keeps_the_order, share_0_keeps_all, share_1_drops_all,
        random_numbers_come_from_the_generator, drops_the_share, each_word_has_its_own_chance,
        a_repeated_word_is_two_words,
    ),
    wrong=mistakes(_drop, {
        gives_whole_words: [
            ('" ".join(left)', "left", "You return the list of words. Join them: the tokenizer takes a text."),
            ("caption.split()", "list(caption)", '" ".join', '"".join', "You drop letters. A word with holes is "
             "another text for T5; take the caption apart into words first."),
            ("caption.split()", r're.findall(r"\w+", caption)', "You lose the punctuation. A word is what stands "
             "between white space; a comma belongs to the word before."),
            ("caption.split()", 'caption.split(" ")', "split(' ') cuts at each single blank: two of them give an empty "
             "word, and a tab or a line break stays inside one. split() cuts at white space of any kind and length."),
            ("words = caption.split()", "words = caption.split(); all_of_it = rng.random() >= share",
             '" ".join(left)', 'caption if all_of_it else ""',
             "You give back the caption as it is, or nothing. That is exercise 3; here each word has its own draw."),
            (LEFT, '[word if rng.random() >= share else "" for word in words]',
             "A dropped word leaves its space behind. Join only the words that stay."),
            ("caption.split()", r're.split(r"[ \t\n]+", caption.strip())', "You cut at blanks, tabs and line feeds. "
             "There is other white space; split() knows all of it."),
            ("caption.split()", "caption.lower().split()", "You change capital letters. The words stay as they are."),
            ('" ".join(left)', '" ".join(left).rstrip(",;")', "You take a comma off the end. It belongs to its word."),
        ],
        keeps_the_order: [
            ("[word for word in words", "[word for word in rng.permutation(words or ['']).tolist()", "You draw the "
             "words that stay, and a permutation shuffles them. Go through the caption, word by word."),
        ],
        share_0_keeps_all: [
            (">=", "<", "It is the other way round: you keep a word with probability `share`."),
            ("caption.split()", "list(dict.fromkeys(caption.split()))", "You keep each different word once. A repeated "
             "word stands in the caption twice."),
            ("caption.split()", "caption.split()[:64]", "You cut long captions off. Only chance drops words here."),
            ('" ".join(left)', '" ".join(left) or words[0]', "You keep the first word if none is left; an empty "
             "caption has none, and may stay empty."),
        ],
        share_1_drops_all: [
            ('" ".join(left)', '" ".join(left) or str(rng.choice(words or [""]))', "You keep at least one word. An "
             "empty caption is allowed: it is what the model hears with guidance."),
            (_while_iterating, "You take words out of the list while you go through it, and after each one that goes "
             "the next is skipped. Build a new list of those that stay."),
        ],
        random_numbers_come_from_the_generator: [
            ("rng.random()", "np.random.random()",
             "You use the random numbers of the whole program. Use rng.random(), or no run can be repeated."),
            ("words = caption.split()", "words = caption.split(); rng = np.random.default_rng(len(caption))", "You "
             "make a generator of your own in each call, so a caption loses the same words in every epoch."),
            ("words = caption.split()", "words = caption.split(); random.seed(int(rng.integers(2**31)))",
             "rng.random()", "random.random()", "You seed the random numbers of the whole program with the generator. "
             "Whoever else draws from them now gets the same each time."),
        ],
        drops_the_share: [
            ("rng.random() >= share", "rng.random() + rng.random() >= 2 * share", "You compare the sum of two draws "
             "with twice the share. Such a sum is seldom small: at 0.2 only 0.08 of the words go. One draw a word."),
            ("rng.random() >= share", "(share < 1 and rng.normal(0.5, 0.25) >= share) or share == 0",
             "You draw from a normal distribution. rng.random() is even from 0 to 1, so that a share of it lies below "
             "the share."),
        ],
        each_word_has_its_own_chance: [
            ("words = caption.split()", "words = caption.split(); number = rng.random()", "rng.random() >=",
             "number >=",
             "You draw once for the whole caption: all words go or none. That is condition dropout, exercise 3."),
            (_fixed_count, "You always drop the same number of words. Each word is dropped with probability `share`, "
             "on its own."),
            (LEFT, "words[: rng.binomial(len(words), 1 - share)]", "You draw how many words stay and cut off the end. "
             "The first word would be read far more often than the last; each has its own draw."),
            ('" ".join(left)', '" ".join(left or (words[:1] if share < 1 else []))', "You keep the first word if "
             "chance leaves none, so it goes too seldom. An empty caption is allowed."),
            ("words = caption.split()", "words = caption.split(); numbers = rng.random(len(words) // 2 + 1)",
             "for word in words if rng.random()", "for i, word in enumerate(words) if numbers[i // 2]",
             "Neighbours share their draw, and go together. Each word has its own."),
            ("rng.random() >= share", "rng.integers(100) >= int(100 * share)", "You draw whole numbers of a hundred, "
             "so a share below 0.01 drops nothing. rng.random() is a number from 0 to below 1: compare it with the "
             "share."),
        ],
        a_repeated_word_is_two_words: [
            (_first_equal, "remove() takes the first word that is equal, not the one that you mean. Build a new list "
             "of those that stay."),
            (LEFT, "[word for gone in [{word for word in words if rng.random() < share}] for word in words if word not "
             "in gone]", "You collect the words that go, and then every equal word goes, too. Decide where each word "
             "stands."),
            (LEFT, "[word for gone in [{word for word in dict.fromkeys(words) if rng.random() < share}] for word in "
             "words if word not in gone]", "You decide once for each different word. Two equal words stand in two "
             "places, and each has its own draw."),
        ],
    }),
    right=(_drop_loop, _drop_compress),
    examples=lambda generator: [
        (caption, share, np.random.default_rng(seed))
        for caption in ("drums and drums with a slow piano and more drums", UNTIDY)
        for share, seed in ((0.4, 0), (0.8, 1), (1.0, 2), (0.0, 3))
    ],
)  # fmt: skip
