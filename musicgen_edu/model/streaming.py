"""Decoding codes as they come, each second once, to the same audio as decoding them whole (lesson 10).

A convolution needs a few inputs on both sides of an output. So each layer keeps the inputs that its next outputs
still need, and gives an output as soon as all its inputs are there; the LSTM looks back only and carries its state.
Nothing is decoded twice and nothing is faded over: what comes out is the whole clip's audio, a little later. How much
later is the sum of what all layers look ahead: 2402 samples, 3.75 frames, at the published sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .encodec import LSTM, Conv1d, ConvTranspose1d, EncodecModel, ResidualBlock
from .own_state import each_in_own_state, own_state
from .shapes import check_shape


class Stage(Protocol):
    """A layer that is given its input piece by piece."""

    def push(self, x: Tensor, last: bool = False) -> Tensor:
        """The next piece [B, C, n], `last` with the end of the signal; the outputs [B, C', m] that are now complete."""

    def needs(self, outputs: int) -> int:
        """How many inputs from the beginning on make so many outputs complete, unless the signal ends before."""


class StreamedConv:
    """A convolution of stride 1. It waits for what lies to the right, and mirrors the signal at its true ends only."""

    def __init__(self, layer: Conv1d):
        if layer.stride != 1:
            raise ValueError(f"a convolution of stride {layer.stride} cannot be streamed here: only stride 1")
        self.layer = layer
        total = layer.span - 1
        self.right = 0 if layer.causal else total // 2
        self.left = total - self.right
        self.inputs: Tensor | None = None  # those that later outputs need; the left padding is among them
        self.begun = False

    def push(self, x: Tensor, last: bool = False) -> Tensor:
        """x [B, C, n]; each output but the last `right` ones comes with this piece or came before."""
        x = x if self.inputs is None else torch.cat([self.inputs, x], -1)
        if not self.begun:
            if last:
                return self.layer(x) if x.shape[-1] else self._none(x)
            if x.shape[-1] <= self.left:  # not yet enough to mirror
                self.inputs = x
                return self._none(x)
            x, self.begun = self._pad(x, self.left, 0), True
        if last:
            x = self._pad(x, 0, self.right)
        context = self.layer.span - 1
        self.inputs = x[..., max(0, x.shape[-1] - context) :]
        return self.layer.conv(x) if x.shape[-1] > context else self._none(x)

    def needs(self, outputs: int) -> int:
        """Those to the right of the last output, and at the beginning enough to mirror."""
        return max(outputs + self.right, self.left + 1)

    def _pad(self, x: Tensor, left: int, right: int) -> Tensor:
        return F.pad(x, (left, right), mode=self.layer.pad_mode) if left or right else x

    def _none(self, x: Tensor) -> Tensor:
        return x.new_empty(x.shape[0], self.layer.conv.out_channels, 0)


class StreamedConvTranspose:
    """A transposed convolution: an output is complete when no later input reaches it."""

    def __init__(self, layer: ConvTranspose1d):
        self.layer = layer
        self.stride, kernel = layer.conv.stride[0], layer.conv.kernel_size[0]
        self.context = -(-kernel // self.stride) - 1  # inputs before the newest that reach the outputs it completes
        self.inputs: Tensor | None = None
        self.seen = 0  # inputs so far

    def push(self, x: Tensor, last: bool = False) -> Tensor:
        """x [B, C, n]; outputs [B, C', n * stride], `left` less in the first piece, the rest with the last one."""
        n = x.shape[-1]
        x = x if self.inputs is None else torch.cat([self.inputs, x], -1)
        if not x.shape[-1]:
            return x.new_empty(x.shape[0], self.layer.conv.out_channels, 0)
        first, done = self.seen + n - x.shape[-1], self.seen * self.stride  # first input of x; outputs given, untrimmed
        self.seen += n
        y = self.layer.conv(x)  # untrimmed, from first * stride on
        until = first * self.stride + y.shape[-1] - self.layer.right if last else self.seen * self.stride
        self.inputs = x[..., max(0, x.shape[-1] - self.context) :]
        begin = max(done, self.layer.left) - first * self.stride
        return y[..., begin : max(begin, until - first * self.stride)]

    def needs(self, outputs: int) -> int:
        """m inputs complete m * stride outputs, of which `left` are trimmed."""
        return -(-(outputs + self.layer.left) // self.stride)


class StreamedLSTM:
    """An LSTM that carries its state from piece to piece."""

    def __init__(self, layer: LSTM):
        self.layer = layer
        self.state: tuple[Tensor, Tensor] | None = None

    def push(self, x: Tensor, last: bool = False) -> Tensor:
        """x [B, C, n], same shape out."""
        if not x.shape[-1]:
            return x
        x = x.permute(2, 0, 1)  # [n, B, C]
        y, self.state = self.layer.lstm(x, self.state)
        return (y + x).permute(1, 2, 0)  # [B, C, n]

    def needs(self, outputs: int) -> int:
        """It looks back only."""
        return outputs


class StreamedResidual:
    """A residual block: the shortcut waits until the block has caught up."""

    def __init__(self, block: ResidualBlock):
        self.block = [stage_of(layer) for layer in block.block]
        self.shortcut = stage_of(block.shortcut)
        self.waiting: Tensor | None = None

    def push(self, x: Tensor, last: bool = False) -> Tensor:
        """x [B, C, n] to the outputs [B, C, m] for which both ways are complete."""
        y = x
        for stage in self.block:
            y = stage.push(y, last)
        shortcut = self.shortcut.push(x, last)
        if self.waiting is not None:
            shortcut = torch.cat([self.waiting, shortcut], -1)
        now, self.waiting = shortcut[..., : y.shape[-1]], shortcut[..., y.shape[-1] :]
        return now + y

    def needs(self, outputs: int) -> int:
        """What its block needs."""
        return needs_of(self.block, outputs)


class StreamedElementwise:
    """A layer that treats each sample alone."""

    def __init__(self, layer: nn.Module):
        self.layer = layer

    def push(self, x: Tensor, last: bool = False) -> Tensor:
        """Same shape out."""
        return self.layer(x)

    def needs(self, outputs: int) -> int:
        """One for one."""
        return outputs


def needs_of(stages: list[Stage], outputs: int) -> int:
    """How many inputs of a row of stages make so many outputs complete: asked from the last stage back."""
    for stage in reversed(stages):
        outputs = stage.needs(outputs)
    return outputs


def stage_of(layer: nn.Module) -> Stage:
    """The streamed form of a layer of the decoder."""
    kinds = {
        Conv1d: StreamedConv,
        ConvTranspose1d: StreamedConvTranspose,
        LSTM: StreamedLSTM,
        ResidualBlock: StreamedResidual,
        nn.ELU: StreamedElementwise,
        nn.Identity: StreamedElementwise,
    }
    if type(layer) not in kinds:
        raise ValueError(f"a layer of type {type(layer).__name__} cannot be streamed")
    return kinds[type(layer)](layer)


class StreamingDecoder:
    """Codes to audio, piece by piece.

    The pieces joined are `codec.decode` of all codes, up to the rounding of float32. Memory and time for a piece
    depend on its length only.

    Args:
        codec: its weights are used, not changed; several streams can share it.
    """

    def __init__(self, codec: EncodecModel):
        self.codec = codec
        self.stages = [stage_of(layer) for layer in codec.decoder.layers]
        self.finished = False

    def frames_for(self, samples: int) -> int:
        """How many frames must have been pushed before so many samples are out (fewer will do if the clip ends)."""
        return needs_of(self.stages, samples)

    @own_state()
    def push(self, codes: Tensor, last: bool = False) -> Tensor:
        """Decode the next frames.

        Args:
            codes: int64 [B, K, n], n 0 or more; always the same B, and K at most the codec's.
            last: these are the end: what the decoder still holds comes out, too.

        Returns:
            audio: [B, C, N], the samples that no later code can change; N may be 0.

        Raises:
            ValueError: wrong shape or codes, or the stream has ended.
        """
        if self.finished:
            raise ValueError("this stream has ended; start a new StreamingDecoder for other codes")
        check_shape("codes", codes, "B K n")
        self.codec.check_codes(codes)
        x = self.codec.quantizer.decode(codes.to(self.codec.device))
        self.finished = last
        for stage in self.stages:
            x = stage.push(x, last)
        return x

    def finish(self, rows: int = 1) -> Tensor:
        """The end of the audio [B, C, N], for a stream whose last codes came without `last`."""
        return self.push(torch.empty(rows, 1, 0, dtype=torch.int64, device=self.codec.device), last=True)


def chunks_of(codes: Iterator[Tensor], frames: int, samples: int, codec: EncodecModel) -> Iterator[Tensor]:
    """Audio [B, C, samples] after audio, from codes [B, K, n] as they come; `frames` is how many there will be."""
    return each_in_own_state(_chunks_of(codes, frames, samples, codec))


def _chunks_of(codes: Iterator[Tensor], frames: int, samples: int, codec: EncodecModel) -> Iterator[Tensor]:
    decoder = StreamingDecoder(codec)
    waiting, pushed, given, sound = [], 0, 0, None
    for piece in codes:
        waiting.append(piece)
        there = pushed + sum(part.shape[-1] for part in waiting)
        if there < min(decoder.frames_for(given + samples), frames):
            continue
        made = decoder.push(torch.cat(waiting, -1), last=there == frames)
        waiting, pushed = [], there
        sound = made if sound is None else torch.cat([sound, made], -1)
        while sound.shape[-1] >= samples:
            yield sound[..., :samples].clone()
            sound, given = sound[..., samples:], given + samples
    if sound is not None and sound.shape[-1]:
        yield sound
