"""Exercise 4, `finished_frames`: undo while it is still going on."""

from __future__ import annotations

import numpy as np
import torch

from ...model.patterns import interleave, num_steps, pattern_table, undo
from .. import Exercise, expect_equal, expect_tensor, mistakes
from ._shared import random_codes, tables, two_tables


def _finished(sequence, step):
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
            for row in range(2):
                what = f"{name} after {done} steps, row {row} (50 is the special token)"
                expect_equal(found[row], codes[row, :, : found.shape[2]], what)


def frames_come_as_soon_as_they_are_whole(answer):
    """The first frame is there after 1 step (parallel), K (flattening), T + 1 (coarse-first)."""
    for name, steps in (("parallel", 1), ("flattening", 4), ("coarse-first", 7)):
        step = pattern_table(name, 4, 6)
        sequence = interleave(random_codes(1, 4, 6), step, 50)
        for done, frames in ((steps - 1, 0), (steps, 1)):
            found = answer(sequence[:, :, : done + 1], step).shape[2]
            expect_equal(found, frames, f"{name} after {done} steps: whole frames")


def any_codebook_may_be_the_slowest(answer):
    """With delays 0, 2, 1 a frame is whole when codebook 1 has written it, with delays 2, 0 when codebook 0 has."""
    for delays in ([0, 2, 1], [2, 0]):
        step = torch.tensor(delays)[:, None] + torch.arange(4)
        sequence = interleave(random_codes(2, len(delays), 4), step, 50)
        for done in range(7):
            found = answer(sequence[:, :, : done + 1], step).shape[2]
            expect_equal(found, max(0, done - 2), f"delays {delays} after {done} steps: whole frames")


def the_end_is_the_whole_clip(answer):
    """After the last step all frames are there, for every pattern and for tables with gaps."""
    for what, step in tables():
        codes = random_codes(1, *step.shape)
        expect_equal(answer(interleave(codes, step, 50), step)[0], codes[0], f"{what}: all steps done")


def frames_as_the_library_has_them(answer):
    """After any number of steps of any pattern the frames are those that the library undoes."""
    for what, step in tables():
        sequence = interleave(random_codes(3, *step.shape), step, 50)
        whole = undo(sequence, step)
        for done in range(num_steps(step) + 1):
            frames = sum(all(s < done for s in frame) for frame in step.T.tolist())
            found = answer(sequence[:, :, : done + 1], step)
            expect_tensor(found, (3, len(step), frames), torch.int64, f"{what} after {done} steps: the result")
            expect_equal(found[2], whole[2, :, :frames], f"{what} after {done} steps")


def _loops(sequence, step):
    K, T = step.shape
    frames = []
    for t in range(T):
        columns = [int(step[k, t]) + 1 for k in range(K)]
        if max(columns) >= sequence.shape[2]:
            break
        frames.append(torch.stack([sequence[:, k, c] for k, c in enumerate(columns)], 1))
    return torch.stack(frames, 2) if frames else sequence[:, :, :0]


def _index(sequence, step):
    whole = (step < sequence.shape[2] - 1).all(0)
    return sequence[:, torch.arange(len(step))[:, None], step[:, whole] + 1]


def _with_numpy(sequence, step):
    places = step.numpy()[:, step.numpy().max(0) + 1 < sequence.shape[2]] + 1
    places = np.broadcast_to(places, (len(sequence), *places.shape))
    return torch.from_numpy(np.take_along_axis(sequence.numpy(), places, 2))


def _examples(generator):
    found = []
    late = torch.tensor([[1, 2, 3], [2, 3, 4], [0, 1, 2]])
    for step, done in (
        (pattern_table("delay", 4, 6), 6), (pattern_table("flattening", 4, 6), 9), (late, 1),
        (pattern_table("partial delay", 4, 6), 3), (late.flip(0), 4), (pattern_table("delay", 4, 6), 0),
    ):  # fmt: skip
        codes = torch.randint(50, (2, *step.shape), generator=generator)
        found.append((interleave(codes, step, 50)[:, :, : done + 1], step))
    return found


finished_frames = Exercise(
    "finished_frames",
    reference=_finished,
    properties=(
        delay_completes_a_frame_three_steps_late, finished_codes_are_the_clips, frames_come_as_soon_as_they_are_whole,
        any_codebook_may_be_the_slowest, the_end_is_the_whole_clip, frames_as_the_library_has_them,
    ),
    wrong=mistakes(_finished, {
        delay_completes_a_frame_three_steps_late: [
            ("int((step.max(0).values < done).sum())", "min(done, step.shape[1])",
             "You take as many frames as there were steps. A frame is whole only when its last codebook has its code."),
            ("step.max(0).values < done", "step[0] < done", "undo(sequence",
             "undo(torch.nn.functional.pad(sequence, (0, num_steps(step) + 1), value=int(sequence[0, 0, 0]))",
             "You count what codebook 0 has written. Under delay it is ahead: the others still lack that frame."),
            ("done = sequence.shape[2] - 1", "done = sequence.shape[2] - 2",
             "You wait one step too long: after n steps the steps 0 to n - 1 are done, so step < n counts."),
            (" < done", " <= done", "You are a step too early: step n is still to be done when n steps are. step < n "
             "counts."),
            ("    return", "    if not frames: return None\n    return", "Before the first frame is whole you return "
             "nothing. Return codes with no frames, [B, K, 0]."),
            ("return undo(sequence, step[:, :frames])", "return undo(sequence, step[:, frames - 1 : frames]) if frames "
             "else sequence[:, :, :0]", "You hand out the newest frame alone. All frames that are whole are asked "
             "for."),
        ],
        finished_codes_are_the_clips: [
            ("undo(sequence, step[:, :frames])", "sequence.gather(2, step[:, :frames].expand(len(sequence), -1, -1))",
             "You read column step[k, t]. Column 0 is the start: the code stands in column step[k, t] + 1."),
            ("undo(sequence, step[:, :frames])", "sequence[:, :, 1 : frames + 1].clone()",
             "You cut columns out without undoing the pattern: a column holds codes of different frames."),
            ("undo(sequence,", "undo(sequence[:1].expand_as(sequence),", "All rows of the batch get the codes of the "
             "first one. Each has its own."),
            ("step[:, :frames]", "step[:, : int((step.max(0).values < done).sum())].flip(1)",
             "You hand out the frames backwards: the first one comes first."),
        ],
        frames_come_as_soon_as_they_are_whole: [
            ("int((step.max(0).values < done).sum())", "min(max(0, done + 1 - len(step)), step.shape[1])",
             "You count n - K + 1 frames, which is right for delay only. Ask the table when a frame's last code "
             "comes."),
        ],
        any_codebook_may_be_the_slowest: [
            ("step.max(0).values", "step[-1]", "You ask the last codebook. It is the slowest in the patterns that have "
             "a name, but a table may have another one: take the largest step of each frame."),
            ("step.max(0).values", "torch.maximum(step[0], step[-1])", "You ask the first and the last codebook. Any "
             "may be the slowest: take the largest step of each frame."),
        ],
        frames_as_the_library_has_them: [
            ("int((step.max(0).values < done).sum())", "min(max(0, done - int(step[:, 0].max())), step.shape[1])",
             "You count from the first whole frame on, one for each step. Under flattening a frame takes K steps: ask "
             "the table for each frame."),
        ],
    }),
    right=(_loops, _index, _with_numpy),
    examples=_examples,
    picture=lambda target, yours, arguments: two_tables(target[0], yours[0], "frame"),
)  # fmt: skip
