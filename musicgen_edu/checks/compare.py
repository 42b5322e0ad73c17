"""How two answers are told apart: the same state of torch for each, then value, gradients and errors compared."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@contextmanager
def fresh_state(seed: int = 0) -> Iterator[None]:
    """Random numbers from a seed, gradients on, float32: whatever the notebook has set, and it finds that again."""
    states = random.getstate(), np.random.get_state(), torch.get_default_dtype()
    with (
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
    ):
        torch.set_default_dtype(torch.float32)
        torch.random.default_generator.manual_seed(seed)  # of the CPU; `torch.manual_seed` takes far longer
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])
            torch.set_default_dtype(states[2])


def same(a: Any, b: Any) -> bool:
    """Whether two results are equal up to rounding: numbers, tensors, arrays, modules, nested as you like."""
    if isinstance(a, (int, float, np.number)) and isinstance(b, (int, float, np.number)):
        return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-7) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if type(a) is not type(b):
        return False
    if isinstance(a, Tensor):
        if (a.shape, a.dtype, a.requires_grad) != (b.shape, b.dtype, b.requires_grad):
            return False
        return torch.allclose(_wide(a), _wide(b), rtol=1e-4, atol=1e-7, equal_nan=True)
    if isinstance(a, np.ndarray):
        if a.dtype.kind not in "biufc":
            return np.array_equal(a, b)
        return a.dtype == b.dtype and a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-7, equal_nan=True)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, nn.Module):
        return same(dict(a.state_dict()), dict(b.state_dict()))
    return same(vars(a), vars(b)) if is_dataclass(a) and not isinstance(a, type) else bool(a == b)


def _wide(tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.complex128 if tensor.is_complex() else torch.float64)


def tensors(value: Any) -> list[Tensor]:
    """All tensors of a result, however deep in lists and tuples."""
    if isinstance(value, (list, tuple)):
        return [tensor for one in value for tensor in tensors(one)]
    return [value] if isinstance(value, Tensor) else []


def outcome(answer: Callable, arguments: tuple) -> tuple:
    """Value (or type of error) and gradients of one call; a module among the arguments counts as it is afterwards."""
    with fresh_state():
        try:
            value = answer(*arguments)
            gradients = _gradients(tensors(value), [one for one in tensors(arguments) if one.requires_grad])
        except Exception as error:
            return type(error), None, None
    return value, gradients, [one for one in arguments if isinstance(one, nn.Module)]


def _gradients(outputs: list[Tensor], inputs: list[Tensor]) -> list[Tensor | None]:
    """Gradients of a sum in which every number of the outputs has another weight."""
    terms = [(y * torch.linspace(0.5, 1.5, y.numel()).view(y.shape)).sum() for y in outputs if y.requires_grad]
    return list(torch.autograd.grad(sum(terms), inputs, allow_unused=True)) if terms and inputs else []


def snapshot(value: Any) -> Any:
    """A copy by which a change in place is noticed, of the same type: a parameter stays one.

    Lists, tuples, named ones, too, and dictionaries are copied with what is in them; anything else is handed back.
    """
    if isinstance(value, Tensor):
        return value.detach().clone().as_subclass(type(value)).requires_grad_(value.requires_grad)
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(snapshot, value))
    if type(value) in (list, tuple):
        return type(value)([*map(snapshot, value)])
    if isinstance(value, dict):
        copied = copy(value)
        copied.update({key: snapshot(one) for key, one in value.items()})
        return copied
    return value
