"""The drawings of lesson 03: codebooks on codebooks in the plane, and curves that need no colour to be told apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from .picture import STYLES, Picture, figure_picture, new_figure
from .svg import GREY, INK, LIT, RULE


def curves(
    lines: dict[str, tuple[Sequence[float], Sequence[float]]],
    across: str,
    up: str,
    whole: bool = False,
    height: float = 3.2,
) -> Picture:
    """Named lines through points, each with a marker and a dash of its own.

    Args:
        lines: name to (values across, values up).
        across, up: labels of the axes.
        whole: ticks across only at whole numbers.
        height: inches.
    """
    figure, axes = new_figure(8.4, height)
    for i, (name, (x, y)) in enumerate(lines.items()):
        marker, line, colour = STYLES[i % len(STYLES)]
        axes.plot(x, y, marker=marker, linestyle=line, color=colour, linewidth=1.6, markersize=6, label=name)
    if whole:
        axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_xlabel(across)
    axes.set_ylabel(up)
    axes.grid(color=RULE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    return figure_picture(figure, f"{up} against {across}: {', '.join(lines)}")


def grids_on_grids(first: Tensor, second: Tensor, point: Tensor) -> Picture:
    """Two codebooks [V, 2] in the plane: the second one stands around every entry of the first.

    Left, the point goes to its nearest entry of the first codebook; right, what is left over to the second's.
    """
    first, second, point = (one.detach().cpu().numpy() for one in (first, second, point))
    nearest = first[((first - point) ** 2).sum(1).argmin()]
    sums = first[:, None] + second[None]  # [V, V, 2]
    best = nearest + second[((second - (point - nearest)) ** 2).sum(1).argmin()]
    figure, (left, right) = new_figure(8.4, 4.2, 2, sharex=True, sharey=True)
    for axes in (left, right):
        axes.scatter(*first.T, s=110, marker="s", color=LIT, zorder=3, label="codebook 0")
        axes.scatter(*point, s=120, marker="*", color=INK, zorder=5, label="the point")
        axes.set_aspect("equal")
        axes.axhline(0, color=GREY, linewidth=1)
        axes.axvline(0, color=GREY, linewidth=1)
    _arrow(left, nearest, point)
    left.set_title("stage 0: nearest of 4, and what is left over", fontsize=10)
    for centre, around in zip(first, sums, strict=True):
        for one in around:
            right.plot(*np.stack([centre, one]).T, color="#b9c4da", linewidth=1, zorder=1)
    right.scatter(*sums.reshape(-1, 2).T, s=42, color="#c2571a", zorder=2, label="codebook 0 + codebook 1")
    _arrow(right, nearest, best)
    right.set_title("stage 1: the same 4 small steps around each", fontsize=10)
    for place in (-4, 4):
        right.axhline(place, color=GREY, linewidth=0.7, linestyle=":", zorder=0)
        right.axvline(place, color=GREY, linewidth=0.7, linestyle=":", zorder=0)
    figure.legend(*right.get_legend_handles_labels(), fontsize=8, loc="outside lower center", ncols=3, frameon=False)
    return figure_picture(figure, f"{len(first)} entries of codebook 0, {sums[..., 0].size} sums with codebook 1")


def _arrow(axes, start: np.ndarray, end: np.ndarray) -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": INK, "linewidth": 2}, zorder=4)
