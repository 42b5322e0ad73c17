"""The words of a prompt, codes and sequences as pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from .picture import Picture, figure_picture, new_figure, svg_picture
from .svg import EMPTY, GREY, INK, LIT, MARKED, PALE, PAPER, SOFT, label


def token_chips(pieces: Sequence[str], numbers: Sequence[int]) -> Picture:
    """The pieces of a prompt in a row, each above its number in the vocabulary."""
    x, body = 10.0, ""
    for piece, number in zip(pieces, numbers, strict=True):
        width = max(34.0, 9.0 * len(piece) + 14)
        body += f'<rect x="{x}" y="10" width="{width}" height="30" rx="4" fill="{PALE}" stroke="{GREY}"/>'
        body += label(x + width / 2, 25, piece) + label(x + width / 2, 54, str(number), 12, "#55555f")
        x += width + 6
    return svg_picture(body, round(x + 4), 70, "tokens: " + " ".join(pieces))


def text_states(states: Tensor, pieces: Sequence[str]) -> Picture:
    """Text states [L, D] as a picture: one row a token, one column a dimension, brightness the value."""
    L, D = states.shape
    figure, axes = new_figure(8.4, 0.9 + 0.24 * L)
    values = states.detach().float().cpu().numpy()
    limit = float(np.abs(values).max())
    image = axes.imshow(values, aspect="auto", cmap="cividis", vmin=-limit, vmax=limit, interpolation="nearest")
    axes.set_yticks(range(L), pieces)
    axes.set_xlabel(f"dimension, 0 to {D - 1}")
    figure.colorbar(image, ax=axes, label="value", pad=0.01)
    return figure_picture(figure, f"text states: {L} rows, one a token, of {D} numbers")


def code_image(codes: Tensor, frame_rate: float, codebook_size: int) -> Picture:
    """Codes [K, T] as coloured cells, time in seconds across, one row a codebook. Colours only tell numbers apart."""
    K, T = codes.shape
    figure, axes = new_figure(8.4, 0.8 + 0.3 * K)
    image = axes.imshow(
        codes.cpu().numpy(),
        aspect="auto",
        cmap="viridis",
        vmin=0,
        vmax=codebook_size - 1,
        interpolation="nearest",
        extent=(0, T / frame_rate, K - 0.5, -0.5),
    )
    axes.set_yticks(range(K), [f"codebook {k}" for k in range(K)])
    axes.set_xlabel("time (s)")
    figure.colorbar(image, ax=axes, label="code", pad=0.01)
    return figure_picture(figure, f"codes: {K} codebooks, {T} frames")


def sequence_table(sequence: Tensor, special: int, outlined: Sequence[tuple[int, int]] = (), cell: int = 58) -> Picture:
    """A sequence [K, columns] as a table: numbers where a code stands, a dot on grey for the special token.

    Args:
        sequence: int64 [K, columns].
        special: the token of empty cells.
        outlined: cells (codebook, column) to fill and to outline.
        cell: width of a cell in pixels.
    """
    K, columns = sequence.shape
    left, top, height = 100, 34, 32
    body = label(left / 2, top / 2, "column", 12)
    for s in range(columns):
        body += label(left + (s + 0.5) * cell, top / 2, str(s), 12)
    for k, row in enumerate(sequence.tolist()):
        y = top + k * height
        body += label(left / 2, y + height / 2, f"codebook {k}", 12)
        for s, token in enumerate(row):
            shown = "·" if token == special else str(token)
            body += table_cell(left + s * cell, y, cell, height, shown, (k, s) in outlined)
    described = f"sequence: {K} codebooks, {columns} columns, outlined cells {list(outlined)}"
    return svg_picture(body, left + columns * cell + 10, top + K * height + 10, described)


def table_cell(x: float, y: float, width: int, height: int, words: str, outlined: bool = False) -> str:
    """SVG: a cell of a table; a dot stands on grey, and an outlined cell is filled and bold too."""
    fill, stroke, thick = (MARKED, INK, 3) if outlined else (EMPTY if words == "·" else PAPER, GREY, 1)
    inset = thick / 2
    return (
        f'<rect x="{x + inset}" y="{y + inset}" width="{width - thick}" height="{height - thick}" fill="{fill}" '
        f'stroke="{stroke}" stroke-width="{thick}"/>'
        + label(x + width / 2, y + height / 2, words, 13, INK, "bold" if outlined else "normal")
    )


def token_probabilities(columns: dict[str, Tensor], chosen: int, count: int = 14) -> Picture:
    """Bars of the most likely tokens of one codebook, one set of bars for each named distribution [V].

    The last distribution decides which tokens are shown and in which order; the chosen one is marked.
    """
    names = list(columns)
    top = columns[names[-1]].topk(count).indices.tolist()
    if chosen not in top:
        top = [*top[:-1], chosen]
    figure, axes = new_figure(8.4, 2.9)
    tones, hatches, width = ("#d9d9de", SOFT, LIT), ("", "//", ""), 0.8 / len(names)
    for i, name in enumerate(names):
        place = np.arange(count) + (i - (len(names) - 1) / 2) * width
        heights = columns[name].float().cpu()[top].numpy()
        axes.bar(
            place, heights, width, label=name, color=tones[i % 3], hatch=hatches[i % 3], edgecolor=INK, linewidth=0.6
        )
    axes.set_xticks(range(count), [f"{t}\n(drawn)" if t == chosen else str(t) for t in top])
    axes.set_xlabel("token")
    axes.set_ylabel("probability")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    return figure_picture(figure, f"probabilities of {count} tokens, {', '.join(names)}; drawn: {chosen}")
