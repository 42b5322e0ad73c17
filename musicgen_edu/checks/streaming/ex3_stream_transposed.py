"""Exercise 3, `stream_transposed`: a transposed convolution, whose outputs overlap, piece by piece."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .. import Wrong, expect, expect_tensor
from . import _transposed as answers
from ._shared import (
    StreamExercise,
    expect_constant_work,
    expect_every_cut,
    expect_outputs,
    fixed,
    joined,
    layer_of_ones,
    ramp,
    run,
    two_streams,
)


def _ones(stride: int, bias: float = 0.0) -> nn.ConvTranspose1d:
    return layer_of_ones(nn.ConvTranspose1d(1, 1, 2 * stride, stride), bias)


def _row(*numbers: float) -> Tensor:
    return torch.tensor([[[float(one) for one in numbers]]])


def a_stride_of_outputs_for_each_input(answer):
    """The pieces that it yields are [B, C', m], and join to `stride` outputs for each input."""
    for B, C, out, stride in ((1, 1, 2, 4), (2, 3, 2, 5)):
        layer = fixed(nn.ConvTranspose1d(C, out, 2 * stride, stride))
        found = joined(run(answer, [torch.randn(B, C, 6)], layer)[0])
        expect_tensor(found, (B, out, 6 * stride), torch.float32, f"stride {stride}, 6 inputs: all of it")


def one_piece_is_the_whole(answer):
    """A signal in one piece: trimmed at both ends, the larger half at the left."""
    expect_outputs(answer, ramp(3), (_ones(2),), _row(1, 3, 3, 5, 5, 3), "1, 2, 3 at stride 2, kernel of ones")
    target = _row(1, 3, 3, 3, 5, 5, 5, 3, 3)
    expect_outputs(answer, ramp(3), (_ones(3),), target, "1, 2, 3 at stride 3, kernel of ones")


def neighbours_add_up_at_a_seam(answer):
    """By hand: where two inputs overlap their outputs add up, also if a seam lies between them."""
    expect_outputs(answer, ramp(1, 1, 1), (_ones(2),), _row(1, 3, 3, 5, 5, 3), "1, 2, 3 in three pieces at stride 2")


def the_bias_counts_once(answer):
    """The layer's bias is in each output once, in the overlap too."""
    layer = (_ones(2, bias=10.0),)
    expect_outputs(answer, ramp(3), layer, _row(11, 13, 13, 15, 15, 13), "1, 2, 3 in one piece, bias 10")
    expect_outputs(answer, ramp(2, 1), layer, _row(11, 13, 13, 15, 15, 13), "1, 2, 3 in two pieces, bias 10")


def an_empty_piece_changes_nothing(answer):
    """Pieces of no input, first, in between and last."""
    target = _row(1, 3, 3, 5, 5, 3)
    expect_outputs(answer, ramp(0, 2, 0, 0, 1, 0), (_ones(2),), target, "1, 2, 3 in pieces of 0, 2, 0, 0, 1, 0")


def an_output_comes_as_soon_as_it_can(answer):
    """What no later input reaches is yielded before the next piece is asked for."""
    given = run(answer, ramp(1, 1, 2, 4), fixed(nn.ConvTranspose1d(1, 1, 10, 5)))[1]
    expect(given == [2, 7, 17, 37], f"stride 5 after 1, 2, 4, 8 inputs: 2, 7, 17, 37 outputs, not {given}")


def work_does_not_grow(answer):
    """The layer is given what is new and perhaps the input before it, not the past again."""
    expect_constant_work(answer, fixed(nn.ConvTranspose1d(2, 3, 8, 4)), 2, 1)


def any_cut_gives_the_same(answer):
    """Random layers, odd strides too, and every way of cutting: the outputs of the whole."""
    for C, out, stride in ((1, 1, 2), (3, 2, 5), (2, 4, 4), (2, 2, 1), (1, 3, 3)):
        signal, layer = torch.randn(2, C, 24), fixed(nn.ConvTranspose1d(C, out, 2 * stride, stride))
        expect_every_cut(answer, signal, (layer,), answers.whole(signal, layer), f"stride {stride}")


def _examples(generator):
    def case(C, out, stride, sizes):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            layer = fixed(nn.ConvTranspose1d(C, out, 2 * stride, stride))
        return list(torch.randn(2, C, sum(sizes), generator=generator).split(sizes, -1)), layer

    return [case(1, 1, 5, (3, 4, 2)), case(2, 3, 4, (2, 0, 1, 0, 2)), case(1, 2, 3, (1, 1)), case(1, 1, 2, (0, 2, 1))]


stream_transposed = StreamExercise(
    "stream_transposed",
    reference=answers.stream,
    properties=(
        a_stride_of_outputs_for_each_input,
        one_piece_is_the_whole,
        neighbours_add_up_at_a_seam,
        the_bias_counts_once,
        an_empty_piece_changes_nothing,
        an_output_comes_as_soon_as_it_can,
        work_does_not_grow,
        any_cut_gives_the_same,
    ),
    wrong=(
        Wrong(
            answers.no_flush,
            "a_stride_of_outputs_for_each_input",
            "The end never comes: when the pieces are over, what you carry has to be yielded, trimmed at the right.",
        ),
        Wrong(
            answers.no_trim,
            "a_stride_of_outputs_for_each_input",
            "You do not trim: the whole has kernel - stride outputs too many. Trim its two ends.",
        ),
        Wrong(
            answers.trims_swapped,
            "one_piece_is_the_whole",
            "The trims are swapped: total // 2 at the right end, the rest at the left.",
        ),
        Wrong(
            answers.trims_one_end,
            "one_piece_is_the_whole",
            "You trim everything at the right end, so all outputs are too late. Half of it goes at the left.",
        ),
        Wrong(
            answers.naive,
            "neighbours_add_up_at_a_seam",
            "You trim each piece as if it were a clip of its own, so the inputs at a seam do not reach over it. Carry "
            "what the layer gives beyond n * stride, and add it to what comes next.",
        ),
        Wrong(
            answers.old_tail_wins,
            "neighbours_add_up_at_a_seam",
            "At a seam you yield the tail of the old piece alone. The new one's beginning has to be added.",
        ),
        Wrong(
            answers.new_piece_wins,
            "neighbours_add_up_at_a_seam",
            "You drop the tail of the old piece. It has to be added to the new one's beginning.",
        ),
        Wrong(
            answers.mean,
            "neighbours_add_up_at_a_seam",
            "You take the mean of the two, a crossfade. A transposed convolution adds: it is a sum of what each input "
            "spreads.",
        ),
        Wrong(
            answers.appended,
            "neighbours_add_up_at_a_seam",
            "You put the tails behind each other, so there are outputs too many. Tail and next beginning stand at the "
            "same places: add them.",
        ),
        Wrong(
            answers.bias_twice,
            "the_bias_counts_once",
            "The layer adds its bias to all that it returns: in the overlap you have it twice. Take it away once.",
        ),
        Wrong(
            answers.no_bias,
            "the_bias_counts_once",
            "The bias is gone. Each output has it, once.",
        ),
        Wrong(
            answers.empty_raises,
            "an_empty_piece_changes_nothing",
            "torch refuses a transposed convolution of nothing. Skip a piece without inputs.",
        ),
        Wrong(
            answers.end_without_bias,
            "the_bias_counts_once",
            "What you yield at the very end has no bias: it comes from what you carry, and there you took it away.",
        ),
        Wrong(
            answers.first_by_number,
            "an_empty_piece_changes_nothing",
            "You trim the left end of the first piece, and the first piece may be empty. Trim the first outputs.",
        ),
        Wrong(
            answers.empty_forgets,
            "an_empty_piece_changes_nothing",
            "An empty piece makes you forget the tail. Skip it before you touch what you carry.",
        ),
        Wrong(
            answers.waits,
            "an_output_comes_as_soon_as_it_can",
            "You collect all pieces first. That is right, and no stream: yield within the loop.",
        ),
        Wrong(
            answers.one_input_late,
            "an_output_comes_as_soon_as_it_can",
            "You wait for one input too many: input i reaches outputs from i * stride on, so those before are complete "
            "when input i - 1 is there.",
        ),
        Wrong(
            answers.all_again,
            "work_does_not_grow",
            "You keep all inputs and compute all outputs again with each piece. Carry the tail only.",
        ),
    ),
    right=(answers.with_last_input, answers.by_hand),
    examples=_examples,
    picture=lambda target, yours, arguments: two_streams(target, yours, arguments, arguments[1].stride[0]),
)
