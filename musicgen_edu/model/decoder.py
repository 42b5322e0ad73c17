"""The transformer decoder: causal self-attention, cross-attention to the text, feed-forward (lesson 06).

Pre-norm layers as in the published MusicGen: x += self-attention, x += cross-attention, x += feed-forward, each on
a layer norm of x. Sources: Vaswani et al. 2017 (arXiv 1706.03762), section 3; Copet et al. 2023 (arXiv 2306.05284).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """[B, S, D] to [B, H, S, D / H]: cut each vector in H pieces, then bring the heads to the front."""
    B, S, D = x.shape
    return x.view(B, S, num_heads, D // num_heads).transpose(1, 2)


def join_heads(x: Tensor) -> Tensor:
    """[B, H, S, D / H] back to [B, S, D]."""
    B, H, S, width = x.shape
    return x.transpose(1, 2).reshape(B, S, H * width)


class KeyValueCache:
    """Keys and values of the steps done so far, in memory that is taken once: a step writes, and never copies.

    Args:
        layers: of the decoder.
        rows: B of the sequences (with guidance, both halves).
        num_heads, width: H and D / H.
        steps: how many there can be.
        like: a tensor with the device and number format to use.
    """

    def __init__(self, layers: int, rows: int, num_heads: int, steps: int, width: int, like: Tensor):
        self.memory = like.new_empty(layers, 2, rows, num_heads, steps, width)  # 2: keys and values
        self.steps, self.length = steps, 0

    def room(self, n: int) -> slice:
        """Where the next n steps go; a `ValueError` if they do not fit."""
        if self.length + n > self.steps:
            raise ValueError(f"the cache holds {self.steps} steps, but step {self.length + n} was asked for")
        return slice(self.length, self.length + n)

    def write(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Write a layer's [B, H, n, D / H] behind what is there; returns all its keys and values so far.

        The length stays: it moves by n when every layer has written.
        """
        place = self.room(keys.shape[2])
        all_keys, all_values = self.memory[layer]
        all_keys[:, :, place] = keys
        all_values[:, :, place] = values
        return all_keys[:, :, : place.stop], all_values[:, :, : place.stop]


class SelfAttention(nn.Module):
    """Causal multi-head self-attention; queries, keys and values come from one matrix product."""

    def __init__(self, dim: int, num_heads: int, bias: bool):
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=bias)
        self.out = nn.Linear(dim, dim, bias=bias)

    def forward(self, x: Tensor, cache: KeyValueCache | None = None, layer: int = 0) -> Tensor:
        """x [B, S, D], same shape out; with a cache x is what follows the steps that it holds for this layer."""
        B, S, D = x.shape
        qkv = self.qkv(x).view(B, S, 3, self.num_heads, D // self.num_heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each [B, H, S, D / H]
        past = 0
        if cache is not None:
            past = cache.length
            k, v = cache.write(layer, k, v)  # [B, H, past + S, D / H]
        # A single query may see every key; several are masked so that each sees itself and what is before it.
        mask = None
        if S > 1 and past:
            mask = torch.ones(S, past + S, dtype=torch.bool, device=x.device).tril(past)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=S > 1 and not past)
        return self.out(join_heads(y))


@dataclass
class Condition:
    """What cross-attention looks at: text states [B, L, D] and which of them are words, bool [B, L]."""

    states: Tensor
    mask: Tensor


@dataclass
class LayerCondition:
    """A condition in one layer, the same at every step: keys and values [B, H, L, D / H], and what may be looked at.

    `allowed` is bool [B, 1, 1, L], or None if every state is a word. A softmax over nothing is NaN, so a row without
    words is allowed everything, and `has_words` [B, 1, 1] then drops its result (None if every row has words).
    """

    keys: Tensor
    values: Tensor
    allowed: Tensor | None
    has_words: Tensor | None


