"""Exercise 4, `stream_decoder`: convolution, LSTM and transposed convolution in a row, as the codec begins."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .. import Wrong, expect, expect_tensor
from . import _decoder as answers
from ._shared import (
    StreamExercise,
    expect_constant_work,
    expect_equal,
    expect_every_cut,
    expect_outputs,
    fixed,
    joined,
    run,
    two_streams,
)


def _layers(C: int = 3, hidden: int = 4, out: int = 2, kernel: int = 5, stride: int = 4, depth: int = 2) -> tuple:
    """A toy whose LSTM remembers well, so that what it forgets can be seen."""
    lstm = fixed(nn.LSTM(hidden, hidden, depth))
    for name, weight in lstm.named_parameters():
        weight.normal_(std=0.6)
        if "bias" in name:
            weight[hidden : 2 * hidden] += 1.5  # the forget gate stays open
    return fixed(nn.Conv1d(C, hidden, kernel)), lstm, fixed(nn.ConvTranspose1d(hidden, out, 2 * stride, stride))


def a_stride_of_outputs_for_each_frame(answer):
    """It yields tensors [B, C', m], joined `stride` outputs for each frame."""
    for B, stride in ((1, 4), (2, 5)):
        found = joined(run(answer, [torch.randn(B, 3, 12)], *_layers(stride=stride))[0])
        expect_tensor(found, (B, 2, 12 * stride), torch.float32, f"12 frames at stride {stride}: all of it")


def _expect_beginning(answer, signal: Tensor, frames: int, what: str) -> None:
    """Expect the outputs [B, C', m] that are complete before the last frames come: the end is not looked at."""
    layers = _layers()
    until = signal.shape[-1] * 4 - 10  # two frames of look-ahead, and two samples
    found = joined(run(answer, list(signal.split(frames, -1)), *layers)[0])[..., :until]
    expect_equal(found, answers.whole(signal, *layers)[..., :until], what)


def the_first_piece_goes_through_all_layers(answer):
    """What comes of a first piece: convolution, LSTM with its shortcut, ELU, transposed convolution."""
    for B in (1, 2):
        _expect_beginning(answer, torch.randn(B, 3, 12), 12, f"12 frames in one piece, B = {B}")


def a_second_piece_goes_on_from_the_first(answer):
    """Two pieces: nothing begins anew at the seam, neither a layer's context nor its memory."""
    _expect_beginning(answer, torch.randn(2, 3, 24), 12, "24 frames as 12 and 12")


def the_memory_goes_on_to_the_end(answer):
    """Six pieces, and the end: the LSTM goes on from where it was, each time."""
    signal, layers = torch.randn(1, 3, 24), _layers()
    expect_outputs(answer, list(signal.split(4, -1)), layers, answers.whole(signal, *layers), "24 frames as 6 times 4")


def short_and_empty_pieces_are_pieces(answer):
    """Frames one by one, and pieces without any."""
    signal, layers = torch.randn(1, 3, 6), _layers()
    for sizes in ((1,) * 6, (0, 2, 0, 4, 0)):
        target = answers.whole(signal, *layers)
        expect_outputs(answer, list(signal.split(sizes, -1)), layers, target, f"6 frames as {list(sizes)}")


def an_output_comes_as_soon_as_it_can(answer):
    """It looks ahead by what its layers do together, and no further."""
    given = run(answer, list(torch.randn(1, 3, 8).split((1, 1, 1, 1, 4), -1)), *_layers())[1]
    expect(given == [0, 0, 2, 6, 22], f"kernel 5, stride 4, after 1, 2, 3, 4, 8 frames: 0, 0, 2, 6, 22, not {given}")


def work_does_not_grow(answer):
    """No layer is given the past again."""
    layers = _layers()
    for layer, context in zip(layers, (4, 0, 1), strict=True):
        if not isinstance(layer, nn.LSTM):
            expect_constant_work(answer, layer, 3, context, layers)


def any_cut_gives_the_same(answer):
    """Random toys and every way of cutting: the outputs of the whole."""
    for B, kernel, stride, depth in ((1, 7, 5, 1), (2, 3, 2, 2)):
        signal, layers = torch.randn(B, 3, 24), _layers(kernel=kernel, stride=stride, depth=depth)
        what = f"kernel {kernel}, stride {stride}"
        expect_every_cut(answer, signal, layers, answers.whole(signal, *layers), what)


def _examples(generator):
    cases = []
    for B, depth, sizes in ((1, 2, (6, 7, 3)), (2, 2, (4, 0, 4, 1)), (1, 1, (5, 5))):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(2)
            layers = _layers(depth=depth)
        cases.append((list(torch.randn(B, 3, sum(sizes), generator=generator).split(sizes, -1)), *layers))
    return cases


stream_decoder = StreamExercise(
    "stream_decoder",
    reference=answers.decode,
    properties=(
        a_stride_of_outputs_for_each_frame,
        the_first_piece_goes_through_all_layers,
        a_second_piece_goes_on_from_the_first,
        the_memory_goes_on_to_the_end,
        short_and_empty_pieces_are_pieces,
        an_output_comes_as_soon_as_it_can,
        work_does_not_grow,
        any_cut_gives_the_same,
    ),
    wrong=(
        Wrong(
            answers.no_shortcut,
            "the_first_piece_goes_through_all_layers",
            "The LSTM's input is not added to its output: x + lstm(x).",
        ),
        Wrong(
            answers.no_elu,
            "the_first_piece_goes_through_all_layers",
            "The ELU before the transposed convolution is missing.",
        ),
        Wrong(
            answers.elu_early,
            "the_first_piece_goes_through_all_layers",
            "Your ELU comes before the LSTM. It stands between the LSTM and the transposed convolution.",
        ),
        Wrong(
            answers.elu_last,
            "the_first_piece_goes_through_all_layers",
            "Your ELU comes after the transposed convolution. It stands before it.",
        ),
        Wrong(
            answers.elu_of_memory,
            "the_first_piece_goes_through_all_layers",
            "Your ELU takes the LSTM's output alone. Add the shortcut first: F.elu(x + lstm(x)).",
        ),
        Wrong(
            answers.no_lstm,
            "the_first_piece_goes_through_all_layers",
            "The LSTM is missing: it comes after the convolution, with its input added.",
        ),
        Wrong(
            answers.rows_are_time,
            "the_first_piece_goes_through_all_layers",
            "Your LSTM takes the rows of the batch for time: it wants [n, B, C]. From [B, C, n] that is "
            "permute(2, 0, 1), and back permute(1, 2, 0).",
        ),
        Wrong(
            answers.state_reset,
            "a_second_piece_goes_on_from_the_first",
            "Your LSTM begins anew with each piece. It returns its state beside its output: hand that in with the next "
            "piece.",
        ),
        Wrong(
            answers.cell_forgotten,
            "a_second_piece_goes_on_from_the_first",
            "You carry the hidden state and reset the cell. An LSTM remembers in both: carry the pair as it comes.",
        ),
        Wrong(
            answers.top_layer_for_all,
            "a_second_piece_goes_on_from_the_first",
            "You give the state of the last layer to all layers of the LSTM. Each has its own: carry the pair as it "
            "comes.",
        ),
        Wrong(
            answers.naive_convolution,
            "a_second_piece_goes_on_from_the_first",
            "Your convolution pads each piece. Use stream_convolution.",
        ),
        Wrong(
            answers.naive_transposed,
            "a_second_piece_goes_on_from_the_first",
            "Your transposed convolution treats each piece as a clip of its own. Use stream_transposed.",
        ),
        Wrong(
            answers.anew_but_for_the_state,
            "a_second_piece_goes_on_from_the_first",
            "Your LSTM goes on, but both convolutions begin anew with each piece. Call stream_convolution and "
            "stream_transposed once, around the whole stream, and not within the loop.",
        ),
        Wrong(
            answers.all_naive,
            "a_second_piece_goes_on_from_the_first",
            "You decode each piece as a clip of its own: every layer begins anew at each seam.",
        ),
        Wrong(
            answers.context_twice,
            "a_second_piece_goes_on_from_the_first",
            "A frame goes through the LSTM twice, as context, and is remembered twice. The LSTM gets each frame once; "
            "context is kept behind it.",
        ),
        Wrong(
            answers.first_state_only,
            "the_memory_goes_on_to_the_end",
            "You keep the state after the first piece for ever. Each piece leaves a new one.",
        ),
        Wrong(
            answers.empty_raises,
            "short_and_empty_pieces_are_pieces",
            "torch refuses an LSTM over nothing. stream_convolution may yield an empty piece: skip it.",
        ),
        Wrong(
            answers.waits,
            "an_output_comes_as_soon_as_it_can",
            "You collect all pieces first. That is right, and no stream.",
        ),
        Wrong(
            answers.all_again,
            "work_does_not_grow",
            "You decode everything again with each piece. That is right, and slower with each piece.",
        ),
    ),
    right=(answers.one_loop, answers.frame_by_frame),
    examples=_examples,
    picture=lambda target, yours, arguments: two_streams(target, yours, arguments, arguments[3].stride[0]),
)
