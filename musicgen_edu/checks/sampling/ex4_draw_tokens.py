"""Exercise 4, `draw_tokens`: a token from a number."""

from __future__ import annotations

import bisect
import itertools

import torch

from ... import figures
from ...model.sampling import draw
from .. import Exercise, expect, expect_equal, expect_tensor, mistakes
from ._shared import random_rows

ALMOST_ONE = 1 - 2**-24  # the largest number that torch.rand returns


def _draw(probabilities, uniform):
    running = probabilities.double().cumsum(-1)  # [..., V]
    place = uniform.double()[..., None] * running[..., -1:]  # [..., 1]
    return (running <= place).sum(-1)


def has_a_token_for_each_row(answer):
    """One token for each row: int64, of the shape of the numbers."""
    for shape in ((2,), (2, 4), (1, 3, 2), ()):
        tokens = answer(random_rows(*shape, 6), torch.rand(shape))
        expect_tensor(tokens, shape, torch.int64, "the tokens")


def nothing_else_decides(answer):
    """The same numbers give the same tokens again; no other random number is drawn."""
    rows, numbers = random_rows(5, 6), torch.rand(5)
    state = torch.get_rng_state()
    once = answer(rows, numbers)
    expect(torch.equal(torch.get_rng_state(), state), "no random number of torch is expected to be drawn")
    expect_equal(answer(rows, numbers), once, "a second call gives other tokens")


def numbers_to_tokens_by_hand(answer):
    """0.5, 0.25, 0.25: numbers below 0.5 give token 0, from 0.5 token 1, from 0.75 token 2."""
    row = torch.tensor([[0.5, 0.25, 0.25]])
    for number, wanted in ((0.0, 0), (0.49, 0), (0.5, 1), (0.74, 1), (0.75, 2), (ALMOST_ONE, 2)):
        expect_equal(answer(row, torch.tensor([number])).item(), wanted, f"the token of the number {number:g}")


def what_has_probability_zero_never_comes(answer):
    """A token of probability 0 never comes, not for the number 0 and not for the largest below 1."""
    for row in ([0.0, 0.5, 0.0, 0.5, 0.0], [0.0, 0.0, 0.3, 0.7, 0.0], [0.0, 0.5, 0.0, 0.0, 0.5], [0.0, 1.0, 0.0]):
        for number in (0.0, 0.5, ALMOST_ONE):
            token = answer(torch.tensor([row]), torch.tensor([number])).item()
            possible = [i for i, one in enumerate(row) if one > 0]
            sentence = f"{row}: the number {number:.8g} is expected to give one of the tokens {possible}, not {token}"
            expect(token in possible, sentence)


def rounding_does_no_harm(answer):
    """Rows that sum to a hair less than 1, as rounded ones do, still give a token that is possible."""
    row = torch.tensor([[0.75, 0.25 - 1e-5, 0.0]])
    token = answer(row, torch.tensor([ALMOST_ONE])).item()
    expect_equal(token, 1, f"a row that sums to 0.99999: the token of the number {ALMOST_ONE:.8f}")
    for V in (60, 1000):  # softmax rounds each probability, and a running sum in float32 is rounded V times more
        rows = (3 * torch.randn(1000, V)).where(torch.rand(1000, V) < 0.5, -torch.inf).softmax(-1)
        for number in (0.0, ALMOST_ONE):
            tokens = answer(rows, torch.full((1000,), number))
            outside = int(((tokens < 0) | (tokens >= V)).sum())
            expect_equal(outside, 0, f"1000 rows, number {number:.8f}: how many have a token that is not 0 to {V - 1}")
            empty = int((rows.gather(-1, tokens[:, None]) == 0).sum())
            expect_equal(empty, 0, f"1000 rows, the number {number:.8f}: how many have a token of probability 0")


def each_row_has_its_own_number(answer):
    """Each row is decided by its own number: the same row with other numbers gives other tokens."""
    rows = torch.tensor([0.25, 0.25, 0.25, 0.25]).expand(2, 4, 4)
    numbers = torch.tensor([[0.1, 0.3, 0.6, 0.8], [0.9, 0.7, 0.4, 0.2]])
    expect_equal(answer(rows, numbers), [[0, 1, 2, 3], [3, 2, 1, 0]], f"four equal tokens, numbers {numbers.tolist()}")


def even_numbers_give_the_shares(answer):
    """A thousand numbers spread evenly give each token as often as its probability says."""
    row = torch.tensor([0.1, 0.0, 0.35, 0.25, 0.3])
    counts = answer(row.expand(1000, 5), (torch.arange(1000) + 0.5) / 1000).bincount(minlength=5)
    for token, (found, wanted) in enumerate(zip(counts.tolist(), (1000 * row).tolist(), strict=False)):
        expect(abs(found - wanted) <= 1.5, f"{row.tolist()}: token {token} is expected {wanted:g} times, not {found}")


def tokens_as_the_library_draws_them(answer):
    """On random sizes, and for numbers that lie exactly on a border, the tokens are those of the library."""
    for shape, V in (((2, 4), 60), ((5,), 9), ((3, 2), 1), ((40, 4), 500)):
        rows, numbers = random_rows(*shape, V), torch.rand(shape)
        expect_equal(answer(rows, numbers).flatten(), draw(rows, numbers).flatten(), f"{V} tokens, shape {list(shape)}")
    for row, numbers in (
        (torch.tensor([3, 0, 9, 1, 0, 0, 19, 0]) / 32, torch.arange(32) / 32),  # all sums are exact
        (torch.tensor([2**-20, 1 - 2**-19, 2**-20]), torch.tensor([2**-21, 2**-20, 1 - 2**-20, ALMOST_ONE])),
    ):
        rows = row.expand(len(numbers), -1)
        expect_equal(answer(rows, numbers), draw(rows, numbers), f"{row.tolist()}, numbers {numbers.tolist()[:4]} ...")


