"""What the exercises of this assignment share."""

from __future__ import annotations

import torch
from torch import Tensor

from ... import figures
from ...model.patterns import interleave, pattern_table

FOUR = ("parallel", "delay", "flattening", "coarse-first")


def random_codes(B: int, K: int, T: int, V: int, generator: torch.Generator | None = None) -> Tensor:
    return torch.randint(V, (B, K, T), generator=generator)


def random_case(name: str, K: int, T: int, V: int = 7, B: int = 2, generator: torch.Generator | None = None) -> tuple:
    """Logits [B, K, S, V] of a model that knows nothing, codes [B, K, T], sequence [B, K, S + 1], table [K, T]."""
    table, codes = pattern_table(name, K, T), random_codes(B, K, T, V, generator)
    sequence = interleave(codes, table, V)
    logits = torch.randn(B, K, sequence.shape[2] - 1, V, generator=generator)
    return logits, codes, sequence, table


def two_curves(target: Tensor, yours: Tensor, across: str, up: str, names: list[str] | None = None) -> figures.Picture:
    """Two rows of numbers over one axis, whose places may have names: target as circles, yours as crosses."""
    figure, axes = figures.new_figure(6.4, 2.6)
    for values, name, style in ((target, "target", "o"), (yours, "yours", "x")):
        values = torch.as_tensor(values).detach().flatten().float()
        axes.plot(range(len(values)), values.numpy(), style, color=figures.INK if style == "x" else figures.LIT,
                  label=name, fillstyle="none")  # fmt: skip
    axes.set(xlabel=across, ylabel=up)
    if names:
        axes.set_xticks(range(len(names)), names)
    axes.legend(frameon=False)
    return figures.figure_picture(figure, f"target and yours: {up} by {across}")


def two_images(target: Tensor, yours: Tensor, across: str, down: str) -> figures.Picture:
    """Two tables of numbers beside each other, in greys of one scale; 0 is white."""
    if target.shape != yours.shape:
        raise ValueError("tables of different shapes are not drawn")
    figure, axes = figures.new_figure(8.4, 2.4, columns=2)
    dark = max(float(target.max()), float(yours.max()), 1e-9)
    for one, title, values in zip(axes, ("target", "yours"), (target, yours), strict=True):
        values = values.detach().float()
        one.imshow(values.numpy(), aspect="auto", cmap="Greys", vmin=0, vmax=dark, interpolation="nearest")
        if values.numel() <= 60:
            for r, c in torch.cartesian_prod(*map(torch.arange, values.shape)).tolist():
                colour = figures.PAPER if values[r, c] > 0.6 * dark else figures.INK
                one.text(c, r, f"{values[r, c]:.3g}", ha="center", va="center", fontsize=8, color=colour)
        one.set(title=title, xlabel=across, ylabel=down)
        for axis in (one.xaxis, one.yaxis):
            axis.get_major_locator().set_params(integer=True)
    return figures.figure_picture(figure, f"target and yours, {down} by {across}")
