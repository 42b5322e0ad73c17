"""What a property says of an answer: each of these raises `CheckFailed` with one sentence that names what it saw.

The order is always the same: what was expected, then what the answer gave.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class CheckFailed(AssertionError):
    """An answer lacks a property. A notebook shows the message alone, without the way through these files."""

    def _render_traceback_(self) -> list[str]:
        return [f"CheckFailed: {self}"]


class InputChanged(CheckFailed):
    """An answer has written into what it was given."""


def expect(condition: Any, sentence: str) -> None:
    """Raise `CheckFailed` with the sentence unless the condition (a bool, or a tensor of one) holds."""
    if not bool(condition):
        raise CheckFailed(sentence)


def expect_tensor(value: Any, shape: tuple[int, ...], dtype: torch.dtype | None = None, name: str = "the result"):
    """Expect a tensor of that shape and, if given, of that dtype."""
    expect(isinstance(value, Tensor), f"{name} must be a tensor, not {type(value).__name__}")
    expect(tuple(value.shape) == tuple(shape), f"{name} must have shape {list(shape)}, not {list(value.shape)}")
    expect(dtype in (None, value.dtype), f"{name} must have dtype {dtype}, not {value.dtype}")


def expect_close(value: Any, target: Any, sentence: str, tolerance: float = 1e-5) -> None:
    """Expect numbers or tensors of one shape to be equal up to rounding.

    The message names the place of the largest difference, and shows as many digits as it takes to see it.
    """
    value, target = (_as_doubles(one) for one in (value, target))
    expect(value.shape == target.shape, f"{sentence}: shape {list(target.shape)} is expected, not {list(value.shape)}")
    if torch.allclose(value, target, rtol=tolerance, atol=tolerance, equal_nan=True):
        return
    apart = torch.where(value.isnan() == target.isnan(), (value - target).abs().nan_to_num(0.0), torch.inf)
    place = int(apart.flatten().argmax())
    most = f"largest difference {float((value - target).abs().flatten()[place]):.3g}"
    if value.ndim and value.numel() > 1:
        index = [int(one) for one in np.unravel_index(place, value.shape)]
        most += f", at {index if len(index) > 1 else index[0]}"
    if value.numel() <= 6:
        raise CheckFailed(f"{sentence}: expected {_numbers(target, value)}, not {_numbers(value, target)} ({most})")
    wanted, found = target.flatten()[place], value.flatten()[place]
    raise CheckFailed(f"{sentence}: expected {_numbers(wanted, found)}, not {_numbers(found, wanted)} ({most})")


def _as_doubles(value: Any) -> Tensor:
    # torch takes no array that is read backwards, such as `x[::-1]`.
    return torch.as_tensor(np.array(value, order="C") if isinstance(value, np.ndarray) else value).detach().double()


def _numbers(shown: Tensor, other: Tensor) -> str:
    """Up to six numbers, with the digits in which they differ from those of the other."""
    pairs = list(zip(shown.flatten().tolist(), other.flatten().tolist(), strict=True))
    texts = [f"{a:.{_digits(a, b)}g}" for a, b in pairs]
    return texts[0] if shown.ndim == 0 else f"[{', '.join(texts)}]"


def _digits(a: float, b: float) -> int:
    return next((n for n in range(4, 16) if a == b or f"{a:.{n}g}" != f"{b:.{n}g}"), 16)


def plain(value: Any) -> Any:
    """A result as Python has it: numpy's numbers, arrays, lists and whole tensors become numbers and tuples of them.

    So an answer may return a list where a tuple is meant, or `np.int64` where an int is.
    """
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        value = value.tolist()
    return tuple(map(plain, value)) if isinstance(value, (list, tuple, range)) else value


def expect_equal(value: Any, target: Any, sentence: str) -> None:
    """Expect whole numbers, words or sequences of them (see `plain`) to be exactly these; a bool is no number.

    The message shows both, and of long ones the first place in which they differ.
    """
    found, wanted = plain(value), plain(target)
    if found == wanted and repr(found) == repr(wanted):
        return
    both = isinstance(found, tuple) and isinstance(wanted, tuple)
    if both and len(found) != len(wanted):
        sentence = f"{sentence}: {len(wanted)} of them are expected, not {len(found)}"
    elif both and len(repr(wanted)) > 60:
        place = next((i for i, (a, b) in enumerate(zip(wanted, found, strict=True)) if a != b), 0)
        sentence, found, wanted = f"{sentence}, at {place}", found[place], wanted[place]
    raise CheckFailed(f"{sentence}: expected {_text(wanted)}, not {_text(found)}")


def _text(value: Any) -> str:
    text = repr(_lists(value))
    return text if len(text) <= 200 else f"{text[:200]}..."


def _lists(value: Any) -> Any:
    return [*map(_lists, value)] if isinstance(value, tuple) else value
