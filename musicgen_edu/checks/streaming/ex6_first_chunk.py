"""Exercise 6, `first_chunk`: when the first sound is there, and whether the music keeps up."""

from __future__ import annotations

from fractions import Fraction

import torch

from ...model.patterns import num_steps, pattern_table
from .. import Exercise, expect, expect_close, expect_equal, mistakes, plain


def _first(frames, chunk, look_ahead, K, step_seconds, frame_rate):
    needed = min(chunk + look_ahead, frames)
    steps = needed + K - 1
    factor = (frames + K - 1) * step_seconds / (frames / frame_rate)
    return steps, steps * step_seconds, factor


def _found(answer, *arguments) -> tuple[int, float, float]:
    found = plain(answer(*arguments))
    expect(isinstance(found, tuple) and len(found) == 3, f"expected three numbers, not {found!r}")
    expect(type(found[0]) is int, f"steps must be an int, not {found[0]!r}")
    for name, one in zip(("seconds", "the factor"), found[1:], strict=True):
        expect(type(one) in (int, float, Fraction), f"{name} must be a number, not {one!r}")
    return found[0], float(found[1]), float(found[2])


def _expect_steps(answer, frames: int, chunk: int, look_ahead: int, K: int, wanted: int) -> None:
    steps = _found(answer, frames, chunk, look_ahead, K, 0.02, 50)[0]
    expect_equal(steps, wanted, f"clip of {frames} frames, chunk of {chunk}, look-ahead {look_ahead}, K = {K}: steps")


def one_step_gives_one_frame_of_one_codebook(answer):
    """One codebook and no look-ahead: a chunk of n frames takes n steps."""
    for chunk in (1, 10, 100):
        _expect_steps(answer, 500, chunk, 0, 1, chunk)


def the_decoder_looks_ahead(answer):
    """The frames that the decoder looks ahead have to be there, too: 10 and 4 are 14."""
    _expect_steps(answer, 500, 10, 4, 1, 14)


def the_pattern_delays(answer):
    """K codebooks: the last code of a frame comes K - 1 steps after its first."""
    for K, wanted in ((2, 15), (4, 17), (8, 21)):
        _expect_steps(answer, 500, 10, 4, K, wanted)


def a_clip_may_end_before(answer):
    """Nothing follows the end of a clip: then no look-ahead is waited for."""
    for frames, chunk, wanted in ((10, 10, 13), (12, 10, 15), (5, 10, 8), (14, 10, 17), (1, 10, 4)):
        _expect_steps(answer, frames, chunk, 4, 4, wanted)


def seconds_are_steps_times_the_time_of_one(answer):
    """A step takes as long as the computer needs for it, whatever the frame rate is."""
    for step_seconds, rate in ((0.018, 50), (0.1, 50), (0.018, 75), (0.00015, 68.90625)):
        steps, seconds, _ = _found(answer, 750, 75, 4, 4, step_seconds, rate)
        what = f"{steps} steps of {step_seconds} s at {rate} frames a second: seconds"
        expect_close(seconds, steps * step_seconds, what, 1e-7)


def the_factor_is_work_for_a_second_of_music(answer):
    """The real-time factor: seconds of work for a second of music, the whole clip, all its steps."""
    for frames, K, step_seconds, rate in (
        (100, 1, 0.02, 50), (100, 1, 0.01, 50), (750, 4, 0.018, 50), (10, 4, 0.1, 5), (3, 4, 0.003, 68.90625),
    ):  # fmt: skip
        wanted = (frames + K - 1) * step_seconds / (frames / rate)
        factor = _found(answer, frames, 5, 4, K, step_seconds, rate)[2]
        what = f"{frames} frames at {rate} a second, K = {K}, {step_seconds} s a step: factor"
        expect_close(factor, wanted, what, 1e-6)


def steps_are_those_of_the_table(answer):
    """On random sizes: the first step of the library's delay table after which all codes of the frames are there."""
    for _ in range(30):
        frames, chunk, look_ahead, K, rate = (
            int(torch.randint(low, high, ())) for low, high in ((1, 60), (1, 40), (0, 7), (1, 9), (1, 100))
        )
        table, step_seconds = pattern_table("delay", K, frames), float(torch.rand(())) + 0.01  # [K, T]
        wanted = int(table[:, : chunk + look_ahead].max()) + 1
        steps, seconds, factor = _found(answer, frames, chunk, look_ahead, K, step_seconds, rate)
        what = f"clip of {frames} frames, chunk of {chunk}, look-ahead {look_ahead}, K = {K}"
        expect_equal(steps, wanted, f"{what}: steps")
        what = f"{what}, {step_seconds:g} s a step, {rate} frames a second"
        expect_close(seconds, wanted * step_seconds, f"{what}: seconds", 1e-6)
        expect_close(factor, num_steps(table) * step_seconds / (frames / rate), f"{what}: factor", 1e-6)


def _simulated(frames, chunk, look_ahead, K, step_seconds, frame_rate):
    """Step after step, until the frames are complete."""
    steps, complete = 0, 0
    while complete < chunk + look_ahead and complete < frames:
        steps += 1
        complete = max(0, steps - K + 1)
    whole = steps + frames - complete
    return steps, steps * step_seconds, whole * step_seconds / (frames / frame_rate)


