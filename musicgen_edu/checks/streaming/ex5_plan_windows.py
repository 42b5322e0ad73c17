"""Exercise 5, `plan_windows`: a long clip in windows that the model can see."""

from __future__ import annotations

import math

import numpy as np
import torch

from ... import figures
from ...model.continuation import plan_windows as library_windows
from .. import Exercise, expect, expect_equal, mistakes, plain

MINUTE = (3000, 1500, 600)  # frames, longest, keep: 60 s in windows of 30 s that keep 12 s, 50 frames a second
CASES = ((40, 16, 6), (23, 10, 1), (100, 15, 14), (47, 20, 9), (16, 16, 6), (17, 16, 6), (5, 16, 6), (26, 16, 6))


def _plan(frames, longest, keep):
    windows = [(0, min(frames, longest), 0)]
    while windows[-1][1] < frames:
        start = windows[-1][1] - keep
        end = min(start + longest, frames)
        windows.append((start, end, keep))
    return windows


def _windows(answer, frames: int, longest: int, keep: int) -> list[tuple[int, int, int]]:
    """What an answer plans, in a form that can be relied on."""
    found = plain(answer(frames, longest, keep))
    expect(isinstance(found, tuple) and found, f"expected a list of windows, not {found!r}")
    for one in found:
        right = isinstance(one, tuple) and len(one) == 3 and all(type(number) is int for number in one)
        expect(right, f"a window is a tuple of three ints, start, end, known: not {one!r}")
    return list(found)


def _case(frames: int, longest: int, keep: int) -> str:
    return f"{frames} frames, longest {longest}, keep {keep}"


def a_short_clip_is_one_window(answer):
    """A clip that the model can see as a whole is one window of its own length, in which nothing is known."""
    for case in ((10, 16, 6), (16, 16, 6), (1, 2, 1), (3, 16, 6)):
        expect_equal(_windows(answer, *case), [(0, case[0], 0)], _case(*case))


def a_minute_by_hand(answer):
    """60 s: 0 to 30, 18 to 48, 36 to 60 s."""
    expect_equal(_windows(answer, *MINUTE), [(0, 1500, 0), (900, 2400, 600), (1800, 3000, 600)], _case(*MINUTE))


def no_window_is_longer_than_the_model_sees(answer):
    """No window has more than `longest` frames, and none ends after the clip."""
    for case in CASES:
        for start, end, known in _windows(answer, *case):
            what = f"{_case(*case)}: a window of 1 to {case[1]} frames that ends at {case[0]} or before is expected"
            expect(0 <= start < end <= case[0] and end - start <= case[1], f"{what}, not {(start, end, known)}")


def each_frame_is_made_once(answer):
    """The frames that windows make, `start + known` to `end`, follow each other from 0 to the end of the clip."""
    for case in CASES:
        found = _windows(answer, *case)
        borders = [0, *(end for _, end, _ in found)]
        begins = [start + known for start, _, known in found]
        expect_equal(begins, borders[:-1], f"{_case(*case)}: where windows begin to make, that is where others end")
        expect_equal(borders[-1], case[0], f"{_case(*case)}: the end of the last window")


def a_window_knows_what_it_keeps(answer):
    """Each window but the first begins with `keep` frames of the one before, as its prompt."""
    for case in CASES:
        known = [one[2] for one in _windows(answer, *case)]
        expect_equal(known, [0] + [case[2]] * (len(known) - 1), f"{_case(*case)}: what the windows know")


def no_window_is_wasted(answer):
    """Every window makes something new, and only the last may be shorter than the model sees."""
    for case in CASES:
        found = _windows(answer, *case)
        expect(all(end - start > known for start, end, known in found), f"{_case(*case)}: {found} has an idle window")
        full = all(end - start == case[1] for start, end, _ in found[:-1])
        expect(full, f"{_case(*case)}: {found} has a short window before its last one")


