"""The exercises of assignment 05: tables from delays and groups, prompts, whole frames, what may be seen, targets."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import figures
from ..patterns import PATTERNS, check_table, holds_code, interleave, num_steps, pattern_table, undo
from . import Exercise, Wrong, expect, expect_tensor, seal

STEREO = [0, 0, 1, 1, 2, 2, 3, 3]


def _random_codes(B: int, K: int, T: int, V: int = 50) -> Tensor:
    return torch.randint(V, (B, K, T))


def _sizes() -> list[tuple[str, int, int]]:
    """Every pattern of the library in some sizes: (name, K, T)."""
    return [(name, K, T) for name in PATTERNS for K, T in ((4, 5), (1, 3), (2, 1))]


def _two_tables(target: Tensor, yours: Tensor, what: str) -> figures.Picture:
    """Two tables of numbers [K, columns] beside each other; cells that differ are framed."""
    figure, axes = figures.new_figure(8.4, 2.6, columns=2)
    for one, title, values in zip(axes, ("target", "yours"), (target, yours), strict=True):
        one.imshow(values.float().numpy(), aspect="auto", cmap="Greys", alpha=0.35)
        for (k, c), value in zip(torch.cartesian_prod(*map(torch.arange, target.shape)), values.flatten(), strict=True):
            frame = {"edgecolor": figures.INK, "facecolor": "none"} if value != target[k, c] else None
            one.text(int(c), int(k), f"{value.item():g}", ha="center", va="center", fontsize=8, bbox=frame)
        one.set_title(title)
        one.set_xlabel(what)
        one.set_yticks(range(len(target)), [f"codebook {k}" for k in range(len(target))], fontsize=8)
    return figures.figure_picture(figure, f"target and yours, codebooks by {what}; frames mark what differs")


# ---- 1. delayed_table: a table from delays -----------------------------------------------------------------------


def _delayed(delays: list[int], T: int) -> Tensor:
    return torch.tensor(delays)[:, None] + torch.arange(T)  # [K, T]


def table_has_a_row_for_each_delay(answer):
    """The table is int64 [K, T]: one row for each delay, one column for each frame."""
    for delays, T in (([0, 1, 2], 5), ([0, 0, 1, 1], 2), ([3], 4)):
        expect_tensor(answer(delays, T), (len(delays), T), torch.int64, "the table")


def no_delay_is_parallel(answer):
    """Without delays frame t is written in step t, by all codebooks."""
    step = answer([0, 0, 0], 4)
    expect(step.tolist() == [[0, 1, 2, 3]] * 3, f"delays [0, 0, 0]: each row is 0, 1, 2, 3, not {step.tolist()}")


def row_begins_at_its_delay(answer):
    """Codebook k writes its first frame in step delays[k]."""
    for delays in ([0, 1, 1, 1], [2, 0, 5], STEREO):
        begins = answer(delays, 3)[:, 0].tolist()
        expect(begins == delays, f"delays {delays}: the first frames come in steps {begins}")


def one_frame_follows_the_other(answer):
    """Once a codebook has begun, it writes one frame in each step."""
    step = answer([0, 2, 3], 6)
    expect((step.diff(dim=1) == 1).all(), f"delays [0, 2, 3]: a row goes on with {step.diff(dim=1).tolist()}")


def delays_give_the_patterns_that_are_known(answer):
    """Delays 0, 1, 2, 3 are the delay pattern, 0, 1, 1, 1 partial delay; stereo's pairs share a delay."""
    for delays, name in (([0, 1, 2, 3], "delay"), ([0, 1, 1, 1], "partial delay"), ([0, 0, 0, 0], "parallel")):
        expect(torch.equal(answer(delays, 7), pattern_table(name, 4, 7)), f"{delays} is not the {name} pattern")
    expect(torch.equal(answer(STEREO, 5), pattern_table("delay", 4, 5).repeat_interleave(2, 0)), "stereo's pairs")


def _delayed_transposed(delays, T):
    return _delayed(delays, T).T


def _delayed_float(delays, T):
    return torch.Tensor(delays)[:, None] + torch.arange(T)


def _delayed_by_index(delays, T):
    return torch.arange(len(delays))[:, None] + torch.arange(T)


