"""Exercise 4, `onset_strength`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.lib.stride_tricks import sliding_window_view

from .. import Exercise, expect, expect_close, mistakes
from ._shared import expect_array, numpy_generator, sine_wave, two_lines


def _onset_strength(x, window, hop):
    W = len(window)
    frames = sliding_window_view(x, W)[::hop] * window  # [T, W]
    magnitude = np.abs(np.fft.rfft(frames))  # [T, W // 2 + 1]
    rise = np.maximum(np.diff(magnitude, axis=0), 0)  # [T - 1, W // 2 + 1]
    return np.concatenate([[0.0], rise.sum(1)])


def _hann(W: int) -> np.ndarray:
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(W) / W)


def one_strength_for_each_frame(answer):
    """There is one number for each whole frame, the first of them 0."""
    for N, W, hop in ((200, 32, 8), (100, 16, 16), (75, 20, 7), (90, 15, 4), (100, 10, 25), (24, 24, 6)):
        strength = answer(np.random.uniform(-1, 1, N), _hann(W), hop)
        expect_array(strength, (1 + (N - W) // hop,), "f", f"N {N}, W {W}, hop {hop}: the result")
        expect(strength[0] == 0, f"the strength of the first frame: expected 0, not {strength[0]:.3g}")


def a_click_by_hand(answer):
    """A click of 4 where the window is a half: five frequencies, each rising by 2, and then nothing."""
    x = np.zeros(32)
    x[18] = 4.0  # frame 2, place 2
    expect_close(answer(x, _hann(8), 8), np.array([0.0, 0.0, 10.0, 0.0]), "frames of 8: nothing, nothing, 10, nothing")


def an_odd_window_has_fewer_frequencies(answer):
    """A window of 7 has the frequencies 0 to 3: four of them, each rising by 3."""
    x = np.zeros(21)
    x[10] = 3.0  # frame 1
    expect_close(answer(x, np.ones(7), 7), np.array([0.0, 12.0, 0.0]), "W 7, a click of 3 in frame 1")


def an_end_is_not_a_beginning(answer):
    """While a tone dies away nothing begins: all strengths are 0."""
    x = sine_wave(1 / 16, 600) * np.exp(-np.arange(600) / 100)
    expect_close(answer(x, _hann(64), 16), np.zeros(34), "a tone that dies away", 1e-6)


def a_new_note_counts_though_the_old_one_ends(answer):
    """When a tone gives way to another as loud, the rise is not cancelled by the fall; when it returns, it counts."""
    x = np.concatenate([sine_wave(1 / 16, 512), sine_wave(3 / 16, 512), sine_wave(1 / 16, 512)])
    strength = answer(x, _hann(64), 64)
    for frame, told in ((8, "16 cycles give way to 48"), (16, "the 16 cycles return")):
        expect(strength[frame] > 20, f"{told}: expected more than 20 in frame {frame}, not {strength[frame]:.2f}")
    rest = float(np.delete(strength, [8, 16]).max())
    expect(rest < 1e-6, f"where a tone just goes on: expected 0, not {rest:.3g}")


def strengths_are_those_of_torch_stft(answer):
    """On random sounds they come from the spectrogram of `torch.stft`, for even and odd windows, near and far."""
    for N, W, hop in ((300, 32, 8), (211, 30, 13), (200, 25, 6), (150, 9, 20), (40, 2, 1)):
        x, window = np.random.uniform(-1, 1, N), np.random.uniform(0.1, 1, W)
        spectrum = torch.stft(torch.tensor(x), W, hop, W, torch.tensor(window), center=False, return_complex=True)
        rise = spectrum.abs().diff(dim=1).relu().sum(0)
        expect_close(answer(x, window, hop), np.append(0.0, rise.numpy()), f"N {N}, W {W}, hop {hop}")


def _by_loop(x, window, hop):
    W, before, strengths = len(window), None, []
    for start in range(0, len(x) - W + 1, hop):
        now = np.abs(np.fft.rfft(x[start : start + W] * window))
        strengths.append(0.0 if before is None else sum(max(b - a, 0.0) for a, b in zip(before, now, strict=True)))
        before = now
    return np.array(strengths)


def _by_matrix(x, window, hop):
    W = len(window)
    wave = np.exp(-2j * np.pi * np.outer(np.arange(W), np.arange(W // 2 + 1)) / W)  # [W, W // 2 + 1]
    starts = np.arange(0, len(x) - W + 1, hop)[:, None]
    magnitude = np.abs((x[starts + np.arange(W)] * window) @ wave)
    change = np.diff(magnitude, axis=0, prepend=magnitude[:1])
    return ((change + np.abs(change)) / 2).sum(-1)


def _by_whole_fft(x, window, hop):
    T, W = 1 + (len(x) - len(window)) // hop, len(window)
    magnitude = np.stack([abs(np.fft.fft(window * x[t * hop : t * hop + W]))[: W // 2 + 1] for t in range(T)])
    strength = np.zeros(T)
    difference = magnitude[1:] - magnitude[:-1]
    strength[1:] = np.where(difference > 0, difference, 0).sum(axis=1)
    return strength


def _two_notes(generator: torch.Generator) -> tuple:
    x = 0.01 * numpy_generator(generator).standard_normal(800)
    x[200:500] += sine_wave(0.07, 300) * np.exp(-np.arange(300) / 150)
    x[500:] += sine_wave(0.11, 300) * np.exp(-np.arange(300) / 150)
    return x, _hann(64), 16


onset_strength = Exercise(
    "onset_strength",
    reference=_onset_strength,
    properties=(
        one_strength_for_each_frame, a_click_by_hand, an_odd_window_has_fewer_frequencies, an_end_is_not_a_beginning,
        a_new_note_counts_though_the_old_one_ends, strengths_are_those_of_torch_stft,
    ),
    wrong=mistakes(_onset_strength, {
        one_strength_for_each_frame: [
            ("np.concatenate([[0.0], rise.sum(1)])", "rise.sum(1)",
             "T frames have T - 1 differences. Put a 0 in front, so that strength t belongs to frame t."),
            ("axis=0", "axis=1",
             "You compare each frequency with the next one of the same frame. Compare each frame with the one before: "
             "axis 0 of [T, W / 2 + 1]."),
            ("axis=0)", "axis=0, prepend=0)", "np.concatenate([[0.0], rise.sum(1)])", "rise.sum(1)",
             "You compare the first frame with silence, so all of it counts. It has no frame before it: 0."),
            ("x, W)", "np.pad(x, (0, W - 1)), W)", "You pad the sound at its end. Only whole frames are asked for."),
            ("rise.sum(1)", "rise.sum(0)", "You add up the frames. For each frame add up its frequencies: sum(1)."),
            ("[[0.0], rise.sum(1)]", "[rise.sum(1), [0.0]]", "The 0 stands at the end, so each strength belongs to "
             "the frame before. Put it in front."),
        ],
        a_click_by_hand: [
            ("rfft(", "fft(",
             "np.fft.fft gives every frequency of a real sound twice, so you count it twice. Use np.fft.rfft."),
            ("np.abs(np.fft.rfft(frames))", "np.abs(np.fft.rfft(frames)) ** 2",
             "These are energies. Take the magnitude, without the square."),
            (" * window", "", "The frames are not multiplied with the window. Without it a steady tone seems to change "
             "from frame to frame."),
            ("np.maximum(np.diff(magnitude, axis=0), 0)", "np.diff(magnitude, axis=0)",
             "Rises and falls are added up, so they cancel. Only rises count: np.maximum(..., 0), then the sum."),
            ("np.maximum(np.diff(magnitude, axis=0), 0)", "np.abs(np.diff(magnitude, axis=0))",
             "The absolute value counts falls as well: every end looks like a beginning. np.maximum(difference, 0)."),
            ("np.maximum(np.diff(magnitude, axis=0), 0)", "np.maximum(-np.diff(magnitude, axis=0), 0)",
             "You count how much less there is: ends. More than in the frame before is a rise, now minus before."),
            ("rise.sum(1)", "rise.mean(1)", "You take the mean over the frequencies. Their sum is asked for."),
            ("rise.sum(1)", "rise.max(1)", "You keep the frequency that rises most. All of them are added up."),
            ("np.abs(np.fft.rfft(frames))", "np.fft.rfft(frames)", "np.maximum(np.diff(magnitude, axis=0), 0)",
             "np.abs(np.diff(magnitude, axis=0))", "You subtract complex numbers, so a turned phase counts as a "
             "change. First the magnitudes, then their difference."),
            ("np.abs(np.fft.rfft(frames))", "np.log1p(np.abs(np.fft.rfft(frames)))",
             "You take a logarithm of the magnitudes. Their differences are asked for as they are."),
            ("np.abs(np.fft.rfft(frames))", "np.abs(np.fft.rfft(frames)) / W", "You divide the magnitudes by W. The "
             "FFT is taken as it is."),
            ("np.fft.rfft(frames))", "np.fft.rfft(frames)[:, 1:])", "Frequency 0 is left out: 0 to W/2 are asked for."),
            ("np.fft.rfft(frames))", "np.fft.rfft(frames)[:, : W // 2])", "You leave the last frequency out: 0 to W/2, "
             "both included, are W // 2 + 1."),
            ("* window", "* np.hanning(W)", "You use a window of your own. Multiply with the one that is given."),
        ],
        an_odd_window_has_fewer_frequencies: [
            ("np.fft.rfft(frames))", "np.fft.rfft(frames)[:, : W // 2 + 1 - W % 2])",
             "With an odd W there is no frequency in the middle to leave out: 0 to (W - 1) / 2, W // 2 + 1 of them."),
            ("rfft(frames)", "rfft(frames, W + W % 2)", "You lengthen an odd frame by a 0, which moves all "
             "frequencies. rfft takes any length."),
        ],
        a_new_note_counts_though_the_old_one_ends: [
            ("np.maximum(np.diff(magnitude, axis=0), 0)", "np.maximum(np.diff(magnitude.sum(1))[:, None], 0)",
             "You add up the frequencies first. Then a note that ends cancels one that begins. First the difference of "
             "each frequency, then the sum of the positive ones."),
            ("np.diff(magnitude, axis=0)", "magnitude[1:] - np.maximum.accumulate(magnitude, 0)[:-1]",
             "You compare with the loudest frame so far, so a note that comes back does not count. Compare with the "
             "frame before."),
        ],
        strengths_are_those_of_torch_stft: [
            ("rise.sum(1)", "(rise * (rise > 0.1)).sum(1)", "You leave small rises out. All of them count."),
        ],
    }),
    right=(_by_loop, _by_matrix, _by_whole_fft),
    examples=lambda generator: [
        _two_notes(generator), (numpy_generator(generator).uniform(-1, 1, 90), _hann(20), 7),
        (numpy_generator(generator).uniform(-1, 1, 80), _hann(15), 6),
    ],
    picture=lambda target, yours, arguments: two_lines(target, yours, "frame", "strength"),
)  # fmt: skip
