"""Exercise 5, `beam_encode`: look at more than the nearest."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from .. import Exercise, Wrong, expect, expect_close, expect_tensor
from ._shared import drawn, library_quantizer


def _beam(vectors: Tensor, codebooks: Tensor, width: int) -> Tensor:
    N, D = vectors.shape
    residual, codes = vectors[:, None], torch.zeros(N, 1, 0, dtype=torch.long)  # [N, W, D], [N, W, k]
    for codebook in codebooks:
        distances = (residual[:, :, None] - codebook).square().sum(-1)  # [N, W, V]
        best = distances.flatten(1).topk(min(width, distances[0].numel()), largest=False).indices  # [N, W]
        parent, code = best // len(codebook), best % len(codebook)
        residual = residual.gather(1, parent[..., None].expand(-1, -1, D)) - codebook[code]
        codes = torch.cat([codes.gather(1, parent[..., None].expand(-1, -1, codes.shape[2])), code[..., None]], 2)
    return codes[:, 0]


def _left(vectors: Tensor, codebooks: Tensor, codes: Tensor) -> Tensor:
    """Squared length of what codes [N, K] leave over: [N]."""
    return (vectors - sum(book[codes[:, k]] for k, book in enumerate(codebooks))).square().sum(1)


def _case(N: int, K: int, V: int, D: int) -> tuple[Tensor, Tensor]:
    return torch.randn(N, D), torch.randn(K, V, D) * 0.7 ** torch.arange(K)[:, None, None]


def gives_codes(answer):
    """The result holds K codes for each vector, whole numbers from 0 to V - 1."""
    for N, K, V, D, width in ((6, 3, 5, 2, 2), (1, 2, 4, 3, 3), (4, 1, 6, 2, 2)):
        codes = answer(*_case(N, K, V, D), width)
        expect_tensor(codes, (N, K), torch.int64)
        expect(bool(((codes >= 0) & (codes < V)).all()), f"codes must be 0 to {V - 1}, but they are {codes.tolist()}")


def width_one_is_greedy(answer):
    """A beam of width 1 is the greedy search."""
    vectors, codebooks = _case(30, 4, 6, 3)
    greedy = library_quantizer(codebooks).encode(vectors.T[None])[0].T  # [N, K]
    expect_close(answer(vectors, codebooks, 1), greedy, "width 1")


def finds_what_greedy_misses(answer):
    """For 2.1, with entries 0 and 4, then 0 and 2, a beam of 2 finds 0 + 2."""
    codebooks = torch.tensor([[[0.0], [4.0]], [[0.0], [2.0]]])
    expect_close(answer(torch.tensor([[2.1]]), codebooks, 2), [[0, 1]], "greedy takes 4 first and ends with codes 1, 0")


def width_may_exceed_the_codebook(answer):
    """The beam may be wider than a codebook has entries."""
    vectors, codebooks = _case(5, 3, 3, 2)
    expect_tensor(answer(vectors, codebooks, 8), (5, 3), torch.int64)


def a_wide_beam_finds_the_best(answer):
    """A beam that can hold everything finds the best of all V^K combinations."""
    vectors, codebooks = _case(20, 3, 4, 2)
    every = torch.tensor(list(itertools.product(range(4), repeat=3)))  # [V^K, K]
    table = sum(book[every[:, k]] for k, book in enumerate(codebooks))  # [V^K, D]
    best = (vectors[:, None] - table).square().sum(2).amin(1)
    found = _left(vectors, codebooks, answer(vectors, codebooks, 16))
    expect_close(found, best, "what is left over with width 16, V 4, K 3", tolerance=1e-4)


def keeps_the_best_at_each_stage(answer):
    """At each stage the `width` sums that are nearest to the vector are kept, as in the library's version."""
    for N, K, V, D, width in ((25, 4, 6, 3, 2), (25, 5, 4, 4, 3)):
        vectors, codebooks = _case(N, K, V, D)
        found = _left(vectors, codebooks, answer(vectors, codebooks, width))
        wanted = _left(vectors, codebooks, _beam(vectors, codebooks, width))
        expect_close(found, wanted, f"what is left over with width {width}, K {K}, V {V}", tolerance=1e-4)


