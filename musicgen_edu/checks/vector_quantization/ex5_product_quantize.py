"""Exercise 5, `product_quantize`: a codebook for each group of dimensions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import Exercise, expect_close, expect_equal, expect_tensor, mistakes
from ._shared import library_quantizer, results


def _product(x: Tensor, codebooks: Tensor) -> tuple[Tensor, Tensor]:
    N, G = len(x), len(codebooks)
    groups = x.reshape(N, G, -1).transpose(0, 1)  # [G, N, D/G]
    distances = (groups[:, :, None] - codebooks[:, None]).square().sum(3)  # [G, N, V]
    codes = distances.argmin(2).T  # [N, G]
    entries = torch.stack([codebooks[g][codes[:, g]] for g in range(G)], 1)  # [N, G, D/G]
    return codes, entries.flatten(1)  # [N, G], [N, D]


def _groups(N: int, G: int, V: int, width: int) -> tuple[Tensor, Tensor]:
    return torch.randn(N, G * width), torch.randn(G, V, width)


def _two(answer, x: Tensor, codebooks: Tensor):
    codes, quantized = results(answer(x, codebooks), "codes", "quantized")
    expect_tensor(codes, (len(x), len(codebooks)), torch.int64, "codes")
    expect_tensor(quantized, tuple(x.shape), torch.float32, "quantized")
    return codes, quantized


def returns_codes_and_vectors(answer):
    """codes are int64 [N, G], quantized is [N, D]."""
    for N, G, V, width in ((7, 3, 5, 2), (4, 2, 9, 3), (1, 2, 3, 4), (3, 1, 4, 2)):
        _two(answer, *_groups(N, G, V, width))


SMALL = torch.tensor([[[0.0, 0.0], [9.0, 9.0]], [[0.0, 9.0], [9.0, 0.0]]])  # two groups, two entries of width 2


def groups_are_neighbouring_dimensions(answer):
    """The first group holds the first D/G dimensions, the next the following ones."""
    codes, quantized = _two(answer, torch.tensor([[8.0, 8.0, 1.0, 7.0]]), SMALL)
    expect_equal(codes, [[1, 0]], "the codes of [8, 8 | 1, 7]")
    expect_close(quantized, torch.tensor([[9.0, 9.0, 0.0, 9.0]]), "the entries stand where their groups stood")


def each_group_has_its_own_codebook(answer):
    """Group g is compared with codebook g and with no other."""
    codes, quantized = _two(answer, torch.tensor([[1.0, 1.0, 8.0, 1.0], [0.0, 1.0, 8.0, 8.5]]), SMALL)
    expect_equal(codes, [[0, 1], [0, 0]], "the codes of [1, 1 | 8, 1] and [0, 1 | 8, 8.5]")
    expect_close(quantized[:, 2:], torch.tensor([[9.0, 0.0], [0.0, 9.0]]), "the second group")


def entries_come_back_unchanged(answer):
    """A vector made of entries has no error, and quantizing twice changes nothing."""
    _, codebooks = _groups(1, 4, 8, 3)
    codes = torch.randint(8, (10, 4))
    x = torch.cat([codebooks[g, codes[:, g]] for g in range(4)], 1)
    found, quantized = _two(answer, x, codebooks)
    expect_close(quantized, x, "vectors made of entries")
    expect_equal(found, codes, "the codes of entries are those entries")


def no_other_codes_are_nearer(answer):
    """Of all V^G combinations the chosen one is the nearest."""
    x, codebooks = _groups(6, 2, 5, 2)
    _, quantized = _two(answer, x, codebooks)
    every = torch.cat([codebooks[0].repeat_interleave(5, 0), codebooks[1].repeat(5, 1)], 1)  # [V*V, D]
    nearest = (x[:, None] - every).norm(dim=2).amin(1)
    expect_close((x - quantized).norm(dim=1), nearest, "the distance to the chosen combination")


def groups_as_the_library_does(answer):
    """On random sizes each group is that of a `VectorQuantizer` of the library."""
    for N, G, V, width in ((20, 4, 16, 2), (10, 8, 4, 1), (10, 1, 6, 5), (3, 3, 3, 3)):
        x, codebooks = _groups(N, G, V, width)
        parts = [
            library_quantizer(codebook)(part.T[None])[:2]
            for codebook, part in zip(codebooks, x.split(width, 1), strict=True)
        ]
        codes, quantized = _two(answer, x, codebooks)
        expect_equal(codes, torch.cat([one for _, one in parts]).T, f"N {N}, G {G}, V {V}: codes differ")
        expect_close(quantized, torch.cat([one[0] for one, _ in parts]).T, f"N {N}, G {G}, V {V}: quantized differ")


def _by_loops(x, codebooks):
    G, V, width = codebooks.shape
    codes, quantized = torch.zeros(len(x), G, dtype=torch.int64), torch.zeros_like(x)
    for n in range(len(x)):
        for g in range(G):
            part = slice(g * width, (g + 1) * width)
            codes[n, g] = (codebooks[g] - x[n, part]).square().sum(1).argmin()
            quantized[n, part] = codebooks[g, codes[n, g]]
    return [codes, quantized]


def _by_einsum(x, codebooks):
    G, V, width = codebooks.shape
    groups = x.view(-1, G, width)
    scores = torch.einsum("ngd,gvd->ngv", groups, codebooks) - codebooks.pow(2).sum(2) / 2
    codes = scores.argmax(2)
    return codes, torch.einsum("ngv,gvd->ngd", F.one_hot(codes, V).float(), codebooks).reshape(len(x), -1)


product_quantize = Exercise(
    "product_quantize",
    reference=_product,
    properties=(
        returns_codes_and_vectors, groups_are_neighbouring_dimensions, each_group_has_its_own_codebook,
        entries_come_back_unchanged, no_other_codes_are_nearer, groups_as_the_library_does,
    ),
    wrong=mistakes(_product, {
        returns_codes_and_vectors: [
            ("return codes", "return codes.T", "Your codes are [G, N]: one row a group. One row a vector is asked for, "
             "[N, G]."),
            ("entries.flatten(1)", "entries",
             "The groups still stand apart, [N, G, D/G]. Join them to [N, D]: flatten(1)."),
            ("return codes, entries.flatten(1)", "return entries.flatten(1), codes", "The two are swapped: first the "
             "codes, then the vectors."),
            ("distances.argmin(2).T", "distances.argmin(2).T.int()", "Codes are row numbers: int64, as argmin gives."),
            ("distances.argmin(2)", "distances.argmin(1)[:, :N]", "The distances are [G, N, V]. argmin over N "
             "finds the nearest vector of an entry; the nearest entry of a vector is asked for."),
        ],
        groups_are_neighbouring_dimensions: [
            ("x.reshape(N, G, -1).transpose(0, 1)", "x.reshape(N, -1, G).permute(2, 0, 1)", "entries.flatten(1)",
             "entries.transpose(1, 2).flatten(1)",
             "Your groups take every G-th dimension: view(N, D/G, G). Neighbours belong together: view(N, G, D/G)."),
            ("codebooks[g][codes", "codebooks[0][codes",
             "The codes are right, but all groups are looked up in the first codebook."),
            ("codebooks[:, None])", "codebooks[:1, None])", "codebooks[g][codes", "codebooks[0][codes",
             "You compare every group with the first codebook. Group g has codebook g."),
            ("distances.argmin(2).T", "distances.sum(0).argmin(1)[:, None].repeat(1, G)",
             "You choose one code for the whole vector: V possible results. Each group chooses for itself: V^G."),
            ("entries.flatten(1)", "entries.transpose(1, 2).flatten(1)",
             "The entries are right, but their numbers are shuffled: join [N, G, D/G], group by group."),
            ("return codes,", "return codes + torch.arange(G) * codebooks.shape[1],",
             "Your codes count on from codebook to codebook. Each group's codes are 0 to V - 1."),
            ("range(G)], 1)", "range(G)][::-1], 1)", "The groups come back in the reverse order."),
            ("return codes,", "return codes.flip(1),", "Column g of the codes belongs to group g."),
            ("(groups[:, :, None] -", "(F.normalize(groups, 2, 2)[:, :, None] -",
             "You scale each group to length 1 before you compare. The distance is that of the vectors as they are."),
        ],
        each_group_has_its_own_codebook: [
            ("x.reshape(N, G, -1).transpose(0, 1)", "x.reshape(G, N, -1)",
             "reshape(G, N, D/G) cuts the memory in another order and mixes vectors. First view(N, G, D/G), then "
             "transpose the first two axes."),
            ("(groups[:, :, None] - codebooks[:, None]).square().sum(3)", "-(groups @ codebooks.transpose(1, 2))",
             "The largest inner product is not the smallest distance: long entries win. Take |e|^2 into account."),
            (".square().sum(3)", ".sum(3).square()", "You add the differences before you square: they cancel."),
        ],
        no_other_codes_are_nearer: [
            (".square().sum(3)", ".abs().sum(3)",
             "You add absolute differences. The nearest entry is that with the smallest squared distance."),
            (".square().sum(3)", ".abs().amax(3)",
             "You compare the largest difference alone. All dimensions of a group count, squared and added."),
        ],
    }),
    right=(_by_loops, _by_einsum),
    examples=lambda generator: [
        (torch.randn(N, G * w, generator=generator), torch.randn(G, V, w, generator=generator))
        for N, G, V, w in ((12, 3, 5, 2), (9, 2, 8, 3))
    ],
)  # fmt: skip
