"""What the exercises of this assignment share."""

from __future__ import annotations

import numpy as np
import torch

from .. import expect


def expect_array(value, shape: tuple[int, ...], kind: str, name: str = "the result") -> None:
    """Expect an array of that shape, of whole numbers (kind "i") or of floating-point numbers ("f")."""
    expect(isinstance(value, np.ndarray), f"{name} must be an array, not {type(value).__name__}")
    expect(value.shape == shape, f"{name} must have shape {list(shape)}, not {list(value.shape)}")
    expect(value.dtype.kind == kind, f"{name} must be {'int64' if kind == 'i' else 'float'}, not {value.dtype}")


def numpy_generator(generator: torch.Generator) -> np.random.Generator:
    return np.random.default_rng(int(torch.randint(2**31, (1,), generator=generator)))


def sine_wave(cycles: float, N: int = 1024) -> np.ndarray:
    """A sine of so many cycles a sample, [N]."""
    return np.sin(2 * np.pi * cycles * np.arange(N))
