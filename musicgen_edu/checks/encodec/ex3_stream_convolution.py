"""Exercise 3, `stream_convolution`: a causal layer, a piece at a time."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ... import figures
from ...model.encodec import Conv1d, EncodecConfig
from .. import Exercise, expect, expect_close, expect_tensor, mistakes


def _stream(piece, past, weight, stride, dilation):
    joined = torch.cat([past, piece], -1)
    kept = joined[:, joined.shape[-1] - past.shape[-1] :]
    return F.conv1d(joined[None], weight, stride=stride, dilation=dilation)[0], kept


def _length(kernel: int, stride: int, dilation: int) -> int:
    """Of the past."""
    return (kernel - 1) * dilation + 1 - stride


def _run(answer, sound: Tensor, weight: Tensor, stride: int, dilation: int, pieces: list[int]) -> tuple[Tensor, Tensor]:
    past, made = torch.zeros(sound.shape[0], _length(weight.shape[-1], stride, dilation)), []
    for piece in sound.split(pieces, -1):
        output, past = answer(piece, past, weight, stride, dilation)
        made.append(output)
    return torch.cat(made, -1), past


def one_output_for_each_stride(answer):
    """A piece of n samples gives n / stride outputs, and a past as long as before."""
    for C, out, kernel, stride, dilation, n in ((1, 2, 7, 1, 1, 5), (3, 2, 4, 2, 1, 6), (2, 4, 3, 1, 2, 9)):
        length = _length(kernel, stride, dilation)
        found = answer(torch.randn(C, n), torch.zeros(C, length), torch.randn(out, C, kernel), stride, dilation)
        two = isinstance(found, (tuple, list)) and len(found) == 2
        expect(two, f"expected two tensors, outputs and past, not {type(found).__name__}")
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


def an_empty_past_stays_empty(answer):
    """Where the kernel is as wide as the stride, windows do not overlap, and the past is empty, now and later."""
    for kernel, stride in ((2, 2), (1, 1)):
        weight = torch.ones(1, 1, kernel)
        made, past = _run(answer, torch.arange(1.0, 9.0)[None], weight, stride, 1, [4, 4])
        what = f"1 to 8 in two pieces, kernel {kernel} and stride {stride}"
        expect_tensor(past, (1, 0), torch.float32, f"{what}: the past")
        expect_close(made[0], torch.arange(1.0, 9.0).view(-1, kernel).sum(1), what)


def pieces_make_no_difference(answer):
    """However a sound is cut, the outputs are those of the library's layer at once, for strides and dilations too."""
    config = EncodecConfig(use_causal_conv=True, pad_mode="constant")
    for C, out, kernel, stride, dilation in (
        (1, 1, 7, 1, 1), (3, 2, 8, 4, 1), (2, 4, 3, 1, 2), (2, 2, 3, 1, 4), (2, 3, 3, 2, 2), (2, 3, 3, 3, 1),
    ):  # fmt: skip
        layer, sound = Conv1d(config, C, out, kernel, stride, dilation), torch.randn(C, 24 * stride)
        weight = layer.conv.weight.detach()
        whole = (layer(sound[None])[0] - layer.conv.bias[:, None]).detach()
        for pieces in ([24], [12, 12], [1, 2, 3, 18], [5] * 4 + [4], [1] * 24):
            made, past = _run(answer, sound, weight, stride, dilation, [n * stride for n in pieces])
            what = f"kernel {kernel}, stride {stride}, dilation {dilation}, pieces of {pieces} strides"
            expect_close(made, whole, what, 1e-4)
            kept = _length(kernel, stride, dilation)
            expect_close(past, sound[:, sound.shape[1] - kept :], f"{what}: the past at the end")


def _behind(piece, past, weight, stride, dilation):
    joined = torch.cat([piece, past], -1)
    return F.conv1d(joined[None], weight, stride=stride, dilation=dilation)[0], joined[:, -past.shape[-1] :]


def _piece_only(piece, past, weight, stride, dilation):
    joined = torch.cat([past, piece], -1)
    output = F.conv1d(joined[None], weight, stride=stride, dilation=dilation)[0]
    kept = piece[:, max(0, piece.shape[-1] - past.shape[-1]) :]
    return output, F.pad(kept, (past.shape[-1] - kept.shape[-1], 0))


def _by_unfolding(piece, past, weight, stride, dilation):
    joined = torch.cat([past, piece], -1)
    span = (weight.shape[-1] - 1) * dilation + 1
    windows = joined.unfold(-1, span, stride)[..., ::dilation]  # [C, outputs, kernel]
    return [torch.einsum("ctk,ock->ot", windows, weight), joined.narrow(-1, piece.shape[-1], past.shape[-1])]


