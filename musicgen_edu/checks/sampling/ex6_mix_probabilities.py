"""Exercise 6, `mix_probabilities`: guidance as a student project did it."""

from __future__ import annotations

import math

import torch

from ...model.sampling import guide_probabilities
from .. import Exercise, expect, expect_close, expect_tensor, mistakes
from ._shared import two_distributions


def _mix(conditional, unconditional, gamma):
    given = conditional.float().log_softmax(-1)
    plain = unconditional.float().log_softmax(-1)
    share = torch.tensor(float(gamma))
    return torch.logaddexp(given + share.log(), plain + (1 - share).log())


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
    for gamma, wanted in ((1.0, conditional), (0.0, unconditional), (1, conditional), (0, unconditional)):
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
    for up, down in ((40, 7), (0, 120), (1000, 1000)):
        found = answer(conditional + up, unconditional - down, 0.4)
        expect_close(found, answer(conditional, unconditional, 0.4), f"logits shifted by {up} and by -{down}", 1e-3)


def the_mixture_lies_between(answer):
    """Every probability lies between those of the two models: nothing is exaggerated."""
    conditional, unconditional = torch.randn(2, 3, 6)
    first, second = conditional.softmax(-1), unconditional.softmax(-1)
    for gamma in (0.1, 0.5, 0.9):
        found = answer(conditional, unconditional, gamma).exp()
        for one, low, high in zip(*(x.flatten().tolist() for x in (
            found, torch.minimum(first, second), torch.maximum(first, second))), strict=True):  # fmt: skip
            expect(low - 1e-5 < one < high + 1e-5, f"gamma = {gamma}: expected {low:.5f} to {high:.5f}, not {one:.5f}")


def very_unlikely_tokens_keep_their_order(answer):
    """Tokens of probability e ** -150 have a finite logarithm, though float32 cannot hold e ** -150."""
    conditional, unconditional = torch.tensor([0.0, -150.0, -160.0]), torch.tensor([0.0, -170.0, -140.0])
    found = answer(conditional, unconditional, 0.2)
    wanted = torch.tensor([0.0, math.log(0.2) - 150, math.log(0.8) - 140])
    expect_close(found, wanted, "log-probabilities of tokens at -150 and -140")
    conditional, unconditional = torch.tensor([0.0, 0.0, -150.0]), torch.tensor([0.0, -150.0, 0.0])
    for gamma, wanted in ((1.0, conditional), (0.0, unconditional)):
        sentence = f"gamma = {gamma:g}, a token at -150 in one model and at 0 in the other"
        expect_close(answer(conditional, unconditional, gamma), wanted.log_softmax(-1), sentence)
    wanted = torch.tensor([1.0, 0.3, 0.7]).log() - math.log(2)
    sentence = "gamma = 0.3, a token at -150 in one model and at 0 in the other"
    expect_close(answer(conditional, unconditional, 0.3), wanted, sentence)


def mixed_as_in_the_library(answer):
    """On random sizes the result is that of the library, also of logits in half precision."""
    for shape, gamma in (((2, 4, 60), 0.2), ((3, 9), 0.7), ((2, 7), 0.004), ((2, 7), 0.996)):
        for form in (torch.float32, torch.bfloat16, torch.float16, torch.float64):
            pair = (4 * torch.randn(2, *shape)).to(form)
            found = answer(*pair, gamma)
            expect_tensor(found, shape, torch.float32, f"of logits in {form} the result")
            expect_close(found, guide_probabilities(*pair, gamma), f"gamma = {gamma}, {form}", 1e-4)


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