def _delayed_from_one(delays, T):
    return _delayed(delays, T) + 1


def _delayed_cumulated(delays, T):
    return torch.tensor(delays).cumsum(0)[:, None] + torch.arange(T)


def _delayed_minus(delays, T):
    return torch.arange(T) - torch.tensor(delays)[:, None]


def _delayed_slower(delays, T):
    late = torch.tensor(delays)[:, None]
    return late + torch.arange(T) * (late + 1)


def _delayed_loops(delays, T):
    return torch.tensor([[t + delay for t in range(T)] for delay in delays])


def _delayed_stack(delays, T):
    return torch.stack([torch.arange(delay, delay + T) for delay in delays])


delayed_table = Exercise(
    "delayed_table",
    reference=_delayed,
    properties=(
        table_has_a_row_for_each_delay,
        no_delay_is_parallel,
        row_begins_at_its_delay,
        one_frame_follows_the_other,
        delays_give_the_patterns_that_are_known,
    ),
    wrong=(
        Wrong(
            _delayed_transposed,
            "table_has_a_row_for_each_delay",
            "Your table is [T, K]: a row for each frame. Codebooks go down and frames go across.",
        ),
        Wrong(
            _delayed_float,
            "table_has_a_row_for_each_delay",
            "torch.Tensor(...) makes floats. Steps are used as indices, so they must be int64: torch.tensor(...).",
        ),
        Wrong(
            _delayed_by_index,
            "no_delay_is_parallel",
            "You delay codebook k by k, whatever `delays` says. Use delays[k].",
        ),
        Wrong(
            _delayed_from_one,
            "no_delay_is_parallel",
            "Your steps count from 1. The start column is added when codes are laid out; the table's first step is 0.",
        ),
        Wrong(
            _delayed_cumulated,
            "row_begins_at_its_delay",
            "You add the delays up. Each delay already counts from the start, not from the codebook above.",
        ),
        Wrong(
            _delayed_minus,
            "row_begins_at_its_delay",
            "You subtract the delay. A codebook that waits writes its frames in later steps.",
        ),
        Wrong(
            _delayed_slower,
            "one_frame_follows_the_other",
            "Your delay grows from frame to frame. It is a shift: the same for all frames of a codebook.",
        ),
    ),
    right=(_delayed_loops, _delayed_stack),
    examples=lambda generator: [([0, 1, 1, 3], 5), ([2, 0, 4], 3)],
    picture=lambda target, yours, arguments: _two_tables(target, yours, "frame"),
)


# ---- 2. grouped_table: a fifth pattern ---------------------------------------------------------------------------


def _grouped(groups: list[list[int]], T: int) -> Tensor:
    G, step = len(groups), torch.zeros(sum(map(len, groups)), T, dtype=torch.int64)
    for g, group in enumerate(groups):
        step[group] = torch.arange(T) * G + g
    return step  # [K, T]


def groups_fill_a_table(answer):
    """The table is int64 [K, T], K the number of codebooks in all groups."""
    for groups, T in (([[0], [1, 2], [3]], 4), ([[0, 1]], 3), ([[2], [0, 1]], 1)):
        expect_tensor(answer(groups, T), (sum(map(len, groups)), T), torch.int64, "the table")


def one_group_is_parallel(answer):
    """A single group is the parallel pattern: a frame in each step."""
    step = answer([[0, 1, 2]], 5)
    expect(torch.equal(step, pattern_table("parallel", 3, 5)), f"groups [[0, 1, 2]]: {step.tolist()}")


def groups_of_one_are_flattening(answer):
    """A group for each codebook is flattening: frame 0 complete, then frame 1."""
    step = answer([[0], [1], [2]], 4)
    expect(torch.equal(step, pattern_table("flattening", 3, 4)), f"groups [[0], [1], [2]]: {step.tolist()}")


def two_in_the_middle_by_hand(answer):
    """Groups 0 | 1 2 | 3: three steps a frame, the second one writes two codes."""
    step = answer([[0], [1, 2], [3]], 2).tolist()
    expect(step == [[0, 3], [1, 4], [1, 4], [2, 5]], f"groups [[0], [1, 2], [3]], two frames: {step}")


