"""Exercise 6, `attend_to_text`: what padding does to a prompt, in two published programs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ... import figures
from ...model.decoder import Condition, CrossAttention, Decoder
from .. import Exercise, expect_close, expect_tensor, mistakes

TWO_WAYS = (True, False)


def _attend(queries, states, mask, projection, key, value, masked):
    words = projection(states) * mask[..., None]  # [B, L, D]
    keys, values = key(words), value(words)
    d = queries.shape[-1]
    scores = queries @ keys.transpose(1, 2) / d**0.5  # [B, S, L]
    if masked:
        scores = scores.masked_fill(~mask[:, None], -torch.inf)
    weights = scores.softmax(-1)
    return torch.nan_to_num(weights) @ values


def _layers(text: int = 5, D: int = 6, d: int = 4, generator: torch.Generator | None = None) -> tuple[nn.Linear, ...]:
    """Projection with bias, and matrices of keys and values without; none takes a gradient."""
    made = nn.Linear(text, D), nn.Linear(D, d, bias=False), nn.Linear(D, d, bias=False)
    for layer in made:
        layer.requires_grad_(False)
        layer.weight.normal_(generator=generator)
    made[0].bias.normal_(generator=generator)
    return made


def _mask(*lengths: int, L: int | None = None) -> Tensor:
    """bool [B, L]: so many words in each row."""
    return torch.arange(L or max(lengths)) < torch.tensor(lengths)[:, None]


def _run(answer, queries: Tensor, states: Tensor, mask: Tensor, layers: tuple, masked: bool) -> Tensor:
    found = answer(queries, states, mask, *layers, masked)
    expect_tensor(found, tuple(queries.shape), torch.float32, f"masked = {masked}: the result")
    return found


def one_word_answers_alone(answer):
    """With a single word and no padding, the result is the value of the projected word, at every step [B, S, d]."""
    for masked in TWO_WAYS:
        layers, states = _layers(), torch.randn(2, 1, 5)
        found = _run(answer, torch.randn(2, 3, 4), states, _mask(1, 1), layers, masked)
        wanted = layers[2](layers[0](states)).expand(2, 3, 4)
        expect_close(found, wanted, f"masked = {masked}: one word, three steps")


def words_are_weighed_by_their_scores(answer):
    """Without padding, both ways are the attention of torch: each step weighs all words, scores over the root of d."""
    for masked in TWO_WAYS:
        for B, S, d in ((2, 2, 4), (1, 1, 4), (2, 2, 9)):  # the root of 4 is half of it
            layers, states, queries = _layers(d=d), torch.randn(B, 3, 5), torch.randn(B, S, d)
            words = layers[0](states)
            wanted = F.scaled_dot_product_attention(queries, layers[1](words), layers[2](words))
            found = _run(answer, queries, states, _mask(*[3] * B), layers, masked)
            expect_close(found, wanted, f"masked = {masked}: 3 words, B = {B}, S = {S}, d = {d}")


def padding_is_zeros_that_take_their_share(answer):
    """Unmasked: padding is zeros after the projection. Its score is 0, so it takes its share and gives nothing."""
    layers, states, queries = _layers(), torch.randn(1, 4, 5), torch.randn(1, 3, 4)
    word = layers[0](states[:, :1])
    odds = torch.exp(queries @ layers[1](word).transpose(1, 2) / 2)  # [1, 3, 1], d = 4
    wanted = odds / (odds + 3) * layers[2](word)  # each of three paddings has the odds exp(0) = 1
    expect_close(_run(answer, queries, states, _mask(1, L=4), layers, False), wanted, "one word and three paddings")


def masked_padding_makes_no_difference(answer):
    """Masked: a prompt gives the same alone and in a batch with longer ones, whatever stands in its padding."""
    for size in (1, 1000):
        layers, states, queries = _layers(), torch.randn(3, 6, 5), torch.randn(3, 2, 4)
        mask = _mask(6, 2, 1)
        states = torch.where(mask[..., None], states, size * states)
        found = _run(answer, queries, states, mask, layers, True)
        for row, length in ((1, 2), (2, 1)):
            one, words = slice(row, row + 1), layers[0](states[row : row + 1, :length])
            wanted = F.scaled_dot_product_attention(queries[one], layers[1](words), layers[2](words))
            what = f"a prompt of {length} words, padding up to {size}"
            expect_close(found[one], wanted, f"{what}, in a batch of 6")
            alone = _run(answer, queries[one], states[one, :length], _mask(length), layers, True)
            expect_close(alone, wanted, f"{what}, alone")


def an_empty_prompt_gives_zeros(answer):
    """A row without words, as in guidance, gives zeros in both ways; its neighbours give what they give without it."""
    for masked in TWO_WAYS:
        layers, states, queries = _layers(), torch.randn(2, 3, 5), torch.randn(2, 2, 4)
        found = _run(answer, queries, states, _mask(2, 0, L=3), layers, masked)
        expect_close(found[1], torch.zeros(2, 4), f"masked = {masked}: the row without words")
        alone = _run(answer, queries[:1], states[:1], _mask(2, L=3), layers, masked)
        expect_close(found[:1], alone, f"masked = {masked}: the row beside it")
        found = _run(answer, queries, states, _mask(0, 0, L=3), layers, masked)
        expect_close(found, torch.zeros(2, 2, 4), f"masked = {masked}: two rows without words")


def scores_may_be_large(answer):
    """Scores of plus or minus some hundreds, whose exponentials no float32 holds, give what softmax gives of them."""
    for size in (100.0, -100.0):
        layers, mask = _layers(1, 1, 1), torch.tensor([[True, True, False]])
        for layer, number in zip(layers, (1.0, size, 1.0), strict=True):
            layer.weight.fill_(number)
        layers[0].bias.zero_()
        states, queries = torch.tensor([[[2.0], [3.0], [9.0]]]), torch.ones(1, 1, 1)  # scores 200 and 300, or minus
        wanted = 3.0 if size > 0 else 2.0
        found = _run(answer, queries, states, mask, layers, True)
        expect_close(found.item(), wanted, f"masked = True: values 2 and 3, scores {2 * size:g} and {3 * size:g}")
        found = _run(answer, queries, states, mask, layers, False)
        what = f"masked = False: values 2, 3 and 0, scores {2 * size:g}, {3 * size:g} and 0"
        expect_close(found.item(), 3.0 if size > 0 else 0.0, what)


def attends_as_the_library_s_layer(answer):
    """On random prompts, words anywhere: masked as the library's cross-attention, else as one that hides nothing."""
    words_first = [_mask(*lengths) for lengths in ((4, 1, 0), (2, 5), (3, 3, 2, 6), (7,))]
    for mask in (*words_first, _mask(1, 3).flip(1), torch.rand(4, 5) < 0.5):
        (B, L), D = mask.shape, 6
        layers, states, x = _layers(5, D, D), torch.randn(B, L, 5), torch.randn(B, 3, D)
        decoder = Decoder(D, 1, 1, 8).requires_grad_(False)
        theirs: CrossAttention = decoder.layers[0].cross_attention
        theirs.kv.weight.copy_(torch.cat([layers[1].weight, layers[2].weight]))
        theirs.out.weight.copy_(torch.eye(D))
        for masked in TWO_WAYS:
            words = layers[0](states) * mask[..., None]
            (text,) = decoder.prepare(Condition(words, mask if masked else torch.ones_like(mask)))
            found = _run(answer, theirs.q(x), states, mask, layers, masked)
            expect_close(found, theirs(x, text), f"words at {mask.int().tolist()}, masked = {masked}")


