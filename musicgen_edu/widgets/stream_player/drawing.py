"""The stream player's sounds as HTML."""

from __future__ import annotations

import html

from ...figures.svg import data_url
from ...model.audio import wav_bytes
from .state import Streamer


def live_player(address: str, caption: str = "") -> str:
    """A player that begins at once with a sound that grows."""
    told = html.escape(f"While it is being made: {caption}", quote=True)
    return (
        f'<figure style="margin:8px 0;max-width:640px"><figcaption>{told}</figcaption>'
        f'<audio controls autoplay aria-label="{told}" style="width:100%" src="{address}"></audio>'
        "<figcaption>Silent here? Then the kernel runs on another computer: the finished clip appears below."
        "</figcaption></figure>"
    )


def download(streamer: Streamer) -> str:
    """A link to the finished clip."""
    sound = data_url("audio/wav", wav_bytes(streamer.audio, streamer.model.sample_rate))
    name = f"musicgen-edu-seed-{streamer.made_with.seed}.wav"
    return f'<a download="{name}" href="{sound}" style="text-decoration:underline">Download WAV</a>'
