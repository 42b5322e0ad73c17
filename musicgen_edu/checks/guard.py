"""What keeps a check from being changed by the notebook that it marks. It is a catch, not a lock."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class _Sealed(ModuleType):
    """A module whose names cannot be set from outside; a package still takes in its own modules."""

    def __setattr__(self, name: str, value: Any) -> None:
        own = isinstance(value, ModuleType) and value.__name__ == f"{self.__name__}.{name}"
        if not own and not (name.startswith("__") and name.endswith("__")):
            raise AttributeError(f"{self.__name__} marks the exercises: a notebook cannot change its `{name}`")
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{self.__name__} marks the exercises: a notebook cannot change its `{name}`")


def seal(package: str) -> None:
    """Keep a package of checks, and what it has imported of itself, from being overwritten by accident or in passing.

    The last line of a package is `seal(__name__)`; its modules need none.
    """
    for name, module in list(sys.modules.items()):
        if name == package or name.startswith(f"{package}."):
            module.__class__ = _Sealed


def grading() -> bool:
    """Whether nbgrader is running the notebook.

    What the process began with counts too, where that can be read: a cell may unset the variable, not the past.
    """
    try:
        began = Path("/proc/self/environ").read_bytes()
    except OSError:
        began = b""
    return "NBGRADER_EXECUTION" in os.environ or b"NBGRADER_EXECUTION=" in began
