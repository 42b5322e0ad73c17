"""From codes to the loss of a language model: the sequence of a pattern, its targets, and what the model pays for them.

`make_update` lays a batch out, `pattern_loss` asks the model: lesson 07 explains these two, and they are what runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..model.lm import codebook_loss
from ..model.patterns import holds_code, interleave, num_steps, pattern_table
from ..model.shapes import check_shape
from .text_to_codes import TextToCodes


class Batch(NamedTuple):
    """Clips of one update: codes int64 [B, K, T], B captions, and how many frames of each row are music [B].

    What follows in a row is padding; without `lengths` there is none.
    """

    codes: Tensor
    captions: list[str]
    lengths: Tensor | None = None


def pattern_columns(pattern: str, K: int, T: int) -> int:
    """How many columns of a clip's sequence a longer clip has too, the start among them: what can be trained on.

    Under the delay pattern the columns from T + 1 on hold the special token in the first codebooks, because the clip
    ends. Where the music goes on they hold codes, so they are cut: T + 1 are left, and codebook k has T - k targets.
    Flattening has no such columns. Coarse-first has them all: its order depends on the length, so a longer clip
    tells nothing about this one.
    """
    table, longer = pattern_table(pattern, K, T), pattern_table(pattern, K, T + 1)
    S = num_steps(table)
    if not torch.equal(longer[:, :T], table):
        return S + 1
    return min(S, int(longer[:, T].min())) + 1


def pattern_sequence(codes: Tensor, pattern: str, special: int, lengths: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Codes in the order of a pattern, cut as `pattern_columns` says, and which cells hold one of them.

    Each row is laid out as if it were alone: padding behind its end becomes special tokens, and the model, which
    looks back only, computes the same for the row's own columns.

    Args:
        codes: int64 [B, K, T].
        pattern: a key of `patterns.PATTERNS`.
        special: token of the cells without a code.
        lengths: int64 [B], frames of music in each row, 1 to T; None means T.

    Returns:
        sequence: int64 [B, K, columns]; cells: bool [K, columns], with lengths [B, K, columns].
    """
    B, K, T = check_shape("codes", codes, "B K T")
    if lengths is None:
        table, columns = pattern_table(pattern, K, T), pattern_columns(pattern, K, T)
        return interleave(codes, table, special)[:, :, :columns], holds_code(table)[:, :columns].to(codes.device)
    check_lengths(lengths, B, T)
    found = lengths.unique().tolist()
    columns = max(pattern_columns(pattern, K, length) for length in found)
    sequence = codes.new_full((B, K, columns), special)
    cells = torch.zeros(B, K, columns, dtype=torch.bool, device=codes.device)
    for length in found:
        rows = (lengths == length).to(codes.device)
        part, held = pattern_sequence(codes[rows, :, :length], pattern, special)
        sequence[rows, :, : part.shape[2]] = part
        cells[rows, :, : part.shape[2]] = held
    return sequence, cells


def check_lengths(lengths: Tensor, B: int, T: int) -> None:
    """Raise a `ValueError` unless there is a length from 1 to T for each of B rows."""
    check_shape("lengths", lengths, "B", B=B)
    if not (int(lengths.min()) >= 1 and int(lengths.max()) <= T):
        raise ValueError(f"lengths must be 1 to T = {T}, but they are {lengths.tolist()}")


def with_noise(sequence: Tensor, cells: Tensor, largest: float, generator: torch.Generator | None = None) -> Tensor:
    """A sequence [B, K, S] in which some codes are those of the next row; of half the rows none.

    Args:
        sequence: interleaved codes.
        cells: which cells hold a code, bool [K, S] or [B, K, S].
        largest: of the other half, each row gets a share from 0 to this.
        generator: on the CPU; None is torch's own.
    """
    B, K, S = sequence.shape
    share = (torch.rand(B, 1, 1, generator=generator) * 2 - 1).clamp(min=0) * largest  # [B, 1, 1]
    drawn = torch.rand(B, K, S, generator=generator) < share
    cells = cells.expand(B, K, S)
    replaced = drawn.to(sequence.device) & cells & cells.roll(1, 0)  # the next row may be shorter
    return torch.where(replaced, sequence.roll(1, 0), sequence)


@dataclass
class Update:
    """A batch as the model is given it, all random choices made; B rows.

    `given` and `targets` are int64 [B, K, S], `valid` bool [B, K, S], `dropped` bool [B]; `counts` [K] are the
    targets of each codebook in the whole batch, whatever part of it an object holds.
    """

    given: Tensor
    targets: Tensor
    valid: Tensor
    captions: list[str]
    dropped: Tensor
    counts: Tensor

    def part(self, rows: slice) -> Update:
        """Some of the rows; the counts stay those of the whole."""
        return Update(
            self.given[rows], self.targets[rows], self.valid[rows], self.captions[rows], self.dropped[rows], self.counts
        )

    def micro_batches(self, count: int) -> Iterator[Update]:
        """The rows in `count` parts, as equal as can be; fewer if there are fewer rows."""
        B = len(self.captions)
        for i in range(count):
            if B * i // count < B * (i + 1) // count:
                yield self.part(slice(B * i // count, B * (i + 1) // count))

    def to(self, device: torch.device) -> Update:
        """The same on a device."""
        moved = (tensor.to(device) for tensor in (self.given, self.targets, self.valid))
        return Update(*moved, self.captions, self.dropped.to(device), self.counts.to(device))


def make_update(
    batch: Batch,
    pattern: str,
    special: int,
    dropped: Tensor | None = None,
    noise: float = 0.0,
    generator: torch.Generator | None = None,
) -> Update:
    """Lay a batch out and divide it into input and targets.

    Args:
        batch: codes, captions, lengths.
        pattern, special: see `pattern_sequence`.
        dropped: bool [B], rows that lose their caption; None means none.
        noise: see `with_noise`; the targets stay right.
        generator: of the noise.

    Raises:
        ValueError: a codebook has no target in the whole batch: the clips are too short for the pattern.
    """
    B = len(batch.captions)
    check_shape("codes", batch.codes, "B K T", B=B)
    sequence, cells = pattern_sequence(batch.codes, pattern, special, batch.lengths)
    given = sequence[:, :, :-1]
    if noise:
        given = with_noise(given, cells[..., :-1], noise, generator)
    valid = cells[..., 1:].expand(sequence[:, :, 1:].shape)
    counts = valid.sum((0, 2))  # [K]
    if not (counts > 0).all():
        raise ValueError(f"each codebook needs at least one valid position, but the counts are {counts.tolist()}")
    dropped = torch.zeros(B, dtype=torch.bool, device=valid.device) if dropped is None else dropped
    return Update(given, sequence[:, :, 1:], valid, batch.captions, dropped, counts)


def pattern_loss(model: TextToCodes, update: Update) -> tuple[Tensor, Tensor]:
    """Cross-entropy of a batch, or of a part of one, under its pattern, in nats.

    Of each codebook the sum over its targets, divided by their number in the whole batch; then the mean of those. The
    losses of the parts of a batch add up to that of the whole. Under the delay pattern codebook k has T - k targets.

    Returns:
        loss: a scalar; per codebook: [K].
    """
    logits = model(update.captions, update.given, update.dropped)  # [B, K, S, V]
    return codebook_loss(logits, update.targets, update.valid, update.counts)
