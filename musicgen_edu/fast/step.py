"""One column through the decoder: what `Decoder.forward` computes, in fewer operations (lesson 06).

A step of generation is short: at width 64 its arithmetic takes a fraction of the time in which PyTorch finds out what
to do. So the weights are at hand as plain tensors (calling a module costs as much as a small matrix product), the
additions of the residual path are done by the matrix products themselves, and one copy per layer fills the cache.
The tests hold it to `Decoder.forward`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..model.decoder import DecoderLayer, LayerCondition
from ..model.lm import GenerationState, MusicgenLM
from .matrices import Matrix, matrix


class Norm(NamedTuple):
    """A layer norm: what `F.layer_norm` asks for."""

    shape: tuple[int]
    weight: Tensor
    bias: Tensor
    eps: float


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
    """The weights that a step needs of a model, from the first layer to the K heads."""

    num_heads: int
    layers: list[LayerWeights]
    final_norm: nn.Module
    heads: Matrix

    @classmethod
    def of(cls, model: MusicgenLM, rows: int = 1) -> StepWeights:
        """The weights as they are now, without a copy, in the form that is fastest for so many rows."""
        decoder = model.decoder
        layers = [_layer_weights(layer, rows) for layer in decoder.layers]
        return cls(decoder.num_heads, layers, decoder.norm, matrix(model.heads, rows))


def _layer_weights(layer: DecoderLayer, rows: int) -> LayerWeights:
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


def single_step(x: Tensor, weights: StepWeights, state: GenerationState) -> Tensor:
    """The next column.

    Args:
        x: [B, D], embedded, with its position added.
        weights: of the model.
        state: each layer's condition, for the first rows of x, and the cache of the steps before; this one is added.

    Returns:
        [B, D], after the final norm.
    """
    cache = state.cache
    place = cache.room(1)
    slots = cache.memory[..., place.start, :].unbind(0)  # for each layer: where this step goes, [2, B, H, D / H]
    so_far = cache.memory[..., : place.stop, :].flatten(0, 1).unbind(0)  # keys, values of layer 0, keys, ... of layer 1
    x = _through_layers(x, weights, state.conditions, lambda i, new: slots[i].copy_(new), so_far)
    cache.length += 1
    return x


def static_step(x: Tensor, weights: StepWeights, state: GenerationState, position: Tensor) -> Tensor:
    """`single_step` without a size that grows, so that it can be recorded (see `cuda_graph`): its place is a tensor.

    Attention looks at the whole cache, behind a mask, and what has not been written must be finite. The length of the
    cache stays as it is.

    Args:
        position: int64 [1], the place of this step.
        others: see `single_step`.
    """
    seen = torch.arange(state.cache.steps, device=x.device) <= position  # [S]
    memory = state.cache.memory.unbind(0)  # for each layer [2, B, H, S, D / H]
    everything = state.cache.memory.flatten(0, 1).unbind(0)

    def write(i: int, new: Tensor) -> None:
        memory[i].index_copy_(3, position, new.unsqueeze(3))

    return _through_layers(x, weights, state.conditions, write, everything, seen.view(1, 1, 1, -1))


def _through_layers(
    x: Tensor,
    weights: StepWeights,
    conditions: list[LayerCondition | None],
    write: Callable[[int, Tensor], object],
    cached: Sequence[Tensor],
    seen: Tensor | None = None,
) -> Tensor:
    """The layers and the final norm.

    Args:
        write: given a layer's index and this step's keys and values [2, B, H, D / H], puts them into the cache.
        conditions: of each layer, for the first rows of x.
        cached: keys and values of layer 0, then of layer 1 and so on, each [B, H, S, D / H].
        seen: bool [1, 1, 1, S], which of them to attend to; None is all.
        others: see `single_step`.
    """
    B, D = x.shape
    H = weights.num_heads
    x = x.clone()
    for i, layer in enumerate(weights.layers):
        q, keys_values = layer.qkv(F.layer_norm(x, *layer.self_norm)).split((D, 2 * D), 1)
        write(i, keys_values.view(B, 2, H, D // H).transpose(0, 1))
        y = F.scaled_dot_product_attention(q.view(B, H, 1, D // H), cached[2 * i], cached[2 * i + 1], attn_mask=seen)
        layer.self_out.add_to(x, y.view(B, D))
        if conditions[i] is not None:
            _attend_to_text(x, layer, conditions[i], H)
        layer.down.add_to(x, _gelu(layer.up(F.layer_norm(x, *layer.feed_forward_norm))))
    return weights.final_norm(x)


def _gelu(x: Tensor) -> Tensor:
    """x [B, F], same shape out.

    Transposed, because contiguous numbers go to oneDNN, which takes longer to begin than a small matrix to multiply.
    """
    return F.gelu(x.t()).t()


def _attend_to_text(x: Tensor, layer: LayerWeights, condition: LayerCondition, num_heads: int) -> None:
    """Add to the first rows of x [B, D] what cross-attention finds for them."""
    rows, D = condition.keys.shape[0], x.shape[1]
    x = x.narrow(0, 0, rows)  # a view: what is added to it is added to all of x
    q = layer.q(F.layer_norm(x, *layer.cross_norm)).view(rows, num_heads, 1, D // num_heads)
    y = F.scaled_dot_product_attention(q, condition.keys, condition.values, attn_mask=condition.allowed)
    y = y.view(rows, D)  # from [rows, H, 1, D / H]
    if condition.has_words is None:
        layer.cross_out.add_to(x, y)
    else:
        x += layer.cross_out(y) * condition.has_words[:, 0]  # [rows, 1]
