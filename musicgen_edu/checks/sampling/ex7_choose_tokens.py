"""Exercise 7, `choose_tokens`: the whole step."""

from __future__ import annotations

import torch
from torch import Tensor

from ...generation import Sampling, generate_codes
from ...patterns import pattern_table
from ...sampling import distribution, draw, guide
from .. import Exercise, Wrong, expect, expect_tensor, seal
from ._shared import generate_with, small_model
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


def has_a_token_for_each_cell(answer):
    """2 B rows of logits and B rows of numbers give B rows of tokens: int64 [B, K]."""
    for B, K, V in ((1, 4, 6), (3, 2, 9)):
        tokens = answer(torch.randn(2 * B, K, V), torch.rand(B, K), 3.0, 1.0, 4, 0.0)
        expect_tensor(tokens, (B, K), torch.int64, "the tokens")


def temperature_zero_takes_the_largest_guided_logit(answer):
    """At temperature 0 the token is the one with the largest guided logit, whatever the numbers are."""
    logits = 2 * torch.randn(16, 4, 12)
    wanted = guide(*logits.chunk(2), 3.0).argmax(-1)
    for number in (0.0, 0.999):
        found = answer(logits, torch.full((8, 4), number), 3.0, 0.0, 0, 0.0)
        expect(torch.equal(found, wanted), f"scale 3, temperature 0: {_different(found, wanted)}")


def the_filter_sees_guided_logits(answer):
    """The k likeliest are looked for after guidance: with k = 1 the token is the largest guided one."""
    logits = 2 * torch.randn(16, 4, 12)
    found, wanted = answer(logits, torch.rand(8, 4), 3.0, 1.0, 1, 0.0), guide(*logits.chunk(2), 3.0).argmax(-1)
    expect(torch.equal(found, wanted), f"scale 3, k = 1: {_different(found, wanted)}")


def temperature_comes_before_top_p(answer):
    """0.5, 0.3, 0.2 at temperature 1/4 are 0.87, 0.11, 0.02: the first reaches p = 0.6 alone."""
    logits = torch.tensor([0.5, 0.3, 0.2]).log().expand(2, 1, 3)
    token = answer(logits, torch.tensor([[0.95]]), 3.0, 0.25, 0, 0.6).item()
    expect(token == 0, f"temperature 0.25, p = 0.6, number 0.95: token {token}, not 0")


def every_cell_has_its_own_number(answer):
    """Each codebook is drawn with its own number, and with nothing else."""
    logits, numbers = torch.zeros(2, 4, 4), torch.tensor([[0.1, 0.3, 0.6, 0.8]])
    found = answer(logits, numbers, 3.0, 1.0, 0, 0.0).tolist()
    expect(found == [[0, 1, 2, 3]], f"four equal tokens, numbers {numbers.tolist()}: {found}")


def the_shares_are_right(answer):
    """Over a thousand evenly spread numbers each token comes as often as the settings make it likely."""
    logits, numbers = torch.randn(2, 1, 6), ((torch.arange(1000) + 0.5) / 1000)[:, None]
    for scale, temperature, k, p in ((2.0, 0.7, 0, 0.0), (3.0, 1.5, 3, 0.0), (0.5, 1.2, 0, 0.8)):
        wanted = distribution(guide(*logits.chunk(2), scale), temperature, k, p)[0, 0]
        counts = answer(logits.repeat_interleave(1000, 0), numbers, scale, temperature, k, p).flatten()
        shares = counts.bincount(minlength=6) / 1000
        sentence = f"scale {scale}, temperature {temperature}, k {k}, p {p}: shares {shares.tolist()}"
        expect((shares - wanted).abs().max() < 2e-3, f"{sentence} for probabilities {wanted.tolist()}")


def music_is_the_library_s_token_by_token(answer):
    """In a small model, with your step in place of the library's, the same seeds give the same codes."""
    model = small_model()
    condition = model.project_text(torch.randn(2, 3, 6), torch.ones(2, 3))
    for sampling in (Sampling(3.0, 1.0, 4), Sampling(2.0, 0.8, 0, 0.7), Sampling(4.0, 0.0, 0)):
        wanted = generate_codes(
            model, 6, [3, 4], condition, sampling, table=pattern_table("delay", model.config.num_codebooks, 6)
        )
        found = generate_with(answer, model, 6, [3, 4], condition, sampling)
        expect(torch.equal(found, wanted), f"{sampling}: {_different(found, wanted)}")


def _different(found: Tensor, wanted: Tensor) -> str:
    return f"{int((found != wanted).sum())} of {wanted.numel()} tokens differ"


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


def _examples(generator):
    logits, numbers = 2 * torch.randn(32, 4, 8, generator=generator), torch.rand(16, 4, generator=generator)
    settings = (3.0, 0.0, 0, 0.0), (3.0, 1.0, 2, 0.0), (2.0, 0.4, 0, 0.8), (1.5, 2.0, 0, 0.7), (4.0, 1.5, 0, 0.0)
    return [(logits, numbers, *one) for one in settings]


choose_tokens = Exercise(
    "choose_tokens",
    reference=_choose,
    properties=(
        has_a_token_for_each_cell,
        temperature_zero_takes_the_largest_guided_logit,
        the_filter_sees_guided_logits,
        temperature_comes_before_top_p,
        every_cell_has_its_own_number,
        the_shares_are_right,
        music_is_the_library_s_token_by_token,
    ),
    wrong=(
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
            _own_numbers,
            "every_cell_has_its_own_number",
            "You draw random numbers of your own. Those that you are given come from the seeds, one for each row.",
        ),
        Wrong(
            _text_half_cooled,
            "the_shares_are_right",
            "You divide the conditional half alone by the temperature. Both halves, or better the guided logits: "
            "guidance and division commute.",
        ),
    ),
    right=(_by_library, _by_loops),
    examples=_examples,
)

seal(__name__)
