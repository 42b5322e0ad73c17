"""Exercise 6, `run_block`: a layer of one's own, with reference weights."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...model.decoder import Condition, Decoder, join_heads, split_heads
from .. import Exercise, Wrong, expect, expect_close, expect_tensor


class _Attention(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            setattr(self, name, nn.Linear(dim, dim, bias=False))


class _Block(nn.Module):
    """A layer by the names of the published files."""

    def __init__(self, dim: int, heads: int, feed_forward: int):
        super().__init__()
        self.heads = heads
        self.self_attn_layer_norm = nn.LayerNorm(dim)
        self.self_attn = _Attention(dim)
        self.encoder_attn_layer_norm = nn.LayerNorm(dim)
        self.encoder_attn = _Attention(dim)
        self.final_layer_norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, feed_forward, bias=False)
        self.fc2 = nn.Linear(feed_forward, dim, bias=False)

    def attention(self, matrices: _Attention, x: Tensor, states: Tensor, allowed: Tensor) -> Tensor:
        q = split_heads(matrices.q_proj(x), self.heads)
        k, v = (split_heads(one(states), self.heads) for one in (matrices.k_proj, matrices.v_proj))
        return matrices.out_proj(join_heads(F.scaled_dot_product_attention(q, k, v, attn_mask=allowed)))

    def look_back(self, x: Tensor) -> Tensor:
        S = x.shape[1]
        return self.attention(self.self_attn, x, x, torch.ones(S, S, dtype=torch.bool).tril())

    def look_at_text(self, x: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        return self.attention(self.encoder_attn, x, states, mask[:, None, None, :])

    def feed_forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))

    def forward(self, x: Tensor, states: Tensor | None, mask: Tensor | None) -> Tensor:
        x = x + self.look_back(self.self_attn_layer_norm(x))
        if states is not None:
            x = x + self.look_at_text(self.encoder_attn_layer_norm(x), states, mask)
        return x + self.feed_forward(self.final_layer_norm(x))


def _run_with(kind: type[_Block], weights: dict, heads: int, x: Tensor, states, mask) -> Tensor:
    block = kind(x.shape[-1], heads, len(weights["fc1.weight"]))
    block.load_state_dict(weights)
    return block(x, states, mask)


def _run(weights: dict[str, Tensor], heads: int, x: Tensor, states: Tensor | None, mask: Tensor | None) -> Tensor:
    return _run_with(_Block, weights, heads, x, states, mask)


def _some_weights(dim: int, heads: int, feed_forward: int) -> dict[str, Tensor]:
    """Random weights of a size that matters, norms included."""
    weights = _Block(dim, heads, feed_forward).state_dict()
    scale = {name: 0.4 if "norm" in name else 1.5 / dim**0.5 for name in weights}
    return {name: scale[name] * torch.randn_like(one) + ("norm.weight" in name) for name, one in weights.items()}


def _library_layer(weights: dict[str, Tensor], heads: int) -> Decoder:
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


def takes_the_weights_and_keeps_the_shape(answer):
    """It takes the reference weights by their names, and x keeps its shape, with a text and without."""
    for B, S, L, dim, heads in ((2, 5, 3, 12, 3), (1, 4, 2, 8, 2)):
        weights, x = _some_weights(dim, heads, 3 * dim), torch.randn(B, S, dim)
        states, mask = torch.randn(B, L, dim), torch.ones(B, L, dtype=torch.bool)
        expect_tensor(answer(weights, heads, x, states, mask), (B, S, dim), torch.float32)
        expect_tensor(answer(weights, heads, x, None, None), (B, S, dim), torch.float32, "without a text, the result")


def parts_that_say_nothing_change_nothing(answer):
    """If every part returns zeros (out_proj and fc2 are 0), x comes out as it went in: the residual path is free."""
    weights, x = _some_weights(12, 3, 24), torch.randn(2, 4, 12)
    weights = {name: 0 * one if "out_proj" in name or "fc2" in name else one for name, one in weights.items()}
    found = answer(weights, 3, x, torch.randn(2, 3, 12), torch.ones(2, 3, dtype=torch.bool))
    expect_close(found, x, "with silent parts, x has changed")


def nothing_looks_ahead(answer):
    """A change in a column changes no answer before it."""
    weights, x = _some_weights(12, 3, 24), torch.randn(1, 6, 12)
    changed = x.clone()
    changed[:, 4] = torch.randn(12)  # not a constant more, which the norm would take away again
    before, after = (answer(weights, 3, one, None, None) for one in (x, changed))
    expect_close(after[:, :4], before[:, :4], "columns 0 to 3 have changed with column 4")


def padding_is_not_heard(answer):
    """What stands in the padding of the text changes nothing, and what stands in its words does."""
    weights, x = _some_weights(12, 3, 24), torch.randn(2, 4, 12)
    states, mask = torch.randn(2, 5, 12), torch.arange(5) < torch.tensor([[5], [2]])
    noisy = torch.where(mask[..., None], states, states + 3)
    found = answer(weights, 3, x, states, mask)
    expect_close(answer(weights, 3, x, noisy, mask), found, "the padding is heard")
    expect((answer(weights, 3, x, states + 1, mask) - found).abs().max() > 1e-3, "the words are not heard")


def without_a_text_the_library_agrees(answer):
    """Without a text it equals the library's layer with the same weights."""
    weights, x = _some_weights(16, 4, 40), torch.randn(2, 6, 16)
    with torch.no_grad():
        target = _library_layer(weights, 4).layers[0](x)
    expect_close(answer(weights, 4, x, None, None), target, "self-attention and feed-forward", 1e-4)


