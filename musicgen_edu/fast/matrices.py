"""Linear layers at hand as plain tensors, in the form that is fastest for the number of rows.

A step multiplies each matrix by as many rows as there are clips, twice that with guidance. The library that does it,
MKL or oneDNN, takes very different times for one row, for two or three, and for more.
"""

from __future__ import annotations

import functools
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from .int8 import Int8Linear

FEW_ROWS = (2, 3)  # guidance makes two rows of one prompt
LARGE = 1 << 18  # weights: matrices of more do not stay in a core's own cache (1 MiB and up) from step to step
LONG = 128  # inputs: with fewer, MKL's second way (see LinearForFewRows) is no faster


class Matrix(Protocol):
    """A linear layer without the cost of calling a module."""

    def __call__(self, x: Tensor) -> Tensor:
        """x [B, in] to [B, out]."""

    def add_to(self, x: Tensor, y: Tensor) -> None:
        """x [B, out] += what becomes of y [B, in]."""


class Linear(NamedTuple):
    """A matrix [in, out], transposed once, and a bias [out] or None."""

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        """x [B, in] to [B, out]."""
        return torch.mm(x, self.weight) if self.bias is None else torch.addmm(self.bias, x, self.weight)

    def add_to(self, x: Tensor, y: Tensor) -> None:
        """x [B, out] += what becomes of y [B, in]."""
        x.addmm_(y, self.weight)
        if self.bias is not None:
            x.add_(self.bias)


class LinearForFewRows(NamedTuple):
    """A large matrix [out, in] and a bias [out] or None, for two or three rows in float32 on the CPU.

    x W^T and (W x^T)^T are the same, but MKL (2024.2) computes the first as one product of matrix and vector after
    the other, which reads W once for each row, and the second in one go, which reads it once: at two rows that takes
    about half the time. At one row they are equal; for four and more see below.
    """

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        """x [B, in], contiguous (it matters: the copy of x^T takes four times as long) to [B, out]."""
        y = torch.mm(self.weight, x.t()).t().contiguous()
        return y if self.bias is None else y.add_(self.bias)

    def add_to(self, x: Tensor, y: Tensor) -> None:
        """x [B, out] += what becomes of y [B, in]."""
        x.add_(torch.mm(self.weight, y.t()).t())
        if self.bias is not None:
            x.add_(self.bias)


class LinearForMoreRows(NamedTuple):
    """A large matrix [out, in] and a bias [out] or None, for four rows and more in float32 on the CPU.

    oneDNN in place of MKL, which takes longer for them; `benchmarks/step_time.py --batches 8` shows the whole. What
    PyTorch offers for it is no public function: see `has_onednn_product`.
    """

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        """x [B, in] to [B, out]."""
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")

    def add_to(self, x: Tensor, y: Tensor) -> None:
        """x [B, out] += what becomes of y [B, in]."""
        x.add_(self(y))


@functools.lru_cache(maxsize=1)
def has_onednn_product() -> bool:
    """Whether `LinearForMoreRows` works here; found by trying, since any release of PyTorch may drop what it calls.

    Without it `Linear` does the same by MKL, in more time for four rows and more.
    """
    x, weight = torch.eye(2, 3), torch.arange(6.0).view(2, 3)
    try:
        return torch.equal(LinearForMoreRows(weight, None)(x), x @ weight.t())
    except (AttributeError, RuntimeError, TypeError):  # gone, refused, or with other arguments
        return False


def matrix(linear: nn.Linear | Int8Linear, rows: int) -> Matrix:
    """The form of a linear layer that is fastest for so many rows; no copy of its weights."""
    if isinstance(linear, Int8Linear):
        return linear.matrix
    weight = linear.weight
    large = weight.numel() >= LARGE and weight.shape[1] >= LONG
    if rows > 1 and large and weight.dtype == torch.float32 and weight.device.type == "cpu":
        if rows in FEW_ROWS:
            return LinearForFewRows(weight, linear.bias)
        if has_onednn_product():
            return LinearForMoreRows(weight, linear.bias)
    return Linear(weight.t(), linear.bias)
