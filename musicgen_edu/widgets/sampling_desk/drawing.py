"""The sampling desk as one SVG string, and its words and clips as HTML.

A token's column holds a bar and two signs. The bar says what becomes of it: solid, it may be drawn, with this
probability; hatched, top-k or top-p cut it, and this is the probability that it had. The signs say what the model
itself thinks: a ring with the text, a cross without it. A triangle stands over the token that the seed draws.
"""

from __future__ import annotations

import html
from functools import lru_cache

from ...figures.players import player_html
from ...figures.svg import GREY, INK, LIT, PALE, PAPER, RULE, SOFT, drawing, label, words_at
from ..page import empty_place, message, status, still_page
from .choice import Clip
from .state import KEPT_CLIPS, SHOWN, Desk

LEFT, TOP, STRIP, TALL, GAP, BOX = 58, 92, 19, 250, 66, 76
WIDTH, HEIGHT = LEFT + SHOWN * STRIP + GAP + BOX + 52, TOP + TALL + 66
BASE, BOX_LEFT = TOP + TALL, LEFT + SHOWN * STRIP + GAP


def picture(desk: Desk) -> str:
    """The state as an SVG string."""
    told = [*desk.in_words().splitlines()[:2], desk.measured()]  # the clips are not in the picture
    return drawing(_legend(desk) + _bars(desk) + _rest(desk), WIDTH, HEIGHT, "\n".join(told))


def _legend(desk: Desk) -> str:
    """What is looked at, and what bars and signs mean."""
    c = desk.choice
    title = f"codebook {c.codebook} of frame {c.frame}: the tokens, likeliest first"
    title += "; heights are square roots" if c.axis == "square root" else ""
    body = words_at(12, 18, title, 14, weight="bold")
    x, y = 14.0, 46.0
    for kind, words in (
        ("kept", "may be drawn"),
        ("cut", "cut: what it had"),
        ("conditional", "model with the text"),
        ("unconditional", "model without the text"),
        ("drawn", f"drawn by seed {c.seed}"),
    ):
        if kind in ("kept", "cut"):
            body += _boxes(kind, [(x, y + 8, 16, 16)])
        else:
            body += _signs(kind, [(x + 8, y + (6 if kind == "drawn" else 0))])
        body += words_at(x + 24, y, words)
        x += 48 + 7.1 * len(words)
    return body


def _bars(desk: Desk) -> str:
    """The axis, and for each of the likeliest tokens its bar, its signs and its number."""
    found, tokens = desk.found, desk.shown.tolist()
    columns = [
        getattr(found, name)[desk.shown].tolist() for name in ("after", "before", "conditional", "unconditional")
    ]
    top = max(max(column) for column in columns)
    root = desk.choice.axis == "square root"

    def height(probability: float) -> float:
        return TALL * (probability / top) ** (0.5 if root else 1)

    boxes: dict[str, list] = {"kept": [], "cut": []}
    signs: dict[str, list] = {"unconditional": [], "conditional": [], "drawn": []}
    names = ""
    for i, (token, after, before, conditional, unconditional) in enumerate(zip(tokens, *columns, strict=True)):
        x = LEFT + i * STRIP
        boxes["kept" if after else "cut"].append((x + 3, BASE, STRIP - 6, height(after or before)))
        signs["unconditional"].append((x + STRIP - 5, BASE - height(unconditional)))
        signs["conditional"].append((x + 5, BASE - height(conditional)))
        if token == desk.token:
            signs["drawn"].append((x + STRIP / 2, TOP - 8))
        told = f"kept, {after:.2%}" if after else f"cut, was {before:.2%}"
        told = f"token {token}: {told}; with the text {conditional:.2%}, without {unconditional:.2%}"
        names += _name(x, token, told)
    bars = "".join(_boxes(kind, places) for kind, places in boxes.items())
    return _axis(top, root) + bars + "".join(_signs(kind, places) for kind, places in signs.items()) + names


def _name(x: float, token: int, told: str) -> str:
    """A token's number below its bar, and what is told where the mouse rests on it."""
    middle, y = x + STRIP / 2, BASE + 8
    number = words_at(middle, y, str(token), 10, "end", more=f' transform="rotate(-90 {middle:.1f} {y})"')
    return (
        f'{number}<rect x="{x}" y="{TOP}" width="{STRIP}" height="{TALL + 40}" fill="none" pointer-events="all">'
        f"<title>{told}</title></rect>"
    )


def _axis(top: float, root: bool) -> str:
    """Rules at round probabilities, with their numbers."""
    if root:
        places = [place for place in _ROOTS if place <= top and (place / top) ** 0.5 > 0.04]
        heights = [(place / top) ** 0.5 for place in places]
    else:
        step = next(step for step in _ROUND if top / step <= 6)
        places = [i * step for i in range(1, int(top / step) + 1)]
        heights = [place / top for place in places]
    body = f'<path d="M{LEFT} {BASE}h{SHOWN * STRIP}" stroke="{INK}"/>' + words_at(LEFT - 6, BASE, "0%", 11, "end")
    for place, part in zip(places, heights, strict=True):
        y = BASE - TALL * part
        body += f'<path d="M{LEFT} {y:.1f}h{SHOWN * STRIP}" stroke="{RULE}"/>'
        body += words_at(LEFT - 6, y, f"{100 * place:g}%", 11, "end")
    return body + words_at(LEFT + SHOWN * STRIP / 2, BASE + 52, "token", 12, "middle")


