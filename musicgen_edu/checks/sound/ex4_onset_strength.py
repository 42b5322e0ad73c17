"""Exercise 4, `onset_strength`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from ... import figures
from .. import Exercise, Wrong, expect, expect_close
from ._shared import expect_array, numpy_generator, sine_wave


def _onset_strength(x, window, hop):
    frames = sliding_window_view(x, len(window))[::hop]  # [T, W]
    magnitude = np.abs(np.fft.rfft(frames * window))  # [T, W / 2 + 1]
    rise = np.maximum(np.diff(magnitude, axis=0), 0).sum(1)  # [T - 1]
    return np.concatenate([[0.0], rise])


def _hann(W: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(W) / W)


def one_strength_for_each_frame(answer):
    """There is one number for each whole frame, the first of them 0."""
    for N, W, hop in ((200, 32, 8), (100, 16, 16), (75, 20, 7)):
        strength = answer(np.random.uniform(-1, 1, N), _hann(W), hop)
        expect_array(strength, (1 + (N - W) // hop,), "f")
        expect(strength[0] == 0, f"before the first frame there is none, so its strength is 0, not {strength[0]:.3g}")


def a_click_by_hand(answer):
    """A click of 4 where the window is a half: five frequencies, each rising by 2, and then nothing."""
    x = np.zeros(32)
    x[18] = 4.0  # frame 2, place 2
    expect_close(answer(x, _hann(8), 8), np.array([0.0, 0.0, 10.0, 0.0]), "frames of 8: nothing, nothing, 10, nothing")


def an_end_is_not_a_beginning(answer):
    """While a tone dies away nothing begins: all strengths are 0."""
    x = sine_wave(1 / 16, 600) * np.exp(-np.arange(600) / 100)
    expect_close(answer(x, _hann(64), 16), np.zeros(34), "a tone that dies away", 1e-6)


def a_new_note_counts_though_the_old_one_ends(answer):
    """When a tone gives way to another as loud, the rise is not cancelled by the fall."""
    x = np.concatenate([sine_wave(1 / 16, 512), sine_wave(3 / 16, 512)])
    strength = answer(x, _hann(64), 64)
    expect(strength[8] > 20, f"16 cycles give way to 48: the strength of frame 8 must be large, not {strength[8]:.2f}")
    expect(float(np.delete(strength, 8).max()) < 1e-6, "a tone that just goes on has the strength 0")


def strengths_are_the_librarys(answer):
    """On random sounds the strengths are the library's."""
    for N, W, hop in ((300, 32, 8), (211, 30, 13)):
        x, window = np.random.uniform(-1, 1, N), _hann(W)
        expect_close(answer(x, window, hop), _onset_strength(x, window, hop), f"N {N}, W {W}, hop {hop}")


def _magnitude(x, window, hop):
    return np.abs(np.fft.rfft(sliding_window_view(x, len(window))[::hop] * window))


def _onset_unrectified(x, window, hop):
    return np.concatenate([[0.0], np.diff(_magnitude(x, window, hop), axis=0).sum(1)])


def _onset_both_ways(x, window, hop):
    return np.concatenate([[0.0], np.abs(np.diff(_magnitude(x, window, hop), axis=0)).sum(1)])


def _onset_sum_first(x, window, hop):
    return np.concatenate([[0.0], np.maximum(np.diff(_magnitude(x, window, hop).sum(1)), 0)])


def _onset_without_first(x, window, hop):
    return np.maximum(np.diff(_magnitude(x, window, hop), axis=0), 0).sum(1)


def _onset_across_frequencies(x, window, hop):
    return np.maximum(np.diff(_magnitude(x, window, hop), axis=1), 0).sum(1)


def _onset_whole_fft(x, window, hop):
    magnitude = np.abs(np.fft.fft(sliding_window_view(x, len(window))[::hop] * window))
    return np.concatenate([[0.0], np.maximum(np.diff(magnitude, axis=0), 0).sum(1)])


