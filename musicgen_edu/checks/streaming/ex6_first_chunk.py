"""Exercise 6, `first_chunk`: when the first sound is there, and whether the music keeps up."""

from __future__ import annotations

import math

import torch

from ...model.patterns import pattern_table
from .. import Exercise, Wrong, expect
from . import _first_chunk as answers


def _found(answer, *arguments) -> tuple[int, float, float]:
    found = answer(*arguments)
    expect(isinstance(found, tuple) and len(found) == 3, f"expected a tuple of three numbers, not {found!r}")
    expect(type(found[0]) is int, f"steps must be an int, not {found[0]!r}")
    expect(
        all(isinstance(one, (int, float)) for one in found[1:]), f"seconds and factor must be numbers, not {found!r}"
    )
    return found


def _close(found: float, wanted: float, sentence: str) -> None:
    expect(math.isclose(found, wanted, rel_tol=1e-6), f"{sentence}: expected {wanted:g}, not {found:g}")


def one_step_gives_one_frame_of_one_codebook(answer):
    """One codebook and no look-ahead: a chunk of n frames takes n steps."""
    for chunk in (1, 10, 100):
        steps = _found(answer, 500, chunk, 0, 1, 0.02, 50)[0]
        expect(steps == chunk, f"chunk of {chunk} frames, K = 1, no look-ahead: expected {chunk} steps, not {steps}")


def the_decoder_looks_ahead(answer):
    """The frames that the decoder looks ahead have to be there, too: 10 and 4 are 14."""
    steps = _found(answer, 500, 10, 4, 1, 0.02, 50)[0]
    expect(steps == 14, f"chunk of 10 frames, look-ahead 4, K = 1: expected 14 steps, not {steps}")


def the_pattern_delays(answer):
    """K codebooks: the last code of a frame comes K - 1 steps after its first."""
    for K, wanted in ((2, 15), (4, 17), (8, 21)):
        steps = _found(answer, 500, 10, 4, K, 0.02, 50)[0]
        expect(steps == wanted, f"chunk of 10 frames, look-ahead 4, K = {K}: expected {wanted} steps, not {steps}")


def a_clip_may_end_before(answer):
    """Nothing follows the end of a clip: then no look-ahead is waited for."""
    for frames, chunk, wanted in ((10, 10, 13), (12, 10, 15), (5, 10, 8)):
        steps = _found(answer, frames, chunk, 4, 4, 0.02, 50)[0]
        expect(steps == wanted, f"clip of {frames}, chunk of {chunk}, K = 4: expected {wanted} steps, not {steps}")


def seconds_are_steps_times_the_time_of_one(answer):
    """A step takes as long as the computer needs for it, whatever the frame rate is."""
    for step_seconds, rate in ((0.018, 50), (0.1, 50), (0.018, 75)):
        steps, seconds, _ = _found(answer, 750, 75, 4, 4, step_seconds, rate)
        _close(seconds, steps * step_seconds, f"{steps} steps of {step_seconds} s at {rate} frames a second")


def the_factor_is_work_for_a_second_of_music(answer):
    """The real-time factor: seconds of work for a second of music, the whole clip, all its steps."""
    for frames, K, step_seconds, rate in ((100, 1, 0.02, 50), (100, 1, 0.01, 50), (750, 4, 0.018, 50), (10, 4, 0.1, 5)):
        wanted = (frames + K - 1) * step_seconds / (frames / rate)
        factor = _found(answer, frames, 5, 4, K, step_seconds, rate)[2]
        _close(factor, wanted, f"{frames} frames at {rate} a second, K = {K}, {step_seconds} s a step: factor")


def steps_are_those_of_the_table(answer):
    """On random sizes: the first step of the delay table after which all codes of the frames needed are there."""
    for _ in range(20):
        frames, chunk, look_ahead, K = (
            int(torch.randint(low, high, ())) for low, high in ((1, 60), (1, 40), (0, 7), (1, 9))
        )
        table = pattern_table("delay", K, frames)  # [K, T]: the step that makes each code, from 0
        wanted = int(table[:, : chunk + look_ahead].max()) + 1
        steps = _found(answer, frames, chunk, look_ahead, K, 0.02, 50)[0]
        case = f"clip of {frames}, chunk of {chunk}, look-ahead {look_ahead}, K = {K}"
        expect(steps == wanted, f"{case}: expected {wanted} steps, not {steps}")