class CrossAttention(nn.Module):
    """Each step asks the words of the prompt; padding is masked, and a row without words gets 0."""

    def __init__(self, dim: int, num_heads: int, bias: bool):
        super().__init__()
        self.num_heads = num_heads
        self.q = nn.Linear(dim, dim, bias=bias)
        self.kv = nn.Linear(dim, 2 * dim, bias=bias)
        self.out = nn.Linear(dim, dim, bias=bias)

    def keys_values(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of text states [B, L, D], each [B, H, L, D / H]: the same at every step, so made once."""
        k, v = self.kv(states).chunk(2, -1)
        return split_heads(k, self.num_heads), split_heads(v, self.num_heads)

    def forward(self, x: Tensor, condition: LayerCondition) -> Tensor:
        """x [B, S, D] and its condition; same shape out."""
        q = split_heads(self.q(x), self.num_heads)  # [B, H, S, D / H]
        y = F.scaled_dot_product_attention(q, condition.keys, condition.values, attn_mask=condition.allowed)
        y = self.out(join_heads(y))  # [B, S, D]
        return y if condition.has_words is None else y * condition.has_words


class DecoderLayer(nn.Module):
    """Self-attention, cross-attention, feed-forward, each added to x."""

    def __init__(self, dim: int, num_heads: int, feed_forward: int, bias: bool):
        super().__init__()
        self.self_norm = nn.LayerNorm(dim)
        self.self_attention = SelfAttention(dim, num_heads, bias)
        self.cross_norm = nn.LayerNorm(dim)
        self.cross_attention = CrossAttention(dim, num_heads, bias)
        self.feed_forward_norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, feed_forward, bias=bias)
        self.down = nn.Linear(feed_forward, dim, bias=bias)

    def forward(
        self, x: Tensor, condition: LayerCondition | None = None, cache: KeyValueCache | None = None, layer: int = 0
    ) -> Tensor:
        """x [B, S, D]; the condition is that of the first rows of x, the others have none."""
        x = x + self.self_attention(self.self_norm(x), cache, layer)
        if condition is not None:
            rows = condition.keys.shape[0]  # with guidance only the first half has a condition
            asked = self.cross_attention(self.cross_norm(x[:rows]), condition)
            x = x + asked if rows == x.shape[0] else torch.cat([x[:rows] + asked, x[rows:]])
        return x + self.down(F.gelu(self.up(self.feed_forward_norm(x))))


class Decoder(nn.Module):
    """A stack of layers and, unless switched off, a final norm."""

    def __init__(
        self, dim: int, num_heads: int, layers: int, feed_forward: int, bias: bool = False, final_norm: bool = True
    ):
        super().__init__()
        if dim % num_heads:
            raise ValueError(f"the width D = {dim} must be a multiple of the number of heads H = {num_heads}")
        self.num_heads = num_heads
        self.layers = nn.ModuleList(DecoderLayer(dim, num_heads, feed_forward, bias) for _ in range(layers))
        self.norm = nn.LayerNorm(dim) if final_norm else nn.Identity()

    def prepare(self, condition: Condition | None) -> list[LayerCondition | None]:
        """Every layer's keys and values of a condition; a mask is kept only where there is something to mask."""
        if condition is None:
            return [None] * len(self.layers)
        mask = condition.mask.bool()[:, None, None, :]  # [B, 1, 1, L]
        has_words = mask.any(-1)  # [B, 1, 1]
        allowed = None if mask.all() else mask | ~has_words[..., None]
        has_words = None if has_words.all() else has_words
        return [
            LayerCondition(*layer.cross_attention.keys_values(condition.states), allowed, has_words)
            for layer in self.layers
        ]

    def new_cache(self, rows: int, steps: int) -> KeyValueCache:
        """An empty cache."""
        scale = self.layers[0].self_norm.weight  # [D], in the number format of what the layers compute
        return KeyValueCache(len(self.layers), rows, self.num_heads, steps, len(scale) // self.num_heads, scale)

    def forward(self, x: Tensor, conditions: list[LayerCondition | None], cache: KeyValueCache | None = None) -> Tensor:
        """x [B, S, D], what `prepare` made of the condition, and a cache if x follows earlier steps; [B, S, D] out."""
        for i, layer in enumerate(self.layers):
            x = layer(x, conditions[i], cache, i)
        if cache is not None:
            cache.length += x.shape[1]
        return self.norm(x)
