"""Exercise 2, `window_of_frame`: what a frame sees."""

from __future__ import annotations

import math

import numpy as np
import torch

from ...model.encodec import Conv1d, EncodecConfig
from .. import Exercise, expect, expect_equal, mistakes, plain

SMALL = [(7, 1, 1), (3, 1, 2), (4, 2, 1), (10, 5, 1)]  # (kernel, stride, dilation), from samples to frames


def _window(layers, causal):
    hop, first, last = 1, 0, 0
    for kernel, stride, dilation in layers:
        span = (kernel - 1) * dilation + 1
        total = span - stride
        right = 0 if causal else total // 2
        left = total - right
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
    """The result is three ints: hop, first, last."""
    found = plain(answer(list(SMALL), False))
    expect(isinstance(found, tuple) and len(found) == 3, f"expected three numbers, hop, first and last, not {found!r}")
    expect(all(type(one) is int for one in found), f"hop, first and last must be ints, not {list(found)}")


def one_layer_sees_its_window(answer):
    """One convolution sees its own window, dilated, with the padding of span - stride around it."""
    for layer, expected in (((7, 1, 1), (1, -3, 3)), ((3, 1, 2), (1, -2, 2)), ((16, 8, 1), (8, -4, 11))):
        expect_equal(answer([layer], False), expected, f"kernel, stride, dilation {layer}: hop, first, last")


def odd_padding_goes_to_the_left(answer):
    """Where the padding is an odd number, the larger half stands at the left."""
    for layer, expected in (((10, 5, 1), (5, -3, 6)), ((4, 1, 1), (1, -2, 1))):
        expect_equal(answer([layer], False), expected, f"kernel, stride, dilation {layer}: hop, first, last")


def later_layers_step_wider(answer):
    """A layer after a stride of s counts in steps of s samples."""
    for second, expected in (((3, 1, 1), (2, -3, 4)), ((6, 3, 1), (6, -5, 8))):
        found = answer([(4, 2, 1), second], False)
        expect_equal(found, expected, f"kernel 4 stride 2, then kernel {second[0]} stride {second[1]}")
    published = [(7, 1, 1)]
    for stride in (4, 4, 5, 8):
        published += [(3, 1, 1), (1, 1, 1), (2 * stride, stride, 1)]
    found = answer([*published, (7, 1, 1)], False)
    expect_equal(found, (640, -2402, 3025), "the 14 layers of the published encoder: hop, first, last")


def causal_sees_nothing_later(answer):
    """Causal: the last sample seen is the last one of the frame's own hop, and the window is as long as before."""
    for layers in ([(7, 1, 1)], [(4, 2, 1), (3, 1, 1)], SMALL):
        hop, first, last = plain(answer(list(layers), True))
        expect_equal(last, hop - 1, f"{layers}, causal: the last sample")
        _, begin, end = plain(answer(list(layers), False))
        expect_equal(last - first, end - begin, f"{layers}, causal: last - first, the same as without")


def windows_are_those_measured(answer):
    """On random stacks it is what the gradient of the library's layers shows."""
    stacks = [[(1, 1, 1)], [(2, 2, 1)], [(3, 1, 3), (3, 1, 1)], [(3, 2, 2), (3, 1, 3)]]
    for _ in range(6):
        layers = []
        for _ in range(int(torch.randint(1, 5, ()))):
            stride = int(torch.randint(1, 5, ()))
            layers.append((stride + int(torch.randint(0, 5, ())), stride, int(torch.randint(1, 3, ()))))
        stacks.append(layers)
    for layers in stacks:
        for causal in (False, True):
            found = answer(list(layers), causal)
            expect_equal(found, _measured(layers, causal), f"{layers}, causal {causal}: hop, first, last")


def _backwards(layers, causal):
    """From the frame down to the samples: each output [a, b] needs inputs a * s - left to b * s - left + span - 1."""
    first = last = 0
    for kernel, stride, dilation in reversed(layers):
        span = (kernel - 1) * dilation + 1
        left = span - stride if causal else math.ceil((span - stride) / 2)
        first, last = first * stride - left, last * stride - left + span - 1
    return math.prod(stride for _, stride, _ in layers), first, last


def _as_sets(layers, causal):
    hop, seen = 1, {0}
    for _, stride, _ in layers:
        hop *= stride
    for kernel, stride, dilation in layers[::-1]:
        total = (kernel - 1) * dilation + 1 - stride
        left = total if causal else (total + 1) // 2
        seen = {at * stride - left + i * dilation for at in seen for i in range(kernel)}
    return [hop, min(seen), max(seen)]


