"""Exercise 6, answers on record: right and wrong ways to mix two models."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .. import Wrong


def _mix(conditional: Tensor, unconditional: Tensor, gamma: float) -> Tensor:
    shares = torch.tensor([gamma, 1 - gamma]).log()
    both = torch.stack([conditional.float(), unconditional.float()], -1).log_softmax(-2)  # [..., V, 2]
    return (both + shares).logsumexp(-1)


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


def _propped_up(most):
    """A wrong answer that adds a small number before the logarithm."""

    def wrong(conditional, unconditional, gamma):
        return (_mix(conditional, unconditional, gamma).exp() + most).log()

    wrong.__name__ = f"_propped_up_by_{most:g}"
    return wrong


def _gamma_itself(conditional, unconditional, gamma):
    first, second = conditional.float().log_softmax(-1), unconditional.float().log_softmax(-1)
    return torch.logaddexp(gamma * first, (1 - gamma) * second)


def _bare_logits(conditional, unconditional, gamma):
    shares = torch.tensor([gamma, 1 - gamma]).log()
    return torch.logaddexp(conditional.float() + shares[0], unconditional.float() + shares[1])


def _bare_at_the_ends(conditional, unconditional, gamma):
    if gamma in (0, 1):
        return (conditional if gamma else unconditional).float()
    return _mix(conditional, unconditional, gamma)


def _gamma_propped_up(conditional, unconditional, gamma):
    first, second = conditional.float().log_softmax(-1), unconditional.float().log_softmax(-1)
    return torch.logaddexp(first + math.log(gamma + 1e-12), second + math.log(1 - gamma + 1e-12))


def _half_precision(conditional, unconditional, gamma):
    shares = torch.tensor([gamma, 1 - gamma]).log().to(conditional.dtype)
    return torch.logaddexp(conditional.log_softmax(-1) + shares[0], unconditional.log_softmax(-1) + shares[1]).float()


def _by_pairs(conditional, unconditional, gamma):
    first, second = (one.double() - one.double().logsumexp(-1, keepdim=True) for one in (conditional, unconditional))
    if gamma in (0, 1):
        return (first if gamma else second).float()
    return torch.logaddexp(first + math.log(gamma), second + math.log1p(-gamma)).float()


def _by_largest(conditional, unconditional, gamma):
    first, second = conditional.float().log_softmax(-1), unconditional.float().log_softmax(-1)
    first, second = first + torch.tensor(gamma).log(), second + torch.tensor(1 - gamma).log()
    largest = torch.maximum(first, second)
    return largest + ((first - largest).exp() + (second - largest).exp()).log()


WRONG = (
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
        _gamma_itself,
        "the_logarithms_are_of_a_distribution",
        "You multiply the logarithms by gamma, which takes probabilities to a power. A factor of gamma is a sum "
        "in logarithms: + log gamma.",
    ),
    Wrong(
        _bare_logits,
        "the_logarithms_are_of_a_distribution",
        "You mix logits as if they were log-probabilities. Each model has a constant of its own in them, which "
        "log_softmax takes away.",
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
        _bare_at_the_ends,
        "the_ends_are_the_two_models",
        "At gamma = 0 and 1 you return the logits as they are. The result is always log-probabilities: take "
        "log_softmax there, too.",
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
    *(
        Wrong(
            _propped_up(most),
            "very_unlikely_tokens_keep_their_order",
            f"{most:g} added before the logarithm avoids minus infinity, but makes all unlikely tokens equal. Stay "
            "in logarithms: log_softmax, then logaddexp.",
        )
        for most in (1e-8, 1e-9, 1e-10, 1e-12)
    ),
    Wrong(
        _gamma_propped_up,
        "very_unlikely_tokens_keep_their_order",
        "A small number added to gamma lets a little of the text in where there should be none. The logarithm of "
        "a gamma of 0 may be minus infinity: logaddexp knows what to do with it.",
    ),
    Wrong(
        _half_precision,
        "mixed_as_in_the_library",
        "You compute in the number format of the logits, and half precision has three digits. Begin with .float().",
    ),
)
RIGHT = (_by_pairs, _by_largest)
