"""The drawings of lesson 10: what reaches what, seams, when a chunk is ready and when it is heard, windows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ..model.audio import mel_spectrogram
from ..model.continuation import Window
from .picture import Picture, compact_picture, figure_picture, matrix_figure, new_figure
from .players import draw_spectrogram
from .svg import GREY, INK, LIT, PAPER, RULE

STYLES = ((LIT, "-"), (INK, "--"), ("#b4531a", ":"), (GREY, "-."))


def influence(rows: dict[str, Tensor], own: int) -> Picture:
    """How strongly each frame acts on one sample: bars on a logarithmic scale, a cross where it is exactly 0.

    Args:
        rows: title to sizes [T], not negative.
        own: the frame in whose time the sample lies; it is outlined.
    """
    figure, axes = new_figure(8.4, 2.6, len(rows), squeeze=False, sharey=True)
    smallest = min(float(values[values > 0].min()) for values in rows.values())
    for axis, (name, values) in zip(axes[0], rows.items(), strict=True):
        sizes = values.double().numpy()
        at = np.arange(len(sizes))
        edges = [INK if t == own else LIT for t in at]
        axis.bar(at, sizes, color=LIT, edgecolor=edges, linewidth=[2.5 if t == own else 0.3 for t in at])
        none = at[sizes == 0]
        axis.plot(none, np.full(len(none), smallest), "x", color=INK, markersize=4)
        axis.set_yscale("log")
        axis.set_title(name, fontsize=9, loc="left")
        axis.set_xlabel(f"frame (bold: {own}, the sample's own; cross: exactly 0)", fontsize=9)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("size of the gradient", fontsize=9)
    return figure_picture(figure, f"which frames act on one sample: {', '.join(rows)}")


def reach(changes: dict[str, Tensor], frame: int, hop: int) -> Picture:
    """How much each sample changes when one frame does.

    Args:
        changes: title to sizes [N], not negative.
        frame: the frame that was changed; its own time is shaded.
        hop: samples in a frame.
    """
    figure, axes = new_figure(8.4, 2.6)
    axes.axvspan(frame, frame + 1, color=RULE, label="the frame's own time")
    for (name, values), (colour, dash) in zip(changes.items(), STYLES, strict=False):
        sizes = values.double().numpy()
        most = sizes[: len(sizes) // 32 * 32].reshape(-1, 32).max(1)  # the largest of 32 samples: fewer points to draw
        at = (np.arange(len(most)) + 0.5) * 32 / hop
        axes.plot(at[most > 0], most[most > 0], dash, color=colour, linewidth=1.3, label=name)
    axes.set_yscale("log")
    axes.set(xlabel="time in frames", ylabel="change")
    axes.legend(frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure_picture(figure, f"how far the change of frame {frame} reaches: {', '.join(changes)}")


def seam(clips: dict[str, Tensor], at: int, around: int, sample_rate: int) -> Picture:
    """Several sounds [N] over the same few samples around a seam; the first is drawn wide, the others on it."""
    figure, axes = new_figure(8.4, 2.8)
    ms = np.arange(-around, around) / sample_rate * 1000
    for i, (name, sound) in enumerate(clips.items()):
        piece = sound[at - around : at + around].numpy()
        colour, dash = ("#a9b8d6", "-") if i == 0 else STYLES[i % len(STYLES)]
        axes.plot(ms, piece, dash, color=colour, linewidth=5 if i == 0 else 1.3, label=name)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set(xlabel="milliseconds from the seam", ylabel="amplitude")
    figure.legend(loc="outside upper left", ncols=len(clips), frameon=False, fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure_picture(figure, f"the sound around a seam: {', '.join(clips)}")


def errors(differences: dict[str, Tensor], sample_rate: int, seams: Sequence[float], floor: float = -170) -> Picture:
    """How large each difference [N] is over time, in dB of amplitude 1, over 5 ms; dotted uprights mark the seams."""
    count = len(differences)
    figure, rows = new_figure(8.4, 0.6 + 1.1 * count, rows=count, sharex=True, sharey=True, squeeze=False)
    block = max(1, sample_rate // 200)
    for axis, (name, difference) in zip(rows[:, 0], differences.items(), strict=True):
        n = len(difference) // block
        size = difference[: n * block].double().view(n, block).square().mean(1).sqrt().numpy()
        level = 20 * np.log10(np.maximum(size, 10 ** (floor / 20)))
        axis.fill_between((np.arange(n) + 0.5) * block / sample_rate, floor, level, color=LIT, linewidth=0)
        for one in seams:
            axis.axvline(one, color=INK, linewidth=0.7, linestyle=":")
        axis.set_title(name, fontsize=9, loc="left")
        axis.set_ylim(floor, 0)
        axis.set_xlim(0, len(difference) / sample_rate)
        axis.tick_params(labelsize=8)
        axis.spines[["top", "right"]].set_visible(False)
    rows[-1, 0].set_xlabel("seconds (dotted: seams)", fontsize=9)
    figure.supylabel("error (dB of amplitude 1)", fontsize=9)
    return figure_picture(figure, f"size of the error over time: {', '.join(differences)}")


def stairs(columns: dict[str, Sequence[float]], across: str, up: str) -> Picture:
    """Counts after each step, as stairs: a count lasts until the next step."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = new_figure(8.4, 2.8)
    for (name, values), (colour, dash) in zip(columns.items(), STYLES, strict=False):
        axes.step(range(1, len(values) + 2), [*values, values[-1]], dash, where="post", color=colour, label=name)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel=across, ylabel=up)
    axes.legend(frameon=False, fontsize=8)
    axes.grid(color=RULE, linewidth=0.8)
    axes.spines[["top", "right"]].set_visible(False)
    return figure_picture(figure, f"{up} by {across}: {', '.join(columns)}")


