"""Exercise 5, `product_quantize`: a codebook for each group of dimensions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import Exercise, Wrong, expect, expect_close, expect_tensor
from ._shared import squared_distances


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
            codes[n, g] = squared_distances(codebooks[g], x[n, part]).argmin()
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