def with_a_text_the_library_agrees(answer):
    """With a text it equals the library's layer, on random sizes."""
    for B, S, L, dim, heads in ((2, 6, 4, 16, 4), (3, 3, 7, 12, 2)):
        weights, x, states = _some_weights(dim, heads, 3 * dim), torch.randn(B, S, dim), torch.randn(B, L, dim)
        mask = torch.arange(L) < torch.randint(1, L + 1, (B, 1))
        decoder = _library_layer(weights, heads)
        with torch.no_grad():
            target = decoder(x, decoder.prepare(Condition(states, mask)))
        expect_close(answer(weights, heads, x, states, mask), target, f"B {B}, S {S}, L {L}", 1e-4)


class _PostNorm(_Block):
    def forward(self, x, states, mask):
        x = self.self_attn_layer_norm(x + self.look_back(x))
        if states is not None:
            x = self.encoder_attn_layer_norm(x + self.look_at_text(x, states, mask))
        return self.final_layer_norm(x + self.feed_forward(x))


class _NoLastResidual(_Block):
    def forward(self, x, states, mask):
        x = x + self.look_back(self.self_attn_layer_norm(x))
        if states is not None:
            x = x + self.look_at_text(self.encoder_attn_layer_norm(x), states, mask)
        return self.feed_forward(self.final_layer_norm(x))


class _NotCausal(_Block):
    def look_back(self, x):
        return self.attention(self.self_attn, x, x, torch.ones(x.shape[1], x.shape[1], dtype=torch.bool))


class _NoPaddingMask(_Block):
    def look_at_text(self, x, states, mask):
        return super().look_at_text(x, states, torch.ones_like(mask))


class _Relu(_Block):
    def feed_forward(self, x):
        return self.fc2(self.fc1(x).relu())


class _NoNorm(_Block):
    def forward(self, x, states, mask):
        x = x + self.look_back(x)
        if states is not None:
            x = x + self.look_at_text(x, states, mask)
        return x + self.feed_forward(x)


class _SideBySide(_Block):
    def forward(self, x, states, mask):
        result = x + self.look_back(self.self_attn_layer_norm(x)) + self.feed_forward(self.final_layer_norm(x))
        return result if states is None else result + self.look_at_text(self.encoder_attn_layer_norm(x), states, mask)


class _TextLast(_Block):
    def forward(self, x, states, mask):
        x = super().forward(x, None, None)
        return x if states is None else x + self.look_at_text(self.encoder_attn_layer_norm(x), states, mask)


def _block_post_norm(weights, heads, x, states, mask):
    return _run_with(_PostNorm, weights, heads, x, states, mask)


def _block_no_last_residual(weights, heads, x, states, mask):
    return _run_with(_NoLastResidual, weights, heads, x, states, mask)


def _block_not_causal(weights, heads, x, states, mask):
    return _run_with(_NotCausal, weights, heads, x, states, mask)


def _block_no_padding_mask(weights, heads, x, states, mask):
    return _run_with(_NoPaddingMask, weights, heads, x, states, mask)


