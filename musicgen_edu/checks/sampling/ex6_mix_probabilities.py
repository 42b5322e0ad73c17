"""Exercise 6, `mix_probabilities`: guidance as a student project did it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...sampling import guide_probabilities
from .. import Exercise, Wrong, expect, expect_close, expect_tensor, seal
from ._shared import two_distributions


def _mix(conditional: Tensor, unconditional: Tensor, gamma: float) -> Tensor:
    shares = torch.tensor([gamma, 1 - gamma]).log()
    both = torch.stack([conditional.float(), unconditional.float()], -1).log_softmax(-2)  # [..., V, 2]
    return (both + shares).logsumexp(-1)


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


def mixed_as_in_the_library(answer):
    """On random sizes the result is that of the library."""
    for shape, gamma in (((2, 4, 60), 0.2), ((3, 9), 0.7)):
        conditional, unconditional = 4 * torch.randn(2, *shape)
        wanted = guide_probabilities(conditional, unconditional, gamma)
        expect_close(answer(conditional, unconditional, gamma), wanted, f"gamma = {gamma}", 1e-4)


def _logits_mixed(conditional, unconditional, gamma):
    return gamma * conditional.float() + (1 - gamma) * unconditional.float()


def _logs_mixed(conditional, unconditional, gamma):
    return gamma * conditional.float().log_softmax(-1) + (1 - gamma) * unconditional.float().log_softmax(-1)


def _logs_mixed_and_normalised(conditional, unconditional, gamma):
    return _logs_mixed(conditional, unconditional, gamma).log_softmax(-1)


def _no_logarithm(conditional, unconditional, gamma):
    return _mix(conditional, unconditional, gamma).exp()


def _reversed(conditional, unconditional, gamma):
    return _mix(unconditional, conditional, gamma)


def _only_added(conditional, unconditional, gamma):
    return (unconditional.float().softmax(-1) + gamma * conditional.float().softmax(-1)).log()


def _no_softmax(conditional, unconditional, gamma):
    return (gamma * conditional.float().exp() + (1 - gamma) * unconditional.float().exp()).log()


def _exp_and_normalised(conditional, unconditional, gamma):
    return _no_softmax(conditional, unconditional, gamma).log_softmax(-1)


def _first_axis(conditional, unconditional, gamma):
    return (gamma * conditional.float().softmax(0) + (1 - gamma) * unconditional.float().softmax(0)).log()


def _softmax_again(conditional, unconditional, gamma):
    return _mix(conditional, unconditional, gamma).exp().log_softmax(-1)


def _log_of_gamma(conditional, unconditional, gamma):
    first, second = conditional.float().log_softmax(-1), unconditional.float().log_softmax(-1)
    return torch.logaddexp(math.log(gamma) + first, math.log(1 - gamma) + second)


def _underflows(conditional, unconditional, gamma):
    return (gamma * conditional.float().softmax(-1) + (1 - gamma) * unconditional.float().softmax(-1)).log()


def _propped_up(conditional, unconditional, gamma):
    return (_mix(conditional, unconditional, gamma).exp() + 1e-8).log()


def _by_pairs(conditional, unconditional, gamma):
    first, second = (one.double() - one.double().logsumexp(-1, keepdim=True) for one in (conditional, unconditional))
    if gamma in (0, 1):
        return (first if gamma else second).float()
    return torch.logaddexp(first + math.log(gamma), second + math.log1p(-gamma)).float()


def _by_largest(conditional, unconditional, gamma):
    first, second = conditional.float().log_softmax(-1), unconditional.float().log_softmax(-1)
    largest = first.where(torch.tensor(gamma > 0), -torch.inf)
    largest = torch.maximum(largest, second.where(torch.tensor(gamma < 1), -torch.inf))
    return largest + ((1 - gamma) * (second - largest).exp() + gamma * (first - largest).exp()).log()


def _examples(generator):
    one, other = 2 * torch.randn(2, 2, 3, 6, generator=generator)
    far = torch.tensor([[0.0, -120.0, -130.0]]), torch.tensor([[0.0, -140.0, -110.0]])
    return [(one + 1, other - 2, 0.2), (*far, 0.3), (one[0], other[0], 0.0)]


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
    wrong=(
        Wrong(
            _logits_mixed,
            "the_logarithms_are_of_a_distribution",
            "You mix the logits: that is exercise 5 with a scale of gamma. Here the probabilities are mixed, so a "
            "softmax comes first and a logarithm last.",
        ),
        Wrong(
            _logs_mixed,
            "the_logarithms_are_of_a_distribution",
            "You mix logarithms, and a sum of logarithms is a product: the geometric mean. Add the probabilities, "
            "then take the logarithm.",
        ),
        Wrong(
            _no_logarithm,
            "the_logarithms_are_of_a_distribution",
            "You return probabilities. The next step is temperature, which wants logarithms.",
        ),
        Wrong(
            _only_added,
            "the_logarithms_are_of_a_distribution",
            "The unconditional model has a weight of 1, so all sums to 1 + gamma. Its share is 1 - gamma.",
        ),
        Wrong(
            _no_softmax,
            "the_logarithms_are_of_a_distribution",
            "exp of a logit is no probability yet: each model has to be normalised by itself, with a softmax.",
        ),
        Wrong(
            _first_axis,
            "the_logarithms_are_of_a_distribution",
            "Your softmax runs over the first axis. The tokens are the last one: -1.",
        ),
        Wrong(
            _reversed,
            "the_ends_are_the_two_models",
            "Your gamma is the share of the unconditional model. It is that of the conditional one.",
        ),
        Wrong(
            _log_of_gamma,
            "the_ends_are_the_two_models",
            "math.log(0) raises an error, so gamma = 0 and gamma = 1 fail. torch.tensor(0.).log() is minus infinity, "
            "and logaddexp knows what to do with that.",
        ),
        Wrong(
            _softmax_again,
            "the_ends_are_the_two_models",
            "You take the softmax of a mixture that is a distribution already: that flattens it. Take the logarithm.",
        ),
        Wrong(
            _logs_mixed_and_normalised,
            "a_fifth_of_the_text_by_hand",
            "You mix logarithms and normalise: a geometric mean, the same as guidance in logits with a scale of gamma. "
            "Add the probabilities themselves.",
        ),
        Wrong(
            _exp_and_normalised,
            "constants_in_logits_mean_nothing",
            "You normalise after the mixture. Then the model with the larger logits outweighs the other, though a "
            "constant in logits means nothing. Normalise each model first.",
        ),
        Wrong(
            _underflows,
            "very_unlikely_tokens_keep_their_order",
            "e ** -150 is 0 in float32, and its logarithm minus infinity. Stay in logarithms: log_softmax, then "
            "logaddexp of the two with log gamma and log (1 - gamma) added.",
        ),
        Wrong(
            _propped_up,
            "very_unlikely_tokens_keep_their_order",
            "A small number added before the logarithm avoids minus infinity, but makes all unlikely tokens equal. "
            "Stay in logarithms: log_softmax, then logaddexp.",
        ),
    ),
    right=(_by_pairs, _by_largest),
    examples=_examples,
    picture=lambda target, yours, arguments: two_distributions(target, yours, "log-probability"),
)

seal(__name__)
