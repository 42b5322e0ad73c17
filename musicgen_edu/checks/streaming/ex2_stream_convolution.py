"""Exercise 2, `stream_convolution`: a convolution that looks ahead, piece by piece."""

from __future__ import annotations

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import expect_tensor, mistakes
from ._shared import (
    StreamExercise,
    convolution,
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
    two_streams,
)  # fmt: skip


def stream(pieces, layer):
    """The convolution of a signal that comes in pieces."""
    context = (layer.kernel_size[0] - 1) * layer.dilation[0]
    right, kept = context // 2, None
    for piece in pieces:
        kept = F.pad(piece, (context - right, 0)) if kept is None else torch.cat([kept, piece], -1)
        if kept.shape[-1] > context:
            yield layer(kept)
            kept = kept[..., kept.shape[-1] - context :]
    if kept is not None and kept.shape[-1] + right > context:
        yield layer(F.pad(kept, (0, right)))


def as_many_outputs_as_inputs(answer):
    """The pieces that it yields are [B, C', m], and join to as many outputs as there are inputs."""
    for B, C, out, kernel, dilation in ((1, 1, 2, 7, 1), (2, 3, 2, 3, 2)):
        found = joined(run(answer, [torch.randn(B, C, 20)], fixed(nn.Conv1d(C, out, kernel, dilation=dilation)))[0])
        expect_tensor(found, (B, out, 20), torch.float32, f"kernel {kernel}, dilation {dilation}, 20 inputs: all of it")


def one_piece_is_the_whole(answer):
    """A signal in one piece: its convolution, with the zeros at both ends, the larger half at the left."""
    expect_outputs(answer, ramp(5), (layer_of_ones(nn.Conv1d(1, 1, 3)),), row(3, 6, 9, 12, 9), "1 to 5, sums of three")
    expect_outputs(answer, ramp(5), (layer_of_ones(nn.Conv1d(1, 1, 4)),), row(3, 6, 10, 14, 12), "1 to 5, sums of 4")


def a_seam_does_not_show(answer):
    """By hand: with a kernel of three ones the sums run on over the seam."""
    layer = (layer_of_ones(nn.Conv1d(1, 1, 3)),)
    expect_outputs(answer, ramp(3, 3), layer, row(3, 6, 9, 12, 15, 11), "1 to 6 in two pieces, sums of three")


def short_and_empty_pieces_are_pieces(answer):
    """Pieces shorter than the kernel, of one sample and of none; and a signal that is shorter than the kernel."""
    layer = (layer_of_ones(nn.Conv1d(1, 1, 5)),)
    for sizes in ((1,) * 6, (0, 3, 0, 3, 0), (2, 1, 3)):
        expect_outputs(answer, ramp(*sizes), layer, row(6, 10, 15, 20, 18, 15), f"1 to 6, sums of 5, pieces {sizes}")
    layer = (layer_of_ones(nn.Conv1d(1, 1, 9)),)
    for sizes, target in (((1,), row(1)), ((2,), row(3, 3)), ((1, 2), row(6, 6, 6)), ((1, 0, 1), row(3, 3))):
        what = f"{sum(sizes)} inputs, pieces {sizes}, sums of 9"
        expect_outputs(answer, ramp(*sizes), layer, target, what)


def a_kernel_of_one_needs_no_context(answer):
    """A kernel of one: each input gives its output, once."""
    layer = (layer_of_ones(nn.Conv1d(1, 1, 1), bias=1.0),)
    expect_outputs(answer, ramp(2, 1, 3), layer, row(2, 3, 4, 5, 6, 7), "1 to 6, plus 1, in three pieces")


def an_output_comes_as_soon_as_it_can(answer):
    """An output is yielded before the next piece is asked for, as soon as its last input is there."""
    targets = {(7, 1): [0, 0, 0, 1, 5, 13], (4, 1): [0, 1, 2, 3, 7, 15], (3, 2): [0, 0, 1, 2, 6, 14]}
    for (kernel, dilation), target in targets.items():
        layer = fixed(nn.Conv1d(1, 1, kernel, dilation=dilation))
        expect_given(answer, ramp(1, 1, 1, 1, 4, 8), (layer,), target, f"kernel {kernel}, dilation {dilation}")


def work_does_not_grow(answer):
    """The layer is given what is new and its context, not the past again."""
    expect_constant_work(answer, fixed(nn.Conv1d(2, 3, 5)), 2, 4)


def what_is_kept_does_not_grow(answer):
    """The context is kept, and no more: a stream may go on for hours."""
    expect_constant_memory(answer, fixed(nn.Conv1d(2, 3, 5)), 2)


