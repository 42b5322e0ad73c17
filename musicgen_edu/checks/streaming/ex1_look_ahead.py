"""Exercise 1, `look_ahead`: how far a decoder waits for what is to come."""

from __future__ import annotations

import math

import torch

from ...model.encodec import Conv1d, ConvTranspose1d, EncodecConfig
from .. import Exercise, Wrong, expect
from . import _look_ahead as answers

# (kernel, up, dilation): EnCodec at 32 kHz, and the shipped tiny one at 16 kHz.
PUBLISHED = [(7, 1, 1), (16, 8, 1), (3, 1, 1), (10, 5, 1), (3, 1, 1), (8, 4, 1), (3, 1, 1), (8, 4, 1), (3, 1, 1),
             (7, 1, 1)]  # fmt: skip


TINY = [(7, 1, 1), (10, 5, 1), (3, 1, 1), (8, 4, 1), (3, 1, 1), (8, 4, 1), (3, 1, 1), (8, 4, 1), (3, 1, 1), (7, 1, 1)]


def _measured(layers: list[tuple[int, int, int]]) -> tuple[int, int]:
    """The same by an impulse in one frame of the library's own layers: where it is heard first; and the hop."""
    config = EncodecConfig()
    stack = [Conv1d(config, 1, 1, k, 1, d) if s == 1 else ConvTranspose1d(config, 1, 1, k, s) for k, s, d in layers]
    stack = torch.nn.Sequential(*stack).double().requires_grad_(False)
    hop, middle = math.prod(up for _, up, _ in layers), 4 + sum(k * d for k, _, d in layers)
    silence = torch.zeros(1, 1, 2 * middle, dtype=torch.float64)
    impulse = silence.clone()
    impulse[..., middle] = 1.0
    heard = (stack(impulse) - stack(silence))[0, 0].abs() > 1e-12
    return middle * hop - int(heard.nonzero()[0]), hop


def _found(answer, layers, K=1, rate=1000):
    found = answer(layers, K, rate)
    expect(isinstance(found, tuple) and len(found) == 3, f"expected a tuple of three numbers, not {found!r}")
    samples, frames, ms = found
    expect(
        type(samples) is int and type(frames) is int, f"samples and frames must be ints, not {samples!r}, {frames!r}"
    )
    expect(isinstance(ms, (int, float)), f"milliseconds must be a number, not {ms!r}")
    return found


def one_layer_waits_for_its_right_half(answer):
    """One convolution waits for the padding at its right: the smaller half of (kernel - 1) dilation."""
    for layer, expected in (((7, 1, 1), 3), ((3, 1, 1), 1), ((3, 1, 4), 4), ((1, 1, 1), 0), ((4, 1, 1), 1)):
        samples = _found(answer, [layer])[0]
        expect(samples == expected, f"kernel, up, dilation {layer}: expected {expected} samples, not {samples}")


def one_transposed_layer_waits_for_what_is_trimmed_left(answer):
    """A transposed convolution: an input is heard as early as it is trimmed at the left, the larger half."""
    for layer, expected in (((16, 8, 1), 4), ((10, 5, 1), 3), ((6, 3, 1), 2)):
        samples = _found(answer, [layer])[0]
        expect(samples == expected, f"kernel, up, dilation {layer}: expected {expected} samples, not {samples}")


def each_layer_makes_time_finer(answer):
    """A layer that goes up by s makes s steps of each that were waited for before it."""
    for layers, expected in (([(3, 1, 1), (4, 2, 1)], 3), ([(4, 2, 1), (3, 1, 1)], 2), ([(4, 2, 1), (8, 4, 1)], 6)):
        samples = _found(answer, layers)[0]
        expect(samples == expected, f"{layers}: expected {expected} samples, not {samples}")


def frames_are_whole(answer):
    """A frame of which one sample is needed has to be there: frames are rounded up."""
    for layers, expected in (([(3, 1, 1), (4, 2, 1)], 2), ([(4, 2, 1), (3, 1, 1)], 1), ([(4, 2, 1), (8, 4, 1)], 1)):
        frames = _found(answer, layers)[1]
        expect(frames == expected, f"{layers}: expected {expected} frames, not {frames}")


def the_delay_pattern_waits_too(answer):
    """With K codebooks a frame is complete K - 1 steps late, each a frame long."""
    for K, expected in ((1, 20.0), (4, 50.0), (8, 90.0)):
        ms = _found(answer, [(3, 1, 1), (20, 10, 1)], K, 1000)[2]
        expect(
            math.isclose(ms, expected, rel_tol=1e-6), f"2 frames of 10 ms, K = {K}: expected {expected} ms, not {ms}"
        )


def codecs_wait_as_they_should(answer):
    """Published: 2402 samples, 4 frames, 140 ms. Tiny: 1282 samples, 5 frames, 160 ms."""
    for name, layers, rate, wanted in (("published", PUBLISHED, 32000, (2402, 4, 140.0)),
                                       ("tiny", TINY, 16000, (1282, 5, 160.0))):  # fmt: skip
        found = _found(answer, layers, 4, rate)
        right = found[:2] == wanted[:2] and math.isclose(found[2], wanted[2], rel_tol=1e-6)
        expect(right, f"{name}: expected {wanted}, not {found}")