def _by_torch(queries, states, mask, projection, key, value, masked):
    """torch's function, with a mask in which an empty row may see all of its zeros."""
    words = projection(states).masked_fill(~mask.unsqueeze(-1), 0.0)
    allowed = (mask | ~mask.any(1, keepdim=True))[:, None] if masked else None
    return F.scaled_dot_product_attention(queries, key(words), value(words), attn_mask=allowed)


def _row_by_row(queries, states, mask, projection, key, value, masked):
    """For each row its words alone; padding is so many scores of 0."""
    rows = []
    for q, text, keep in zip(queries, states, mask, strict=True):
        words = projection(text[keep])  # [n, D]
        if not masked:
            words = F.pad(words, (0, 0, 0, int((~keep).sum())))
        scores = (q @ key(words).T / q.shape[-1] ** 0.5).double()
        rows.append(scores.softmax(-1).float() @ value(words) if len(words) else torch.zeros_like(q))
    return torch.stack(rows)


def _odds(queries, states, mask, projection, key, value, masked):
    """The softmax by hand: hidden words have no odds, and where nothing has any, nothing is divided."""
    words = projection(states) * mask.float().unsqueeze(2)
    scores = torch.bmm(queries, key(words).mT).div(queries.size(2) ** 0.5)
    shown = mask[:, None].expand_as(scores) if masked else torch.ones_like(scores, dtype=torch.bool)
    most = scores.masked_fill(~shown, -1e30).amax(-1, keepdim=True)
    odds = torch.where(shown, (scores - most).clamp(max=0).exp(), 0.0)
    return odds @ value(words) / odds.sum(-1, keepdim=True).clamp(min=1e-9)