def _with_numpy(layers, causal):
    kernel, stride, dilation = np.array(layers).T
    hops = np.concatenate([[1], np.cumprod(stride)])
    reach = (kernel - 1) * dilation
    left = reach + 1 - stride if causal else (reach + 2 - stride) // 2
    return hops[-1], -(left * hops[:-1]).sum(), ((reach - left) * hops[:-1]).sum()


window_of_frame = Exercise(
    "window_of_frame",
    reference=_window,
    properties=(
        says_three_whole_numbers, one_layer_sees_its_window, odd_padding_goes_to_the_left, later_layers_step_wider,
        causal_sees_nothing_later, windows_are_those_measured,
    ),
    wrong=mistakes(_window, {
        says_three_whole_numbers: [
            ("hop, first, last\n", "hop, last - first + 1\n",
             "That is the length of the window. Where it begins matters too: return hop, first and last."),
            ("total // 2", "total / 2", "You halve with /, which gives floats. Samples are counted: use //."),
        ],
        one_layer_sees_its_window: [
            ("* dilation", "", "You leave out the dilation: the samples of a window are d apart, so it spans "
             "(k - 1) d + 1."),
            ("left = total - right", "left = 0", "You count from the left end of the window, as without padding. The "
             "padding at the left moves every window back by that much."),
            ("for kernel, stride, dilation in layers:",
             "for kernel, stride, dilation in layers:\n        hop *= stride",
             "        hop *= stride\n    return", "    return", "You multiply by a layer's own stride before you use "
             "the step. A window is counted in steps of what the layers before it have made of the time; its own "
             "stride only spreads the windows of the next layer."),
            ("(kernel - 1) * dilation + 1", "kernel * dilation",
             "k samples that are d apart span (k - 1) d + 1, not k d: there are k - 1 gaps between them."),
            ("span - 1 - left", "span - left", "Your window is one sample too long: it begins at -left and has `span` "
             "samples, so the last one is span - 1 - left."),
            ("total = span - stride", "total = span - 1", "You pad span - 1 whatever the stride. The padding of a "
             "layer is span - stride."),
            ("total = span - stride", "total = kernel - stride", "Your padding leaves out the dilation. It is what the "
             "layer spans, less the stride: span - stride."),
            ("hop *= stride", "hop *= stride * dilation", "You widen the hop by the dilation. It spreads the window "
             "of its own layer; neighbouring outputs are still `stride` inputs apart."),
        ],
        odd_padding_goes_to_the_left: [
            ("total // 2\n        left = total - right", "(total + 1) // 2\n        left = total - right",
             "An odd padding is split the other way round: right is total // 2, left gets the rest."),
        ],
        later_layers_step_wider: [
            ("first - left * hop, last + (span - 1 - left) * hop", "first - left, last + span - 1 - left",
             "You count every layer in samples. After strides of 4 and 2, neighbours are 8 samples apart: multiply by "
             "the product of the strides before the layer."),
            ("in layers", "in layers[::-1]", "You go from the frames to the samples. Walking this way the layers begin "
             "with the samples: the list is in that order already."),
            ("hop *= stride", "hop = stride", "Your hop is the stride of the last layer alone. Strides multiply."),
            ("hop *= stride", "hop += stride - 1", "You add the strides. Each one widens what the ones before it have "
             "widened: they multiply."),
            ("first, last = first - left * hop, last + (span - 1 - left) * hop", "first = min(first, -left * hop); "
             "last = max(last, (span - 1 - left) * hop)", "You keep the widest layer. The windows add up: a layer's "
             "first input has itself a window that begins earlier."),
        ],
        causal_sees_nothing_later: [
            ("0 if causal else ", "", "You do not use `causal`: then the whole padding, span - stride, stands at the "
             "left."),
            ("left = total - right", "left = 0 if causal else total - right", "Causal padding stands at the left: "
             "without any at all, a layer would wait for what comes later."),
            ("last + (span - 1 - left) * hop", "0 if causal else last + (span - 1 - left) * hop", "Causal is not "
             "`last = 0`: a frame ends with the last sample of its own hop, hop - 1."),
        ],
    }),
    right=(_backwards, _as_sets, _with_numpy),
    examples=lambda generator: [
        (SMALL, False), (SMALL, True), ([(16, 8, 1)], False), ([(4, 2, 1), (3, 1, 1)], False),
        ([(10, 5, 1), (3, 1, 2), (3, 1, 1)], False),
    ],
)  # fmt: skip