def order_of_groups_decides(answer):
    """A group that stands first is written first, whichever codebooks are in it."""
    step = answer([[1], [0, 2]], 2).tolist()
    expect(step == [[1, 3], [0, 2], [1, 3]], f"groups [[1], [0, 2]]: codebook 1 is first, but the table is {step}")


def groups_are_patterns_of_so_many_steps(answer):
    """Every grouping is a pattern of G * T steps."""
    for groups in ([[0], [1, 2, 3]], [[3, 1], [0], [2]], [[0, 1], [2, 3], [4, 5, 6]]):
        step = check_table(answer(groups, 6))
        expect(num_steps(step) == 6 * len(groups), f"{groups}: {num_steps(step)} steps for 6 frames")
        expect(torch.equal(step, _grouped(groups, 6)), f"{groups}: not the table of the library")


def _group_numbers(groups: list[list[int]]) -> Tensor:
    numbers = torch.zeros(sum(map(len, groups)), dtype=torch.int64)
    for g, group in enumerate(groups):
        numbers[group] = g
    return numbers[:, None]  # [K, 1]


def _grouped_transposed(groups, T):
    return _grouped(groups, T).T


def _grouped_row_a_group(groups, T):
    return torch.arange(T) * len(groups) + torch.arange(len(groups))[:, None]


def _grouped_by_codebook(groups, T):
    return torch.arange(T) * len(groups) + torch.arange(len(_group_numbers(groups)))[:, None]


def _grouped_k_steps(groups, T):
    return torch.arange(T) * len(_group_numbers(groups)) + _group_numbers(groups)


def _grouped_all_frames(groups, T):
    return _group_numbers(groups) * T + torch.arange(T)


def _grouped_delayed(groups, T):
    return _group_numbers(groups) + torch.arange(T)


def _grouped_backwards(groups, T):
    return torch.arange(T) * len(groups) + len(groups) - 1 - _group_numbers(groups)


def _grouped_as_listed(groups, T):
    numbers = torch.tensor([g for g, group in enumerate(groups) for _ in group])
    return torch.arange(T) * len(groups) + numbers[:, None]


def _grouped_broadcast(groups, T):
    return torch.arange(T) * len(groups) + _group_numbers(groups)


def _grouped_count(groups, T):
    step, s = torch.zeros(sum(map(len, groups)), T, dtype=torch.int64), 0
    for t in range(T):
        for group in groups:
            for k in group:
                step[k, t] = s
            s += 1
    return step


grouped_table = Exercise(
    "grouped_table",
    reference=_grouped,
    properties=(
        groups_fill_a_table,
        one_group_is_parallel,
        groups_of_one_are_flattening,
        two_in_the_middle_by_hand,
        order_of_groups_decides,
        groups_are_patterns_of_so_many_steps,
    ),
    wrong=(
        Wrong(
            _grouped_transposed,
            "groups_fill_a_table",
            "Your table is [T, K]. Codebooks go down and frames go across: [K, T].",
        ),
        Wrong(
            _grouped_row_a_group,
            "groups_fill_a_table",
            "Your table has a row for each group. It needs one for each codebook; those of a group are equal.",
        ),
        Wrong(
            _grouped_by_codebook,
            "one_group_is_parallel",
            "You add the number of the codebook. Add the number of its group: a group is written together.",
        ),
        Wrong(
            _grouped_k_steps,
            "one_group_is_parallel",
            "You give each frame K steps. It takes as many as there are groups.",
        ),
        Wrong(
            _grouped_all_frames,
            "groups_of_one_are_flattening",
            "You write a group for all frames before the next begins, as coarse-first does. Here a frame is completed "
            "before the next one begins.",
        ),
        Wrong(
            _grouped_delayed,
            "groups_of_one_are_flattening",
            "You delay the groups and give each frame one step, as delay does. A frame takes G steps here: t * G + g.",
        ),
        Wrong(
            _grouped_backwards,
            "groups_of_one_are_flattening",
            "You write the last group first.",
        ),
        Wrong(
            _grouped_as_listed,
            "order_of_groups_decides",
            "You fill the rows in the order in which the codebooks are listed. Row k belongs to codebook k.",
        ),
    ),
    right=(_grouped_broadcast, _grouped_count),
    examples=lambda generator: [([[1], [0, 3], [2]], 4), ([[0, 1], [2]], 3)],
    picture=lambda target, yours, arguments: _two_tables(target, yours, "frame"),
)


