"""Exercise 2, `decode_first`: each clip its own number of codebooks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import Exercise, Wrong, expect_close, expect_tensor
from ._shared import library_quantizer


def _first(codes: Tensor, codebooks: Tensor, counts: Tensor) -> Tensor:
    B, K, T = codes.shape
    entries = torch.stack([codebooks[k][codes[:, k]] for k in range(K)], 1)  # [B, K, T, D]
    kept = torch.arange(K) < counts[:, None]  # [B, K]
    return (entries * kept[:, :, None, None]).sum(1).transpose(1, 2)  # [B, D, T]


def _codes(generator: torch.Generator | None, B: int, K: int, T: int, V: int) -> Tensor:
    return torch.randint(V, (B, K, T), generator=generator)


def has_the_shape_of_latents(answer):
    """The result has the shape of latents, [B, D, T]."""
    for B, K, T, V, D in ((2, 3, 5, 4, 6), (1, 1, 2, 3, 4)):
        decoded = answer(_codes(None, B, K, T, V), torch.randn(K, V, D), torch.full((B,), K))
        expect_tensor(decoded, (B, D, T), torch.float32)


def all_codebooks_give_the_sum(answer):
    """With all K codebooks it is the sum of the K entries of a frame."""
    codebooks = torch.tensor([[[1.0], [2.0]], [[10.0], [20.0]], [[100.0], [200.0]]])  # [K, V, D]
    codes = torch.tensor([[[0, 1], [1, 0], [1, 1]]])  # [B, K, T]
    expect_close(
        answer(codes, codebooks, torch.tensor([3])), [[[221.0, 212.0]]], "entries 1 + 20 + 200 and 2 + 10 + 200"
    )


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
    expect_close(decoded.flatten(), [22.0, 0.0, 2.0], "counts 2, 0 and 1")


def decodes_as_the_library_does(answer):
    """Each clip equals what the library decodes from the first n rows of its codes."""
    for B, K, T, V, D in ((5, 4, 7, 8, 3), (3, 6, 2, 5, 9)):
        codes, codebooks, counts = _codes(None, B, K, T, V), torch.randn(K, V, D), torch.randint(1, K + 1, (B,))
        quantizer = library_quantizer(codebooks)
        expected = torch.cat([quantizer.decode(codes[b : b + 1, :n]) for b, n in enumerate(counts.tolist())])
        expect_close(answer(codes, codebooks, counts), expected, f"counts {counts.tolist()}")


def _entries(codes, codebooks):
    return torch.stack([codebooks[k][codes[:, k]] for k in range(codes.shape[1])], 1)  # [B, K, T, D]


def _masked(codes, codebooks, kept):
    return (_entries(codes, codebooks) * kept[:, :, None, None]).sum(1).transpose(1, 2)


def _stage(codes):
    return torch.arange(codes.shape[1])


def _first_untransposed(codes, codebooks, counts):
    return _first(codes, codebooks, counts).transpose(1, 2)


def _first_one_codebook(codes, codebooks, counts):
    return _first(codes, codebooks[:1].expand_as(codebooks), counts)


def _first_mean(codes, codebooks, counts):
    return _first(codes, codebooks, counts) / counts.clamp(min=1)[:, None, None]


def _first_only_that(codes, codebooks, counts):
    return _masked(codes, codebooks, _stage(codes) == counts[:, None] - 1)


def _first_one_more(codes, codebooks, counts):
    return _masked(codes, codebooks, _stage(codes) <= counts[:, None])


def _first_last(codes, codebooks, counts):
    return _masked(codes, codebooks, _stage(codes) >= codes.shape[1] - counts[:, None])


def _first_code_zero(codes, codebooks, counts):
    kept = _stage(codes) < counts[:, None]
    return _entries(codes * kept[:, :, None], codebooks).sum(1).transpose(1, 2)


def _first_same(codes, codebooks, counts):
    return _first(codes, codebooks, counts[:1].expand_as(counts))


def _first_loops(codes, codebooks, counts):
    B, K, T = codes.shape
    decoded = torch.zeros(B, codebooks.shape[2], T)
    for b in range(B):
        for k in range(int(counts[b])):
            for t in range(T):
                decoded[b, :, t] += codebooks[k, codes[b, k, t]]
    return decoded


def _first_einsum(codes, codebooks, counts):
    K, V, D = codebooks.shape
    chosen = F.one_hot(codes, V).float()  # [B, K, T, V]
    kept = (torch.arange(K)[None] < counts[:, None]).float()
    return torch.einsum("bktv,kvd,bk->bdt", chosen, codebooks, kept)


decode_first = Exercise(
    "decode_first",
    reference=_first,
    properties=(
        has_the_shape_of_latents,
        all_codebooks_give_the_sum,
        the_first_ones_are_kept,
        what_is_left_out_adds_nothing,
        each_clip_has_its_own_count,
        decodes_as_the_library_does,
    ),
    wrong=(
        Wrong(
            _first_untransposed,
            "has_the_shape_of_latents",
            "Yours is [B, T, D]. Latents have the width before the time: transpose(1, 2).",
        ),
        Wrong(
            _first_one_codebook,
            "all_codebooks_give_the_sum",
            "You look all codes up in codebook 0. Row k of the codes belongs to codebook k.",
        ),
        Wrong(
            _first_mean,
            "all_codebooks_give_the_sum",
            "You divide by the count. Stages are corrections that add up: the sum, not the mean.",
        ),
        Wrong(
            _first_only_that,
            "all_codebooks_give_the_sum",
            "You use codebook n - 1 alone. A count of n means all of the codebooks 0 to n - 1.",
        ),
        Wrong(
            _first_one_more,
            "the_first_ones_are_kept",
            "You keep one codebook too many: numbers start at 0, so k < n, not k <= n.",
        ),
        Wrong(
            _first_last,
            "the_first_ones_are_kept",
            "You keep the last n codebooks. The first ones carry the most, and the later ones correct them.",
        ),
        Wrong(
            _first_code_zero,
            "what_is_left_out_adds_nothing",
            "You set codes to 0, but 0 is a code like any other: it stands for entry 0, and that is added. Mask the "
            "vectors, not the codes.",
        ),
        Wrong(
            _first_same,
            "each_clip_has_its_own_count",
            "All clips are decoded with the count of the first one. Compare with counts[:, None].",
        ),
    ),
    right=(_first_loops, _first_einsum),
    examples=lambda generator: [
        (_codes(generator, 3, 4, 5, 6), torch.randn(4, 6, 2, generator=generator), torch.tensor([3, 1, 2])),
        (_codes(generator, 2, 3, 4, 5), torch.randn(3, 5, 4, generator=generator), torch.tensor([0, 3])),
    ],
)
