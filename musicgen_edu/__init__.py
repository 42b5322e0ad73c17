"""MusicGen, built to be understood: text in, music out.

    from musicgen_edu import MusicGen
    model = MusicGen.from_pretrained("tiny")
    audio = model.generate(["a slow calm melody on a plucked string"], seconds=8, seed=5)  # [B, C, N]

Importing the package is quick: torch and transformers are imported when something needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .encodec import EncodecConfig, EncodecModel
    from .lm import CONFIGS, LMConfig, MusicgenLM
    from .musicgen import MusicGen
    from .published import CheckpointError

__version__ = "0.1.0"

_ROOMS = {
    "MusicGen": "musicgen",
    "MusicgenLM": "lm",
    "LMConfig": "lm",
    "CONFIGS": "lm",
    "EncodecModel": "encodec",
    "EncodecConfig": "encodec",
    "CheckpointError": "published",
}
__all__ = ["CONFIGS", "CheckpointError", "EncodecConfig", "EncodecModel", "LMConfig", "MusicGen", "MusicgenLM"]


def __getattr__(name: str):
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_ROOMS[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOMS])
