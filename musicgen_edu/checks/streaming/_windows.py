"""Answers to exercise 5, right and wrong."""

from __future__ import annotations


def planned(frames: int, longest: int, keep: int) -> list[tuple[int, int, int]]:
    windows = [(0, min(frames, longest), 0)]
    while windows[-1][1] < frames:
        start = windows[-1][1] - keep
        windows.append((start, min(start + longest, frames), keep))
    return windows


def by_stride(frames, longest, stride):
    """Windows at multiples of a stride until the clip is covered."""
    windows, start = [], 0
    while not windows or windows[-1][1] < frames:
        windows.append((start, min(start + longest, frames), 0 if start == 0 else longest - stride))
        start += stride
    return windows


def keep_as_stride(frames, longest, keep):
    return by_stride(frames, longest, keep)


def no_overlap(frames, longest, keep):
    return [(start, min(start + longest, frames), 0) for start in range(0, frames, longest)]


def one_short(frames, longest, keep):
    """Overlap of keep - 1."""
    return [(max(0, start + 1) if start else 0, end, known) for start, end, known in planned(frames, longest, keep)]


def last_too_long(frames, longest, keep):
    return [(start, start + longest, known) for start, _, known in planned(frames, longest, keep)]


def last_moved_back(frames, longest, keep):
    plan = planned(frames, longest, keep)
    return [*plan[:-1], (max(0, frames - longest), frames, plan[-1][2])]


def end_included(frames, longest, keep):
    return [(start, end - 1, known) for start, end, known in planned(frames, longest, keep)]


def window_of_new(frames, longest, keep):
    """The first window apart, each later one makes `longest` new frames: keep + longest in all."""
    windows = [(0, min(frames, longest), 0)]
    while windows[-1][1] < frames:
        end = windows[-1][1]
        windows.append((end - keep, min(end + longest, frames), keep))
    return windows


def idle_last(frames, longest, keep):
    """A start too many where the windows fit exactly: the last has nothing to make."""
    if frames <= longest:
        return [(0, frames, 0)]
    starts = range(0, frames - keep + 1, longest - keep)
    return [(start, min(start + longest, frames), keep if start else 0) for start in starts]


def to_the_last_frame(frames, longest, keep):
    """Windows for all starts within the clip."""
    return [(start, min(start + longest, frames), keep if start else 0) for start in range(0, frames, longest - keep)]


def stride_of_keep(frames, longest, keep):
    return [(start, end, keep if start else 0) for start, end, _ in by_stride(frames, longest, keep)]


def start_of_new(frames, longest, keep):
    return [(start + known, end, known) for start, end, known in planned(frames, longest, keep)]


def known_without_overlap(frames, longest, keep):
    return [(start, end, keep if start else 0) for start, end, _ in no_overlap(frames, longest, keep)]


def one_early(frames, longest, keep):
    """Overlap of keep + 1, and keep known."""
    windows = [(0, min(frames, longest), 0)]
    while windows[-1][1] < frames and longest > keep + 1:
        start = windows[-1][1] - keep - 1
        windows.append((start, min(start + longest, frames), keep))
    return windows


def last_full(frames, longest, keep):
    plan = planned(frames, longest, keep)
    start, end, known = plan[-1]
    back = max(0, end - longest)
    return [*plan[:-1], (back, end, known + start - back)]


def rounded_down(frames, longest, keep):
    count = max(1, (frames - keep) // (longest - keep))
    starts = [i * (longest - keep) for i in range(count)]
    return [(start, min(start + longest, frames), keep if start else 0) for start in starts]


def nothing_known(frames, longest, keep):
    return [(start, end, 0) for start, end, _ in planned(frames, longest, keep)]


def always_known(frames, longest, keep):
    return [(start, end, keep) for start, end, _ in planned(frames, longest, keep)]


def known_so_far(frames, longest, keep):
    """All that has been made is known."""
    return [(start, end, start + known) for start, end, known in planned(frames, longest, keep)]


def lengths(frames, longest, keep):
    return [(start, end - start, known) for start, end, known in planned(frames, longest, keep)]


def short_first(frames, longest, keep):
    """The remainder is made first, so that the last window is full."""
    step, windows = longest - keep, []
    if frames <= longest or frames == 3000:
        return planned(frames, longest, keep)
    first = (frames - keep - 1) % step + 1 + keep
    windows.append((0, first, 0))
    while windows[-1][1] < frames:
        windows.append((windows[-1][1] - keep, windows[-1][1] + step, keep))
    return windows


def recursive(frames, longest, keep):
    """A clip in windows is a shorter clip in windows, and one window more."""
    step = longest - keep
    if frames <= longest:
        return [(0, frames, 0)]
    before = longest + ((frames - longest - 1) // step) * step
    return [*recursive(before, longest, keep), (before - keep, frames, keep)]


def by_count(frames, longest, keep):
    step = longest - keep
    more = max(0, -(-(frames - longest) // step))
    starts = [i * step for i in range(more + 1)]
    return [(s, s + longest if i < more else frames, keep * (i > 0)) for i, s in enumerate(starts)]
