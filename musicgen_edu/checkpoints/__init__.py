"""Checkpoints: models in files, found, read and written. In reading order:

`folder` what a folder holds, by names; `hub` folders from the network; `locate` a folder by name; `weights` tensors,
one at a time; `published` the names and sizes of the published format; `parts` the three parts of a model in a folder;
`audiocraft` the same from audiocraft's files; `load` filling our models; `save` writing them; `own_format` for what the
published format cannot say. The names that lessons use can be had from here.
"""

from __future__ import annotations

from importlib import import_module

_ROOMS = {"find": "locate", "open_model": "load", "load_lm": "load", "read_codec": "load", "POSITIONS": "load"}


def __getattr__(name: str):
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_ROOMS[name]}", __name__), name)  # `load` brings torch, the others do without
