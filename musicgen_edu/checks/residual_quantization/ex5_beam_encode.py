"""Exercise 5, `beam_encode`: look at more than the nearest."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from .. import Exercise, expect, expect_close, expect_equal, expect_tensor, mistakes
from ._shared import drawn, library_quantizer


def _take(of: Tensor, parent: Tensor) -> Tensor:
    """of [N, W, ...] at the rows parent [N, W']."""
    return of.gather(1, parent[:, :, None].expand(-1, -1, of.shape[2]))


def _beam(vectors: Tensor, codebooks: Tensor, width: int) -> Tensor:
    N, D = vectors.shape
    residual = vectors[:, None]  # [N, W, D], W = 1 candidate at first
    codes = torch.zeros(N, 1, 0, dtype=torch.long)  # [N, W, k]
    for codebook in codebooks:
        distances = (residual[:, :, None] - codebook).square().sum(-1)  # [N, W, V]
        several = min(width, distances[0].numel())
        best = distances.flatten(1).topk(several, largest=False).indices  # [N, W]
        parent, code = best // len(codebook), best % len(codebook)
        residual = _take(residual, parent) - codebook[code]
        codes = torch.cat([_take(codes, parent), code[:, :, None]], 2)
    return codes[:, 0]


def _left(vectors: Tensor, codebooks: Tensor, codes: Tensor) -> Tensor:
    """Squared length of what codes [N, K] leave over: [N]."""
    return (vectors - sum(book[codes[:, k]] for k, book in enumerate(codebooks))).square().sum(1)


def _codes(answer, vectors: Tensor, codebooks: Tensor, width: int) -> Tensor:
    """The codes of an answer, which are codes."""
    (N, _), (K, V, _) = vectors.shape, codebooks.shape
    codes = answer(vectors, codebooks, width)
    expect_tensor(codes, (N, K), torch.int64)
    inside = bool(((codes >= 0) & (codes < V)).all())
    expect(inside, f"codes: expected 0 to {V - 1}, not {codes.min()} to {codes.max()}")
    return codes


def gives_codes(answer):
    """The result holds K codes for each vector, whole numbers from 0 to V - 1."""
    for N, K, V, D, width in ((6, 3, 5, 2, 2), (1, 2, 4, 3, 3), (4, 1, 6, 2, 2), (3, 3, 3, 1, 1)):
        _codes(answer, *drawn(N, K, V, D), width)


def width_one_is_greedy(answer):
    """A beam of width 1 is the greedy search of the library."""
    vectors, codebooks = drawn(30, 4, 6, 3)
    greedy = library_quantizer(codebooks).encode(vectors.T[None])[0].T  # [N, K]
    expect_equal(_codes(answer, vectors, codebooks, 1), greedy, "width 1, the codes of vector")


def finds_what_greedy_misses(answer):
    """For 2.1, with entries 0 and 4, then 0 and 2, a beam of 2 finds 0 + 2."""
    codebooks = torch.tensor([[[0.0], [4.0]], [[0.0], [2.0]]])
    found = _codes(answer, torch.tensor([[2.1]]), codebooks, 2)
    expect_equal(found, [[0, 1]], "the codes of 2.1, of which greedy takes 4 first and ends with [1, 0]")


def width_may_exceed_the_codebook(answer):
    """The beam may be wider than a codebook has entries, and wider than there are candidates."""
    vectors, codebooks = drawn(5, 3, 3, 2)
    for width in (8, 50):
        _codes(answer, vectors, codebooks, width)


def a_wide_beam_finds_the_best(answer):
    """A beam that can hold everything finds the best of all V^K combinations."""
    vectors, codebooks = drawn(20, 3, 4, 2)
    every = torch.tensor(list(itertools.product(range(4), repeat=3)))  # [V^K, K]
    table = sum(book[every[:, k]] for k, book in enumerate(codebooks))  # [V^K, D]
    best = (vectors[:, None] - table).square().sum(2).amin(1)
    for width in (16, 64):
        found = _left(vectors, codebooks, _codes(answer, vectors, codebooks, width))
        expect_close(found, best, f"what is left over with width {width}, V 4, K 3", tolerance=1e-4)


def keeps_the_best_at_each_stage(answer):
    """At each stage those `width` continuations are kept that leave over the least: no more, no fewer."""
    for N, K, V, D, width in ((25, 4, 6, 3, 2), (25, 5, 4, 4, 3), (40, 5, 12, 6, 12), (25, 4, 9, 4, 32)):
        vectors, codebooks = torch.randn(N, D), torch.randn(K, V, D) / K**0.5
        found = _left(vectors, codebooks, _codes(answer, vectors, codebooks, width))
        wanted = _left(vectors, codebooks, _beam(vectors, codebooks, width))
        expect_close(found, wanted, f"what is left over with width {width}, K {K}, V {V}", tolerance=1e-4)


def _one_child(vectors, codebooks, width):
    N, width = len(vectors), min(width, codebooks.shape[1])
    codes = (vectors[:, None] - codebooks[0]).square().sum(2).topk(width, largest=False).indices[:, :, None]
    residual = vectors[:, None] - codebooks[0][codes[:, :, 0]]
    for codebook in codebooks[1:]:
        code = (residual[:, :, None] - codebook).square().sum(3).argmin(2)
        residual, codes = residual - codebook[code], torch.cat([codes, code[:, :, None]], 2)
    return codes[torch.arange(N), residual.square().sum(2).argmin(1)]


def _all_combinations(vectors, codebooks, width):
    if width == 1:
        return _beam(vectors, codebooks, 1)
    every = torch.tensor(list(itertools.product(range(codebooks.shape[1]), repeat=len(codebooks))))
    table = sum(book[every[:, k]] for k, book in enumerate(codebooks))
    return every[(table.square().sum(1) - 2 * vectors @ table.T).argmin(1)]


def _by_loop(vectors, codebooks, width):
    chosen = []
    for vector in vectors:
        beam = [((), vector)]
        for codebook in codebooks:
            longer = [((*codes, v), left - entry) for codes, left in beam for v, entry in enumerate(codebook)]
            beam = sorted(longer, key=lambda one: float(one[1] @ one[1]))[:width]
        chosen.append(beam[0][0])
    return torch.tensor(chosen)


def _by_products(vectors, codebooks, width):
    sums, codes = torch.zeros(len(vectors), 1, vectors.shape[1]), [[()] for _ in vectors]
    for codebook in codebooks:
        every = (sums[:, :, None] + codebook).flatten(1, 2)  # [N, W * V, D]
        order = (every.pow(2).sum(2) - 2 * torch.einsum("nd,nwd->nw", vectors, every)).argsort(1)[:, :width]
        codes = [
            [(*codes[n][i // len(codebook)], i % len(codebook)) for i in row] for n, row in enumerate(order.tolist())
        ]
        sums = torch.stack([every[n, row] for n, row in enumerate(order)])
    return torch.tensor([row[0] for row in codes])


beam_encode = Exercise(
    "beam_encode",
    reference=_beam,
    properties=(
        gives_codes, width_one_is_greedy, finds_what_greedy_misses, width_may_exceed_the_codebook,
        a_wide_beam_finds_the_best, keeps_the_best_at_each_stage,
    ),
    wrong=mistakes((_take, _beam), {
        gives_codes: [
            ("return codes[:, 0]", "return codes[:, 0].float()",
             "Codes are row numbers: int64, so that they can index a codebook."),
            ("return codes[:, 0]", "return codes",
             "You return all candidates. The best one of each vector is asked for."),
            ("return codes[:, 0]", "return codes[:, 0].T.contiguous()", "Yours is [K, N]. One row a vector: [N, K]."),
            ("best // len(codebook), best % len(codebook)", "best // len(codebook), best", "codebook[code]",
             "codebook[code % len(codebook)]", "The index counts through W * V continuations. The code is what remains "
             "of it: best % V."),
        ],
        width_one_is_greedy: [
            (", largest=False", "", "topk takes the largest distances unless you say largest=False."),
            ("_take(residual, parent) - codebook", "vectors[:, None] - codebook", "Each stage of yours begins with the "
             "vector itself. It continues with what its candidate leaves over."),
            ("(residual[:, :, None] - codebook).square().sum(-1)", "-(residual @ codebook.T)",
             "The largest inner product is not the smallest distance: long entries win."),
        ],
        finds_what_greedy_misses: [
            ("min(width, distances[0].numel())", "min(width, distances[0].numel()) if codes.shape[2] else 1",
             "After the first stage you keep one candidate. It has V continuations, of which `width` are kept."),
            ("    N, D = vectors.shape", "    N, D = vectors.shape; width = 1",
             "That is the greedy search whatever the width: only one candidate goes on to the next stage."),
            ("return codes[:, 0]", "return codes[:, -1]",
             "You return the worst candidate of the last beam. topk sorts: the best one is the first."),
            ("_take(codes, parent)", "codes[:, torch.arange(several).clamp(max=codes.shape[1] - 1)]",
             "The new codes are right, but they are put behind the wrong old ones: a candidate inherits the codes of "
             "its parent, the one whose residual it continues."),
            ("best // len(codebook), best % len(codebook)", "torch.zeros_like(best), best % len(codebook)",
             "All new candidates continue the first one. The parent of each is best // V."),
        ],
        width_may_exceed_the_codebook: [
            ("min(width, distances[0].numel())", "width",
             "At the first stage there are only V candidates, so topk(width) fails for a wider beam: take "
             "min(width, number of candidates)."),
        ],
        a_wide_beam_finds_the_best: [
            (_one_child, "Each candidate takes only its own nearest entry. Compare all W * V continuations with one "
             "another."),
            ("_take(residual, parent)", "residual[:, torch.arange(several).clamp(max=residual.shape[1] - 1)]",
             "A candidate must continue with the residual of its parent. Yours takes the residual that happens to "
             "stand in its place."),
            ("residual = vectors[:, None]", "score = 0; residual = vectors[:, None]", ".sum(-1)  # [N, W, V]",
             ".sum(-1) + score", "residual = _take", "score = distances.flatten(1).gather(1, best)[:, :, None]; "
             "residual = _take",
             "You add the errors of all stages up. Only what is left over at the end counts: rank by the current one."),
            ("(residual[:, :, None] - codebook).square().sum(-1)",
             "codebook.square().sum(1) - 2 * residual @ codebook.T",
             "You leave |r|^2 out. For one candidate that changes nothing, but candidates have different residuals: "
             "|r|^2 - 2 r.e + |e|^2."),
            ("min(width, distances[0].numel())", "min(width, len(codebook))", "From the second stage on there are more "
             "than V continuations: the beam may grow to `width`."),
        ],
        keeps_the_best_at_each_stage: [
            ("min(width, distances[0].numel())", "min(width, 8, distances[0].numel())",
             "Your beam never grows beyond 8 candidates. `width` may be any number."),
            (_all_combinations, "You try all combinations, or more candidates than `width`. That is better, but with "
             "four codebooks of 1024 it never ends: keep `width`."),
            ("(residual[:, :, None] - codebook).square().sum(-1)", "(residual[:, :, None] - codebook).abs().sum(-1) if "
             "width > 1 else (residual[:, :, None] - codebook).square().sum(-1)",
             "You rank by absolute differences. The squared length is asked for."),
        ],
    }),
    right=(_by_loop, _by_products),
    examples=lambda generator: [
        (*drawn(12, 3, 5, 2, generator), 3),
        (*drawn(8, 4, 4, 3, generator), 2),
        (*drawn(4, 2, 3, 2, generator), 5),
        (*drawn(20, 4, 4, 2, generator), 6),
    ],
)  # fmt: skip