def _as_a_loop(piece, past, weight, stride, dilation):
    history, outputs = torch.hstack((past, piece)), []
    span = (weight.shape[-1] - 1) * dilation + 1
    for start in range(0, history.shape[-1] - span + 1, stride):
        window = history[:, start : start + span : dilation]  # [C, kernel]
        outputs.append((weight * window).sum((1, 2)))
    return torch.stack(outputs, -1), history[:, len(outputs) * stride :].clone()


def _with_numpy(piece, past, weight, stride, dilation):
    joined = np.concatenate([past.numpy(), piece.numpy()], 1).astype(np.float64)
    starts = np.arange(piece.shape[1] // stride) * stride
    taps = starts[:, None] + np.arange(weight.shape[2]) * dilation  # [outputs, kernel]
    outputs = np.tensordot(weight.numpy().astype(np.float64), joined[:, taps], axes=[[1, 2], [0, 2]])
    return torch.from_numpy(outputs).float(), torch.from_numpy(joined[:, piece.shape[1] :]).float()


def _picture(target, yours, arguments):
    figure, axes = figures.new_figure(8.4, 2.4)
    axes.plot(target[0][0], color=figures.LIT, label="target", linewidth=3, alpha=0.5)
    axes.plot(yours[0][0], color=figures.INK, label="yours", linestyle="--")
    axes.set_xlabel("output")
    axes.legend(frameon=False)
    return figures.figure_picture(figure, "outputs of one piece: target as a wide line, yours dashed")


def _examples(generator):
    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    return [
        (normal(2, 12), normal(2, 4), normal(3, 2, 3), 1, 2), (normal(1, 1), normal(1, 3), normal(1, 1, 4), 1, 1),
        (normal(1, 8), normal(1, 2), normal(1, 1, 4), 2, 1), (normal(1, 8), normal(1, 0), normal(1, 1, 2), 2, 1),
    ]  # fmt: skip


stream_convolution = Exercise(
    "stream_convolution",
    reference=_stream,
    properties=(
        one_output_for_each_stride, a_running_sum_runs_on, the_past_survives_short_pieces, an_empty_past_stays_empty,
        pieces_make_no_difference,
    ),
    wrong=mistakes(_stream, {
        one_output_for_each_stride: [
            ("past.shape[-1] :]", "(weight.shape[-1] - 1) * dilation :]",
             "You keep (k - 1) d samples. With a stride the next window begins later: keep as many as `past` has."),
            ("F.conv1d(joined", "F.conv1d(piece", "You convolve the piece alone: its first windows lack the samples of "
             "the past, so outputs are missing."),
            ("stride=stride, ", "", "You do not hand on the stride to the convolution."),
            ("past, piece], -1)", "past, piece, torch.zeros_like(past)], -1)",
             "You pad at the right end, too. A causal layer does not wait for what comes later, nor invents it."),
            ("past.shape[-1] :]", "weight.shape[-1] + stride :]", "You count the past without the dilation. It is "
             "span - stride long: keep as many samples as `past` has."),
            ("[0], kept", "[0]",
             "You return the outputs alone. Whoever calls needs the past for the next piece: return it, too."),
        ],
        a_running_sum_runs_on: [
            ("joined = torch.cat([past", "joined = torch.cat([torch.zeros_like(past)",
             "You pad every piece with zeros, so every joint sounds like a beginning. Put `past` in front."),
            ("[0], kept", "[0], past",
             "You hand back the past that you were given. The next piece needs the end of this one."),
            (_behind, "You put the past behind the piece. What came earlier stands at the left."),
            ("past.shape[-1] :]", "past.shape[-1] - 1 : -1]", "Your past lacks the newest sample. The next window "
             "follows "
             "this one without a gap."),
        ],
        the_past_survives_short_pieces: [
            (_piece_only, "You take the new past from the piece alone. A short piece does not hold enough: take it "
             "from past and piece joined."),
        ],
        an_empty_past_stays_empty: [
            ("joined.shape[-1] - past", "-past", "[-0:] is everything, not nothing: where the past is empty you keep "
             "the whole piece. Count from the left, joined.shape[-1] - past.shape[-1]."),
        ],
        pieces_make_no_difference: [
            (", dilation=dilation)[0]", ")[0, :, : piece.shape[-1] // stride]",
             "You do not hand on the dilation to the convolution."),
            ("weight, stride=", "weight.flip(-1), stride=", "You turn the kernel round. A convolution layer of "
             "PyTorch does not: "
             "its first weight belongs to the oldest sample of a window."),
        ],
    }),
    right=(_by_unfolding, _as_a_loop, _with_numpy),
    examples=_examples,
    picture=_picture,
)  # fmt: skip
