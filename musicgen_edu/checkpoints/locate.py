"""Where a checkpoint is: the one that comes with the package, a folder, or a name on the hub."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from ..errors import CheckpointError
from ..files import asset
from ..model.values import shown
from .folder import CONFIG

LICENCE = "The weights of {} are under CC-BY-NC 4.0: free to study and to share with credit, not for commercial use."
_licence_said: set[str] = set()


def find(name: str | os.PathLike, revision: str | None = None, progress: bool = True) -> Path:
    """The folder of a checkpoint: "tiny" is the one that comes with the package, else a folder, else a hub name.

    Args:
        name: which checkpoint.
        revision: of a hub name: a branch, tag or commit; None is the newest.
        progress: show a bar while something is fetched.

    Raises:
        CheckpointError: there is no such thing, or it cannot be fetched; the message says what to do.
    """
    if not isinstance(name, str | os.PathLike):
        raise CheckpointError(f"a model is named by a text or a path, not {shown(name)}")
    told = str(name) if str(name).isprintable() and 0 < len(str(name)) <= 300 else shown(name)
    if revision is not None and (name == "tiny" or os.path.isdir(name)):
        raise CheckpointError(f"only models of the hub have revisions, and {told} is none: leave revision out")
    if name == "tiny":
        if (asset("tiny") / CONFIG).is_file():
            return asset("tiny")
        raise CheckpointError("the tiny model is not installed: assets/tiny is missing, `make tiny` trains it")
    if os.path.isdir(name):  # which no name makes fail
        return Path(name)
    if re.fullmatch(r"[\w.-]+/[\w.-]+", str(name)) is None or str(name).startswith("."):
        raise CheckpointError(f"{told} is neither 'tiny' nor a folder nor a hub name such as facebook/musicgen-small")
    from . import hub  # its imports take most of a second, which what lies here need not wait for

    folder = hub.fetch(str(name), revision or "main", progress)
    if str(name).startswith("facebook/musicgen-") and name not in _licence_said:
        _licence_said.add(str(name))
        print(LICENCE.format(name), file=sys.stderr)
    return folder
