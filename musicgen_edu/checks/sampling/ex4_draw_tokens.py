"""Exercise 4, `draw_tokens`: a token from a number."""

from __future__ import annotations

import bisect
import itertools

import torch
from torch import Tensor

from ... import figures
from ...model.sampling import draw
from .. import Exercise, Wrong, expect, expect_tensor
from ._shared import random_rows

ALMOST_ONE = 1 - 2**-24  # the largest that torch.rand returns


def _draw(probabilities: Tensor, uniform: Tensor) -> Tensor:
    running = probabilities.double().cumsum(-1)  # [..., V]
    return (running <= uniform.double()[..., None] * running[..., -1:]).sum(-1)


def has_a_token_for_each_row(answer):
    """One token for each row: int64, of the shape of the numbers."""
    for shape in ((2,), (2, 4), ()):
        tokens = answer(random_rows(*shape, 6), torch.rand(shape))
        expect_tensor(tokens, shape, torch.int64, "the tokens")


def nothing_else_decides(answer):
    """The same numbers give the same tokens again; no other random number is drawn."""
    rows, numbers = random_rows(5, 6), torch.rand(5)
    state = torch.get_rng_state()
    once = answer(rows, numbers)
    expect(torch.equal(torch.get_rng_state(), state), "a random number of torch was drawn")
    expect(torch.equal(answer(rows, numbers), once), "a second call gives other tokens")


def numbers_to_tokens_by_hand(answer):
    """0.5, 0.25, 0.25: numbers below 0.5 give token 0, from 0.5 token 1, from 0.75 token 2."""
    row = torch.tensor([[0.5, 0.25, 0.25]])
    for number, wanted in ((0.0, 0), (0.49, 0), (0.5, 1), (0.74, 1), (0.75, 2), (ALMOST_ONE, 2)):
        token = answer(row, torch.tensor([number])).item()
        expect(token == wanted, f"the number {number:g} gives token {token}, not {wanted}")


def what_has_probability_zero_never_comes(answer):
    """A token of probability 0 never comes, not for the number 0 and not for the largest below 1."""
    for row in ([0.0, 0.5, 0.0, 0.5, 0.0], [0.0, 0.0, 0.3, 0.7, 0.0]):
        for number in (0.0, 0.5, ALMOST_ONE):
            token = answer(torch.tensor([row]), torch.tensor([number])).item()
            expect(0 <= token < 5, f"{row}: the number {number:g} gives token {token}, and there are 5")
            expect(row[token] > 0, f"{row}: the number {number:g} gives token {token}, whose probability is 0")


def rounding_does_no_harm(answer):
    """Rows that sum to a hair less than 1, as rounded ones do, still give a token that is possible."""
    row = torch.tensor([[0.75, 0.25 - 1e-5, 0.0]])
    token = answer(row, torch.tensor([ALMOST_ONE])).item()
    expect(token == 1, f"a row that sums to 0.99999: the number {ALMOST_ONE:.8f} gives token {token}, not 1")


def each_row_has_its_own_number(answer):
    """Each row is decided by its own number: the same row with other numbers gives other tokens."""
    rows = torch.tensor([0.25, 0.25, 0.25, 0.25]).expand(2, 4, 4)
    numbers = torch.tensor([[0.1, 0.3, 0.6, 0.8], [0.9, 0.7, 0.4, 0.2]])
    found = answer(rows, numbers).tolist()
    expect(found == [[0, 1, 2, 3], [3, 2, 1, 0]], f"four equal tokens, numbers {numbers.tolist()}: {found}")


def even_numbers_give_the_shares(answer):
    """A thousand numbers spread evenly give each token as often as its probability says."""
    row = torch.tensor([0.1, 0.0, 0.35, 0.25, 0.3])
    numbers = (torch.arange(1000) + 0.5) / 1000
    counts = answer(row.expand(1000, 5), numbers).bincount(minlength=5)
    expect((counts - 1000 * row).abs().max() <= 1.5, f"{row.tolist()}: token by token {counts.tolist()} times")


def tokens_as_the_library_draws_them(answer):
    """On random sizes the tokens are those of the library."""
    for shape, V in (((2, 4), 60), ((5,), 9)):
        rows, numbers = random_rows(*shape, V), torch.rand(shape)
        expect(torch.equal(answer(rows, numbers), draw(rows, numbers)), f"{V} tokens, numbers {numbers.tolist()}")


def _one_column(probabilities, uniform):
    return _draw(probabilities, uniform)[..., None]


def _narrow(probabilities, uniform):
    return _draw(probabilities, uniform).int()


def _strictly_less(probabilities, uniform):
    running = probabilities.double().cumsum(-1)
    return (running < uniform.double()[..., None] * running[..., -1:]).sum(-1)


def _one_further(probabilities, uniform):
    return _draw(probabilities, uniform) + 1


def _counts_the_rest(probabilities, uniform):
    return (probabilities.double().cumsum(-1) > uniform.double()[..., None]).sum(-1)


def _likeliest(probabilities, uniform):
    return probabilities.argmax(-1)


def _evenly(probabilities, uniform):
    return (uniform * probabilities.shape[-1]).long()


def _not_scaled(probabilities, uniform):
    return (probabilities.double().cumsum(-1) <= uniform.double()[..., None]).sum(-1)


def _clamped(probabilities, uniform):
    return _not_scaled(probabilities, uniform).clamp(max=probabilities.shape[-1] - 1)


def _nothing_exceeds(probabilities, uniform):
    return (probabilities.double().cumsum(-1) > uniform.double()[..., None]).int().argmax(-1)


