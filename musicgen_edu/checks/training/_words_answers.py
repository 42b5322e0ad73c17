"""Exercise 2, answers on record: right and wrong ways to drop words."""

from __future__ import annotations

import itertools
import re

import numpy as np

from ...training.words import drop_words as _drop
from .. import Wrong


def _drop_list(caption, share, rng):
    return _drop(caption, share, rng).split()


def _drop_characters(caption, share, rng):
    return "".join(letter for letter in caption if rng.random() >= share)


def _drop_punctuation(caption, share, rng):
    return " ".join(word for word in re.findall(r"\w+", caption) if rng.random() >= share)


def _drop_between_blanks(caption, share, rng):
    return " ".join(word for word in caption.split(" ") if rng.random() >= share)


def _drop_while_iterating(caption, share, rng):
    words = caption.split()
    for word in words:
        if rng.random() < share:
            words.remove(word)
    return " ".join(words)


def _drop_first_equal(caption, share, rng):
    words = caption.split()
    for word in caption.split():
        if rng.random() < share:
            words.remove(word)
    return " ".join(words)


def _drop_end(caption, share, rng):
    words = caption.split()
    return " ".join(words[: rng.binomial(len(words), 1 - share)])


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


def _drop_all_or_nothing(caption, share, rng):
    return caption if rng.random() >= share else ""


def _drop_one_draw(caption, share, rng):
    number = rng.random()
    return " ".join(word for word in caption.split() if number >= share)


def _drop_fixed_count(caption, share, rng):
    words = caption.split()
    kept = sorted(rng.permutation(len(words))[round(share * len(words)) :])
    return " ".join(words[i] for i in kept)


def _drop_kinds(caption, share, rng):
    gone = {word for word in dict.fromkeys(caption.split()) if rng.random() < share}
    return " ".join(word for word in caption.split() if word not in gone)


def _drop_set(caption, share, rng):
    gone = {word for word in caption.split() if rng.random() < share}
    return " ".join(word for word in caption.split() if word not in gone)


def _drop_global(caption, share, rng):
    return _drop(caption, share, np.random)


def _drop_seeded_anew(caption, share, rng):
    return _drop(caption, share, np.random.default_rng(len(caption)))


def _drop_half_share(caption, share, rng):
    return " ".join(word for word in caption.split() if rng.random() + rng.random() >= 2 * share)


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


WRONG = (
    Wrong(_drop_list, "gives_whole_words", "You return the list of words. Join them: the tokenizer takes a text."),
    Wrong(
        _drop_characters,
        "gives_whole_words",
        "You drop letters. A word with holes is another text for T5; take the caption apart into words first.",
    ),
    Wrong(
        _drop_punctuation,
        "gives_whole_words",
        "You lose the punctuation. A word is what stands between white space; a comma belongs to the word before.",
    ),
    Wrong(
        _drop_between_blanks,
        "gives_whole_words",
        "split(' ') cuts at each single blank: two of them give an empty word, and a tab or a line break stays "
        "inside one. split() cuts at white space of any kind and length.",
    ),
    Wrong(
        _drop_all_or_nothing,
        "gives_whole_words",
        "You give back the caption as it is, or nothing. That is exercise 3; here each word has its own draw.",
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
        _drop_while_iterating,
        "share_1_drops_all",
        "You take words out of the list while you go through it, and after each one that goes the next is "
        "skipped. Build a new list of those that stay.",
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
        _drop_end,
        "each_word_has_its_own_chance",
        "You draw how many words stay and cut off the end. The first word would be read far more often than the "
        "last; each has its own draw.",
    ),
    Wrong(
        _drop_first_equal,
        "a_repeated_word_is_two_words",
        "remove() takes the first word that is equal, not the one that you mean. Build a new list of those that stay.",
    ),
    Wrong(
        _drop_set,
        "a_repeated_word_is_two_words",
        "You collect the words that go, and then every equal word goes, too. Decide where each word stands.",
    ),
    Wrong(
        _drop_kinds,
        "a_repeated_word_is_two_words",
        "You decide once for each different word. Two equal words stand in two places, and each has its own draw.",
    ),
)
RIGHT = (_drop_loop, _drop_compress)
