"""Exercise 1, `look_ahead`: how far a decoder waits for what is to come."""

from __future__ import annotations

import math

import numpy as np
import torch

from ...model.encodec import Conv1d, ConvTranspose1d
from .. import Exercise, expect, expect_close, expect_equal, mistakes, plain
from ._shared import ZEROS

# (kernel, up, dilation): EnCodec at 32 kHz, and the shipped tiny one at 16 kHz.
PUBLISHED = [(7, 1, 1), (16, 8, 1), (3, 1, 1), (10, 5, 1), (3, 1, 1), (8, 4, 1), (3, 1, 1), (8, 4, 1), (3, 1, 1),
             (7, 1, 1)]  # fmt: skip
TINY = [(7, 1, 1), (10, 5, 1), (3, 1, 1), (8, 4, 1), (3, 1, 1), (8, 4, 1), (3, 1, 1), (8, 4, 1), (3, 1, 1), (7, 1, 1)]


def _look_ahead(layers, K, sample_rate):
    samples, frame = 0, 1
    for kernel, up, dilation in layers:
        if up > 1:
            total = kernel - up
            own = total - total // 2
        else:
            total = (kernel - 1) * dilation
            own = total // 2
        samples = samples * up + own
        frame = frame * up
    frames = math.ceil(samples / frame)
    return samples, frames, 1000 * (frames + K - 1) * frame / sample_rate


def _measured(layers: list[tuple[int, int, int]]) -> tuple[int, int]:
    """The same by an impulse in one frame of the library's own layers: where it is heard first; and the hop."""
    stack = [Conv1d(ZEROS, 1, 1, k, 1, d) if s == 1 else ConvTranspose1d(ZEROS, 1, 1, k, s) for k, s, d in layers]
    stack = torch.nn.Sequential(*stack).double().requires_grad_(False)
    hop, middle = math.prod(up for _, up, _ in layers), 4 + sum(k * d for k, _, d in layers)
    silence = torch.zeros(1, 1, 2 * middle, dtype=torch.float64)
    impulse = silence.clone()
    impulse[..., middle] = 1.0
    heard = (stack(impulse) - stack(silence))[0, 0].abs() > 1e-12
    return middle * hop - int(heard.nonzero()[0]), hop


def _found(answer, layers, K=1, rate=1000) -> tuple[int, int, float]:
    found = plain(answer(layers, K, rate))
    expect(isinstance(found, tuple) and len(found) == 3, f"expected three numbers, not {found!r}")
    for name, one in zip(("samples", "frames"), found[:2], strict=True):
        expect(type(one) is int, f"{name} must be an int, not {one!r}")
    expect(type(found[2]) in (int, float), f"milliseconds must be a number, not {found[2]!r}")
    return found


def _expect_samples(answer, layers, samples: int) -> None:
    expect_equal(_found(answer, layers)[0], samples, f"layers {layers} (kernel, up, dilation): samples")


def one_layer_waits_for_its_right_half(answer):
    """One convolution waits for the padding at its right: the smaller half of (kernel - 1) dilation."""
    for layer, expected in (
        ((7, 1, 1), 3),
        ((3, 1, 1), 1),
        ((3, 1, 4), 4),
        ((1, 1, 1), 0),
        ((4, 1, 1), 1),
        ((4, 1, 3), 4),
    ):
        _expect_samples(answer, [layer], expected)


def one_transposed_layer_waits_for_what_is_trimmed_left(answer):
    """A transposed convolution: an input is heard as early as it is trimmed at the left, the larger half."""
    for layer, expected in (((16, 8, 1), 4), ((10, 5, 1), 3), ((6, 3, 1), 2)):
        _expect_samples(answer, [layer], expected)


def a_kernel_need_not_be_twice_as_wide(answer):
    """A transposed convolution is trimmed by kernel - up, whatever its kernel is."""
    for layer, expected in (((7, 3, 1), 2), ((9, 2, 1), 4), ((5, 4, 1), 1), ((4, 4, 1), 0)):
        _expect_samples(answer, [layer], expected)


def each_layer_makes_time_finer(answer):
    """A layer that goes up by s makes s steps of each that were waited for before it."""
    for layers, expected in (([(3, 1, 1), (4, 2, 1)], 3), ([(4, 2, 1), (3, 1, 1)], 2), ([(4, 2, 1), (8, 4, 1)], 6)):
        _expect_samples(answer, layers, expected)


def frames_are_whole(answer):
    """A frame of which one sample is needed has to be there: frames are rounded up."""
    for layers, expected in (
        ([(3, 1, 1), (4, 2, 1)], 2), ([(4, 2, 1), (3, 1, 1)], 1), ([(4, 2, 1), (8, 4, 1)], 1), ([(1, 1, 1)], 0),
        ([(3, 1, 1), (2, 2, 1)], 1),
    ):  # fmt: skip
        expect_equal(_found(answer, layers)[1], expected, f"layers {layers} (kernel, up, dilation): frames")


