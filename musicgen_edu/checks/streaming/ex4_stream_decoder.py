"""Exercise 4, `stream_decoder`: convolution, LSTM and transposed convolution in a row, as the codec begins."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import expect_tensor, mistakes
from ._shared import (
    StreamExercise,
    convolution,
    expect_constant_work,
    expect_every_cut,
    expect_given,
    expect_outputs,
    expect_signal,
    fixed,
    joined,
    run,
    transposed,
    two_streams,
)  # fmt: skip
from .ex2_stream_convolution import stream as CONV
from .ex2_stream_convolution import whole as whole_convolution
from .ex2_stream_convolution import with_positions  # noqa: F401 - an edit needs it
from .ex3_stream_transposed import stream as UP
from .ex3_stream_transposed import whole as whole_transposed


def _remembered(pieces, lstm):
    state = None
    for x in pieces:
        if x.shape[-1]:
            y, state = lstm(x.permute(2, 0, 1), state)  # [n, B, C]
            yield x + y.permute(1, 2, 0)


def _decode(pieces, conv, lstm, up):
    hidden = _remembered(CONV(pieces, conv), lstm)
    return UP(map(F.elu, hidden), up)


class _Toy:
    """Layers of the library's with random weights, and an LSTM that remembers well, so that what it forgets shows."""

    def __init__(self, C: int = 3, hidden: int = 4, out: int = 2, kernel: int = 5, stride: int = 4, depth: int = 2,
                 dilation: int = 1):  # fmt: skip
        self.conv, self.up = convolution(C, hidden, kernel, dilation), transposed(hidden, out, stride)
        self.lstm = fixed(nn.LSTM(hidden, hidden, depth))
        for name, weight in self.lstm.named_parameters():
            weight.normal_(std=0.6)
            if "bias" in name:
                weight[hidden : 2 * hidden] += 1.5  # the forget gate stays open
        self.layers = self.conv.conv, self.lstm, self.up.conv

    def whole(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return self.up(F.elu(x + self.lstm(x.permute(2, 0, 1))[0].permute(1, 2, 0)))


def a_stride_of_outputs_for_each_frame(answer):
    """It yields tensors [B, C', m], joined `stride` outputs for each frame."""
    for B, stride in ((1, 4), (2, 5)):
        found = joined(run(answer, [torch.randn(B, 3, 12)], *_Toy(stride=stride).layers)[0])
        expect_tensor(found, (B, 2, 12 * stride), torch.float32, f"12 frames at stride {stride}: all of it")


def _expect_beginning(answer, signal: Tensor, frames: int, what: str) -> None:
    """Expect the outputs [B, C', m] that are complete before the last frames come: the end is not looked at."""
    toy = _Toy()
    until = signal.shape[-1] * 4 - 10  # two frames of look-ahead, and two samples
    found = joined(run(answer, list(signal.split(frames, -1)), *toy.layers)[0])[..., :until]
    expect_signal(found, toy.whole(signal)[..., :until], what)


def the_first_piece_goes_through_all_layers(answer):
    """What comes of a first piece: convolution, LSTM with its shortcut, ELU, transposed convolution."""
    for B in (1, 2):
        _expect_beginning(answer, torch.randn(B, 3, 12), 12, f"12 frames in one piece, B = {B}")


def a_second_piece_goes_on_from_the_first(answer):
    """Two pieces: nothing begins anew at the seam, neither a layer's context nor its memory."""
    _expect_beginning(answer, torch.randn(2, 3, 24), 12, "24 frames as 12 and 12")


def the_memory_goes_on_to_the_end(answer):
    """Six pieces, and the end: the LSTM goes on from where it was, each time."""
    signal, toy = torch.randn(1, 3, 24), _Toy()
    expect_outputs(answer, list(signal.split(4, -1)), toy.layers, toy.whole(signal), "24 frames as 6 times 4")


def short_and_empty_pieces_are_pieces(answer):
    """Frames one by one, and pieces without any."""
    signal, toy = torch.randn(1, 3, 6), _Toy()
    for sizes in ((1,) * 6, (0, 2, 0, 4, 0), (0, 0, 1, 5)):
        expect_outputs(answer, list(signal.split(sizes, -1)), toy.layers, toy.whole(signal), f"6 frames as {[*sizes]}")
    for frames in (1, 2):
        signal = torch.randn(2, 3, frames)
        expect_outputs(answer, [signal], toy.layers, toy.whole(signal), f"a signal of {frames} frames in one piece")


def an_output_comes_as_soon_as_it_can(answer):
    """It looks ahead by what its layers do together, and no further."""
    pieces = list(torch.randn(1, 3, 8).split((1, 1, 1, 1, 4), -1))
    expect_given(answer, pieces, _Toy().layers, [0, 0, 2, 6, 22], "kernel 5, stride 4")


def work_does_not_grow(answer):
    """Neither convolution is given the past again."""
    layers = _Toy().layers
    for layer, context in ((layers[0], 4), (layers[2], 1)):
        expect_constant_work(answer, layer, 3, context, layers)


def the_lstm_reads_each_frame_once(answer):
    """The LSTM is given each frame once: its state is all that it remembers."""
    layers = _Toy().layers
    expect_constant_work(answer, layers[1], 3, 0, layers)


def any_cut_gives_the_same(answer):
    """Random toys, dilated ones too, and every way of cutting: the outputs of the library's layers of the whole."""
    for B, kernel, stride, depth, dilation in ((1, 7, 5, 1, 1), (2, 3, 2, 2, 1), (1, 3, 3, 1, 2), (2, 4, 1, 1, 1)):
        toy = _Toy(kernel=kernel, stride=stride, depth=depth, dilation=dilation)
        signal, what = torch.randn(B, 3, 24), f"kernel {kernel}, dilation {dilation}, stride {stride}"
        expect_every_cut(answer, signal, toy.layers, toy.whole(signal), what)


def _whole(x: Tensor, conv: nn.Conv1d, lstm: nn.LSTM, up: nn.ConvTranspose1d) -> Tensor:
    x = whole_convolution(x, conv)
    return whole_transposed(F.elu(x + lstm(x.permute(2, 0, 1))[0].permute(1, 2, 0)), up)


def _waits(pieces, conv, lstm, up):
    yield _whole(torch.cat(list(pieces), -1), conv, lstm, up)


def _all_again(pieces, conv, lstm, up):
    context, stride = (conv.kernel_size[0] - 1) * conv.dilation[0], up.stride[0]
    past, done = None, 0
    for piece in pieces:
        past = piece if past is None else torch.cat([past, piece], -1)
        until = (past.shape[-1] - context // 2) * stride - (stride - stride // 2)
        if until > done:
            yield _whole(past, conv, lstm, up)[..., done:until]
            done = until
    yield _whole(past, conv, lstm, up)[..., done:]


def _one_loop(pieces, conv, lstm, up):
    """The three layers in one loop, with all that is carried in one place."""
    context, stride = (conv.kernel_size[0] - 1) * conv.dilation[0], up.stride[0]
    right, left = context // 2, stride - stride // 2
    inputs, state, last, end = None, None, None, object()
    stream = iter(pieces)
    while True:
        piece = next(stream, end)
        if piece is not end:
            inputs = F.pad(piece, (context - right, 0)) if inputs is None else torch.cat([inputs, piece], -1)
        else:
            inputs = F.pad(inputs, (0, right))
        if inputs.shape[-1] > context:
            x = conv(inputs)
            inputs = inputs[..., inputs.shape[-1] - context :]
            y, state = lstm(x.permute(2, 0, 1), state)
            x = F.elu(x + y.permute(1, 2, 0))
            given = x if last is None else torch.cat([last, x], -1)
            yield up(given)[..., left if last is None else stride : given.shape[-1] * stride]
            last = given[..., -1:]
        if piece is end:
            yield up(last)[..., stride : 2 * stride - stride // 2]
            return


def _frame_by_frame(pieces, conv, lstm, up):
    """Every frame by itself, whatever the pieces are."""
    frames = (frame for piece in pieces for frame in (piece.split(1, -1) if piece.shape[-1] else ()))
    hidden, state = CONV(frames, conv), None

    def remembered():
        nonlocal state
        for x in hidden:
            for one in x.unbind(-1):
                y, state = lstm(one[None], state)
                yield F.elu(one + y[0])[..., None]

    yield from UP(remembered(), up)


def _examples(generator):
    cases = []
    for B, depth, sizes in ((1, 2, (6, 7, 3)), (2, 2, (4, 0, 4, 1)), (1, 1, (5, 5))):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(2)
            layers = _Toy(depth=depth).layers
        cases.append((list(torch.randn(B, 3, sum(sizes), generator=generator).split(sizes, -1)), *layers))
    return cases


HIDDEN, RESULT = "hidden = _remembered(CONV(pieces, conv), lstm)", "UP(map(F.elu, hidden), up)"
NAIVE = "(whole_convolution(one, conv) for one in pieces if one.shape[-1])"
ALONE = "(whole_transposed(F.elu(x), up) for x in hidden)"
STEP = "y, state = lstm(x.permute(2, 0, 1), state)"
stream_decoder = StreamExercise(
    "stream_decoder",
    reference=_decode,
    properties=(
        a_stride_of_outputs_for_each_frame, the_first_piece_goes_through_all_layers,
        a_second_piece_goes_on_from_the_first, the_memory_goes_on_to_the_end, short_and_empty_pieces_are_pieces,
        an_output_comes_as_soon_as_it_can, work_does_not_grow, the_lstm_reads_each_frame_once,
        any_cut_gives_the_same,
    ),
    wrong=mistakes([_remembered, _decode], {
        the_first_piece_goes_through_all_layers: [
            ("x + y", "y", "The LSTM's input is not added to its output: x + lstm(x)."),
            (RESULT, "UP(hidden, up)", "The ELU before the transposed convolution is missing."),
            (HIDDEN, "hidden = _remembered(map(F.elu, CONV(pieces, conv)), lstm)", RESULT, "UP(hidden, up)",
             "Your ELU comes before the LSTM. It stands between the LSTM and the transposed convolution."),
            (RESULT, "map(F.elu, UP(hidden, up))",
             "Your ELU comes after the transposed convolution. It stands before it."),
            ("x + y.permute(1, 2, 0)", "x + F.elu(y.permute(1, 2, 0))", RESULT, "UP(hidden, up)",
             "Your ELU takes the LSTM's output alone. Add the shortcut first: F.elu(x + lstm(x))."),
            (HIDDEN, "hidden = CONV(pieces, conv)",
             "The LSTM is missing: it comes after the convolution, with its input added."),
            (STEP, "y, state = lstm(x.permute(0, 2, 1))", "y.permute(1, 2, 0)", "y.permute(0, 2, 1)",
             "Your LSTM takes the rows of the batch for time: it wants [n, B, C]. From [B, C, n] that is "
             "permute(2, 0, 1), and back permute(1, 2, 0)."),
            ("map(F.elu", "map(F.relu", "You take ReLU for ELU: it sets to 0 what is below. F.elu does not."),
        ],
        a_second_piece_goes_on_from_the_first: [
            ("y, state = ", "y, _ = ", "Your LSTM begins anew with each piece. It returns its state beside its "
             "output: hand that in with the next piece."),
            (STEP, f"{STEP}; state = state[0], torch.zeros_like(state[1])",
             "You carry the hidden state and reset the cell. An LSTM remembers in both: carry the pair as it comes."),
            (STEP, f"{STEP}; state = tuple(one[-1:].expand_as(one).contiguous() for one in state)",
             "You give the state of the last layer to all layers of the LSTM. Each has its own: carry the pair as it "
             "comes."),
            ("CONV(pieces, conv)", NAIVE, "Your convolution pads each piece. Use stream_convolution."),
            (RESULT, ALONE, "Your transposed convolution treats each piece as a clip of its own. Use "
             "stream_transposed."),
            ("CONV(pieces, conv)", NAIVE, RESULT, ALONE,
             "Your LSTM goes on, but both convolutions begin anew with each piece. Call stream_convolution and "
             "stream_transposed once, around the whole stream, and not within the loop."),
            (RESULT, "(_whole(one, conv, lstm, up) for one in pieces if one.shape[-1])",
             "You decode each piece as a clip of its own: every layer begins anew at each seam."),
            ("state = None", "state, last = None, None", STEP, "given = x if last is None else torch.cat([last, x], "
             "-1)\n            y, state = lstm(given.permute(2, 0, 1), state)\n            y, last = "
             "y[-x.shape[-1] :], x[..., -1:]",
             "A frame goes through the LSTM twice, as context, and is remembered twice. The LSTM gets each frame once; "
             "context is kept behind it."),
        ],
        the_memory_goes_on_to_the_end: [
            (STEP, "y, new = lstm(x.permute(2, 0, 1), state)\n            state = state or new",
             "You keep the state after the first piece for ever. Each piece leaves a new one."),
        ],
        short_and_empty_pieces_are_pieces: [
            ("if x.shape[-1]", "if True", "CONV(", "with_positions(",
             "torch refuses an LSTM over nothing. stream_convolution may yield an empty piece: skip it."),
        ],
        an_output_comes_as_soon_as_it_can: [
            (_waits, "You collect all pieces first, before a layer or within one: right, but no stream. Take each as "
             "it comes."),
        ],
        work_does_not_grow: [
            (_all_again, "You decode everything again with each piece. That is right, and slower with each piece."),
        ],
        the_lstm_reads_each_frame_once: [
            ("state = None", "past = None", STEP, "past = x if past is None else torch.cat([past, x], -1)\n"
             "            y = lstm(past.permute(2, 0, 1))[0][-x.shape[-1] :]",
             "Your LSTM reads all frames again with each piece. It returns a state, which is all that it remembers."),
        ],
    }) + mistakes(_one_loop, {
        any_cut_gives_the_same: [
            (" * conv.dilation[0]", "", "conv(inputs)", "F.conv1d(inputs, conv.weight, conv.bias)",
             "You leave out the dilation of `conv`. As in exercise 2 the context is (kernel - 1) dilation."),
        ],
    }),
    right=(_one_loop, _frame_by_frame),
    examples=_examples,
    picture=lambda target, yours, arguments: two_streams(target, yours, arguments, arguments[3].stride[0]),
)  # fmt: skip
