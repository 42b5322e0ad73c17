"""The three sizes in which a lesson runs: quick for the tests, cpu for a laptop, gpu where there is one."""

from __future__ import annotations

import os
from typing import TypeVar

SIZES = ("quick", "cpu", "gpu")
Value = TypeVar("Value")


def lesson_size() -> str:
    """ "quick", "cpu" or "gpu": what `MUSICGEN_EDU_SIZE` says, else "gpu" where CUDA works and "cpu" elsewhere.

    Raises:
        ValueError: the variable names another size.
    """
    size = os.environ.get("MUSICGEN_EDU_SIZE", "").strip().lower()
    if size in SIZES:
        return size
    if size:
        raise ValueError(f"MUSICGEN_EDU_SIZE must be one of {', '.join(SIZES)}, not {size!r}")
    import torch

    return "gpu" if torch.cuda.is_available() else "cpu"


def by_size(quick: Value, cpu: Value, gpu: Value | None = None) -> Value:
    """The value for the size in which the lesson runs; without one for the GPU it is that of the CPU."""
    values = {"quick": quick, "cpu": cpu, "gpu": cpu if gpu is None else gpu}
    return values[lesson_size()]
