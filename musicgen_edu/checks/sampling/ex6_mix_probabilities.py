"""Exercise 6, `mix_probabilities`: guidance as a student project did it."""

from __future__ import annotations

import math

import torch

from ...model.sampling import guide_probabilities
from .. import Exercise, expect, expect_close, expect_tensor
from ._mixture_answers import RIGHT, WRONG, _mix
from ._shared import two_distributions


def the_logarithms_are_of_a_distribution(answer):
    """The result holds the logarithms of probabilities that sum to 1 in each row."""
    for shape in ((6,), (2, 3, 6)):
        conditional, unconditional = torch.randn(2, *shape)
        found = answer(conditional, unconditional, 0.3)
        expect_tensor(found, shape, torch.float32)
        expect_close(found.exp().sum(-1), torch.ones(shape[:-1]), "sums of exp(result)")


def the_ends_are_the_two_models(answer):
    """gamma = 1 is the conditional model, gamma = 0 the unconditional one."""
    conditional, unconditional = torch.randn(2, 2, 3, 6)
    for gamma, wanted in ((1.0, conditional), (0.0, unconditional)):
        found = answer(conditional, unconditional, gamma)
        expect_close(found, wanted.log_softmax(-1), f"gamma = {gamma:g}")


def a_fifth_of_the_text_by_hand(answer):
    """0.8, 0.2 with the text and 0.2, 0.8 without: gamma = 0.2 gives 0.32, 0.68."""
    conditional, unconditional = torch.tensor([0.8, 0.2]).log(), torch.tensor([0.2, 0.8]).log()
    found = answer(conditional, unconditional, 0.2).exp()
    expect_close(found, torch.tensor([0.32, 0.68]), "gamma = 0.2")


def constants_in_logits_mean_nothing(answer):
    """Logits may be shifted by any number, in each model by another one: nothing changes."""
    conditional, unconditional = torch.randn(2, 2, 6)
    found = answer(conditional + 40, unconditional - 7, 0.4)
    expect_close(found, answer(conditional, unconditional, 0.4), "shifted by 40 and by -7", 1e-4)


def the_mixture_lies_between(answer):
    """Every probability lies between those of the two models: nothing is exaggerated."""
    conditional, unconditional = torch.randn(2, 3, 6)
    first, second = conditional.softmax(-1), unconditional.softmax(-1)
    for gamma in (0.1, 0.5, 0.9):
        found = answer(conditional, unconditional, gamma).exp()
        inside = (found > torch.minimum(first, second) - 1e-5) & (found < torch.maximum(first, second) + 1e-5)
        expect(inside.all(), f"gamma = {gamma}: a probability lies outside of the two")


def very_unlikely_tokens_keep_their_order(answer):
    """Tokens of probability e ** -150 have a finite logarithm, though float32 cannot hold e ** -150."""
    conditional, unconditional = torch.tensor([0.0, -150.0, -160.0]), torch.tensor([0.0, -170.0, -140.0])
    found = answer(conditional, unconditional, 0.2)
    expect(found.isfinite().all(), f"log-probabilities {found.tolist()}")
    wanted = torch.tensor([0.0, math.log(0.2) - 150, math.log(0.8) - 140])
    expect_close(found, wanted, "log-probabilities of tokens at -150 and -140")
    conditional, unconditional = torch.tensor([0.0, 0.0, -150.0]), torch.tensor([0.0, -150.0, 0.0])
    for gamma, wanted in ((1.0, conditional), (0.0, unconditional)):
        sentence = f"gamma = {gamma:g}, a token at -150 in one model and at 0 in the other"
        expect_close(answer(conditional, unconditional, gamma), wanted.log_softmax(-1), sentence)


def mixed_as_in_the_library(answer):
    """On random sizes the result is that of the library, also of logits in half precision."""
    for shape, gamma in (((2, 4, 60), 0.2), ((3, 9), 0.7)):
        for form in (torch.float32, torch.bfloat16):
            pair = (4 * torch.randn(2, *shape)).to(form)
            expect_close(answer(*pair, gamma), guide_probabilities(*pair, gamma), f"gamma = {gamma}, {form}", 1e-4)


def _examples(generator):
    one, other = 2 * torch.randn(2, 2, 3, 6, generator=generator)
    far = torch.tensor([[0.0, -120.0, -130.0]]), torch.tensor([[0.0, -140.0, -110.0]])
    apart = torch.tensor([[0.0, 0.0, -150.0]]), torch.tensor([[0.0, -150.0, 0.0]])
    half = one.bfloat16(), other.bfloat16()
    return [(one + 1, other - 2, 0.2), (*far, 0.3), (one[0], other[0], 0.0), (*apart, 0.0), (*half, 0.4)]


mix_probabilities = Exercise(
    "mix_probabilities",
    reference=_mix,
    properties=(
        the_logarithms_are_of_a_distribution,
        the_ends_are_the_two_models,
        a_fifth_of_the_text_by_hand,
        constants_in_logits_mean_nothing,
        the_mixture_lies_between,
        very_unlikely_tokens_keep_their_order,
        mixed_as_in_the_library,
    ),
    wrong=WRONG,
    right=RIGHT,
    examples=_examples,
    picture=lambda target, yours, arguments: two_distributions(target, yours, "log-probability"),
)