def _onset_power(x, window, hop):
    return np.concatenate([[0.0], np.maximum(np.diff(_magnitude(x, window, hop) ** 2, axis=0), 0).sum(1)])


def _onset_no_window(x, window, hop):
    return _onset_strength(x, np.ones(len(window)), hop)


def _onset_loop(x, window, hop):
    W, before, strengths = len(window), None, []
    for start in range(0, len(x) - W + 1, hop):
        now = np.abs(np.fft.rfft(x[start : start + W] * window))
        strengths.append(0.0 if before is None else sum(max(b - a, 0.0) for a, b in zip(before, now, strict=True)))
        before = now
    return np.array(strengths)


def _onset_matrix(x, window, hop):
    W = len(window)
    wave = np.exp(-2j * np.pi * np.outer(np.arange(W), np.arange(W // 2 + 1)) / W)  # [W, W / 2 + 1]
    starts = np.arange(0, len(x) - W + 1, hop)[:, None]
    magnitude = np.abs((x[starts + np.arange(W)] * window) @ wave)
    change = np.diff(magnitude, axis=0, prepend=magnitude[:1])
    return ((change + np.abs(change)) / 2).sum(-1)


def _onset_picture(target, yours, arguments):
    figure, axes = figures.new_figure(7.6, 2.4)
    axes.plot(target, color=figures.LIT, linewidth=4, alpha=0.4, label="target")
    axes.plot(yours, color=figures.INK, linestyle="--", linewidth=1.2, label="yours")
    axes.set(xlabel="frame", ylabel="strength")
    axes.legend(frameon=False)
    return figures.figure_picture(figure, "onset strength by frame: target as a broad line, yours dashed")


def _two_notes(generator: torch.Generator) -> tuple:
    x = 0.01 * numpy_generator(generator).standard_normal(800)
    x[200:500] += sine_wave(0.07, 300) * np.exp(-np.arange(300) / 150)
    x[500:] += sine_wave(0.11, 300) * np.exp(-np.arange(300) / 150)
    return x, _hann(64), 16


onset_strength = Exercise(
    "onset_strength",
    reference=_onset_strength,
    properties=(
        one_strength_for_each_frame,
        a_click_by_hand,
        an_end_is_not_a_beginning,
        a_new_note_counts_though_the_old_one_ends,
        strengths_are_the_librarys,
    ),
    wrong=(
        Wrong(
            _onset_without_first,
            "one_strength_for_each_frame",
            "T frames have T - 1 differences. Put a 0 in front, so that strength t belongs to frame t.",
        ),
        Wrong(
            _onset_across_frequencies,
            "one_strength_for_each_frame",
            "You compare each frequency with the next one of the same frame. Compare each frame with the one before: "
            "axis 0 of [T, W / 2 + 1].",
        ),
        Wrong(
            _onset_whole_fft,
            "a_click_by_hand",
            "np.fft.fft gives every frequency of a real sound twice, so you count it twice. Use np.fft.rfft.",
        ),
        Wrong(_onset_power, "a_click_by_hand", "These are energies. Take the magnitude, without the square."),
        Wrong(
            _onset_no_window,
            "a_click_by_hand",
            "The frames are not multiplied with the window. Without it a steady tone seems to change from frame to "
            "frame.",
        ),
        Wrong(
            _onset_unrectified,
            "a_click_by_hand",
            "Rises and falls are added up, so they cancel. Only rises count: np.maximum(difference, 0) before the sum.",
        ),
        Wrong(
            _onset_both_ways,
            "a_click_by_hand",
            "The absolute value counts falls as well: every end looks like a beginning. np.maximum(difference, 0).",
        ),
        Wrong(
            _onset_sum_first,
            "a_new_note_counts_though_the_old_one_ends",
            "You add up the frequencies first. Then a note that ends cancels one that begins. First the difference of "
            "each frequency, then the sum of the positive ones.",
        ),
    ),
    right=(_onset_loop, _onset_matrix),
    examples=lambda generator: [_two_notes(generator), (numpy_generator(generator).uniform(-1, 1, 90), _hann(20), 7)],
    picture=_onset_picture,
)
