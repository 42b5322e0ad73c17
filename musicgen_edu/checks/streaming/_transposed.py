"""Answers to exercise 3, right and wrong."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def trims(layer: nn.ConvTranspose1d) -> tuple[int, int, int]:
    """Stride, and what is trimmed at the left and the right end of the whole."""
    stride = layer.stride[0]
    total = layer.kernel_size[0] - stride
    return stride, total - total // 2, total // 2


def stream(pieces, layer):
    stride, left, right = trims(layer)
    overlap, tail = left + right, None
    for piece in pieces:
        if not piece.shape[-1]:
            continue
        y = layer(piece)  # [B, C', n * stride + overlap]
        if tail is not None:
            both = y[..., :overlap] + tail - layer.bias[:, None]
            y = torch.cat([both, y[..., overlap:]], -1)
        done = piece.shape[-1] * stride
        yield y[..., left if tail is None else 0 : done]
        tail = y[..., done:]
    if tail is not None:
        yield tail[..., : overlap - right]


def whole(x: Tensor, layer: nn.ConvTranspose1d) -> Tensor:
    """The transposed convolution of a whole signal [B, C, n], trimmed to n * stride."""
    stride, left, _ = trims(layer)
    return layer(x)[..., left : left + x.shape[-1] * stride]


def naive(pieces, layer):
    for piece in pieces:
        if piece.shape[-1]:
            yield whole(piece, layer)


def variant(pieces, layer, *, join=None, bias=True, flush=True, left=None, right=None, skip=True, forget=False):
    """The reference with a step changed."""
    stride, true_left, true_right = trims(layer)
    left, right = true_left if left is None else left, true_right if right is None else right
    overlap, tail = true_left + true_right, None
    for piece in pieces:
        if skip and not piece.shape[-1]:
            tail = torch.zeros_like(tail) + layer.bias[:, None] if forget and tail is not None else tail
            continue
        y = layer(piece)
        if tail is not None:
            both = join(tail, y[..., :overlap]) if join else tail + y[..., :overlap]
            y = torch.cat([both - layer.bias[:, None] if bias else both, y[..., overlap:]], -1)
        done = piece.shape[-1] * stride
        yield y[..., left if tail is None else 0 : done]
        tail = y[..., done:]
    if flush and tail is not None:
        yield tail[..., : overlap - right]


def no_flush(pieces, layer):
    return variant(pieces, layer, flush=False)


def no_trim(pieces, layer):
    return variant(pieces, layer, left=0, right=0)


def trims_swapped(pieces, layer):
    _, left, right = trims(layer)
    return variant(pieces, layer, left=right, right=left)


def trims_one_end(pieces, layer):
    _, left, right = trims(layer)
    return variant(pieces, layer, left=0, right=left + right)


def old_tail_wins(pieces, layer):
    return variant(pieces, layer, join=lambda tail, y: tail, bias=False)


def new_piece_wins(pieces, layer):
    return variant(pieces, layer, join=lambda tail, y: y, bias=False)


def mean(pieces, layer):
    return variant(pieces, layer, join=lambda tail, y: (tail + y) / 2, bias=False)


def bias_twice(pieces, layer):
    return variant(pieces, layer, bias=False)


def no_bias(pieces, layer):
    return (output - layer.bias[:, None] for output in stream(pieces, layer))


def appended(pieces, layer):
    """Every piece with its tail, one after the other."""
    _, left, right = trims(layer)
    held = None
    for piece in pieces:
        if piece.shape[-1]:
            if held is not None:
                yield held
            held = layer(piece)[..., left if held is None else 0 :]
    yield held[..., : held.shape[-1] - right]


def empty_raises(pieces, layer):
    return variant(pieces, layer, skip=False)


def empty_forgets(pieces, layer):
    return variant(pieces, layer, forget=True)


def first_by_number(pieces, layer):
    """Trims the left end of the piece with number 0, even if that one is empty."""
    stride, left, _ = trims(layer)
    numbers = []

    def noted():
        for i, piece in enumerate(pieces):
            if piece.shape[-1]:
                numbers.append(i)
            yield piece

    for i, output in enumerate(variant(noted(), layer, left=0)):
        yield output[..., left if i == 0 and numbers[0] == 0 else 0 :]


def end_without_bias(pieces, layer):
    """The bias is taken from all that is carried, and not given back to the end."""
    seen = []

    def noted():
        for piece in pieces:
            seen.append(piece)
            yield piece

    yield from no_flush(noted(), layer)
    yield list(stream(seen, layer))[-1] - layer.bias[:, None]


def waits(pieces, layer):
    yield whole(torch.cat(list(pieces), -1), layer)


def one_input_late(pieces, layer):
    """Waits for the input after the one that completes an output."""
    stride, left, _ = trims(layer)
    past, done = None, 0
    for piece in pieces:
        past = piece if past is None else torch.cat([past, piece], -1)
        until = max(done, (past.shape[-1] - 1) * stride - left)
        if past.shape[-1] and until > done:
            yield layer(past)[..., left + done : left + until]
            done = until
    yield whole(past, layer)[..., done:]


def all_again(pieces, layer):
    stride, left, _ = trims(layer)
    past, done = None, 0
    for piece in pieces:
        past = piece if past is None else torch.cat([past, piece], -1)
        if past.shape[-1]:
            until = past.shape[-1] * stride - left
            yield layer(past)[..., left + done : left + until]
            done = until
    yield whole(past, layer)[..., done:]


def with_last_input(pieces, layer):
    """No tail is added: the last input is kept and goes through the layer once more."""
    stride, left, right = trims(layer)
    last, y = None, None
    for piece in pieces:
        if piece.shape[-1]:
            x = piece if last is None else torch.cat([last, piece], -1)
            y = layer(x)
            yield y[..., left if last is None else stride : x.shape[-1] * stride]
            last = x[..., -1:]
    if y is not None:
        yield y[..., y.shape[-1] - stride : y.shape[-1] - right]


def by_hand(pieces, layer):
    """One input at a time, added into a line of sums; the bias at the end. Yields empty pieces, too."""
    stride, left, right = trims(layer)
    line, trim = None, left
    for piece in pieces:
        B, out = len(piece), layer.out_channels
        line = piece.new_zeros(B, out, stride) if line is None else line
        ready = [piece.new_zeros(B, out, 0)]
        for t in range(piece.shape[2]):
            sums = torch.einsum("bc,cok->bok", piece[:, :, t], layer.weight)
            sums = sums + F.pad(line, (0, stride))
            ready.append(sums[..., trim:stride] + layer.bias[:, None])
            line, trim = sums[..., stride:], 0
        yield torch.cat(ready, -1)
    if trim == 0:
        yield line[..., : stride - right] + layer.bias[:, None]
