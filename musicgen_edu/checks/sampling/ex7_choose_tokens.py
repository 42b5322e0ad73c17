"""Exercise 7, `choose_tokens`: the whole step."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.generation import generate_codes
from ...model.patterns import pattern_table
from ...model.sampling import Sampling, distribution, guide
from .. import Exercise, expect, expect_tensor
from ._shared import generate_with, small_model
from ._step_answers import RIGHT, WRONG, _choose


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
    wrong=WRONG,
    right=RIGHT,
    examples=_examples,
)
