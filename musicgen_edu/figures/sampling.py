"""The drawings of lesson 08: distributions, the draw, the influence of a caption, and the curves of guidance.

Lines differ in marker and dash as well as in colour, and bars in hatching, so all can be read in black and white.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from .picture import STYLES, Picture, figure_picture, new_figure
from .svg import GREY, INK, LIT, PALE, RULE

ATTRIBUTES = ("timbre", "tempo", "tonic", "mode", "drums")


def distributions(named: dict[str, Tensor], count: int = 24) -> Picture:
    """Several distributions [V] over the same tokens, one row of bars each; a cross marks a token that is shut out.

    Args:
        named: title to probabilities.
        count: how many tokens to show: the likeliest ones of the first distribution. The share of the tokens that are
            not shown is written.
    """
    shown = next(iter(named.values())).topk(count).indices
    figure, rows = new_figure(8.4, 0.6 + 1.2 * len(named), rows=len(named), sharex=True, squeeze=False)
    for axis, (name, probabilities) in zip(rows[:, 0], named.items(), strict=True):
        heights = probabilities.float()[shown].numpy()
        axis.bar(range(count), heights, 0.75, color=LIT, edgecolor=INK, linewidth=0.5)
        out = np.flatnonzero(heights == 0)
        axis.plot(out, np.zeros(len(out)), "x", color=INK, markersize=4)
        entropy = float(-(probabilities * probabilities.clamp(min=1e-30).log()).sum())
        rest = 1 - float(heights.sum())
        axis.set_title(f"{name}: entropy {abs(entropy):.2f} nats; other tokens {rest:.0%}", fontsize=9, loc="left")
        highest = max(float(heights.max()), 0.02)
        axis.set_ylim(-0.06 * highest, 1.08 * highest)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    rows[-1, 0].set_xticks(range(count), [str(token) for token in shown.tolist()], rotation=60, fontsize=7)
    rows[-1, 0].set_xlabel("token", fontsize=9)
    return figure_picture(figure, f"bars of {count} tokens under {', '.join(named)}")


def over_time(lines: dict[str, Tensor], frame_rate: float, up: str, beat: float | None = None) -> Picture:
    """One value a frame, for each name a row of its own on the same scale; thin lines mark the beats.

    Args:
        lines: title to values [T].
        frame_rate: frames per second.
        up: what the values are.
        beat: seconds from beat to beat.
    """
    height = 0.5 + 1.2 * len(lines)
    figure, rows = new_figure(8.4, height, rows=len(lines), sharex=True, sharey=True, squeeze=False)
    for axis, (name, values) in zip(rows[:, 0], lines.items(), strict=True):
        seconds = np.arange(len(values)) / frame_rate
        if beat:
            for i in range(int(seconds[-1] / beat) + 1):
                axis.axvline(i * beat, color=GREY, linewidth=0.7, linestyle=":")
        axis.fill_between(seconds, values.float().numpy(), step="post", color=LIT, alpha=0.25)
        axis.step(seconds, values.float().numpy(), where="post", color=LIT, linewidth=1)
        axis.set_title(name, fontsize=9, loc="left")
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    rows[-1, 0].set_xlabel("seconds" + ("; dotted: the beats" if beat else ""), fontsize=9)
    figure.supylabel(up, fontsize=9)
    return figure_picture(figure, f"{up} over time: {', '.join(lines)}")


def inverse_draw(probabilities: Sequence[float], uniforms: Sequence[float]) -> Picture:
    """The running sum of a distribution as stairs; each uniform number goes right until it meets a step, then down."""
    figure, axes = new_figure(8.4, 3.0)
    V = len(probabilities)
    running = np.concatenate([[0], np.cumsum(probabilities)])
    for i, p in enumerate(probabilities):
        axes.fill_between(
            [i, i + 1], running[i], running[i + 1], color=PALE if p else "none", edgecolor=INK, hatch="//"
        )
        axes.plot([i, i + 1], [running[i + 1]] * 2, color=INK, linewidth=1.5)
        axes.text(i + 0.5, running[i + 1] + 0.03, f"{running[i + 1]:.2f}", ha="center", fontsize=9)
    for (marker, line, colour), u in zip(STYLES, uniforms, strict=False):
        token = int((running[1:] <= u).sum())
        axes.plot([0, token + 0.5, token + 0.5], [u, u, 0], color=colour, linestyle=line, linewidth=1.6)
        axes.plot(token + 0.5, 0, marker=marker, color=colour, markersize=9, clip_on=False)
        axes.text(-0.05, u, f"u = {u:.2f}", ha="right", va="center", fontsize=9, color=colour)
    axes.set_xlim(0, V)
    axes.set_ylim(0, 1.12)
    axes.set_xticks(np.arange(V) + 0.5, [f"token {i}\n{p:.2f}" for i, p in enumerate(probabilities)])
    axes.set_yticks([])
    axes.set_ylabel("running sum", labelpad=55)
    axes.spines[["top", "right"]].set_visible(False)
    return figure_picture(figure, f"running sum of {V} probabilities and where {len(uniforms)} uniform numbers meet it")


def labelled_bars(values: dict[str, float], across: str) -> Picture:
    """Horizontal bars with their names and numbers."""
    figure, axes = new_figure(8.4, 0.6 + 0.34 * len(values))
    names, numbers = list(values), list(values.values())
    axes.barh(range(len(names)), numbers, 0.65, color=LIT, edgecolor=INK, linewidth=0.6)
    for i, number in enumerate(numbers):
        axes.text(number, i, f" {number:.3f}", va="center", fontsize=9)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12 * max(numbers))
    axes.set_xlabel(across)
    axes.spines[["top", "right"]].set_visible(False)
    return figure_picture(figure, f"{across}: " + ", ".join(f"{name} {number:.3f}" for name, number in values.items()))


def guidance_lines(result: dict) -> dict[str, list[dict]]:
    """The settings of a stored guidance report as named lines, each in order of its scale."""
    lines = {
        "logits": [one for one in result["settings"] if one["space"] == "logits" and not one["negative"]],
        "probabilities": [one for one in result["settings"] if one["space"] == "probabilities"],
        "logits, negative prompt": [one for one in result["settings"] if one["negative"]],
    }
    return {name: sorted(line, key=lambda one: one["scale"]) for name, line in lines.items()}


def _error_line(axes, x, intervals, style: int, label: str) -> None:
    """A line through values with bars from the lower to the upper end of each interval."""
    marker, line, colour = STYLES[style]
    value, low, high = np.array(intervals).T
    axes.errorbar(
        x, value, (value - low, high - value), marker=marker, linestyle=line, color=colour, linewidth=1.3,
        markersize=4, capsize=2, elinewidth=0.9, label=label,
    )  # fmt: skip


def guidance_curves(result: dict) -> Picture:
    """Adherence, diversity and distortion of `experiments.guidance.report` against the scale, with bars of 95 %."""
    titles = {
        "mean": "adherence, mean of five",
        "attributes": "adherence, guidance in logits",
        "entropy": "diversity: entropy of codes (bits)",
        "apart": "diversity: two seeds apart (log-mel)",
        "frechet": "distortion: Fréchet distance",
        "nearest": "distortion: nearest real clip",
    }
    figure, axes = new_figure(10, 6.2, 3, 2)
    panels = dict(zip(titles, axes.flat, strict=True))
    lines, ceiling = guidance_lines(result), result["ceiling"]["figures"]
    for name, panel in panels.items():
        if name == "attributes":
            for i, attribute in enumerate(ATTRIBUTES):
                x = [one["scale"] + 0.06 * (i - 2) for one in lines["logits"]]
                _error_line(panel, x, [one["figures"][attribute] for one in lines["logits"]], i, attribute)
        else:
            for i, (title, line) in enumerate(lines.items()):
                _error_line(panel, [one["scale"] for one in line], [one["figures"][name] for one in line], i, title)
            panel.axhline(ceiling[name][0], color=INK, linestyle=":", linewidth=1, label="real clips")
        if name in ("mean", "attributes"):
            panel.set_ylim(0, 1.05)
        panel.set_title(titles[name], fontsize=9, loc="left")
        panel.tick_params(labelsize=8)
        panel.grid(color=RULE, linewidth=0.7)
        panel.spines[["top", "right"]].set_visible(False)
    panels["mean"].legend(frameon=False, fontsize=7)
    panels["attributes"].legend(frameon=False, fontsize=7)
    figure.supxlabel("guidance scale (for probabilities: gamma)", fontsize=9)
    return figure_picture(figure, "adherence, diversity and distortion against the guidance scale, with error bars")
