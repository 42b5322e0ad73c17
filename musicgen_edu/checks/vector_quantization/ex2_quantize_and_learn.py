"""Exercise 2, `quantize_and_learn`: the loss of VQ-VAE."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import Exercise, expect_close, expect_equal, expect_tensor, mistakes
from ._shared import gradient_of, library_quantizer, results


def _learn(x: Tensor, codebook: Tensor, beta: float) -> tuple[Tensor, Tensor, Tensor]:
    distances = (x[:, None] - codebook).square().sum(2)  # [N, V]
    codes = distances.argmin(1)  # [N]
    entries = codebook[codes]  # [N, D]
    pull = F.mse_loss(entries, x.detach())
    commit = F.mse_loss(x, entries.detach())
    quantized = x + (entries - x).detach()
    return quantized, codes, pull + beta * commit


def _small_case() -> tuple[Tensor, Tensor, float]:
    """Two vectors, three entries: the nearest are 0 and 1, the errors 1, 0, -2, -1."""
    x = torch.tensor([[1.0, 0.0], [8.0, 9.0]], requires_grad=True)
    return x, torch.tensor([[0.0, 0.0], [10.0, 10.0], [0.0, 10.0]], requires_grad=True), 0.25


def _three(answer, x: Tensor, codebook: Tensor, beta: float):
    return results(answer(x, codebook, beta), "quantized", "codes", "loss")


def returns_three_results(answer):
    """quantized is [N, D], codes are int64 [N], the loss is one number."""
    for N, D, V in ((5, 3, 8), (9, 2, 4), (1, 1, 3)):
        quantized, codes, loss = _three(answer, torch.randn(N, D), torch.randn(V, D), 0.25)
        expect_tensor(quantized, (N, D), torch.float32, "quantized")
        expect_tensor(codes, (N,), torch.int64, "codes")
        expect_tensor(loss, (), torch.float32, "the loss")


def values_are_those_of_the_equation(answer):
    """On two vectors and three entries: the nearest entries, and (1 + beta) times the mean squared error."""
    quantized, codes, loss = _three(answer, *_small_case())
    expect_equal(codes, [0, 1], "the codes of [1, 0] and [8, 9]")
    expect_close(quantized, torch.tensor([[0.0, 0.0], [10.0, 10.0]]), "quantized holds the nearest entries")
    expect_close(loss, 1.25 * (1 + 0 + 4 + 1) / 4, "squared errors 1, 0, 4, 1, mean 1.5, times 1 + 0.25")
    expect_close(_three(answer, *_small_case()[:2], 2.0)[2], 3 * 1.5, "the loss with beta = 2")


def gradient_goes_straight_through_to_x(answer):
    """What arrives at quantized arrives at x, unchanged."""
    x, codebook, beta = _small_case()
    weights = torch.tensor([[1.0, 2.0], [3.0, -4.0]])
    quantized, _, _ = _three(answer, x, codebook, beta)
    expect_close(gradient_of((quantized * weights).sum(), x), weights, "the gradient at x is that at quantized")


def codebook_is_out_of_that_way(answer):
    """What arrives at quantized does not reach the codebook: only the loss moves entries."""
    x, codebook, beta = _small_case()
    quantized, _, _ = _three(answer, x, codebook, beta)
    expect_close(gradient_of(quantized.sum(), codebook), torch.zeros(3, 2), "from quantized the codebook gets")


def loss_pulls_x_with_strength_beta(answer):
    """The loss pulls each vector towards its entry with strength beta."""
    for beta in (0.25, 2.0, 0.0):
        x, codebook, _ = _small_case()
        _, _, loss = _three(answer, x, codebook, beta)
        expected = beta * 2 * torch.tensor([[1.0, 0.0], [-2.0, -1.0]]) / 4
        expect_close(gradient_of(loss, x), expected, f"the gradient at x, beta * 2 (x - e) / (N D), {beta=}")


def loss_pulls_entries_with_strength_one(answer):
    """The loss pulls each chosen entry towards all of its vectors with strength 1, and leaves the others."""
    x, codebook, beta = _small_case()
    _, _, loss = _three(answer, x, codebook, beta)
    expected = 2 * torch.tensor([[-1.0, 0.0], [2.0, 1.0], [0.0, 0.0]]) / 4
    expect_close(gradient_of(loss, codebook), expected, "the gradient of the loss at the codebook")
    _, _, loss = _three(answer, torch.tensor([[1.0, 0.0], [3.0, 2.0]]), codebook, beta)  # both choose entry 0
    expected = 2 * torch.tensor([[-4.0, -2.0], [0.0, 0.0], [0.0, 0.0]]) / 4
    expect_close(gradient_of(loss, codebook), expected, "two vectors that need no gradient, and share entry 0")


def learns_as_the_library_does(answer):
    """On random sizes values and gradients are those of the library's `VectorQuantizer`."""
    for N, D, V, beta in ((30, 4, 8, 0.4), (17, 6, 5, 1.5), (12, 1, 6, 0.25)):
        x, codebook, weights = torch.randn(N, D, requires_grad=True), torch.randn(V, D), torch.randn(N, D)
        quantized, codes, commitment = library_quantizer(codebook)(x.T[None])
        wanted = [quantized[0].T, codes[0], (1 + beta) * commitment]
        found = _three(answer, x, codebook.requires_grad_(), beta)
        for name, yours, target in zip(("quantized", "codes", "the loss"), found, wanted, strict=True):
            expect_close(yours, target, f"N {N}, D {D}, V {V}: {name}")
        target = gradient_of((wanted[0] * weights).sum() + beta * commitment, x)
        expect_close(gradient_of((found[0] * weights).sum() + found[2], x), target, "the gradient at x")


