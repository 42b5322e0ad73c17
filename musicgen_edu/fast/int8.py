"""Weights of 8 bits on the CPU: a quarter of the memory to read in each step, and so about a quarter of the time.

A step of generation multiplies every matrix by one or two rows. That takes as long as reading the matrices takes, so
smaller numbers are faster ones. Each row of a matrix is stored as integers from -127 to 127 and one scale, its largest
weight / 127; each row of the input likewise, while it runs. The products are exact integers; only the two roundings
err, by half a step of their scale at the most. The kernels are PyTorch's own (FBGEMM).

A scale for each row, and not one for the whole input as `quantized.linear_dynamic` has it, costs three small operations
and keeps a promise: what a row becomes does not depend on the others in its batch.

A model in this form can generate and nothing else.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ..model.lm import MusicgenLM

WEIGHT_LEVELS = 127
SMALLEST = 1e-30  # a row of zeros is divided by this
ONLY_GENERATE = "a model with int8 weights can only generate"


def pack(weight: Tensor) -> Any:
    """Round a matrix [out, in] to int8, a scale for each row, and lay it out as the kernels want it."""
    scale = (weight.abs().amax(1) / WEIGHT_LEVELS).clamp_min(SMALLEST)  # [out]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*deprecated", UserWarning)  # there is no other way into these kernels yet
        rounded = torch.quantize_per_channel(weight, scale, torch.zeros_like(scale, dtype=torch.int64), 0, torch.qint8)
        return torch.ops.quantized.linear_prepack(rounded, None)


@functools.lru_cache(maxsize=1)
def input_levels() -> int:
    """How many levels on each side of 0 an input may have: 127, or 63 on an older processor; found by trying.

    Without VNNI instructions (x86 before about 2019) the kernels add pairs of products in 16 bits, which overflow when
    inputs and weights use all of their 8 bits.

    Raises:
        ValueError: this PyTorch has no such kernels.
    """
    try:
        packed = pack(torch.full((16, 64), float(WEIGHT_LEVELS)))
        sums = _product(torch.full((1, 64), 127.0), packed, 127, 1.0)
    except (RuntimeError, AttributeError) as error:
        raise ValueError(
            f"int8 weights need the FBGEMM kernels of PyTorch (x86 processors), which are not here: {error}"
        ) from error
    return 127 if torch.equal(sums, torch.full_like(sums, 64 * 127.0 * WEIGHT_LEVELS)) else 63


def _product(x: Tensor, packed: Any, levels: int, scale: float) -> Tensor:
    """Round x [..., in] to integers of this scale, at most `levels`, and multiply: float32 [..., out]."""
    return torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32(x, scale, levels + 1, packed)


class Int8Matrix(NamedTuple):
    """A packed matrix and a bias [out] or None, as `step` uses it."""

    packed: Any
    bias: Tensor | None
    levels: int

    def _multiply(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[..., out] and [..., 1], whose product is wanted."""
        largest = x.abs().amax(-1, keepdim=True).clamp_min_(SMALLEST)  # vector_norm(x, inf) takes three times as long
        return _product(x / largest, self.packed, self.levels, 1 / self.levels), largest

    def __call__(self, x: Tensor) -> Tensor:
        """x [..., in] to [..., out]."""
        y, scale = self._multiply(x)
        return y.mul_(scale) if self.bias is None else torch.addcmul(self.bias, y, scale)

    def add_to(self, x: Tensor, y: Tensor) -> None:
        """x [..., out] += what becomes of y [..., in]."""
        x.addcmul_(*self._multiply(y))
        if self.bias is not None:
            x.add_(self.bias)


def check_int8_device(device: str | torch.device) -> torch.device:
    """The device, if int8 weights can be there; else a `ValueError`."""
    if torch.device(device).type != "cpu":
        raise ValueError(f"int8 weights are for the CPU, not for {device}: use bfloat16 there")
    return torch.device(device)


class Int8Linear(nn.Module):
    """In place of an `nn.Linear`, whose weight is not kept.

    Args:
        linear: on the CPU, any floating-point format.
    """

    def __init__(self, linear: nn.Linear):
        super().__init__()
        check_int8_device(linear.weight.device)
        self.out_features, self.in_features = linear.weight.shape
        bias = None if linear.bias is None else linear.bias.detach().float().clone()
        self.matrix = Int8Matrix(pack(linear.weight.detach().float()), bias, input_levels())

    def forward(self, x: Tensor) -> Tensor:
        """x float32 [..., in] to [..., out]."""
        if x.requires_grad and torch.is_grad_enabled():
            raise ValueError(f"{ONLY_GENERATE}: it has no gradient; train it in float32")
        return self.matrix(x)

    def train(self, mode: bool = True) -> Int8Linear:
        """Evaluation mode only; raises a `ValueError` for training."""
        if mode:
            raise ValueError(f"{ONLY_GENERATE}: train it in float32")
        return super().train(mode)

    def _apply(self, fn: Callable[[Tensor], Tensor], *_: Any, **__: Any) -> Int8Linear:
        """What `to`, `cuda`, `half` come down to. Nothing moves; a device or format that cannot be is an error."""
        moved = fn(torch.zeros(1))
        if moved.device.type != "cpu" or moved.dtype != torch.float32:
            raise ValueError(f"int8 weights stay on the CPU, beside float32: not {moved.device}, {moved.dtype}")
        return self

    def _save_to_state_dict(self, *_: Any) -> None:
        raise ValueError(f"{ONLY_GENERATE}: save the one that it was made from")

    def _load_from_state_dict(self, *_: Any) -> None:
        raise ValueError(f"{ONLY_GENERATE}: load into a float32 one, then call to_int8")

    def extra_repr(self) -> str:
        """What `print` shows of it, as of an `nn.Linear`."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.matrix.bias is not None}"


def to_int8(model: MusicgenLM) -> MusicgenLM:
    """Turn the matrices of the decoder's layers and the heads to int8, in place, one after the other.

    What is small stays float32: embeddings, norms, biases and the projection of the text.

    Args:
        model: on the CPU, any floating-point format.

    Raises:
        ValueError: it is on another device, or this PyTorch has no kernels for it.
    """
    check_int8_device(model.embedding.tables.device)
    input_levels()
    model.eval()
    for parent in (*model.decoder.modules(), model):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Linear):
                setattr(parent, name, Int8Linear(child))
    model.float().requires_grad_(False)
    model.reset_buffers()
    return model