def _beam_with(
    vectors, codebooks, width, last=0, largest=False, history=True, follow=True, add=False, per_parent=False
):
    """A beam search with one of the usual mistakes built in."""
    N, D = vectors.shape
    residual, codes = vectors[:, None], torch.zeros(N, 1, 0, dtype=torch.long)
    score = torch.zeros(N, 1)
    for k, codebook in enumerate(codebooks):
        distances = (residual[:, :, None] - codebook).square().sum(-1) + (score[:, :, None] if add else 0)
        if per_parent and k:
            code = distances.argmin(2)
            parent = torch.arange(code.shape[1]).expand_as(code)
        else:
            best = distances.flatten(1).topk(min(width, distances[0].numel()), largest=largest).indices
            parent, code = best // len(codebook), best % len(codebook)
        score = distances.flatten(1).gather(1, parent * len(codebook) + code)
        at = parent if follow else torch.arange(code.shape[1]).clamp(max=residual.shape[1] - 1).expand_as(code)
        residual = residual.gather(1, at[..., None].expand(-1, -1, D)) - codebook[code]
        past = parent if history else torch.arange(code.shape[1]).clamp(max=codes.shape[1] - 1).expand_as(code)
        codes = torch.cat([codes.gather(1, past[..., None].expand(-1, -1, k)), code[..., None]], 2)
    if per_parent:
        return codes[torch.arange(N), score.argmin(1)]
    return codes[:, last]


def _beam_unindexed(vectors, codebooks, width):
    return _beam(vectors, codebooks, width).float()


def _beam_greedy(vectors, codebooks, width):
    return _beam(vectors, codebooks, 1)


def _beam_farthest(vectors, codebooks, width):
    return _beam_with(vectors, codebooks, width, largest=True)


def _beam_last(vectors, codebooks, width):
    return _beam_with(vectors, codebooks, width, last=-1)


def _beam_no_history(vectors, codebooks, width):
    return _beam_with(vectors, codebooks, width, history=False)


def _beam_no_follow(vectors, codebooks, width):
    return _beam_with(vectors, codebooks, width, follow=False)


def _beam_adds(vectors, codebooks, width):
    return _beam_with(vectors, codebooks, width, add=True)


def _beam_one_child(vectors, codebooks, width):
    return _beam_with(vectors, codebooks, min(width, codebooks.shape[1]), per_parent=True)


def _beam_narrow(vectors, codebooks, width):
    if width > codebooks.shape[1]:
        raise RuntimeError("selected index k out of range")
    return _beam(vectors, codebooks, width)


def _beam_loop(vectors, codebooks, width):
    chosen = []
    for vector in vectors:
        beam = [((), vector)]
        for codebook in codebooks:
            longer = [((*codes, v), left - entry) for codes, left in beam for v, entry in enumerate(codebook)]
            beam = sorted(longer, key=lambda one: float(one[1] @ one[1]))[:width]
        chosen.append(beam[0][0])
    return torch.tensor(chosen)


def _beam_products(vectors, codebooks, width):
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
        gives_codes,
        width_one_is_greedy,
        finds_what_greedy_misses,
        width_may_exceed_the_codebook,
        a_wide_beam_finds_the_best,
        keeps_the_best_at_each_stage,
    ),
    wrong=(
        Wrong(_beam_unindexed, "gives_codes", "Codes are row numbers: int64, so that they can index a codebook."),
        Wrong(
            _beam_farthest,
            "width_one_is_greedy",
            "topk takes the largest distances unless you say largest=False.",
        ),
        Wrong(
            _beam_greedy,
            "finds_what_greedy_misses",
            "That is the greedy search whatever the width: only one candidate goes on to the next stage.",
        ),
        Wrong(
            _beam_last,
            "finds_what_greedy_misses",
            "You return the worst candidate of the last beam. topk sorts: the best one is the first.",
        ),
        Wrong(
            _beam_no_history,
            "finds_what_greedy_misses",
            "The new codes are right, but they are put behind the wrong old ones: a candidate inherits the codes of "
            "its parent, the one whose residual it continues.",
        ),
        Wrong(
            _beam_narrow,
            "width_may_exceed_the_codebook",
            "At the first stage there are only V candidates, so topk(width) fails for a wider beam: take "
            "min(width, number of candidates).",
        ),
        Wrong(
            _beam_one_child,
            "a_wide_beam_finds_the_best",
            "Each candidate takes only its own nearest entry. Compare all W * V continuations with one another.",
        ),
        Wrong(
            _beam_no_follow,
            "a_wide_beam_finds_the_best",
            "A candidate must continue with the residual of its parent. Yours takes the residual that happens to stand "
            "in its place.",
        ),
        Wrong(
            _beam_adds,
            "a_wide_beam_finds_the_best",
            "You add the errors of all stages up. Only what is left over at the end counts: rank by the current one.",
        ),
    ),
    right=(_beam_loop, _beam_products),
    examples=lambda generator: [
        (*drawn(generator, 12, 3, 5, 2), 3),
        (*drawn(generator, 8, 4, 4, 3), 2),
        (*drawn(generator, 4, 2, 3, 2), 5),
    ],
)
