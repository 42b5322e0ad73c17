"""Exercise 2, `window_of_frame`: what a frame sees."""

from __future__ import annotations

import math

import torch

from ...model.encodec import Conv1d, EncodecConfig
from .. import Exercise, Wrong, expect

SMALL = [(7, 1, 1), (3, 1, 2), (4, 2, 1), (10, 5, 1)]  # (kernel, stride, dilation), from samples to frames


def _window(layers: list[tuple[int, int, int]], causal: bool) -> tuple[int, int, int]:
    hop, first, last = 1, 0, 0
    for kernel, stride, dilation in layers:
        span = (kernel - 1) * dilation + 1
        total = span - stride
        left = total if causal else total - total // 2
        first, last = first - left * hop, last + (span - 1 - left) * hop
        hop *= stride
    return hop, first, last


def _measured(layers: list[tuple[int, int, int]], causal: bool) -> tuple[int, int, int]:
    """The same by gradient: the samples that one frame of the library's own convolutions depends on."""
    config = EncodecConfig(use_causal_conv=causal)
    stack = torch.nn.Sequential(*(Conv1d(config, 1, 1, k, s, d) for k, s, d in layers)).double()
    hop = math.prod(stride for _, stride, _ in layers)
    frame = 2 + sum((k - 1) * d for k, _, d in layers)  # far from both ends
    sound = torch.randn(1, 1, 2 * frame * hop, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(stack(sound)[0, 0, frame], sound)
    touched = gradient[0, 0].nonzero().flatten() - frame * hop
    return hop, int(touched.min()), int(touched.max())


def says_three_whole_numbers(answer):
    """The result is a tuple of three ints: hop, first, last."""
    found = answer(SMALL, False)
    expect(isinstance(found, tuple) and len(found) == 3, f"expected a tuple of three, not {found!r}")
    expect(all(type(one) is int for one in found), f"hop, first and last must be ints, not {found!r}")


def one_layer_sees_its_window(answer):
    """One convolution sees its own window, dilated, with the padding of span - stride around it."""
    for layer, expected in (((7, 1, 1), (1, -3, 3)), ((3, 1, 2), (1, -2, 2)), ((16, 8, 1), (8, -4, 11))):
        found = answer([layer], False)
        expect(found == expected, f"kernel, stride, dilation {layer}: expected {expected}, not {found}")


def odd_padding_goes_to_the_left(answer):
    """Where the padding is an odd number, the larger half stands at the left."""
    for layer, expected in (((10, 5, 1), (5, -3, 6)), ((4, 1, 1), (1, -2, 1))):
        found = answer([layer], False)
        expect(found == expected, f"kernel, stride, dilation {layer}: expected {expected}, not {found}")


def later_layers_step_wider(answer):
    """A layer after a stride of s counts in steps of s samples."""
    found = answer([(4, 2, 1), (3, 1, 1)], False)
    expect(found == (2, -3, 4), f"kernel 4 stride 2, then kernel 3: expected (2, -3, 4), not {found}")


def causal_sees_nothing_later(answer):
    """Causal: the last sample seen is the last one of the frame's own hop."""
    for layers in ([(7, 1, 1)], [(4, 2, 1), (3, 1, 1)], SMALL):
        hop, first, last = answer(layers, True)
        expect(last == hop - 1, f"{layers}, causal: the last sample is {hop - 1}, not {last}")
        expect(last - first == answer(layers, False)[2] - answer(layers, False)[1], "the window changes its length")


def windows_are_those_measured(answer):
    """On random stacks it is what the gradient of the library's layers shows."""
    for _ in range(6):
        layers = []
        for _ in range(int(torch.randint(1, 5, ()))):
            stride = int(torch.randint(1, 5, ()))
            kernel, dilation = stride + int(torch.randint(1, 5, ())), int(torch.randint(1, 3, ()))
            layers.append((kernel, stride, dilation if stride == 1 else 1))
        for causal in (False, True):
            found, target = answer(layers, causal), _measured(layers, causal)
            expect(found == target, f"{layers}, causal {causal}: the gradient shows {target}, not {found}")


def _walk(layers, causal, *, dilate=True, even=False, scale=True, late=False, padded=True, adds=False):
    """The walk through the layers with one thing or another done wrong."""
    hop, first, last = 1, 0, 0
    for kernel, stride, dilation in layers:
        span = (kernel - 1) * (dilation if dilate else 1) + 1
        total = span - stride
        left = (total if causal else (total // 2 if even else total - total // 2)) if padded else 0
        if late:
            hop *= stride
        step = hop if scale else 1
        first, last = first - left * step, last + (span - 1 - left) * step
        if not late:
            hop = hop + stride - 1 if adds else hop * stride
    return hop, first, last


def _window_undilated(layers, causal):
    return _walk(layers, causal, dilate=False)


def _window_small_half_left(layers, causal):
    return _walk(layers, causal, even=True)


def _window_unscaled(layers, causal):
    return _walk(layers, causal, scale=False)


def _window_hop_early(layers, causal):
    return _walk(layers, causal, late=True)


def _window_unpadded(layers, causal):
    return _walk(layers, causal, padded=False)


def _window_never_causal(layers, causal):
    return _walk(layers, False)


def _window_length(layers, causal):
    hop, first, last = _walk(layers, causal)
    return hop, last - first + 1


def _window_backwards(layers, causal):
    """From the frame down to the samples: each output [a, b] needs inputs a * s - left to b * s - left + span - 1."""
    first = last = 0
    for kernel, stride, dilation in reversed(layers):
        span = (kernel - 1) * dilation + 1
        left = span - stride if causal else math.ceil((span - stride) / 2)
        first, last = first * stride - left, last * stride - left + span - 1
    return math.prod(stride for _, stride, _ in layers), first, last


def _window_sets(layers, causal):
    hop, seen = 1, {0}
    for _, stride, _ in layers:
        hop *= stride
    for kernel, stride, dilation in layers[::-1]:
        total = (kernel - 1) * dilation + 1 - stride
        left = total if causal else (total + 1) // 2
        seen = {at * stride - left + i * dilation for at in seen for i in range(kernel)}
    return hop, min(seen), max(seen)


window_of_frame = Exercise(
    "window_of_frame",
    reference=_window,
    properties=(
        says_three_whole_numbers,
        one_layer_sees_its_window,
        odd_padding_goes_to_the_left,
        later_layers_step_wider,
        causal_sees_nothing_later,
        windows_are_those_measured,
    ),
    wrong=(
        Wrong(
            _window_length,
            "says_three_whole_numbers",
            "That is the length of the window. Where it begins matters too: return hop, first and last.",
        ),
        Wrong(
            _window_undilated,
            "one_layer_sees_its_window",
            "You leave out the dilation: the samples of a window are d apart, so it spans (k - 1) d + 1.",
        ),
        Wrong(
            _window_unpadded,
            "one_layer_sees_its_window",
            "You count from the left end of the window, as without padding. The padding at the left moves every "
            "window back by that much.",
        ),
        Wrong(
            _window_hop_early,
            "one_layer_sees_its_window",
            "You multiply by a layer's own stride before you use the step. A window is counted in steps of what the "
            "layers before it have made of the time; its own stride only spreads the windows of the next layer.",
        ),
        Wrong(
            _window_small_half_left,
            "odd_padding_goes_to_the_left",
            "An odd padding is split the other way round: right is total // 2, left gets the rest.",
        ),
        Wrong(
            _window_unscaled,
            "later_layers_step_wider",
            "You count every layer in samples. After strides of 4 and 2, neighbours are 8 samples apart: multiply "
            "by the product of the strides before the layer.",
        ),
        Wrong(
            _window_never_causal,
            "causal_sees_nothing_later",
            "You do not use `causal`: then the whole padding, span - stride, stands at the left.",
        ),
    ),
    right=(_window_backwards, _window_sets),
    examples=lambda generator: [
        (SMALL, False),
        (SMALL, True),
        ([(16, 8, 1)], False),
        ([(4, 2, 1), (3, 1, 1)], False),
    ],
)
