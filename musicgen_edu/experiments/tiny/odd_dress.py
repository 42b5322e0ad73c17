"""Captions in odd dress: the same words, with what people type or paste around them."""

from __future__ import annotations

import numpy as np

WIDE = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}  # the full-width forms of East Asian keyboards
LETTERS = (str, str.capitalize, str.title, str.upper, lambda text: text.translate(WIDE))
GAPS = (
    "\n", "\r\n", "\n\n", "\t", "  ", "\u00a0", "\u2009", "\u3000", "\u2028", " \u200b", "\u200b", "\n- ", " – ", "—",
    "/", "_", " | ", " + ", "...", "… ", " 🎵 ",
)  # fmt: skip
PARTS = ("; ", ". ", "! ", ",", " , ", ",\n", "\n", "，", "、", " - ")  # where a caption has a comma
PAIRS = (("(", ")"), ("[", "]"), ('"', '"'), ("'", "'"), ("“", "”"), ("‘", "’"), ("«", "»"), ("*", "*"), ("#", ""))
HYPHENS = ("-", "‐", "‑", "–")
EDGES = ("", "\n", "  ", "\ufeff", "🎶", "- ", "“")
ENDS = ("", "\n", ".", "!", " ...", "🔔", "”", ",", "\u200b")


def dressed(caption: str, rng: np.random.Generator) -> str:
    """The words of a caption in other letters, with other white space, marks and signs between and around them.

    Each gap is replaced with probability 0.5 and each word is put between signs with 0.15, so that next to no caption
    stays as it was. A reader would still take it for the same caption.
    """
    words = []
    for word in caption.split(" "):
        before, after = PAIRS[rng.integers(len(PAIRS))] if rng.random() < 0.15 else ("", "")
        bare = word.rstrip(",").replace("-", rng.choice(HYPHENS))
        gaps, plain = (PARTS, ", ") if word.endswith(",") else (GAPS, " ")
        words += [before + bare + after, str(rng.choice(gaps)) if rng.random() < 0.5 else plain]
    letters = LETTERS[rng.integers(len(LETTERS))]
    return str(rng.choice(EDGES)) + letters("".join(words[:-1])) + str(rng.choice(ENDS))
