"""Exercise 2, `quantize_and_learn`: the loss of VQ-VAE."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import Exercise, Wrong, expect, expect_close, expect_tensor
from ._shared import gradient_of, squared_distances


def _learn(x: Tensor, codebook: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
    codes = torch.cdist(x, codebook).argmin(1)  # [N]
    entries = codebook[codes]  # [N, D]
    loss = F.mse_loss(entries, x.detach()) + beta * F.mse_loss(x, entries.detach())
    return x + (entries - x).detach(), codes, loss


def _small_case() -> tuple[Tensor, Tensor, float]:
    x = torch.tensor([[1.0, 0.0], [8.0, 9.0]], requires_grad=True)
    return x, torch.tensor([[0.0, 0.0], [10.0, 10.0], [0.0, 10.0]], requires_grad=True), 0.25


def returns_three_results(answer):
    """quantized is [N, D], codes are int64 [N], the loss is one number."""
    for N, D, V in ((5, 3, 8), (9, 2, 4)):
        quantized, codes, loss = answer(torch.randn(N, D), torch.randn(V, D), 0.25)
        expect_tensor(quantized, (N, D), torch.float32, "quantized")
        expect_tensor(codes, (N,), torch.int64, "codes")
        expect_tensor(loss, (), torch.float32, "the loss")


def values_are_those_of_the_equation(answer):
    """On two vectors and three entries: the nearest entries, and (1 + beta) times the mean squared error."""
    quantized, codes, loss = answer(*_small_case())
    expect(codes.tolist() == [0, 1], f"codes [0, 1] are nearest, not {codes.tolist()}")
    expect_close(quantized, torch.tensor([[0.0, 0.0], [10.0, 10.0]]), "quantized holds the nearest entries")
    expect_close(loss, 1.25 * (1 + 0 + 4 + 1) / 4, "squared errors 1, 0, 4, 1, mean 1.5, times 1 + 0.25")


def gradient_goes_straight_through_to_x(answer):
    """What arrives at quantized arrives at x, unchanged."""
    x, codebook, beta = _small_case()
    weights = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    quantized, _, _ = answer(x, codebook, beta)
    expect_close(gradient_of((quantized * weights).sum(), x), weights, "the gradient at x is not that at quantized")


def codebook_is_out_of_that_way(answer):
    """What arrives at quantized does not reach the codebook: only the loss moves entries."""
    x, codebook, beta = _small_case()
    quantized, _, _ = answer(x, codebook, beta)
    expect_close(
        gradient_of(quantized.sum(), codebook), torch.zeros(3, 2), "quantized passes a gradient to the codebook"
    )


def loss_pulls_x_with_strength_beta(answer):
    """The loss pulls each vector towards its entry with strength beta."""
    x, codebook, beta = _small_case()
    _, _, loss = answer(x, codebook, beta)
    expected = beta * 2 * torch.tensor([[1.0, 0.0], [-2.0, -1.0]]) / 4
    expect_close(gradient_of(loss, x), expected, "the gradient of the loss at x is not beta * 2 (x - e) / (N D)")


def loss_pulls_entries_with_strength_one(answer):
    """The loss pulls each chosen entry towards its vectors with strength 1, and leaves the others."""
    x, codebook, beta = _small_case()
    _, _, loss = answer(x, codebook, beta)
    expected = 2 * torch.tensor([[-1.0, 0.0], [2.0, 1.0], [0.0, 0.0]]) / 4
    expect_close(gradient_of(loss, codebook), expected, "the gradient of the loss at the codebook")


def learns_as_the_library_does(answer):
    """On random sizes values and gradients are those of the library."""
    for N, D, V in ((30, 4, 8), (17, 6, 5)):
        x, codebook = torch.randn(N, D, requires_grad=True), torch.randn(V, D, requires_grad=True)
        weights, found = torch.randn(N, D), []
        for one in (answer, _learn):
            quantized, codes, loss = one(x, codebook, 0.4)
            found.append(
                [quantized, codes, loss, *torch.autograd.grad((quantized * weights).sum() + loss, (x, codebook))]
            )
        for name, yours, target in zip(("quantized", "codes", "loss", "grad x", "grad codebook"), *found, strict=True):
            expect_close(yours, target, f"{name} differs")


def _learn_parts(x, codebook):
    codes = torch.cdist(x, codebook).argmin(1)
    return codebook[codes], codes


def _learn_cut(x, codebook, beta):
    entries, codes = _learn_parts(x, codebook)
    return entries, codes, F.mse_loss(entries, x.detach()) + beta * F.mse_loss(x, entries.detach())


def _learn_all_detached(x, codebook, beta):
    entries, codes = _learn_parts(x, codebook)
    return (x + entries - x).detach(), codes, F.mse_loss(entries, x.detach()) + beta * F.mse_loss(x, entries.detach())


def _learn_leak(x, codebook, beta):
    entries, codes = _learn_parts(x, codebook)
    return entries + x - x.detach(), codes, F.mse_loss(entries, x.detach()) + beta * F.mse_loss(x, entries.detach())


def _learn_beta_elsewhere(x, codebook, beta):
    entries, codes = _learn_parts(x, codebook)
    loss = beta * F.mse_loss(entries, x.detach()) + F.mse_loss(x, entries.detach())
    return x + (entries - x).detach(), codes, loss


def _learn_without_stops(x, codebook, beta):
    entries, codes = _learn_parts(x, codebook)
    return x + (entries - x).detach(), codes, F.mse_loss(entries, x) + beta * F.mse_loss(x, entries)


def _learn_no_commitment(x, codebook, beta):
    entries, codes = _learn_parts(x, codebook)
    return x + (entries - x).detach(), codes, F.mse_loss(entries, x.detach())


def _learn_sum(x, codebook, beta):
    entries, codes = _learn_parts(x, codebook)
    loss = (entries - x.detach()).pow(2).sum() + beta * (x - entries.detach()).pow(2).sum()
    return x + (entries - x).detach(), codes, loss


def _learn_axis(x, codebook, beta):
    codes = torch.cdist(x, codebook).argmin(0)
    entries = codebook[codes % len(codebook)][: len(x)]
    return entries, codes, F.mse_loss(entries, x[: len(entries)])


def _learn_loops(x, codebook, beta):
    codes = torch.stack([squared_distances(codebook.detach(), one).argmin() for one in x.detach()])
    entries = torch.stack([codebook[i] for i in codes.tolist()])
    pull = sum(((e - v.detach()) ** 2).sum() for e, v in zip(entries, x, strict=True))
    commit = sum(((v - e.detach()) ** 2).sum() for e, v in zip(entries, x, strict=True))
    return entries.detach() + x - x.detach(), codes, (pull + beta * commit) / x.numel()


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, entries):
        return entries.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


def _learn_function(x, codebook, beta):
    one_hot = F.one_hot((x @ codebook.T - codebook.pow(2).sum(1) / 2).argmax(1), len(codebook)).float()
    entries = torch.einsum("nv,vd->nd", one_hot, codebook)
    loss = (x.detach() - entries).square().mean() + beta * (x - entries.detach()).square().mean()
    return _StraightThrough.apply(x, entries), one_hot.argmax(1), loss


def _learn_examples(generator):
    sizes = ((6, 2, 4), (10, 3, 5))
    return [
        (
            torch.randn(N, D, generator=generator).requires_grad_(),
            torch.randn(V, D, generator=generator).requires_grad_(),
            0.25,
        )
        for N, D, V in sizes
    ]


quantize_and_learn = Exercise(
    "quantize_and_learn",
    reference=_learn,
    properties=(
        returns_three_results,
        values_are_those_of_the_equation,
        gradient_goes_straight_through_to_x,
        codebook_is_out_of_that_way,
        loss_pulls_x_with_strength_beta,
        loss_pulls_entries_with_strength_one,
        learns_as_the_library_does,
    ),
    wrong=(
        Wrong(
            _learn_axis,
            "returns_three_results",
            "The distances are [N, V]. You take the nearest vector of each entry, argmin(0); a vector needs its "
            "nearest entry, argmin(1).",
        ),
        Wrong(
            _learn_sum,
            "values_are_those_of_the_equation",
            "You add the squared errors. Take their mean, or the loss grows with the batch.",
        ),
        Wrong(
            _learn_no_commitment,
            "values_are_those_of_the_equation",
            "The second term is missing: beta * |x - sg(e)|^2 keeps the vectors near their entries.",
        ),
        Wrong(
            _learn_cut,
            "gradient_goes_straight_through_to_x",
            "You return the entries themselves (x + (e - x) without detach is the same: the two x cancel). Choosing an "
            "entry has no derivative, so nothing flows back to x. Detach the difference: x + (e - x).detach().",
        ),
        Wrong(
            _learn_all_detached,
            "gradient_goes_straight_through_to_x",
            "You detach the whole sum, and with it x. Detach only the difference (e - x).",
        ),
        Wrong(
            _learn_leak,
            "codebook_is_out_of_that_way",
            "x gets its gradient, but so does the codebook: the entries in quantized are not detached.",
        ),
        Wrong(
            _learn_beta_elsewhere,
            "loss_pulls_x_with_strength_beta",
            "beta stands on the term that moves the codebook (or the two detach are swapped). It belongs to the "
            "commitment, the term in which the entry is detached.",
        ),
        Wrong(
            _learn_without_stops,
            "loss_pulls_x_with_strength_beta",
            "Without detach both terms pull on both sides, each with 1 + beta. In each term stop one side.",
        ),
    ),
    right=(_learn_loops, _learn_function),
    examples=_learn_examples,
)
