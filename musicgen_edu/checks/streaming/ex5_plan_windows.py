"""Exercise 5, `plan_windows`: a long clip in windows that the model can see."""

from __future__ import annotations

import torch

from ... import figures
from ...model.continuation import plan_windows as library_windows
from .. import Exercise, Wrong, expect
from . import _windows as answers

MINUTE = (3000, 1500, 600)  # frames, longest, keep: 60 s in windows of 30 s that keep 12 s, 50 frames a second


def _windows(answer, frames: int, longest: int, keep: int) -> list[tuple[int, int, int]]:
    """What an answer plans, in a form that can be relied on; it may be asked for a thousand frames at the most."""
    found = answer(frames, longest, keep)
    expect(isinstance(found, list) and found, f"expected a list of windows, not {found!r}")
    for one in found:
        right = isinstance(one, tuple) and len(one) == 3 and all(type(number) is int for number in one)
        expect(right, f"a window is a tuple of three ints: start, end, known; not {one!r}")
    return found


def _case(frames: int, longest: int, keep: int) -> str:
    return f"{frames} frames, longest {longest}, keep {keep}"


CASES = ((40, 16, 6), (23, 10, 1), (100, 15, 14), (47, 20, 9), (16, 16, 6), (17, 16, 6), (5, 16, 6), (26, 16, 6))


def a_short_clip_is_one_window(answer):
    """A clip that the model can see as a whole is one window of its own length, in which nothing is known."""
    for case in ((10, 16, 6), (16, 16, 6), (1, 2, 1)):
        found = _windows(answer, *case)
        expect(found == [(0, case[0], 0)], f"{_case(*case)}: expected {[(0, case[0], 0)]}, not {found}")


def a_minute_by_hand(answer):
    """60 s: 0 to 30, 18 to 48, 36 to 60 s."""
    found, wanted = _windows(answer, *MINUTE), [(0, 1500, 0), (900, 2400, 600), (1800, 3000, 600)]
    expect(found == wanted, f"{_case(*MINUTE)}: expected {wanted}, not {found}")


def no_window_is_longer_than_the_model_sees(answer):
    """No window has more than `longest` frames, and none ends after the clip."""
    for case in CASES:
        found = _windows(answer, *case)
        expect(all(0 <= start < end <= case[0] and end - start <= case[1] for start, end, _ in found),
               f"{_case(*case)}: {found}")  # fmt: skip


def each_frame_is_made_once(answer):
    """The frames that windows make, `start + known` to `end`, follow each other from 0 to the end of the clip."""
    for case in CASES:
        made = [(start + known, end) for start, end, known in _windows(answer, *case)]
        borders = [0, *(end for _, end in made)]
        right = [start for start, _ in made] == borders[:-1] and borders[-1] == case[0]
        expect(right, f"{_case(*case)}: the windows make {made}")


def a_window_knows_what_it_keeps(answer):
    """Each window but the first begins with `keep` frames of the one before, as its prompt."""
    for case in CASES:
        found = _windows(answer, *case)
        known = [one[2] for one in found]
        expect(known == [0] + [case[2]] * (len(found) - 1), f"{_case(*case)}: the windows know {known} frames")


def no_window_is_wasted(answer):
    """Every window makes something new, and only the last may be shorter than the model sees."""
    for case in CASES:
        found = _windows(answer, *case)
        expect(all(end - start > known for start, end, known in found), f"{_case(*case)}: {found} has an idle window")
        full = all(end - start == case[1] for start, end, _ in found[:-1])
        expect(full, f"{_case(*case)}: {found} has a short window before its last one")


def plans_as_the_library(answer):
    """On random lengths the windows are those of the library."""
    for _ in range(40):
        longest = int(torch.randint(2, 60, ()))
        frames, keep = int(torch.randint(1, 300, ())), int(torch.randint(1, longest, ()))
        wanted = [(one.start, one.end, one.known) for one in library_windows(frames, longest, keep)]
        found = _windows(answer, frames, longest, keep)
        expect(found == wanted, f"{_case(frames, longest, keep)}: expected {wanted[:4]}, not {found[:4]}")


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