def any_cut_gives_the_same(answer):
    """Random layers, dilated and even ones, with bias and without, cut in any way: the library's layer of the whole."""
    for C, out, kernel, dilation in ((1, 1, 7, 1), (3, 2, 3, 2), (2, 4, 4, 1), (2, 3, 2, 1), (1, 2, 4, 3)):
        signal, layer = torch.randn(2, C, 24), convolution(C, out, kernel, dilation)
        what = f"kernel {kernel}, dilation {dilation}"
        if kernel == 3:
            layer.conv.bias, what = None, f"{what}, no bias"
        expect_every_cut(answer, signal, (layer.conv,), layer(signal), what)


def whole(x: Tensor, layer: nn.Conv1d) -> Tensor:
    """The convolution of a whole signal, with zeros at its ends."""
    context = (layer.kernel_size[0] - 1) * layer.dilation[0]
    return layer(F.pad(x, (context - context // 2, context // 2)))


def _naive(pieces, layer):
    for piece in pieces:
        if piece.shape[-1]:
            yield whole(piece, layer)


def _left_only(pieces, layer):
    context = (layer.kernel_size[0] - 1) * layer.dilation[0]
    left, past = context - context // 2, None
    for piece in pieces:
        past = piece.new_zeros(*piece.shape[:2], left) if past is None else past
        past = torch.cat([past, piece], -1)
        if piece.shape[-1]:
            yield layer(F.pad(past, (0, context // 2)))
            past = past[..., past.shape[-1] - left :]


def _one_late(pieces, layer):
    """Holds the newest piece back."""
    held = None
    for output in stream(pieces, layer):
        if held is not None:
            yield held
        held = output
    yield held


def _waits(pieces, layer):
    yield whole(torch.cat(list(pieces), -1), layer)


def _all_again(pieces, layer):
    context = (layer.kernel_size[0] - 1) * layer.dilation[0]
    past, done = None, 0
    for piece in pieces:
        past = F.pad(piece, (context - context // 2, 0)) if past is None else torch.cat([past, piece], -1)
        if past.shape[-1] > context + done:
            yield layer(past)[..., done:]
            done = past.shape[-1] - context
    yield layer(F.pad(past, (0, context // 2)))[..., done:]


def _keeps_all(pieces, layer):
    """The layer is given its window only, cut out of all that ever came."""
    context = (layer.kernel_size[0] - 1) * layer.dilation[0]
    past, done = None, 0
    for piece in pieces:
        past = F.pad(piece, (context - context // 2, 0)) if past is None else torch.cat([past, piece], -1)
        if past.shape[-1] > context + done:
            yield layer(past[..., done:])
            done = past.shape[-1] - context
    if past.shape[-1] + context // 2 > context + done:
        yield layer(F.pad(past[..., done:], (0, context // 2)))


def _one_buffer(pieces, layer):
    """Every output is written into the same memory."""
    buffer = None
    for output in stream(pieces, layer):
        buffer = output.new_zeros(*output.shape[:2], 100) if buffer is None else buffer
        buffer[..., : output.shape[-1]] = output
        yield buffer[..., : output.shape[-1]]


def with_positions(pieces, layer):
    """A buffer that knows at which input it begins; yields empty pieces, too."""
    context = (layer.kernel_size[0] - 1) * layer.dilation[0]
    right, buffer = context // 2, None
    for piece in pieces:
        buffer = piece.new_zeros(*piece.shape[:2], context - right) if buffer is None else buffer
        buffer = torch.cat((buffer, piece), 2)
        ready = max(0, buffer.shape[2] - context)
        yield layer(buffer) if ready else buffer.new_zeros(len(buffer), layer.out_channels, 0)
        buffer = buffer.narrow(2, ready, buffer.shape[2] - ready)
    end = torch.cat((buffer, buffer.new_zeros(*buffer.shape[:2], right)), 2)
    if end.shape[2] > context:
        yield F.conv1d(end, layer.weight, layer.bias, dilation=layer.dilation)


def _with_numpy(pieces, layer):
    """Windows of an array, and the product with the kernel in float64."""
    kernel, step = layer.kernel_size[0], layer.dilation[0]
    context, buffer = (kernel - 1) * step, None
    weight = layer.weight.numpy().astype(np.float64)
    for piece in itertools.chain(pieces, [None]):
        piece = np.zeros((*buffer.shape[:2], context // 2)) if piece is None else piece.numpy()
        buffer = np.zeros((*piece.shape[:2], context - context // 2)) if buffer is None else buffer
        buffer = np.concatenate([buffer, piece], 2)
        count = max(0, buffer.shape[2] - context)
        taps = np.arange(count)[:, None] + np.arange(kernel) * step  # [outputs, kernel]
        found = np.einsum("bctk,ock->bot", buffer[:, :, taps], weight)
        yield torch.from_numpy(found).float() + (0 if layer.bias is None else layer.bias[:, None])
        buffer = buffer[:, :, count:]


def _examples(generator):
    def case(C, out, kernel, dilation, sizes):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            layer = fixed(nn.Conv1d(C, out, kernel, dilation=dilation))
        return list(torch.randn(2, C, sum(sizes), generator=generator).split(sizes, -1)), layer

    return [
        case(1, 1, 7, 1, (10, 12, 8)), case(2, 3, 3, 2, (5, 1, 1, 0, 5)), case(1, 1, 4, 1, (6, 6)),
        case(1, 2, 1, 1, (3, 3)), case(1, 1, 5, 1, (1, 1, 4)),
    ]  # fmt: skip


stream_convolution = StreamExercise(
    "stream_convolution",
    reference=stream,
    properties=(
        as_many_outputs_as_inputs, one_piece_is_the_whole, a_seam_does_not_show, short_and_empty_pieces_are_pieces,
        a_kernel_of_one_needs_no_context, an_output_comes_as_soon_as_it_can, work_does_not_grow,
        what_is_kept_does_not_grow,
        any_cut_gives_the_same,
    ),
    wrong=mistakes(stream, {
        as_many_outputs_as_inputs: [
            ("if kept is not None and", "if False and",
             "The last outputs never come: when the pieces are over, the zeros at the right end have to follow."),
            ("(context - right, 0)", "(0, 0)", "The zeros at the left end are missing, so the first outputs are."),
            (" * layer.dilation[0]", "", "You leave out the dilation: the context is (kernel - 1) dilation inputs."),
            ("- context :]", "- context + 1 :]", "You keep one input too few: at each seam an output is lost, and at "
             "the end. Keep (kernel - 1) dilation."),
            ("kept.shape[-1] - context :]", "max(0, kept.shape[-1] - context - 1) :]", "You keep one input too many: "
             "at each seam an output comes twice, and at the end. Keep (kernel - 1) dilation."),
            ("- context :]", "- (layer.kernel_size[0] - 1) :]",
             "You pad for the dilation, but keep kernel - 1 inputs. Keep (kernel - 1) dilation."),
            ("- context :]", "- right :]", "You keep as much as stands at the right end as padding. That is half: an "
             "output needs (kernel - 1) dilation inputs beside its newest."),
            (_one_buffer, "You write all outputs into the same memory, so that one which you have given changes "
             "afterwards. Yield a new tensor each time."),
        ],
        one_piece_is_the_whole: [
            ("context // 2", "0", "All your padding stands at the left, as in a causal layer: the outputs come early "
             "and belong to another place. Half of it goes to the right end."),
            ("context // 2", "context - context // 2",
             "With an odd padding the right end gets total // 2 and the left end the rest."),
        ],
        a_seam_does_not_show: [
            (_naive, "You pad each piece as if nothing came before and after it. That is what clicks. Pad the ends of "
             "the signal alone, and keep the last inputs of a piece for the next."),
            (_left_only, "You keep the past, but put zeros where the future will be. An output whose inputs are not "
             "all there has to wait."),
        ],
        short_and_empty_pieces_are_pieces: [
            ("    kept = kept[..., kept.shape[-1] - context :]",
             "kept = piece[..., max(0, piece.shape[-1] - context) :]",
             "You take what is kept from the newest piece alone. A short piece does not hold enough: take it from what "
             "was kept and the piece, joined."),
            ("if kept.shape[-1] > context:", "if True:", "You call the layer before it has one whole window; torch "
             "raises an error. Wait for more than the context."),
            ("        kept = F.pad", "        if not piece.shape[-1]:\n            return\n        kept = F.pad",
             "You stop at an empty piece. The signal may go on after it: use `continue`, or nothing at all."),
            ("kept.shape[-1] + right > context", "kept.shape[-1] >= context", "Where the signal is shorter than the "
             "kernel nothing comes. With the zeros at its ends it has a window for each input."),
        ],
        a_kernel_of_one_needs_no_context: [
            ("kept.shape[-1] - context :]", "-context:]",
             "x[..., -0:] is all of x, not nothing. Write x[..., x.shape[-1] - context:]."),
        ],
        an_output_comes_as_soon_as_it_can: [
            (_waits, "You collect all pieces first. That is right, and no stream: yield within the loop."),
            (_one_late, "You hold outputs back that are complete. Yield them before you ask for the next piece."),
            ("if kept.shape[-1] > context:", "if kept.shape[-1] > context + 1:", "You wait for one input more than a "
             "window has. More than the context is enough."),
        ],
        work_does_not_grow: [
            (_all_again, "You keep all inputs and compute all outputs again with each piece: a minute of music costs "
             "sixty times as much as a second for each piece. Keep the context only."),
        ],
        what_is_kept_does_not_grow: [
            (_keeps_all, "You keep all inputs, though you use the last ones only. A stream may go on for hours: keep "
             "the context, and no more."),
        ],
        any_cut_gives_the_same: [
            ("yield layer(kept)", "yield F.conv1d(kept, layer.weight, dilation=layer.dilation) + layer.bias[:, None]",
             "You add a bias that the layer may not have. Call the layer itself."),
        ],
    }),
    right=(with_positions, _with_numpy),
    examples=_examples,
    picture=two_streams,
)  # fmt: skip