def _examples(generator):
    one, other = 2 * torch.randn(2, 2, 3, 6, generator=generator)
    far = torch.tensor([[0.0, -120.0, -130.0]]), torch.tensor([[0.0, -140.0, -110.0]])
    apart = torch.tensor([[0.0, 0.0, -150.0]]), torch.tensor([[0.0, -150.0, 0.0]])
    half, double = (one.bfloat16(), other.bfloat16()), (one.double(), other.double())
    return [
        (one + 1, other - 2, 0.2), (*far, 0.3), (one[0], other[0], 0.0), (one[0], other[0], 0.005),
        (*apart, 0.0), (*apart, 0.3), (*half, 0.4), (*double, 0.4),
        (one + 1000, other - 1000, 0.3),
    ]  # fmt: skip


NORMAL = "return torch.logaddexp(given + share.log(), plain + (1 - share).log())"
PROBABILITIES = "return (share * given.exp() + (1 - share) * plain.exp()"

mix_probabilities = Exercise(
    "mix_probabilities",
    reference=_mix,
    properties=(
        the_logarithms_are_of_a_distribution, the_ends_are_the_two_models, a_fifth_of_the_text_by_hand,
        constants_in_logits_mean_nothing, the_mixture_lies_between, very_unlikely_tokens_keep_their_order,
        mixed_as_in_the_library,
    ),
    wrong=mistakes(_mix, {
        the_logarithms_are_of_a_distribution: [
            (NORMAL, "return share * conditional.float() + (1 - share) * unconditional.float()", "You mix the logits: "
             "that is exercise 5 with a scale of gamma. Here the probabilities are mixed, so a softmax comes first and "
             "a logarithm last."),
            (NORMAL, "return share * given + (1 - share) * plain", "You mix logarithms, and a sum of logarithms is a "
             "product: the geometric mean. Add the probabilities, then take the logarithm."),
            (NORMAL, PROBABILITIES + ")",
             "You return probabilities. The next step is temperature, which wants logarithms."),
            ("plain + (1 - share).log()", "plain", "The unconditional model has a weight of 1, so all sums to 1 + "
             "gamma. Its share is 1 - gamma."),
            ("given + share.log()", "share * given", "plain + (1 - share).log()", "(1 - share) * plain",
             "You multiply the logarithms by gamma, which takes probabilities to a power. A factor of gamma is a sum "
             "in logarithms: + log gamma."),
            (" conditional.float().log_softmax(-1)", " conditional.float()", "unconditional.float().log_softmax(-1)",
             "unconditional.float()", "You mix logits as if they were log-probabilities. Each model has a constant of "
             "its own in them, which log_softmax takes away."),
            (" conditional.float().log_softmax(-1)", " conditional.float()", "unconditional.float().log_softmax(-1)",
             "unconditional.float()", NORMAL, PROBABILITIES + ").log()", "exp of a logit is no probability yet: each "
             "model has to be normalised by itself, with a softmax."),
            (" conditional.float().log_softmax(-1)", " conditional.float().log_softmax(0)",
             "unconditional.float().log_softmax(-1)", "unconditional.float().log_softmax(0)",
             "Your softmax runs over the first axis. The tokens are the last one: -1."),
            ("share.log(), plain", "share, plain", "(1 - share).log()", "1 - share", "You add gamma to the logarithms. "
             "A factor of gamma is a sum in logarithms, but of log gamma."),
        ],
        the_ends_are_the_two_models: [
            ("given + share.log(), plain + (1 - share).log()", "plain + share.log(), given + (1 - share).log()",
             "Your gamma is the share of the unconditional model. It is that of the conditional one."),
            ("share.log(), plain", "math.log(gamma), plain", "(1 - share).log()", "math.log(1 - gamma)",
             "math.log(0) raises an error, so gamma = 0 and gamma = 1 fail. torch.tensor(0.).log() is minus infinity, "
             "and logaddexp knows what to do with that."),
            ("return ", "if gamma in (0, 1): return (conditional if gamma else unconditional).float()\n    return ",
             "At gamma = 0 and 1 you return the logits as they are. The result is always log-probabilities: take "
             "log_softmax there, too."),
            (NORMAL, PROBABILITIES + ").log_softmax(-1)", "You take the softmax of a mixture that is a distribution "
             "already: that flattens it. Take the logarithm."),
            ("float(gamma)", "min(max(gamma, 0.01), 0.99)", "You keep gamma away from 0 and 1. Both ends are allowed: "
             "the logarithm of 0 is minus infinity, and logaddexp knows what to do with it."),
        ],
        a_fifth_of_the_text_by_hand: [
            (NORMAL, "return (share * given + (1 - share) * plain).log_softmax(-1)", "You mix logarithms and "
             "normalise: a geometric mean, the same as guidance in logits with a scale of gamma. Add the "
             "probabilities themselves."),
            ("given + share.log(), plain + (1 - share).log()",
             "given + share.square().log(), plain + (1 - share.square()).log()",
             "The share of the text is not gamma but its square: you multiply by it twice."),
        ],
        constants_in_logits_mean_nothing: [
            (" conditional.float().log_softmax(-1)", " conditional.float()", "unconditional.float().log_softmax(-1)",
             "unconditional.float()", NORMAL, PROBABILITIES + ").log().log_softmax(-1)", "You normalise after the "
             "mixture. Then the model with the larger logits outweighs the other, though a constant in logits means "
             "nothing. Normalise each model first."),
            (" conditional.float().log_softmax(-1)", " (conditional.float().exp() / conditional.float().exp().sum(-1, "
             "keepdim=True)).log()", "exp of a large logit is infinite, and of a very small one 0. log_softmax takes "
             "the largest of each row away first."),
        ],
        very_unlikely_tokens_keep_their_order: [
            (NORMAL, PROBABILITIES + ").log()", "e ** -150 is 0 in float32, and its logarithm minus infinity. Stay in "
             "logarithms: log_softmax, then logaddexp of the two with log gamma and log (1 - gamma) added."),
            *((NORMAL, f"{PROBABILITIES} + {most}).log()", f"{most} added before the logarithm avoids minus infinity, "
               "but makes all unlikely tokens equal. Stay in logarithms: log_softmax, then logaddexp.")
              for most in ("1e-08", "1e-09", "1e-10", "1e-12")),
            (NORMAL, "return plain if not gamma else given if gamma == 1 else given + share.log() + ((1 - share) / "
             "share * (plain - given).exp()).log1p()", "You take a ratio of the two probabilities. Where one model is "
             "e ** 150 times as sure as the other, no float32 can hold it: logaddexp subtracts the larger of the "
             "two first."),
            (NORMAL, f"{PROBABILITIES}).clamp(min=1e-30).log()", "You lift the unlikely tokens to one small number, so "
             "they lose their order. Stay in logarithms: log_softmax, then logaddexp."),
            ("share.log(), plain", "(share + 1e-12).log(), plain", "(1 - share).log()", "(1 - share + 1e-12).log()",
             "A small number added to gamma lets a little of the text in where there should be none. The logarithm of "
             "a gamma of 0 may be minus infinity: logaddexp knows what to do with it."),
        ],
        mixed_as_in_the_library: [
            (" conditional.float()", " conditional", "unconditional.float()", "unconditional", "share.log(), plain",
             "share.log().to(given.dtype), plain", "(1 - share).log())", "(1 - share).log().to(plain.dtype)).float()",
             "You compute in the number format of the logits, and half precision has three digits. Begin with "
             ".float()."),
            ("return ", "if not 0.01 < gamma < 0.99: return given if gamma > 0.5 else plain\n    return ", "You take a "
             "gamma close to 0 or 1 for the end itself. A little of the other model is still in the mixture."),
            (" conditional.float()", " conditional", "unconditional.float()", "unconditional", "Nothing takes the "
             "logits to float32, so the result has their number format. Begin with .float()."),
        ],
    }),
    right=(_by_pairs, _by_largest),
    examples=_examples,
    picture=lambda target, yours, arguments: two_distributions(target, yours, "log-probability"),
)  # fmt: skip