_ROUND = [digit * 10.0**power for power in range(-6, 1) for digit in (1, 2, 5)]
_ROOTS = [1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.04, 0.1, 0.2, 0.4, 0.7, 1.0]


def _rest(desk: Desk) -> str:
    """All other tokens in one box, whose full height is 100%."""
    others = desk.found.after.numel() - len(desk.shown)
    if not others:
        return ""
    rest = desk.rest
    body = f'<rect x="{BOX_LEFT}" y="{TOP}" width="{BOX}" height="{TALL}" fill="{PALE}" stroke="{GREY}"/>'
    for part in (0.0, 0.5, 1.0):
        body += words_at(BOX_LEFT + BOX + 6, BASE - part * TALL, f"{part:.0%}", 11)
    half = BOX / 2
    body += _boxes("kept", [(BOX_LEFT + 5, BASE, half - 8, TALL * rest["after"])])
    body += _boxes("cut", [(BOX_LEFT + half + 3, BASE, half - 8, TALL * rest["cut"])])
    for kind, at in (("unconditional", half + 8), ("conditional", half - 8)):
        body += _signs(kind, [(BOX_LEFT + at, BASE - TALL * rest[kind])])
    if desk.token not in desk.shown.tolist():
        body += _signs("drawn", [(BOX_LEFT + half, TOP - 6)])
    middle = BOX_LEFT + half
    body += label(middle, BASE + 14, f"the other {others}", 12) + label(middle, BASE + 30, f"{rest['after']:.1%}", 12)
    return body + label(middle, BASE + 46, f"{rest['kept']} may be drawn", 11)


def _boxes(kind: str, boxes: list[tuple[float, float, float, float]]) -> str:
    """Bars as one path: (left, bottom, width, height) each. Those cut are hatched."""
    if not boxes:
        return ""
    outline = "".join(f"M{x:.1f} {y:.1f}h{w:.1f}v{-h:.2f}h{-w:.1f}z" for x, y, w, h in boxes)
    fill, stroke = (SOFT, LIT) if kind == "kept" else (PAPER, INK)
    body = f'<path class="{kind}" d="{outline}" fill="{fill}" stroke="{stroke}"/>'
    if kind == "cut":
        body += f'<path d="{"".join(_hatch(*box) for box in boxes)}" stroke="{INK}" stroke-width="0.8"/>'
    return body


def _hatch(x: float, bottom: float, w: float, h: float, apart: int = 5) -> str:
    """Strokes across a bar, from its lower left to its upper right.

    A pattern of SVG would need a name, and the page may hold many such pictures, some of them hidden.
    """
    strokes = ""
    for d in range(apart, int(w + h), apart):
        x1, y1 = x + max(0.0, d - h), bottom - min(d, h)
        x2, y2 = x + min(d, w), bottom - max(0.0, d - w)
        strokes += f"M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"
    return strokes


def _signs(kind: str, places: list[tuple[float, float]]) -> str:
    """Signs at their places as one path: a ring, a cross on a white ground, or a triangle that points down."""
    if not places:
        return ""
    if kind == "conditional":
        rings = "".join(f"M{x - 3.5:.1f} {y:.1f}a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0" for x, y in places)
        return f'<path class="{kind}" d="{rings}" fill="{PAPER}" fill-opacity="0.5" stroke="{INK}" stroke-width="1.6"/>'
    if kind == "unconditional":
        crosses = "".join(f"M{x - 3.5:.1f} {y - 3.5:.1f}l7 7m-7 0l7 -7" for x, y in places)
        under = f'<path d="{crosses}" stroke="{PAPER}" stroke-width="4"/>'
        return f'{under}<path class="{kind}" d="{crosses}" stroke="{INK}" stroke-width="1.6"/>'
    triangles = "".join(f"M{x:.1f} {y:.1f}l-7 -12h14z" for x, y in places)
    return f'<path class="{kind}" d="{triangles}" fill="{LIT}" stroke="{INK}"/>'


CELL = "text-align:right;padding:2px 12px"
MEASURES = ("", "entropy", "tokens kept", "likeliest", "KL from the model with the text")


def words(desk: Desk) -> str:
    """What is measured, as a table, and one sentence on the token."""
    head = "".join(f'<th scope="col" style="{CELL}">{name}</th>' for name in MEASURES)
    rows = ""
    for name, bits, count, largest, divergence in desk.measures():
        told = (f"{bits:.2f} bits", str(count), f"{largest:.1%}", f"{divergence:.2f} bits")
        cells = "".join(f'<td style="{CELL}">{one}</td>' for one in told)
        rows += f'<tr><th scope="row" style="{CELL}">{name}</th>{cells}</tr>'
    return status(f'<table style="margin:0"><tr>{head}</tr>{rows}</table>{html.escape(desk.drawing())}')


@lru_cache(maxsize=KEPT_CLIPS)
def player(clip: Clip) -> str:
    """A clip and its spectrogram, which takes too long to be drawn for each choice."""
    return player_html(clip.audio, clip.sample_rate, f"Clip {clip.number}: {clip.made_with}")


def place(clip: Clip | None, letter: str) -> str:
    """A clip below the letter of its place, or an empty place."""
    return empty_place(f"Clip {letter} appears here.") if clip is None else f"<b>{letter}</b>{player(clip)}"


def still(desk: Desk):
    """Settings, picture, figures and the last clips without controls."""
    clips = "".join(player(clip) for clip in desk.clips[-2:])
    return still_page(message(desk.in_words()), picture(desk), words(desk), clips)
