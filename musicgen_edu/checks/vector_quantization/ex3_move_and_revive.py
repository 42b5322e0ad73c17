"""Exercise 3, `move_and_revive`: moving averages and dead entries."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import Exercise, expect_close, expect_tensor, mistakes
from ._shared import library_quantizer, points_picture, results


def _move(codebook, vectors: Tensor, codes: Tensor, spare: Tensor, decay: float = 0.9, threshold: float = 0.5):
    entries, sums, counts = codebook
    chosen = F.one_hot(codes, len(entries)).to(vectors.dtype)  # [N, V]
    here = chosen.sum(0)
    counts = decay * counts + (1 - decay) * here  # [V]
    sums = decay * sums + (1 - decay) * chosen.T @ vectors  # [V, D]
    dead = counts < threshold
    counts = torch.where(dead, 2 * threshold, counts)
    sums = torch.where(dead[:, None], 2 * threshold * spare, sums)
    entries = sums / counts[:, None]
    return entries, sums, counts


def _state(entries: list, counts: list) -> tuple[Tensor, Tensor, Tensor]:
    entries, counts = torch.tensor(entries), torch.tensor(counts)
    return entries, entries * counts[:, None], counts


def _three(answer, *arguments, **named):
    return results(answer(*arguments, **named), "entries", "sums", "counts")


def returns_entries_sums_and_counts(answer):
    """The result is entries [V, D], sums [V, D] and counts [V]."""
    for N, D, V in ((6, 3, 4), (9, 2, 5), (1, 1, 2)):
        state = torch.randn(V, D), torch.randn(V, D), torch.ones(V)
        found = _three(answer, state, torch.randn(N, D), torch.randint(V, (N,)), torch.randn(V, D))
        for name, one, shape in zip(("entries", "sums", "counts"), found, ((V, D), (V, D), (V,)), strict=True):
            expect_tensor(one, shape, torch.float32, name)


def averages_follow_the_formula(answer):
    """On three numbers and two entries: a tenth of the batch, nine tenths of what was."""
    state = _state([[0.0], [10.0]], [1.0, 1.0])
    vectors, codes = torch.tensor([[1.0], [3.0], [8.0]]), torch.tensor([0, 0, 1])
    entries, sums, counts = _three(answer, state, vectors, codes, torch.full((2, 1), 99.0))
    expect_close(counts, torch.tensor([1.1, 1.0]), "counts: 0.9 * [1, 1] + 0.1 * [2, 1]")
    expect_close(sums, torch.tensor([[0.4], [9.8]]), "sums: 0.9 * [0, 10] + 0.1 * [4, 8]")
    expect_close(entries, torch.tensor([[0.4 / 1.1], [9.8]]), "entries: sums / counts")


def one_empty_batch_kills_nobody(answer):
    """An entry with a good average stays where it is when one batch leaves it out."""
    state = _state([[2.0, -1.0], [5.0, 5.0]], [3.0, 3.0])
    vectors = torch.full((4, 2), 5.0)
    entries, sums, counts = _three(answer, state, vectors, torch.ones(4, dtype=torch.int64), torch.full((2, 2), 99.0))
    expect_close(entries[0], state[0][0], "the entry that nobody chose stays")
    expect_close(counts[0], 2.7, "its count is 0.9 of what it was")


def dead_entries_move_to_their_spare(answer):
    """An entry whose new count is below the threshold moves to its own spare vector, and no other does."""
    state = _state([[2.0], [5.0], [7.0], [4.0]], [0.55, 3.0, 0.45, 0.2])
    vectors, spare = torch.tensor([[5.0], [7.0]]), torch.tensor([[-1.0], [-2.0], [-3.0], [-4.0]])
    entries, _, _ = _three(answer, state, vectors, torch.tensor([1, 2]), spare)
    expect_close(entries, torch.tensor([[-1.0], [5.0], [7.0], [-4.0]]), "new counts 0.495, 2.8, 0.505, 0.18, below 0.5")


def equal_to_the_threshold_lives(answer):
    """Only a count below the threshold is dead: one that equals it lives."""
    state = _state([[2.0], [5.0]], [1.0, 3.0])
    entries, _, counts = _three(
        answer, state, torch.tensor([[5.0]]), torch.tensor([1]), torch.full((2, 1), 9.0), decay=0.5, threshold=0.5
    )
    expect_close(counts, torch.tensor([0.5, 2.0]), "counts 1 and 3, decay 0.5, entry 1 chosen once, threshold 0.5")
    expect_close(entries, torch.tensor([[2.0], [5.0]]), "nobody is dead, nobody moves")


def the_three_agree(answer):
    """entries = sums / counts, for revived entries too."""
    state, spare = _state([[2.0], [5.0], [7.0]], [0.2, 3.0, 0.1]), torch.tensor([[1.0], [2.0], [3.0]])
    for threshold in (0.5, 0.3):
        found = _three(answer, state, torch.tensor([[5.0]]), torch.tensor([1]), spare, 0.9, threshold)
        entries, sums, counts = found
        expect_close(entries, sums / counts[:, None], f"threshold {threshold}: entries = sums / counts")


def the_revived_survive_the_next_batch(answer):
    """A revived entry has time to prove itself: a next batch that leaves it out does not move it."""
    start, spare = _state([[2.0], [5.0], [7.0]], [0.2, 3.0, 0.0]), torch.tensor([[1.0], [2.0], [3.0]])
    vectors, codes = torch.tensor([[5.0]]), torch.tensor([1])
    for threshold in (0.5, 0.3):
        state = tuple(_three(answer, start, vectors, codes, spare, 0.9, threshold))
        told = f"threshold {threshold}: revived entries start with a count of twice the threshold"
        expect_close(state[2][[0, 2]], [2 * threshold] * 2, told)
        entries, _, counts = _three(answer, state, vectors, codes, 77 * spare, 0.9, threshold)
        expect_close(entries[[0, 2], 0], [1.0, 3.0], "revived at 1 and 3, and after the next batch")
        expect_close(counts[[0, 2]], [1.8 * threshold] * 2, f"threshold {threshold}: their counts after the next batch")


def moves_as_the_library_does(answer):
    """On random sizes all three are those of the library's `VectorQuantizer.update`, without its smoothing."""
    for N, D, V, decay, threshold in ((20, 3, 8, 0.8, 0.7), (30, 5, 16, 0.95, 0.2), (40, 2, 6, 0.6, 0.9)):
        state = _state(torch.randn(V, D).tolist(), torch.rand(V).tolist())
        vectors, codes, spare = torch.randn(N, D), torch.randint(V, (N,)), torch.randn(V, D)
        library = library_quantizer(state[0], decay=decay, epsilon=0.0, dead_threshold=threshold)
        library.embed_avg.copy_(state[1])
        library.cluster_size.copy_(state[2])
        library.update(vectors, codes)
        revived = library.cluster_size == 2 * torch.tensor(threshold)
        spare[revived] = library.embed[revived]  # the library draws its spare vectors itself
        found = _three(answer, state, vectors, codes, spare, decay, threshold)
        wanted = library.embed, library.embed_avg, library.cluster_size
        for name, yours, target in zip(("entries", "sums", "counts"), found, wanted, strict=True):
            expect_close(yours, target, f"N {N}, D {D}, V {V}, decay {decay}, threshold {threshold}: {name}")


