"""The pattern explorer as one SVG string, and its words and player as HTML.

Fill says when a code is written (solid: known; framed: now; hatched: to come), a sign says what the chosen code
may use (dot: may be seen; cross: must be ignored; diamond: the code itself). Each kind of cell is a single path, so a
picture of a thousand cells stays small and is drawn in milliseconds.
"""

from __future__ import annotations

import html

from torch import Tensor

from ...figures.players import player_html
from ...figures.svg import EMPTY, GREY, INK, LIT, MARKED, PAPER, SOFT, drawing, label, png, words_at
from ...model.patterns import holds_code, num_steps
from ..page import status, still_page
from .state import Exploration

WIDTH, MARGIN = 920, 10
SIGNS = {"seen": "•", "ignored": "×", "chosen": "◆"}
HEAD, FOOT, LEGEND = 60, 36, 40


def picture(exploration: Exploration) -> str:
    """The state as an SVG string."""
    four = len(exploration.shown) == 4
    K = exploration.choice.K
    height = min(24.0, 150 / K) if four else min(30.0, 180 / K)
    body, panel = _legend(), HEAD + K * height + FOOT
    for i, name in enumerate(exploration.shown):
        if four:
            x, y = MARGIN + (i % 2) * (WIDTH / 2), LEGEND + (i // 2) * panel
            body += _head(exploration, name, x, y) + _by_frame(exploration, name, x, y + HEAD, WIDTH / 2 - 20, height)
        else:
            y = LEGEND + i * panel
            body += _head(exploration, name, MARGIN, y)
            body += _by_frame(exploration, name, MARGIN, y + HEAD, 380, height)
            body += _by_column(exploration, name, MARGIN + 400, y + HEAD, WIDTH - 400 - 2 * MARGIN, height)
    told = " ".join(f"{name}: {exploration.facts(name)}; {exploration.glance(name)}." for name in exploration.shown)
    return drawing(body, WIDTH, LEGEND + panel * 2 + 4, f"Step {exploration.choice.now}. {told}")


def _legend() -> str:
    """The three fills and the three signs in one row, with their words."""
    x, y, body = MARGIN + 4.0, 11.0, ""
    for kind, words in (("known", "known"), ("now", "predicted in this step"), ("later", "to come")):
        body += _fills({kind: [(x, y)]}, 20, 20) + words_at(x + 26, y + 10, words)
        x += 44 + 6.7 * len(words)
    for kind, words in (("chosen", "the code you look at"), ("seen", "it may see"), ("ignored", "it must ignore")):
        body += _signs({kind: [(x, y)]}, 20, 20) + words_at(x + 24, y + 10, words)
        x += 42 + 6.7 * len(words)
    return body


def _head(exploration: Exploration, name: str, x: float, y: float) -> str:
    facts = exploration.facts(name).split("; ")
    return words_at(x, y + 16, f"{name}: {facts[0]}", 14, weight="bold") + words_at(x, y + 34, "; ".join(facts[1:]))


def _kinds(exploration: Exploration, name: str, places: list[list[tuple[float, float]]]) -> tuple[dict, dict]:
    """Places of the cells by fill, and by sign."""
    c = exploration.choice
    masks = {"known": exploration.known(name), "now": exploration.written(name)}
    masks["later"] = ~(masks["known"] | masks["now"])
    seen = exploration.seen(name)
    ignored = ~seen
    ignored[c.k, c.t] = False
    signs = {"seen": seen, "ignored": ignored}

    def chosen(mask: Tensor) -> list[tuple[float, float]]:
        return [places[k][t] for k, t in mask.nonzero().tolist()]

    return (
        {kind: chosen(mask) for kind, mask in masks.items()},
        {kind: chosen(mask) for kind, mask in signs.items()} | {"chosen": [places[c.k][c.t]]},
    )


def _fills(cells: dict[str, list[tuple[float, float]]], width: float, height: float) -> str:
    """Cells by kind, one path for each kind; those to come are hatched, those of now are framed."""
    body = ""
    box = f"h{width:.1f}v{height:.1f}h-{width:.1f}z"
    looks = {
        "special": (EMPTY, PAPER, 0.8),
        "later": (PAPER, GREY, 0.8),
        "known": (SOFT, PAPER, 0.8),
        "now": (MARKED, INK, 2.6 if width > 6 else 1.2),
    }
    for kind, (fill, stroke, thick) in looks.items():
        places = cells.get(kind, [])
        if not places:
            continue
        outline = "".join(f"M{x:.1f} {y:.1f}{box}" for x, y in places)
        body += f'<path class="{kind}" d="{outline}" fill="{fill}" stroke="{stroke}" stroke-width="{thick}"/>'
        if kind == "later" and width > 6:  # two strokes across the corners, so that the middle is free for a sign
            a, b = width / 2, height / 2
            strokes = "".join(
                f"M{x:.1f} {y + b:.1f}l{a:.1f} -{b:.1f}M{x + a:.1f} {y + height:.1f}l{a:.1f} -{b:.1f}"
                for x, y in places
            )
            body += f'<path d="{strokes}" stroke="{GREY}" stroke-width="0.8"/>'
    return body


def _signs(cells: dict[str, list[tuple[float, float]]], width: float, height: float) -> str:
    """The signs, one text element for each row and kind; too small a cell has none but the chosen one's frame."""
    body, size = "", min(16.0, 0.8 * width, 0.8 * height)
    for x, y in cells.get("chosen", []):
        body += (
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="none" stroke="{PAPER}" '
            f'stroke-width="5"/><rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="none" '
            f'stroke="{LIT}" stroke-width="3"/>'
        )
    if size < 5:
        return body
    for kind, sign in SIGNS.items():
        rows: dict[float, list[str]] = {}
        for x, y in cells.get(kind, []):
            rows.setdefault(y, []).append(f"{x + width / 2:.1f}")
        for y, xs in rows.items():
            body += (
                f'<text class="{kind}" x="{" ".join(xs)}" y="{y + height / 2:.1f}" font-size="{size:.1f}" '
                f'text-anchor="middle" dominant-baseline="central">{sign * len(xs)}</text>'
            )
    return body


def _by_frame(exploration: Exploration, name: str, x: float, y: float, room: float, height: float) -> str:
    """The grid of codes: codebooks down, frames across."""
    K, T = exploration.choice.K, exploration.choice.T
    left = 34
    width = min(34.0, (room - left) / T)
    places = [[(x + left + t * width, y + k * height) for t in range(T)] for k in range(K)]
    fills, signs = _kinds(exploration, name, places)
    body = _fills(fills, width, height) + _signs(signs, width, height)
    for k in range(K):
        body += label(x + left - 10, y + (k + 0.5) * height, str(k), 11)
    for t in range(0, T, 1 if width >= 18 else 2):
        body += label(x + left + (t + 0.5) * width, y + K * height + 9, str(t), 11)
    body += words_at(x, y - 6, "codebook", 11) + words_at(x + left, y + K * height + 24, "frame", 11)
    return body


def _by_column(exploration: Exploration, name: str, x: float, y: float, room: float, height: float) -> str:
    """The same codes in the sequence: column 0 the start, column s + 1 for step s; what is read, what is written."""
    step, now = exploration.tables[name], exploration.choice.now
    K, T = step.shape
    S = num_steps(step)
    width = min(34.0, room / (S + 1))
    places = [[(x + (s + 1) * width, y + k * height) for s in row] for k, row in enumerate(step.tolist())]
    fills, signs = _kinds(exploration, name, places)
    empty = (~holds_code(step)).nonzero().tolist()
    fills["special"] = [(x + column * width, y + k * height) for k, column in empty]
    body = _fills(fills, width, height) + _signs(signs, width, height)
    every = max(1, round(28 / width + 0.5)) if width < 18 else 1
    for column in range(0, S + 1, every):
        body += label(x + (column + 0.5) * width, y - 8, str(column), 11)
    below = y + K * height + 6
    read = min(now, S - 1) + 1
    body += f'<path d="M{x:.1f} {below:.1f}h{read * width:.1f}" stroke="{INK}" stroke-width="3"/>'
    if now < S:
        body += f'<path d="M{x + read * width + 1.5:.1f} {below:.1f}h{max(2, width - 3):.1f}" stroke="{LIT}" '
        body += 'stroke-width="6"/>'
        words = f"columns 0 to {now} are read, column {now + 1} is written"
    else:
        words = "the sequence is complete"
    return body + words_at(x, below + 18, f"{words}; grey: special token", 11)


def words(exploration: Exploration) -> str:
    """What the picture shows, a line for each pattern."""
    lines = [f"<b>{html.escape(name)}</b>: {html.escape(exploration.glance(name))}." for name in exploration.shown]
    return status("<br>".join(lines))


def player(exploration: Exploration) -> str:
    """What is known by now as sound, above its spectrogram, and how it was made; words where there is none to hear."""
    sound, told = exploration.sound, exploration.listening()
    if sound is None:
        return ""
    note = f"<div><small>{html.escape(sound.note())}</small></div>"
    counts = sound.counts(exploration.known(exploration.choice.heard))
    if not exploration.audible or not counts.any():
        return f"<div>Sound: {html.escape(told)}.</div>{note}"
    spectrogram = (
        '<img alt="mel spectrogram: time to the right, frequency upwards" style="display:block;width:100%;height:90px;'
        f'max-width:640px;image-rendering:pixelated" src="{png(sound.shades(counts))}">'
    )
    return player_html(sound.audio(counts), sound.sample_rate, told, spectrogram=False) + spectrogram + note


def still(exploration: Exploration):
    """Picture, words and sound without controls."""
    return still_page(picture(exploration), words(exploration), player(exploration))