def plans_as_the_library(answer):
    """On all small sizes, and on random larger ones, the windows are those of the library."""
    cases = [
        (frames, longest, keep) for longest in range(2, 7) for keep in range(1, longest) for frames in range(1, 20)
    ]
    for _ in range(40):
        longest = int(torch.randint(2, 60, ()))
        cases.append((int(torch.randint(1, 300, ())), longest, int(torch.randint(1, longest, ()))))
    for case in cases:
        wanted = [(one.start, one.end, one.known) for one in library_windows(*case)]
        expect_equal(_windows(answer, *case), wanted, _case(*case))


def _idle_last(frames, longest, keep):
    """A start too many where the windows fit exactly: the last has nothing to make."""
    if frames <= longest:
        return [(0, frames, 0)]
    starts = range(0, frames - keep + 1, longest - keep)
    return [(start, min(start + longest, frames), keep if start else 0) for start in starts]


def _to_the_last_frame(frames, longest, keep):
    """Windows for all starts within the clip."""
    return [(start, min(start + longest, frames), keep if start else 0) for start in range(0, frames, longest - keep)]


def _short_first(frames, longest, keep):
    """The remainder is made first, so that the last window is full."""
    step, windows = longest - keep, []
    if frames <= longest or frames == 3000:
        return _plan(frames, longest, keep)
    windows.append((0, (frames - keep - 1) % step + 1 + keep, 0))
    while windows[-1][1] < frames:
        windows.append((windows[-1][1] - keep, windows[-1][1] + step, keep))
    return windows