def _block_relu(weights, heads, x, states, mask):
    return _run_with(_Relu, weights, heads, x, states, mask)


def _block_no_norm(weights, heads, x, states, mask):
    return _run_with(_NoNorm, weights, heads, x, states, mask)


def _block_side_by_side(weights, heads, x, states, mask):
    return _run_with(_SideBySide, weights, heads, x, states, mask)


def _block_text_last(weights, heads, x, states, mask):
    return _run_with(_TextLast, weights, heads, x, states, mask)


def _block_not_loaded(weights, heads, x, states, mask):
    return _Block(x.shape[-1], heads, len(weights["fc1.weight"]))(x, states, mask)


def _block_functions(weights, heads, x, states, mask):
    def normed(x, name):
        return F.layer_norm(x, x.shape[-1:], weights[f"{name}_layer_norm.weight"], weights[f"{name}_layer_norm.bias"])

    def asked(x, states, name, allowed):
        q, k, v = (
            (one @ weights[f"{name}.{part}_proj.weight"].T).unflatten(-1, (heads, -1))
            for one, part in ((x, "q"), (states, "k"), (states, "v"))
        )  # [B, S, H, d]
        scores = torch.einsum("bshd,blhd->bhsl", q, k) / q.shape[-1] ** 0.5
        heard = torch.einsum("bhsl,blhd->bshd", scores.masked_fill(~allowed, -torch.inf).softmax(-1), v)
        return heard.flatten(2) @ weights[f"{name}.out_proj.weight"].T

    inner = normed(x, "self_attn")
    x = x + asked(inner, inner, "self_attn", torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril())
    if states is not None:
        x = x + asked(normed(x, "encoder_attn"), states, "encoder_attn", mask[:, None, None])
    return x + F.gelu(normed(x, "final") @ weights["fc1.weight"].T) @ weights["fc2.weight"].T


def _block_library(weights, heads, x, states, mask):
    decoder = _library_layer(weights, heads)
    return decoder(x, decoder.prepare(None if states is None else Condition(states, mask)))


def _block_examples(generator):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        weights = _some_weights(12, 3, 24)
    x, states = (torch.randn(2, n, 12, generator=generator).requires_grad_() for n in (5, 4))
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    return [(weights, 3, x, states, mask), (weights, 3, x, None, None)]


run_block = Exercise(
    "run_block",
    reference=_run,
    properties=(
        takes_the_weights_and_keeps_the_shape,
        parts_that_say_nothing_change_nothing,
        nothing_looks_ahead,
        padding_is_not_heard,
        without_a_text_the_library_agrees,
        with_a_text_the_library_agrees,
    ),
    wrong=(
        Wrong(
            _block_post_norm,
            "parts_that_say_nothing_change_nothing",
            "Your norms stand after the sums (post-norm), so they also change what only passes by. They belong inside: "
            "x + part(norm(x)).",
        ),
        Wrong(
            _block_no_last_residual,
            "parts_that_say_nothing_change_nothing",
            "The feed-forward part replaces x. It is added, like the other two.",
        ),
        Wrong(
            _block_not_causal,
            "nothing_looks_ahead",
            "Self-attention has no causal mask: a column must not see those after it.",
        ),
        Wrong(
            _block_no_padding_mask,
            "padding_is_not_heard",
            "Cross-attention looks at all states. Pass the mask of the words on, as [B, 1, 1, L].",
        ),
        Wrong(
            _block_relu,
            "without_a_text_the_library_agrees",
            "You use a ReLU, as the paper says. The published code and weights use GELU.",
        ),
        Wrong(
            _block_no_norm,
            "without_a_text_the_library_agrees",
            "The three norms are made and loaded, but never used.",
        ),
        Wrong(
            _block_side_by_side,
            "without_a_text_the_library_agrees",
            "All parts read the x that came in. Each reads the sum that the one before it has left.",
        ),
        Wrong(
            _block_not_loaded,
            "parts_that_say_nothing_change_nothing",
            "The weights were not loaded: your layer computes with those that it was made with.",
        ),
        Wrong(
            _block_text_last,
            "with_a_text_the_library_agrees",
            "You listen to the text after the feed-forward part. The order is self-attention, cross-attention, "
            "feed-forward.",
        ),
    ),
    right=(_block_functions, _block_library),
    examples=_block_examples,
)
