"""The drawings that the lessons share. Each is an image with a description for those who cannot see it.

All are drawn on their own light ground, so they can be read in a dark theme too, and what colour says is also said by
a number, an outline or a word.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

import numpy as np
from torch import Tensor

from ..model.audio import draw_spectrogram, mel_spectrogram

INK, PAPER, GREY, LIT, PALE = "#1b1b1f", "#ffffff", "#8a8a94", "#1f4e9c", "#f1f1f4"


class Picture:
    """An image that a notebook shows: `source` is a data URL, `description` what a screen reader says."""

    def __init__(self, source: str, description: str, width: int):
        self.source, self.description, self.width = source, description, width

    def _repr_html_(self) -> str:
        alt = html.escape(self.description, quote=True)
        return f'<img src="{self.source}" alt="{alt}" width="{self.width}" style="max-width:100%;height:auto">'

    def __repr__(self) -> str:
        return f"Picture: {self.description}"


def svg_picture(body: str, width: int, height: int, description: str) -> Picture:
    """Shapes in SVG as a picture of `width` x `height` pixels on a light ground."""
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="DejaVu Sans, Verdana, sans-serif" font-size="13" fill="{INK}">'
        f'<rect width="{width}" height="{height}" rx="6" fill="{PAPER}"/>{body}</svg>'
    )
    return Picture(f"data:image/svg+xml;base64,{base64.b64encode(text.encode()).decode()}", description, width)


def figure_picture(figure, description: str) -> Picture:
    """A matplotlib figure as a picture, drawn with two pixels for each one it takes on the page."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200)
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return Picture(source, description, round(100 * figure.get_figwidth()))


