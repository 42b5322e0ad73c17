"""The drawings of lesson 07: the loss cell by cell, captions compared, courses of training, patterns compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor

from .codes import table_cell
from .picture import Picture, figure_picture, matrix_figure, new_figure, svg_picture
from .svg import GREY, INK, LIT, RULE, label

Line = tuple[Sequence[float], Sequence[float]]
LINES = (  # colour, dash, width: each tells a line from the others without its colour
    (LIT, "-", 2.4),
    ("#c2571a", "-", 0.9),
    (INK, "--", 1.6),
    ("#2f7d4f", ":", 2.2),
)

# Colour, marker and line of each pattern: any one of the three tells them apart.
LOOKS = {
    "parallel": ("#c2571a", "s", "-"),
    "delay": (LIT, "o", "-"),
    "coarse-first": ("#6b6b75", "^", "--"),
    "flattening": (INK, "D", ":"),
    "partial delay": ("#5f86c9", "v", "-."),
    "partial flattening": (GREY, "P", "-."),
}


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
            body += table_cell(left + s * cell, y, cell, height, f"{nats[k, s]:.2f}" if valid[k, s] else "·")
        mean = nats[k][valid[k]].mean()
        body += label(side + 66, y + height / 2, f"{mean:.3f}  (of {int(valid[k].sum())})", weight="bold")
    described = f"loss in nats of {int(valid.sum())} target cells in a table of {K} codebooks and {S} positions"
    return svg_picture(body, side + 140, top + K * height + 10, described)


def similarity_table(names: Sequence[str], values: Tensor) -> Picture:
    """How alike n things are, two by two: values [n, n] from -1 to 1, each written into its cell.

    Raises:
        ValueError: not as many rows and columns as names.
    """
    figure, axes = matrix_figure(names, values.detach().float().cpu().numpy(), 1.1, -1, 0.3, "cosine")
    axes.set_yticks(range(len(names)), [f"{i}  {name}" for i, name in enumerate(names)])
    axes.set_xticks(range(len(names)))
    return figure_picture(figure, f"cosines between {len(names)} texts: {'; '.join(names)}")


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
        one.grid(color=RULE, linewidth=0.8)
        one.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel(up)
    told = "; ".join(f"{title}: {', '.join(lines)}" for title, lines in panels.items())
    return figure_picture(figure, f"{up} against {across}: {told}")


def _draw_patterns(axes, patterns: dict[str, dict], key: str) -> None:
    """Means of a figure over the codes seen, a line a pattern, with deviations where there are several seeds."""
    for name, pattern in patterns.items():
        if key not in pattern:
            continue
        colour, marker, line = LOOKS.get(name, ("#2c7a4b", "X", "-"))
        means = [v["mean"] for v in pattern[key]]
        deviations = [v["deviation"] or 0.0 for v in pattern[key]]
        millions = [codes / 1e6 for codes in pattern["codes"]]
        look = {"color": colour, "marker": marker, "ls": line, "capsize": 3, "ms": 5, "lw": 1.4}
        axes.errorbar(millions, means, deviations, label=name, **look)
    axes.set_xscale("log")
    ticks = [codes / 1e6 for codes in next(iter(patterns.values()))["codes"]]
    axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("codes seen in training, millions")
    axes.spines[["top", "right"]].set_visible(False)


def _compared(comparison: dict[str, dict], names: Sequence[str], up: str, draw: Callable, told: str) -> Picture:
    """A panel for each experiment, drawn by draw(axes, its patterns), and to the right one legend for all of them."""
    figure, axes = new_figure(4.2 * len(names) + 1.2, 3.6, len(names), squeeze=False)
    shown = {}
    for one, name in zip(axes[0], names, strict=True):
        patterns = comparison[name]["patterns"]
        draw(one, patterns)
        seeds = len(next(iter(patterns.values()))["seeds"])
        one.set_title(f"{name}: {seeds} seed{'s' if seeds > 1 else ''}", fontsize=10)
        for handle, pattern in zip(*one.get_legend_handles_labels(), strict=True):
            shown.setdefault(pattern, handle)
    axes[0][0].set_ylabel(up)
    place = {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}
    axes[0][-1].legend(shown.values(), shown, frameon=False, fontsize=9, **place)
    return figure_picture(figure, f"{told}: {', '.join(names)}")


def learning_curves(comparison: dict[str, dict], names: Sequence[str] | None = None) -> Picture:
    """Validation in nats a frame over the codes seen, one panel an experiment; bars are deviations over the seeds.

    Where the best possible value of a pattern is known, it is a thin line with the pattern's name on it.

    Args:
        comparison: as `experiments.patterns.comparison.load_comparison` gives it: experiments by name.
        names: which experiments; None is all.
    """

    def draw(axes, patterns: dict[str, dict]) -> None:
        _draw_patterns(axes, patterns, "nats")
        exact = {}
        for pattern, measured in patterns.items():
            if "exact" in measured:
                exact.setdefault(round(measured["exact"], 6), []).append(pattern)
        for value, who in exact.items():
            axes.axhline(value, color=GREY, lw=0.8)
            best = " and ".join(who if len(who) < 3 else (who[0], f"{len(who) - 1} others"))
            axes.annotate(f"best: {best}", (0.01, value), xycoords=("axes fraction", "data"), va="bottom", fontsize=7)

    told = "validation of each pattern over the codes seen"
    return _compared(comparison, list(names or comparison), "validation, nats a frame", draw, told)


def behind_delay(comparison: dict[str, dict], names: Sequence[str] | None = None) -> Picture:
    """How many nats a frame each pattern pays above delay with the same seed; below 0 it is better than delay."""

    def draw(axes, patterns: dict[str, dict]) -> None:
        _draw_patterns(axes, {p: v for p, v in patterns.items() if p != "delay"}, "behind_delay")
        axes.axhline(0, color=LIT, lw=1.4)
        axes.annotate("delay", (0.01, 0), xycoords=("axes fraction", "data"), va="bottom", fontsize=8, color=LIT)

    told = "nats a frame of each pattern above delay's"
    return _compared(comparison, list(names or comparison), "above delay, nats a frame", draw, told)