def _by_loops(x, codebook, beta):
    codes = torch.stack([(codebook - one).detach().square().sum(1).argmin() for one in x])
    entries = torch.stack([codebook[i] for i in codes.tolist()])
    pull = sum(((e - v.detach()) ** 2).sum() for e, v in zip(entries, x, strict=True))
    commit = sum(((v - e.detach()) ** 2).sum() for e, v in zip(entries, x, strict=True))
    return [entries.detach() + x - x.detach(), codes, (pull + beta * commit) / x.numel()]


class _StraightThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, entries):
        return entries.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


def _by_function(x, codebook, beta):
    one_hot = F.one_hot((x @ codebook.T - codebook.pow(2).sum(1) / 2).argmax(1), len(codebook)).float()
    entries = torch.einsum("nv,vd->nd", one_hot, codebook)
    loss = (x.detach() - entries).square().mean() + beta * (x - entries.detach()).square().mean()
    return _StraightThrough.apply(x, entries), one_hot.argmax(1), loss


def _examples(generator):
    sizes = ((6, 2, 4), (10, 3, 5))
    return [
        (*(torch.randn(n, D, generator=generator).requires_grad_() for n in (N, V)), beta)
        for (N, D, V), beta in zip(sizes, (0.25, 0.6), strict=True)
    ]


