"""Answers to exercise 2, right and wrong."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def context_of(layer: nn.Conv1d) -> tuple[int, int]:
    """Inputs that an output needs beside its newest one, and how many of them lie to the right."""
    context = (layer.kernel_size[0] - 1) * layer.dilation[0]
    return context, context // 2


def stream(pieces, layer):
    context, right = context_of(layer)
    kept = None
    for piece in pieces:
        kept = F.pad(piece, (context - right, 0)) if kept is None else torch.cat([kept, piece], -1)
        if kept.shape[-1] > context:
            yield layer(kept)
            kept = kept[..., kept.shape[-1] - context :]
    if kept is not None and kept.shape[-1] + right > context:
        yield layer(F.pad(kept, (0, right)))


def whole(x: Tensor, layer: nn.Conv1d) -> Tensor:
    """The convolution of a whole signal, with zeros at its ends."""
    context, right = context_of(layer)
    return layer(F.pad(x, (context - right, right)))


def naive(pieces, layer):
    for piece in pieces:
        if piece.shape[-1]:
            yield whole(piece, layer)


def left_only(pieces, layer):
    context, right = context_of(layer)
    past = None
    for piece in pieces:
        past = piece.new_zeros(*piece.shape[:2], context - right) if past is None else past
        if piece.shape[-1]:
            yield layer(F.pad(torch.cat([past, piece], -1), (0, right)))
            past = torch.cat([past, piece], -1)
            past = past[..., past.shape[-1] - (context - right) :]


def loop(pieces, layer, *, more=0, left=None, right=None, context=None, flush=True, careful=True, slip=False):
    """The reference with its numbers changed: context kept, padding at either end."""
    true, half = context_of(layer)
    context, right = true if context is None else context, half if right is None else right
    left, kept = context - half if left is None else left, None
    for piece in pieces:
        kept = F.pad(piece, (left, 0)) if kept is None else torch.cat([kept, piece], -1)
        if kept.shape[-1] > context or not careful:
            yield layer(kept)
            kept = kept[..., -context:] if slip else kept[..., max(0, kept.shape[-1] - context - more) :]
    if flush and kept is not None and kept.shape[-1] + right > true:
        yield layer(F.pad(kept, (0, right)))


def context_short(pieces, layer):
    return loop(pieces, layer, more=-1 if context_of(layer)[0] else 0)


def context_long(pieces, layer):
    return loop(pieces, layer, more=1)


def no_flush(pieces, layer):
    return loop(pieces, layer, flush=False)


def causal(pieces, layer):
    return loop(pieces, layer, left=context_of(layer)[0], right=0)


def no_start(pieces, layer):
    return loop(pieces, layer, left=0)


def small_half_left(pieces, layer):
    context, right = context_of(layer)
    return loop(pieces, layer, left=right, right=context - right)


def undilated(pieces, layer):
    context = layer.kernel_size[0] - 1
    return loop(pieces, layer, context=context, left=context - context // 2, right=context // 2, careful=True)


def kept_undilated(pieces, layer):
    """Pads as it should, and keeps kernel - 1 inputs whatever the dilation is."""
    return loop(pieces, layer, more=layer.kernel_size[0] - 1 - context_of(layer)[0])


def kept_half(pieces, layer):
    context, right = context_of(layer)
    return loop(pieces, layer, more=right - context)


def piece_only(pieces, layer):
    context, right = context_of(layer)
    kept = None
    for piece in pieces:
        joint = F.pad(piece, (context - right, 0)) if kept is None else torch.cat([kept, piece], -1)
        if joint.shape[-1] > context:
            yield layer(joint)
        kept = joint if kept is None and joint.shape[-1] <= context else piece[..., max(0, piece.shape[-1] - context) :]
    if kept.shape[-1] + right > context:
        yield layer(F.pad(kept, (0, right)))


def too_eager(pieces, layer):
    return loop(pieces, layer, careful=False)


def minus_zero(pieces, layer):
    return loop(pieces, layer, slip=True)


def waits(pieces, layer):
    yield whole(torch.cat(list(pieces), -1), layer)


def one_late(pieces, layer):
    """Holds the newest piece back."""
    held = None
    for output in stream(pieces, layer):
        if held is not None:
            yield held
        held = output
    yield held


def all_again(pieces, layer):
    context, right = context_of(layer)
    past, done = None, 0
    for piece in pieces:
        past = F.pad(piece, (context - right, 0)) if past is None else torch.cat([past, piece], -1)
        if past.shape[-1] > context + done:
            yield layer(past)[..., done:]
            done = past.shape[-1] - context
    yield layer(F.pad(past, (0, right)))[..., done:]


def one_by_one(pieces, layer):
    """A window that moves on with each sample."""
    context, right = context_of(layer)
    window, room = [], context - right
    for piece in pieces:
        window = window or [torch.zeros_like(piece[..., :1])] * room if piece.shape[-1] else window
        for sample in piece.split(1, -1) if piece.shape[-1] else ():
            window = [*window, sample][-context - 1 :]
            if len(window) > context:
                yield layer(torch.cat(window, -1))
    for _ in range(right):
        window = [*window, torch.zeros_like(window[-1])][-context - 1 :]
        if len(window) > context:
            yield layer(torch.cat(window, -1))


def with_positions(pieces, layer):
    """A buffer that knows at which input it begins; yields empty pieces, too."""
    context, right = context_of(layer)
    buffer = None
    for piece in pieces:
        buffer = piece.new_zeros(*piece.shape[:2], context - right) if buffer is None else buffer
        buffer = torch.cat((buffer, piece), 2)
        ready = max(0, buffer.shape[2] - context)
        yield layer(buffer) if ready else buffer.new_zeros(len(buffer), layer.out_channels, 0)
        buffer = buffer.narrow(2, ready, buffer.shape[2] - ready)
    end = torch.cat((buffer, buffer.new_zeros(*buffer.shape[:2], right)), 2)
    if end.shape[2] > context:
        yield F.conv1d(end, layer.weight, layer.bias, dilation=layer.dilation)