def _by_loops(codebook, vectors, codes, spare, decay=0.9, threshold=0.5):
    entries, sums, counts = (one.clone() for one in codebook)
    for v in range(len(entries)):
        mine = vectors[codes == v]
        counts[v] = decay * counts[v] + (1 - decay) * len(mine)
        sums[v] = decay * sums[v] + (1 - decay) * mine.sum(0)
        if counts[v] < threshold:
            counts[v], sums[v] = 2 * threshold, 2 * threshold * spare[v]
        entries[v] = sums[v] / counts[v]
    return [entries, sums, counts]


def _by_index(codebook, vectors, codes, spare, decay=0.9, threshold=0.5):
    entries, sums, counts = codebook
    counts = counts.lerp(torch.bincount(codes, minlength=len(entries)).float(), 1 - decay)
    sums = sums.lerp(torch.zeros_like(sums).index_add(0, codes, vectors), 1 - decay)
    entries = torch.einsum("vd,v->vd", sums, 1 / counts)
    dead = (counts < threshold).nonzero().flatten()
    counts[dead], sums[dead], entries[dead] = 2 * threshold, 2 * threshold * spare[dead], spare[dead]
    return entries, sums, counts


def _examples(generator):
    cases = []
    for N, D, V, more in ((12, 2, 8, ()), (20, 3, 12, (0.8, 0.3))):
        counts = 2 * torch.rand(V, generator=generator) * (torch.arange(V) > 0)
        entries = torch.randn(V, D, generator=generator)
        vectors, spare = torch.randn(N, D, generator=generator), torch.randn(V, D, generator=generator)
        codes = torch.randint(1, V, (N,), generator=generator)
        cases.append(((entries, entries * counts[:, None], counts), vectors, codes, spare, *more))
    equal = _state([[2.0], [5.0]], [1.0, 3.0])
    return [*cases, (equal, torch.tensor([[5.0]]), torch.tensor([1]), torch.full((2, 1), 9.0), 0.5, 0.5)]


_DEAD = "counts = torch.where(dead, 2 * threshold, counts)"

