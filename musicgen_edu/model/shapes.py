"""One small checker for the public borders: it names the letter that does not fit.

The letters are the same everywhere in the course: `B` batch, `C` audio channels, `N` audio samples, `T` codec
frames, `K` codebooks, `V` codebook entries, `S` pattern steps, `D` width, `L` text length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .values import shown

if TYPE_CHECKING:
    import torch


def check_shape(name: str, tensor: torch.Tensor, letters: str, **sizes: int) -> tuple[int, ...]:
    """Compare a tensor's shape with letters such as `"B K T"` and return the sizes in that order.

    Args:
        name: what to call the tensor in the error.
        tensor: any tensor.
        letters: one letter for each dimension, separated by spaces.
        sizes: the letters whose size is known, for example `K=4`.

    Raises:
        ValueError: it is no tensor, or the number of dimensions or the size of a named letter differs.
    """
    expected = letters.split()
    if not hasattr(tensor, "shape"):
        raise ValueError(f"{name} must be a tensor [{', '.join(expected)}], not {shown(tensor)}")
    shape = tuple(tensor.shape)
    if len(shape) != len(expected):
        raise ValueError(f"{name} must have shape [{', '.join(expected)}], but its shape is {list(shape)}")
    for letter, size in zip(expected, shape, strict=True):
        if letter in sizes and sizes[letter] != size:
            raise ValueError(f"{name} [{', '.join(expected)}] must have {letter} = {sizes[letter]}, not {size}")
    return shape
