"""Exercise 3, `move_and_revive`: moving averages and dead entries."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import Exercise, Wrong, expect, expect_close, expect_tensor
from ._shared import points_picture


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
    picture=lambda target, yours, arguments: points_picture(
        target[0], yours[0], vectors=arguments[1], entries_before=arguments[0][0]
    ),
)