# ---- 3. prompted_sequence: begin with what is known --------------------------------------------------------------


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
        (f"{name}, K = {K}, T = {T}, {P} known", _random_codes(2, K, P), pattern_table(name, K, T))
        for name, K, T in _sizes()
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
        start = answer(_random_codes(1, 4, 2), pattern_table(name, 4, 6), 50)[1]
        expect(start == column, f"{name}, two of six frames known: column {column} is the first, not {start}")


def prompts_as_the_library_does(answer):
    """Sequence and start are those of the library, also if all frames are known."""
    whole = [("all known", _random_codes(1, 3, 4), pattern_table("delay", 3, 4))]
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
    picture=lambda target, yours, arguments: _two_tables(target[0][0], yours[0][0], "column"),
)


# ---- 4. finished_frames: undo while it is still going on ---------------------------------------------------------


def _finished(sequence: Tensor, step: Tensor) -> Tensor:
    done = sequence.shape[2] - 1  # steps
    frames = int((step.max(0).values < done).sum())
    return undo(sequence, step[:, :frames])  # [B, K, frames]


def delay_completes_a_frame_three_steps_late(answer):
    """Under delay with K = 4, n steps complete n - 3 frames: [B, K, n - 3]."""
    step = pattern_table("delay", 4, 6)
    sequence = interleave(_random_codes(2, 4, 6), step, 50)
    for done in range(10):
        found = answer(sequence[:, :, : done + 1], step)
        expect_tensor(found, (2, 4, max(0, done - 3)), torch.int64, f"after {done} of 9 steps the result")


def finished_codes_are_the_clips(answer):
    """What is handed out are the codes of the clip's first frames, and no special token."""
    for name in ("delay", "partial delay"):
        codes, step = _random_codes(2, 4, 6), pattern_table(name, 4, 6)
        sequence = interleave(codes, step, 50)
        for done in range(num_steps(step) + 1):
            found = answer(sequence[:, :, : done + 1], step)
            expect((found < 50).all(), f"{name} after {done} steps: a special token is handed out as a code")
            expect(torch.equal(found, codes[:, :, : found.shape[2]]), f"{name} after {done} steps: other codes")


def frames_come_as_soon_as_they_are_whole(answer):
    """The first frame is there after 1 step (parallel), K (flattening), T + 1 (coarse-first)."""
    for name, steps in (("parallel", 1), ("flattening", 4), ("coarse-first", 7)):
        step = pattern_table(name, 4, 6)
        sequence = interleave(_random_codes(1, 4, 6), step, 50)
        for done, frames in ((steps - 1, 0), (steps, 1)):
            found = answer(sequence[:, :, : done + 1], step).shape[2]
            expect(found == frames, f"{name} after {done} steps: {frames} whole frames are expected, not {found}")


def the_end_is_the_whole_clip(answer):
    """After the last step all frames are there, for every pattern and for tables with gaps."""
    tables = [pattern_table(*size) for size in _sizes()] + [torch.tensor([[0, 2, 3], [5, 6, 9]])]
    for step in tables:
        codes = _random_codes(1, *step.shape)
        expect(torch.equal(answer(interleave(codes, step, 50), step), codes), f"the table {step.tolist()}")


def frames_as_the_library_has_them(answer):
    """After any number of steps of any pattern the frames are those of the library."""
    for size in _sizes():
        step = pattern_table(*size)
        sequence = interleave(_random_codes(2, *step.shape), step, 50)
        for done in range(num_steps(step) + 1):
            begun = sequence[:, :, : done + 1]
            expect(torch.equal(answer(begun, step), _finished(begun, step)), f"{size} after {done} steps")


def _finished_all_columns(sequence, step):
    return undo(sequence, step[:, : min(sequence.shape[2] - 1, step.shape[1])])


def _finished_first_codebook(sequence, step):
    frames = int((step[0] < sequence.shape[2] - 1).sum())
    padded = torch.nn.functional.pad(sequence, (0, num_steps(step) + 1), value=int(sequence[0, 0, 0]))
    return undo(padded, step[:, :frames])