def _by_last_frame(frames, chunk, look_ahead, K, step_seconds, frame_rate):
    last = chunk + look_ahead if chunk + look_ahead <= frames else frames  # counted from 1
    music = Fraction(frames) / Fraction(frame_rate)
    return [last + (K - 1), step_seconds * (last + K - 1), Fraction(step_seconds) * (frames - 1 + K) / music]


def _by_table(frames, chunk, look_ahead, K, step_seconds, frame_rate):
    table = torch.arange(frames) + torch.arange(K)[:, None]
    steps, all_steps = table[:, : chunk + look_ahead].max() + 1, table.max() + 1
    return steps, steps.double() * step_seconds, all_steps.double() * step_seconds * frame_rate / frames


NEEDED, FACTOR = "min(chunk + look_ahead, frames)", "(frames + K - 1) * step_seconds / (frames / frame_rate)"
first_chunk = Exercise(
    "first_chunk",
    reference=_first,
    properties=(
        one_step_gives_one_frame_of_one_codebook, the_decoder_looks_ahead, the_pattern_delays, a_clip_may_end_before,
        seconds_are_steps_times_the_time_of_one, the_factor_is_work_for_a_second_of_music,
        steps_are_those_of_the_table,
    ),
    wrong=mistakes(_first, {
        one_step_gives_one_frame_of_one_codebook: [
            (NEEDED, "frames", "You wait for the whole clip. A stream waits for the frames of its first chunk and "
             "those that they look ahead to."),
            ("needed + K - 1", "needed + K",
             "You count K steps of delay. With one codebook there is none: K - 1."),
            ("steps = needed + K - 1", "steps = float(needed + K - 1)", "Your number of steps is a float. Steps are "
             "counted in whole numbers."),
        ],
        the_decoder_looks_ahead: [
            (NEEDED, "min(chunk, frames)",
             "You forget the look-ahead: the end of the chunk depends on frames after it."),
        ],
        the_pattern_delays: [
            ("needed + K - 1", "needed",
             "You forget the delay pattern: a frame is complete K - 1 steps after its first code."),
            ("needed + K - 1", "needed * K", "You take a step for each code. In the delay pattern a step makes one "
             "code of each codebook, of different frames."),
            (NEEDED, "min(chunk, frames) + look_ahead * K if K > 1 else min(chunk + look_ahead, frames)",
             "You multiply the look-ahead by K. A frame more is one step more, whatever K is."),
        ],
        a_clip_may_end_before: [
            (NEEDED, "chunk + look_ahead",
             "You wait for frames after the end of the clip, which never come: min(chunk + look_ahead, frames)."),
            ("needed + K - 1", "min(chunk + look_ahead + K - 1, frames)",
             "A clip of T frames takes T + K - 1 steps: the limit is on frames, before the delay is added."),
            (NEEDED, "min(chunk, frames) + look_ahead",
             "Chunk and look-ahead together end at the end of the clip: you limit the chunk alone."),
            (NEEDED, "chunk + look_ahead if chunk + look_ahead <= frames else min(chunk, frames)", "Where the clip "
             "ends within the look-ahead you drop all of it. What is left of the clip is looked at: "
             "min(chunk + look_ahead, frames)."),
        ],
        seconds_are_steps_times_the_time_of_one: [
            ("steps * step_seconds,", "steps / frame_rate,",
             "You divide by the frame rate: that is how long the music lasts, not how long it takes to make."),
            ("steps * step_seconds,", "round(steps * step_seconds, 3),", "You round the seconds. Leave that to whoever "
             "prints them."),
        ],
        the_factor_is_work_for_a_second_of_music: [
            (FACTOR, "(frames / frame_rate) / ((frames + K - 1) * step_seconds)",
             "Your factor is seconds of music for a second of work. Here it is the other way round: below 1 is faster "
             "than it plays."),
            (FACTOR, "step_seconds * frame_rate", "You leave out the K - 1 steps with which a clip ends. In a long "
             "clip that is little, in a short one much."),
            (FACTOR, "steps * step_seconds * frame_rate / min(frames, chunk)",
             "That is the factor of the first chunk, which pays for look-ahead and delay. It is asked for the clip."),
            (FACTOR, "steps * step_seconds * frame_rate / chunk",
             "You divide by the music of the first chunk. The factor is that of the whole clip, with all its steps."),
            (FACTOR, "(frames + K - 1) * step_seconds",
             "That is the time for the whole clip. Divide it by how long the clip plays, frames / frame_rate."),
            ("factor = (frames + K", "factor = (frames + look_ahead + K",
             "You count the look-ahead again. The whole clip takes frames + K - 1 steps: nothing follows its end."),
            (FACTOR, "(frames + K - 1) * step_seconds * int(frame_rate) / frames", "You round the frame rate. It need "
             "be no whole number: at 44.1 kHz with 640 samples a frame it is 68.9."),
        ],
    }),
    right=(_simulated, _by_last_frame, _by_table),
    examples=lambda generator: [
        (750, 75, 4, 4, 0.018, 50), (12, 10, 4, 4, 0.02, 50), (5, 10, 4, 4, 0.02, 50), (10, 10, 4, 2, 0.02, 25),
        (40, 9, 2, 1, 0.02, 50), (20, 10, 4, 4, 0.00017, 68.90625),
    ],
)  # fmt: skip