def playing(ready: Sequence[float], lengths: Sequence[float]) -> list[float]:
    """When each chunk begins to sound: as soon as it is there and the one before has ended.

    Args:
        ready: seconds at which each chunk is there.
        lengths: seconds that each lasts.

    Raises:
        ValueError: not as many lengths as chunks.
    """
    if len(ready) != len(lengths):
        raise ValueError(f"expected a length for each of the {len(ready)} chunks, not {len(lengths)}")
    starts, free = [], 0.0
    for there, length in zip(ready, lengths, strict=True):
        starts.append(max(there, free))
        free = starts[-1] + length
    return starts


def timeline(rows: dict[str, tuple[Sequence[float], Sequence[float]]]) -> Picture:
    """Bars for the time in which each chunk is heard, and a mark where it was ready.

    Args:
        rows: title to (seconds at which each chunk is ready, seconds that each lasts).
    """
    figure, axes = new_figure(8.4, 0.9 + 0.55 * len(rows))
    for i, (ready, lengths) in enumerate(rows.values()):
        axes.barh([i] * len(ready), lengths, left=playing(ready, lengths), height=0.5, color=LIT, edgecolor="#9db4dc")
        axes.plot(ready, [i - 0.36] * len(ready), "v", color=INK, markersize=5)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("seconds from the start (mark: chunk ready; bar: chunk heard)")
    axes.spines[["top", "right"]].set_visible(False)
    return figure_picture(figure, f"when chunks are ready and when they are heard: {', '.join(rows)}")


def window_bars(windows: Sequence[Window], frame_rate: float) -> Picture:
    """Windows over a long clip, one below the other: what each repeats is pale, what it writes is dark."""
    figure, axes = new_figure(8.4, 0.8 + 0.34 * len(windows))
    for i, window in enumerate(windows):
        start, end, known = window.start / frame_rate, window.end / frame_rate, window.known / frame_rate
        if known:
            axes.barh(i, known, left=start, height=0.7, color=PAPER, edgecolor=INK, hatch="//", linewidth=0.8)
            axes.text(start + known / 2, i, f"keeps {known:g} s", ha="center", va="center", fontsize=8)
            axes.texts[-1].set_bbox({"facecolor": PAPER, "edgecolor": "none", "pad": 1})
        axes.barh(i, end - start - known, left=start + known, height=0.7, color=LIT, edgecolor=INK, linewidth=0.8)
        middle = (start + known + end) / 2
        axes.text(middle, i, f"writes {end - start - known:g} s", ha="center", va="center", fontsize=8, color=PAPER)
    axes.set_yticks(range(len(windows)), [f"window {i + 1}" for i in range(len(windows))])
    axes.invert_yaxis()
    axes.set_xlabel("seconds of the clip")
    axes.spines[["top", "right"]].set_visible(False)
    told = "; ".join(f"{w.start / frame_rate:g} to {w.end / frame_rate:g} s" for w in windows)
    return figure_picture(figure, f"windows over a long clip: {told}")


def correlations(names: Sequence[str], values: Tensor) -> Picture:
    """How alike the parts of clips are, two by two: values [n, n] from -1 to 1, each written into its cell.

    Raises:
        ValueError: not as many rows and columns as names.
    """
    figure, axes = matrix_figure(names, values.numpy(), 0.9, 0, 0.5, "correlation")  # 0 and below: nothing in common
    axes.set_yticks(range(len(names)), names)
    axes.set_xticks(range(len(names)), names)
    return figure_picture(figure, f"correlations of {', '.join(names)}")


def marked_spectrogram(audio: Tensor, sample_rate: int, marks: Sequence[float], what: str) -> Picture:
    """The mel spectrogram of a sound [N] with uprights at some seconds, named by `what`."""
    figure, axes = new_figure(8.4, 2.4)
    draw_spectrogram(axes, mel_spectrogram(audio, sample_rate), audio.shape[-1] / sample_rate, sample_rate)
    for mark in marks:
        axes.axvline(mark, color=PAPER, linewidth=3)
        axes.axvline(mark, color=INK, linewidth=1.2, linestyle="--")
    axes.set_title(f"dashed: {what}", fontsize=9, loc="left")
    return compact_picture(figure, f"spectrogram; {what} at {', '.join(f'{mark:.1f} s' for mark in marks)}", dpi=130)
