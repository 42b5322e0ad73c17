"""Exercise 1, `spread_start`: k-means++."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.quantization import nearest_code
from .. import Exercise, expect, expect_close, expect_equal, expect_tensor, mistakes
from ._shared import points_picture


def _squares(vectors: Tensor, starts: Tensor) -> Tensor:
    return (vectors[:, None] - starts).square().sum(2)  # [N, v]


def _spread(vectors: Tensor, draws: Tensor) -> Tensor:
    chosen = [int(draws[0] * len(vectors))]
    for draw in draws[1:]:
        nearest = _squares(vectors, vectors[chosen]).min(1).values  # [N]
        share = nearest.cumsum(0) / nearest.sum()
        place = int((share <= draw).sum())
        chosen.append(min(place, len(vectors) - 1))
    return vectors[chosen]  # [V, D]


def has_one_start_for_each_draw(answer):
    """The result holds V vectors of width D."""
    for N, D, V in ((7, 2, 3), (9, 5, 4), (4, 1, 1)):
        expect_tensor(answer(torch.randn(N, D), torch.rand(V)), (V, D), torch.float32)


def starts_are_vectors_of_the_data(answer):
    """Every start is one of the vectors, and no vector is taken twice."""
    for N, D, V in ((12, 2, 6), (60, 8, 16), (300, 3, 8)) * 8:
        vectors = torch.randn(N, D)
        starts = answer(vectors, torch.rand(V))
        found = (starts[:, None] == vectors[None]).all(-1)  # [V, N]
        expect(found.any(1).all(), "a start is not one of the vectors")
        expect((found.sum(0) <= 1).all(), "a vector is taken twice: its distance to a start, 0, gives it no chance")
    edge = answer(torch.tensor([[0.0], [1.0], [3.0]]), torch.tensor([0.0, 0.0, 0.999]))
    expect(len(set(edge.flatten().tolist())) == 3, "with a draw of exactly 0, a vector without a chance is taken")


LINE = torch.tensor([[0.0], [1.0], [3.0], [10.0]])


def first_start_is_drawn_evenly(answer):
    """The first start is vector int(draws[0] * N): each of the N has the same chance."""
    for draw, expected in ((0.0, 0.0), (0.24, 0.0), (0.26, 1.0), (0.74, 3.0), (0.76, 10.0), (0.999, 10.0)):
        expect_equal(answer(LINE, torch.tensor([draw]))[0], [expected], f"vectors 0, 1, 3, 10, draw {draw}")


def chances_are_squared_distances(answer):
    """The second start is drawn with chances in proportion to the squared distances."""
    # From 0: squared distances 0, 1, 9, 100, so the vectors own 0, 1, 9 and 100 parts of 110.
    for draw, expected in ((0.5, 1.0), (5.0, 3.0), (9.5, 3.0), (10.5, 10.0), (109.0, 10.0)):
        start = answer(LINE, torch.tensor([0.0, draw / 110]))[1]
        expect_equal(start, [expected], f"vectors 0, 1, 3, 10, first 0, draw {draw}/110")


def chances_look_at_the_nearest_start(answer):
    """From the third start on, what counts is the distance to the nearest start."""
    # Starts 0 and 10: to the nearest it is 0, 1, 9, 0, of 10.
    for draw, expected in ((0.05, 1.0), (0.2, 3.0), (0.95, 3.0)):
        start = answer(LINE, torch.tensor([0.0, 0.9, draw]))[2]
        expect_equal(start, [expected], f"vectors 0, 1, 3, 10, starts 0 and 10, draw {draw}")


def a_draw_just_below_one_takes_the_last(answer):
    """A draw just below 1 takes the last vector, also where rounding leaves the last sum below it."""
    for N in range(900, 930):
        vectors = torch.randn(N, 2)
        starts = answer(vectors, torch.tensor([0.3, 1 - 2.0**-24]))
        expect_close(starts[1], vectors[-1], f"{N} vectors, draw 1 - 2^-24: the last vector")


def starts_as_the_librarys_nearest_code_has_them(answer):
    """On random vectors the starts are those that follow from the library's `nearest_code`."""
    for N, D, V in ((30, 2, 5), (50, 8, 12), (20, 1, 20)):
        vectors, draws = torch.randn(N, D) * (1 + 3 * torch.arange(D)), torch.rand(V)
        starts = vectors[int(draws[0] * N)][None]
        for v in range(1, V):
            nearest = (vectors - starts[nearest_code(vectors, starts)]).double().square().sum(1)
            shares = (nearest / nearest.sum()).cumsum(0)
            place = int(torch.searchsorted(shares, draws[v].double(), right=True).clamp(max=N - 1))
            # In the middle of its share, so that no rounding takes a neighbour.
            draws[v] = shares[place] - nearest[place] / nearest.sum() / 2
            starts = torch.cat([starts, vectors[place][None]])
        expect_close(answer(vectors, draws), starts, f"N {N}, D {D}, V {V}: the starts differ")


