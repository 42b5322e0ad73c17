"""MusicGen, built to be understood: text in, music out.

    from musicgen_edu import MusicGen
    model = MusicGen.from_pretrained("tiny")
    audio = model.generate(["a slow calm melody on a plucked string"], seconds=8, seed=5)  # [B, C, N]

Importing the package is quick: torch and transformers are imported when something needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from . import former_names

if TYPE_CHECKING:
    from .errors import CheckpointError
    from .model.encodec import EncodecModel
    from .model.lm import MusicgenLM
    from .model.settings import CONFIGS, EncodecConfig, LMConfig, Sampling
    from .musicgen import MusicGen

__version__ = "0.1.0"

_ROOMS = {
    "MusicGen": "musicgen",
    "Sampling": "model.settings",
    "MusicgenLM": "model.lm",
    "LMConfig": "model.settings",
    "CONFIGS": "model.settings",
    "EncodecModel": "model.encodec",
    "EncodecConfig": "model.settings",
    "CheckpointError": "errors",
}
__all__ = [
    "CONFIGS",
    "CheckpointError",
    "EncodecConfig",
    "EncodecModel",
    "LMConfig",
    "MusicGen",
    "MusicgenLM",
    "Sampling",
]


former_names.install()


def __getattr__(name: str):
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_ROOMS[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_ROOMS])
