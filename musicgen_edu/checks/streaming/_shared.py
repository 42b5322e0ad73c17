"""What the exercises of this assignment share: running a generator piece by piece, and drawing what came out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ... import figures
from ...model.encodec import Conv1d, ConvTranspose1d, EncodecConfig
from .. import Exercise, expect, expect_close
from .. import expect_equal as expect_same

SPLITS = ((24,), (12, 12), (1, 2, 3, 18), (5, 5, 5, 5, 4), (0, 7, 0, 0, 17, 0), (1,) * 24, (23, 1))
ZEROS = EncodecConfig(pad_mode="constant")  # the library's layers, with zeros where the codec mirrors


def run(answer: Callable, pieces: list[Tensor], *layers: nn.Module) -> tuple[list[Tensor], list[int]]:
    """What a generator yields, and how many outputs it had given by the time it asked for what follows each piece."""
    made, yielded, given, before = [], [], [], [piece.clone() for piece in pieces]

    def source() -> Iterator[Tensor]:
        for piece in pieces:
            yield piece
            given.append(sum(one.shape[-1] for one in made))

    outputs = answer(source(), *layers)
    expect(not isinstance(outputs, Tensor), "it returns one tensor: `yield` each output as soon as it is there")
    for output in outputs:
        expect(isinstance(output, Tensor), f"it yields tensors, not {type(output).__name__}")
        expect(output.ndim == 3, f"it yields tensors [B, C, m], not of shape {list(output.shape)}")
        yielded.append(output)
        made.append(output.detach().clone())
    kept = all(torch.equal(piece, old) for piece, old in zip(pieces, before, strict=True))
    expect(kept, "it changes the pieces that it is given: work on a copy, x.clone()")
    kept = all(torch.equal(output, old) for output, old in zip(yielded, made, strict=True))
    expect(kept, "an output changes after it was yielded: yield a new tensor each time, or y.clone()")
    return made, given


def joined(made: list[Tensor]) -> Tensor:
    """The pieces as one tensor [B, C, N]."""
    expect(made, "it yields nothing")
    return torch.cat(made, -1)


class StreamExercise(Exercise):
    """An exercise whose answer is a generator: told apart by all it yields, and by when."""

    def behaviour(self, answer: Callable) -> list:
        """As of any exercise, with the generator run to its end."""

        def whole(*arguments: Any) -> tuple:
            made, given = run(answer, *arguments)
            return joined(made), given

        return super().behaviour(whole)


def fixed(layer: nn.Module) -> nn.Module:
    """A layer whose weights take no gradient."""
    return layer.requires_grad_(False)


def layer_of_ones(layer: nn.Module, bias: float = 0.0) -> nn.Module:
    """A layer whose weights are all 1, to compute by hand."""
    layer = fixed(layer)
    layer.weight.fill_(1.0)
    layer.bias.fill_(bias)
    return layer


def ramp(*sizes: int) -> list[Tensor]:
    """1, 2, 3, ... cut into pieces [1, 1, n]."""
    return list(torch.arange(1.0, sum(sizes) + 1)[None, None].split(sizes, -1))


def row(*numbers: float) -> Tensor:
    return torch.tensor([[[float(one) for one in numbers]]])


def convolution(C: int, out: int, kernel: int, dilation: int = 1) -> Conv1d:
    """The library's layer; its `conv` is torch's."""
    return fixed(Conv1d(ZEROS, C, out, kernel, 1, dilation))


def transposed(C: int, out: int, stride: int) -> ConvTranspose1d:
    """The library's layer; its `conv` is torch's."""
    return fixed(ConvTranspose1d(ZEROS, C, out, 2 * stride, stride))


def expect_outputs(answer: Callable, pieces: list[Tensor], layers: tuple, target: Tensor, what: str) -> None:
    """Expect the pieces of a stream to join to `target` [B, C, N]."""
    expect_signal(joined(run(answer, pieces, *layers)[0]), target, what)


def expect_signal(found: Tensor, target: Tensor, what: str) -> None:
    """Expect outputs [B, C, N]; the message shows the numbers from the first one on that differs."""
    wrong = (~torch.isclose(found, target, rtol=1e-4, atol=1e-4)).nonzero() if found.shape == target.shape else []
    if len(wrong):
        b, c, n = min(wrong.tolist(), key=lambda place: place[2])
        what += f", from output {n} on" if n else ""
        found, target = found[b, c, n:], target[b, c, n:]
    expect_close(found, target, what, 1e-4)


def expect_given(answer: Callable, pieces: list[Tensor], layers: tuple, target: list[int], what: str) -> None:
    """Expect so many outputs in all before the piece after each one is asked for."""
    sizes = [piece.shape[-1] for piece in pieces]
    expect_same(run(answer, pieces, *layers)[1], target, f"{what}: outputs after each of the pieces {sizes}")


def expect_every_cut(answer: Callable, signal: Tensor, layers: tuple, target: Tensor, what: str) -> None:
    """Expect the same outputs however a signal [B, C, 24] is cut."""
    for sizes in SPLITS:
        expect_outputs(answer, list(signal.split(sizes, -1)), layers, target, f"{what}, pieces {list(sizes)}")


def expect_constant_work(answer: Callable, layer: nn.Module, C: int, context: int, layers: tuple | None = None) -> None:
    """Expect a layer to be given each input once, and at each piece its context again."""
    seen, time = [], 0 if isinstance(layer, nn.LSTM) else -1
    counting = layer.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].shape[time]))
    try:
        run(answer, list(torch.randn(1, C, 120).split(10, -1)), *(layers or (layer,)))
    finally:
        counting.remove()
    most = 10 + 2 * context
    what = f"12 pieces of 10 inputs: expected {most} inputs at most each time"
    expect(all(n <= most for n in seen), f"{what}, not {max(seen, default=0)}: the layer is given {seen}")


def expect_constant_memory(answer: Callable, layer: nn.Module, C: int) -> None:
    """Expect a generator's variables to hold no more after twelve pieces than after four."""
    held, outputs = [], None

    def source() -> Iterator[Tensor]:
        for _ in range(12):
            yield torch.randn(1, C, 10)
            held.append(_numbers_held(outputs))

    outputs = answer(source(), layer)
    for _ in outputs:
        pass
    what = "numbers that it holds after 4 pieces and after 12: expected as many"
    expect(held[-1] <= 1.5 * held[3], f"{what}, {held[3]}, not {held[-1]}: keep what the next outputs need, no more")


