"""Exercise 6, `attend_to_text`: what padding does to a prompt, in two published programs."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ... import figures
from ...model.decoder import Condition, CrossAttention, Decoder
from .. import Exercise, Wrong, expect_close, expect_tensor
from . import _padding as answers

TWO_WAYS = (True, False)


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


def _run(answer: Callable, queries: Tensor, states: Tensor, mask: Tensor, layers: tuple, masked: bool) -> Tensor:
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
        layers, states, queries = _layers(), torch.randn(2, 3, 5), torch.randn(2, 3, 4)
        words = layers[0](states)
        wanted = F.scaled_dot_product_attention(queries, layers[1](words), layers[2](words))
        expect_close(_run(answer, queries, states, _mask(3, 3), layers, masked), wanted, f"masked = {masked}: 3 words")


def padding_is_zeros_that_take_their_share(answer):
    """Unmasked: padding is zeros after the projection. Its score is 0, so it takes its share and gives nothing."""
    layers, states, queries = _layers(), torch.randn(1, 4, 5), torch.randn(1, 3, 4)
    word = layers[0](states[:, :1])
    odds = torch.exp(queries @ layers[1](word).transpose(1, 2) / 2)  # [1, 3, 1], d = 4
    wanted = odds / (odds + 3) * layers[2](word)  # each of three paddings has the odds exp(0) = 1
    expect_close(_run(answer, queries, states, _mask(1, L=4), layers, False), wanted, "one word and three paddings")


def masked_padding_makes_no_difference(answer):
    """Masked: a prompt gives the same alone and in a batch with longer ones, whatever stands in its padding."""
    layers, states, queries = _layers(), torch.randn(3, 6, 5), torch.randn(3, 2, 4)
    found = _run(answer, queries, states, _mask(6, 2, 1), layers, True)
    for row, length in ((1, 2), (2, 1)):
        one = slice(row, row + 1)
        alone = _run(answer, queries[one], states[one, :length], _mask(length), layers, True)
        expect_close(found[one], alone, f"a prompt of {length} in a batch of 6, and alone")
        wanted = answers.row_by_row(queries[one], states[one, :length], _mask(length), *layers, True)
        expect_close(alone, wanted, f"a prompt of {length}")


def an_empty_prompt_gives_zeros(answer):
    """A row without words, as in guidance, gives zeros in both ways; its neighbours give what they give without it."""
    for masked in TWO_WAYS:
        layers, states, queries = _layers(), torch.randn(2, 3, 5), torch.randn(2, 2, 4)
        found = _run(answer, queries, states, _mask(2, 0, L=3), layers, masked)
        expect_close(found[1], torch.zeros(2, 4), f"masked = {masked}: the row without words")
        alone = _run(answer, queries[:1], states[:1], _mask(2, L=3), layers, masked)
        expect_close(found[:1], alone, f"masked = {masked}: the row beside it")


def attends_as_the_library_s_layer(answer):
    """On random prompts: masked as the library's cross-attention, unmasked as it is with a mask that hides nothing."""
    for lengths in ((4, 1, 0), (2, 5), (3, 3, 2, 6)):
        B, L, D = len(lengths), max(lengths), 4
        layers, states, x = _layers(5, D, D), torch.randn(len(lengths), L, 5), torch.randn(B, 3, D)
        decoder, mask = Decoder(D, 1, 1, 8).requires_grad_(False), _mask(*lengths)
        theirs: CrossAttention = decoder.layers[0].cross_attention
        theirs.kv.weight.copy_(torch.cat([layers[1].weight, layers[2].weight]))
        theirs.out.weight.copy_(torch.eye(D))
        for masked in TWO_WAYS:
            words = layers[0](states) * mask[..., None]
            (text,) = decoder.prepare(Condition(words, mask if masked else torch.ones_like(mask)))
            found = _run(answer, theirs.q(x), states, mask, layers, masked)
            expect_close(found, theirs(x, text), f"prompts of {lengths} words, masked = {masked}")


def _examples(generator):
    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    layers = _layers(generator=generator)
    lengths = (((1, 4), False), ((4, 2, 1), True), ((4, 2, 1), False), ((3, 0), True), ((1, 3), True), ((1, 1), False))
    cases = [(_mask(*row), masked) for row, masked in lengths]
    return [(normal(len(m), 4, 4), normal(*m.shape, 5), m, *layers, masked) for m, masked in cases]


