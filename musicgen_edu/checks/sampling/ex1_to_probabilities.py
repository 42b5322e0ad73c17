"""Exercise 1, `to_probabilities`: temperature."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...model.sampling import distribution
from .. import Exercise, Wrong, expect, expect_close
from ._shared import expect_distributions, two_distributions

ODDS = (1.0, 2.0, 5.0)


def _probabilities(logits: Tensor, temperature: float) -> Tensor:
    logits = logits.float()
    if temperature == 0:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
    return (logits / temperature).softmax(-1)


def every_row_is_a_distribution(answer):
    """Each row of V logits becomes V probabilities that sum to 1, whatever axes stand before."""
    for shape in ((6,), (2, 6), (2, 3, 6)):
        for temperature in (0.5, 1.0, 2.0):
            expect_distributions(answer(torch.randn(shape), temperature), shape, f"temperature {temperature}")


def temperature_one_is_softmax(answer):
    """At temperature 1, logits log 1, log 2, log 5 give the odds 1 : 2 : 5."""
    odds = torch.tensor(ODDS)
    expect_close(answer(odds.log(), 1.0), odds / 8, "probabilities")


def temperature_bends_the_odds(answer):
    """Temperature 1/2 squares the odds, temperature 2 takes their roots."""
    odds = torch.tensor(ODDS)
    for temperature, bent in ((0.5, odds.square()), (2.0, odds.sqrt())):
        expect_close(answer(odds.log(), temperature), bent / bent.sum(), f"1 : 2 : 5 at temperature {temperature}")


def zero_is_greedy(answer):
    """At temperature 0 all is on the largest logit, and on the first of equal ones."""
    logits = torch.tensor([[0.5, 2.0, 1.0], [3.0, -1.0, 3.0]])
    wanted = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    found = answer(logits, 0.0)
    expect_distributions(found, (2, 3), "logits 0.5, 2, 1 and 3, -1, 3 at temperature 0")
    expect_close(found, wanted, "logits 0.5, 2, 1 and 3, -1, 3 at temperature 0")


def large_logits_do_no_harm(answer):
    """Logits of 1000 and of -1000 in one batch, and a temperature of 0.001, give no NaN."""
    odds = torch.tensor(ODDS)
    logits = odds.log() + torch.tensor([[1000.0], [-1000.0]])
    found = answer(logits, 1.0)
    expect(found.isfinite().all(), f"logits {logits[0].tolist()} and {logits[1].tolist()} give {found.tolist()}")
    expect_close(found, (odds / 8).expand(2, 3), "odds 1 : 2 : 5 in large logits", 1e-4)
    for one in (odds, odds / 50):
        expect_close(answer(one, 1e-3), torch.tensor([0.0, 0.0, 1.0]), f"logits {one.tolist()} at temperature 0.001")


def half_precision_is_left_behind(answer):
    """Logits in bfloat16 are taken to float32 first: probabilities of three digits would not sum to 1."""
    logits = torch.randn(2, 40).bfloat16()
    found = answer(logits, 0.7)
    expect_distributions(found, (2, 40), "bfloat16")
    expect_close(found, (logits.float() / 0.7).softmax(-1), "computed in float32")


def probabilities_as_the_library_has_them(answer):
    """On random sizes the probabilities are those of the library."""
    for shape, temperature in (((2, 4, 50), 0.8), ((3, 7), 1.3), ((5,), 0.0)):
        logits = 4 * torch.randn(shape)
        expect_close(answer(logits, temperature), distribution(logits, temperature), f"temperature {temperature}")


def _greedy_or(logits, temperature, otherwise):
    return _probabilities(logits, 0) if temperature == 0 else otherwise


def _times(logits, temperature):
    return _greedy_or(logits, temperature, (logits.float() * temperature).softmax(-1))


def _divided_later(logits, temperature):
    return _greedy_or(logits, temperature, logits.float().softmax(-1) / (temperature or 1))


def _divided_and_normalised(logits, temperature):
    scaled = logits.float().softmax(-1) / (temperature or 1)
    return _greedy_or(logits, temperature, scaled / scaled.sum(-1, keepdim=True))


def _overflows(logits, temperature):
    odds = (logits.float() / (temperature or 1)).exp()
    return _greedy_or(logits, temperature, odds / odds.sum(-1, keepdim=True))


def _one_maximum(logits, temperature):
    odds = ((logits.float() - logits.max()) / (temperature or 1)).exp()
    return _greedy_or(logits, temperature, odds / odds.sum(-1, keepdim=True))


def _first_axis(logits, temperature):
    return _greedy_or(logits, temperature, (logits.float() / (temperature or 1)).softmax(0))


def _whole_batch(logits, temperature):
    flat = (logits.float() / (temperature or 1)).flatten().softmax(0)
    return _greedy_or(logits, temperature, flat.view(logits.shape))


def _zero_divides(logits, temperature):
    return (logits.float() / temperature).softmax(-1)


def _zero_is_off(logits, temperature):
    return (logits.float() / (temperature or 1)).softmax(-1)


def _greedy_token(logits, temperature):
    return logits.argmax(-1) if temperature == 0 else _probabilities(logits, temperature)


def _greedy_shared(logits, temperature):
    largest = (logits == logits.amax(-1, keepdim=True)).float()
    return largest / largest.sum(-1, keepdim=True) if temperature == 0 else _probabilities(logits, temperature)


def _greedy_integers(logits, temperature):
    return F.one_hot(logits.argmax(-1), logits.shape[-1]) if temperature == 0 else _probabilities(logits, temperature)


def _powers(logits, temperature):
    bent = logits.float().softmax(-1) ** (1 / (temperature or 1))
    return _greedy_or(logits, temperature, bent / bent.sum(-1, keepdim=True))


def _float_after_softmax(logits, temperature):
    return _greedy_or(logits, temperature, (logits / (temperature or 1)).softmax(-1).float())


def _float_after_division(logits, temperature):
    return _greedy_or(logits, temperature, (logits / (temperature or 1)).float().softmax(-1))


def _half(logits, temperature):
    return _probabilities(logits, 0) if temperature == 0 else (logits / temperature).softmax(-1)


def _by_hand(logits, temperature):
    logits = logits.float()
    largest, first = logits.max(-1, keepdim=True)
    if temperature == 0:
        return torch.zeros_like(logits).scatter(-1, first, 1.0)
    odds = torch.exp((logits - largest) / temperature)
    return odds / odds.sum(-1, keepdim=True)


def _in_logarithms(logits, temperature):
    if temperature == 0:
        places = torch.arange(logits.shape[-1])
        return (places == logits.argmax(-1, keepdim=True)).float()
    scaled = logits.double() / temperature
    return (scaled - scaled.logsumexp(-1, keepdim=True)).exp().float()


def _examples(generator):
    logits = 2 * torch.randn(2, 3, 6, generator=generator)
    apart = torch.tensor([[900.0, 901.0], [-900.0, -902.0]])
    ties = torch.tensor([[1.0, 4.0, 4.0], [0.0, 0.0, -1.0]])
    return [(logits, 0.6), (apart, 1.0), (ties, 0.0), (logits.bfloat16(), 1.7), (logits / 20, 1e-3)]


to_probabilities = Exercise(
    "to_probabilities",
    reference=_probabilities,
    properties=(
        every_row_is_a_distribution,
        temperature_one_is_softmax,
        temperature_bends_the_odds,
        zero_is_greedy,
        large_logits_do_no_harm,
        half_precision_is_left_behind,
        probabilities_as_the_library_has_them,
    ),
    wrong=(
        Wrong(
            _divided_later,
            "every_row_is_a_distribution",
            "You divide the probabilities, so they no longer sum to 1. Temperature divides the logits, before softmax.",
        ),
        Wrong(
            _first_axis,
            "every_row_is_a_distribution",
            "Your softmax runs over the first axis, so the rows of a batch share one probability. The tokens are the "
            "last axis: -1.",
        ),
        Wrong(
            _whole_batch,
            "every_row_is_a_distribution",
            "All numbers of the batch together sum to 1. Each row is a draw of its own: softmax(-1).",
        ),
        Wrong(
            _times,
            "temperature_bends_the_odds",
            "You multiply by the temperature, so hot is sure and cold is wild. Divide.",
        ),
        Wrong(
            _divided_and_normalised,
            "temperature_bends_the_odds",
            "You divide probabilities and normalise: the division cancels. Divide the logits, before softmax.",
        ),
        Wrong(
            _zero_divides,
            "zero_is_greedy",
            "At temperature 0 you divide by 0. Treat that case by itself: a 1 at the largest logit.",
        ),
        Wrong(
            _zero_is_off,
            "zero_is_greedy",
            "Your temperature 0 is temperature 1: `if temperature` takes 0 for `off`. The limit towards 0 is greedy.",
        ),
        Wrong(
            _greedy_token,
            "zero_is_greedy",
            "At temperature 0 you return the token. The result is always a distribution, here with a single 1.",
        ),
        Wrong(
            _greedy_integers,
            "zero_is_greedy",
            "F.one_hot gives integers. Probabilities are float32 at every temperature: .float().",
        ),
        Wrong(
            _greedy_shared,
            "zero_is_greedy",
            "You share the 1 among equal logits. Greedy takes one token, the first of them, or it would be a draw.",
        ),
        Wrong(
            _overflows,
            "large_logits_do_no_harm",
            "exp(1000) is infinite in float32, and infinite / infinite is NaN. Subtract each row's largest logit "
            "before exp: the probabilities stay the same. torch.softmax does that for you.",
        ),
        Wrong(
            _one_maximum,
            "large_logits_do_no_harm",
            "You subtract the largest logit of the whole batch. In a row far below it every exp is 0, and 0 / 0 is "
            "NaN. Take each row's own: logits.amax(-1, keepdim=True).",
        ),
        Wrong(
            _powers,
            "large_logits_do_no_harm",
            "A power of a probability is the same in theory, but 0.4 ** 1000 is 0 in float32: the whole row is 0, and "
            "0 / 0 is NaN. Divide the logits, before softmax.",
        ),
        Wrong(
            _float_after_softmax,
            "half_precision_is_left_behind",
            "Your .float() comes after the softmax, when the digits are lost. Take the logits to float32 first.",
        ),
        Wrong(
            _float_after_division,
            "half_precision_is_left_behind",
            "You divide in half precision: what comes out is rounded before float32 begins. First .float(), then /.",
        ),
        Wrong(
            _half,
            "half_precision_is_left_behind",
            "You compute in the number format of the logits. Half-precision models are common, so begin with .float().",
        ),
    ),
    right=(_by_hand, _in_logarithms),
    examples=_examples,
    picture=lambda target, yours, arguments: two_distributions(target, yours, "probability"),
)
