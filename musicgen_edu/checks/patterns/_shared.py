"""What the exercises of this assignment share."""

from __future__ import annotations

import torch
from torch import Tensor

from ... import figures
from ...model.patterns import PATTERNS, pattern_table

STEREO = [0, 0, 1, 1, 2, 2, 3, 3]


def random_codes(B: int, K: int, T: int, V: int = 50) -> Tensor:
    return torch.randint(V, (B, K, T))


def tables() -> list[tuple[str, Tensor]]:
    """Every pattern of the library in some sizes, and tables that none of them is: (what, step)."""
    named = [(name, K, T) for name in PATTERNS for K, T in ((4, 5), (1, 3), (2, 1))] + [("delay", 9, 12)]
    own = {
        "delays 0, 2, 1": [[0, 1, 2], [2, 3, 4], [1, 2, 3]],  # the slowest codebook is not the last one
        "delays 2, 0": [[2, 3, 4, 5], [0, 1, 2, 3]],  # and the first one is not the quickest
        "a table with gaps": [[0, 2, 3], [5, 6, 9]],
        "a table that begins late": [[2, 3, 7], [1, 4, 5]],
    }
    found = [(f"{name}, K = {K}, T = {T}", pattern_table(name, K, T)) for name, K, T in named]
    return found + [(what, torch.tensor(step)) for what, step in own.items()]


def two_tables(target: Tensor, yours: Tensor, what: str) -> figures.Picture:
    """Two tables of numbers [K, columns] beside each other; cells that differ are framed."""
    figure, axes = figures.new_figure(8.4, 2.6, columns=2)
    for one, title, values in zip(axes, ("target", "yours"), (target, yours), strict=True):
        one.imshow(values.float().numpy(), aspect="auto", cmap="Greys", alpha=0.35)
        for (k, c), value in zip(torch.cartesian_prod(*map(torch.arange, target.shape)), values.flatten(), strict=True):
            frame = {"edgecolor": figures.INK, "facecolor": "none"} if value != target[k, c] else None
            one.text(int(c), int(k), f"{value.item():g}", ha="center", va="center", fontsize=8, bbox=frame)
        one.set_title(title)
        one.set_xlabel(what)
        one.set_yticks(range(len(target)), [f"codebook {k}" for k in range(len(target))], fontsize=8)
    return figures.figure_picture(figure, f"target and yours, codebooks by {what}; frames mark what differs")