def _by_root_of_a_difference(vectors, draws):
    chosen = [int(draws[0] * len(vectors))]
    for draw in draws[1:]:
        starts = vectors[chosen]
        inner = vectors.square().sum(1, keepdim=True) - 2 * vectors @ starts.T + starts.square().sum(1)
        nearest = inner.sqrt().min(1).values.square()
        chosen.append(min(int((nearest.cumsum(0) / nearest.sum() <= draw).sum()), len(vectors) - 1))
    return vectors[chosen]


def _by_loop(vectors, draws):
    points, chosen = vectors.tolist(), [int(draws[0] * len(vectors))]
    for draw in draws[1:].tolist():
        parts = [min(sum((a - b) ** 2 for a, b in zip(p, points[c], strict=True)) for c in chosen) for p in points]
        left, i = draw * sum(parts), 0
        while i < len(parts) - 1 and left >= parts[i]:
            left, i = left - parts[i], i + 1
        chosen.append(i)
    return torch.stack([vectors[i] for i in chosen])


def _by_searchsorted(vectors, draws):
    first = int(draws[0] * len(vectors))
    chosen, nearest = [first], torch.cdist(vectors, vectors[first][None])[:, 0] ** 2
    for draw in draws[1:]:
        reached = nearest.cumsum(0)
        i = min(int(torch.searchsorted(reached, draw * reached[-1], right=True)), len(vectors) - 1)
        chosen.append(i)
        nearest = torch.minimum(nearest, torch.cdist(vectors, vectors[i][None])[:, 0] ** 2)
    return vectors[chosen]


