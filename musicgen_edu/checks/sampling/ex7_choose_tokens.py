"""Exercise 7, `choose_tokens`: the whole step."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.generation import generate_codes
from ...model.patterns import pattern_table
from ...model.sampling import Sampling, distribution, guide
from ...model.sampling import draw as library_draw
from .. import Exercise, expect, expect_equal, expect_tensor, mistakes
from ._shared import generate_with, small_model
from .ex1_to_probabilities import to_probabilities
from .ex2_keep_top_k import keep_top_k
from .ex3_keep_top_p import keep_top_p
from .ex4_draw_tokens import ALMOST_ONE, draw_tokens
from .ex5_guide_logits import guide_logits

soften, top_k, top_p = to_probabilities.reference, keep_top_k.reference, keep_top_p.reference
draw, guided = draw_tokens.reference, guide_logits.reference


def _choose(logits, uniform, scale, temperature, k, p):
    answer = guided(logits, scale)  # [B, K, V]
    probabilities = soften(answer, temperature)
    kept = top_p(top_k(probabilities, k), p)
    return draw(kept, uniform)


def has_a_token_for_each_cell(answer):
    """2 B rows of logits and B rows of numbers give B rows of tokens: int64 [B, K]."""
    for B, K, V in ((1, 4, 6), (3, 2, 9)):
        tokens = answer(torch.randn(2 * B, K, V), torch.rand(B, K), 3.0, 1.0, 4, 0.0)
        expect_tensor(tokens, (B, K), torch.int64, "the tokens")


def temperature_zero_takes_the_largest_guided_logit(answer):
    """At temperature 0 the token is the one with the largest guided logit, whatever the numbers are."""
    logits = 2 * torch.randn(16, 4, 12)
    for scale in (3.0, 0.0, 1.0, 0.3):
        wanted = guide(*logits.chunk(2), scale).argmax(-1)
        for number in (0.0, 0.999):
            found = answer(logits, torch.full((8, 4), number), scale, 0.0, 0, 0.0)
            _expect_tokens(found, wanted, f"scale {scale}, temperature 0, all numbers {number}")


def the_filter_sees_guided_logits(answer):
    """The k likeliest are looked for after guidance: with k = 1 the token is the largest guided one."""
    logits = 2 * torch.randn(16, 4, 12)
    found, wanted = answer(logits, torch.rand(8, 4), 3.0, 1.0, 1, 0.0), guide(*logits.chunk(2), 3.0).argmax(-1)
    _expect_tokens(found, wanted, "scale 3, k = 1")


def temperature_comes_before_top_p(answer):
    """0.5, 0.3, 0.2 at temperature 1/4 are 0.87, 0.11, 0.02: the first reaches p = 0.6 alone."""
    logits = torch.tensor([0.5, 0.3, 0.2]).log().expand(2, 1, 3)
    token = answer(logits, torch.tensor([[0.95]]), 3.0, 0.25, 0, 0.6).item()
    expect_equal(token, 0, "temperature 0.25, p = 0.6: the token of the number 0.95")


def every_cell_has_its_own_number(answer):
    """Each codebook is drawn with its own number, and with nothing else."""
    logits, numbers = torch.zeros(2, 4, 4), torch.tensor([[0.1, 0.3, 0.6, 0.8]])
    found = answer(logits, numbers, 3.0, 1.0, 0, 0.0)
    expect_equal(found, [[0, 1, 2, 3]], f"four equal tokens, numbers {[0.1, 0.3, 0.6, 0.8]}")


def the_shares_are_right(answer):
    """Over a thousand evenly spread numbers each token comes as often as the settings make it likely."""
    logits, numbers = torch.randn(2, 1, 6), ((torch.arange(1000) + 0.5) / 1000)[:, None]
    for scale, temperature, k, p in (
        (2.0, 0.7, 0, 0.0), (3.0, 1.5, 3, 0.0), (0.5, 1.2, 0, 0.8), (0.0, 1.0, 0, 0.9), (1.0, 2.5, 5, 0.0),
    ):  # fmt: skip
        wanted = distribution(guide(*logits.chunk(2), scale), temperature, k, p)[0, 0].tolist()
        counts = answer(logits.repeat_interleave(1000, 0), numbers, scale, temperature, k, p).flatten()
        for token, (found, one) in enumerate(zip(counts.bincount(minlength=6).tolist(), wanted, strict=False)):
            setting = f"scale {scale}, temperature {temperature}, k {k}, p {p}: the share of token {token}"
            expect(abs(found / 1000 - one) < 2e-3, f"{setting}: expected {one:.3f}, not {found / 1000:.3f}")


def music_is_the_library_s_token_by_token(answer):
    """In a small model, with your step in place of the library's, the same seeds give the same codes."""
    settings = (1.0, 5, 0.0), (3.0, 0, 0.9), (0.02, 0, 0.0)
    for count, numbers in ((3, torch.rand(20, 3)), (2, torch.zeros(20, 3)), (2, torch.full((20, 3), ALMOST_ONE))):
        for temperature, k, p in settings[:count]:
            logits = (3.0 if temperature >= 1 else temperature) * torch.randn(40, 3, 200)
            wanted = library_draw(distribution(guide(*logits.chunk(2), 3.0), temperature, k, p), numbers)
            found = answer(logits, numbers, 3.0, temperature, k, p)
            what = f"200 tokens, temperature {temperature}, k {k}, p {p}, numbers {numbers[0].tolist()} ..."
            expect(len((found != wanted).nonzero()) <= 1, f"{what}: {_different(found, wanted)}")  # one may be rounded
    model = small_model()
    condition = model.project_text(torch.randn(2, 3, 6), torch.ones(2, 3))
    for sampling in (Sampling(3.0, 1.0, 4), Sampling(2.0, 0.8, 0, 0.7), Sampling(4.0, 0.0, 0), Sampling(0.0, 1.0, 5)):
        wanted = generate_codes(
            model, 6, [3, 4], condition, sampling, table=pattern_table("delay", model.config.num_codebooks, 6)
        )
        found = generate_with(answer, model, 6, [3, 4], condition, sampling)
        _expect_tokens(found, wanted, f"{sampling}")


