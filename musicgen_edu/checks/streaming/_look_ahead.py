"""Answers to exercise 1, right and wrong."""

from __future__ import annotations

import math


def walk(layers, *, dilate=True, small_half=False, larger_half=False, scale=True, late=False, both=False):
    """Samples that the look-ahead spans, and samples of a frame; the options are mistakes."""
    reach, hop = 0, 1
    for kernel, up, dilation in layers:
        total = kernel - up if up > 1 else (kernel - 1) * (dilation if dilate else 1)
        half = total // 2
        if up > 1:
            half = total // 2 if small_half else total - total // 2
        elif larger_half:
            half = total - total // 2
        if both:
            half = total
        step = up if scale else 1
        reach = (reach + half) * step if late else reach * step + half
        hop *= up
    return reach, hop


def answer(walked, K, rate, count=None, delay=None):
    samples, hop = walked
    frames = math.ceil(samples / hop) if count is None else count(samples, hop)
    return samples, frames, 1000 * (frames + (K - 1 if delay is None else delay(K))) * hop / rate


def look_ahead(layers, K, sample_rate):
    return answer(walk(layers), K, sample_rate)


def undilated(layers, K, rate):
    return answer(walk(layers, dilate=False), K, rate)


def whole_padding(layers, K, rate):
    return answer(walk(layers, both=True), K, rate)


def of_two(convolution, transposed):
    """Another look at one layer: what a convolution and a transposed one look ahead, of all their padding."""

    def walked(layers, K, rate):
        reach, hop = 0, 1
        for kernel, up, dilation in layers:
            total = kernel - up if up > 1 else (kernel - 1) * dilation
            reach, hop = reach * up + (transposed if up > 1 else convolution)(total), hop * up
        return answer((reach, hop), K, rate)

    return walked


def whole_right(layers, K, rate):
    return of_two(lambda total: total, lambda total: total - total // 2)(layers, K, rate)


def whole_trim(layers, K, rate):
    return of_two(lambda total: total // 2, lambda total: total)(layers, K, rate)


def no_trim(layers, K, rate):
    return of_two(lambda total: total // 2, lambda total: 0)(layers, K, rate)


def rounded(layers, K, rate):
    return answer(walk(layers), K, rate, count=lambda samples, hop: round(samples / hop))


def delay_in_frames(layers, K, rate):
    samples, frames, ms = look_ahead(layers, K, rate)
    return samples, frames + K - 1, ms


def larger_half(layers, K, rate):
    return answer(walk(layers, larger_half=True), K, rate)


def trimmed_right(layers, K, rate):
    return answer(walk(layers, small_half=True), K, rate)


def only_added(layers, K, rate):
    return answer(walk(layers, scale=False), K, rate)


def scaled_after(layers, K, rate):
    return answer(walk(layers, late=True), K, rate)


def backwards(layers, K, rate):
    return answer(walk(layers[::-1]), K, rate)


def rounded_down(layers, K, rate):
    return answer(walk(layers), K, rate, count=lambda samples, hop: samples // hop)


def one_more(layers, K, rate):
    return answer(walk(layers), K, rate, count=lambda samples, hop: samples // hop + 1)


def no_delay(layers, K, rate):
    return answer(walk(layers), K, rate, delay=lambda K: 0)


def delay_of_all(layers, K, rate):
    return answer(walk(layers), K, rate, delay=lambda K: K)


def in_samples(layers, K, rate):
    samples, frames, _ = look_ahead(layers, K, rate)
    return samples, frames, 1000 * (samples + (K - 1) * walk(layers)[1]) / rate


def in_seconds(layers, K, rate):
    samples, frames, ms = look_ahead(layers, K, rate)
    return samples, frames, ms / 1000


def by_needs(layers, K, sample_rate):
    """From the last sample of frame 0 back: which is the last input that it needs?"""
    hop = math.prod(up for _, up, _ in layers)
    needed, frame = 0, 0
    for samples in range(hop):
        needed = samples
        for kernel, up, dilation in reversed(layers):
            total = kernel - up if up > 1 else (kernel - 1) * dilation
            needed = (needed + total - total // 2) // up if up > 1 else needed + total // 2
        frame = max(frame, needed)
    finer = 0
    for kernel, up, dilation in layers:
        finer = finer * up + (math.ceil((kernel - up) / 2) if up > 1 else (kernel - 1) * dilation // 2)
    return finer, frame, (frame + K - 1) * hop * 1000 / sample_rate


def by_products(layers, K, sample_rate):
    """Each layer's share, times how much finer time becomes after it."""
    samples, finer = 0, 1
    for kernel, up, dilation in layers[::-1]:
        samples += finer * ((kernel - up + 1) // 2 if up > 1 else (kernel - 1) * dilation // 2)
        finer *= up
    frames = (samples + finer - 1) // finer
    return samples, frames, 1000.0 / (sample_rate / finer) * (frames + K - 1)
