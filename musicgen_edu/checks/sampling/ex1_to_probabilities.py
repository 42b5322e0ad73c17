"""Exercise 1, `to_probabilities`: temperature."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from ...model.sampling import distribution
from .. import Exercise, expect_close, mistakes
from ._shared import expect_distributions, two_distributions

ODDS = torch.tensor([1.0, 2.0, 5.0])


def _probabilities(logits, temperature):
    wide = logits.float()
    if temperature == 0:
        return F.one_hot(wide.argmax(-1), wide.shape[-1]).float()
    return (wide / temperature).softmax(-1)


def every_row_is_a_distribution(answer):
    """Each row of V logits becomes V probabilities that sum to 1, whatever axes stand before."""
    for shape in ((6,), (2, 6), (2, 3, 6)):
        for temperature in (0.5, 1.0, 2.0):
            expect_distributions(answer(torch.randn(shape), temperature), shape, f"temperature {temperature}")


def temperature_one_is_softmax(answer):
    """At temperature 1, logits log 1, log 2, log 5 give the odds 1 : 2 : 5."""
    expect_close(answer(ODDS.log(), 1.0), ODDS / 8, "probabilities")


def temperature_bends_the_odds(answer):
    """Temperature 1/2 squares the odds, temperature 2 takes their roots."""
    for temperature, bent in ((0.5, ODDS.square()), (2.0, ODDS.sqrt())):
        expect_close(answer(ODDS.log(), temperature), bent / bent.sum(), f"1 : 2 : 5 at temperature {temperature}")


def zero_is_greedy(answer):
    """At temperature 0 all is on the largest logit, and on the first of equal ones."""
    wide = torch.randn(2, 3, 200)
    wide[..., 50:150:3] = 9.0  # all equal: the first of them is token 50
    for logits, largest in (
        (torch.tensor([[0.5, 2.0, 1.0], [3.0, -1.0, 3.0], [-7.0, -2.0, -2.0]]), torch.tensor([1, 0, 1])),
        (wide, torch.full((2, 3), 50)),
        (torch.tensor([-1.0, -3.0]).bfloat16(), torch.tensor(0)),
        (torch.tensor([1e-7, 2e-7]), torch.tensor(1)),
    ):
        shown = f"logits {logits.tolist()}" if logits.numel() < 10 else "200 logits, of which 34 are equally large,"
        found, wanted = answer(logits, 0.0), F.one_hot(largest, logits.shape[-1]).float()
        expect_distributions(found, tuple(logits.shape), f"{shown} at temperature 0")
        expect_close(found, wanted, f"{shown} at temperature 0", 1e-9)


def large_logits_do_no_harm(answer):
    """Logits of 1000 and of -1000 in one batch, and a temperature of 0.001, give no NaN and the right odds."""
    logits = ODDS.log() + torch.tensor([[1000.0], [-1000.0]])
    expect_close(answer(logits, 1.0), (ODDS / 8).expand(2, 3), f"logits {logits.tolist()}", 1e-4)
    expect_close(answer(torch.tensor([1000.0, 0.0, -1000.0]), 1.0), torch.tensor([1.0, 0.0, 0.0]), "1000, 0, -1000")
    for one in (ODDS, ODDS / 50):
        expect_close(answer(one, 1e-3), torch.tensor([0.0, 0.0, 1.0]), f"logits {one.tolist()} at temperature 0.001")
    expect_close(answer(ODDS.log() / 1000, 1e-3), ODDS / 8, "logits log 1, log 2, log 5, all / 1000, at 0.001", 1e-4)
    found, wanted = answer(torch.tensor([0.0, -200.0]), 100), torch.tensor([0.0, -2.0]).softmax(-1)
    expect_close(found, wanted, "logits 0 and -200 at temperature 100")


def half_precision_is_left_behind(answer):
    """Logits in half precision are taken to float32 first: probabilities of three digits would not sum to 1."""
    for form in (torch.bfloat16, torch.float16, torch.float64):
        logits = torch.randn(2, 40).to(form)
        found = answer(logits, 0.7)
        expect_distributions(found, (2, 40), f"{form}")
        expect_close(found, (logits.float() / 0.7).softmax(-1), f"{form}, computed in float32")
    large = torch.tensor([40000.0, 40032.0], dtype=torch.float16)  # twice that is no float16
    expect_close(answer(large, 0.5), torch.tensor([0.0, 1.0]), "float16 logits 40000 and 40032 at temperature 0.5")


def probabilities_as_the_library_has_them(answer):
    """On random sizes the probabilities are those of the library, the small ones too."""
    for shape, temperature in (((2, 4, 50), 0.8), ((3, 7), 1.3), ((5,), 0.0), ((2, 2, 3), 0), ((30,), 5.0)):
        logits = 4 * torch.randn(shape)
        found, wanted = answer(logits, temperature), distribution(logits, temperature)
        expect_close(found, wanted, f"temperature {temperature}")
        if temperature:
            expect_close(found.log(), wanted.log(), f"temperature {temperature}: their logarithms", 1e-4)


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
    return [
        (logits, 0.6), (apart, 1.0), (ties, 0.0), (logits.bfloat16(), 1.7), (logits / 20, 1e-3), (logits / 2000, 1e-3),
        (logits.bfloat16(), 0.0), (logits.double(), 1.0), (100 * logits, 50.0),
        (torch.tensor([[1e-7, 2e-7]]), 0.0),
    ]  # fmt: skip


to_probabilities = Exercise(
    "to_probabilities",
    reference=_probabilities,
    properties=(
        every_row_is_a_distribution, temperature_one_is_softmax, temperature_bends_the_odds, zero_is_greedy,
        large_logits_do_no_harm, half_precision_is_left_behind, probabilities_as_the_library_has_them,
    ),
    wrong=mistakes(_probabilities, {
        every_row_is_a_distribution: [
            ("(wide / temperature).softmax(-1)", "wide.softmax(-1) / temperature",
             "You divide the probabilities, so they no longer sum to 1. Temperature divides the logits, before "
             "softmax."),
            ("softmax(-1)", "softmax(0)", "Your softmax runs over the first axis, so the rows of a batch share one "
             "probability. The tokens are the last axis: -1."),
            (".softmax(-1)", ".flatten().softmax(0).view(wide.shape)",
             "All numbers of the batch together sum to 1. Each row is a draw of its own: softmax(-1)."),
            ("softmax", "log_softmax", "You return logarithms of probabilities. softmax gives the probabilities."),
            ("(wide / temperature)", "wide.div_(temperature)", "You divide the logits in place. `.float()` copies "
             "nothing if they are float32 already, so those of the caller change."),
        ],
        temperature_bends_the_odds: [
            ("/ temperature", "* temperature",
             "You multiply by the temperature, so hot is sure and cold is wild. Divide."),
            ("return (wide / temperature).softmax(-1)",
             "p = wide.softmax(-1) / temperature; return p / p.sum(-1, keepdim=True)",
             "You divide probabilities and normalise: the division cancels. Divide the logits, before softmax."),
            ("/ temperature", "/ max(temperature, 1)", "You never go below a temperature of 1. A cold one is allowed."),
        ],
        zero_is_greedy: [
            ("temperature == 0", "False", "At temperature 0 you divide by 0. Treat that case by itself: a 1 at the "
             "largest logit."),
            ("temperature == 0", "False", "/ temperature", "/ (temperature or 1)", "Your temperature 0 is temperature "
             "1: `if temperature` takes 0 for `off`. The limit towards 0 is greedy."),
            ("temperature == 0", "False", "/ temperature", "/ max(temperature, 1e-6)", "You replace 0 by a very small "
             "temperature. Equal logits then share the 1; greedy takes one token, the first of them."),
            ("F.one_hot(wide.argmax(-1), wide.shape[-1]).float()", "wide.argmax(-1)",
             "At temperature 0 you return the token. The result is always a distribution, here with a single 1."),
            ("shape[-1]).float()", "shape[-1])",
             "F.one_hot gives integers. Probabilities are float32 at every temperature: .float()."),
            ("F.one_hot(wide.argmax(-1), wide.shape[-1]).float()", "(wide == wide.amax(-1, True)).float() / "
             "(wide == wide.amax(-1, True)).sum(-1, True)", "You share the 1 among equal logits. Greedy takes one "
             "token, the first of them, or it would be a draw."),
            ("F.one_hot(wide.argmax(-1), wide.shape[-1]).float()", "(wide == wide.amax(-1, True)).float()",
             "Every one of equal logits gets a 1, and the row sums to more. Greedy takes the first of them."),
            ("wide.argmax(-1), wide.shape[-1])", "wide.shape[-1] - 1 - wide.flip(-1).argmax(-1), wide.shape[-1])",
             "You take the last of equal logits. Greedy takes the first, as argmax does."),
            ("shape[-1]).float()", "shape[-1]).to(logits.dtype)", "At temperature 0 the result has the number format "
             "of the logits. It is float32 at every temperature."),
        ],
        large_logits_do_no_harm: [
            ("return (wide / temperature).softmax(-1)",
             "odds = (wide / temperature).exp(); return odds / odds.sum(-1, keepdim=True)",
             "exp(1000) is infinite in float32, and infinite / infinite is NaN. Subtract each row's largest logit "
             "before exp: the probabilities stay the same. torch.softmax does that for you."),
            ("return (wide / temperature).softmax(-1)", "odds = ((wide - wide.max()) / temperature).exp(); "
             "return odds / odds.sum(-1, keepdim=True)",
             "You subtract the largest logit of the whole batch. In a row far below it every exp is 0, and 0 / 0 is "
             "NaN. Take each row's own: logits.amax(-1, keepdim=True)."),
            ("return (wide / temperature).softmax(-1)", "odds = ((wide - wide.mean(-1, True)) / temperature).exp(); "
             "return odds / odds.sum(-1, keepdim=True)", "You subtract the mean of a row before exp. What lies 1000 "
             "above it still overflows: subtract the largest."),
            ("return (wide / temperature).softmax(-1)",
             "p = wide.softmax(-1) ** (1 / temperature); return p / p.sum(-1, keepdim=True)",
             "A power of a probability is the same in theory, but 0.4 ** 1000 is 0 in float32: the whole row is 0, "
             "and 0 / 0 is NaN. Divide the logits, before softmax."),
            ("return (wide / temperature).softmax(-1)", "odds = (wide - wide.amax(-1, True)).exp() ** (1 / temperature)"
             "; return odds / odds.sum(-1, keepdim=True)", "You take exp before the temperature has its say: exp(-200) "
             "is 0, and no root brings it back. Divide the logits, before exp."),
            ("temperature == 0", "temperature < 0.01", "You are greedy at small temperatures, too. Only 0 is a case of "
             "its own: logits a thousandth apart are far from sure even at 0.001."),
            ("/ temperature)", "/ temperature).clamp(-100, 100)", "You cut the logits off, so large ones become equal. "
             "softmax subtracts the largest of a row itself: nothing overflows."),
        ],
        half_precision_is_left_behind: [
            ("(wide / temperature).softmax(-1)", "(logits / temperature).softmax(-1).float()",
             "Your .float() comes after the softmax, when the digits are lost. Take the logits to float32 first."),
            ("(wide / temperature)", "(logits / temperature).float()", "You divide in half precision: what comes out "
             "is rounded before float32 begins. First .float(), then /."),
            ("(wide /", "(logits /", "You compute in the number format of the logits. Half-precision models are "
             "common, so begin with .float()."),
            ("wide = logits.float()", "wide = logits.float() if logits.element_size() < 4 else logits",
             "float64 logits give float64 probabilities. The result is float32 for every number format."),
        ],
        probabilities_as_the_library_has_them: [
            (".softmax(-1)", ".softmax(-1).clamp(min=1e-6)",
             "You lift the unlikely tokens. There are a thousand of them: leave small probabilities small."),
        ],
    }),
    right=(_by_hand, _in_logarithms),
    examples=_examples,
    picture=lambda target, yours, arguments: two_distributions(target, yours, "probability"),
)  # fmt: skip
