"""Exercise 1, `spread_start`: k-means++."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import Exercise, Wrong, expect, expect_close, expect_tensor
from ._shared import points_picture, squared_distances


def _spread(vectors: Tensor, draws: Tensor) -> Tensor:
    chosen = [int(draws[0] * len(vectors))]
    nearest = squared_distances(vectors, vectors[chosen[0]])  # [N]
    for draw in draws[1:]:
        reached = nearest.cumsum(0) / nearest.sum()
        chosen.append(min(int((reached <= draw).sum()), len(vectors) - 1))
        nearest = torch.minimum(nearest, squared_distances(vectors, vectors[chosen[-1]]))
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
        distance = squared_distances(vectors, vectors[chosen[-1]])
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
    picture=lambda target, yours, arguments: points_picture(target, yours, vectors=arguments[0]),
)
