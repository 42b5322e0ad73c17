"""The drawings of the trained patterns in lesson 07: validation over codes seen, over seconds, and against delay."""

from __future__ import annotations

from collections.abc import Sequence

from . import INK, LIT, Picture, figure_picture, new_figure

# Colour, marker and line of each pattern: any one of the three tells them apart.
LOOKS = {
    "parallel": ("#c2571a", "s", "-"),
    "delay": (LIT, "o", "-"),
    "coarse-first": ("#6b6b75", "^", "--"),
    "flattening": (INK, "D", ":"),
    "partial delay": ("#5f86c9", "v", "-."),
    "partial flattening": ("#8a8a94", "P", "-."),
}


def _points(pattern: dict, key: str) -> tuple[list[float], list[float]]:
    """Means and deviations of a pattern's curve; 0 where there is one seed only."""
    return [v["mean"] for v in pattern[key]], [v["deviation"] or 0.0 for v in pattern[key]]


def _draw_curves(axes, patterns: dict[str, dict], key: str) -> None:
    for name, pattern in patterns.items():
        if key not in pattern:
            continue
        colour, marker, line = LOOKS.get(name, ("#2c7a4b", "X", "-"))
        means, deviations = _points(pattern, key)
        millions = [codes / 1e6 for codes in pattern["codes"]]
        axes.errorbar(
            millions,
            means,
            deviations,
            label=name,
            color=colour,
            marker=marker,
            ls=line,
            capsize=3,
            ms=5,
            lw=1.4,
        )
    axes.set_xscale("log")
    ticks = [codes / 1e6 for codes in next(iter(patterns.values()))["codes"]]
    axes.set_xticks(ticks, [f"{tick:.2g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel("codes seen in training, millions")
    axes.spines[["top", "right"]].set_visible(False)


def _legend(row) -> None:
    """One legend to the right of the last panel, with the patterns of all panels."""
    shown = {}
    for axes in row:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            shown.setdefault(name, handle)
    row[-1].legend(shown.values(), shown, frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5))


def _title(name: str, experiment: dict) -> str:
    seeds = len(next(iter(experiment["patterns"].values()))["seeds"])
    return f"{name}: {seeds} seed{'s' if seeds > 1 else ''}"


def learning_curves(comparison: dict[str, dict], names: Sequence[str] | None = None) -> Picture:
    """Validation in nats a frame over the codes seen, one panel an experiment; bars are deviations over the seeds.

    Where the best possible value of a pattern is known, it is a thin line with the pattern's name on it.

    Args:
        comparison: from `pattern_comparison.load_comparison`, or {"name": {"patterns": summarize(results)}}.
        names: which experiments; None is all.
    """
    names = list(names or comparison)
    figure, axes = new_figure(4.2 * len(names) + 1.2, 3.6, len(names), squeeze=False)
    for one, name in zip(axes[0], names, strict=True):
        patterns = comparison[name]["patterns"]
        _draw_curves(one, patterns, "nats")
        exact = {}
        for pattern, measured in patterns.items():
            if "exact" in measured:
                exact.setdefault(round(measured["exact"], 6), []).append(pattern)
        for value, who in exact.items():
            one.axhline(value, color="#8a8a94", lw=0.8)
            best = " and ".join(who if len(who) < 3 else (who[0], f"{len(who) - 1} others"))
            one.annotate(f"best: {best}", (0.01, value), xycoords=("axes fraction", "data"), va="bottom", fontsize=7)
        one.set_title(_title(name, comparison[name]), fontsize=10)
    axes[0][0].set_ylabel("validation, nats a frame")
    _legend(axes[0])
    return figure_picture(figure, f"validation of each pattern over the codes seen: {', '.join(names)}")


def behind_delay(comparison: dict[str, dict], names: Sequence[str] | None = None) -> Picture:
    """How many nats a frame each pattern pays above delay with the same seed; below 0 it is better than delay."""
    names = list(names or comparison)
    figure, axes = new_figure(4.2 * len(names) + 1.2, 3.6, len(names), squeeze=False)
    for one, name in zip(axes[0], names, strict=True):
        others = {p: v for p, v in comparison[name]["patterns"].items() if p != "delay"}
        _draw_curves(one, others, "behind_delay")
        one.axhline(0, color=LIT, lw=1.4)
        one.annotate("delay", (0.01, 0), xycoords=("axes fraction", "data"), va="bottom", fontsize=8, color=LIT)
        one.set_title(_title(name, comparison[name]), fontsize=10)
    axes[0][0].set_ylabel("above delay, nats a frame")
    _legend(axes[0])
    return figure_picture(figure, f"nats a frame of each pattern above delay's: {', '.join(names)}")


def nats_against_seconds(comparison: dict[str, dict], names: Sequence[str] | None = None) -> Picture:
    """Validation at the end over the processor seconds that training took: what equal codes hide."""
    names = list(names or comparison)
    figure, axes = new_figure(4.2 * len(names) + 1.2, 3.4, len(names), squeeze=False)
    for one, name in zip(axes[0], names, strict=True):
        for pattern, measured in comparison[name]["patterns"].items():
            colour, marker, _ = LOOKS.get(pattern, ("#2c7a4b", "X", "-"))
            (*_, mean), (*_, deviation) = _points(measured, "nats")
            one.errorbar(
                measured["cpu"]["mean"], mean, deviation, color=colour, marker=marker, capsize=3, label=pattern, ls=""
            )
        one.set_title(_title(name, comparison[name]), fontsize=10)
        one.set_xlim(left=0)
        one.set_xlabel("training, CPU seconds")
        one.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("validation, nats a frame")
    _legend(axes[0])
    return figure_picture(figure, f"validation of each pattern over the seconds of its training: {', '.join(names)}")
