"""One column through the decoder: what `Decoder.forward` computes, in fewer operations (lesson 06).

A step of generation is short: at width 64 its arithmetic takes a fraction of the time in which PyTorch finds out what
to do. So the weights are at hand as plain tensors (calling a module costs as much as a small matrix product), the
additions of the residual path are done by the matrix products themselves, and one copy per layer fills the cache.
The tests hold it to `Decoder.forward`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .decoder import Decoder, KeyValueCache, LayerText


class Norm(NamedTuple):
    """A layer norm: what `F.layer_norm` asks for."""

    shape: tuple[int]
    weight: Tensor
    bias: Tensor
    eps: float


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


class LayerWeights(NamedTuple):
    """The weights of one `DecoderLayer`, in the order in which they are used."""

    self_norm: Norm
    qkv: Linear
    self_out: Linear
    cross_norm: Norm
    q: Linear
    cross_out: Linear
    feed_forward_norm: Norm
    up: Linear
    down: Linear


@dataclass(frozen=True)
class StepWeights:
    """All that a step needs of a decoder."""

    heads: int
    layers: list[LayerWeights]
    final_norm: nn.Module

    @classmethod
    def of(cls, decoder: Decoder) -> StepWeights:
        """The weights as they are now, without a copy."""
        return cls(decoder.heads, [_layer_weights(layer) for layer in decoder.layers], decoder.norm)


def _layer_weights(layer: nn.Module) -> LayerWeights:
    own, cross = layer.self_attention, layer.cross_attention
    modules = (
        layer.self_norm, own.qkv, own.out, layer.cross_norm, cross.q, cross.out,
        layer.feed_forward_norm, layer.up, layer.down,
    )  # fmt: skip
    return LayerWeights(
        *(
            Norm(m.normalized_shape, m.weight, m.bias, m.eps)
            if isinstance(m, nn.LayerNorm)
            else Linear(m.weight.t(), m.bias)
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
    B, D = x.shape
    H = weights.heads
    place = cache.room(1)
    slots = cache.memory[..., place.start, :].unbind(0)  # for each layer: where this step goes, [2, B, H, D / H]
    so_far = cache.memory[..., : place.stop, :].flatten(0, 1).unbind(0)  # keys, values of layer 0, keys, ... of layer 1
    x = x.clone()
    for i, layer in enumerate(weights.layers):
        q, keys_values = layer.qkv(F.layer_norm(x, *layer.self_norm)).split((D, 2 * D), 1)
        slots[i].copy_(keys_values.view(B, 2, H, D // H).transpose(0, 1))
        y = F.scaled_dot_product_attention(q.view(B, H, 1, D // H), so_far[2 * i], so_far[2 * i + 1])  # [B, H, 1, D/H]
        layer.self_out.add_to(x, y.view(B, D))
        if texts[i] is not None:
            _attend_to_text(x, layer, texts[i], H)
        layer.down.add_to(x, F.gelu(layer.up(F.layer_norm(x, *layer.feed_forward_norm))))
    cache.length += 1
    return weights.final_norm(x)


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