plan_windows = Exercise(
    "plan_windows",
    reference=answers.planned,
    properties=(
        a_short_clip_is_one_window,
        a_minute_by_hand,
        no_window_is_longer_than_the_model_sees,
        each_frame_is_made_once,
        a_window_knows_what_it_keeps,
        no_window_is_wasted,
        plans_as_the_library,
    ),
    wrong=(
        Wrong(
            answers.last_too_long,
            "a_short_clip_is_one_window",
            "Your windows all have the full length, so the last ends after the clip. Its end is min(start + longest, "
            "frames).",
        ),
        Wrong(
            answers.end_included,
            "a_short_clip_is_one_window",
            "Your end is the last frame of the window. Here it is the one after it, as in a slice.",
        ),
        Wrong(
            answers.always_known,
            "a_short_clip_is_one_window",
            "The first window has nothing before it: it knows 0 frames.",
        ),
        Wrong(
            answers.to_the_last_frame,
            "a_short_clip_is_one_window",
            "You begin windows as long as there is a start within the clip. The last then makes nothing new: stop when "
            "a window ends at the end of the clip.",
        ),
        Wrong(
            answers.stride_of_keep,
            "a_minute_by_hand",
            "You move on by `keep` frames. That is what two windows share; they move on by longest - keep.",
        ),
        Wrong(
            answers.start_of_new,
            "a_minute_by_hand",
            "Your start is the first new frame. A window begins `known` frames before it, with what it keeps.",
        ),
        Wrong(
            answers.known_without_overlap,
            "a_minute_by_hand",
            "Your windows do not overlap, yet they are said to know `keep` frames. Each begins `keep` frames before "
            "the end of the one before.",
        ),
        Wrong(
            answers.one_early,
            "a_minute_by_hand",
            "Your windows begin one frame too early: as in a slice, end is the frame after the last one, so start is "
            "end - keep.",
        ),
        Wrong(
            answers.last_full,
            "a_minute_by_hand",
            "You make the last window full by letting it know more. It keeps `keep` frames as all others, and is "
            "shorter.",
        ),
        Wrong(
            answers.keep_as_stride,
            "a_minute_by_hand",
            "You move on by what is kept. Each window keeps `keep` frames and moves on by the rest, longest - keep.",
        ),
        Wrong(
            answers.no_overlap,
            "a_minute_by_hand",
            "Your windows do not overlap: each begins without knowing what came before, another piece of music.",
        ),
        Wrong(
            answers.one_short,
            "a_minute_by_hand",
            "Your windows begin one frame too late: start is the end of the one before, less keep.",
        ),
        Wrong(
            answers.last_moved_back,
            "a_minute_by_hand",
            "You move the last window back to make it full. Then it begins further back than `keep` frames, and what "
            "it is said to know does not fit. Let it be shorter.",
        ),
        Wrong(
            answers.window_of_new,
            "a_minute_by_hand",
            "You count `longest` without what is kept. The model sees the kept frames, too: keep and new ones "
            "together are `longest`.",
        ),
        Wrong(
            answers.rounded_down,
            "a_minute_by_hand",
            "You divide and round down: the end of the clip is in no window. Round up.",
        ),
        Wrong(
            answers.nothing_known,
            "a_minute_by_hand",
            "You do not say what a window knows: its first `keep` frames are there before.",
        ),
        Wrong(
            answers.known_so_far,
            "a_minute_by_hand",
            "You say that a window knows all that came before. It sees from `start` on: that is `keep` frames.",
        ),
        Wrong(
            answers.lengths,
            "a_minute_by_hand",
            "Your second number is the length of a window. Its end is wanted.",
        ),
        Wrong(
            answers.idle_last,
            "no_window_is_wasted",
            "Where the windows fit exactly you begin one more, that knows all it sees and makes nothing. Stop when a "
            "window ends at the end of the clip.",
        ),
        Wrong(
            answers.short_first,
            "no_window_is_wasted",
            "Your first window is short. Then the others know less of the music than they could; let the last one be "
            "short.",
        ),
    ),
    right=(answers.recursive, answers.by_count),
    examples=lambda generator: [MINUTE, (40, 16, 6), (23, 10, 1), (26, 16, 6), (10, 16, 6), (28, 16, 6)],
    picture=_picture,
)