quantize_and_learn = Exercise(
    "quantize_and_learn",
    reference=_learn,
    properties=(
        returns_three_results, values_are_those_of_the_equation, gradient_goes_straight_through_to_x,
        codebook_is_out_of_that_way, loss_pulls_x_with_strength_beta, loss_pulls_entries_with_strength_one,
        learns_as_the_library_does,
    ),
    wrong=mistakes(_learn, {
        returns_three_results: [
            ("codes = distances.argmin(1)", "codes = distances.argmin(0)", "codebook[codes]",
             "codebook[codes % len(codebook)][: len(x)]; x = x[: len(entries)]",
             "The distances are [N, V]. You take the nearest vector of each entry, argmin(0); a vector needs its "
             "nearest entry, argmin(1)."),
            ("F.mse_loss(x, entries.detach())", 'F.mse_loss(x, entries.detach(), reduction="none").mean(1)',
             "The loss is one number: the mean over all numbers, not one for each vector."),
            ("quantized, codes, pull + beta * commit", "quantized, pull + beta * commit, codes",
             "The order is quantized, codes, loss."),
            ("pull + beta * commit", "(pull + beta * commit).item()", "item() makes the loss a plain number, through "
             "which no gradient goes. Return the scalar tensor."),
        ],
        values_are_those_of_the_equation: [
            ("pull = F.mse_loss(entries, x.detach())", "pull = (entries - x.detach()).square().sum()",
             "commit = F.mse_loss(x, entries.detach())", "commit = (x - entries.detach()).square().sum()",
             "You add the squared errors. Take their mean, or the loss grows with the batch."),
            ("pull = F.mse_loss(entries, x.detach())", "pull = (entries - x.detach()).square().sum(1).mean()",
             "commit = F.mse_loss(x, entries.detach())", "commit = (x - entries.detach()).square().sum(1).mean()",
             "You add over the D numbers of a vector. The mean is over all numbers, as in F.mse_loss."),
            ("pull + beta * commit", "pull", "The second term is missing: beta * |x - sg(e)|^2 keeps the vectors near "
             "their entries."),
            ("pull + beta * commit", "beta * commit", "The first term is missing: |sg(x) - e|^2 moves the entries."),
            ("pull + beta * commit", "beta * (pull + commit)", "beta stands before the commitment alone."),
            ("pull + beta * commit", "pull + 0.25 * commit", "You use 0.25 whatever beta is."),
            ("pull + beta * commit", "pull + commit", "beta is missing: it weighs the commitment."),
            ("(x[:, None] - codebook).square().sum(2)", "-(x @ codebook.T)", "The largest inner product is not the "
             "smallest distance: long entries win. |x - e|^2 = |x|^2 - 2 x.e + |e|^2."),
            ("F.mse_loss(entries, x.detach())", "F.l1_loss(entries, x.detach())",
             "The first term is an absolute error. Both are squared."),
        ],
        gradient_goes_straight_through_to_x: [
            ("x + (entries - x).detach()", "entries",
             "You return the entries themselves (x + (e - x) without detach is the same: the two x cancel). Choosing "
             "an entry has no derivative, so nothing flows back to x. Detach the difference: x + (e - x).detach()."),
            ("x + (entries - x).detach()", "(x + entries - x).detach()",
             "You detach the whole sum, and with it x. Detach only the difference (e - x)."),
            ("x + (entries - x).detach()", "2 * x + (entries - 2 * x).detach()",
             "The gradient arrives at x twice as large. It goes through as it is."),
        ],
        codebook_is_out_of_that_way: [
            ("x + (entries - x).detach()", "entries + x - x.detach()",
             "x gets its gradient, but so does the codebook: the entries in quantized are not detached."),
        ],
        loss_pulls_x_with_strength_beta: [
            ("pull + beta * commit", "beta * pull + commit",
             "beta stands on the term that moves the codebook (or the two detach are swapped). It belongs to the "
             "commitment, the term in which the entry is detached."),
            ("x.detach())", "x)", "F.mse_loss(x, entries.detach())", "F.mse_loss(x, entries)",
             "Without detach both terms pull on both sides, each with 1 + beta. In each term stop one side."),
            ("F.mse_loss(x, entries.detach())", "F.mse_loss(x.detach(), entries.detach())",
             "In the second term both sides are constants: it says how far off x is, but moves nothing."),
            ("F.mse_loss(x, entries.detach())", "F.mse_loss(entries, x.detach())",
             "Both terms have the same value, but not the same gradient. In the second the entry is the constant, and "
             "x moves."),
            ("F.mse_loss(entries, x.detach())", "F.mse_loss(entries, x)",
             "In the first term x is not detached, so it pulls x as well, with 1 + beta in all."),
            ("pull = F.mse_loss(entries, x.detach())\n    commit = F.mse_loss(x, entries.detach())", "",
             "quantized = x + (entries - x).detach()", "quantized = x + (entries - x).detach()\n    pull = "
             "F.mse_loss(quantized, x.detach()); commit = F.mse_loss(x, quantized.detach())",
             "The loss is computed from quantized, through which every gradient goes to x and none "
             "to the codebook. Use the entries, as they were looked up."),
        ],
        loss_pulls_entries_with_strength_one: [
            ("entries = codebook[codes]", "entries = codebook[codes].detach()", "The entries were detached before the "
             "loss, so the codebook learns nothing. Only the second term detaches them."),
            ("F.mse_loss(x, entries.detach())", "F.mse_loss(x, entries)",
             "In the second term the entry is not detached, so entries are pulled with 1 + beta in all."),
            ("entries = codebook[codes]", "entries = codebook.index_select(0, codes); entries.requires_grad and "
             "entries.register_hook(lambda g: g / torch.bincount(codes)[codes][:, None])",
             "An entry that several vectors chose is pulled by each of them: the gradients add up."),
        ],
        learns_as_the_library_does: [
            (".square().sum(2)", ".abs().sum(2)",
             "You add absolute differences. The nearest entry is that with the smallest squared distance."),
        ],
    }),
    right=(_by_loops, _by_function),
    examples=_examples,
)  # fmt: skip