first_chunk = Exercise(
    "first_chunk",
    reference=answers.first,
    properties=(
        one_step_gives_one_frame_of_one_codebook,
        the_decoder_looks_ahead,
        the_pattern_delays,
        a_clip_may_end_before,
        seconds_are_steps_times_the_time_of_one,
        the_factor_is_work_for_a_second_of_music,
        steps_are_those_of_the_table,
    ),
    wrong=(
        Wrong(
            answers.waits_for_all,
            "one_step_gives_one_frame_of_one_codebook",
            "You wait for the whole clip. A stream waits for the frames of its first chunk and those that they look "
            "ahead to.",
        ),
        Wrong(
            answers.delay_of_all,
            "one_step_gives_one_frame_of_one_codebook",
            "You count K steps of delay. With one codebook there is none: K - 1.",
        ),
        Wrong(
            answers.no_look_ahead,
            "the_decoder_looks_ahead",
            "You forget the look-ahead: the end of the chunk depends on frames after it.",
        ),
        Wrong(
            answers.no_delay,
            "the_pattern_delays",
            "You forget the delay pattern: a frame is complete K - 1 steps after its first code.",
        ),
        Wrong(
            answers.every_code_a_step,
            "the_pattern_delays",
            "You take a step for each code. In the delay pattern a step makes one code of each codebook, of different "
            "frames.",
        ),
        Wrong(
            answers.delay_of_each_frame_looked_at,
            "the_pattern_delays",
            "You multiply the look-ahead by K. A frame more is one step more, whatever K is.",
        ),
        Wrong(
            answers.no_end,
            "a_clip_may_end_before",
            "You wait for frames after the end of the clip, which never come: min(chunk + look_ahead, frames).",
        ),
        Wrong(
            answers.end_counts_the_delay,
            "a_clip_may_end_before",
            "A clip of T frames takes T + K - 1 steps: the limit is on frames, before the delay is added.",
        ),
        Wrong(
            answers.looks_beyond_the_end,
            "a_clip_may_end_before",
            "Chunk and look-ahead together end at the end of the clip: you limit the chunk alone.",
        ),
        Wrong(
            answers.by_frame_rate,
            "seconds_are_steps_times_the_time_of_one",
            "You divide by the frame rate: that is how long the music lasts, not how long it takes to make.",
        ),
        Wrong(
            answers.upside_down,
            "the_factor_is_work_for_a_second_of_music",
            "Your factor is seconds of music for a second of work. Here it is the other way round: below 1 is faster "
            "than it plays.",
        ),
        Wrong(
            answers.step_alone,
            "the_factor_is_work_for_a_second_of_music",
            "You leave out the K - 1 steps with which a clip ends. In a long clip that is little, in a short one much.",
        ),
        Wrong(
            answers.of_the_chunk,
            "the_factor_is_work_for_a_second_of_music",
            "That is the factor of the first chunk, which pays for look-ahead and delay. It is asked for the clip.",
        ),
        Wrong(
            answers.of_the_chunk_asked_for,
            "the_factor_is_work_for_a_second_of_music",
            "You divide by the music of the first chunk. The factor is that of the whole clip, with all its steps.",
        ),
        Wrong(
            answers.all_the_time,
            "the_factor_is_work_for_a_second_of_music",
            "That is the time for the whole clip. Divide it by how long the clip plays, frames / frame_rate.",
        ),
        Wrong(
            answers.looks_ahead_at_the_end,
            "the_factor_is_work_for_a_second_of_music",
            "You count the look-ahead again. The whole clip takes frames + K - 1 steps: nothing follows its end.",
        ),
    ),
    right=(answers.simulated, answers.by_last_frame),
    examples=lambda generator: [
        (750, 75, 4, 4, 0.018, 50),
        (12, 10, 4, 4, 0.02, 50),
        (5, 10, 4, 4, 0.02, 50),
        (10, 10, 4, 2, 0.02, 25),
        (40, 9, 2, 1, 0.02, 50),
    ],
)
