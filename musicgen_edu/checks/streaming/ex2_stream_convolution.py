"""Exercise 2, `stream_convolution`: a convolution that looks ahead, piece by piece."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .. import Wrong, expect, expect_tensor
from . import _convolution as answers
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


def as_many_outputs_as_inputs(answer):
    """The pieces that it yields are [B, C', m], and join to as many outputs as there are inputs."""
    for B, C, out, kernel, dilation in ((1, 1, 2, 7, 1), (2, 3, 2, 3, 2)):
        found = joined(run(answer, [torch.randn(B, C, 20)], fixed(nn.Conv1d(C, out, kernel, dilation=dilation)))[0])
        expect_tensor(found, (B, out, 20), torch.float32, f"kernel {kernel}, dilation {dilation}, 20 inputs: all of it")


def one_piece_is_the_whole(answer):
    """A signal in one piece: its convolution, with the zeros at both ends, the larger half at the left."""
    expect_outputs(answer, ramp(5), (layer_of_ones(nn.Conv1d(1, 1, 3)),), _row(3, 6, 9, 12, 9), "1 to 5, sums of three")
    expect_outputs(answer, ramp(5), (layer_of_ones(nn.Conv1d(1, 1, 4)),), _row(3, 6, 10, 14, 12), "1 to 5, sums of 4")


def a_seam_does_not_show(answer):
    """By hand: with a kernel of three ones the sums run on over the seam."""
    layer = (layer_of_ones(nn.Conv1d(1, 1, 3)),)
    expect_outputs(answer, ramp(3, 3), layer, _row(3, 6, 9, 12, 15, 11), "1 to 6 in two pieces, sums of three")


def short_and_empty_pieces_are_pieces(answer):
    """Pieces shorter than the kernel, of one sample and of none."""
    layer = (layer_of_ones(nn.Conv1d(1, 1, 5)),)
    for sizes in ((1,) * 6, (0, 3, 0, 3, 0), (2, 1, 3)):
        expect_outputs(answer, ramp(*sizes), layer, _row(6, 10, 15, 20, 18, 15), f"1 to 6, sums of 5, pieces {sizes}")


def a_kernel_of_one_needs_no_context(answer):
    """A kernel of one: each input gives its output, once."""
    layer = (layer_of_ones(nn.Conv1d(1, 1, 1), bias=1.0),)
    expect_outputs(answer, ramp(2, 1, 3), layer, _row(2, 3, 4, 5, 6, 7), "1 to 6, plus 1, in three pieces")


def an_output_comes_as_soon_as_it_can(answer):
    """An output is yielded before the next piece is asked for, as soon as its last input is there."""
    layer = fixed(nn.Conv1d(1, 1, 7))
    given = run(answer, ramp(1, 1, 1, 1, 4, 8), layer)[1]
    expect(
        given == [0, 0, 0, 1, 5, 13], f"kernel 7 after 1, 2, 3, 4, 8, 16 inputs: 0, 0, 0, 1, 5, 13 outputs, not {given}"
    )


def work_does_not_grow(answer):
    """The layer is given what is new and its context, not the past again."""
    expect_constant_work(answer, fixed(nn.Conv1d(2, 3, 5)), 2, 4)


def any_cut_gives_the_same(answer):
    """Random layers, dilated and even ones too, and every way of cutting: the outputs of the whole."""
    for C, out, kernel, dilation in ((1, 1, 7, 1), (3, 2, 3, 2), (2, 4, 4, 1), (2, 2, 3, 4), (2, 3, 2, 1)):
        signal, layer = torch.randn(2, C, 24), fixed(nn.Conv1d(C, out, kernel, dilation=dilation))
        what = f"kernel {kernel}, dilation {dilation}"
        expect_every_cut(answer, signal, (layer,), answers.whole(signal, layer), what)


def _row(*numbers: float) -> Tensor:
    return torch.tensor([[[float(one) for one in numbers]]])


def _examples(generator):
    def case(C, out, kernel, dilation, sizes):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            layer = fixed(nn.Conv1d(C, out, kernel, dilation=dilation))
        return list(torch.randn(2, C, sum(sizes), generator=generator).split(sizes, -1)), layer

    return [
        case(1, 1, 7, 1, (10, 12, 8)),
        case(2, 3, 3, 2, (5, 1, 1, 0, 5)),
        case(1, 1, 4, 1, (6, 6)),
        case(1, 2, 1, 1, (3, 3)),
        case(1, 1, 5, 1, (1, 1, 4)),
    ]


stream_convolution = StreamExercise(
    "stream_convolution",
    reference=answers.stream,
    properties=(
        as_many_outputs_as_inputs,
        one_piece_is_the_whole,
        a_seam_does_not_show,
        short_and_empty_pieces_are_pieces,
        a_kernel_of_one_needs_no_context,
        an_output_comes_as_soon_as_it_can,
        work_does_not_grow,
        any_cut_gives_the_same,
    ),
    wrong=(
        Wrong(
            answers.no_flush,
            "as_many_outputs_as_inputs",
            "The last outputs never come: when the pieces are over, the zeros at the right end have to follow.",
        ),
        Wrong(
            answers.no_start,
            "as_many_outputs_as_inputs",
            "The zeros at the left end are missing, so the first outputs are.",
        ),
        Wrong(
            answers.undilated,
            "as_many_outputs_as_inputs",
            "You leave out the dilation: the context is (kernel - 1) dilation inputs.",
        ),
        Wrong(
            answers.causal,
            "one_piece_is_the_whole",
            "All your padding stands at the left, as in a causal layer: the outputs come early and belong to another "
            "place. Half of it goes to the right end.",
        ),
        Wrong(
            answers.small_half_left,
            "one_piece_is_the_whole",
            "With an odd padding the right end gets total // 2 and the left end the rest.",
        ),
        Wrong(
            answers.naive,
            "a_seam_does_not_show",
            "You pad each piece as if nothing came before and after it. That is what clicks. Pad the ends of the "
            "signal alone, and keep the last inputs of a piece for the next.",
        ),
        Wrong(
            answers.left_only,
            "a_seam_does_not_show",
            "You keep the past, but put zeros where the future will be. An output whose inputs are not all there has "
            "to wait.",
        ),
        Wrong(
            answers.context_short,
            "as_many_outputs_as_inputs",
            "You keep one input too few: at each seam an output is lost, and at the end. Keep (kernel - 1) dilation.",
        ),
        Wrong(
            answers.context_long,
            "as_many_outputs_as_inputs",
            "You keep one input too many: at each seam an output comes twice, and at the end. Keep (kernel - 1) "
            "dilation.",
        ),
        Wrong(
            answers.kept_undilated,
            "as_many_outputs_as_inputs",
            "You pad for the dilation, but keep kernel - 1 inputs. Keep (kernel - 1) dilation.",
        ),
        Wrong(
            answers.kept_half,
            "as_many_outputs_as_inputs",
            "You keep as much as stands at the right end as padding. That is half: an output needs (kernel - 1) "
            "dilation inputs beside its newest.",
        ),
        Wrong(
            answers.piece_only,
            "short_and_empty_pieces_are_pieces",
            "You take what is kept from the newest piece alone. A short piece does not hold enough: take it from what "
            "was kept and the piece, joined.",
        ),
        Wrong(
            answers.too_eager,
            "short_and_empty_pieces_are_pieces",
            "You call the layer before it has one whole window; torch raises an error. Wait for more than the context.",
        ),
        Wrong(
            answers.minus_zero,
            "a_kernel_of_one_needs_no_context",
            "x[..., -0:] is all of x, not nothing. Write x[..., x.shape[-1] - context:].",
        ),
        Wrong(
            answers.waits,
            "an_output_comes_as_soon_as_it_can",
            "You collect all pieces first. That is right, and no stream: yield within the loop.",
        ),
        Wrong(
            answers.one_late,
            "an_output_comes_as_soon_as_it_can",
            "You hold outputs back that are complete. Yield them before you ask for the next piece.",
        ),
        Wrong(
            answers.all_again,
            "work_does_not_grow",
            "You keep all inputs and compute all outputs again with each piece: a minute of music costs sixty times "
            "as much as a second for each piece. Keep the context only.",
        ),
    ),
    right=(answers.one_by_one, answers.with_positions),
    examples=_examples,
    picture=two_streams,
)