def _finished_too_late(sequence, step):
    return undo(sequence, step[:, : int((step.max(0).values + 1 < sequence.shape[2] - 1).sum())])


def _finished_no_start(sequence, step):
    frames = _finished(sequence, step).shape[2]
    return sequence.gather(2, step[:, :frames].expand(len(sequence), -1, -1))


def _finished_cut(sequence, step):
    return sequence[:, :, 1 : _finished(sequence, step).shape[2] + 1].clone()


def _finished_always_delay(sequence, step):
    K, T = step.shape
    return undo(sequence, step[:, : min(max(0, sequence.shape[2] - K), T)])


def _finished_loops(sequence, step):
    K, T = step.shape
    frames = []
    for t in range(T):
        columns = [int(step[k, t]) + 1 for k in range(K)]
        if max(columns) >= sequence.shape[2]:
            break
        frames.append(torch.stack([sequence[:, k, c] for k, c in enumerate(columns)], 1))
    return torch.stack(frames, 2) if frames else sequence[:, :, :0]


def _finished_index(sequence, step):
    whole = (step < sequence.shape[2] - 1).all(0)
    return sequence[:, torch.arange(len(step))[:, None], step[:, whole] + 1]


def _finished_examples(generator):
    found = []
    for name, done in (("delay", 6), ("flattening", 9), ("partial delay", 3)):
        step = pattern_table(name, 4, 6)
        codes = torch.randint(50, (1, 4, 6), generator=generator)
        found.append((interleave(codes, step, 50)[:, :, : done + 1], step))
    return found


finished_frames = Exercise(
    "finished_frames",
    reference=_finished,
    properties=(
        delay_completes_a_frame_three_steps_late,
        finished_codes_are_the_clips,
        frames_come_as_soon_as_they_are_whole,
        the_end_is_the_whole_clip,
        frames_as_the_library_has_them,
    ),
    wrong=(
        Wrong(
            _finished_all_columns,
            "delay_completes_a_frame_three_steps_late",
            "You take as many frames as there were steps. A frame is whole only when its last codebook has its code.",
        ),
        Wrong(
            _finished_first_codebook,
            "delay_completes_a_frame_three_steps_late",
            "You count what codebook 0 has written. Under delay it is ahead: the others still lack that frame.",
        ),
        Wrong(
            _finished_too_late,
            "delay_completes_a_frame_three_steps_late",
            "You wait one step too long: after n steps the steps 0 to n - 1 are done, so step < n counts.",
        ),
        Wrong(
            _finished_no_start,
            "finished_codes_are_the_clips",
            "You read column step[k, t]. Column 0 is the start: the code stands in column step[k, t] + 1.",
        ),
        Wrong(
            _finished_cut,
            "finished_codes_are_the_clips",
            "You cut columns out without undoing the pattern: a column holds codes of different frames.",
        ),
        Wrong(
            _finished_always_delay,
            "frames_come_as_soon_as_they_are_whole",
            "You count n - K + 1 frames, which is right for delay only. Ask the table when a frame's last code comes.",
        ),
    ),
    right=(_finished_loops, _finished_index),
    examples=_finished_examples,
    picture=lambda target, yours, arguments: _two_tables(target[0], yours[0], "frame"),
)


# ---- 5. may_see: what each prediction may use --------------------------------------------------------------------


def _may_see(step: Tensor) -> Tensor:
    return step < step[:, :, None, None]  # [K, T, K, T]


def mask_has_two_codes_for_axes(answer):
    """The mask is bool [K, T, K, T]: who looks, and at whom."""
    for name, K, T in (("delay", 3, 5), ("parallel", 2, 1)):
        expect_tensor(answer(pattern_table(name, K, T)), (K, T, K, T), torch.bool, "the mask")


def nobody_sees_itself(answer):
    """No code may be used to predict itself."""
    for size in _sizes():
        mask = answer(pattern_table(*size)).flatten(2).flatten(0, 1)  # [K * T, K * T]
        expect(not mask.diagonal().any(), f"{size}: a code sees itself")