def new_figure(width: float, height: float, columns: int = 1, **options):
    """A matplotlib figure in inches (100 pixels each) and its axes, apart from any figure that pyplot keeps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots(1, columns, **options)


def label(x: float, y: float, text: str, size: int = 13, colour: str = INK, weight: str = "normal") -> str:
    """SVG: one line of text, centred on (x, y)."""
    return (
        f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" font-weight="{weight}" text-anchor="middle" '
        f'dominant-baseline="central">{html.escape(text)}</text>'
    )


# ---- the picture of the whole system ---------------------------------------------------------------------------

# name: (x, y, lines of text, what it is). Tensors and texts have round corners, what computes has sharp ones.
BOXES: dict[str, tuple[int, int, tuple[str, ...], str]] = {
    "prompt": (95, 48, ("prompt", "B texts"), "data"),
    "text_encoder": (285, 48, ("text encoder", "(T5)"), "machine"),
    "states": (475, 48, ("text states", "[B, L, D]"), "data"),
    "sequence": (95, 160, ("sequence", "[B, K, S]"), "data"),
    "embedding": (285, 160, ("embedding", "sum of K + position"), "machine"),
    "decoder": (475, 160, ("decoder", "(transformer)"), "machine"),
    "logits": (665, 160, ("K heads: logits", "[B, K, S, V]"), "data"),
    "sampling": (855, 160, ("guidance", "and sampling"), "machine"),
    "pattern": (95, 272, ("pattern", "undone"), "machine"),
    "codes": (285, 272, ("codes", "[B, K, T]"), "data"),
    "codec_decoder": (570, 272, ("codec: decoder", "RVQ and EnCodec"), "machine"),
    "audio": (855, 272, ("audio", "[B, C, N]"), "data"),
    "codec_encoder": (570, 352, ("codec: encoder", "EnCodec and RVQ"), "machine"),
}
BOX_WIDTH, BOX_HEIGHT = 156, 54
ARROWS = (  # points of each path, and whether it is used in training only
    ("M173 48 H207", False),
    ("M363 48 H397", False),
    ("M475 75 V133", False),
    ("M173 160 H207", False),
    ("M363 160 H397", False),
    ("M553 160 H587", False),
    ("M743 160 H777", False),
    ("M855 133 V106 H95 V133", False),
    ("M95 187 V245", False),
    ("M173 272 H207", False),
    ("M363 272 H492", False),
    ("M648 272 H777", False),
    ("M855 299 V352 H648", True),
    ("M492 352 H285 V299", True),
)


def _box(name: str, lit: bool) -> str:
    x, y, lines, kind = BOXES[name]
    fill, stroke, ink, width = (LIT, INK, PAPER, 3) if lit else (PALE if kind == "machine" else PAPER, GREY, INK, 1.5)
    shape = (
        f'<rect x="{x - BOX_WIDTH / 2}" y="{y - BOX_HEIGHT / 2}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" '
        f'rx="{18 if kind == "data" else 2}" fill="{fill}" stroke="{stroke}" stroke-width="{width}"/>'
    )
    weight = "bold" if lit else "normal"
    return shape + label(x, y - 10, lines[0], 15, ink, weight) + label(x, y + 11, lines[1], 13, ink, weight)


def pipeline(*lit: str, width: int = 940) -> Picture:
    """The whole system as one drawing, with some boxes lit.

    Args:
        lit: names of `BOXES`; none lights nothing.
        width: pixels on the page.

    Raises:
        ValueError: no box has that name.
    """
    dashes = ' stroke-dasharray="6 4"'
    for name in lit:
        if name not in BOXES:
            raise ValueError(f"the picture has no box {name!r}: expected some of {', '.join(BOXES)}")
    arrows = "".join(
        f'<path d="{path}" fill="none" stroke="{INK}" stroke-width="1.6" marker-end="url(#tip)"'
        f"{dashes if training else ''}/>"
        for path, training in ARROWS
    )
    tip = (
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 L8 4 L0 8 z" fill="{INK}"/></marker></defs>'
    )
    # The text's way crosses the line that leads back: a gap of paper lets one pass over the other.
    bridge = (
        f'<path d="M475 96 V116" stroke="{PAPER}" stroke-width="9"/>'
        f'<path d="M475 92 V120" stroke="{INK}" stroke-width="1.6"/>'
    )
    notes = (
        label(545, 88, "cross-attention", 13)
        + label(735, 94, "K tokens a step, S steps", 13)
        + label(388, 338, "only to train", 13)
    )
    body = tip + arrows + bridge + notes + "".join(_box(name, name in lit) for name in BOXES)
    told = f"; lit: {', '.join(' '.join(BOXES[name][2]) for name in lit)}" if lit else ""
    picture = svg_picture(body, 940, 390, f"MusicGen from prompt to audio{told}")
    picture.width = width
    return picture


# ---- text -------------------------------------------------------------------------------------------------------


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


# ---- codes ------------------------------------------------------------------------------------------------------


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
            body += _cell(left + s * cell, y, cell, height, "·" if token == special else str(token), (k, s) in outlined)
    described = f"sequence: {K} codebooks, {columns} columns, outlined cells {list(outlined)}"
    return svg_picture(body, left + columns * cell + 10, top + K * height + 10, described)


def _cell(x: float, y: float, width: int, height: int, text: str, outlined: bool) -> str:
    fill, stroke, thick = ("#ffe9a8", INK, 3) if outlined else ("#d4d4da" if text == "·" else PAPER, GREY, 1)
    inset = thick / 2
    return (
        f'<rect x="{x + inset}" y="{y + inset}" width="{width - thick}" height="{height - thick}" fill="{fill}" '
        f'stroke="{stroke}" stroke-width="{thick}"/>'
        + label(x + width / 2, y + height / 2, text, 13, INK, "bold" if outlined else "normal")
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
    tones, hatches, width = ("#d9d9de", "#8fa8d0", LIT), ("", "//", ""), 0.8 / len(names)
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
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure_picture(figure, f"probabilities of {count} tokens, {', '.join(names)}; drawn: {chosen}")


# ---- sound ------------------------------------------------------------------------------------------------------


def waveform_and_spectrogram(audio: Tensor, sample_rate: int) -> Picture:
    """The same sound [N] twice: its samples over time, and its mel spectrogram below."""
    from matplotlib.figure import Figure

    samples = audio.detach().float().cpu().reshape(-1).numpy()
    seconds = len(samples) / sample_rate
    figure = Figure(figsize=(8.4, 3.8), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(1, 1.6))
    upper.plot(np.arange(len(samples)) / sample_rate, samples, color=LIT, linewidth=0.4)
    upper.set_ylabel("amplitude")
    upper.set_ylim(-1, 1)
    draw_spectrogram(lower, mel_spectrogram(samples, sample_rate), seconds, sample_rate)
    return figure_picture(figure, f"waveform and mel spectrogram of {seconds:g} s of audio")


def side_by_side(clips: dict[str, Tensor], sample_rate: int):
    """Captioned players with their spectrograms, next to each other where there is room.

    Args:
        clips: caption to audio [N] or [C, N].
        sample_rate: Hz.
    """
    from IPython.display import HTML

    from ..model.audio import player_html

    panes = [
        f'<div style="flex:1 1 380px;max-width:480px">{player_html(audio, sample_rate, caption)}</div>'
        for caption, audio in clips.items()
    ]
    return HTML(f'<div style="display:flex;flex-wrap:wrap;gap:4px 20px">{"".join(panes)}</div>')
