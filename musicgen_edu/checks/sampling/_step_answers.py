"""Exercise 7, answers on record: right and wrong orders of a step."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.sampling import distribution, draw, guide
from .. import Wrong
from .ex1_to_probabilities import to_probabilities
from .ex2_keep_top_k import keep_top_k
from .ex3_keep_top_p import keep_top_p
from .ex4_draw_tokens import draw_tokens
from .ex5_guide_logits import guide_logits


def _filtered(probabilities: Tensor, k: int, p: float) -> Tensor:
    return keep_top_p.reference(keep_top_k.reference(probabilities, k), p)


def _choose(logits: Tensor, uniform: Tensor, scale: float, temperature: float, k: int, p: float) -> Tensor:
    probabilities = to_probabilities.reference(guide_logits.reference(logits, scale), temperature)
    return draw_tokens.reference(_filtered(probabilities, k, p), uniform)


def _whole_batch_drawn(logits, uniform, scale, temperature, k, p):
    probabilities = _filtered(to_probabilities.reference(logits, temperature), k, p)
    return draw_tokens.reference(probabilities, uniform.repeat(2, 1))


def _no_guidance(logits, uniform, scale, temperature, k, p):
    return _choose(logits, uniform, 1.0, temperature, k, p)


def _halves_swapped(logits, uniform, scale, temperature, k, p):
    return _choose(logits.roll(len(logits) // 2, 0), uniform, scale, temperature, k, p)


def _guided_probabilities(logits, uniform, scale, temperature, k, p):
    conditional, unconditional = to_probabilities.reference(logits, temperature).chunk(2)
    mixed = (unconditional + scale * (conditional - unconditional)).clamp(min=0)
    return draw_tokens.reference(_filtered(mixed / mixed.sum(-1, keepdim=True), k, p), uniform)


def _divides_by_zero(logits, uniform, scale, temperature, k, p):
    probabilities = (guide_logits.reference(logits, scale) / temperature).softmax(-1)
    return draw_tokens.reference(_filtered(probabilities, k, p), uniform)


def _filter_first(logits, uniform, scale, temperature, k, p):
    kept = _filtered(logits.float().softmax(-1), k, p).clamp(min=1e-9).log()
    return _choose(kept, uniform, scale, temperature, 0, 0)


def _no_filter(logits, uniform, scale, temperature, k, p):
    return _choose(logits, uniform, scale, temperature, 0, 0)


def _temperature_last(logits, uniform, scale, temperature, k, p):
    kept = _filtered(guide_logits.reference(logits, scale).softmax(-1), k, p)
    return draw_tokens.reference(to_probabilities.reference(kept.log(), temperature), uniform)


def _temperature_times(logits, uniform, scale, temperature, k, p):
    return _choose(logits, uniform, scale, 1 / temperature if temperature else 0, k, p)


def _temperature_twice(logits, uniform, scale, temperature, k, p):
    return _choose(logits.float() / (temperature or 1), uniform, scale, temperature, k, p)


def _no_top_p(logits, uniform, scale, temperature, k, p):
    return _choose(logits, uniform, scale, temperature, k, 0)


def _no_top_k(logits, uniform, scale, temperature, k, p):
    return _choose(logits, uniform, scale, temperature, 0, p)


def _multinomial(logits, uniform, scale, temperature, k, p):
    probabilities = to_probabilities.reference(guide_logits.reference(logits, scale), temperature)
    return _filtered(probabilities, k, p).flatten(0, 1).multinomial(1).view(uniform.shape)


def _one_number(logits, uniform, scale, temperature, k, p):
    return _choose(logits, uniform[:, :1].expand(uniform.shape), scale, temperature, k, p)


def _always_greedy(logits, uniform, scale, temperature, k, p):
    return guide_logits.reference(logits, scale).argmax(-1)


def _own_numbers(logits, uniform, scale, temperature, k, p):
    return _choose(logits, torch.rand(uniform.shape), scale, temperature, k, p)


def _text_half_cooled(logits, uniform, scale, temperature, k, p):
    if temperature == 0:
        return _choose(logits, uniform, scale, temperature, k, p)
    conditional, unconditional = logits.float().chunk(2)
    return _choose(torch.cat([conditional / temperature, unconditional]), uniform, scale, 1.0, k, p)


def _by_library(logits, uniform, scale, temperature, k, p):
    return draw(distribution(guide(*logits.float().chunk(2), scale), temperature, k, p), uniform)


def _by_loops(logits, uniform, scale, temperature, k, p):
    B, K = uniform.shape
    tokens = torch.zeros(B, K, dtype=torch.int64)
    for b in range(B):
        for i in range(K):
            row = scale * logits[b, i].double() + (1 - scale) * logits[B + b, i].double()
            order = row.argsort(descending=True, stable=True).tolist()
            odds = ((row - row.max()) / temperature).exp() if temperature else (row == row.max()).double()
            kept, reached = [], 0.0
            for token in order[: 1 if temperature == 0 else k or len(order)]:
                if p == 0 or reached < p * float(odds.sum()):
                    kept.append(token)
                    reached += float(odds[token])
            left = float(uniform[b, i]) * reached
            for token in sorted(kept):
                tokens[b, i], left = token, left - float(odds[token])
                if left < 0:
                    break
    return tokens


WRONG = (
    Wrong(
        _whole_batch_drawn,
        "has_a_token_for_each_cell",
        "You draw from all 2 B rows. Guidance comes first and makes B rows of them.",
    ),
    Wrong(
        _no_guidance,
        "temperature_zero_takes_the_largest_guided_logit",
        "You use the conditional half alone, whatever the scale says.",
    ),
    Wrong(
        _halves_swapped,
        "temperature_zero_takes_the_largest_guided_logit",
        "The halves are swapped: the first B rows are those with the text.",
    ),
    Wrong(
        _guided_probabilities,
        "temperature_zero_takes_the_largest_guided_logit",
        "You guide probabilities. Guidance of scale 3 works on logits; softmax comes after it.",
    ),
    Wrong(
        _divides_by_zero,
        "temperature_zero_takes_the_largest_guided_logit",
        "At temperature 0 you divide by 0. Your to_probabilities of exercise 1 knows that case.",
    ),
    Wrong(
        _filter_first,
        "the_filter_sees_guided_logits",
        "You filter each half before guidance. A token that guidance would lift is gone by then, and a token that "
        "one half lacks gets a difference without meaning.",
    ),
    Wrong(
        _no_filter,
        "the_filter_sees_guided_logits",
        "You filter nothing: k and p are not used.",
    ),
    Wrong(
        _no_top_k,
        "the_filter_sees_guided_logits",
        "k is not used. Both filters stand in the row; with 0 each of them lets everything through.",
    ),
    Wrong(
        _no_top_p,
        "temperature_comes_before_top_p",
        "p is not used. Both filters stand in the row; with 0 each of them lets everything through.",
    ),
    Wrong(
        _temperature_last,
        "temperature_comes_before_top_p",
        "You filter before the temperature. For top-k the order makes no difference, for top-p it does: how many "
        "tokens reach p depends on how sharp the distribution is.",
    ),
    Wrong(
        _temperature_times,
        "temperature_comes_before_top_p",
        "You multiply by the temperature. Divide: cold is sure.",
    ),
    Wrong(
        _one_number,
        "every_cell_has_its_own_number",
        "All codebooks of a row use the first number, so their draws move together. uniform is [B, K].",
    ),
    Wrong(
        _always_greedy,
        "every_cell_has_its_own_number",
        "You always take the largest. That is temperature 0; at others the number decides.",
    ),
    Wrong(
        _multinomial,
        "every_cell_has_its_own_number",
        "torch.multinomial draws a number of its own; `uniform` is not used. Your draw_tokens uses it.",
    ),
    Wrong(
        _own_numbers,
        "every_cell_has_its_own_number",
        "You draw random numbers of your own. Those that you are given come from the seeds, one for each row.",
    ),
    Wrong(
        _temperature_twice,
        "the_shares_are_right",
        "You divide by the temperature twice: to_probabilities does it once already.",
    ),
    Wrong(
        _text_half_cooled,
        "the_shares_are_right",
        "You divide the conditional half alone by the temperature. Both halves, or better the guided logits: "
        "guidance and division commute.",
    ),
)
RIGHT = (_by_library, _by_loops)
