"""The drawings of lesson 04: a codec's layers, what they compute, how far they reach, what a discriminator sees."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from .picture import Picture, compact_picture, figure_picture, new_figure, svg_picture
from .svg import GREY, INK, LIT, PALE, label, words_at


def layer_funnel(rows: Sequence[tuple[str, int, int]], title: str) -> Picture:
    """Layers from top to bottom as bars: as wide as the signal is long, as thick as it has channels, in doublings.

    Args:
        rows: (name, channels, length) of what each layer gives out.
        title: first words of the description.
    """
    y, body, top = 8.0, "", max(math.log2(length) for _, _, length in rows)
    for i, (name, channels, length) in enumerate(rows):
        width, height = 360 * math.log2(length) / top, max(18, 10 + 3.0 * math.log2(channels))
        fill = (PALE, "#c9d6ea")[i % 2]
        body += f'<rect x="{470 - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{fill}" '
        body += f'stroke="{GREY}"/>' + label(470, y + height / 2, f"{channels} × {length}", 13, INK, "bold")
        body += words_at(275, y + height / 2, name, 13, "end")
        y += height + 4
    told = "; ".join(f"{name}: {channels} x {length}" for name, channels, length in rows)
    return svg_picture(body, 680, round(y + 6), f"{title}, channels x length: {told}")


def activations(stages: dict[str, Tensor], start: float, seconds: float) -> Picture:
    """What layers give out, each [C, T]: one row a channel less its mean, time across, brightness the value.

    Args:
        stages: name to values; each gets a scale of its own.
        start, seconds: where the piece begins and how long it is.
    """
    figure, rows = new_figure(8.4, 1.35 * len(stages) + 0.3, rows=len(stages), sharex=True, squeeze=False)
    for axes, (name, values) in zip(rows[:, 0], stages.items(), strict=True):
        C, T = values.shape
        shown = (values - values.mean(1, keepdim=True)).float().cpu().numpy()
        limit = float(np.percentile(np.abs(shown), 99)) or 1.0
        extent = (start, start + seconds, C - 0.5, -0.5)
        smooth = "nearest" if T < 800 else "auto"  # cells with edges, unless there are more than pixels
        axes.imshow(shown, aspect="auto", cmap="cividis", vmin=-limit, vmax=limit, extent=extent, interpolation=smooth)
        axes.set_title(f"{name}: {C} channels of {T}", fontsize=9, loc="left")
        axes.set_ylabel("channel")
    rows[-1, 0].set_xlabel("time (s)")
    told = ", ".join(f"{name} {list(values.shape)}" for name, values in stages.items())
    return compact_picture(figure, f"activations: {told}")


def reach_picture(moved: dict[str, Tensor], hop: int, frame: int) -> Picture:
    """How much each sample [N] moves with one latent frame, on a logarithmic scale, one panel for each name."""
    figure, columns = new_figure(8.4, 2.5, len(moved), sharey=True)
    told = []
    for axes, (name, values) in zip(np.atleast_1d(columns), moved.items(), strict=True):
        size = values.detach().abs().float().cpu().numpy()
        places = np.arange(len(size)) / hop - frame
        touched = np.flatnonzero(size)
        axes.semilogy(places[touched], size[touched] / size.max(), color=LIT, linewidth=0.6)
        axes.axvspan(0, 1, color=GREY, alpha=0.35)
        axes.text(0.5, 0.5, "frame", rotation=90, ha="center", va="center", transform=axes.get_xaxis_transform())
        for edge in (places[touched[0]], places[touched[-1]]):
            axes.axvline(edge, color=INK, linestyle="--", linewidth=1)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("sample, in frames from the start of its own")
        told.append(f"{name}: {touched[0] - frame * hop} to {touched[-1] - frame * hop} samples")
    np.atleast_1d(columns)[0].set_ylabel("derivative / largest")
    return figure_picture(figure, "reach of one latent frame, " + "; ".join(told))


def stft_views(clips: dict[str, Tensor], windows: Sequence[int], sample_rate: int) -> Picture:
    """Magnitudes (dB) of the STFT of each clip [N] with each window: one row a clip, one column a window."""
    size = (10.4, 1.9 * len(clips) + 0.3)
    figure, grid = new_figure(*size, len(windows), len(clips), sharex=True, sharey=True, squeeze=False)
    for i, (name, audio) in enumerate(clips.items()):
        for axes, window in zip(grid[i], windows, strict=True):
            spectrum = torch.stft(audio, window, window // 4, window=torch.hann_window(window), return_complex=True)
            decibels = 20 * (spectrum.abs() / window + 1e-6).log10().cpu().numpy()
            extent = (0, audio.shape[-1] / sample_rate, 0, sample_rate / 2000)
            axes.imshow(
                decibels, origin="lower", aspect="auto", cmap="magma", vmin=-100, vmax=-20, extent=extent,
                interpolation="nearest",
            )  # fmt: skip
            if i == 0:
                axes.set_title(f"window {window}", fontsize=9)
            if i == len(clips) - 1:
                axes.set_xlabel("time (s)")
        grid[i, 0].set_ylabel(f"{name}\nkHz")
    return compact_picture(figure, f"STFT magnitudes of {', '.join(clips)} with windows of {list(windows)} samples")