def _by_einsum(queries, states, mask, projection, key, value, masked):
    """A large negative number for infinity: an empty row then weighs its zeros alike."""
    words = torch.einsum("bld,bl->bld", projection(states), mask.float())
    scores = torch.einsum("bsd,bld->bsl", queries, key(words)) * queries.shape[-1] ** -0.5
    if masked:
        scores = scores.masked_fill(~mask[:, None, :], -1e9)
    return torch.einsum("bsl,bld->bsd", scores.softmax(2), value(words))


def _exponentials(queries, states, mask, projection, key, value, masked):
    words = projection(states) * mask[..., None]
    odds = (queries @ key(words).transpose(1, 2) / queries.shape[-1] ** 0.5).exp()
    odds = odds * mask[:, None] if masked else odds
    return odds @ value(words) / odds.sum(-1, keepdim=True).clamp(min=1e-9)


def _examples(generator):
    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    layers = _layers(generator=generator)
    lengths = (((1, 4), False), ((4, 2, 1), True), ((4, 2, 1), False), ((3, 0), True), ((1, 3), True), ((1, 1), False))
    cases = [(_mask(*row), masked, 1.0) for row, masked in lengths]
    cases += [(_mask(3, 2).flip(1), True, 200.0), (_mask(0, 0, L=3), True, 1.0)]
    found = [(s * normal(len(m), 4, 4), normal(*m.shape, 5), m, *layers, masked) for m, masked, s in cases]
    return [*found, (normal(1, 2, 9), normal(1, 3, 5), _mask(3), *_layers(d=9, generator=generator), True)]


def _picture(target, yours, arguments):
    figure, axes = figures.new_figure(8.4, 2.2, columns=2, sharey=True)
    for one, row, name in zip(axes, (0, 1), ("a word and three paddings", "four words"), strict=True):
        one.plot(target[row].flatten(), color=figures.LIT, linewidth=4, alpha=0.5, label="target")
        one.plot(yours[row].flatten(), color=figures.INK, linestyle="--", marker=".", label="yours")
        one.set(title=name, xlabel="number of the result, step after step")
    axes[0].legend(frameon=False)
    return figures.figure_picture(figure, "results of two rows, not masked: target as a wide line, yours dashed")


