"""Exercise 6, `run_block`: a layer of one's own, with reference weights."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from ...model.decoder import join_heads, split_heads
from .. import Exercise, expect, expect_close, expect_tensor, mistakes
from ._shared import expect_gradients, library_layer, some_weights


def _matrices(dim):
    return nn.ModuleDict({name: nn.Linear(dim, dim, bias=False) for name in ("q_proj", "k_proj", "v_proj", "out_proj")})


class _Block(nn.Module):
    """A layer by the names of the published files."""

    def __init__(self, dim, heads, feed_forward):
        super().__init__()
        self.heads = heads
        self.self_attn_layer_norm, self.self_attn = nn.LayerNorm(dim), _matrices(dim)
        self.encoder_attn_layer_norm, self.encoder_attn = nn.LayerNorm(dim), _matrices(dim)
        self.final_layer_norm = nn.LayerNorm(dim)
        self.fc1 = nn.Linear(dim, feed_forward, bias=False)
        self.fc2 = nn.Linear(feed_forward, dim, bias=False)

    def look(self, matrices, x, states, allowed):
        q = split_heads(matrices["q_proj"](x), self.heads)
        k, v = (split_heads(matrices[name](states), self.heads) for name in ("k_proj", "v_proj"))
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])
        weights = scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(-1) * allowed
        return matrices["out_proj"](join_heads(weights @ v))

    def forward(self, x, states, mask):
        S, inner = x.shape[1], self.self_attn_layer_norm(x)
        x = x + self.look(self.self_attn, inner, inner, torch.ones(S, S, dtype=torch.bool).tril())
        if states is not None:
            asked = self.encoder_attn_layer_norm(x)
            x = x + self.look(self.encoder_attn, asked, states, mask[:, None, None, :])
        hidden = F.gelu(self.fc1(self.final_layer_norm(x)))
        return x + self.fc2(hidden)


def _run(weights, heads, x, states, mask):
    block = _Block(x.shape[-1], heads, len(weights["fc1.weight"]))
    block.load_state_dict(weights)
    return block(x, states, mask)


def takes_the_weights_and_keeps_the_shape(answer):
    """It takes the reference weights by their names, and x keeps its shape, with a text and without."""
    for B, S, L, dim, heads in ((2, 5, 3, 12, 3), (1, 4, 2, 8, 2), (1, 1, 1, 8, 1)):
        weights, x = some_weights(dim, 3 * dim), torch.randn(B, S, dim)
        states, mask = torch.randn(B, L, dim), torch.ones(B, L, dtype=torch.bool)
        expect_tensor(answer(weights, heads, x, states, mask), (B, S, dim), torch.float32)
        expect_tensor(answer(weights, heads, x, None, None), (B, S, dim), torch.float32, "without a text, the result")


def parts_that_say_nothing_change_nothing(answer):
    """If every part returns zeros (out_proj and fc2 are 0), x comes out as it went in: the residual path is free."""
    weights, x = some_weights(12, 24), torch.randn(2, 4, 12)
    weights = {name: 0 * one if "out_proj" in name or "fc2" in name else one for name, one in weights.items()}
    found = answer(weights, 3, x, torch.randn(2, 3, 12), torch.ones(2, 3, dtype=torch.bool))
    expect_close(found, x, "x, with silent parts")


def nothing_looks_ahead(answer):
    """A change in a column changes no answer before it."""
    weights, x = some_weights(12, 24), torch.randn(1, 6, 12)
    changed = x.clone()
    changed[:, 4] = torch.randn(12)  # not a constant more, which the norm would take away again
    before, after = (answer(weights, 3, one, None, None) for one in (x, changed))
    expect_close(after[:, :4], before[:, :4], "columns 0 to 3 after a change in column 4, and before")


def padding_is_not_heard(answer):
    """What stands in the padding of the text changes nothing, wherever it is, and what stands in its words does."""
    weights, x = some_weights(12, 24), torch.randn(2, 4, 12)
    states = torch.randn(2, 5, 12)
    for mask in (torch.arange(5) < torch.tensor([[5], [2]]), torch.tensor([[0, 1, 0, 1, 1], [1, 0, 0, 0, 1]]).bool()):
        noisy = torch.where(mask[..., None], states, states + 3)
        found = answer(weights, 3, x, states, mask)
        told = f"mask {mask.int().tolist()}, padding changed, and as it was"
        expect_close(answer(weights, 3, x, noisy, mask), found, told)
        moved = (answer(weights, 3, x, states + torch.randn(12), mask) - found).abs().amax((1, 2))
        expect((moved > 1e-3).all(), f"expected other answers when the words change, not the same, {moved.tolist()}")


def without_a_text_the_library_agrees(answer):
    """Without a text it equals the library's layer with the same weights."""
    for S in (6, 70):
        weights, x = some_weights(16, 40), torch.randn(2, S, 16)
        target = library_layer(weights, 4, x, None, None).detach()
        expect_close(answer(weights, 4, x, None, None), target, f"self-attention and feed-forward, S {S}", 3e-5)


