"""Exercise 3, `prompted_sequence`: begin with what is known."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ...model.patterns import holds_code, interleave, num_steps, pattern_table, undo
from .. import Exercise, expect, expect_equal, expect_tensor, mistakes, plain
from ._shared import random_codes, tables, two_tables


def _prompted(codes, step, special):
    B, K, P = codes.shape
    unknown = torch.full((B, K, step.shape[1] - P), -1)
    sequence = interleave(torch.cat([codes, unknown], 2), step, special)  # [B, K, S + 1]
    gaps = (sequence == -1).any(1).any(0).nonzero()
    return sequence, int(gaps[0]) if len(gaps) else sequence.shape[2]


def _prompts() -> list[tuple[str, Tensor, Tensor, int]]:
    """What, codes, step, special: from no frame known to all but one."""
    return [
        (f"{what}, {P} frames known, special {special}", random_codes(2, len(step), P), step, special)
        for what, step in tables()
        for P, special in {(0, 50), (step.shape[1] // 2, 77), (step.shape[1] - 1, 50)}
    ]


def returns_the_whole_sequence_and_a_column(answer):
    """The sequence is int64 [B, K, S + 1] for all T frames; the start is an integer."""
    for what, codes, step, special in _prompts():
        found = answer(codes, step, special)
        two = isinstance(found, (tuple, list)) and len(found) == 2
        expect(two, f"expected a sequence and a column, not {type(found).__name__}")
        expect_tensor(found[0], (*codes.shape[:2], num_steps(step) + 1), torch.int64, f"{what}: the sequence")
        start = found[1]
        expect(type(plain(start)) is int, f"{what}: the start must be an int, not {type(start).__name__}")


def prompt_stands_where_the_pattern_puts_it(answer):
    """Undone, the sequence begins with the codes of the prompt, also those behind the column where one goes on."""
    for what, codes, step, special in _prompts():
        found = undo(answer(codes, step, special)[0], step)[:, :, : codes.shape[2]]
        expect_equal(found[0], codes[0], f"{what}: the prompt, undone")
        expect_equal(found[1], codes[1], f"{what}: the prompt of the second row, undone")


def what_is_to_be_written_is_minus_one(answer):
    """Every code after the prompt is -1."""
    for what, codes, step, special in _prompts():
        rest = undo(answer(codes, step, special)[0], step)[0, :, codes.shape[2] :]
        expect_equal(rest, torch.full_like(rest, -1), f"{what}: the frames after the prompt")


def cells_without_a_code_are_special(answer):
    """Cells that no code belongs to, the start among them, hold the special token."""
    for what, codes, step, special in _prompts():
        empty = answer(codes, step, special)[0][0, ~holds_code(step)]
        expect_equal(empty, [special] * len(empty), f"{what}: the cells without a code")


def generation_starts_at_the_first_gap(answer):
    """Two frames of six are known: the first column with something to write is 3, or 9 for flattening."""
    for name, column in (("parallel", 3), ("delay", 3), ("coarse-first", 3), ("flattening", 9)):
        start = answer(random_codes(1, 4, 2), pattern_table(name, 4, 6), 50)[1]
        expect_equal(start, column, f"{name}, two of six frames known: the first column to fill")


def any_codebook_may_come_first(answer):
    """The first gap may belong to any codebook, and with no frame known it is where the table begins."""
    for delays, P, column in (([2, 0], 1, 2), ([1, 2, 0], 2, 3), ([3, 1], 0, 2), ([0, 0], 0, 1)):
        step = torch.tensor(delays)[:, None] + torch.arange(5)
        start = answer(random_codes(2, len(delays), P), step, 50)[1]
        expect_equal(start, column, f"delays {delays}, {P} of 5 frames known: the first column to fill")


def prompts_as_the_library_does(answer):
    """Sequence and start are those of the library, also if all frames are known."""
    whole = [("all known", random_codes(B, *step.shape), step, 50) for B, (_, step) in enumerate(tables()[::3], 1)]
    for what, codes, step, special in [*_prompts(), *whole]:
        (sequence, start), (target, first) = answer(codes, step, special), _prompted(codes, step, special)
        expect_equal(start, first, f"{what}: the start")
        expect_equal(sequence[-1], target[-1], f"{what}: the sequence")


def _loops(codes, step, special):
    B, K, P = codes.shape
    sequence = torch.full((B, K, num_steps(step) + 1), special)
    for k in range(K):
        for t in range(step.shape[1]):
            sequence[:, k, int(step[k, t]) + 1] = codes[:, k, t] if t < P else -1
    later = step[:, P:]
    return [sequence, int(later.min()) + 1 if later.numel() else sequence.shape[2]]


def _masks(codes, step, special):
    K, T = step.shape
    P = codes.shape[2]
    everything = torch.nn.functional.pad(codes, (0, T - P), value=-1)
    sequence = everything.new_full((len(codes), K, num_steps(step) + 1), special)
    sequence[:, torch.arange(K)[:, None], step + 1] = everything
    return sequence, next((c for c in range(sequence.shape[2]) if (sequence[0, :, c] < 0).any()), sequence.shape[2])


def _with_numpy(codes, step, special):
    (K, T), P, place = step.shape, codes.shape[2], step.numpy() + 1
    sequence = np.full((codes.shape[0], K, place.max() + 1), special)
    np.put_along_axis(sequence, np.broadcast_to(place, (codes.shape[0], K, T)), -1, axis=2)
    np.put_along_axis(sequence, np.broadcast_to(place[:, :P], codes.shape), codes.numpy(), axis=2)
    return torch.from_numpy(sequence), np.min(place[:, P:], initial=sequence.shape[2])


def _examples(generator):
    named = [("delay", 2), ("flattening", 3), ("coarse-first", 2), ("delay", 0), ("delay", 6)]
    found = [(torch.randint(50, (1, 4, P), generator=generator), pattern_table(n, 4, 6), 50) for n, P in named]
    late = torch.tensor([[2, 3, 4], [0, 1, 2]])
    return [*found, (torch.randint(50, (2, 2, 1), generator=generator), late, 99)]


prompted_sequence = Exercise(
    "prompted_sequence",
    reference=_prompted,
    properties=(
        returns_the_whole_sequence_and_a_column, prompt_stands_where_the_pattern_puts_it,
        what_is_to_be_written_is_minus_one, cells_without_a_code_are_special, generation_starts_at_the_first_gap,
        any_codebook_may_come_first, prompts_as_the_library_does,
    ),
    wrong=mistakes(_prompted, {
        returns_the_whole_sequence_and_a_column: [
            ("step, special)  #", "step, special)[:, :, 1:]  #",
             "The start column is missing: the code of step s stands in column s + 1, after a column of special "
             "tokens."),
            ("torch.cat([codes, unknown], 2), step,", "codes, step[:, :P],",
             "Your sequence ends with the prompt. Make room for all T frames: it has S + 1 columns."),
            ("-1)\n", "-1.0)\n", "Your sequence holds floats. Codes are int64: fill with -1, not -1.0."),
            ("int(gaps[0])", "gaps[0]", "The start is a tensor of one dimension. Turn it into a number: int(...)."),
        ],
        prompt_stands_where_the_pattern_puts_it: [
            ("    gaps =", "    sequence[:, :, 1 : P + 1] = codes\n    gaps =",
             "You write the prompt into the first columns as it is. Its codes belong where the table says: column "
             "step[k, t] + 1."),
            ("    return", "    sequence[:, :, int(gaps[0]) if len(gaps) else 0 :] = -1 if len(gaps) else special\n"
             "    return", "You overwrite all that stands from the start on. Codes of the prompt stand there, too, "
             "those "
             "of slower codebooks: only cells whose code is unknown hold -1."),
            ("torch.cat([codes, unknown], 2)", "torch.cat([codes[:1].expand(B, K, P), unknown], 2)",
             "All rows of the batch begin with the first one's prompt. Each has its own."),
            ("unknown = torch.full((B, K, step.shape[1] - P), -1)", "unknown = torch.full((B, K, step.shape[1] - P), "
             "-1); codes = codes.flip(2)", "You lay the frames out backwards: frame 0 comes first."),
        ],
        what_is_to_be_written_is_minus_one: [
            ("    return sequence,", "    return torch.where(sequence == -1, special, sequence),",
             "What is still to be written holds the special token: nobody can tell it from cells that stay empty."),
            ("-1)\n", "-1) if P else torch.full((B, K, step.shape[1]), special)\n",
             "Without a prompt your sequence holds special tokens only. Then every code is still to be written: -1."),
        ],
        cells_without_a_code_are_special: [
            ("    gaps =", "    sequence[:, :, 1:][sequence[:, :, 1:] == special] = -1\n    gaps =",
             "You mark every cell without a prompt code with -1. Cells that no code belongs to hold the special "
             "token."),
            ("step, special)  #", "step, special)  #\n    sequence[:, :, 0] = -1  #",
             "Your start column holds -1. Nothing is to be written there: it holds the special token."),
            ("step, special)  #", "step, 50)  #", "You always fill with the same token. Use `special`."),
            ("step, special)  #", "step, int(codes.max()) + 1 if P else special)  #", "You make up a special token, "
             "the "
             "largest code and one more. A clip need not hold the largest code: use `special`."),
        ],
        generation_starts_at_the_first_gap: [
            ("int(gaps[0])", "P", "You start at column P. Columns count steps, with the start column before them; look "
             "for the first -1."),
            ("int(gaps[0])", "int(step[:, :P].max()) + 2 if P else 1",
             "You start after the last code of the prompt. Other codebooks have gaps before it: their frames would be "
             "left out."),
            ("int(gaps[0])", "int(gaps[0]) - 1", "You return a step. The code of step s stands in column s + 1."),
            ("int(gaps[0])", "int(gaps[-1])", "You return the last column with a -1. Generation begins at the first."),
            (".any(1).any(0)", ".all(1).any(0)", "You look for a column in which every codebook has a -1. One is "
             "enough: other codes of that column may be known, or never written."),
        ],
        any_codebook_may_come_first: [
            ("int(gaps[0])", "int(step[0, P]) + 1", "You ask codebook 0 alone. Another one may be ahead of it: look "
             "for the first column with a -1 in any row."),
            ("int(gaps[0])", "int(gaps[0]) if P else 1", "Without a prompt you start at column 1. If all codebooks "
             "wait, the table begins later, and that column has nothing to write."),
        ],
        prompts_as_the_library_does: [
            (" else sequence.shape[2]", " else sequence.shape[2] - 1",
             "If all frames are known, the start is the number of columns, S + 1: there is none to go on with."),
            (" else sequence.shape[2]", " else 0", "If all frames are known, you start at 0 and would write everything "
             "anew. Return the number of columns."),
            (" if len(gaps) else sequence.shape[2]", "", "If all frames are known, there is no -1, and nothing has an "
             "index 0. Return the number of columns then."),
        ],
    }),
    right=(_loops, _masks, _with_numpy),
    examples=_examples,
    picture=lambda target, yours, arguments: two_tables(target[0][0], yours[0][0], "column"),
)  # fmt: skip
