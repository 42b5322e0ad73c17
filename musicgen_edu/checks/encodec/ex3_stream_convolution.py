"""Exercise 3, `stream_convolution`: a causal layer, a piece at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ... import figures
from .. import Exercise, Wrong, expect, expect_close, expect_tensor


def _stream(piece: Tensor, past: Tensor, weight: Tensor, stride: int, dilation: int) -> tuple[Tensor, Tensor]:
    joined = torch.cat([past, piece], -1)
    length = past.shape[-1]
    kept = joined[:, joined.shape[-1] - length :]
    return F.conv1d(joined[None], weight, stride=stride, dilation=dilation)[0], kept


def _run(answer, sound: Tensor, weight: Tensor, stride: int, dilation: int, pieces: list[int]) -> tuple[Tensor, Tensor]:
    length = (weight.shape[-1] - 1) * dilation + 1 - stride
    past, made = torch.zeros(sound.shape[0], length), []
    for piece in sound.split(pieces, -1):
        output, past = answer(piece, past, weight, stride, dilation)
        made.append(output)
    return torch.cat(made, -1), past


def _at_once(sound: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    length = (weight.shape[-1] - 1) * dilation + 1 - stride
    return F.conv1d(F.pad(sound, (length, 0))[None], weight, stride=stride, dilation=dilation)[0]


def one_output_for_each_stride(answer):
    """A piece of n samples gives n / stride outputs, and a past as long as before."""
    for C, out, kernel, stride, dilation, n in ((1, 2, 7, 1, 1, 5), (3, 2, 4, 2, 1, 6), (2, 4, 3, 1, 2, 9)):
        length = (kernel - 1) * dilation + 1 - stride
        found = answer(torch.randn(C, n), torch.zeros(C, length), torch.randn(out, C, kernel), stride, dilation)
        expect(isinstance(found, tuple) and len(found) == 2, "return two tensors: outputs, past")
        expect_tensor(found[0], (out, n // stride), torch.float32, "outputs")
        expect_tensor(found[1], (C, length), torch.float32, "the past")


def a_running_sum_runs_on(answer):
    """By hand: with a kernel of three ones, the sums run on across the joint."""
    made, past = _run(answer, torch.arange(1.0, 7.0)[None], torch.ones(1, 1, 3), 1, 1, [3, 3])
    expect_close(made[0], torch.tensor([1.0, 3.0, 6.0, 9.0, 12.0, 15.0]), "1 to 6 in two pieces, sums of three")
    expect_close(past[0], torch.tensor([5.0, 6.0]), "the past after 1 to 6 is the last two samples")


def the_past_survives_short_pieces(answer):
    """Pieces shorter than the past: what is older than one piece is still there."""
    made, past = _run(answer, torch.arange(1.0, 7.0)[None], torch.ones(1, 1, 4), 1, 1, [1] * 6)
    expect_close(made[0], torch.tensor([1.0, 3.0, 6.0, 10.0, 14.0, 18.0]), "1 to 6 one by one, sums of four")
    expect_close(past[0], torch.tensor([4.0, 5.0, 6.0]), "the past after 1 to 6 one by one")


def pieces_make_no_difference(answer):
    """However a sound is cut, the outputs are those of the whole, for strides and dilations too."""
    for C, out, kernel, stride, dilation in ((1, 1, 7, 1, 1), (3, 2, 8, 4, 1), (2, 4, 3, 1, 2), (2, 2, 3, 1, 4)):
        sound, weight = torch.randn(C, 24 * stride), torch.randn(out, C, kernel)
        whole = _at_once(sound, weight, stride, dilation)
        for pieces in ([24], [12, 12], [1, 2, 3, 18], [5] * 4 + [4], [1] * 24):
            made, _ = _run(answer, sound, weight, stride, dilation, [n * stride for n in pieces])
            expect_close(made, whole, f"kernel {kernel}, stride {stride}, dilation {dilation}, pieces {pieces}", 1e-4)


def _stream_forgets(piece, past, weight, stride, dilation):
    joined = torch.cat([torch.zeros_like(past), piece], -1)
    return F.conv1d(joined[None], weight, stride=stride, dilation=dilation)[0], past


def _stream_stale(piece, past, weight, stride, dilation):
    joined = torch.cat([past, piece], -1)
    return F.conv1d(joined[None], weight, stride=stride, dilation=dilation)[0], past


def _stream_piece_alone(piece, past, weight, stride, dilation):
    joined = torch.cat([past, piece], -1)
    kept = joined[:, joined.shape[-1] - past.shape[-1] :]
    return F.conv1d(piece[None], weight, stride=stride, dilation=dilation)[0], kept


def _stream_behind(piece, past, weight, stride, dilation):
    joined = torch.cat([piece, past], -1)
    return F.conv1d(joined[None], weight, stride=stride, dilation=dilation)[0], joined[:, -past.shape[-1] :]


def _stream_piece_only(piece, past, weight, stride, dilation):
    joined = torch.cat([past, piece], -1)
    output = F.conv1d(joined[None], weight, stride=stride, dilation=dilation)[0]
    kept = piece[:, -past.shape[-1] :]
    return output, F.pad(kept, (past.shape[-1] - kept.shape[-1], 0))


def _stream_undilated(piece, past, weight, stride, dilation):
    joined = torch.cat([past, piece], -1)
    output = F.conv1d(joined[None], weight, stride=stride)[0]
    return output[:, : piece.shape[-1] // stride], joined[:, joined.shape[-1] - past.shape[-1] :]


def _stream_whole_kernel(piece, past, weight, stride, dilation):
    joined = torch.cat([past, piece], -1)
    output = F.conv1d(joined[None], weight, stride=stride, dilation=dilation)[0]
    return output, joined[:, joined.shape[-1] - (weight.shape[-1] - 1) * dilation :]


def _stream_unfold(piece, past, weight, stride, dilation):
    joined = torch.cat([past, piece], -1)
    span = (weight.shape[-1] - 1) * dilation + 1
    windows = joined.unfold(-1, span, stride)[..., ::dilation]  # [C, outputs, kernel]
    return torch.einsum("ctk,ock->ot", windows, weight), joined.narrow(-1, piece.shape[-1], past.shape[-1])


def _stream_loop(piece, past, weight, stride, dilation):
    history, outputs = torch.hstack((past, piece)), []
    span = (weight.shape[-1] - 1) * dilation + 1
    for start in range(0, history.shape[-1] - span + 1, stride):
        window = history[:, start : start + span : dilation]  # [C, kernel]
        outputs.append((weight * window).sum((1, 2)))
    return torch.stack(outputs, -1), history[:, len(outputs) * stride :].clone()


def _stream_picture(target, yours, arguments):
    figure, axes = figures.new_figure(8.4, 2.4)
    axes.plot(target[0][0], color=figures.LIT, label="target", linewidth=3, alpha=0.5)
    axes.plot(yours[0][0], color=figures.INK, label="yours", linestyle="--")
    axes.set_xlabel("output")
    axes.legend(frameon=False)
    return figures.figure_picture(figure, "outputs of one piece: target as a wide line, yours dashed")


def _stream_examples(generator):
    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    return [
        (normal(2, 12), normal(2, 4), normal(3, 2, 3), 1, 2),
        (normal(1, 1), normal(1, 3), normal(1, 1, 4), 1, 1),
        (normal(1, 8), normal(1, 2), normal(1, 1, 4), 2, 1),
    ]


stream_convolution = Exercise(
    "stream_convolution",
    reference=_stream,
    properties=(
        one_output_for_each_stride,
        a_running_sum_runs_on,
        the_past_survives_short_pieces,
        pieces_make_no_difference,
    ),
    wrong=(
        Wrong(
            _stream_whole_kernel,
            "one_output_for_each_stride",
            "You keep (k - 1) d samples. With a stride the next window begins later: keep as many as `past` has.",
        ),
        Wrong(
            _stream_forgets,
            "a_running_sum_runs_on",
            "You pad every piece with zeros, so every joint sounds like a beginning. Put `past` in front.",
        ),
        Wrong(
            _stream_stale,
            "a_running_sum_runs_on",
            "You hand back the past that you were given. The next piece needs the end of this one.",
        ),
        Wrong(
            _stream_piece_alone,
            "one_output_for_each_stride",
            "You convolve the piece alone: its first windows lack the samples of the past, so outputs are missing.",
        ),
        Wrong(
            _stream_behind,
            "a_running_sum_runs_on",
            "You put the past behind the piece. What came earlier stands at the left.",
        ),
        Wrong(
            _stream_piece_only,
            "the_past_survives_short_pieces",
            "You take the new past from the piece alone. A short piece does not hold enough: take it from past and "
            "piece joined.",
        ),
        Wrong(
            _stream_undilated,
            "pieces_make_no_difference",
            "You do not hand on the dilation to the convolution.",
        ),
    ),
    right=(_stream_unfold, _stream_loop),
    examples=_stream_examples,
    picture=_stream_picture,
)