def the_delay_pattern_waits_too(answer):
    """With K codebooks a frame is complete K - 1 steps late, each a frame long."""
    for K, rate, expected in ((1, 1000, 20.0), (4, 1000, 50.0), (8, 1000, 90.0), (3, 44105, 40000 / 44105)):
        ms = _found(answer, [(3, 1, 1), (20, 10, 1)], K, rate)[2]
        expect_close(ms, expected, f"2 frames of 10 samples at {rate} Hz, K = {K}: milliseconds")
    for K in (1, 3):
        ms = _found(answer, [(1, 1, 1), (10, 10, 1)], K, 1000)[2]
        expect_close(ms, 10.0 * (K - 1), f"frames of 10 samples at 1000 Hz, no look-ahead, K = {K}: milliseconds")


def codecs_wait_as_they_should(answer):
    """Published: 2402 samples, 4 frames, 140 ms. Tiny: 1282 samples, 5 frames, 160 ms."""
    for name, layers, rate, wanted in (
        ("published", PUBLISHED, 32000, (2402, 4, 140.0)), ("tiny", TINY, 16000, (1282, 5, 160.0)),
        ("published, sped up", PUBLISHED, 44100, (2402, 4, 7 * 640 / 44.1)),
    ):  # fmt: skip
        found = _found(answer, layers, 4, rate)
        expect_equal(found[:2], wanted[:2], f"{name}: samples and frames")
        expect_close(found[2], wanted[2], f"{name}: milliseconds")


