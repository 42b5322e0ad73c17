"""The drawings of lesson 07: the loss cell by cell, captions against captions, and the course of a training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from . import GREY, INK, LIT, PAPER, Picture, figure_picture, label, new_figure, svg_picture

Line = tuple[Sequence[float], Sequence[float]]
LINES = (  # colour, dash, width: each tells a line from the others without its colour
    (LIT, "-", 2.4),
    ("#c2571a", "-", 0.9),
    (INK, "--", 1.6),
    ("#2f7d4f", ":", 2.2),
)


def loss_table(nats: Tensor, valid: Tensor, cell: int = 62) -> Picture:
    """What each cell costs, and each codebook's mean; a cell that is no target is grey and holds a dot.

    Args:
        nats: [K, S]; what stands outside `valid` is not looked at.
        valid: bool [K, S], which cells are targets; each codebook needs one.
        cell: width of a cell in pixels.

    Raises:
        ValueError: the shapes differ, or a codebook has no target.
    """
    if nats.shape != valid.shape or nats.ndim != 2:
        raise ValueError(f"nats and valid must have one shape [K, S], not {list(nats.shape)} and {list(valid.shape)}")
    if not valid.any(1).all():
        raise ValueError(f"each codebook needs a target, but the counts are {valid.sum(1).tolist()}")
    K, S = nats.shape
    left, top, height = 100, 34, 34
    side = left + S * cell + 14
    body = label(left / 2, top / 2, "position", 12) + label(side + 66, top / 2, "mean of the row", 12)
    for s in range(S):
        body += label(left + (s + 0.5) * cell, top / 2, str(s), 12)
    for k in range(K):
        y = top + k * height
        body += label(left / 2, y + height / 2, f"codebook {k}", 12)
        for s in range(S):
            body += _cell(left + s * cell, y, cell, height, f"{nats[k, s]:.2f}" if valid[k, s] else "·")
        mean = nats[k][valid[k]].mean()
        body += label(side + 66, y + height / 2, f"{mean:.3f}  (of {int(valid[k].sum())})", weight="bold")
    described = f"loss in nats of {int(valid.sum())} target cells in a table of {K} codebooks and {S} positions"
    return svg_picture(body, side + 140, top + K * height + 10, described)


def _cell(x: float, y: float, width: int, height: int, text: str) -> str:
    fill = "#d4d4da" if text == "·" else PAPER
    return (
        f'<rect x="{x + 0.5}" y="{y + 0.5}" width="{width - 1}" height="{height - 1}" fill="{fill}" stroke="{GREY}"/>'
        + label(x + width / 2, y + height / 2, text)
    )


def similarity_table(names: Sequence[str], values: Tensor) -> Picture:
    """How alike n things are, two by two: values [n, n] from -1 to 1, each written into its cell."""
    n = len(names)
    if values.shape != (n, n):
        raise ValueError(f"{n} names need values of shape [{n}, {n}], not {list(values.shape)}")
    figure, axes = new_figure(8.4, 1.1 + 0.42 * n)
    numbers = values.detach().float().cpu().numpy()
    image = axes.imshow(numbers, cmap="Greys", vmin=-1, vmax=1, aspect="auto")
    for i in range(n):
        for j in range(n):
            ink = PAPER if numbers[i, j] > 0.3 else INK
            axes.text(j, i, f"{numbers[i, j]:.2f}", ha="center", va="center", fontsize=9, color=ink)
    axes.set_yticks(range(n), [f"{i}  {name}" for i, name in enumerate(names)])
    axes.set_xticks(range(n))
    figure.colorbar(image, ax=axes, label="cosine", pad=0.01)
    return figure_picture(figure, f"cosines between {n} texts: {'; '.join(names)}")


def courses(
    panels: dict[str, dict[str, Line]], across: str, up: str, moments: Sequence[float] = (), height: float = 3.3
) -> Picture:
    """Lines over the course of a training, in panels next to each other.

    Args:
        panels: title to named lines (values across, values up). The first line of a panel is thick, and
            the others are drawn over it.
        across, up: labels of the axes.
        moments: places that dotted uprights mark, in every panel.
        height: inches.
    """
    if not panels or not all(panels.values()):
        raise ValueError("there must be at least one panel, and at least one line in each")
    figure, axes = new_figure(8.4, height, len(panels), squeeze=False)
    for one, (title, lines) in zip(axes[0], panels.items(), strict=True):
        for i, (name, (x, y)) in enumerate(lines.items()):
            colour, dash, width = LINES[i % len(LINES)]
            one.plot(np.asarray(x), np.asarray(y), dash, color=colour, linewidth=width, label=name, zorder=3 + i)
        for moment in moments:
            one.axvline(moment, color=GREY, linewidth=1, linestyle=":", zorder=0)
        one.set_title(title, fontsize=10)
        one.set_xlabel(across)
        one.legend(frameon=False, fontsize=8)
        one.grid(color="#e4e4e8", linewidth=0.8)
        one.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel(up)
    told = "; ".join(f"{title}: {', '.join(lines)}" for title, lines in panels.items())
    return figure_picture(figure, f"{up} against {across}: {told}")
