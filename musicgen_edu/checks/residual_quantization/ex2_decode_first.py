"""Exercise 2, `decode_first`: each clip its own number of codebooks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import Exercise, expect_close, expect_tensor, mistakes
from ._shared import library_quantizer


def _first(codes: Tensor, codebooks: Tensor, counts: Tensor) -> Tensor:
    B, K, T = codes.shape
    stage = torch.arange(K)
    entries = torch.stack([codebooks[k][codes[:, k]] for k in range(K)], 1)  # [B, K, T, D]
    kept = stage < counts[:, None]  # [B, K]
    total = (entries * kept[:, :, None, None]).sum(1)  # [B, T, D]
    return total.transpose(1, 2)  # [B, D, T]


def _codes(B: int, K: int, T: int, V: int, generator: torch.Generator | None = None) -> Tensor:
    return torch.randint(V, (B, K, T), generator=generator)


def has_the_shape_of_latents(answer):
    """The result has the shape of latents, [B, D, T]."""
    for B, K, T, V, D in ((2, 3, 5, 4, 6), (1, 1, 2, 3, 4), (4, 2, 3, 5, 3)):
        for count in (K, 0):
            decoded = answer(_codes(B, K, T, V), torch.randn(K, V, D), torch.full((B,), count))
            expect_tensor(decoded, (B, D, T), torch.float32, f"counts of {count}: the result")


def all_codebooks_give_the_sum(answer):
    """With all K codebooks it is the sum of the K entries of a frame."""
    codebooks = torch.tensor([[[1.0, 3.0], [2.0, 4.0]], [[10.0, 30.0], [20.0, 40.0]], [[100.0, 300.0], [200.0, 400.0]]])
    codes = torch.tensor([[[0, 1], [1, 0], [1, 1]]])  # [B, K, T]
    told = "entries [1, 3] + [20, 40] + [200, 400] and [2, 4] + [10, 30] + [200, 400], one a column"
    expect_close(answer(codes, codebooks, torch.tensor([3])), [[[221.0, 212.0], [443.0, 434.0]]], told)


def the_first_ones_are_kept(answer):
    """With a count of n, codebooks 0 to n - 1 are used."""
    codebooks = torch.tensor([[[0.0], [2.0]], [[0.0], [20.0]], [[0.0], [200.0]]])
    codes = torch.ones(1, 3, 1, dtype=torch.long)
    for n, total in ((1, 2.0), (2, 22.0)):
        expect_close(answer(codes, codebooks, torch.tensor([n])), [[[total]]], f"entries 2, 20 and 200, count {n}")


def what_is_left_out_adds_nothing(answer):
    """A codebook that is left out adds nothing, and a count of 0 gives zeros."""
    codebooks = torch.tensor([[[1.0], [2.0]], [[10.0], [20.0]]])
    codes = torch.ones(1, 2, 1, dtype=torch.long)
    expect_close(answer(codes, codebooks, torch.tensor([1])), [[[2.0]]], "entry 2 alone, and 20 left out")
    expect_close(answer(codes, codebooks, torch.tensor([0])), [[[0.0]]], "count 0")


def each_clip_has_its_own_count(answer):
    """Each clip of a batch is decoded with its own count."""
    codebooks = torch.tensor([[[0.0], [2.0]], [[0.0], [20.0]]])
    decoded = answer(torch.ones(3, 2, 1, dtype=torch.long), codebooks, torch.tensor([2, 0, 1]))
    expect_close(decoded, [[[22.0]], [[0.0]], [[2.0]]], "counts 2, 0 and 1")


def decodes_as_the_library_does(answer):
    """Each clip equals what the library decodes from the first n rows of its codes."""
    for B, K, T, V, D in ((5, 4, 7, 8, 3), (3, 6, 2, 5, 9), (4, 4, 4, 4, 4), (2, 1, 3, 6, 2)):
        codes, codebooks, counts = _codes(B, K, T, V), torch.randn(K, V, D), torch.randint(1, K + 1, (B,))
        quantizer = library_quantizer(codebooks)
        expected = torch.cat([quantizer.decode(codes[b : b + 1, :n]) for b, n in enumerate(counts.tolist())])
        expect_close(answer(codes, codebooks, counts), expected, f"counts {counts.tolist()}")
        expand = codes[:1].expand(B, -1, -1)  # one clip several times, as the next cell has it
        expected = torch.cat([quantizer.decode(codes[:1, :n]) for n in counts.tolist()])
        expect_close(answer(expand, codebooks, counts), expected, f"the same codes, counts {counts.tolist()}")


def _by_loops(codes, codebooks, counts):
    B, K, T = codes.shape
    decoded = torch.zeros(B, codebooks.shape[2], T)
    for b in range(B):
        for k in range(int(counts[b])):
            for t in range(T):
                decoded[b, :, t] += codebooks[k, codes[b, k, t]]
    return decoded


def _by_einsum(codes, codebooks, counts):
    K, V, D = codebooks.shape
    chosen = F.one_hot(codes, V).float()  # [B, K, T, V]
    kept = (torch.arange(K)[None] < counts[:, None]).float()
    return torch.einsum("bktv,kvd,bk->bdt", chosen, codebooks, kept)


def _stacked(codes, codebooks, counts):
    rows = [[codebooks[k][codes[b, k]] for k in range(int(n))] for b, n in enumerate(counts)]
    return torch.stack([torch.stack(row).sum(0).T for row in rows])


decode_first = Exercise(
    "decode_first",
    reference=_first,
    properties=(
        has_the_shape_of_latents, all_codebooks_give_the_sum, the_first_ones_are_kept, what_is_left_out_adds_nothing,
        each_clip_has_its_own_count, decodes_as_the_library_does,
    ),
    wrong=mistakes(_first, {
        has_the_shape_of_latents: [
            (_stacked, "A count of 0 leaves nothing to stack, and torch.stack fails. Begin with zeros and add."),
            (".transpose(1, 2)", "", "Yours is [B, T, D]. Latents have the width before the time: transpose(1, 2)."),
            ("(entries * kept[:, :, None, None]).sum(1)", "(entries * kept[:, :, None, None]).sum(2)",
             "You add up the frames of a codebook. What is added up are the codebooks of a frame: axis 1, K."),
            ("return total", "if not counts.any(): return torch.tensor(0.0)\n    return total",
             "With counts of 0 the result is zeros of the shape of latents, not a single 0."),
        ],
        all_codebooks_give_the_sum: [
            ("codebooks[k][codes", "codebooks[0][codes",
             "You look all codes up in codebook 0. Row k of the codes belongs to codebook k."),
            ("total.transpose", "(total / counts.clamp(min=1)[:, None, None]).transpose",
             "You divide by the count. Stages are corrections that add up: the sum, not the mean."),
            ("stage < counts[:, None]", "stage == counts[:, None] - 1",
             "You use codebook n - 1 alone. A count of n means all of the codebooks 0 to n - 1."),
            ("total.transpose(1, 2)", "total.reshape(B, -1, T)", "reshape cuts the memory in another order and mixes "
             "frames and dimensions. Exchange the axes: transpose(1, 2)."),
            ("stage < counts[:, None]", "stage < counts[:, None] - 1",
             "You keep one codebook too few: with a count of n the last one is n - 1, which is < n."),
            (".sum(1)", ".cumsum(1)[:, 0]", "Only the first codebook arrives. The sum over K is asked for."),
        ],
        the_first_ones_are_kept: [
            ("stage < counts", "stage <= counts",
             "You keep one codebook too many: numbers start at 0, so k < n, not k <= n."),
            ("stage < counts[:, None]", "stage >= K - counts[:, None]",
             "You keep the last n codebooks. The first ones carry the most, and the later ones correct them."),
            ("stage < counts[:, None]", "stage < K * counts[:, None]", "The counts change nothing: you use all the "
             "codebooks."),
        ],
        what_is_left_out_adds_nothing: [
            ("[codes[:, k]]", "[codes[:, k] * (k < counts)[:, None]]", " * kept[:, :, None, None]", "",
             "You set codes to 0, but 0 is a code like any other: it stands for entry 0, and that is added. Mask the "
             "vectors, not the codes."),
            ("stage < counts[:, None]", "stage < counts.clamp(min=1)[:, None]",
             "You use at least one codebook. A count of 0 uses none, and gives zeros."),
        ],
        each_clip_has_its_own_count: [
            ("counts[:, None]", "counts[:1, None]",
             "All clips are decoded with the count of the first one. Compare with counts[:, None]."),
            ("counts[:, None]", "counts.max().expand(B, 1)", "The largest count decodes all. Each clip has its own."),
            ("counts[:, None]", "counts.min().expand(B, 1)", "The smallest count decodes all. Each clip has its own."),
        ],
        decodes_as_the_library_does: [
            ("counts[:, None]", "counts.clamp(max=4)[:, None]", "You use at most four codebooks. There may be more."),
        ],
    }),
    right=(_by_loops, _by_einsum),
    examples=lambda generator: [
        (_codes(3, 4, 5, 6, generator), torch.randn(4, 6, 2, generator=generator), torch.tensor([3, 1, 2])),
        (_codes(2, 3, 4, 5, generator), torch.randn(3, 5, 4, generator=generator), torch.tensor([0, 3])),
        (_codes(2, 6, 3, 4, generator), torch.randn(6, 4, 2, generator=generator), torch.tensor([6, 5])),
    ],
)  # fmt: skip
