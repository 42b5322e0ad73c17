"""Exercise 5, `balance`: one step of the balancer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...training.balancer import Balancer
from .. import Exercise, expect, expect_close, expect_tensor, mistakes


def _balance(gradients, weights, averages, step, decay):
    norms = gradients.norm(dim=1)  # [M]
    averages = decay * averages + (1 - decay) * norms
    unbiased = averages / (1 - decay ** (step + 1))
    return (weights / weights.sum() / unbiased) @ gradients, averages


def _library_balance(sequence: list[Tensor], weights: Tensor, decay: float) -> list[Tensor]:
    """What the library's balancer sends back for a sequence of gradients [M, N] of linear losses."""
    balancer = Balancer({str(i): float(w) for i, w in enumerate(weights)}, decay=decay)
    sent = []
    for gradients in sequence:
        output = torch.zeros(gradients.shape[1], requires_grad=True)
        balancer.backward({str(i): output @ one for i, one in enumerate(gradients)}, output)
        sent.append(output.grad)
    return sent


def _balance_all(answer, sequence, weights, decay):
    averages, sent = torch.zeros(len(weights)), []
    for step, gradients in enumerate(sequence):
        gradient, averages = answer(gradients, weights, averages, step, decay)
        sent.append(gradient)
    return sent


PAIR = torch.tensor([[0.003, 0.004], [0.0, 100.0]])


def gives_a_gradient_and_averages(answer):
    """The balanced gradient has the shape of one gradient, the averages that of the weights."""
    for M, N in ((2, 5), (4, 3), (1, 2), (3, 1)):
        found = answer(torch.randn(M, N), torch.rand(M), torch.zeros(M), 0, 0.9)
        two = isinstance(found, (tuple, list)) and len(found) == 2
        expect(two, f"expected two tensors, gradient and averages, not {type(found).__name__}")
        expect_tensor(found[0], (N,), torch.float32, "the gradient")
        expect_tensor(found[1], (M,), torch.float32, "the averages")


def weights_are_shares(answer):
    """At the first step: weights 3 and 1 are three quarters and one quarter, whatever the losses' scales."""
    for pair in ([3.0, 1.0], [30.0, 10.0], [0.3, 0.1]):
        weights = torch.tensor(pair)
        gradient, _ = answer(PAIR.clone(), weights, torch.zeros(2), 0, 0.9)
        expect_close(gradient, torch.tensor([0.45, 0.85]), f"weights {pair}: 3/4 of [.6, .8] and 1/4 of [0, 1]")
        louder, _ = answer(PAIR * torch.tensor([[1.0], [1000.0]]), weights, torch.zeros(2), 0, 0.9)
        expect_close(louder, gradient, "the same with one loss a thousand times larger")


def averages_are_norms(answer):
    """The averages follow the Euclidean norms of the gradients: decay times the old, 1 - decay times the new."""
    _, averages = answer(PAIR.clone(), torch.tensor([3.0, 1.0]), torch.tensor([1.0, 2.0]), 5, 0.75)
    expect_close(averages, torch.tensor([0.75 + 0.25 * 0.005, 1.5 + 25.0]), "norms 0.005 and 100, averages 1 and 2")


def a_burst_stays_a_burst(answer):
    """What is divided by is the average, not the moment's norm: a gradient that is large for once stays large."""
    usual, burst = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    sent = _balance_all(answer, [usual] * 20 + [burst], torch.ones(1), 0.99)
    average = (sum(0.99**n for n in range(1, 21)) + 2) / sum(0.99**n for n in range(21))
    told = "after 20 gradients of norm 1, one of norm 2, decay 0.99: its norm as it is sent"
    expect_close(sent[-1].norm(), torch.tensor(2 / average), told, 1e-4)


def balances_as_the_library_does(answer):
    """Over ten steps of random gradients it sends what the library's balancer sends."""
    for M, N, decay in ((2, 6, 0.9), (4, 3, 0.999), (3, 8, 0.5), (3, 3, 0.0)):
        scales = 10.0 ** torch.randint(-3, 4, (M, 1))
        sequence, weights = [scales * torch.randn(M, N) for _ in range(10)], torch.rand(M) + 0.1
        weights[-1] *= 0 if M == 4 else 1
        yours, target = _balance_all(answer, sequence, weights, decay), _library_balance(sequence, weights, decay)
        for step, (one, wanted) in enumerate(zip(yours, target, strict=True)):
            expect_close(one, wanted, f"M {M}, decay {decay}: the gradient of step {step}", 1e-4)


def _as_a_loop(gradients, weights, averages, step, decay):
    total, kept, whole = torch.zeros(gradients.shape[1]), [], float(weights.sum())
    for gradient, weight, average in zip(gradients, weights, averages, strict=True):
        average = average.lerp(gradient.square().sum().sqrt(), 1 - decay)
        total = total + float(weight) / whole * gradient * (1 - decay ** (step + 1)) / average
        kept.append(average)
    return total, torch.stack(kept)


def _with_einsum(gradients, weights, averages, step, decay):
    norms = torch.einsum("mn,mn->m", gradients, gradients).sqrt()
    averages = averages + (1 - decay) * (norms - averages)
    scale = F.normalize(weights, p=1, dim=0) * (1 - decay ** (step + 1)) / averages
    return [torch.einsum("m,mn->n", scale, gradients), averages]