def with_a_text_the_library_agrees(answer):
    """With a text it equals the library's layer, on random sizes."""
    for B, S, L, dim, heads in ((2, 6, 4, 16, 4), (3, 3, 7, 12, 2), (2, 4, 4, 8, 8)):
        weights, x, states = some_weights(dim, 3 * dim), torch.randn(B, S, dim), torch.randn(B, L, dim)
        holes = torch.rand(B, L) < 0.4
        holes[:, -1] = True
        for mask in (torch.arange(L) < torch.randint(1, L + 1, (B, 1)), holes):
            target = library_layer(weights, heads, x, states, mask).detach()
            told = f"S {S}, mask {mask.int().tolist()}"
            expect_close(answer(weights, heads, x, states, mask), target, told, 5e-5)


def a_row_without_words_hears_nothing(answer):
    """A row of the batch whose mask is false everywhere gets what it gets without a text, and no NaN."""
    weights, x, states = some_weights(12, 24), torch.randn(2, 4, 12), torch.randn(2, 3, 12)
    mask = torch.tensor([[True, True, False], [False, False, False]])
    found = answer(weights, 3, x, states, mask)
    expect_close(found[1], library_layer(weights, 3, x, None, None)[1], "the row without words", 5e-5)
    expect_close(found, library_layer(weights, 3, x, states, mask), "a row with words and one without", 5e-5)


def large_scores_do_no_harm(answer):
    """Scores of some hundreds are in order."""
    weights, x, states = some_weights(12, 24), torch.randn(2, 5, 12), torch.randn(2, 4, 12)
    weights = {name: 40 * one if "q_proj" in name else one for name, one in weights.items()}
    mask = torch.tensor([[True, True, True, True], [True, False, False, True]])
    doubled = [one.double() for one in (x, states)]
    block = _Block(12, 3, 24).double()
    block.load_state_dict(weights)
    found = answer(weights, 3, x, states, mask)
    expect_close(found, block(*doubled, mask), "queries 40 times as large: the result", 5e-3)


def gradients_pass_through(answer):
    """Gradients arrive at x and at the states of the text: what stands before the layer can learn."""
    weights, x, states = some_weights(12, 24), torch.randn(2, 5, 12), torch.randn(2, 4, 12)
    x, states, shares = x.requires_grad_(), states.requires_grad_(), torch.randn(2, 5, 12)
    mask = torch.tensor([[True, True, True, True], [False] * 4])
    yours, target = (one(weights, 3, x, states, mask) * shares for one in (answer, library_layer))
    expect_gradients(yours, target, {"x": x, "states": states}, 2e-4)


def _functions(weights, heads, x, states, mask):
    def normed(x, name):
        return F.layer_norm(x, x.shape[-1:], weights[f"{name}_layer_norm.weight"], weights[f"{name}_layer_norm.bias"])

    def asked(x, states, name, allowed):
        q, k, v = (
            split_heads(one @ weights[f"{name}.{part}_proj.weight"].T, heads)
            for one, part in ((x, "q"), (states, "k"), (states, "v"))
        )
        some = allowed.any(-1, keepdim=True)  # who may look at nothing looks at everything, and it is dropped
        heard = F.scaled_dot_product_attention(q, k, v, attn_mask=allowed | ~some) * some
        return join_heads(heard) @ weights[f"{name}.out_proj.weight"].T

    inner = normed(x, "self_attn")
    x = x + asked(inner, inner, "self_attn", torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).tril())
    if states is not None:
        x = x + asked(normed(x, "encoder_attn"), states, "encoder_attn", mask[:, None, None])
    return x + F.gelu(normed(x, "final") @ weights["fc1.weight"].T) @ weights["fc2.weight"].T