move_and_revive = Exercise(
    "move_and_revive",
    reference=_move,
    properties=(
        returns_entries_sums_and_counts, averages_follow_the_formula, one_empty_batch_kills_nobody,
        dead_entries_move_to_their_spare, equal_to_the_threshold_lives, the_three_agree,
        the_revived_survive_the_next_batch, moves_as_the_library_does,
    ),
    wrong=mistakes(_move, {
        returns_entries_sums_and_counts: [
            ("return entries, sums, counts", "for old, new in zip(codebook, (entries, sums, counts)): old.copy_(new)\n"
             "    return codebook", "You write into the tensors that you were given. Build new ones, or clone them "
             "first."),
            ("return entries, sums, counts", "return entries", "The next batch needs sums and counts too: return all "
             "three."),
            ("return entries, sums, counts", "return entries, counts, sums", "The order is entries, sums, counts."),
        ],
        averages_follow_the_formula: [
            ("entries, sums, counts = codebook", "entries, sums, counts = codebook; decay = 1 - decay",
             "decay and 1 - decay are swapped: what was keeps `decay`, the batch gets the rest."),
            ("chosen.T @ vectors", "(chosen.T @ vectors / here.clamp(min=1)[:, None])", "You average the vectors of "
             "each entry before you add them. Add their sum: the division by the count comes at the end, and only "
             "once."),
            ("entries = sums / counts[:, None]", "entries = sums", "The entries are sums / counts, not the sums."),
            ("+ (1 - decay) * chosen.T", "+ chosen.T", "+ (1 - decay) * here", "+ here",
             "The batch counts with 1 - decay, or the averages grow without end."),
            ("decay * counts + (1 - decay) * here", "decay * counts + (1 - decay) * here / len(vectors)",
             "You add shares of the batch. |{i: c_i = v}| is a count."),
            ("sums / counts[:, None]", "decay * entries + (1 - decay) * sums / counts[:, None]",
             "The entries follow from sums and counts, which are averages already. They are not averaged again."),
            ("counts < threshold", "counts > threshold", "Those that many chose are revived, and the dead stay dead."),
        ],
        one_empty_batch_kills_nobody: [
            ("counts < threshold", "here < threshold", "You call an entry dead when this batch leaves it out. Compare "
             "its moving count with the threshold."),
            ("decay * counts + (1 - decay) * here", "torch.where(here > 0, counts.lerp(here, 1 - decay), counts)",
             "sums = decay * sums + (1 - decay) * chosen.T @ vectors", "sums = torch.where(here[:, None] > 0, "
             "sums.lerp(chosen.T @ vectors, 1 - decay), sums)", "Entries that the batch leaves out keep their counts, "
             "so none of them ever dies. All averages move with every batch."),
        ],
        dead_entries_move_to_their_spare: [
            ("dead = counts < threshold", "dead = torch.zeros_like(counts, dtype=torch.bool)",
             "The averages are right, but dead entries stay where they are: where counts < threshold, take spare."),
            ("counts < threshold", "codebook[2] < threshold",
             "You look at the counts before this batch. An entry is dead if its new count is below the threshold."),
            ("2 * threshold * spare, sums)", "2 * threshold * spare[(dead.cumsum(0) - 1).clamp(min=0)], sums)",
             "The dead get the first spare vectors in turn. Row v of spare belongs to entry v."),
            (_DEAD, "", "You set the sums of the dead, but not their counts: their quotient is not the spare vector."),
        ],
        equal_to_the_threshold_lives: [
            ("counts < threshold", "counts <= threshold",
             "Dead is what is below the threshold. An equal count lives: <."),
        ],
        the_three_agree: [
            (_DEAD, "", "2 * threshold * spare, sums)", "sums, sums)", "sums / counts[:, None]",
             "torch.where(dead[:, None], spare, sums / counts[:, None])",
             "You set the entries but neither sums nor counts. The next update computes the entry from the old ones, "
             "and it is dead again: the fault of EnCodec's published training code."),
            ("2 * threshold * spare, sums)", "spare, sums)", "sums / counts[:, None]",
             "torch.where(dead[:, None], spare, sums / counts[:, None])",
             "sums and counts of a revived entry must agree: sums = 2 * threshold * spare for counts = 2 * threshold."),
        ],
        the_revived_survive_the_next_batch: [
            ("counts < threshold", "(counts < threshold) & (counts > 0)", "An entry that was never chosen has a count "
             "of 0, and is dead as well."),
            (_DEAD, "", "2 * threshold * spare", "counts[:, None] * spare",
             "The count of a revived entry stays below the threshold, so it is dead again at once. Set it to twice "
             "the threshold."),
            ("dead, 2 * threshold", "dead, threshold", "None], 2 * threshold", "None], threshold",
             "The count of a revived entry is the threshold itself: one batch without it, and it is dead again."),
            ("dead, 2 * threshold", "dead, 1.0", "None], 2 * threshold", "None], 1.0",
             "The count of a revived entry is 1 whatever the threshold is. It is twice the threshold."),
        ],
    }),
    right=(_by_loops, _by_index),
    examples=_examples,
    picture=lambda target, yours, arguments: points_picture(
        target[0], yours[0], vectors=arguments[1], entries_before=arguments[0][0]
    ),
)  # fmt: skip