def codes_of_a_step_do_not_see_each_other(answer):
    """Codes of the same step are written at once: none may use another."""
    for size in _sizes():
        step = pattern_table(*size)
        together = step == step[:, :, None, None]
        expect(not (answer(step) & together).any(), f"{size}: a code uses another one of its own step")


def two_by_two_by_hand(answer):
    """Delay, K = T = 2: (1, 0) and (0, 1) see (0, 0), and (1, 1) sees the three others."""
    mask = answer(torch.tensor([[0, 1], [1, 2]]))
    for k, t, seen in ((0, 0, []), (1, 0, [[0, 0]]), (0, 1, [[0, 0]]), (1, 1, [[0, 0], [0, 1], [1, 0]])):
        found = mask[k, t].nonzero().tolist()
        expect(found == seen, f"({k}, {t}) may use {seen}, not {found}")


def masks_as_the_library_has_them(answer):
    """For every pattern, and for tables with gaps, the mask is that of the library."""
    for step in [pattern_table(*size) for size in _sizes()] + [torch.tensor([[0, 2, 3], [5, 6, 9]])]:
        expect(torch.equal(answer(step), _may_see(step)), f"the table {step.tolist()}")


def _may_flat(step):
    return _may_see(step).flatten(2).flatten(0, 1)


def _may_number(step):
    return _may_see(step).float()


def _may_equal(step):
    return step <= step[:, :, None, None]


def _may_same_step(step):
    itself = torch.eye(step.numel(), dtype=torch.bool).view(*step.shape, *step.shape)
    return (step <= step[:, :, None, None]) & ~itself


def _may_future(step):
    return step > step[:, :, None, None]


def _may_frames(step):
    frame = torch.arange(step.shape[1]).expand_as(step)
    return frame < frame[:, :, None, None]


def _may_rows(step):
    row = torch.arange(len(step))[:, None].expand_as(step)
    return _may_see(step) & (row == row[:, :, None, None])


def _may_flattened_order(step):
    return _may_see(pattern_table("flattening", *step.shape))


def _may_loops(step):
    K, T = step.shape
    mask = torch.zeros(K, T, K, T, dtype=torch.bool)
    for k in range(K):
        for t in range(T):
            for a in range(K):
                for b in range(T):
                    mask[k, t, a, b] = bool(step[a, b] < step[k, t])
    return mask


def _may_einsum(step):
    written = torch.arange(num_steps(step)) >= step[..., None]  # [K, T, S]: there once step s is done
    before = torch.nn.functional.one_hot(step, num_steps(step) + 1)[..., 1:]  # [K, T, S]: the step just before
    return torch.einsum("kts,abs->ktab", before.float(), written.float()).bool()


may_see = Exercise(
    "may_see",
    reference=_may_see,
    properties=(
        mask_has_two_codes_for_axes,
        nobody_sees_itself,
        codes_of_a_step_do_not_see_each_other,
        two_by_two_by_hand,
        masks_as_the_library_has_them,
    ),
    wrong=(
        Wrong(
            _may_flat,
            "mask_has_two_codes_for_axes",
            "Your mask is [K * T, K * T]. Keep the four axes: mask[k, t] is then the picture of what (k, t) may use.",
        ),
        Wrong(
            _may_number,
            "mask_has_two_codes_for_axes",
            "Your mask holds numbers. A mask is bool, so that & and ~ work.",
        ),
        Wrong(
            _may_equal,
            "nobody_sees_itself",
            "You compare with <=. A code of the same step is not there yet, and least of all the code itself: <.",
        ),
        Wrong(
            _may_same_step,
            "codes_of_a_step_do_not_see_each_other",
            "You leave out the code itself, but not the others of its step. They are drawn at the same moment: "
            "none can wait for another.",
        ),
        Wrong(
            _may_flattened_order,
            "codes_of_a_step_do_not_see_each_other",
            "You order by frame and codebook, whatever the table says. That is flattening; compare the table's steps.",
        ),
        Wrong(
            _may_future,
            "two_by_two_by_hand",
            "The axes are swapped: your mask tells who may use (k, t). mask[k, t] is what (k, t) may use.",
        ),
        Wrong(
            _may_frames,
            "codes_of_a_step_do_not_see_each_other",
            "You compare frames. Steps count: under delay (1, 0) may use (0, 0), a code of its own frame.",
        ),
        Wrong(
            _may_rows,
            "two_by_two_by_hand",
            "You let a codebook look at its own row only. The model reads whole columns, so all codebooks count.",
        ),
    ),
    right=(_may_loops, _may_einsum),
    examples=lambda generator: [(pattern_table("delay", 3, 4),), (pattern_table("coarse-first", 3, 3),)],
    picture=lambda target, yours, arguments: _two_tables(
        target[1, 1].int(), yours[1, 1].int(), "frame, seen by (1, 1)"
    ),
)


