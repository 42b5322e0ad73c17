"""What marks the exercises of the assignments: one package for each lesson, one module for each exercise.

`python -m musicgen_edu.checks` tries every wrong and every right answer on record and prints a table. The package
imports anything of the library; nothing in the library imports it.

A check cell of an assignment imports what it needs anew, so that whatever a cell before it called `check` does no
harm, and then goes on with what the check returns:

    import musicgen_edu.checks.vector_quantization as check

    spread_start = check.spread_start(spread_start)

Each assignment has a package of its own, and in it each exercise a module. The package lists its exercises in order,
`EXERCISES = (...)`, and ends with `seal(__name__)`. Read `expectations`, `mistakes` and `exercise`; `compare` tells
answers apart and `guard` keeps a notebook from changing the check that marks it.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from .exercise import Exercise
from .expectations import CheckFailed, expect, expect_close, expect_equal, expect_tensor, plain
from .guard import seal
from .mistakes import Wrong, mistakes

__all__ = [
    "CheckFailed",
    "Exercise",
    "Wrong",
    "expect",
    "expect_close",
    "expect_equal",
    "expect_tensor",
    "mistakes",
    "modules",
    "plain",
    "seal",
]


def modules() -> list[ModuleType]:
    """Every package of exercises, in the order of their names; each lists its own in `EXERCISES`."""
    names = [found.name for found in iter_modules(__path__) if found.ispkg]
    return [import_module(f"{__name__}.{name}") for name in sorted(names)]


seal(__name__)
