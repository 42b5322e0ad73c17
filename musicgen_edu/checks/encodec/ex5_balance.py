"""Exercise 5, `balance`: one step of the balancer."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...training.balancer import Balancer
from .. import Exercise, Wrong, expect, expect_close, expect_tensor


def _balance(gradients: Tensor, weights: Tensor, averages: Tensor, step: int, decay: float) -> tuple[Tensor, Tensor]:
    averages = decay * averages + (1 - decay) * gradients.norm(dim=1)  # [M]
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
    for M, N in ((2, 5), (4, 3)):
        found = answer(torch.randn(M, N), torch.rand(M), torch.zeros(M), 0, 0.9)
        expect(isinstance(found, tuple) and len(found) == 2, "return two tensors: gradient, averages")
        expect_tensor(found[0], (N,), torch.float32, "the gradient")
        expect_tensor(found[1], (M,), torch.float32, "the averages")


def weights_are_shares(answer):
    """At the first step: weights 3 and 1 are three quarters and one quarter, whatever the losses' scales."""
    for weights in (torch.tensor([3.0, 1.0]), torch.tensor([30.0, 10.0])):
        gradient, _ = answer(PAIR, weights, torch.zeros(2), 0, 0.9)
        expect_close(gradient, torch.tensor([0.45, 0.85]), f"weights {weights.tolist()}: 3/4 [.6, .8] + 1/4 [0, 1]")
        louder, _ = answer(PAIR * torch.tensor([[1.0], [1000.0]]), weights, torch.zeros(2), 0, 0.9)
        expect_close(louder, gradient, "one loss a thousand times larger changes the balance")


def averages_are_norms(answer):
    """The averages follow the Euclidean norms of the gradients: decay times the old, 1 - decay times the new."""
    _, averages = answer(PAIR, torch.tensor([3.0, 1.0]), torch.tensor([1.0, 2.0]), 5, 0.75)
    expect_close(averages, torch.tensor([0.75 + 0.25 * 0.005, 1.5 + 25.0]), "norms 0.005 and 100, averages 1 and 2")


def a_burst_stays_a_burst(answer):
    """What is divided by is the average, not the moment's norm: a gradient that is large for once stays large."""
    usual, burst = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    sent = _balance_all(answer, [usual] * 20 + [burst], torch.ones(1), 0.99)
    expect(1.5 < sent[-1][0] < 2.0, f"after 20 gradients of norm 1, one of norm 2 is sent as {sent[-1][0]:.2f}")


def balances_as_the_library_does(answer):
    """Over ten steps of random gradients it sends what the library's balancer sends."""
    for M, N, decay in ((2, 6, 0.9), (4, 3, 0.999), (3, 8, 0.5)):
        scales = 10.0 ** torch.randint(-3, 4, (M, 1))
        sequence, weights = [scales * torch.randn(M, N) for _ in range(10)], torch.rand(M) + 0.1
        yours, target = _balance_all(answer, sequence, weights, decay), _library_balance(sequence, weights, decay)
        expect_close(torch.stack(yours), torch.stack(target), f"M {M}, decay {decay}: the gradients differ", 1e-4)


def _balance_transposed(gradients, weights, averages, step, decay):
    gradient, averages = _balance(gradients, weights, averages, step, decay)
    return (weights / weights.sum() / gradients.norm(dim=1))[:, None] * gradients, averages


def _balance_sum(gradients, weights, averages, step, decay):
    averages = decay * averages + (1 - decay) * gradients.norm(dim=1)
    return (weights / weights.sum()) @ gradients, averages


def _balance_unshared(gradients, weights, averages, step, decay):
    averages = decay * averages + (1 - decay) * gradients.norm(dim=1)
    return (weights * (1 - decay ** (step + 1)) / averages) @ gradients, averages


def _balance_biased(gradients, weights, averages, step, decay):
    averages = decay * averages + (1 - decay) * gradients.norm(dim=1)
    return (weights / weights.sum() / averages) @ gradients, averages


def _balance_l1(gradients, weights, averages, step, decay):
    averages = decay * averages + (1 - decay) * gradients.abs().sum(1)
    return (weights / weights.sum() * (1 - decay ** (step + 1)) / averages) @ gradients, averages


def _balance_squared(gradients, weights, averages, step, decay):
    averages = decay * averages + (1 - decay) * gradients.square().sum(1)
    return (weights / weights.sum() / (averages / (1 - decay ** (step + 1))).sqrt()) @ gradients, averages


def _balance_swapped(gradients, weights, averages, step, decay):
    averages = (1 - decay) * averages + decay * gradients.norm(dim=1)
    return (weights / weights.sum() / (averages / (1 - (1 - decay) ** (step + 1)))) @ gradients, averages


def _balance_moment(gradients, weights, averages, step, decay):
    norms = gradients.norm(dim=1)
    return (weights / weights.sum() / norms) @ gradients, decay * averages + (1 - decay) * norms


def _balance_loop(gradients, weights, averages, step, decay):
    total, kept, whole = torch.zeros(gradients.shape[1]), [], float(weights.sum())
    for gradient, weight, average in zip(gradients, weights, averages, strict=True):
        average = average.lerp(gradient.square().sum().sqrt(), 1 - decay)
        total = total + float(weight) / whole * gradient * (1 - decay ** (step + 1)) / average
        kept.append(average)
    return total, torch.stack(kept)


def _balance_einsum(gradients, weights, averages, step, decay):
    norms = torch.einsum("mn,mn->m", gradients, gradients).sqrt()
    averages = averages + (1 - decay) * (norms - averages)
    scale = F.normalize(weights, p=1, dim=0) * (1 - decay ** (step + 1)) / averages
    return torch.einsum("m,mn->n", scale, gradients), averages


def _balance_examples(generator):
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
        gives_a_gradient_and_averages,
        weights_are_shares,
        averages_are_norms,
        a_burst_stays_a_burst,
        balances_as_the_library_does,
    ),
    wrong=(
        Wrong(
            _balance_transposed,
            "gives_a_gradient_and_averages",
            "You return one gradient for each loss. They go back as one: add them up.",
        ),
        Wrong(
            _balance_sum,
            "weights_are_shares",
            "That is the plain weighted sum: nothing is divided by the averages, so the loudest loss decides.",
        ),
        Wrong(
            _balance_unshared,
            "weights_are_shares",
            "Your weights do not add up to 1: divide them by their sum, else all of them together set the step.",
        ),
        Wrong(
            _balance_biased,
            "weights_are_shares",
            "The averages begin at 0, so the first ones are much too small. Divide them by 1 - decay^(step + 1).",
        ),
        Wrong(
            _balance_l1,
            "weights_are_shares",
            "You add up absolute values. The norm is Euclidean: the root of the sum of squares.",
        ),
        Wrong(
            _balance_squared,
            "averages_are_norms",
            "You average squared norms and take the root at the end, as Adam does. The balancer averages the norms.",
        ),
        Wrong(
            _balance_swapped,
            "averages_are_norms",
            "decay and 1 - decay are the wrong way round: the old average is kept with `decay`.",
        ),
        Wrong(
            _balance_moment,
            "a_burst_stays_a_burst",
            "You divide by this step's own norm, so every gradient has length 1, even one that hardly matters. "
            "Divide by the moving average.",
        ),
    ),
    right=(_balance_loop, _balance_einsum),
    examples=_balance_examples,
)