def _multinomial(probabilities, uniform):
    return probabilities.reshape(-1, probabilities.shape[-1]).multinomial(1).view(uniform.shape)


def _by_search(probabilities, uniform):
    running = probabilities.double().cumsum(-1)
    return torch.searchsorted(running / running[..., -1:], uniform.double()[..., None], right=True)[..., 0]


def _back_to_the_last_possible(probabilities, uniform):
    token = (probabilities.double().cumsum(-1) <= uniform.double()[..., None]).sum(-1)
    last = probabilities.shape[-1] - 1 - (probabilities.flip(-1) > 0).int().argmax(-1)
    return torch.minimum(token, last)


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
    narrow = torch.tensor([2**-20, 1 - 2**-19, 2**-20]).expand(4, 3)
    several = random_rows(2, 3, 7, generator=generator), torch.rand(2, 3, generator=generator)
    return [(row.expand(41, 6), numbers), (short, ends), several, (narrow, ends)]


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
        has_a_token_for_each_row, nothing_else_decides, numbers_to_tokens_by_hand,
        what_has_probability_zero_never_comes, rounding_does_no_harm, each_row_has_its_own_number,
        even_numbers_give_the_shares, tokens_as_the_library_draws_them,
    ),
    wrong=mistakes(_draw, {
        has_a_token_for_each_row: [
            (".sum(-1)", ".sum(-1, keepdim=True)",
             "Your tokens have an axis of length 1 at the end. Take it off: [..., 0] or squeeze(-1)."),
            (".sum(-1)", ".sum(-1).int()", "Tokens are used as indices: int64, not int32."),
        ],
        nothing_else_decides: [
            (_multinomial, "torch.multinomial draws a number of its own, from a state that all rows share. Then a "
             "row's music depends on its neighbours. Use the number that you were given."),
        ],
        numbers_to_tokens_by_hand: [
            ("<=", "<", "You count the running sums below the number, and not those equal to it. A token owns the "
             "numbers from the sum before it, included, to its own, excluded; else the number 0 gives token 0 even if "
             "it is impossible."),
            (".sum(-1)", ".sum(-1) + 1",
             "Your tokens are one too high. As many running sums as are passed, so many tokens lie before: no + 1."),
            ("<=", ">",
             "You count the running sums above the number: that counts tokens from the end. Count those passed."),
            ("(running <= place).sum(-1)", "probabilities.argmax(-1)",
             "You take the likeliest token and never look at the number. That is greedy."),
            ("(running <= place).sum(-1)", "(uniform * probabilities.shape[-1]).long()", "You give every token the "
             "same share of the numbers. A token's share is its probability: use running sums."),
            (".cumsum(-1)", ".flip(-1).cumsum(-1)", "You lay the tokens side by side from the last to the first. They "
             "lie in the order of their numbers."),
            ("(running <= place).sum(-1)", "(running - place).abs().argmin(-1)", "You take the border that is nearest. "
             "The number points between two borders: at the token there."),
        ],
        what_has_probability_zero_never_comes: [
            ("probabilities.double()", "probabilities.sort(-1, descending=True).values.double()", "You sort, and "
             "return a place in the sorted row. That place is no token; and there is no need to sort."),
        ],
        rounding_does_no_harm: [
            (" * running[..., -1:]", "", "The last running sum is not exactly 1, so a number above it falls off the "
             "end: token V does not exist. Multiply the number by the last running sum."),
            (" * running[..., -1:]", "", ".sum(-1)", ".sum(-1).clamp(max=probabilities.shape[-1] - 1)", "You pull a "
             "number that falls off the end back to the last token, and that may have probability 0. Multiply the "
             "number by the last running sum: then nothing falls off."),
            (" * running[..., -1:]", "", "(running <= place).sum(-1)", "(running > place).int().argmax(-1)",
             "Where no running sum exceeds the number, argmax finds nothing and answers 0. Multiply the number by the "
             "last running sum: then one always does."),
            ("probabilities.double()", "(probabilities / probabilities.sum(-1, keepdim=True))", " * running[..., -1:]",
             "", ".sum(-1)", ".sum(-1).clamp(max=probabilities.shape[-1] - 1)", "You divide by the sum, add up in "
             "float32 and pull what falls off the end back. The running sum is rounded anew and still ends below 1, "
             "and the last token may have probability 0. Multiply the number by the last running sum."),
        ],
        each_row_has_its_own_number: [
            ("uniform.double()[..., None]", "uniform.flatten()[:1].double()",
             "All rows use the first number. Give the numbers an axis for the tokens: uniform[..., None]."),
            ("uniform.double()[..., None]",
             "(uniform[..., :1] if uniform.ndim else uniform).expand(uniform.shape).double()[..., None]",
             "All codebooks of a row use its first number, so their draws move together. Each has its own."),
        ],
        tokens_as_the_library_draws_them: [
            (" * running[..., -1:]", "", "<= place", "<= place.clamp(max=1 - 1e-4)", "You keep the number away from 1. "
             "Then the tokens at the end come too seldom. Multiply the number by the last running sum instead."),
            ("probabilities.double()", "(ranked := probabilities.sort(-1, descending=True)).values.double()",
             "(running <= place).sum(-1)",
             "ranked.indices.gather(-1, (running <= place).sum(-1, keepdim=True))[..., 0]",
             "You sort first. Each token comes as often as it should, but for another number: a seed would no longer "
             "give the music it gave. The running sum goes through the tokens by their number."),
        ],
    }),
    right=(_by_search, _by_bisection, _back_to_the_last_possible),
    examples=_examples,
    picture=_staircases,
)  # fmt: skip
