"""The exercises of assignment 02: where k-means starts, gradients through a choice, dead entries, bits, groups."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import figures
from . import Exercise, Wrong, expect, expect_close, expect_tensor, seal


def _squared(vectors: Tensor, point: Tensor) -> Tensor:
    return (vectors - point).pow(2).sum(-1)


def _gradient(of: Tensor, to: Tensor) -> Tensor:
    """Gradient of a scalar, zeros where none arrives."""
    if not of.requires_grad:
        return torch.zeros_like(to)
    (found,) = torch.autograd.grad(of, to, retain_graph=True, allow_unused=True)
    return torch.zeros_like(to) if found is None else found


# ---- 1. spread_start: k-means++ ----------------------------------------------------------------------------------


def _spread(vectors: Tensor, draws: Tensor) -> Tensor:
    chosen = [int(draws[0] * len(vectors))]
    nearest = _squared(vectors, vectors[chosen[0]])  # [N]
    for draw in draws[1:]:
        reached = nearest.cumsum(0) / nearest.sum()
        chosen.append(min(int((reached <= draw).sum()), len(vectors) - 1))
        nearest = torch.minimum(nearest, _squared(vectors, vectors[chosen[-1]]))
    return vectors[chosen]  # [V, D]


def has_one_start_for_each_draw(answer):
    """The result holds V vectors of width D."""
    for N, D, V in ((7, 2, 3), (9, 5, 4), (4, 1, 1)):
        expect_tensor(answer(torch.randn(N, D), torch.rand(V)), (V, D), torch.float32)


def starts_are_vectors_of_the_data(answer):
    """Every start is one of the vectors, and no vector is taken twice."""
    for _ in range(10):
        vectors = torch.randn(12, 2)
        starts = answer(vectors, torch.rand(6))
        found = (starts[:, None] == vectors[None]).all(-1)  # [V, N]
        expect(found.any(1).all(), "a start is not one of the vectors")
        expect((found.sum(0) <= 1).all(), "a vector is taken twice: its distance to a start, 0, gives it no chance")
    edge = answer(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0.0, 0.0, 0.999]))
    expect(len(set(edge.flatten().tolist())) == 3, "with a draw of exactly 0, a vector without a chance is taken")


LINE = torch.tensor([[0.0], [1.0], [3.0], [10.0]])


def chances_are_squared_distances(answer):
    """The second start is drawn with chances in proportion to the squared distances."""
    # From 0: squared distances 0, 1, 9, 100, so the vectors own 0, 1, 9 and 100 parts of 110.
    for draw, expected in ((0.5, 1.0), (5.0, 3.0), (9.5, 3.0), (10.5, 10.0), (109.0, 10.0)):
        start = answer(LINE, torch.tensor([0.0, draw / 110]))[1].item()
        expect(start == expected, f"vectors 0, 1, 3, 10, first 0, draw {draw}/110: expected {expected}, not {start}")


def chances_look_at_the_nearest_start(answer):
    """From the third start on, what counts is the distance to the nearest start."""
    # Starts 0 and 10: to the nearest it is 0, 1, 9, 0, of 10.
    for draw, expected in ((0.05, 1.0), (0.2, 3.0), (0.95, 3.0)):
        start = answer(LINE, torch.tensor([0.0, 0.9, draw]))[2].item()
        expect(start == expected, f"vectors 0, 1, 3, 10, starts 0 and 10, draw {draw}: expected {expected}")


def starts_as_the_library_does(answer):
    """On random vectors the starts are those of the library."""
    for N, D, V in ((30, 2, 5), (50, 8, 12), (20, 1, 20)):
        vectors, draws = torch.randn(N, D), torch.rand(V)
        expect_close(answer(vectors, draws), _spread(vectors, draws), f"N {N}, D {D}, V {V}: the starts differ")


def _spread_anywhere(vectors, draws):
    return vectors[(draws * len(vectors)).long()]


def _spread_unsquared(vectors, draws):
    chosen = [int(draws[0] * len(vectors))]
    for draw in draws[1:]:
        nearest = torch.cdist(vectors, vectors[chosen]).min(1).values
        chosen.append(int((nearest.cumsum(0) / nearest.sum() <= draw).sum()))
    return vectors[chosen]


def _spread_from_last(vectors, draws):
    chosen = [int(draws[0] * len(vectors))]
    for draw in draws[1:]:
        distance = _squared(vectors, vectors[chosen[-1]])
        chosen.append(int((distance.cumsum(0) / distance.sum() <= draw).sum()))
    return vectors[chosen]


def _spread_sum(vectors, draws):
    chosen = [int(draws[0] * len(vectors))]
    for draw in draws[1:]:
        distance = torch.cdist(vectors, vectors[chosen]).pow(2).sum(1)
        distance[chosen] = 0
        chosen.append(int((distance.cumsum(0) / distance.sum() <= draw).sum()))
    return vectors[chosen]


def _spread_farthest(vectors, draws):
    chosen = [int(draws[0] * len(vectors))]
    for _ in draws[1:]:
        chosen.append(int(torch.cdist(vectors, vectors[chosen]).min(1).values.argmax()))
    return vectors[chosen]


def _spread_at_least(vectors, draws):
    chosen = [int(draws[0] * len(vectors))]
    for draw in draws[1:]:
        nearest = torch.cdist(vectors, vectors[chosen]).pow(2).min(1).values
        chosen.append(int(torch.searchsorted(nearest.cumsum(0) / nearest.sum(), draw.item())))
    return vectors[chosen]


def _spread_indices(vectors, draws):
    chosen = [int(draws[0] * len(vectors))]
    for draw in draws[1:]:
        nearest = torch.cdist(vectors, vectors[chosen]).pow(2).min(1).values
        chosen.append(int((nearest.cumsum(0) / nearest.sum() <= draw).sum()))
    return torch.tensor(chosen)


def _spread_loop(vectors, draws):
    points, chosen = vectors.tolist(), [int(draws[0] * len(vectors))]
    for draw in draws[1:].tolist():
        parts = [min(sum((a - b) ** 2 for a, b in zip(p, points[c], strict=True)) for c in chosen) for p in points]
        left, i = draw * sum(parts), 0
        while i < len(parts) - 1 and left >= parts[i]:
            left, i = left - parts[i], i + 1
        chosen.append(i)
    return torch.stack([vectors[i] for i in chosen])


def _spread_searchsorted(vectors, draws):
    distances = (vectors[:, None] - vectors[None]).square().sum(2)  # [N, N], all pairs at once
    chosen = [int(draws[0] * len(vectors))]
    for draw in draws[1:]:
        reached = distances[:, chosen].amin(1).cumsum(0)
        i = int(torch.searchsorted(reached, draw * reached[-1], right=True))
        chosen.append(min(i, len(vectors) - 1))
    return vectors[chosen]


def _points_picture(target: Tensor, yours: Tensor, **others: Tensor) -> figures.Picture:
    """Points [V, 2] as they should be and as they are, among others."""
    figure, axes = figures.new_figure(5.2, 4.2)
    for (name, points), colour, marker in zip(others.items(), (figures.GREY, "#b0791f"), ".s", strict=False):
        axes.scatter(points[:, 0], points[:, 1], s=25, color=colour, marker=marker, label=name.replace("_", " "))
    rings = {"facecolors": "none", "edgecolors": figures.LIT, "linewidths": 2}
    axes.scatter(target[:, 0], target[:, 1], s=150, label="target", **rings)
    axes.scatter(yours[:, 0], yours[:, 1], s=60, color=figures.INK, marker="x", label="yours")
    axes.legend(frameon=False)
    return figures.figure_picture(figure, f"{len(target)} points: target as rings, yours as crosses")


spread_start = Exercise(
    "spread_start",
    reference=_spread,
    properties=(
        has_one_start_for_each_draw,
        starts_are_vectors_of_the_data,
        chances_are_squared_distances,
        chances_look_at_the_nearest_start,
        starts_as_the_library_does,
    ),
    wrong=(
        Wrong(
            _spread_indices,
            "has_one_start_for_each_draw",
            "These are the indices of the chosen vectors. Return the vectors: vectors[chosen].",
        ),
        Wrong(
            _spread_anywhere,
            "starts_are_vectors_of_the_data",
            "Only the first start is drawn uniformly. All others depend on the starts chosen before them.",
        ),
        Wrong(
            _spread_at_least,
            "starts_are_vectors_of_the_data",
            "You take the first vector whose cumulated share is at least the draw. With a draw of 0 that is a vector "
            "of share 0. Take the first whose share is larger: searchsorted(..., right=True).",
        ),
        Wrong(
            _spread_unsquared,
            "chances_are_squared_distances",
            "Your chances are the distances. k-means++ squares them, as the distortion does.",
        ),
        Wrong(
            _spread_farthest,
            "chances_are_squared_distances",
            "You always take the farthest vector, so outliers win and the draws do nothing. Draw: each vector has "
            "a chance in proportion to its squared distance.",
        ),
        Wrong(
            _spread_from_last,
            "starts_are_vectors_of_the_data",
            "You measure the distance to the last start only. A vector that is near any start is taken care of: use "
            "the distance to the nearest of all starts.",
        ),
        Wrong(
            _spread_sum,
            "chances_look_at_the_nearest_start",
            "You add the distances to all starts. What counts is the nearest one: minimum, not sum.",
        ),
    ),
    right=(_spread_loop, _spread_searchsorted),
    examples=lambda generator: (
        [(torch.randn(N, 2, generator=generator), torch.rand(V, generator=generator)) for N, V in ((40, 6), (20, 4))]
        + [(LINE, torch.tensor([0.0, 0.0, 0.6]))]
    ),
    picture=lambda target, yours, arguments: _points_picture(target, yours, vectors=arguments[0]),
)


# ---- 2. quantize_and_learn: the loss of VQ-VAE -------------------------------------------------------------------


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
    expect_close(_gradient((quantized * weights).sum(), x), weights, "the gradient at x is not that at quantized")


def codebook_is_out_of_that_way(answer):
    """What arrives at quantized does not reach the codebook: only the loss moves entries."""
    x, codebook, beta = _small_case()
    quantized, _, _ = answer(x, codebook, beta)
    expect_close(_gradient(quantized.sum(), codebook), torch.zeros(3, 2), "quantized passes a gradient to the codebook")


def loss_pulls_x_with_strength_beta(answer):
    """The loss pulls each vector towards its entry with strength beta."""
    x, codebook, beta = _small_case()
    _, _, loss = answer(x, codebook, beta)
    expected = beta * 2 * torch.tensor([[1.0, 0.0], [-2.0, -1.0]]) / 4
    expect_close(_gradient(loss, x), expected, "the gradient of the loss at x is not beta * 2 (x - e) / (N D)")


def loss_pulls_entries_with_strength_one(answer):
    """The loss pulls each chosen entry towards its vectors with strength 1, and leaves the others."""
    x, codebook, beta = _small_case()
    _, _, loss = answer(x, codebook, beta)
    expected = 2 * torch.tensor([[-1.0, 0.0], [2.0, 1.0], [0.0, 0.0]]) / 4
    expect_close(_gradient(loss, codebook), expected, "the gradient of the loss at the codebook")


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
    codes = torch.stack([_squared(codebook.detach(), one).argmin() for one in x.detach()])
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


# ---- 3. move_and_revive: moving averages and dead entries --------------------------------------------------------


def _move(codebook, vectors: Tensor, codes: Tensor, spare: Tensor, decay: float = 0.9, threshold: float = 0.5):
    entries, sums, counts = codebook
    chosen = F.one_hot(codes, len(entries)).to(vectors.dtype)  # [N, V]
    counts = decay * counts + (1 - decay) * chosen.sum(0)  # [V]
    sums = decay * sums + (1 - decay) * chosen.T @ vectors  # [V, D]
    dead = counts < threshold
    counts = torch.where(dead, 2 * threshold, counts)
    sums = torch.where(dead[:, None], 2 * threshold * spare, sums)
    return sums / counts[:, None], sums, counts


def _state(entries: list, counts: list) -> tuple[Tensor, Tensor, Tensor]:
    entries, counts = torch.tensor(entries), torch.tensor(counts)
    return entries, entries * counts[:, None], counts


def returns_entries_sums_and_counts(answer):
    """The result is entries [V, D], sums [V, D] and counts [V]."""
    for N, D, V in ((6, 3, 4), (9, 2, 5)):
        state = torch.randn(V, D), torch.randn(V, D), torch.ones(V)
        found = answer(state, torch.randn(N, D), torch.randint(V, (N,)), torch.randn(V, D))
        expect(len(found) == 3, f"three tensors are expected, not {len(found)}")
        for name, one, shape in zip(("entries", "sums", "counts"), found, ((V, D), (V, D), (V,)), strict=True):
            expect_tensor(one, shape, torch.float32, name)


def averages_follow_the_formula(answer):
    """On three numbers and two entries: a tenth of the batch, nine tenths of what was."""
    state = _state([[0.0], [10.0]], [1.0, 1.0])
    vectors, codes = torch.tensor([[1.0], [3.0], [8.0]]), torch.tensor([0, 0, 1])
    entries, sums, counts = answer(state, vectors, codes, torch.full((2, 1), 99.0))
    expect_close(counts, torch.tensor([1.1, 1.0]), "counts: 0.9 * [1, 1] + 0.1 * [2, 1]")
    expect_close(sums, torch.tensor([[0.4], [9.8]]), "sums: 0.9 * [0, 10] + 0.1 * [4, 8]")
    expect_close(entries, torch.tensor([[0.4 / 1.1], [9.8]]), "entries: sums / counts")


def one_empty_batch_kills_nobody(answer):
    """An entry with a good average stays where it is when one batch leaves it out."""
    state = _state([[2.0, -1.0], [5.0, 5.0]], [3.0, 3.0])
    vectors = torch.full((4, 2), 5.0)
    entries, sums, counts = answer(state, vectors, torch.ones(4, dtype=torch.int64), torch.full((2, 2), 99.0))
    expect_close(entries[0], state[0][0], "the entry that nobody chose has moved")
    expect_close(counts[0], 2.7, "its count is 0.9 of what it was")


def dead_entries_move_to_their_spare(answer):
    """An entry whose average count is below the threshold moves to its spare vector, and no other does."""
    state = _state([[2.0], [5.0], [7.0]], [0.4, 3.0, 0.55])
    vectors, spare = torch.tensor([[5.0], [7.0]]), torch.tensor([[-1.0], [-2.0], [-3.0]])
    entries, _, _ = answer(state, vectors, torch.tensor([1, 2]), spare)
    expect_close(entries, torch.tensor([[-1.0], [5.0], [7.0]]), "counts 0.36, 2.8 and 0.595, threshold 0.5")


def the_three_agree(answer):
    """entries = sums / counts, for revived entries too."""
    state = _state([[2.0], [5.0], [7.0]], [0.2, 3.0, 0.1])
    entries, sums, counts = answer(state, torch.tensor([[5.0]]), torch.tensor([1]), torch.tensor([[1.0], [2.0], [3.0]]))
    expect_close(sums / counts[:, None], entries, "sums / counts is not the entries")


def the_revived_survive_the_next_batch(answer):
    """A revived entry has time to prove itself: a next batch that leaves it out does not move it."""
    state, vectors, codes = _state([[2.0], [5.0]], [0.2, 3.0]), torch.tensor([[5.0]]), torch.tensor([1])
    state = answer(state, vectors, codes, torch.tensor([[1.0], [2.0]]))
    entries, _, counts = answer(tuple(state), vectors, codes, torch.tensor([[77.0], [88.0]]))
    expect_close(entries[0], torch.tensor([1.0]), "revived at 1, and after the next batch")
    expect_close(counts[0], 0.9, "a revived entry starts with a count of twice the threshold, here 1, times 0.9")


def moves_as_the_library_does(answer):
    """On random sizes all three are those of the library, also with another decay and threshold."""
    for N, D, V in ((20, 3, 8), (30, 5, 16)):
        state = _state(torch.randn(V, D).tolist(), torch.rand(V).tolist())
        rest = torch.randn(N, D), torch.randint(V, (N,)), torch.randn(V, D), 0.8, 0.7
        for name, yours, target in zip(
            ("entries", "sums", "counts"), answer(state, *rest), _move(state, *rest), strict=True
        ):
            expect_close(yours, target, f"{name} differ")


def _averages(codebook, vectors, codes, decay):
    entries, sums, counts = codebook
    chosen = F.one_hot(codes, len(entries)).to(vectors.dtype)
    return decay * sums + (1 - decay) * chosen.T @ vectors, decay * counts + (1 - decay) * chosen.sum(0), chosen.sum(0)


def _move_only_entries(codebook, vectors, codes, spare, decay=0.9, threshold=0.5):
    sums, counts, _ = _averages(codebook, vectors, codes, decay)
    entries = torch.where((counts < threshold)[:, None], spare, sums / counts[:, None])
    return entries, sums, counts


def _move_no_grace(codebook, vectors, codes, spare, decay=0.9, threshold=0.5):
    sums, counts, _ = _averages(codebook, vectors, codes, decay)
    sums = torch.where((counts < threshold)[:, None], counts[:, None] * spare, sums)
    return sums / counts[:, None], sums, counts


def _move_spare_as_sum(codebook, vectors, codes, spare, decay=0.9, threshold=0.5):
    sums, counts, _ = _averages(codebook, vectors, codes, decay)
    dead = counts < threshold
    counts, sums = torch.where(dead, 2 * threshold, counts), torch.where(dead[:, None], spare, sums)
    return torch.where(dead[:, None], spare, sums / counts[:, None]), sums, counts * torch.where(dead, 2.0, 1.0)


def _move_decay_swapped(codebook, vectors, codes, spare, decay=0.9, threshold=0.5):
    return _move(codebook, vectors, codes, spare, 1 - decay, threshold)


def _move_means(codebook, vectors, codes, spare, decay=0.9, threshold=0.5):
    entries, sums, counts = codebook
    chosen = F.one_hot(codes, len(entries)).to(vectors.dtype)
    means = chosen.T @ vectors / chosen.sum(0).clamp(min=1)[:, None]
    counts = decay * counts + (1 - decay) * chosen.sum(0)
    sums = decay * sums + (1 - decay) * means
    dead = counts < threshold
    counts, sums = torch.where(dead, 2 * threshold, counts), torch.where(dead[:, None], 2 * threshold * spare, sums)
    return sums / counts[:, None], sums, counts


def _move_batch_decides(codebook, vectors, codes, spare, decay=0.9, threshold=0.5):
    sums, counts, batch = _averages(codebook, vectors, codes, decay)
    dead = batch < threshold
    counts, sums = torch.where(dead, 2 * threshold, counts), torch.where(dead[:, None], 2 * threshold * spare, sums)
    return sums / counts[:, None], sums, counts


def _move_no_revival(codebook, vectors, codes, spare, decay=0.9, threshold=0.5):
    sums, counts, _ = _averages(codebook, vectors, codes, decay)
    return sums / counts[:, None], sums, counts


def _move_undivided(codebook, vectors, codes, spare, decay=0.9, threshold=0.5):
    _, sums, counts = _move(codebook, vectors, codes, spare, decay, threshold)
    return sums, sums, counts


def _move_in_place(codebook, vectors, codes, spare, decay=0.9, threshold=0.5):
    for old, new in zip(codebook, _move(codebook, vectors, codes, spare, decay, threshold), strict=True):
        old.copy_(new)
    return codebook


def _move_loops(codebook, vectors, codes, spare, decay=0.9, threshold=0.5):
    entries, sums, counts = (one.clone() for one in codebook)
    for v in range(len(entries)):
        mine = vectors[codes == v]
        counts[v] = decay * counts[v] + (1 - decay) * len(mine)
        sums[v] = decay * sums[v] + (1 - decay) * mine.sum(0)
        if counts[v] < threshold:
            counts[v], sums[v] = 2 * threshold, 2 * threshold * spare[v]
        entries[v] = sums[v] / counts[v]
    return entries, sums, counts


def _move_by_index(codebook, vectors, codes, spare, decay=0.9, threshold=0.5):
    entries, sums, counts = codebook
    counts = counts.lerp(torch.bincount(codes, minlength=len(entries)).float(), 1 - decay)
    sums = sums.lerp(torch.zeros_like(sums).index_add(0, codes, vectors), 1 - decay)
    entries = torch.einsum("vd,v->vd", sums, 1 / counts)
    dead = (counts < threshold).nonzero().flatten()
    counts[dead], sums[dead], entries[dead] = 2 * threshold, 2 * threshold * spare[dead], spare[dead]
    return entries, sums, counts


def _move_examples(generator):
    cases = []
    for N, D, V in ((12, 2, 8), (20, 3, 12)):
        counts = 2 * torch.rand(V, generator=generator)
        entries = torch.randn(V, D, generator=generator)
        vectors, spare = torch.randn(N, D, generator=generator), torch.randn(V, D, generator=generator)
        codes = torch.randint(V, (N,), generator=generator)
        cases.append(((entries, entries * counts[:, None], counts), vectors, codes, spare))
    return cases


move_and_revive = Exercise(
    "move_and_revive",
    reference=_move,
    properties=(
        returns_entries_sums_and_counts,
        averages_follow_the_formula,
        one_empty_batch_kills_nobody,
        dead_entries_move_to_their_spare,
        the_three_agree,
        the_revived_survive_the_next_batch,
        moves_as_the_library_does,
    ),
    wrong=(
        Wrong(
            _move_in_place,
            "returns_entries_sums_and_counts",
            "You write into the tensors that you were given. Build new ones, or clone them first.",
        ),
        Wrong(
            _move_decay_swapped,
            "averages_follow_the_formula",
            "decay and 1 - decay are swapped: what was keeps `decay`, the batch gets the rest.",
        ),
        Wrong(
            _move_means,
            "averages_follow_the_formula",
            "You average the vectors of each entry before you add them. Add their sum: the division by the count "
            "comes at the end, and only once.",
        ),
        Wrong(_move_undivided, "averages_follow_the_formula", "The entries are sums / counts, not the sums."),
        Wrong(
            _move_batch_decides,
            "one_empty_batch_kills_nobody",
            "You call an entry dead when this batch leaves it out. Compare its moving count with the threshold.",
        ),
        Wrong(
            _move_no_revival,
            "dead_entries_move_to_their_spare",
            "The averages are right, but dead entries stay where they are: where counts < threshold, take spare.",
        ),
        Wrong(
            _move_only_entries,
            "the_three_agree",
            "You set the entries but neither sums nor counts. The next update computes the entry from the old ones, "
            "and it is dead again: the fault of EnCodec's published training code.",
        ),
        Wrong(
            _move_spare_as_sum,
            "the_three_agree",
            "sums and counts of a revived entry must agree: sums = 2 * threshold * spare for counts = 2 * threshold.",
        ),
        Wrong(
            _move_no_grace,
            "the_revived_survive_the_next_batch",
            "The count of a revived entry stays below the threshold, so it is dead again at once. Set it to twice "
            "the threshold.",
        ),
    ),
    right=(_move_loops, _move_by_index),
    examples=_move_examples,
    picture=lambda target, yours, arguments: _points_picture(
        target[0], yours[0], vectors=arguments[1], entries_before=arguments[0][0]
    ),
)


# ---- 4. code_rate: bits a second, plain and ideal ----------------------------------------------------------------


def _rate(codes: Tensor, codebook_size: int, frame_rate: float) -> tuple[float, float]:
    shares = torch.bincount(codes.flatten(), minlength=codebook_size).double() / codes.numel()  # [V]
    entropy = torch.special.entr(shares).sum().item() / math.log(2)  # bits
    return math.log2(codebook_size) * frame_rate, entropy * frame_rate


def returns_two_finite_numbers(answer):
    """The result is two finite numbers, also when most entries are never used."""
    found = answer(torch.tensor([[0, 0, 5]]), 16, 50.0)
    expect(len(found) == 2, f"two numbers are expected, not {len(found)}")
    for name, one in zip(("plain", "ideal"), found, strict=True):
        expect(math.isfinite(float(one)), f"{name} is {float(one)}")


def plain_rate_is_log2_of_the_codebook(answer):
    """Without entropy coding a code costs log2(V) bits, whatever it is."""
    for V, frame_rate, bits in ((2048, 50.0, 550.0), (8, 10.0, 30.0)):
        plain = answer(torch.tensor([[0, 1, 1, 2]]), V, frame_rate)[0]
        expect_close(float(plain), bits, f"V = {V} at {frame_rate:g} Hz")


def ideal_rate_is_the_entropy(answer):
    """Codes 0, 0, 1, 2: one half, one quarter, one quarter, so 1.5 bits a code."""
    ideal = answer(torch.tensor([[0, 0, 1, 2]]), 4, 10.0)[1]
    expect_close(float(ideal), 15.0, "1.5 bits a code, 10 codes a second")
    expect_close(float(answer(torch.arange(8)[None], 8, 1.0)[1]), 3.0, "eight codes used equally often cost 3 bits")


def silence_is_free(answer):
    """A stream of one code only carries no information: the ideal rate is 0."""
    expect_close(float(answer(torch.full((2, 9), 3), 16, 50.0)[1]), 0.0, "one code only")


def one_code_for_all_clips(answer):
    """The shares are those of the whole batch: one coder serves all clips."""
    codes = torch.tensor([[0, 0, 0, 0], [1, 1, 1, 1]])
    expect_close(float(answer(codes, 4, 10.0)[1]), 10.0, "two clips, one of 0 only and one of 1 only: 1 bit a code")


def rate_is_that_of_the_library(answer):
    """On random codes both rates are those of the library."""
    for B, T, V in ((2, 50, 8), (3, 40, 64), (1, 10, 1024)):
        codes = (torch.rand(B, T) ** 2 * V).long()
        for name, yours, target in zip(("plain", "ideal"), answer(codes, V, 75.0), _rate(codes, V, 75.0), strict=True):
            expect_close(float(yours), target, f"{name}, V = {V}", tolerance=1e-4)


def _shares(codes, V):
    return torch.bincount(codes.flatten(), minlength=V).double() / codes.numel()


def _rate_nats(codes, V, frame_rate):
    return math.log2(V) * frame_rate, torch.special.entr(_shares(codes, V)).sum().item() * frame_rate


def _rate_nan(codes, V, frame_rate):
    shares = _shares(codes, V)
    return math.log2(V) * frame_rate, float(-(shares * shares.log2()).sum() * frame_rate)


def _rate_perplexity(codes, V, frame_rate):
    return math.log2(V) * frame_rate, torch.special.entr(_shares(codes, V)).sum().exp().item() * frame_rate


def _rate_per_clip(codes, V, frame_rate):
    found = [_rate(one[None], V, frame_rate)[1] for one in codes]
    return math.log2(V) * frame_rate, sum(found) / len(found)


def _rate_used(codes, V, frame_rate):
    return math.log2(V) * frame_rate, math.log2(len(codes.unique())) * frame_rate


def _rate_no_frames(codes, V, frame_rate):
    return math.log2(V), _rate(codes, V, 1.0)[1]


def _rate_used_plain(codes, V, frame_rate):
    return math.log2(int(codes.max()) + 1) * frame_rate, _rate(codes, V, frame_rate)[1]


def _rate_counter(codes, V, frame_rate):
    from collections import Counter

    counts = Counter(codes.flatten().tolist())
    total = sum(counts.values())
    return math.log2(V) * frame_rate, -sum(n / total * math.log2(n / total) for n in counts.values()) * frame_rate


def _rate_distribution(codes, V, frame_rate):
    shares = F.one_hot(codes, V).double().mean((0, 1))
    return math.log(V, 2) * frame_rate, (torch.distributions.Categorical(shares).entropy() / math.log(2)) * frame_rate


code_rate = Exercise(
    "code_rate",
    reference=_rate,
    properties=(
        returns_two_finite_numbers,
        plain_rate_is_log2_of_the_codebook,
        ideal_rate_is_the_entropy,
        silence_is_free,
        one_code_for_all_clips,
        rate_is_that_of_the_library,
    ),
    wrong=(
        Wrong(
            _rate_nan,
            "returns_two_finite_numbers",
            "0 * log(0) is nan here, but an entry that is never used costs nothing: leave its share out, or use "
            "torch.special.entr.",
        ),
        Wrong(
            _rate_used_plain,
            "plain_rate_is_log2_of_the_codebook",
            "You take the largest code for the size of the codebook. Who writes the codes must be ready for all V.",
        ),
        Wrong(
            _rate_no_frames,
            "plain_rate_is_log2_of_the_codebook",
            "These are bits a code. Multiply by the frame rate: bits a second are asked for.",
        ),
        Wrong(
            _rate_nats,
            "ideal_rate_is_the_entropy",
            "This is the entropy with the natural logarithm. Divide by log(2): bits are asked for.",
        ),
        Wrong(
            _rate_perplexity,
            "ideal_rate_is_the_entropy",
            "This is the perplexity, the number of entries in effective use. Bits are its logarithm.",
        ),
        Wrong(
            _rate_used,
            "ideal_rate_is_the_entropy",
            "You count the entries in use as if all were used equally often. Frequent codes get shorter words.",
        ),
        Wrong(
            _rate_per_clip,
            "one_code_for_all_clips",
            "You average the entropies of the clips: that takes a coder of its own for each, which the receiver "
            "does not have. Count over the whole batch.",
        ),
    ),
    right=(_rate_counter, _rate_distribution),
    examples=lambda generator: [
        ((torch.rand(B, T, generator=generator) ** 2 * top).long(), V, 50.0)
        for B, T, top, V in ((2, 60, 8, 8), (3, 40, 10, 64))
    ],
)


# ---- 5. product_quantize: a codebook for each group of dimensions ------------------------------------------------


def _product(x: Tensor, codebooks: Tensor) -> tuple[Tensor, Tensor]:
    G = len(codebooks)
    groups = x.view(len(x), G, -1).transpose(0, 1)  # [G, N, D/G]
    codes = torch.cdist(groups, codebooks).argmin(2)  # [G, N]
    entries = torch.stack([codebooks[g, codes[g]] for g in range(G)], 1)  # [N, G, D/G]
    return codes.T, entries.flatten(1)  # [N, G], [N, D]


def _groups(N: int, G: int, V: int, width: int) -> tuple[Tensor, Tensor]:
    return torch.randn(N, G * width), torch.randn(G, V, width)


def returns_codes_and_vectors(answer):
    """codes are int64 [N, G], quantized is [N, D]."""
    for N, G, V, width in ((7, 3, 5, 2), (4, 2, 9, 3)):
        codes, quantized = answer(*_groups(N, G, V, width))
        expect_tensor(codes, (N, G), torch.int64, "codes")
        expect_tensor(quantized, (N, G * width), torch.float32, "quantized")


SMALL = torch.tensor([[[0.0, 0.0], [9.0, 9.0]], [[0.0, 9.0], [9.0, 0.0]]])  # two groups, two entries of width 2


def groups_are_neighbouring_dimensions(answer):
    """The first group holds the first D/G dimensions, the next the following ones."""
    codes, quantized = answer(torch.tensor([[8.0, 8.0, 1.0, 7.0]]), SMALL)
    expect(codes.tolist() == [[1, 0]], f"[8, 8 | 1, 7] has codes [1, 0], not {codes.tolist()[0]}")
    expect_close(quantized, torch.tensor([[9.0, 9.0, 0.0, 9.0]]), "the entries stand where their groups stood")


def each_group_has_its_own_codebook(answer):
    """Group g is compared with codebook g and with no other."""
    codes, quantized = answer(torch.tensor([[1.0, 1.0, 8.0, 1.0], [0.0, 1.0, 8.0, 8.5]]), SMALL)
    expect(codes.tolist() == [[0, 1], [0, 0]], f"codes [[0, 1], [0, 0]] are expected, not {codes.tolist()}")
    expect_close(quantized[:, 2:], torch.tensor([[9.0, 0.0], [0.0, 9.0]]), "the second group")


def entries_come_back_unchanged(answer):
    """A vector made of entries has no error, and quantizing twice changes nothing."""
    _, codebooks = _groups(1, 4, 8, 3)
    codes = torch.randint(8, (10, 4))
    x = torch.cat([codebooks[g, codes[:, g]] for g in range(4)], 1)
    found, quantized = answer(x, codebooks)
    expect_close(quantized, x, "entries came back changed")
    expect(torch.equal(found, codes), "the codes of entries are not those entries")


def no_other_codes_are_nearer(answer):
    """Of all V^G combinations the chosen one is the nearest."""
    x, codebooks = _groups(6, 2, 5, 2)
    _, quantized = answer(x, codebooks)
    every = torch.cat([codebooks[0].repeat_interleave(5, 0), codebooks[1].repeat(5, 1)], 1)  # [V*V, D]
    expect_close((x - quantized).norm(dim=1), torch.cdist(x, every).min(1).values, "a nearer combination exists")


def groups_as_the_library_does(answer):
    """On random sizes codes and vectors are those of the library."""
    for N, G, V, width in ((20, 4, 16, 2), (10, 8, 4, 1), (10, 1, 6, 5)):
        x, codebooks = _groups(N, G, V, width)
        for name, yours, target in zip(
            ("codes", "quantized"), answer(x, codebooks), _product(x, codebooks), strict=True
        ):
            expect_close(yours, target, f"G = {G}: {name} differ")


def _product_with(groups, codebooks):
    codes = torch.stack([torch.cdist(groups[g], codebooks[g]).argmin(1) for g in range(len(codebooks))], 1)  # [N, G]
    return codes, torch.stack([codebooks[g, codes[:, g]] for g in range(len(codebooks))], 1)  # [N, G, D/G]


def _split(x, codebooks):
    return x.view(len(x), len(codebooks), -1).transpose(0, 1)


def _product_interleaved(x, codebooks):
    codes, entries = _product_with(x.view(len(x), -1, len(codebooks)).permute(2, 0, 1), codebooks)
    return codes, entries.transpose(1, 2).flatten(1)


def _product_transposed(x, codebooks):
    codes, entries = _product_with(_split(x, codebooks), codebooks)
    return codes.T, entries.flatten(1)


def _product_unjoined(x, codebooks):
    return _product_with(_split(x, codebooks), codebooks)


def _product_one_codebook(x, codebooks):
    codes, entries = _product_with(_split(x, codebooks), codebooks[:1].expand_as(codebooks))
    return codes, entries.flatten(1)


def _product_reshaped(x, codebooks):
    groups = x.reshape(len(codebooks), len(x), -1)
    codes, entries = _product_with(groups, codebooks)
    return codes, entries.flatten(1)


def _product_decoded_with_first(x, codebooks):
    codes, _ = _product_with(_split(x, codebooks), codebooks)
    return codes, codebooks[0][codes].flatten(1)


def _product_joint(x, codebooks):
    whole = codebooks.transpose(0, 1).flatten(1)  # [V, D]: entry v of every group at once
    codes = torch.cdist(x, whole).argmin(1)
    return codes[:, None].repeat(1, len(codebooks)), whole[codes]


def _product_loops(x, codebooks):
    G, V, width = codebooks.shape
    codes, quantized = torch.zeros(len(x), G, dtype=torch.int64), torch.zeros_like(x)
    for n in range(len(x)):
        for g in range(G):
            part = slice(g * width, (g + 1) * width)
            codes[n, g] = _squared(codebooks[g], x[n, part]).argmin()
            quantized[n, part] = codebooks[g, codes[n, g]]
    return codes, quantized


def _product_einsum(x, codebooks):
    G, V, width = codebooks.shape
    groups = x.view(-1, G, width)
    scores = torch.einsum("ngd,gvd->ngv", groups, codebooks) - codebooks.pow(2).sum(2) / 2
    codes = scores.argmax(2)
    return codes, torch.einsum("ngv,gvd->ngd", F.one_hot(codes, V).float(), codebooks).reshape(len(x), -1)


product_quantize = Exercise(
    "product_quantize",
    reference=_product,
    properties=(
        returns_codes_and_vectors,
        groups_are_neighbouring_dimensions,
        each_group_has_its_own_codebook,
        entries_come_back_unchanged,
        no_other_codes_are_nearer,
        groups_as_the_library_does,
    ),
    wrong=(
        Wrong(
            _product_transposed,
            "returns_codes_and_vectors",
            "Your codes are [G, N]: one row a group. One row a vector is asked for, [N, G].",
        ),
        Wrong(
            _product_unjoined,
            "returns_codes_and_vectors",
            "The groups still stand apart, [N, G, D/G]. Join them to [N, D]: flatten(1).",
        ),
        Wrong(
            _product_interleaved,
            "groups_are_neighbouring_dimensions",
            "Your groups take every G-th dimension: view(N, D/G, G). Neighbours belong together: view(N, G, D/G).",
        ),
        Wrong(
            _product_decoded_with_first,
            "groups_are_neighbouring_dimensions",
            "The codes are right, but all groups are looked up in the first codebook.",
        ),
        Wrong(
            _product_one_codebook,
            "groups_are_neighbouring_dimensions",
            "You compare every group with the first codebook. Group g has codebook g.",
        ),
        Wrong(
            _product_joint,
            "groups_are_neighbouring_dimensions",
            "You choose one code for the whole vector: V possible results. Each group chooses for itself: V^G.",
        ),
        Wrong(
            _product_reshaped,
            "each_group_has_its_own_codebook",
            "reshape(G, N, D/G) cuts the memory in another order and mixes vectors. First view(N, G, D/G), then "
            "transpose the first two axes.",
        ),
    ),
    right=(_product_loops, _product_einsum),
    examples=lambda generator: [
        (torch.randn(N, G * w, generator=generator), torch.randn(G, V, w, generator=generator))
        for N, G, V, w in ((12, 3, 5, 2), (9, 2, 8, 3))
    ],
)


EXERCISES = (spread_start, quantize_and_learn, move_and_revive, code_rate, product_quantize)

seal(__name__)