def an_impulse_shows_the_same(answer):
    """On random layers of the library: an impulse in one frame is first heard that many samples before it."""
    for _ in range(8):
        layers = []
        for _ in range(int(torch.randint(1, 5, ()))):
            kernel, up, dilation = (int(torch.randint(1, 4, ())) for _ in range(3))
            layers.append((up + int(torch.randint(2 * up, ())), up, 1) if up > 1 else (kernel, 1, dilation))
        found, (samples, hop) = _found(answer, layers)[:2], _measured(layers)
        expect_equal(found, (samples, -(-samples // hop)), f"layers {layers}: samples and frames by an impulse")


def _by_needs(layers, K, sample_rate):
    """From the last sample of frame 0 back: which is the last input that it needs?"""
    hop = math.prod(up for _, up, _ in layers)
    frame = 0
    for needed in range(hop):
        for kernel, up, dilation in reversed(layers):
            total = kernel - up if up > 1 else (kernel - 1) * dilation
            needed = (needed + total - total // 2) // up if up > 1 else needed + total // 2
        frame = max(frame, needed)
    finer = 0
    for kernel, up, dilation in layers:
        finer = finer * up + (math.ceil((kernel - up) / 2) if up > 1 else (kernel - 1) * dilation // 2)
    return [finer, frame, (frame + K - 1) * hop * 1000 / sample_rate]


def _by_products(layers, K, sample_rate):
    """Each layer's share, times how much finer time becomes after it."""
    samples, finer = 0, 1
    for kernel, up, dilation in layers[::-1]:
        samples += finer * ((kernel - up + 1) // 2 if up > 1 else (kernel - 1) * dilation // 2)
        finer *= up
    frames = (samples + finer - 1) // finer
    return samples, frames, 1000.0 / (sample_rate / finer) * (frames + K - 1)


def _with_numpy(layers, K, sample_rate):
    kernel, up, dilation = np.array(layers).T
    own = np.where(up > 1, (kernel - up + 1) // 2, (kernel - 1) * dilation // 2)
    samples, hop = own @ (up.prod() // up.cumprod()), up.prod()
    frames = np.ceil(samples / hop).astype(int)
    return samples, frames, 1e3 * (frames + K - 1) * hop / sample_rate


MS = "1000 * (frames + K - 1) * frame / sample_rate"
look_ahead = Exercise(
    "look_ahead",
    reference=_look_ahead,
    properties=(
        one_layer_waits_for_its_right_half, one_transposed_layer_waits_for_what_is_trimmed_left,
        a_kernel_need_not_be_twice_as_wide, each_layer_makes_time_finer, frames_are_whole, the_delay_pattern_waits_too,
        codecs_wait_as_they_should, an_impulse_shows_the_same,
    ),
    wrong=mistakes(_look_ahead, {
        one_layer_waits_for_its_right_half: [
            ("(kernel - 1) * dilation", "kernel - 1",
             "You leave out the dilation: the inputs of a window are d apart, so the padding is (k - 1) d."),
            ("own = total // 2", "own = total", "own = total - total // 2", "own = total",
             "You add both halves of the padding. What lies to the left of an output is there already; only the right "
             "half is waited for."),
            ("own = total // 2", "own = total",
             "Your convolution waits for all of its padding. Only what lies to the right is to come: total // 2."),
            ("own = total // 2", "own = total - total // 2",
             "An odd padding is split the other way round: of a convolution's padding the right gets total // 2."),
            ("(kernel - 1) * dilation", "kernel * dilation", "You count kernel inputs of padding. An output needs one "
             "input without any: (kernel - 1) dilation."),
        ],
        one_transposed_layer_waits_for_what_is_trimmed_left: [
            ("own = total - total // 2", "own = total", "Your transposed convolution counts all that is trimmed. Only "
             "what is trimmed at the left moves an input forward."),
            ("own = total - total // 2", "own = 0", "Your transposed convolution only makes time finer. What is "
             "trimmed at its left also moves each input forward: add that."),
            ("own = total - total // 2", "own = total // 2",
             "A transposed convolution is trimmed by total // 2 at the right and by the rest at the left, and it is "
             "the left that moves an input forward. With 5 to trim that is 3."),
            ("samples * up + own", "(samples + own) * up",
             "You multiply a layer's own share by its stride, too. It is counted at its output, in the finer steps "
             "already: multiply first, then add."),
        ],
        a_kernel_need_not_be_twice_as_wide: [
            ("kernel - up", "up", "You take `up` for what is trimmed. That is so where the kernel is twice as wide: in "
             "general kernel - up."),
            ("kernel - up", "kernel // 2", "You take half of the kernel for what is trimmed. That is so where it is "
             "twice as wide as `up`: in general kernel - up."),
        ],
        each_layer_makes_time_finer: [
            ("samples * up + own", "samples + own",
             "You add up numbers of different units. After a layer that goes up by s, what was one step is s steps: "
             "multiply before you add."),
            ("in layers", "in layers[::-1]",
             "You begin at the last layer with a formula that begins at the first. Going back, an output's position is "
             "divided, not multiplied."),
        ],
        frames_are_whole: [
            ("math.ceil(samples / frame)", "samples // frame",
             "You round the frames down. A part of a frame cannot be generated: round up."),
            ("math.ceil(samples / frame)", "samples // frame + 1",
             "You count a frame too many where the samples are a whole number of frames: n // hop + 1 is no ceiling."),
            ("math.ceil(samples / frame)", "max(1, math.ceil(samples / frame))", "You always wait for a frame. Layers "
             "that look at nothing to come wait for none."),
        ],
        the_delay_pattern_waits_too: [
            (MS, "1000 * frames * frame / sample_rate",
             "You forget the delay pattern: the last codebook of a frame comes K - 1 steps after the first."),
            (MS, "1000 * (max(frames, 1) + K - 1) * frame / sample_rate",
             "You wait for a frame of look-ahead even where there is none: then the delay is all, K - 1 frames."),
            (MS, "1000 * (frames + K) * frame / sample_rate",
             "You count K steps of delay. The first codebook is not delayed: the last comes K - 1 steps later."),
            (MS, "1000 * (samples + (K - 1) * frame) / sample_rate",
             "You wait for samples. Codes come by the frame, so it is whole frames that are waited for."),
            ("1000 * ", "", "That is seconds: milliseconds are wanted."),
            (MS, "round(1000 * (frames + K - 1) * frame / sample_rate)", "You round the milliseconds. A frame need not "
             "last a whole number of them."),
            (MS, "1000 * (frames + K - 1) / (sample_rate // frame)", "You round the frames of a second down before you "
             "divide. At 44.1 kHz they are no whole number."),
        ],
        codecs_wait_as_they_should: [
            ("math.ceil(samples / frame)", "round(samples / frame)",
             "You round to the nearest frame. Two samples of a frame are enough to need it: round up."),
            ("return samples, frames", "return samples, frames + K - 1",
             "Your second number has the delay in it. It is the look-ahead alone; the delay is in the milliseconds."),
        ],
    }),
    right=(_by_needs, _by_products, _with_numpy),
    examples=lambda generator: [
        (PUBLISHED, 4, 32000), (TINY, 4, 16000), ([(3, 1, 4)], 1, 1000), ([(4, 1, 1)], 1, 1000),
        ([(10, 5, 1)], 1, 1000), ([(3, 1, 1), (4, 2, 1)], 2, 1000), ([(4, 2, 1), (8, 4, 1)], 3, 1000),
        ([(3, 1, 1)], 2, 1000), ([(9, 2, 1)], 2, 44100), ([(1, 1, 1)], 2, 1000),
    ],
)  # fmt: skip