def _picture(target, yours, arguments):
    figure, axes = figures.new_figure(8.4, 2.2, columns=2, sharey=True)
    for one, row, name in zip(axes, (0, 1), ("a word and three paddings", "four words"), strict=True):
        one.plot(target[row].flatten(), color=figures.LIT, linewidth=4, alpha=0.5, label="target")
        one.plot(yours[row].flatten(), color=figures.INK, linestyle="--", marker=".", label="yours")
        one.set(title=name, xlabel="number of the result, step after step")
    axes[0].legend(frameon=False)
    return figures.figure_picture(figure, "results of two rows, not masked: target as a wide line, yours dashed")


attend_to_text = Exercise(
    "attend_to_text",
    reference=answers.attended,
    properties=(
        one_word_answers_alone,
        words_are_weighed_by_their_scores,
        padding_is_zeros_that_take_their_share,
        masked_padding_makes_no_difference,
        an_empty_prompt_gives_zeros,
        attends_as_the_library_s_layer,
    ),
    wrong=(
        Wrong(
            answers.no_bias,
            "one_word_answers_alone",
            "You leave out the projection's bias. It is a layer, and has one: projection(states).",
        ),
        Wrong(
            answers.over_steps,
            "one_word_answers_alone",
            "Your softmax runs over the steps. Each step weighs the words: the last axis of the scores.",
        ),
        Wrong(
            answers.keys_as_values,
            "one_word_answers_alone",
            "You have exchanged `key` and `value`: scores come from keys, the result from values.",
        ),
        Wrong(
            answers.keys_twice,
            "one_word_answers_alone",
            "You weigh the keys. They are for the scores; what is weighed and added are the values.",
        ),
        Wrong(
            answers.words_hidden,
            "one_word_answers_alone",
            "You hide the words and leave the padding: True in the mask means that there is a word.",
        ),
        Wrong(
            answers.no_root,
            "words_are_weighed_by_their_scores",
            "You do not divide the scores by the root of d.",
        ),
        Wrong(
            answers.whole_width,
            "words_are_weighed_by_their_scores",
            "You divide the scores by d. It is the root of d.",
        ),
        Wrong(
            answers.root_of_width,
            "words_are_weighed_by_their_scores",
            "You divide by the root of D, the width of the projected words. It is d that counts, the width of a query.",
        ),
        Wrong(
            answers.causal,
            "words_are_weighed_by_their_scores",
            "You hide later words from earlier steps. The prompt is known before the music begins: every step sees it.",
        ),
        Wrong(
            answers.masked_before,
            "padding_is_zeros_that_take_their_share",
            "You put zeros before the projection. It has a bias, which comes out where zeros went in: mask after it.",
        ),
        Wrong(
            answers.padding_kept,
            "padding_is_zeros_that_take_their_share",
            "You leave in the padding what the text encoder has put there. It is set to zero after the projection.",
        ),
        Wrong(
            answers.values_only,
            "padding_is_zeros_that_take_their_share",
            "You set the values of the padding to zero, but not its keys: both come from the words that were masked.",
        ),
        Wrong(
            answers.always_masked,
            "padding_is_zeros_that_take_their_share",
            "You hide the padding in both ways. With masked = False it takes part in the softmax.",
        ),
        Wrong(
            answers.other_way_round,
            "padding_is_zeros_that_take_their_share",
            "You hide the padding when masked is False, and not when it is True.",
        ),
        Wrong(
            answers.never_masked,
            "masked_padding_makes_no_difference",
            "With masked = True your padding still has a share. A score of 0 does not hide it, for exp(0) = 1; nor do "
            "zeros after the softmax, for the others do not grow. Before it, the score has to be minus infinity.",
        ),
        Wrong(
            answers.mask_added,
            "masked_padding_makes_no_difference",
            "You add the mask to the scores. As numbers that is 1 and 0; torch adds masks that are 0 and -inf.",
        ),
        Wrong(
            answers.first_row_s_mask,
            "masked_padding_makes_no_difference",
            "You use one row's mask for all. Each row of the batch has its own.",
        ),
        Wrong(
            answers.not_a_number,
            "an_empty_prompt_gives_zeros",
            "A softmax over minus infinity alone is 0 / 0. Guidance sends such rows at every step: they are to give 0.",
        ),
        Wrong(
            answers.all_or_nothing,
            "an_empty_prompt_gives_zeros",
            "One row without words empties the whole batch. Ask row by row: mask.any(1).",
        ),
    ),
    right=(answers.by_torch, answers.row_by_row, answers.by_einsum, answers.odds),
    examples=_examples,
    picture=_picture,
)
