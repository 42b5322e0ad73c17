"""Which column looks at what: the weights of every attention of a decoder, to be looked at (lesson 06).

The decoder itself never has them: PyTorch's fused attention goes from queries, keys and values straight to the result.
So they are computed a second time, from what each module was given, by hooks that leave the decoder as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..model.decoder import CrossAttention, LayerCondition, SelfAttention, split_heads
from ..model.lm import MusicgenLM


@dataclass(frozen=True)
class AttentionMaps:
    """Weights of all layers and heads; a row of them belongs to one column of the sequence and sums to 1.

    Attributes:
        own: self-attention [layers, B, H, S, S]; what comes later than the row has weight 0.
        text: cross-attention [layers, B, H, S, L], or None without a text. In a batch row without words all are 0.
    """

    own: Tensor
    text: Tensor | None


def self_weights(attention: SelfAttention, x: Tensor) -> tuple[Tensor, Tensor]:
    """Weights [B, H, S, S] and values [B, H, S, D / H] of self-attention on x [B, S, D], without a cache."""
    S = x.shape[1]
    q, k, v = (split_heads(part, attention.num_heads) for part in attention.qkv(x).chunk(3, -1))
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5  # [B, H, S, S]
    later = torch.ones(S, S, dtype=torch.bool, device=x.device).triu(1)
    return scores.masked_fill(later, -torch.inf).softmax(-1), v


def cross_weights(attention: CrossAttention, x: Tensor, condition: LayerCondition) -> tuple[Tensor, Tensor]:
    """Weights [B, H, S, L] and values [B, H, L, D / H] of cross-attention of x [B, S, D] to a prompt."""
    q = split_heads(attention.q(x), attention.num_heads)
    scores = q @ condition.keys.transpose(-2, -1) / q.shape[-1] ** 0.5  # [B, H, S, L]
    if condition.allowed is not None:
        scores = scores.masked_fill(~condition.allowed, -torch.inf)
    weights = scores.softmax(-1)
    return weights if condition.has_words is None else weights * condition.has_words[..., None], condition.values


@torch.no_grad()
def attention_maps(
    model: MusicgenLM, sequence: Tensor, states: Tensor | None = None, mask: Tensor | None = None
) -> AttentionMaps:
    """The weights of one forward pass.

    Args:
        model: in evaluation mode.
        sequence: int64 [B, K, S].
        states, mask: as for the model: text states [B, L, text_dim] and which of them are words [B, L].
    """
    own: list[Tensor] = []
    cross: list[Tensor] = []

    def look(module: nn.Module, given: tuple, _: Tensor) -> None:
        if isinstance(module, SelfAttention):
            own.append(self_weights(module, given[0])[0])
        else:
            cross.append(cross_weights(module, given[0], given[1])[0])

    watched = [m for m in model.decoder.modules() if isinstance(m, (SelfAttention, CrossAttention))]
    hooks = [module.register_forward_hook(look) for module in watched]
    try:
        model(sequence, states, mask)
    finally:
        for hook in hooks:
            hook.remove()
    return AttentionMaps(torch.stack(own), torch.stack(cross) if cross else None)