def _recursive(frames, longest, keep):
    """A clip in windows is a shorter clip in windows, and one window more."""
    step = longest - keep
    if frames <= longest:
        return [(0, frames, 0)]
    before = longest + ((frames - longest - 1) // step) * step
    return [*_recursive(before, longest, keep), (before - keep, frames, keep)]


def _by_count(frames, longest, keep):
    step = longest - keep
    more = max(0, math.ceil((frames - longest) / step))
    starts = [i * step for i in range(more + 1)]
    return [[s, s + longest if i < more else frames, keep * (i > 0)] for i, s in enumerate(starts)]


def _with_numpy(frames, longest, keep):
    starts = np.arange(0, max(1, frames - keep), longest - keep)
    return tuple(zip(starts, np.minimum(starts + longest, frames), np.where(starts > 0, keep, 0), strict=True))


def _picture(target, yours, arguments):
    frames, longest, keep = arguments
    figure, axes = figures.new_figure(8.4, 2.8, columns=2, sharex=True)
    for one, title, windows in zip(axes, ("target", "yours"), (target, yours), strict=True):
        for i, (start, end, known) in enumerate(windows[:12]):
            one.barh(i, known, left=start, color=figures.GREY, label="known" if i == 1 else None)
            one.barh(i, end - start - known, left=start + known, color=figures.LIT, label="made" if i == 1 else None)
        one.axvline(frames, color=figures.INK, linewidth=1)
        one.invert_yaxis()
        one.set(title=title, xlabel="frame", ylabel="window", yticks=range(len(windows[:12])))
    axes[0].legend(frameon=False, loc="lower left")
    return figures.figure_picture(figure, f"windows of {frames} frames, longest {longest}, keep {keep}")


START, NEXT = "start = windows[-1][1] - keep", "windows.append((start, end, keep))"
plan_windows = Exercise(
    "plan_windows",
    reference=_plan,
    properties=(
        a_short_clip_is_one_window, a_minute_by_hand, no_window_is_longer_than_the_model_sees, each_frame_is_made_once,
        a_window_knows_what_it_keeps, no_window_is_wasted, plans_as_the_library,
    ),
    wrong=mistakes(_plan, {
        a_short_clip_is_one_window: [
            ("min(frames, longest)", "longest", "min(start + longest, frames)", "start + longest",
             "Your windows all have the full length, so the last ends after the clip. Its end is min(start + longest, "
             "frames)."),
            ("return windows", "return [(start, end - 1, known) for start, end, known in windows]",
             "Your end is the last frame of the window. Here it is the one after it, as in a slice."),
            ("longest), 0)]", "longest), keep)]", "The first window has nothing before it: it knows 0 frames."),
            (_to_the_last_frame, "You begin windows as long as there is a start within the clip. The last then makes "
             "nothing new: stop when a window ends at the end of the clip."),
        ],
        a_minute_by_hand: [
            (START, "start = windows[-1][0] + keep",
             "You move on by `keep` frames. That is what two windows share; they move on by longest - keep."),
            ("return windows", "return [(start + known, end, known) for start, end, known in windows]",
             "Your start is the first new frame. A window begins `known` frames before it, with what it keeps."),
            (START, "start = windows[-1][1]",
             "Your windows do not overlap, yet they are said to know `keep` frames. Each begins `keep` frames before "
             "the end of the one before."),
            (START, f"{START} - 1", "while windows[-1][1] < frames", "while windows[-1][1] < frames and longest > "
             "keep + 1", "Your windows begin one frame too early: as in a slice, end is the frame after the last one, "
             "so start is end - keep."),
            ("return windows", "start, end, known = windows[-1]\n    back = max(0, end - longest)\n    return "
             "[*windows[:-1], (back, end, known + start - back)]",
             "You make the last window full by letting it know more. It keeps `keep` frames as all others, and is "
             "shorter."),
            (START, "start = windows[-1][0] + keep", NEXT, "windows.append((start, end, longest - keep))",
             "You move on by what is kept. Each window keeps `keep` frames and moves on by the rest, longest - keep."),
            (START, "start = windows[-1][1]", NEXT, "windows.append((start, end, 0))",
             "Your windows do not overlap: each begins without knowing what came before, another piece of music."),
            (NEXT, "windows.append((start + 1, end, keep))",
             "Your windows begin one frame too late: start is the end of the one before, less keep."),
            ("return windows", "return [*windows[:-1], (max(0, frames - longest), frames, windows[-1][2])]",
             "You move the last window back to make it full. Then it begins further back than `keep` frames, and what "
             "it is said to know does not fit. Let it be shorter."),
            ("min(start + longest, frames)", "min(start + keep + longest, frames)",
             "You count `longest` without what is kept. The model sees the kept frames, too: keep and new ones "
             "together are `longest`."),
            ("windows[-1][1] < frames", "windows[-1][1] + longest - keep <= frames",
             "You divide and round down: the end of the clip is in no window. Round up."),
            (NEXT, "windows.append((start, end, 0))",
             "You do not say what a window knows: its first `keep` frames are there before."),
            (NEXT, "windows.append((start, end, start + keep))",
             "You say that a window knows all that came before. It sees from `start` on: that is `keep` frames."),
            ("return windows", "return [(start, end - start, known) for start, end, known in windows]",
             "Your second number is the length of a window. Its end is wanted."),
            ("windows[-1][1] < frames", "windows[-1][1] < frames - keep", "You stop where no more than `keep` frames "
             "are left. They have to be made, too: go on until a window ends at the end of the clip."),
        ],
        each_frame_is_made_once: [
            ("windows[-1][1] < frames", "windows[-1][1] < frames - 1", "Where one frame is left over you make no "
             "window for it. Go on until a window ends at the end of the clip."),
        ],
        no_window_is_wasted: [
            (_idle_last, "Where the windows fit exactly you begin one more, that knows all it sees and makes nothing. "
             "Stop when a window ends at the end of the clip."),
            (_short_first, "Your first window is short. Then the others know less of the music than they could; let "
             "the last one be short."),
        ],
    }),
    right=(_recursive, _by_count, _with_numpy),
    examples=lambda generator: [MINUTE, (40, 16, 6), (23, 10, 1), (26, 16, 6), (10, 16, 6), (28, 16, 6), (17, 16, 6)],
    picture=_picture,
)  # fmt: skip