# ---- 6. training_pair: inputs, targets and the loss mask ---------------------------------------------------------


def _pair(codes: Tensor, step: Tensor, special: int, columns: int) -> tuple[Tensor, Tensor, Tensor]:
    sequence = interleave(codes, step, special)  # [B, K, S + 1]
    return sequence[:, :, :columns], sequence[:, :, 1 : columns + 1], holds_code(step)[:, 1 : columns + 1]


def _cuts() -> list[tuple[str, Tensor, Tensor, int]]:
    return [
        (f"{name}, K = {K}, T = {T}, {columns} columns", _random_codes(2, K, T), pattern_table(name, K, T), columns)
        for name, K, T in _sizes()
        for columns in {T, num_steps(pattern_table(name, K, T))}
    ]


def pair_is_cut_to_its_columns(answer):
    """Inputs and targets are int64 [B, K, columns], the mask bool [K, columns]."""
    for what, codes, step, columns in _cuts():
        inputs, targets, mask = answer(codes, step, 50, columns)
        for name, one in (("inputs", inputs), ("targets", targets)):
            expect_tensor(one, (*codes.shape[:2], columns), torch.int64, f"{what}: {name}")
        expect_tensor(mask, (codes.shape[1], columns), torch.bool, f"{what}: the mask")


def first_input_is_the_start(answer):
    """The first column that is read holds special tokens only."""
    for what, codes, step, columns in _cuts():
        first = answer(codes, step, 50, columns)[0][:, :, 0]
        expect((first == 50).all(), f"{what}: the first input is {first[0].tolist()}, not the start")


def target_is_the_next_column(answer):
    """What is to be predicted at a position is what is read at the next one."""
    for what, codes, step, columns in _cuts():
        inputs, targets, _ = answer(codes, step, 50, columns)
        expect(torch.equal(targets[:, :, :-1], inputs[:, :, 1:]), f"{what}: the targets are not the next inputs")


def mask_marks_the_codes(answer):
    """The mask is true where the target is a code, and false where it is the special token."""
    for what, codes, step, columns in _cuts():
        _, targets, mask = answer(codes, step, 50, columns)
        expect((targets[:, ~mask] == 50).all(), f"{what}: a code is left out of the loss")
        expect((targets[:, mask] < 50).all(), f"{what}: the special token is a target; the model never has to draw it")


def delay_cut_after_t_columns_counts_5_4_3_2(answer):
    """Delay, five frames cut after five columns: the codebooks have 5, 4, 3 and 2 targets."""
    mask = answer(_random_codes(1, 4, 5), pattern_table("delay", 4, 5), 50, 5)[2]
    expect(mask.sum(1).tolist() == [5, 4, 3, 2], f"the codebooks have {mask.sum(1).tolist()} targets")


def pairs_as_the_library_makes_them(answer):
    """Inputs, targets and mask are those of the library for every pattern."""
    for what, codes, step, columns in _cuts():
        for name, yours, target in zip(
            ("inputs", "targets", "masks"),
            answer(codes, step, 50, columns),
            _pair(codes, step, 50, columns),
            strict=True,
        ):
            expect(torch.equal(yours, target), f"{what}: the {name} differ")


def _pair_not_cut(codes, step, special, columns):
    return _pair(codes, step, special, num_steps(step))


def _pair_mask_per_row(codes, step, special, columns):
    inputs, targets, _ = _pair(codes, step, special, columns)
    return inputs, targets, targets != special


def _pair_swapped(codes, step, special, columns):
    inputs, targets, mask = _pair(codes, step, special, columns)
    return targets, inputs, mask


