"""One column through the decoder: what `Decoder.forward` computes, in fewer operations (lesson 06).

A step of generation is short: at width 64 its arithmetic takes a fraction of the time in which PyTorch finds out what
to do. So the weights are at hand as plain tensors (calling a module costs as much as a small matrix product), the
additions of the residual path are done by the matrix products themselves, and one copy per layer fills the cache.
The tests hold it to `Decoder.forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..model.decoder import Decoder, KeyValueCache, LayerText
from .int8 import Int8Linear

FEW_ROWS = (2, 3)  # guidance makes two rows of one prompt
LARGE = 1 << 18  # weights: matrices of more do not stay in a core's own cache (1 MiB and up) from step to step
LONG = 128  # inputs: with fewer, MKL's second way (see LinearForFewRows) is no faster


class Norm(NamedTuple):
    """A layer norm: what `F.layer_norm` asks for."""

    shape: tuple[int]
    weight: Tensor
    bias: Tensor
    eps: float


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

    oneDNN in place of MKL, which takes longer for them; `benchmarks/step_time.py --batches 8` shows the whole.
    """

    weight: Tensor
    bias: Tensor | None

    def __call__(self, x: Tensor) -> Tensor:
        """x [B, in] to [B, out]."""
        return torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")

    def add_to(self, x: Tensor, y: Tensor) -> None:
        """x [B, out] += what becomes of y [B, in]."""
        x.add_(self(y))


def matrix(linear: nn.Linear | Int8Linear, rows: int) -> Matrix:
    """The form of a linear layer that is fastest for so many rows; no copy of its weights."""
    if isinstance(linear, Int8Linear):
        return linear.matrix
    weight = linear.weight
    large = weight.numel() >= LARGE and weight.shape[1] >= LONG
    if rows > 1 and large and weight.dtype == torch.float32 and weight.device.type == "cpu":
        if rows in FEW_ROWS:
            return LinearForFewRows(weight, linear.bias)
        if torch.backends.mkldnn.is_available():
            return LinearForMoreRows(weight, linear.bias)
    return Linear(weight.t(), linear.bias)


class LayerWeights(NamedTuple):
    """The weights of one `DecoderLayer`, in the order in which they are used."""

    self_norm: Norm
    qkv: Matrix
    self_out: Matrix
    cross_norm: Norm
    q: Matrix
    cross_out: Matrix
    feed_forward_norm: Norm
    up: Matrix
    down: Matrix


@dataclass(frozen=True)
class StepWeights:
    """All that a step needs of a decoder."""

    heads: int
    layers: list[LayerWeights]
    final_norm: nn.Module

    @classmethod
    def of(cls, decoder: Decoder, rows: int = 1) -> StepWeights:
        """The weights as they are now, without a copy, in the form that is fastest for so many rows."""
        return cls(decoder.heads, [_layer_weights(layer, rows) for layer in decoder.layers], decoder.norm)


def _layer_weights(layer: nn.Module, rows: int) -> LayerWeights:
    own, cross = layer.self_attention, layer.cross_attention
    modules = (
        layer.self_norm, own.qkv, own.out, layer.cross_norm, cross.q, cross.out,
        layer.feed_forward_norm, layer.up, layer.down,
    )  # fmt: skip
    return LayerWeights(
        *(
            Norm(m.normalized_shape, m.weight, m.bias, m.eps) if isinstance(m, nn.LayerNorm) else matrix(m, rows)
            for m in modules
        )
    )


def single_step(x: Tensor, weights: StepWeights, texts: list[LayerText | None], cache: KeyValueCache) -> Tensor:
    """The next column.

    Args:
        x: [B, D], embedded, with its position added.
        weights: of the decoder.
        texts: each layer's prompt, for the first rows of x.
        cache: the steps before; this one is added.

    Returns:
        [B, D], after the final norm.
    """
    place = cache.room(1)
    slots = cache.memory[..., place.start, :].unbind(0)  # for each layer: where this step goes, [2, B, H, D / H]
    so_far = cache.memory[..., : place.stop, :].flatten(0, 1).unbind(0)  # keys, values of layer 0, keys, ... of layer 1
    x = _through_layers(x, weights, texts, lambda i, new: slots[i].copy_(new), so_far)
    cache.length += 1
    return x


def static_step(
    x: Tensor, weights: StepWeights, texts: list[LayerText | None], cache: KeyValueCache, position: Tensor
) -> Tensor:
    """`single_step` without a size that grows, so that it can be recorded (see `cuda_graph`): its place is a tensor.

    Attention looks at the whole cache, behind a mask, and what has not been written must be finite. The length of the
    cache stays as it is.

    Args:
        position: int64 [1], the place of this step.
        others: see `single_step`.
    """
    seen = torch.arange(cache.steps, device=x.device) <= position  # [S]
    memory = cache.memory.unbind(0)  # for each layer [2, B, H, S, D / H]
    everything = cache.memory.flatten(0, 1).unbind(0)

    def write(i: int, new: Tensor) -> None:
        memory[i].index_copy_(3, position, new.unsqueeze(3))

    return _through_layers(x, weights, texts, write, everything, seen.view(1, 1, 1, -1))


def _through_layers(
    x: Tensor,
    weights: StepWeights,
    texts: list[LayerText | None],
    write: Callable[[int, Tensor], object],
    cached: Sequence[Tensor],
    seen: Tensor | None = None,
) -> Tensor:
    """The layers and the final norm.

    Args:
        write: given a layer's index and this step's keys and values [2, B, H, D / H], puts them into the cache.
        cached: keys and values of layer 0, then of layer 1 and so on, each [B, H, S, D / H].
        seen: bool [1, 1, 1, S], which of them to attend to; None is all.
        others: see `single_step`.
    """
    B, D = x.shape
    H = weights.heads
    x = x.clone()
    for i, layer in enumerate(weights.layers):
        q, keys_values = layer.qkv(F.layer_norm(x, *layer.self_norm)).split((D, 2 * D), 1)
        write(i, keys_values.view(B, 2, H, D // H).transpose(0, 1))
        y = F.scaled_dot_product_attention(q.view(B, H, 1, D // H), cached[2 * i], cached[2 * i + 1], attn_mask=seen)
        layer.self_out.add_to(x, y.view(B, D))
        if texts[i] is not None:
            _attend_to_text(x, layer, texts[i], H)
        layer.down.add_to(x, _gelu(layer.up(F.layer_norm(x, *layer.feed_forward_norm))))
    return weights.final_norm(x)


def _gelu(x: Tensor) -> Tensor:
    """x [B, F], same shape out.

    Transposed, because contiguous numbers go to oneDNN, which takes longer to begin than a small matrix to multiply.
    """
    return F.gelu(x.t()).t()


def _attend_to_text(x: Tensor, layer: LayerWeights, text: LayerText, heads: int) -> None:
    """Add to the first rows of x [B, D] what cross-attention finds for them."""
    rows, D = text.keys.shape[0], x.shape[1]
    x = x.narrow(0, 0, rows)  # a view: what is added to it is added to all of x
    q = layer.q(F.layer_norm(x, *layer.cross_norm)).view(rows, heads, 1, D // heads)
    y = F.scaled_dot_product_attention(q, text.keys, text.values, attn_mask=text.allowed)  # [rows, H, 1, D / H]
    y = y.view(rows, D)
    if text.has_words is None:
        layer.cross_out.add_to(x, y)
    else:
        x += layer.cross_out(y) * text.has_words[:, 0]  # [rows, 1]
