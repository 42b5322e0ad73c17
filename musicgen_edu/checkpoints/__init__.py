"""Checkpoints: models in files, found, read and written. In reading order:

`folder` what a folder holds, by names; `hub` folders from the network; `find` a folder by name; `weights` tensors, one
at a time; `published` the names and sizes of the published format; `parts` the three parts of a model in a folder;
`audiocraft` the same from audiocraft's files; `load` filling our models; `save` writing them; `own_format` for what the
published format cannot say.
"""

from __future__ import annotations


def __getattr__(name: str):
    if name != "read_codec":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .load import read_codec  # and with it torch, which `hub` and `find` do not need

    return read_codec