def _pair_no_shift(codes, step, special, columns):
    inputs, _, _ = _pair(codes, step, special, columns)
    return inputs, inputs, holds_code(step)[:, :columns]


def _pair_input_not_delayed(codes, step, special, columns):
    _, targets, mask = _pair(codes, step, special, columns)
    plain = torch.nn.functional.pad(codes, (1, num_steps(step)), value=special)  # as if step[k, t] were t
    return plain[:, :, :columns], targets, mask


def _pair_all_count(codes, step, special, columns):
    inputs, targets, mask = _pair(codes, step, special, columns)
    return inputs, targets, torch.ones_like(mask)


def _pair_mask_of_inputs(codes, step, special, columns):
    inputs, targets, _ = _pair(codes, step, special, columns)
    return inputs, targets, holds_code(step)[:, :columns]


def _pair_mask_inverted(codes, step, special, columns):
    inputs, targets, mask = _pair(codes, step, special, columns)
    return inputs, targets, ~mask


def _pair_compare(codes, step, special, columns):
    sequence = interleave(codes, step, special)[:, :, : columns + 1]
    return sequence[:, :, :-1], sequence[:, :, 1:], (sequence[0] != special)[:, 1:]


def _pair_loops(codes, step, special, columns):
    B, K, T = codes.shape
    inputs = torch.full((B, K, columns), special)
    targets, mask = inputs.clone(), torch.zeros(K, columns, dtype=torch.bool)
    for k in range(K):
        for t in range(T):
            s = int(step[k, t])
            if s < columns:
                targets[:, k, s], mask[k, s] = codes[:, k, t], True
            if s + 1 < columns:
                inputs[:, k, s + 1] = codes[:, k, t]
    return inputs, targets, mask


training_pair = Exercise(
    "training_pair",
    reference=_pair,
    properties=(
        pair_is_cut_to_its_columns,
        first_input_is_the_start,
        target_is_the_next_column,
        mask_marks_the_codes,
        delay_cut_after_t_columns_counts_5_4_3_2,
        pairs_as_the_library_makes_them,
    ),
    wrong=(
        Wrong(
            _pair_not_cut,
            "pair_is_cut_to_its_columns",
            "You keep all S columns. Cut after `columns`: what follows are columns in which the first codebooks have "
            "no code although the music goes on.",
        ),
        Wrong(
            _pair_mask_per_row,
            "pair_is_cut_to_its_columns",
            "Your mask is [B, K, columns]. The pattern is the same for all rows: [K, columns].",
        ),
        Wrong(
            _pair_swapped,
            "first_input_is_the_start",
            "Inputs and targets are swapped: the model reads the start first and predicts the column after it.",
        ),
        Wrong(
            _pair_no_shift,
            "target_is_the_next_column",
            "The targets are the inputs: the model would only have to copy what it reads. Shift them by one column.",
        ),
        Wrong(
            _pair_input_not_delayed,
            "target_is_the_next_column",
            "The targets are delayed but the inputs are not: codes stand in the input before they are to be "
            "predicted. In training the loss falls to nothing; in generation those codes are not there.",
        ),
        Wrong(
            _pair_all_count,
            "mask_marks_the_codes",
            "Every cell counts for the loss, those with the special token too. The heads have no logit for it.",
        ),
        Wrong(
            _pair_mask_of_inputs,
            "mask_marks_the_codes",
            "Your mask belongs to the inputs. The loss looks at targets: shift it by one column, as they are.",
        ),
        Wrong(
            _pair_mask_inverted,
            "mask_marks_the_codes",
            "Your mask is the other way round: true means that the target is a code and counts.",
        ),
    ),
    right=(_pair_compare, _pair_loops),
    examples=lambda generator: [
        (torch.randint(50, (2, 4, 5), generator=generator), pattern_table(name, 4, 5), 50, 5)
        for name in ("delay", "partial delay")
    ],
    picture=lambda target, yours, arguments: _two_tables(target[1][0], yours[1][0], "column of the targets"),
)


EXERCISES = (delayed_table, grouped_table, prompted_sequence, finished_frames, may_see, training_pair)

seal(__name__)
