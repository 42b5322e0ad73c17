"""The generator's clip and settings as HTML."""

from __future__ import annotations

import html

from ...figures.players import player_html
from ..page import empty_place, still_page
from .state import Generator

CELL = "padding:2px 10px;text-align"


def clip(generator: Generator) -> str:
    """The last clip with its spectrogram, or the place where it will appear."""
    if generator.audio is None:
        return empty_place("The player appears here.")
    return player_html(generator.audio, generator.model.sample_rate, str(generator.made_with))


def still(generator: Generator):
    """Settings and clip without controls."""
    rows = "".join(
        f'<tr><th style="{CELL}:right">{name}</th><td style="{CELL}:left">{html.escape(value)}</td></tr>'
        for name, value in generator.settings.shown().items()
    )
    return still_page(f"<table>{rows}</table>", clip(generator))
