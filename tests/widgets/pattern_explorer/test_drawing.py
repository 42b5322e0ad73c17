"""The pattern explorer's picture shows what its state says."""

from __future__ import annotations

import re

import pytest

from musicgen_edu.model.patterns import pattern_table
from musicgen_edu.widgets.pattern_explorer import Exploration, picture, still
from musicgen_edu.widgets.pattern_explorer.state import FOUR


def cells(svg: str, kind: str) -> int:
    """How many cells of a kind an SVG holds."""
    return sum(path.count("z") for path in re.findall(rf'<path class="{kind}" d="([^"]*)"', svg))


def signs(svg: str, kind: str, sign: str) -> int:
    found = re.findall(rf'<text class="{kind}" x="([^"]*)"[^>]*>([^<]*)</text>', svg)
    assert all(len(xs.split()) == len(text) and set(text) == {sign} for xs, text in found)
    return sum(len(text) for _, text in found)


@pytest.mark.parametrize("choice", [{}, {"K": 8, "T": 24, "now": 40}, {"K": 1, "T": 2, "k": 0, "t": 1, "now": 1}])
def test_the_picture_shows_what_the_logic_says(choice):
    exploration = Exploration(**choice)
    svg = picture(exploration)
    known = sum(int(exploration.known(name).sum()) for name in FOUR)
    written = sum(int(exploration.written(name).sum()) for name in FOUR)
    total = 4 * exploration.choice.K * exploration.choice.T
    assert cells(svg, "known") == known + 1  # one more in the legend
    assert cells(svg, "now") == written + 1
    assert cells(svg, "later") == total - known - written + 1
    seen = sum(int(exploration.seen(name).sum()) for name in FOUR)
    assert signs(svg, "seen", "•") == seen + 1
    assert signs(svg, "ignored", "×") == total - 4 - seen + 1
    assert signs(svg, "chosen", "◆") == 5
    for name in FOUR:
        assert f"{name}: {exploration.facts(name).split(';')[0]}" in svg


def test_looking_closely_shows_the_sequence_too():
    exploration = Exploration(view="two closely", K=3, T=4, now=2)
    svg = picture(exploration)
    assert cells(svg, "special") == 3 * 5 + 3 * 7 - 2 * 12  # columns S + 1 of both, less their codes
    assert svg.count("columns 0 to 2 are read, column 3 is written") == 2
    exploration.move(now=4)
    assert "the sequence is complete" in picture(exploration)  # parallel, which has 4 steps
    assert "columns 0 to 4 are read, column 5 is written" in picture(exploration)


def test_the_picture_is_one_svg_with_a_description():
    svg = picture(Exploration())
    assert svg.startswith("<svg")
    assert svg.endswith("</svg>")
    assert svg.count("<svg") == 1
    assert 'role="img" aria-label="Step 5. parallel: 5 of 12 steps done' in svg
    assert len(svg) < 60_000


def test_the_still_picture_needs_no_script(sound):
    page = still(Exploration(sound=sound)).data
    for wanted in ("still picture", "<svg", "<audio", "flattening", "may see"):
        assert wanted in page
    assert "<script" not in page
    evil = Exploration(own={"<b>x": lambda K, T: pattern_table("delay", K, T)}, sound=sound, heard="<b>x")
    evil.move(view="two closely", first="<b>x")
    assert "<b>x" not in still(evil).data
