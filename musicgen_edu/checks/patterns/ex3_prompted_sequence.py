"""Exercise 3, `prompted_sequence`: begin with what is known."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.patterns import holds_code, interleave, num_steps, pattern_table, undo
from .. import Exercise, Wrong, expect, expect_tensor
from ._shared import patterns_and_sizes, random_codes, two_tables


def _prompted(codes: Tensor, step: Tensor, special: int) -> tuple[Tensor, int]:
    B, K, P = codes.shape
    unknown = codes.new_full((B, K, step.shape[1] - P), -1)
    sequence = interleave(torch.cat([codes, unknown], 2), step, special)  # [B, K, S + 1]
    return sequence, _first_open(sequence)


def _first_open(sequence: Tensor) -> int:
    found = (sequence == -1).any(1).any(0).nonzero()
    return int(found[0]) if len(found) else sequence.shape[2]


def _prompts() -> list[tuple[str, Tensor, Tensor]]:
    return [
        (f"{name}, K = {K}, T = {T}, {P} known", random_codes(2, K, P), pattern_table(name, K, T))
        for name, K, T in patterns_and_sizes()
        for P in {T // 2, T - 1} - {0}
    ]


def returns_the_whole_sequence_and_a_column(answer):
    """The sequence is int64 [B, K, S + 1] for all T frames; the start is an integer."""
    for what, codes, step in _prompts():
        sequence, start = answer(codes, step, 50)
        expect_tensor(sequence, (*codes.shape[:2], num_steps(step) + 1), torch.int64, f"{what}: the sequence")
        expect(isinstance(start, int), f"{what}: the start must be an int, not {type(start).__name__}")


def prompt_stands_where_the_pattern_puts_it(answer):
    """Undone, the sequence begins with the codes of the prompt."""
    for what, codes, step in _prompts():
        found = undo(answer(codes, step, 50)[0], step)[:, :, : codes.shape[2]]
        expect(torch.equal(found, codes), f"{what}: undone, the prompt is {found[0].tolist()}, not {codes[0].tolist()}")


def what_is_to_be_written_is_minus_one(answer):
    """Every code after the prompt is -1."""
    for what, codes, step in _prompts():
        rest = undo(answer(codes, step, 50)[0], step)[:, :, codes.shape[2] :]
        expect((rest == -1).all(), f"{what}: the frames after the prompt hold {rest[0].tolist()}")


def cells_without_a_code_are_special(answer):
    """Cells that no code belongs to, the start among them, hold the special token."""
    for what, codes, step in _prompts():
        sequence = answer(codes, step, 50)[0]
        empty = sequence[:, ~holds_code(step)]
        expect((empty == 50).all(), f"{what}: cells without a code hold {sorted(set(empty.flatten().tolist()))}")


def generation_starts_at_the_first_gap(answer):
    """Two frames of six are known: the first column with something to write is 3, or 9 for flattening."""
    for name, column in (("parallel", 3), ("delay", 3), ("coarse-first", 3), ("flattening", 9)):
        start = answer(random_codes(1, 4, 2), pattern_table(name, 4, 6), 50)[1]
        expect(start == column, f"{name}, two of six frames known: column {column} is the first, not {start}")


def prompts_as_the_library_does(answer):
    """Sequence and start are those of the library, also if all frames are known."""
    whole = [("all known", random_codes(1, 3, 4), pattern_table("delay", 3, 4))]
    for what, codes, step in [*_prompts(), *whole]:
        (sequence, start), (target, first) = answer(codes, step, 50), _prompted(codes, step, 50)
        expect(torch.equal(sequence, target), f"{what}: the sequences differ")
        expect(start == first, f"{what}: the start is {first}, not {start}")


def _prompted_no_start(codes, step, special):
    sequence, start = _prompted(codes, step, special)
    return sequence[:, :, 1:], start - 1


def _prompted_short(codes, step, special):
    sequence = interleave(codes, step[:, : codes.shape[2]], special)
    return sequence, sequence.shape[2]


def _prompted_unordered(codes, step, special):
    sequence, start = _prompted(codes, step, special)
    sequence[:, :, 1 : codes.shape[2] + 1] = codes
    return sequence, start


def _prompted_special_gaps(codes, step, special):
    sequence, start = _prompted(codes, step, special)
    return torch.where(sequence == -1, special, sequence), start


def _prompted_gaps_everywhere(codes, step, special):
    sequence, _ = _prompted(codes, step, special)
    sequence[:, :, 1:] = torch.where(sequence[:, :, 1:] == special, -1, sequence[:, :, 1:])
    return sequence, _first_open(sequence)


def _prompted_start_is_frames(codes, step, special):
    return _prompted(codes, step, special)[0], codes.shape[2]


def _prompted_after_the_last(codes, step, special):
    return _prompted(codes, step, special)[0], int(step[:, : codes.shape[2]].max()) + 2


def _prompted_loops(codes, step, special):
    B, K, P = codes.shape
    sequence = torch.full((B, K, num_steps(step) + 1), special)
    for k in range(K):
        for t in range(step.shape[1]):
            sequence[:, k, int(step[k, t]) + 1] = codes[:, k, t] if t < P else -1
    later = step[:, P:]
    return sequence, int(later.min()) + 1 if later.numel() else sequence.shape[2]


def _prompted_masks(codes, step, special):
    K, T = step.shape
    P = codes.shape[2]
    everything = torch.nn.functional.pad(codes, (0, T - P), value=-1)
    sequence = everything.new_full((len(codes), K, num_steps(step) + 1), special)
    sequence[:, torch.arange(K)[:, None], step + 1] = everything
    return sequence, next((c for c in range(sequence.shape[2]) if (sequence[0, :, c] < 0).any()), sequence.shape[2])


def _prompt_examples(generator):
    return [
        (torch.randint(50, (1, 4, P), generator=generator), pattern_table(name, 4, 6), 50)
        for name, P in (("delay", 2), ("flattening", 3), ("coarse-first", 2))
    ]


prompted_sequence = Exercise(
    "prompted_sequence",
    reference=_prompted,
    properties=(
        returns_the_whole_sequence_and_a_column,
        prompt_stands_where_the_pattern_puts_it,
        what_is_to_be_written_is_minus_one,
        cells_without_a_code_are_special,
        generation_starts_at_the_first_gap,
        prompts_as_the_library_does,
    ),
    wrong=(
        Wrong(
            _prompted_no_start,
            "returns_the_whole_sequence_and_a_column",
            "The start column is missing: the code of step s stands in column s + 1, after a column of special tokens.",
        ),
        Wrong(
            _prompted_short,
            "returns_the_whole_sequence_and_a_column",
            "Your sequence ends with the prompt. Make room for all T frames: it has S + 1 columns.",
        ),
        Wrong(
            _prompted_unordered,
            "prompt_stands_where_the_pattern_puts_it",
            "You write the prompt into the first columns as it is. Its codes belong where the table says: column "
            "step[k, t] + 1.",
        ),
        Wrong(
            _prompted_special_gaps,
            "what_is_to_be_written_is_minus_one",
            "What is still to be written holds the special token: nobody can tell it from cells that stay empty.",
        ),
        Wrong(
            _prompted_gaps_everywhere,
            "cells_without_a_code_are_special",
            "You mark every cell without a prompt code with -1. Cells that no code belongs to hold the special token.",
        ),
        Wrong(
            _prompted_start_is_frames,
            "generation_starts_at_the_first_gap",
            "You start at column P. Columns count steps, with the start column before them; look for the first -1.",
        ),
        Wrong(
            _prompted_after_the_last,
            "generation_starts_at_the_first_gap",
            "You start after the last code of the prompt. Other codebooks have gaps before it: their frames would be "
            "left out.",
        ),
    ),
    right=(_prompted_loops, _prompted_masks),
    examples=_prompt_examples,
    picture=lambda target, yours, arguments: two_tables(target[0][0], yours[0][0], "column"),
)
