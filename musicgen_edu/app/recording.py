"""A recording that a visitor's clip is to go on from."""

from __future__ import annotations

from pathlib import Path

from ..model.audio import read_audio, sound_length
from ..musicgen import MusicGen
from .request import Refused


def recording_seconds(path: str | Path) -> float:
    """How long a recording is, by its header; `Refused` if it is no sound."""
    try:
        samples, rate = sound_length(path)
    except (ValueError, OSError) as error:
        raise Refused("not_audio") from error
    return samples / rate


def read_recording(path: str | Path, seconds: float, model: MusicGen) -> dict[str, object]:
    """The options of `MusicGen.stream` for a recording to go on from; `Refused` if the clip has no room for it."""
    length, limit = recording_seconds(path), min(seconds, model.max_seconds)
    if round(length * model.frame_rate) >= round(limit * model.frame_rate):
        raise Refused("long_recording", seconds=length, limit=limit)
    if length * model.frame_rate < 1:
        raise Refused("short_recording", limit=1 / model.frame_rate)
    try:
        audio, rate = read_audio(path, mono=False)
    except (ValueError, OSError) as error:
        raise Refused("not_audio") from error
    return {"prompt_audio": audio, "prompt_sample_rate": rate}