def _numbers_held(generator: Any) -> int:
    """In all tensors that a generator's variables hold; 0 for what is no generator."""

    def count(value: Any) -> int:
        if isinstance(value, (list, tuple, deque)):
            return sum(map(count, value))
        return value.numel() if isinstance(value, Tensor) else getattr(value, "size", 0) * isinstance(value, np.ndarray)

    frame = getattr(generator, "gi_frame", None)
    return 0 if frame is None else sum(map(count, frame.f_locals.values()))


def two_streams(target: Any, yours: Any, arguments: tuple, factor: int = 1) -> figures.Picture:
    """The first channel of what two generators yield, with the seams between the pieces as lines."""
    figure, axes = figures.new_figure(8.4, 2.4)
    first, second = (joined(list(one))[0, 0].detach() for one in (target, yours))
    axes.plot(first, color=figures.LIT, label="target", linewidth=4, alpha=0.5)
    axes.plot(second, color=figures.INK, label="yours", linestyle="--", marker=".")
    at = 0
    for piece in arguments[0][:-1]:
        at += piece.shape[-1] * factor
        axes.axvline(at - 0.5, color=figures.GREY, linewidth=0.8)
    axes.set(xlabel="output; thin lines are where one piece ends and the next begins")
    axes.legend(frameon=False)
    return figures.figure_picture(figure, "outputs of a stream: target as a wide line, yours dashed, seams as lines")