HIDE = "scores.masked_fill(~mask[:, None], -torch.inf)"
attend_to_text = Exercise(
    "attend_to_text",
    reference=_attend,
    properties=(
        one_word_answers_alone, words_are_weighed_by_their_scores, padding_is_zeros_that_take_their_share,
        masked_padding_makes_no_difference, an_empty_prompt_gives_zeros, scores_may_be_large,
        attends_as_the_library_s_layer,
    ),
    wrong=mistakes(_attend, {
        one_word_answers_alone: [
            ("projection(states)", "(projection(states) - projection.bias)",
             "You leave out the projection's bias. It is a layer, and has one: projection(states)."),
            ("softmax(-1)", "softmax(1)",
             "Your softmax runs over the steps. Each step weighs the words: the last axis of the scores."),
            ("key(words), value(words)", "value(words), key(words)",
             "You have exchanged `key` and `value`: scores come from keys, the result from values."),
            ("key(words), value(words)", "key(words), key(words)",
             "You weigh the keys. They are for the scores; what is weighed and added are the values."),
            ("~mask[:, None]", "mask[:, None]",
             "You hide the words and leave the padding: True in the mask means that there is a word."),
        ],
        words_are_weighed_by_their_scores: [
            (" / d**0.5", "", "You do not divide the scores by the root of d."),
            (" / d**0.5", " / (d * 0.5)",
             "You divide the scores by half of d. It is the root of d: with d = 4 both are 2."),
            (" / d**0.5", " / d", "You divide the scores by d. It is the root of d."),
            ("d = queries.shape[-1]", "d = words.shape[-1]",
             "You divide by the root of D, the width of the projected words. It is d that counts, the width of a "
             "query."),
            ("d = queries.shape[-1]", "d = states.shape[-1]", "You divide by the root of text_dim, the width of the "
             "states. It is d that counts, the width of a query."),
            ("    if masked", "    scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), "
             "-torch.inf)\n    if masked",
             "You hide later words from earlier steps. The prompt is known before the music begins: every step sees "
             "it."),
        ],
        padding_is_zeros_that_take_their_share: [
            ("projection(states) * mask[..., None]", "projection(states * mask[..., None])",
             "You put zeros before the projection. It has a bias, which comes out where zeros went in: mask after it."),
            (" * mask[..., None]", "", "You leave in the padding what the text encoder has put there. It is set to "
             "zero after the projection."),
            ("key(words)", "key(projection(states))", "You set the values of the padding to zero, but not its keys: "
             "both come from the words that were masked."),
            ("if masked:", "if True:",
             "You hide the padding in both ways. With masked = False it takes part in the softmax."),
            ("if masked:", "if not masked:",
             "You hide the padding when masked is False, and not when it is True."),
        ],
        masked_padding_makes_no_difference: [
            (HIDE, "scores * mask[:, None]",
             "With masked = True your padding still has a share. A score of 0 does not hide it, for exp(0) = 1; nor do "
             "zeros after the softmax, for the others do not grow. Before it, the score has to be minus infinity."),
            (HIDE, "scores + mask[:, None]", "You add the mask to the scores. As numbers that is 1 and 0; torch adds "
             "masks that are 0 and -inf."),
            ("~mask[:, None]", "~mask[:1, None]", "You use one row's mask for all. Each row of the batch has its own."),
        ],
        an_empty_prompt_gives_zeros: [
            ("torch.nan_to_num(weights)", "weights",
             "A softmax over minus infinity alone is 0 / 0. Guidance sends such rows at every step: they are to give "
             "0."),
            ("torch.nan_to_num(weights) @ values", "torch.nan_to_num(weights) @ values * mask.any(1).all()",
             "One row without words empties the whole batch. Ask row by row: mask.any(1)."),
            ("    if masked:", "    if masked and mask.any():", "return torch.nan_to_num(weights)", "return weights",
             "You look whether the batch has any word. A single row may have none: ask row by row, mask.any(1)."),
        ],
        scores_may_be_large: [
            (_exponentials, "You take the exponential of the scores as they are: above 88 that is infinite in "
             "float32, and infinity by infinity no number. Take softmax, or subtract the largest score first."),
            ("-torch.inf", "-100", "You hide the padding by a score of -100. A word may have less: take minus "
             "infinity, or -1e9."),
        ],
        attends_as_the_library_s_layer: [
            ("~mask[:, None]", "(torch.arange(mask.shape[1]) >= mask.sum(1, keepdim=True))[:, None]",
             "You count the words of a row and take the first ones. The mask says where they stand: they need not be "
             "the first."),
        ],
    }),
    right=(_by_torch, _row_by_row, _by_einsum, _odds),
    examples=_examples,
    picture=_picture,
)  # fmt: skip