def _in_double(gradients, weights, averages, step, decay):
    g, w = gradients.double().numpy(), weights.double().numpy()
    a = decay * averages.double().numpy() + (1 - decay) * (g**2).sum(1) ** 0.5
    sent = (g.T * (w / w.sum() / a * (1 - decay ** (step + 1)))).sum(1)
    return torch.from_numpy(sent).float(), torch.from_numpy(a).float()


def _examples(generator):
    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    return [
        (PAIR.clone(), torch.tensor([3.0, 1.0]), torch.zeros(2), 0, 0.9),
        (normal(3, 4), torch.rand(3, generator=generator), torch.rand(3, generator=generator), 7, 0.9),
    ]


balance = Exercise(
    "balance",
    reference=_balance,
    properties=(
        gives_a_gradient_and_averages, weights_are_shares, averages_are_norms, a_burst_stays_a_burst,
        balances_as_the_library_does,
    ),
    wrong=mistakes(_balance, {
        gives_a_gradient_and_averages: [
            ("(weights / weights.sum() / unbiased) @", "(weights / weights.sum() / norms)[:, None] *",
             "You return one gradient for each loss. They go back as one: add them up."),
            ("dim=1", "dim=0", "You take norms down the columns. Each loss has its row: norm(dim=1)."),
        ],
        weights_are_shares: [
            (" / unbiased", "", "That is the plain weighted sum: nothing is divided by the averages, so the loudest "
             "loss decides."),
            (" / weights.sum()", "", "Your weights do not add up to 1: divide them by their sum, else all of them "
             "together set the step."),
            (" / (1 - decay ** (step + 1))", "", "The averages begin at 0, so the first ones are much too small. "
             "Divide them by 1 - decay^(step + 1)."),
            ("norm(dim=1)", "norm(p=1, dim=1)", "You add up absolute values. The norm is Euclidean: the root of the "
             "sum of squares."),
            ("weights / weights.sum()", "weights.softmax(0)", "A softmax of the weights is no share: 3 and 1 are three "
             "quarters and one. Divide by their sum."),
            ("weights / weights.sum()", "weights / weights.norm()", "You divide the weights by their norm. Shares add "
             "up to 1: divide by the sum."),
            ("return (", "sent = (", "@ gradients, averages", "@ gradients; return sent / sent.norm(), averages",
             "You bring the sum to length 1. Gradients that disagree make a shorter sum, and that is meant: leave it."),
            ("decay ** (step + 1)", "decay ** step", "Your correction is a step late: at step 0 it is 1 - 1 = 0. The "
             "first step is 0, and its factor is 1 - decay."),
            ("/ unbiased) @ gradients", "/ unbiased.mean()) @ gradients", "You divide by one average for all. Each "
             "gradient is divided by its own."),
            ("gradients.norm(dim=1)", "gradients.norm()", "You take one norm of all gradients together. Each loss has "
             "its own: norm(dim=1)."),
            ("1 - decay ** (step + 1)", "1 - decay ** (step + 2)", "Your correction is a step ahead. At step 0, one "
             "norm is in the average: 1 - decay^1."),
        ],
        averages_are_norms: [
            ("(1 - decay) * norms", "(1 - decay) * norms.square()", "unbiased = averages / (1 - decay ** (step + 1))",
             "unbiased = (averages / (1 - decay ** (step + 1))).sqrt()",
             "You average squared norms and take the root at the end, as Adam does. The balancer averages the norms."),
            ("= decay * averages + (1 - decay)", "= (1 - decay) * averages + decay", "1 - decay **",
             "1 - (1 - decay) **",
             "decay and 1 - decay are the wrong way round: the old average is kept with `decay`."),
            ("gradients, averages", "gradients, unbiased", "You return the corrected averages, and the next step "
             "corrects them again. The correction is for dividing only."),
            ("(1 - decay) * norms", "norms", "1 - decay ** (step + 1)", "sum(decay**n for n in range(step + 1))",
             "Your average is a sum: the new norm counts with 1 - decay."),
        ],
        a_burst_stays_a_burst: [
            ("/ unbiased) @", "/ norms) @", "You divide by this step's own norm, so every gradient has length 1, even "
             "one that hardly matters. Divide by the moving average."),
            ("averages = decay * averages + (1 - decay) * norms", "old = averages; averages = decay * old + (1 - decay)"
             " * norms", "unbiased = averages / (1 - decay ** (step + 1))",
             "unbiased = old / (1 - decay**step) if step else norms",
             "You divide by the average of the steps before. This step's norm is in it first: update, then divide."),
            ("averages = decay * averages + (1 - decay) * norms", "averages = torch.where(averages == 0, norms, decay "
             "* "
             "averages + (1 - decay) * norms)", "unbiased = averages / (1 - decay ** (step + 1))",
             "unbiased = averages",
             "You begin the average with the first norm, so that one weighs more than all that follow. Begin at 0, and "
             "divide by 1 - decay^(step + 1)."),
            ("decay ** (step + 1)", "decay * (step + 1)", "decay is raised to the power step + 1, not multiplied: "
             "what the zero at the beginning still counts shrinks by `decay` with each step."),
            ("1 - decay ** (step + 1)", "1 - decay", "Your correction stays that of the first step. It fades: "
             "1 - decay^(step + 1)."),
        ],
    }),
    right=(_as_a_loop, _with_einsum, _in_double),
    examples=_examples,
)  # fmt: skip
