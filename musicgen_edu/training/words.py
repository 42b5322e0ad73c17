"""What happens to the words of a caption before the text encoder sees them in training (lesson 07)."""

from __future__ import annotations

import numpy as np


def drop_words(caption: str, share: float, rng: np.random.Generator) -> str:
    """A caption without some of its words: each is dropped with probability `share`, independently of the others.

    The order stays; what is between the words becomes one space. If none is left the caption is empty, which the
    text encoder takes for "no condition".

    Args:
        caption: words between white space.
        share: 0 to 1.
        rng: takes one draw for each word.

    Raises:
        ValueError: the share is not within 0 and 1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share must be 0 to 1, not {share}")
    words = caption.split()
    kept = rng.random(len(words)) >= share
    return " ".join(word for word, stays in zip(words, kept, strict=True) if stays)


def first_words(caption: str, count: int) -> str:
    """The first `count` words of a caption, with one space between them; a shorter one keeps all of its words.

    Raises:
        ValueError: the count is below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, not {count}")
    return " ".join(caption.split()[:count])