def an_impulse_shows_the_same(answer):
    """On random layers of the library: an impulse in one frame is first heard that many samples before it."""
    for _ in range(5):
        layers = []
        for _ in range(int(torch.randint(1, 5, ()))):
            kernel, up, dilation = (int(torch.randint(1, 4, ())) for _ in range(3))
            layers.append((up * 2, up, 1) if up > 1 else (kernel, 1, dilation))
        found, (samples, hop) = _found(answer, layers)[:2], _measured(layers)
        expected = samples, -(-samples // hop)
        expect(
            found == expected, f"{layers}: the impulse says {expected[0]} samples, {expected[1]} frames, not {found}"
        )


look_ahead = Exercise(
    "look_ahead",
    reference=answers.look_ahead,
    properties=(
        one_layer_waits_for_its_right_half,
        one_transposed_layer_waits_for_what_is_trimmed_left,
        each_layer_makes_time_finer,
        frames_are_whole,
        the_delay_pattern_waits_too,
        codecs_wait_as_they_should,
        an_impulse_shows_the_same,
    ),
    wrong=(
        Wrong(
            answers.undilated,
            "one_layer_waits_for_its_right_half",
            "You leave out the dilation: the inputs of a window are d apart, so the padding is (k - 1) d.",
        ),
        Wrong(
            answers.whole_padding,
            "one_layer_waits_for_its_right_half",
            "You add both halves of the padding. What lies to the left of an output is there already; only the right "
            "half is waited for.",
        ),
        Wrong(
            answers.whole_right,
            "one_layer_waits_for_its_right_half",
            "Your convolution waits for all of its padding. Only what lies to the right is to come: total // 2.",
        ),
        Wrong(
            answers.whole_trim,
            "one_transposed_layer_waits_for_what_is_trimmed_left",
            "Your transposed convolution counts all that is trimmed. Only what is trimmed at the left moves an input "
            "forward.",
        ),
        Wrong(
            answers.no_trim,
            "one_transposed_layer_waits_for_what_is_trimmed_left",
            "Your transposed convolution only makes time finer. What is trimmed at its left also moves each input "
            "forward: add that.",
        ),
        Wrong(
            answers.rounded,
            "codecs_wait_as_they_should",
            "You round to the nearest frame. Two samples of a frame are enough to need it: round up.",
        ),
        Wrong(
            answers.delay_in_frames,
            "codecs_wait_as_they_should",
            "Your second number has the delay in it. It is the look-ahead alone; the delay is in the milliseconds.",
        ),
        Wrong(
            answers.larger_half,
            "one_layer_waits_for_its_right_half",
            "An odd padding is split the other way round: of a convolution's padding the right gets total // 2.",
        ),
        Wrong(
            answers.trimmed_right,
            "one_transposed_layer_waits_for_what_is_trimmed_left",
            "A transposed convolution is trimmed by total // 2 at the right and by the rest at the left, and it is the "
            "left that moves an input forward. With 5 to trim that is 3.",
        ),
        Wrong(
            answers.only_added,
            "each_layer_makes_time_finer",
            "You add up numbers of different units. After a layer that goes up by s, what was one step is s steps: "
            "multiply before you add.",
        ),
        Wrong(
            answers.scaled_after,
            "one_transposed_layer_waits_for_what_is_trimmed_left",
            "You multiply a layer's own share by its stride, too. It is counted at its output, in the finer steps "
            "already: multiply first, then add.",
        ),
        Wrong(
            answers.backwards,
            "each_layer_makes_time_finer",
            "You begin at the last layer with a formula that begins at the first. Going back, an output's position is "
            "divided, not multiplied.",
        ),
        Wrong(
            answers.rounded_down,
            "frames_are_whole",
            "You round the frames down. A part of a frame cannot be generated: round up.",
        ),
        Wrong(
            answers.one_more,
            "frames_are_whole",
            "You count a frame too many where the samples are a whole number of frames: n // hop + 1 is no ceiling.",
        ),
        Wrong(
            answers.no_delay,
            "the_delay_pattern_waits_too",
            "You forget the delay pattern: the last codebook of a frame comes K - 1 steps after the first.",
        ),
        Wrong(
            answers.delay_of_all,
            "the_delay_pattern_waits_too",
            "You count K steps of delay. The first codebook is not delayed: the last comes K - 1 steps later.",
        ),
        Wrong(
            answers.in_samples,
            "the_delay_pattern_waits_too",
            "You wait for samples. Codes come by the frame, so it is whole frames that are waited for.",
        ),
        Wrong(
            answers.in_seconds,
            "the_delay_pattern_waits_too",
            "That is seconds: milliseconds are wanted.",
        ),
    ),
    right=(answers.by_needs, answers.by_products),
    examples=lambda generator: [
        (PUBLISHED, 4, 32000),
        (TINY, 4, 16000),
        ([(3, 1, 4)], 1, 1000),
        ([(4, 1, 1)], 1, 1000),
        ([(10, 5, 1)], 1, 1000),
        ([(3, 1, 1), (4, 2, 1)], 2, 1000),
        ([(4, 2, 1), (8, 4, 1)], 3, 1000),
        ([(3, 1, 1)], 2, 1000),
    ],
)