def _one_number(probabilities, uniform):
    return _draw(probabilities, uniform.flatten()[0].expand(uniform.shape))


def _multinomial(probabilities, uniform):
    return probabilities.reshape(-1, probabilities.shape[-1]).multinomial(1).view(uniform.shape)


def _sorted_rank(probabilities, uniform):
    return _draw(probabilities.sort(-1, descending=True).values, uniform)


def _sorted_first(probabilities, uniform):
    ordered, index = probabilities.sort(-1, descending=True)
    return index.gather(-1, _draw(ordered, uniform)[..., None])[..., 0]


def _by_search(probabilities, uniform):
    running = probabilities.double().cumsum(-1)
    return torch.searchsorted(running / running[..., -1:], uniform.double()[..., None], right=True)[..., 0]


def _by_bisection(probabilities, uniform):
    tokens = []
    for row, number in zip(probabilities.reshape(-1, probabilities.shape[-1]).tolist(), uniform.flatten().tolist(),
                           strict=True):  # fmt: skip
        running = list(itertools.accumulate(row))
        tokens.append(bisect.bisect_right(running, number * running[-1]))
    return torch.tensor(tokens, dtype=torch.int64).view(uniform.shape)


def _examples(generator):
    rows = random_rows(4, 6, generator=generator) * torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    row = rows[0] / rows[0].sum()
    numbers = torch.cat([torch.linspace(0, 0.999, 40), torch.tensor([ALMOST_ONE])])
    short = torch.tensor([[0.0, 0.5, 0.5 - 1e-5, 0.0, 0.0]]).expand(4, 5)
    ends = torch.tensor([0.0, 0.25, 0.5, ALMOST_ONE])
    return [(row.expand(41, 6), numbers), (short, ends), (random_rows(2, 3, 7, generator=generator), torch.rand(
        2, 3, generator=generator))]  # fmt: skip


def _staircases(target, yours, arguments):
    """The token by the number, for one distribution."""
    figure, axes = figures.new_figure(8.4, 2.6)
    axes.step(arguments[1], target, where="post", color=figures.GREY, linewidth=5, label="target")
    axes.step(arguments[1], yours, where="post", color=figures.LIT, linewidth=1.5, label="yours")
    axes.set(xlabel="the uniform number", ylabel="token")
    axes.legend(frameon=False)
    return figures.figure_picture(figure, "the token that each number gives: target and yours")


draw_tokens = Exercise(
    "draw_tokens",
    reference=_draw,
    properties=(
        has_a_token_for_each_row,
        nothing_else_decides,
        numbers_to_tokens_by_hand,
        what_has_probability_zero_never_comes,
        rounding_does_no_harm,
        each_row_has_its_own_number,
        even_numbers_give_the_shares,
        tokens_as_the_library_draws_them,
    ),
    wrong=(
        Wrong(
            _one_column,
            "has_a_token_for_each_row",
            "Your tokens have an axis of length 1 at the end. Take it off: [..., 0] or squeeze(-1).",
        ),
        Wrong(
            _narrow,
            "has_a_token_for_each_row",
            "Tokens are used as indices: int64, not int32.",
        ),
        Wrong(
            _multinomial,
            "nothing_else_decides",
            "torch.multinomial draws a number of its own, from a state that all rows share. Then a row's music depends "
            "on its neighbours. Use the number that you were given.",
        ),
        Wrong(
            _strictly_less,
            "numbers_to_tokens_by_hand",
            "You count the running sums below the number, and not those equal to it. A token owns the numbers from the "
            "sum before it, included, to its own, excluded; else the number 0 gives token 0 even if it is impossible.",
        ),
        Wrong(
            _one_further,
            "numbers_to_tokens_by_hand",
            "Your tokens are one too high. As many running sums as are passed, so many tokens lie before: no + 1.",
        ),
        Wrong(
            _counts_the_rest,
            "numbers_to_tokens_by_hand",
            "You count the running sums above the number: that counts tokens from the end. Count those passed.",
        ),
        Wrong(
            _likeliest,
            "numbers_to_tokens_by_hand",
            "You take the likeliest token and never look at the number. That is greedy.",
        ),
        Wrong(
            _evenly,
            "numbers_to_tokens_by_hand",
            "You give every token the same share of the numbers. A token's share is its probability: use running sums.",
        ),
        Wrong(
            _sorted_rank,
            "what_has_probability_zero_never_comes",
            "You sort, and return a place in the sorted row. That place is no token; and there is no need to sort.",
        ),
        Wrong(
            _not_scaled,
            "rounding_does_no_harm",
            "The last running sum is not exactly 1, so a number above it falls off the end: token V does not exist. "
            "Multiply the number by the last running sum.",
        ),
        Wrong(
            _clamped,
            "rounding_does_no_harm",
            "You pull a number that falls off the end back to the last token, and that may have probability 0. "
            "Multiply the number by the last running sum: then nothing falls off.",
        ),
        Wrong(
            _nothing_exceeds,
            "rounding_does_no_harm",
            "Where no running sum exceeds the number, argmax finds nothing and answers 0. Multiply the number by the "
            "last running sum: then one always does.",
        ),
        Wrong(
            _one_number,
            "each_row_has_its_own_number",
            "All rows use the first number. Give the numbers an axis for the tokens: uniform[..., None].",
        ),
        Wrong(
            _sorted_first,
            "tokens_as_the_library_draws_them",
            "You sort first. Each token comes as often as it should, but for another number: a seed would no longer "
            "give the music it gave. The running sum goes through the tokens by their number.",
        ),
    ),
    right=(_by_search, _by_bisection),
    examples=_examples,
    picture=_staircases,
)
