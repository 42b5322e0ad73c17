"""Answers to exercise 6, right and wrong."""

from __future__ import annotations


def first(frames, chunk, look_ahead, K, step_seconds, frame_rate):
    steps = min(chunk + look_ahead, frames) + K - 1
    return steps, steps * step_seconds, (frames + K - 1) * step_seconds * frame_rate / frames


def with_steps(steps, arguments):
    """The reference with other steps."""
    return steps, steps * arguments[4], first(*arguments)[2]


def waits_for_all(*a):
    return with_steps(a[0] + a[3] - 1, a)


def no_look_ahead(*a):
    return with_steps(min(a[1], a[0]) + a[3] - 1, a)


def no_delay(*a):
    return with_steps(min(a[1] + a[2], a[0]), a)


def delay_of_all(*a):
    return with_steps(min(a[1] + a[2], a[0]) + a[3], a)


def every_code_a_step(*a):
    return with_steps(min(a[1] + a[2], a[0]) * a[3], a)


def delay_of_each_frame_looked_at(*a):
    return with_steps(min(a[1], a[0]) + a[2] * a[3] + a[3] - 1 if a[3] > 1 else first(*a)[0], a)


def no_end(*a):
    return with_steps(a[1] + a[2] + a[3] - 1, a)


def end_counts_the_delay(*a):
    return with_steps(min(a[1] + a[2] + a[3] - 1, a[0]), a)


def looks_beyond_the_end(*a):
    return with_steps(min(a[1], a[0]) + a[2] + a[3] - 1, a)


def by_frame_rate(*a):
    steps, _, factor = first(*a)
    return steps, steps / a[5], factor


def upside_down(*a):
    steps, seconds, factor = first(*a)
    return steps, seconds, 1 / factor


def step_alone(*a):
    steps, seconds, _ = first(*a)
    return steps, seconds, a[4] * a[5]


def of_the_chunk(*a):
    steps, seconds, _ = first(*a)
    return steps, seconds, seconds * a[5] / min(a[0], a[1])


def simulated(frames, chunk, look_ahead, K, step_seconds, frame_rate):
    """Step after step, until the frames are complete."""
    steps, complete = 0, 0
    while complete < chunk + look_ahead and complete < frames:
        steps += 1
        complete = max(0, steps - K + 1)
    whole = steps + frames - complete
    return steps, steps * step_seconds, whole * step_seconds / (frames / frame_rate)


def by_last_frame(frames, chunk, look_ahead, K, step_seconds, frame_rate):
    last = chunk + look_ahead if chunk + look_ahead <= frames else frames  # counted from 1
    music = frames / frame_rate
    return last + (K - 1), step_seconds * (last + K - 1), step_seconds * (frames - 1 + K) / music


def with_factor(factor, arguments):
    """The reference with another real-time factor."""
    return *first(*arguments)[:2], factor


def of_the_chunk_asked_for(*a):
    return with_factor(first(*a)[1] * a[5] / a[1], a)


def all_the_time(*a):
    return with_factor((a[0] + a[3] - 1) * a[4], a)


def looks_ahead_at_the_end(*a):
    return with_factor((a[0] + a[2] + a[3] - 1) * a[4] * a[5] / a[0], a)
