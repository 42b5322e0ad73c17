"""What the exercises of this assignment share."""

from __future__ import annotations

import numpy as np
import torch

from ... import figures
from .. import expect


def expect_array(value, shape: tuple[int, ...], kind: str, name: str = "the result") -> None:
    """Expect an array of that shape, of int64 (kind "i") or of floating-point numbers ("f")."""
    expect(isinstance(value, np.ndarray), f"{name} must be an array, not {type(value).__name__}")
    expect(value.shape == shape, f"{name} must have shape {list(shape)}, not {list(value.shape)}")
    fits = value.dtype == np.int64 if kind == "i" else value.dtype.kind == "f"
    expect(fits, f"{name} must be {'int64' if kind == 'i' else 'float'}, not {value.dtype}")


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    return np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))


def sine_wave(cycles: float, N: int = 1024) -> np.ndarray:
    """A sine of so many cycles a sample, [N]."""
    return np.sin(2 * np.pi * cycles * np.arange(N))


def two_lines(target: np.ndarray, yours: np.ndarray, along: str, height: str) -> figures.Picture:
    """What should come out as a broad line, what came out dashed on top of it."""
    figure, axes = figures.new_figure(7.6, 2.5)
    axes.plot(target, color=figures.LIT, linewidth=4, alpha=0.4, label="target")
    axes.plot(yours, color=figures.INK, linestyle="--", linewidth=1.2, label="yours")
    axes.set(xlabel=along, ylabel=height)
    axes.legend(frameon=False)
    return figures.figure_picture(figure, f"{height} by {along}: target as a broad line, yours dashed")
