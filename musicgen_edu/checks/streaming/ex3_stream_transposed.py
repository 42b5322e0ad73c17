"""Exercise 3, `stream_transposed`: a transposed convolution, whose outputs overlap, piece by piece."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import expect_tensor, mistakes
from ._shared import (
    StreamExercise,
    expect_constant_memory,
    expect_constant_work,
    expect_every_cut,
    expect_given,
    expect_outputs,
    fixed,
    joined,
    layer_of_ones,
    ramp,
    row,
    run,
    transposed,
    two_streams,
)  # fmt: skip


def stream(pieces, layer):
    """The transposed convolution of a signal that comes in pieces."""
    stride, tail = layer.stride[0], None
    for piece in pieces:
        if piece.shape[-1] == 0:
            continue
        spread = layer(piece)  # [B, C', n * stride + stride]
        begin = stride - stride // 2 if tail is None else 0
        if tail is not None:
            shared = tail + spread[..., :stride] - layer.bias[:, None]
            spread = torch.cat([shared, spread[..., stride:]], -1)
        yield spread[..., begin:-stride]
        tail = spread[..., -stride:]
    if tail is not None:
        yield tail[..., : stride - stride // 2]


def _ones(stride: int, bias: float = 0.0) -> nn.ConvTranspose1d:
    return layer_of_ones(nn.ConvTranspose1d(1, 1, 2 * stride, stride), bias)


def a_stride_of_outputs_for_each_input(answer):
    """The pieces that it yields are [B, C', m], and join to `stride` outputs for each input."""
    for B, C, out, stride in ((1, 1, 2, 4), (2, 3, 2, 5)):
        layer = fixed(nn.ConvTranspose1d(C, out, 2 * stride, stride))
        found = joined(run(answer, [torch.randn(B, C, 6)], layer)[0])
        expect_tensor(found, (B, out, 6 * stride), torch.float32, f"stride {stride}, 6 inputs: all of it")


def one_piece_is_the_whole(answer):
    """A signal in one piece: trimmed at both ends, the larger half at the left."""
    expect_outputs(answer, ramp(3), (_ones(2),), row(1, 3, 3, 5, 5, 3), "1, 2, 3 at stride 2, kernel of ones")
    expect_outputs(answer, ramp(3), (_ones(3),), row(1, 3, 3, 3, 5, 5, 5, 3, 3), "1, 2, 3 at stride 3, kernel of ones")
    expect_outputs(answer, ramp(1), (_ones(3),), row(1, 1, 1), "a single 1 at stride 3, kernel of ones")
    expect_outputs(answer, ramp(3), (_ones(1),), row(3, 5, 3), "1, 2, 3 at stride 1, kernel of ones")


def neighbours_add_up_at_a_seam(answer):
    """By hand: where two inputs overlap their outputs add up, also if a seam lies between them."""
    expect_outputs(answer, ramp(1, 1, 1), (_ones(2),), row(1, 3, 3, 5, 5, 3), "1, 2, 3 in three pieces at stride 2")


def the_bias_counts_once(answer):
    """The layer's bias is in each output once, in the overlap too."""
    layer = (_ones(2, bias=10.0),)
    expect_outputs(answer, ramp(3), layer, row(11, 13, 13, 15, 15, 13), "1, 2, 3 in one piece, bias 10")
    expect_outputs(answer, ramp(2, 1), layer, row(11, 13, 13, 15, 15, 13), "1, 2, 3 in two pieces, bias 10")


def an_empty_piece_changes_nothing(answer):
    """Pieces of no input, first, in between and last."""
    for sizes, bias in (((0, 2, 0, 0, 1, 0), 0.0), ((0, 0, 1, 0, 2), 0.0), ((2, 0, 1), 10.0)):
        target = row(1, 3, 3, 5, 5, 3) + bias
        expect_outputs(answer, ramp(*sizes), (_ones(2, bias),), target, f"1, 2, 3 in pieces {sizes}, bias {bias:g}")


def an_output_comes_as_soon_as_it_can(answer):
    """What no later input reaches is yielded before the next piece is asked for."""
    for stride, target in ((5, [2, 7, 17, 37]), (4, [2, 6, 14, 30]), (1, [0, 1, 3, 7])):
        layer = fixed(nn.ConvTranspose1d(1, 1, 2 * stride, stride))
        expect_given(answer, ramp(1, 1, 2, 4), (layer,), target, f"stride {stride}")


def work_does_not_grow(answer):
    """The layer is given what is new and perhaps the input before it, not the past again."""
    expect_constant_work(answer, fixed(nn.ConvTranspose1d(2, 3, 8, 4)), 2, 1)


def what_is_kept_does_not_grow(answer):
    """The tail or the last input is kept, and no more: a stream may go on for hours."""
    expect_constant_memory(answer, fixed(nn.ConvTranspose1d(2, 3, 8, 4)), 2)


def any_cut_gives_the_same(answer):
    """Random layers, odd strides too, and every way of cutting: the outputs of the library's layer of the whole."""
    for C, out, stride in ((1, 1, 2), (3, 2, 5), (2, 4, 4), (2, 2, 1), (1, 3, 3)):
        signal, layer = torch.randn(2, C, 24), transposed(C, out, stride)
        expect_every_cut(answer, signal, (layer.conv,), layer(signal), f"stride {stride}")


def whole(x: Tensor, layer: nn.ConvTranspose1d) -> Tensor:
    """The transposed convolution of a whole signal [B, C, n], trimmed to n * stride."""
    stride = layer.stride[0]
    left = stride - stride // 2
    return layer(x)[..., left : left + x.shape[-1] * stride]


def _naive(pieces, layer):
    for piece in pieces:
        if piece.shape[-1]:
            yield whole(piece, layer)


def _appended(pieces, layer):
    """Every piece with its tail, one after the other."""
    stride, held = layer.stride[0], None
    for piece in pieces:
        if piece.shape[-1]:
            if held is not None:
                yield held
            held = layer(piece)[..., stride - stride // 2 if held is None else 0 :]
    yield held[..., : held.shape[-1] - stride // 2]


def _waits(pieces, layer):
    yield whole(torch.cat(list(pieces), -1), layer)


def _one_input_late(pieces, layer, late=1):
    """All outputs are computed again, and those yielded that the input after them has completed."""
    stride = layer.stride[0]
    left, past, done = stride - stride // 2, None, 0
    for piece in pieces:
        past = piece if past is None else torch.cat([past, piece], -1)
        until = max(done, (past.shape[-1] - late) * stride - left)
        if until > done:
            yield layer(past)[..., left + done : left + until]
            done = until
    yield whole(past, layer)[..., done:]


def _all_again(pieces, layer):
    yield from _one_input_late(pieces, layer, late=0)


def _keeps_all(pieces, layer):
    """The layer is given new inputs and the one before them, cut out of all that ever came."""
    stride, past = layer.stride[0], None
    for piece in pieces:
        if piece.shape[-1]:
            first = past is None
            past = piece if first else torch.cat([past, piece], -1)
            y = layer(past[..., -piece.shape[-1] - 1 :])
            yield y[..., stride - stride // 2 if first else stride : -stride]
    yield y[..., -stride : y.shape[-1] - stride // 2]


def _with_last_input(pieces, layer):
    """No tail is added: the last input is kept and goes through the layer once more."""
    stride = layer.stride[0]
    last, y = None, None
    for piece in pieces:
        if piece.shape[-1]:
            x = piece if last is None else torch.cat([last, piece], -1)
            y = layer(x)
            yield y[..., stride - stride // 2 if last is None else stride : x.shape[-1] * stride]
            last = x[..., -1:]
    if y is not None:
        yield y[..., y.shape[-1] - stride : y.shape[-1] - stride // 2]


def _by_hand(pieces, layer):
    """One input at a time, added into a line of sums; the bias at the end. Yields empty pieces, too."""
    stride, line = layer.stride[0], None
    trim = stride - stride // 2
    for piece in pieces:
        B, out = len(piece), layer.out_channels
        line = piece.new_zeros(B, out, stride) if line is None else line
        ready = [piece.new_zeros(B, out, 0)]
        for t in range(piece.shape[2]):
            sums = torch.einsum("bc,cok->bok", piece[:, :, t], layer.weight)
            sums = sums + F.pad(line, (0, stride))
            ready.append(sums[..., trim:stride] + layer.bias[:, None])
            line, trim = sums[..., stride:], 0
        yield torch.cat(ready, -1)
    if trim == 0:
        yield line[..., : stride - stride // 2] + layer.bias[:, None]


def _bias_apart(pieces, layer):
    """Products in float64, the overlap written into the first outputs, the bias to what is given away."""
    stride, weight, bias = layer.stride[0], layer.weight.double(), layer.bias.double().unsqueeze(1)
    trim, tail = stride - stride // 2, 0.0
    for piece in pieces:
        if piece.numel():
            y = F.conv_transpose1d(piece.double(), weight, stride=stride)
            y[..., :stride] += tail
            n = y.size(-1) - stride
            yield (y[..., trim:n] + bias).float()
            trim, tail = 0, y[..., n:]
    yield (tail[..., : stride - stride // 2] + bias).float()


def _examples(generator):
    def case(C, out, stride, sizes):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            layer = fixed(nn.ConvTranspose1d(C, out, 2 * stride, stride))
        return list(torch.randn(2, C, sum(sizes), generator=generator).split(sizes, -1)), layer

    return [case(1, 1, 5, (3, 4, 2)), case(2, 3, 4, (2, 0, 1, 0, 2)), case(1, 2, 3, (1, 1)), case(1, 1, 2, (0, 2, 1))]


SHARED = "tail + spread[..., :stride] - layer.bias[:, None]"
BEGIN = "begin = stride - stride // 2 if tail is None else 0"
stream_transposed = StreamExercise(
    "stream_transposed",
    reference=stream,
    properties=(
        a_stride_of_outputs_for_each_input, one_piece_is_the_whole, neighbours_add_up_at_a_seam, the_bias_counts_once,
        an_empty_piece_changes_nothing, an_output_comes_as_soon_as_it_can, work_does_not_grow,
        what_is_kept_does_not_grow, any_cut_gives_the_same,
    ),
    wrong=mistakes(stream, {
        a_stride_of_outputs_for_each_input: [
            ("yield tail[..., : stride - stride // 2]", "pass",
             "The end never comes: when the pieces are over, what you carry has to be yielded, trimmed at the right."),
            (BEGIN, "begin = 0", "tail[..., : stride - stride // 2]", "tail",
             "You do not trim: the whole has kernel - stride outputs too many. Trim its two ends."),
            ("yield tail[..., : stride - stride // 2]", "yield tail",
             "You do not trim the right end. Of the last s outputs stride // 2 are cut away."),
        ],
        one_piece_is_the_whole: [
            ("tail[..., : stride - stride // 2]", "tail[..., : stride // 2]", BEGIN,
             "begin = stride // 2 if tail is None else 0",
             "The trims are swapped: total // 2 at the right end, the rest at the left."),
            (BEGIN, "begin = 0", "tail[..., : stride - stride // 2]", "tail[..., :0]",
             "You trim everything at the right end, so all outputs are too late. Half of it goes at the left."),
            ("tail[..., : stride - stride // 2]", "tail[..., : -(stride // 2)]",
             "x[..., :-0] is nothing, not all of x: at stride 1 you cut away the last output. Count from the left."),
        ],
        neighbours_add_up_at_a_seam: [
            (_naive, "You trim each piece as if it were a clip of its own, so the inputs at a seam do not reach over "
             "it. Carry what the layer gives beyond n * stride, and add it to what comes next."),
            (SHARED, "tail",
             "At a seam you yield the tail of the old piece alone. The new one's beginning has to be added."),
            (SHARED, "spread[..., :stride]",
             "You drop the tail of the old piece. It has to be added to the new one's beginning."),
            (SHARED, "(tail + spread[..., :stride]) / 2",
             "You take the mean of the two, a crossfade. A transposed convolution adds: it is a sum of what each input "
             "spreads."),
            (_appended, "You put the tails behind each other, so there are outputs too many. Tail and next beginning "
             "stand at the same places: add them."),
        ],
        the_bias_counts_once: [
            (" - layer.bias[:, None]", "",
             "The layer adds its bias to all that it returns: in the overlap you have it twice. Take it away once."),
            (" - layer.bias[:, None]", "", "layer(piece)", "layer(piece) - layer.bias[:, None]",
             "The bias is gone. Each output has it, once."),
            ("yield tail[..., : stride - stride // 2]", "yield tail[..., : stride - stride // 2] - layer.bias[:, None]",
             "What you yield at the very end has no bias: it comes from what you carry, and there you took it away."),
        ],
        an_empty_piece_changes_nothing: [
            ("piece.shape[-1] == 0", "False",
             "torch refuses a transposed convolution of nothing. Skip a piece without inputs."),
            ("for piece in pieces", "for i, piece in enumerate(pieces)", "tail is None else", "i == 0 else",
             "You trim the left end of the first piece, and the first piece may be empty. Trim the first outputs."),
            ("            continue", "            tail = None if tail is None else torch.zeros_like(tail) + "
             "layer.bias[:, None]\n            continue",
             "An empty piece makes you forget the tail. Skip it before you touch what you carry."),
            ("            continue", "            break", "You stop at an empty piece. More may follow: `continue`."),
        ],
        an_output_comes_as_soon_as_it_can: [
            (_waits, "You collect all pieces first. That is right, and no stream: yield within the loop."),
            (_one_input_late, "You wait for one input too many: input i reaches outputs from i * stride on, so those "
             "before are complete when input i - 1 is there."),
        ],
        work_does_not_grow: [
            (_all_again, "You keep all inputs and compute all outputs again with each piece. Carry the tail only."),
        ],
        what_is_kept_does_not_grow: [
            (_keeps_all, "You keep all inputs, though you use the last ones only. A stream may go on for hours: carry "
             "the tail, and no more."),
        ],
        any_cut_gives_the_same: [
            ("layer.bias[:, None]", "layer.bias.mean()", "You take one number for the bias. Each output channel has "
             "its own: layer.bias[:, None]."),
        ],
    }),
    right=(_with_last_input, _by_hand, _bias_apart),
    examples=_examples,
    picture=lambda target, yours, arguments: two_streams(target, yours, arguments, arguments[1].stride[0]),
)  # fmt: skip
