"""What the exercises of this assignment share."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.decoder import Condition, Decoder
from .. import expect, expect_close


def expect_gradients(yours: Tensor, target: Tensor, leaves: dict[str, Tensor], tolerance: float = 1e-4) -> None:
    """Expect the sum of a result to have the same gradients as that of the right one, by the names of its inputs."""
    expect(yours.requires_grad, f"expected gradients at {', '.join(leaves)}, not none: nothing can be learned")
    inputs = list(leaves.values())
    found, wanted = (torch.autograd.grad(one.sum(), inputs, allow_unused=True) for one in (yours, target))
    for name, leaf, one, right in zip(leaves, inputs, found, wanted, strict=True):
        expect(one is not None, f"expected a gradient at {name}, not none: nothing before it can be learned")
        expect_close(one, torch.zeros_like(leaf) if right is None else right, f"the gradient of {name}", tolerance)


def some_weights(dim: int, feed_forward: int) -> dict[str, Tensor]:
    """Random weights of a size that matters, norms included."""
    pairs = [(name, part) for name in ("self_attn", "encoder_attn") for part in ("q", "k", "v", "out")]
    shapes = {f"{name}.{part}_proj.weight": (dim, dim) for name, part in pairs}
    shapes |= {"fc1.weight": (feed_forward, dim), "fc2.weight": (dim, feed_forward)}
    weights = {name: 1.5 / dim**0.5 * torch.randn(shape) for name, shape in shapes.items()}
    for name in ("self_attn", "encoder_attn", "final"):
        for part, around in (("weight", 1.0), ("bias", 0.0)):
            weights[f"{name}_layer_norm.{part}"] = around + 0.4 * torch.randn(dim)
    return weights


def _decoder(weights: dict[str, Tensor], heads: int) -> Decoder:
    """A decoder of one layer with these weights and no final norm."""
    feed_forward, dim = weights["fc1.weight"].shape
    decoder = Decoder(dim, heads, 1, feed_forward, final_norm=False)
    own, cross = ([weights[f"{name}.{part}_proj.weight"] for part in ("q", "k", "v", "out")] for name in
                  ("self_attn", "encoder_attn"))  # fmt: skip
    state = {
        "self_attention.qkv.weight": torch.cat(own[:3]),
        "self_attention.out.weight": own[3],
        "cross_attention.q.weight": cross[0],
        "cross_attention.kv.weight": torch.cat(cross[1:3]),
        "cross_attention.out.weight": cross[3],
        "up.weight": weights["fc1.weight"],
        "down.weight": weights["fc2.weight"],
    }
    for ours, theirs in (("self", "self_attn_layer"), ("cross", "encoder_attn_layer"), ("feed_forward", "final_layer")):
        for part in ("weight", "bias"):
            state[f"{ours}_norm.{part}"] = weights[f"{theirs}_norm.{part}"]
    decoder.layers[0].load_state_dict(state)
    return decoder


def library_layer(weights, heads, x, states, mask):
    """What the library's layer with these weights makes of x and a text."""
    decoder = _decoder(weights, heads)
    return decoder(x, decoder.prepare(None if states is None else Condition(states, mask)))