spread_start = Exercise(
    "spread_start",
    reference=_spread,
    properties=(
        has_one_start_for_each_draw, starts_are_vectors_of_the_data, chances_are_squared_distances,
        chances_look_at_the_nearest_start, first_start_is_drawn_evenly, a_draw_just_below_one_takes_the_last,
        starts_as_the_librarys_nearest_code_has_them,
    ),
    wrong=mistakes((_squares, _spread), {
        has_one_start_for_each_draw: [
            ("return vectors[chosen]", "return torch.tensor(chosen)",
             "These are the indices of the chosen vectors. Return the vectors: vectors[chosen]."),
            ("chosen = [int(draws[0] * len(vectors))]\n    for draw in draws[1:]",
             "chosen = [int(draws[0] * len(vectors))]\n    for draw in draws",
             "The first draw has chosen the first start already: go on with draws[1:]."),
        ],
        starts_are_vectors_of_the_data: [
            ("return vectors[chosen]", "return vectors[(draws * len(vectors)).long()]",
             "Only the first start is drawn uniformly. All others depend on the starts chosen before them."),
            ("share <= draw", "share < draw", "You take the first vector whose cumulated share is at least the draw. "
             "With a draw of 0 that is a vector of share 0. Take the first whose share is larger: searchsorted(..., "
             "right=True)."),
            ("vectors[chosen])", "vectors[chosen[-1:]])", "You measure the distance to the last start only. A vector "
             "that is near any start is taken care of: use the distance to the nearest of all starts."),
            ("vectors[chosen])", "vectors[chosen[:1]])", "You measure the distance to the first start only. Each start "
             "that is added makes others less likely: the nearest of all starts."),
            (_by_root_of_a_difference, "Rounding makes |x|^2 - 2 x.e + |e|^2 a little less than 0 for a start itself. "
             "Its root is nan, and every sum after it. clamp(min=0) first, or leave the root out."),
            ("return vectors[chosen]", "return vectors[chosen] + 0.001",
             "Starts are vectors of the data, exactly as they are. Yours are moved."),
            ("nearest.cumsum(0) / nearest.sum()", "nearest.softmax(0).cumsum(0)",
             "A softmax turns distances into something else. Divide them by their sum."),
            ("nearest.cumsum(0) / nearest.sum()", "nearest / nearest.sum()",
             "The shares are not added up. A draw falls into the share of one vector only once they are: cumsum."),
        ],
        chances_are_squared_distances: [
            (".square().sum(2)", ".square().sum(2).sqrt()",
             "Your chances are the distances. k-means++ squares them, as the distortion does."),
            (".square().sum(2)", ".square().sum(2).square()", "You square twice. The chances are squared distances."),
            (".square().sum(2)", ".abs().sum(2)", "You add absolute differences. Distances here are those of Euclid, "
             "and the chances are their squares."),
            ("int((share <= draw).sum())", "int(nearest.argmax())", "You always take the farthest vector, so outliers "
             "win and the draws do nothing. Draw: each vector has a chance in proportion to its squared distance."),
        ],
        chances_look_at_the_nearest_start: [
            ("for draw in draws[1:]", "for draw in draws[1:].flip(0)", "The draws are used in the wrong order: the "
             "second start belongs to the second draw."),
            (".min(1).values", ".sum(1).index_fill(0, torch.tensor(chosen), 0)",
             "You add the distances to all starts. What counts is the nearest one: minimum, not sum."),
            (".min(1).values", ".max(1).values.index_fill(0, torch.tensor(chosen), 0)",
             "You take the distance to the farthest start. A vector that is near any start is taken care of: minimum."),
        ],
        first_start_is_drawn_evenly: [
            ("[int(draws[0] * len(vectors))]", "[0]",
             "Yours always begins with the first vector. The first draw decides: int(draws[0] * N)."),
            ("int(draws[0] * len(vectors))", "round(float(draws[0]) * (len(vectors) - 1))",
             "Rounding gives the first and the last vector half a chance. int(draws[0] * N) gives all the same."),
            ("int(draws[0] * len(vectors))", "int(draws[0] * (len(vectors) - 1))",
             "The last vector is never the first start. draws[0] is below 1, so int(draws[0] * N) is at most N - 1."),
        ],
        a_draw_just_below_one_takes_the_last: [
            ("min(place, len(vectors) - 1)", "place", "Rounding may leave the last cumulated share a little below 1. A "
             "draw above it finds no vector: take the last one then."),
        ],
        starts_as_the_librarys_nearest_code_has_them: [
            ("_squares(vectors, vectors[chosen])", "_squares(vectors[:, :2], vectors[chosen][:, :2])",
             "You look at the first two numbers of a vector. All D belong to a distance."),
            ("_squares(vectors, vectors[chosen])", "_squares(*(one / vectors.std(0).clamp(min=1e-6) for one "
             "in (vectors, vectors[chosen])))", "You scale each dimension first. The distance is that of the "
             "vectors as they are."),
        ],
    }),
    right=(_by_loop, _by_searchsorted),
    examples=lambda generator: (
        [(torch.randn(N, 2, generator=generator), torch.rand(V, generator=generator)) for N, V in ((40, 6), (20, 4))]
        + [(LINE, torch.tensor([0.0, 0.0, 0.6])), (LINE, torch.tensor([0.74]))]
    ),
    picture=lambda target, yours, arguments: points_picture(target, yours, vectors=arguments[0]),
)  # fmt: skip
