"""Exercise 3, `keep_top_p`: as many tokens as it takes."""

from __future__ import annotations

import torch

from ...model.sampling import distribution
from .. import Exercise, expect_close
from ._shared import expect_distributions, random_rows, two_distributions
from ._top_p_answers import RIGHT, WRONG, _top_p


def what_is_kept_is_a_distribution(answer):
    """The result has the shape of the probabilities, and each row sums to 1 again."""
    for shape in ((8,), (3, 8), (4, 3, 8)):
        expect_distributions(answer(random_rows(*shape), 0.9), shape, f"p = 0.9, shape {list(shape)}")


def the_token_that_crosses_is_in(answer):
    """Of 0.5, 0.3, 0.15, 0.05 the first two reach 0.7; three of them reach 0.9."""
    row = torch.tensor([0.5, 0.3, 0.15, 0.05])
    expect_close(answer(row, 0.7), torch.tensor([0.625, 0.375, 0.0, 0.0]), "p = 0.7")
    expect_close(answer(row, 0.9), torch.tensor([0.5, 0.3, 0.15, 0.0]) / 0.95, "p = 0.9")


def what_reaches_p_is_enough(answer):
    """Of 0.5, 0.25, 0.25 the first alone reaches 0.5: nothing is added to a set that has reached p."""
    expect_close(answer(torch.tensor([0.5, 0.25, 0.25]), 0.5), torch.tensor([1.0, 0.0, 0.0]), "p = 0.5")


def tokens_keep_their_places(answer):
    """The tokens stand where they stood: sorting is undone."""
    found = answer(torch.tensor([0.3, 0.15, 0.5, 0.05]), 0.7)
    expect_close(found, torch.tensor([0.375, 0.0, 0.625, 0.0]), "0.3, 0.15, 0.5, 0.05, p = 0.7")


def a_small_p_keeps_the_likeliest(answer):
    """However small p is, one token is left: the likeliest."""
    row = torch.tensor([0.15, 0.05, 0.5, 0.3])
    expect_close(answer(row, 0.001), torch.tensor([0.0, 0.0, 1.0, 0.0]), "p = 0.001")


def zero_and_one_keep_everything(answer):
    """p = 1 keeps all, and p = 0 is off."""
    row = torch.tensor([0.15, 0.05, 0.5, 0.3])
    for p in (1.0, 0.0):
        expect_close(answer(row, p), row, f"p = {p}")


def an_undecided_row_keeps_more(answer):
    """A row that is sure keeps few tokens and an undecided one many, in the same batch."""
    rows = torch.tensor([[0.9, 0.06, 0.03, 0.01], [0.28, 0.26, 0.24, 0.22]])
    wanted = torch.stack([torch.tensor([1.0, 0.0, 0.0, 0.0]), torch.tensor([0.28, 0.26, 0.24, 0.0]) / 0.78])
    expect_close(answer(rows, 0.7), wanted, "a sure row and an undecided one, p = 0.7")


def top_p_as_the_library_has_it(answer):
    """On random sizes the result is that of the library."""
    for shape, p in (((2, 4, 60), 0.8), ((3, 9), 0.35)):
        logits = 3 * torch.randn(shape)
        expect_close(answer(logits.softmax(-1), p), distribution(logits, top_p=p), f"p = {p}")


def _examples(generator):
    rows = random_rows(2, 3, 6, generator=generator)
    return [(rows, 0.6), (rows, 0.05), (torch.tensor([[0.25, 0.5, 0.25]]), 0.5), (rows[0], 0.0)]


keep_top_p = Exercise(
    "keep_top_p",
    reference=_top_p,
    properties=(
        what_is_kept_is_a_distribution,
        the_token_that_crosses_is_in,
        what_reaches_p_is_enough,
        tokens_keep_their_places,
        a_small_p_keeps_the_likeliest,
        zero_and_one_keep_everything,
        an_undecided_row_keeps_more,
        top_p_as_the_library_has_it,
    ),
    wrong=WRONG,
    right=RIGHT,
    examples=_examples,
    picture=lambda target, yours, arguments: two_distributions(target, yours, "probability"),
)
