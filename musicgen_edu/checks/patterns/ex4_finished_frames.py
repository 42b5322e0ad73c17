"""Exercise 4, `finished_frames`: undo while it is still going on."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.patterns import interleave, num_steps, pattern_table, undo
from .. import Exercise, Wrong, expect, expect_tensor
from ._shared import patterns_and_sizes, random_codes, two_tables


def _finished(sequence: Tensor, step: Tensor) -> Tensor:
    done = sequence.shape[2] - 1  # steps
    frames = int((step.max(0).values < done).sum())
    return undo(sequence, step[:, :frames])  # [B, K, frames]


def delay_completes_a_frame_three_steps_late(answer):
    """Under delay with K = 4, n steps complete n - 3 frames: [B, K, n - 3]."""
    step = pattern_table("delay", 4, 6)
    sequence = interleave(random_codes(2, 4, 6), step, 50)
    for done in range(10):
        found = answer(sequence[:, :, : done + 1], step)
        expect_tensor(found, (2, 4, max(0, done - 3)), torch.int64, f"after {done} of 9 steps the result")


def finished_codes_are_the_clips(answer):
    """What is handed out are the codes of the clip's first frames, and no special token."""
    for name in ("delay", "partial delay"):
        codes, step = random_codes(2, 4, 6), pattern_table(name, 4, 6)
        sequence = interleave(codes, step, 50)
        for done in range(num_steps(step) + 1):
            found = answer(sequence[:, :, : done + 1], step)
            expect((found < 50).all(), f"{name} after {done} steps: a special token is handed out as a code")
            expect(torch.equal(found, codes[:, :, : found.shape[2]]), f"{name} after {done} steps: other codes")


def frames_come_as_soon_as_they_are_whole(answer):
    """The first frame is there after 1 step (parallel), K (flattening), T + 1 (coarse-first)."""
    for name, steps in (("parallel", 1), ("flattening", 4), ("coarse-first", 7)):
        step = pattern_table(name, 4, 6)
        sequence = interleave(random_codes(1, 4, 6), step, 50)
        for done, frames in ((steps - 1, 0), (steps, 1)):
            found = answer(sequence[:, :, : done + 1], step).shape[2]
            expect(found == frames, f"{name} after {done} steps: {frames} whole frames are expected, not {found}")


def the_end_is_the_whole_clip(answer):
    """After the last step all frames are there, for every pattern and for tables with gaps."""
    tables = [pattern_table(*size) for size in patterns_and_sizes()] + [torch.tensor([[0, 2, 3], [5, 6, 9]])]
    for step in tables:
        codes = random_codes(1, *step.shape)
        expect(torch.equal(answer(interleave(codes, step, 50), step), codes), f"the table {step.tolist()}")


def frames_as_the_library_has_them(answer):
    """After any number of steps of any pattern the frames are those of the library."""
    for size in patterns_and_sizes():
        step = pattern_table(*size)
        sequence = interleave(random_codes(2, *step.shape), step, 50)
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
    picture=lambda target, yours, arguments: two_tables(target[0], yours[0], "frame"),
)