def _examples(generator):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        weights = some_weights(12, 24)
    large = {name: 40 * one if "q_proj" in name else one for name, one in weights.items()}
    x, states = (torch.randn(2, n, 12, generator=generator).requires_grad_() for n in (5, 4))
    mask = torch.tensor([[True, True, True, True], [True, True, False, False]])
    holes = torch.tensor([[False, True, False, True], [False] * 4])
    return [(weights, 3, x, states, holes), (weights, 3, x, None, None), (large, 3, x, states, mask)]


_SHARES = "scores.masked_fill(~allowed, torch.finfo(scores.dtype).min).softmax(-1) * allowed"
_LAST = "        hidden = F.gelu(self.fc1(self.final_layer_norm(x)))\n        return x + self.fc2(hidden)"

run_block = Exercise(
    "run_block",
    reference=_run,
    properties=(
        takes_the_weights_and_keeps_the_shape, parts_that_say_nothing_change_nothing, nothing_looks_ahead,
        padding_is_not_heard, without_a_text_the_library_agrees, with_a_text_the_library_agrees,
        a_row_without_words_hears_nothing, large_scores_do_no_harm, gradients_pass_through,
    ),
    wrong=mistakes([_Block, _run], {
        takes_the_weights_and_keeps_the_shape: [
            ("if states is not None:", "if True:", "Without a text states and mask are None: leave cross-attention "
             "out."),
            ("self.fc1 = nn.Linear(dim, feed_forward, bias=False)", "self.fc1 = nn.Linear(dim, feed_forward)",
             "fc1 has a bias of its own, and the file has none: bias=False."),
        ],
        parts_that_say_nothing_change_nothing: [
            ("inner = x.shape[1], self.self_attn_layer_norm(x)", "inner = x.shape[1], x",
             "        if states", "        x = self.self_attn_layer_norm(x)\n        if states",
             "asked = self.encoder_attn_layer_norm(x)", "asked = x",
             "        hidden", "            x = self.encoder_attn_layer_norm(x)\n        hidden",
             "self.fc1(self.final_layer_norm(x))", "self.fc1(x)",
             "return x + self.fc2(hidden)", "return self.final_layer_norm(x + self.fc2(hidden))",
             "Your norms stand after the sums (post-norm), so they also change what only passes by. They belong "
             "inside: x + part(norm(x))."),
            ("return x + self.fc2", "return self.fc2", "The feed-forward part replaces x. It is added, like the other "
             "two."),
            ("block.load_state_dict(weights)", "", "The weights were not loaded: your layer computes with those that "
             "it was made with."),
            ("return x + self.fc2(hidden)", "return self.final_layer_norm(x) + self.fc2(hidden)",
             "You add the feed-forward part to the norm of x. It is added to x itself."),
            ("            x = x + self.look", "            x = asked + self.look",
             "You add what the text says to the norm of x. It is added to x itself."),
        ],
        nothing_looks_ahead: [
            (".tril()", "", "Self-attention has no causal mask: a column must not see those after it."),
            (".tril()", ".triu()", "Your causal mask is the other way round: a column sees itself and what is before "
             "it."),
            ("join_heads(weights @ v)", "(weights @ v).reshape(x.shape)", "You reshape without bringing the heads back "
             "behind the columns, so columns and heads are mixed: transpose(1, 2) first."),
        ],
        padding_is_not_heard: [
            ("mask[:, None, None, :]", "torch.ones_like(mask)[:, None, None, :]",
             "Cross-attention looks at all states. Pass the mask of the words on, as [B, 1, 1, L]."),
            ("mask[:, None, None, :]", "~mask[:, None, None, :]", "Your mask of the words is upside down: it is true "
             "for words."),
            ("mask[:, None, None, :]", "(torch.arange(mask.shape[1]) < mask.sum(1, keepdim=True))[:, None, None, :]",
             "You count the words and look at so many states from the first on. The mask says which they are."),
            ("mask[:, None, None, :]", "mask.any(0)[None, None, None, :]", "You use one mask for the whole batch. Each "
             "row has its own text."),
        ],
        without_a_text_the_library_agrees: [
            ("F.gelu", "F.relu", "You use a ReLU, as the paper says. The published code and weights use GELU."),
            ("F.gelu(", "F.gelu(approximate='tanh', input=", "You use the approximation of GELU by a tanh. The "
             "published model uses GELU itself."),
            ("inner = x.shape[1], self.self_attn_layer_norm(x)", "inner = x.shape[1], x",
             "asked = self.encoder_attn_layer_norm(x)", "asked = x", "self.fc1(self.final_layer_norm(x))",
             "self.fc1(x)",
             "The three norms are made and loaded, but never used."),
            ("S, inner", "given = x; S, inner", "self.encoder_attn_layer_norm(x)",
             "self.encoder_attn_layer_norm(given)",
             "self.fc1(self.final_layer_norm(x))", "self.fc1(self.final_layer_norm(given))",
             "All parts read the x that came in. Each reads the sum that the one before it has left."),
            ("inner, inner, torch", "inner, x, torch", "Your self-attention takes keys and values from x as it is. "
             "Queries, keys and values all come from its norm."),
            ("self.final_layer_norm(x)", "self.self_attn_layer_norm(x)", "You use the first norm twice. The "
             "feed-forward part has its own, final_layer_norm."),
            ("math.sqrt(q.shape[-1])", "math.sqrt(x.shape[-1])", "You divide by the root of D. It is the root of the "
             "width of a head, D / H."),
            ("return matrices[\"out_proj\"](join_heads(weights @ v))", "return join_heads(weights @ v) * "
             "matrices[\"out_proj\"].weight.any()", "out_proj is loaded, but never used: it mixes what the heads have "
             "heard."),
        ],
        with_a_text_the_library_agrees: [
            ("asked, states, mask[:, None, None, :]", "asked, states[:, : int(mask.sum(1).max())], "
             "mask[:, None, None, : int(mask.sum(1).max())]", "You cut the text off after as many states as there are "
             "words. The mask says where they stand, and that need not be at the beginning."),
            ("        if states is not None:", "        x = x + self.fc2(F.gelu(self.fc1(self.final_layer_norm(x))))\n"
             "        if states is not None:", _LAST, "        return x",
             "You listen to the text after the feed-forward part. The order is self-attention, cross-attention, "
             "feed-forward."),
            ("asked, states, mask", "asked, self.encoder_attn_layer_norm(states), mask", "You norm the states of the "
             "text. encoder_attn_layer_norm is for x, which asks; the states stay as they are."),
            ("self.look(self.encoder_attn, ", "self.look(self.self_attn, ", "Cross-attention uses the matrices of "
             "self-attention. It has its own, encoder_attn."),
            ("asked = self.encoder_attn_layer_norm(x)", "asked = x", "Cross-attention asks with x as it is. It has a "
             "norm, too: encoder_attn_layer_norm."),
            ("asked = self.encoder_attn_layer_norm(x)", "asked = inner", "Cross-attention asks with what "
             "self-attention was given. It asks with the norm of the sum that self-attention has left."),
        ],
        a_row_without_words_hears_nothing: [
            (_SHARES, "scores.masked_fill(~allowed, -torch.inf).softmax(-1)", "A softmax over nothing but minus "
             "infinity is 0 / 0, and the NaN spreads. Use your attention of exercise 3."),
            (") * allowed", ")", "A row without words looks at its padding, all of it alike. Multiply the weights with "
             "the mask, as in exercise 3."),
        ],
        large_scores_do_no_harm: [
            (_SHARES, "scores.exp() * allowed; weights = weights / weights.sum(-1, keepdim=True).clamp(min=1e-30)",
             "exp overflows from 88 on, and inf / inf is NaN. softmax subtracts the largest score first."),
            ("torch.finfo(scores.dtype).min", "-100.0", "You fill with -100. A score may be lower than that: use the "
             "lowest number there is."),
        ],
        gradients_pass_through: [
            ("asked, states, mask", "asked, states.detach(), mask", "You cut the states of the text off from their "
             "gradient. The matrix that made them could never be trained."),
            ("return x + self.fc2(hidden)", "return x.detach() + self.fc2(hidden)", "You cut x off from its gradient. "
             "The layers before this one could learn through the parts only."),
        ],
    }),
    right=(_functions, library_layer),
    examples=_examples,
)  # fmt: skip
