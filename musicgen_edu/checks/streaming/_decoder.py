"""Answers to exercise 4, right and wrong."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import _convolution as convolution
from . import _transposed as transposed

CONV, UP = convolution.stream, transposed.stream


def recurrent(pieces, lstm):
    state = None
    for x in pieces:
        if x.shape[-1]:
            y, state = lstm(x.permute(2, 0, 1), state)  # [n, B, C]
            yield x + y.permute(1, 2, 0)


def decode(pieces, conv, lstm, up):
    return UP(map(F.elu, recurrent(CONV(pieces, conv), lstm)), up)


def whole(x: Tensor, conv: nn.Conv1d, lstm: nn.LSTM, up: nn.ConvTranspose1d) -> Tensor:
    x = convolution.whole(x, conv)
    x = x + lstm(x.permute(2, 0, 1))[0].permute(1, 2, 0)
    return transposed.whole(F.elu(x), up)


def with_memory(memory, pieces, conv, lstm, up):
    """The reference with another way of running the LSTM."""
    return UP(map(F.elu, memory(CONV(pieces, conv), lstm)), up)


def no_shortcut(pieces, conv, lstm, up):
    def memory(pieces, lstm):
        return (both - x for x, both in beside(pieces, lstm))

    return with_memory(memory, pieces, conv, lstm, up)


def beside(pieces, lstm):
    """Inputs of the LSTM and what becomes of them."""
    kept = []

    def noted():
        for x in pieces:
            if x.shape[-1]:
                kept.append(x)
                yield x

    for both in recurrent(noted(), lstm):
        yield kept.pop(), both


def no_elu(pieces, conv, lstm, up):
    return UP(recurrent(CONV(pieces, conv), lstm), up)


def elu_early(pieces, conv, lstm, up):
    return UP(recurrent(map(F.elu, CONV(pieces, conv)), lstm), up)


def elu_last(pieces, conv, lstm, up):
    return map(F.elu, UP(recurrent(CONV(pieces, conv), lstm), up))


def elu_of_memory(pieces, conv, lstm, up):
    def memory(pieces, lstm):
        return (x + F.elu(both - x) for x, both in beside(pieces, lstm))

    return UP(memory(CONV(pieces, conv), lstm), up)


def no_lstm(pieces, conv, lstm, up):
    return UP(map(F.elu, CONV(pieces, conv)), up)


def rows_are_time(pieces, conv, lstm, up):
    def memory(pieces, lstm):
        for x in pieces:
            if x.shape[-1]:
                yield x + lstm(x.permute(0, 2, 1))[0].permute(0, 2, 1)  # takes B for time

    return with_memory(memory, pieces, conv, lstm, up)


def carried(pieces, lstm, following, careful=True):
    """An LSTM whose next state is what `following(old, new)` says."""
    state = None
    for x in pieces:
        if x.shape[-1] or not careful:
            y, new = lstm(x.permute(2, 0, 1), state)
            state = following(state, new)
            yield x + y.permute(1, 2, 0)


def state_reset(pieces, conv, lstm, up):
    return with_memory(partial(carried, following=lambda old, new: None), pieces, conv, lstm, up)


def cell_forgotten(pieces, conv, lstm, up):
    def following(old, new):
        return new[0], torch.zeros_like(new[1])

    return with_memory(partial(carried, following=following), pieces, conv, lstm, up)


def first_state_only(pieces, conv, lstm, up):
    return with_memory(partial(carried, following=lambda old, new: new if old is None else old), pieces, conv, lstm, up)


def top_layer_for_all(pieces, conv, lstm, up):
    """Only the last layer's state is carried."""

    def following(old, new):
        return tuple(part[-1:].expand_as(part).contiguous() for part in new)

    return with_memory(partial(carried, following=following), pieces, conv, lstm, up)


def naive_convolution(pieces, conv, lstm, up):
    alone = (convolution.whole(piece, conv) for piece in pieces if piece.shape[-1])
    return UP(map(F.elu, recurrent(alone, lstm)), up)


def naive_transposed(pieces, conv, lstm, up):
    hidden = recurrent(CONV(pieces, conv), lstm)
    return (transposed.whole(F.elu(piece), up) for piece in hidden)


def anew_but_for_the_state(pieces, conv, lstm, up):
    """The generators of the exercises before are called within the loop, once for each piece."""
    alone = (convolution.whole(piece, conv) for piece in pieces if piece.shape[-1])
    return (transposed.whole(F.elu(x), up) for x in recurrent(alone, lstm))


def all_naive(pieces, conv, lstm, up):
    return (whole(piece, conv, lstm, up) for piece in pieces if piece.shape[-1])


def context_twice(pieces, conv, lstm, up):
    """The past frame that the transposed convolution needs goes through the LSTM a second time."""

    def memory(pieces, lstm):
        state, last = None, None
        for x in pieces:
            if x.shape[-1]:
                given = x if last is None else torch.cat([last, x], -1)
                y, state = lstm(given.permute(2, 0, 1), state)
                yield x + y.permute(1, 2, 0)[..., given.shape[-1] - x.shape[-1] :]
                last = x[..., -1:]

    return with_memory(memory, pieces, conv, lstm, up)


def empty_raises(pieces, conv, lstm, up):
    with_empty = convolution.with_positions(pieces, conv)
    return UP(map(F.elu, carried(with_empty, lstm, lambda old, new: new, careful=False)), up)


def waits(pieces, conv, lstm, up):
    yield whole(torch.cat(list(pieces), -1), conv, lstm, up)


def all_again(pieces, conv, lstm, up):
    context, stride = conv.kernel_size[0] - 1, up.stride[0]
    left = stride - stride // 2
    past, done = None, 0
    for piece in pieces:
        past = piece if past is None else torch.cat([past, piece], -1)
        until = (past.shape[-1] - context // 2) * stride - left
        if until > done:
            yield whole(past, conv, lstm, up)[..., done:until]
            done = until
    yield whole(past, conv, lstm, up)[..., done:]


def one_loop(pieces, conv, lstm, up):
    """The three layers in one loop, with all that is carried in one place."""
    context, stride = conv.kernel_size[0] - 1, up.stride[0]
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


def frame_by_frame(pieces, conv, lstm, up):
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
