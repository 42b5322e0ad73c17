"""The picture of the whole system, with the part lit that a lesson is about."""

from __future__ import annotations

from .picture import Picture, svg_picture
from .svg import GREY, INK, LIT, PALE, PAPER, label

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
