"""Modules whose names a notebook cannot overwrite, by accident or in passing. It is a catch, not a lock."""

from __future__ import annotations

import sys
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


def seal(module: str) -> None:
    """Keep a module of checks from being overwritten by accident or in passing: its last line, `seal(__name__)`."""
    sys.modules[module].__class__ = _Sealed