def _expect_tokens(found: Tensor, wanted: Tensor, what: str) -> None:
    expect_tensor(found, tuple(wanted.shape), torch.int64, "the tokens")
    expect(torch.equal(found, wanted), f"{what}: {_different(found, wanted)}")


def _different(found: Tensor, wanted: Tensor) -> str:
    place = (found != wanted).nonzero()[:1].flatten().tolist()
    if not place:
        return "all tokens are equal"
    first = f"at {place} expected {int(wanted[tuple(place)])}, not {int(found[tuple(place)])}"
    return f"{int((found != wanted).sum())} of {wanted.numel()} tokens differ, {first}"


def _by_library(logits, uniform, scale, temperature, k, p):
    return library_draw(distribution(guide(*logits.float().chunk(2), scale), temperature, k, p), uniform)


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
    return [(logits, numbers, *one) for one in (*settings, (0.0, 1.0, 0, 0.0), (0.5, 0.02, 0, 0.0))]


choose_tokens = Exercise(
    "choose_tokens",
    reference=_choose,
    properties=(
        has_a_token_for_each_cell, temperature_zero_takes_the_largest_guided_logit, the_filter_sees_guided_logits,
        temperature_comes_before_top_p, every_cell_has_its_own_number, the_shares_are_right,
        music_is_the_library_s_token_by_token,
    ),
    wrong=mistakes(_choose, {
        has_a_token_for_each_cell: [
            ("guided(logits, scale)", "logits", "(kept, uniform)", "(kept, uniform.repeat(2, 1))",
             "You draw from all 2 B rows. Guidance comes first and makes B rows of them."),
            ("return draw(kept, uniform)", "return kept", "You return the probabilities. The draw comes last: it makes "
             "tokens of them."),
        ],
        temperature_zero_takes_the_largest_guided_logit: [
            ("guided(logits, scale)", "logits.chunk(2)[0]",
             "You use the conditional half alone, whatever the scale says."),
            ("guided(logits, scale)", "guided(logits.roll(len(logits) // 2, 0), scale)",
             "The halves are swapped: the first B rows are those with the text."),
            ("answer = guided(logits, scale)", "given, plain = soften(logits, temperature).chunk(2)",
             "soften(answer, temperature)", "(plain + scale * (given - plain)).clamp(min=1e-12)",
             "return draw", "kept = kept / kept.sum(-1, keepdim=True); return draw",
             "You guide probabilities. Guidance of scale 3 works on logits; softmax comes after it."),
            ("soften(answer, temperature)", "(answer / temperature).softmax(-1)",
             "At temperature 0 you divide by 0. Your to_probabilities of exercise 1 knows that case."),
            ("guided(logits, scale)", "guided(logits, scale or 1)", "For you a scale of 0 is `no guidance`. By the "
             "formula it is the model without the text; no guidance is a scale of 1."),
            ("guided(logits, scale)", "guided(logits, max(scale, 1))", "You never go below a scale of 1. Between 0 and "
             "1 the text is heard less than in the model as trained."),
        ],
        the_filter_sees_guided_logits: [
            ("guided(logits, scale)",
             "guided(top_p(top_k(logits.float().softmax(-1), k), p).clamp(min=1e-9).log(), scale)",
             "top_p(top_k(probabilities, k), p)", "probabilities", "You filter each half before guidance. A token that "
             "guidance would lift is gone by then, and a token that one half lacks gets a difference without meaning."),
            ("top_p(top_k(probabilities, k), p)", "probabilities", "You filter nothing: k and p are not used."),
            ("top_k(probabilities, k)", "probabilities",
             "k is not used. Both filters stand in the row; with 0 each of them lets everything through."),
        ],
        temperature_comes_before_top_p: [
            ("top_p(top_k(probabilities, k), p)", "top_k(probabilities, k)",
             "p is not used. Both filters stand in the row; with 0 each of them lets everything through."),
            ("soften(answer, temperature)", "answer.softmax(-1)", "(kept, uniform)",
             "(soften(kept.log(), temperature), uniform)", "You filter before the temperature. For top-k the order "
             "makes no difference, for top-p it does: how many tokens reach p depends on how sharp the distribution "
             "is."),
            ("(answer, temperature)", "(answer, 1 / temperature if temperature else 0)",
             "You multiply by the temperature. Divide: cold is sure."),
        ],
        every_cell_has_its_own_number: [
            ("(kept, uniform)", "(kept, uniform[:, :1].expand(uniform.shape))", "All codebooks of a row use the first "
             "number, so their draws move together. uniform is [B, K]."),
            ("draw(kept, uniform)", "answer.argmax(-1)",
             "You always take the largest. That is temperature 0; at others the number decides."),
            ("draw(kept, uniform)", "kept.flatten(0, 1).multinomial(1).view(uniform.shape)",
             "torch.multinomial draws a number of its own; `uniform` is not used. Your draw_tokens uses it."),
            ("(kept, uniform)", "(kept, torch.rand(uniform.shape))", "You draw random numbers of your own. Those that "
             "you are given come from the seeds, one for each row."),
            ("draw(kept, uniform)", "draw(kept, uniform.flip(1))",
             "Your numbers go through the codebooks from the last to the first. Number k belongs to codebook k."),
        ],
        the_shares_are_right: [
            ("guided(logits, scale)", "guided(logits.float() / (temperature or 1), scale)",
             "You divide by the temperature twice: to_probabilities does it once already."),
            ("guided(logits, scale)", "guided(logits.float() / torch.tensor([temperature or 1, 1]).repeat_interleave("
             "len(logits) // 2)[:, None, None], scale)", "(answer, temperature)", "(answer, 1.0 if temperature else 0)",
             "You divide the conditional half alone by the temperature. Both halves, or better the guided logits: "
             "guidance and division commute."),
        ],
        music_is_the_library_s_token_by_token: [
            ("guided(logits, scale)", "(lambda given, plain: plain.log() + scale * (given.log() - plain.clamp(min=1e-6)"
             ".log()))(*logits.float().softmax(-1).chunk(2))", "You keep probabilities above a small number before you "
             "divide. What the text makes ten times as likely may be rare in both: guide the logits themselves."),
            ("(answer, temperature)", "(answer, temperature if temperature > 0.1 else 0)",
             "You take small temperatures for 0. Only 0 itself is greedy."),
        ],
    }),
    right=(_by_library, _by_loops),
    examples=_examples,
)  # fmt: skip
