"""The exercises of assignment 04: codebooks for a bit rate, windows, streaming, a discriminator's losses, balance."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import figures
from ..encodec import Conv1d, EncodecConfig
from ..training.balancer import Balancer
from ..training.discriminator import adversarial_loss, discriminator_loss, feature_matching_loss
from . import Exercise, Wrong, expect, expect_close, expect_tensor, seal

# ---- 1. codebooks_for: what a bit rate buys -----------------------------------------------------------------------


def _codebooks(bit_rate: int, sample_rate: int, ratios: list[int], codebook_size: int) -> int:
    frame_rate = sample_rate / math.prod(ratios)
    return int(bit_rate // (frame_rate * math.log2(codebook_size)))


def the_number_is_a_whole_one(answer):
    """The number of codebooks is an int."""
    found = answer(2200, 32000, [8, 5, 4, 4], 2048)
    expect(type(found) is int, f"the number of codebooks must be an int, not {type(found).__name__}")


def published_codecs_come_out(answer):
    """2.2 kbit/s at 32 kHz are 4 codebooks of 2048, 6 kbit/s at 24 kHz are 8 of 1024."""
    for arguments, expected in (((2200, 32000, [8, 5, 4, 4], 2048), 4), ((6000, 24000, [8, 5, 4, 2], 1024), 8)):
        found = answer(*arguments)
        expect(found == expected, f"codebooks_for{arguments} should be {expected}, not {found}")


def the_rate_is_never_exceeded(answer):
    """As many as fit into the rate, and none more."""
    for bit_rate, expected in ((2199, 3), (2749, 4), (2750, 5), (550, 1), (549, 0)):
        found = answer(bit_rate, 32000, [8, 5, 4, 4], 2048)
        expect(found == expected, f"{bit_rate} bit/s at 50 frames of 11 bits: {expected} codebooks fit, not {found}")


def codebooks_as_the_library_counts(answer):
    """On other sizes the codec's own bit rate fits, and that of one codebook more does not."""
    for rate, ratios, size in ((16000, (5, 4, 4, 4), 1024), (24000, (8, 5, 4, 2), 64), (48000, (8, 5, 4, 2), 4096)):
        one = EncodecConfig(rate, upsampling_ratios=ratios, codebook_size=size, num_codebooks=1).bandwidth * 1000
        for count in (1, 3, 8):
            found = answer(round(one * count) + 5, rate, list(ratios), size)
            expect(found == count, f"{rate} Hz, ratios {list(ratios)}, V {size}: {count} codebooks fit, not {found}")


def _codebooks_float(bit_rate, sample_rate, ratios, codebook_size):
    return bit_rate // (sample_rate / math.prod(ratios) * math.log2(codebook_size))


def _codebooks_entries(bit_rate, sample_rate, ratios, codebook_size):
    return int(bit_rate // (sample_rate / math.prod(ratios) * codebook_size))


def _codebooks_sum(bit_rate, sample_rate, ratios, codebook_size):
    return int(bit_rate // (sample_rate / sum(ratios) * math.log2(codebook_size)))


def _codebooks_samples(bit_rate, sample_rate, ratios, codebook_size):
    return int(bit_rate // (sample_rate * math.log2(codebook_size)))


def _codebooks_round(bit_rate, sample_rate, ratios, codebook_size):
    return round(bit_rate / (sample_rate / math.prod(ratios) * math.log2(codebook_size)))


def _codebooks_ceil(bit_rate, sample_rate, ratios, codebook_size):
    return math.ceil(bit_rate / (sample_rate / math.prod(ratios) * math.log2(codebook_size)))


def _codebooks_ln(bit_rate, sample_rate, ratios, codebook_size):
    return int(bit_rate // (sample_rate / math.prod(ratios) * math.log(codebook_size)))


def _codebooks_loop(bit_rate, sample_rate, ratios, codebook_size):
    hop = 1
    for ratio in ratios:
        hop *= ratio
    count = 0
    while (count + 1) * sample_rate * (codebook_size.bit_length() - 1) <= bit_rate * hop:
        count += 1
    return count


def _codebooks_divmod(bit_rate, sample_rate, ratios, codebook_size):
    frames = torch.tensor(sample_rate, dtype=torch.float64) / torch.tensor(ratios).prod()
    return int(torch.floor(bit_rate / (frames * math.log2(codebook_size))))


codebooks_for = Exercise(
    "codebooks_for",
    reference=_codebooks,
    properties=(
        the_number_is_a_whole_one,
        published_codecs_come_out,
        the_rate_is_never_exceeded,
        codebooks_as_the_library_counts,
    ),
    wrong=(
        Wrong(_codebooks_float, "the_number_is_a_whole_one", "// of floats gives a float: put int() around it."),
        Wrong(
            _codebooks_entries,
            "published_codecs_come_out",
            "You count V bits a code. A code with V values needs log2(V) bits.",
        ),
        Wrong(
            _codebooks_sum,
            "published_codecs_come_out",
            "You add the ratios. Each layer lengthens what the one before it gives out: the hop is their product.",
        ),
        Wrong(
            _codebooks_samples,
            "published_codecs_come_out",
            "You pay for a code at every sample. Codes come once a frame: divide the sample rate by the hop.",
        ),
        Wrong(
            _codebooks_ln,
            "published_codecs_come_out",
            "math.log is the natural logarithm. Bits are counted with math.log2.",
        ),
        Wrong(
            _codebooks_round,
            "the_rate_is_never_exceeded",
            "You round to the nearest number. Rounding up needs more bits than there are: round down.",
        ),
        Wrong(
            _codebooks_ceil,
            "the_rate_is_never_exceeded",
            "You round up. The last codebook then needs more bits than there are: round down.",
        ),
    ),
    right=(_codebooks_loop, _codebooks_divmod),
    examples=lambda generator: [
        (2200, 32000, [8, 5, 4, 4], 2048),
        (6000, 24000, [8, 5, 4, 2], 1024),
        (2199, 32000, [8, 5, 4, 4], 2048),
        (2300, 32000, [8, 5, 4, 4], 2048),
        (10_000_000, 16000, [5, 4, 4, 4], 1024),
    ],
)


# ---- 2. window_of_frame: what a frame sees -------------------------------------------------------------------------

SMALL = [(7, 1, 1), (3, 1, 2), (4, 2, 1), (10, 5, 1)]  # (kernel, stride, dilation), from samples to frames


def _window(layers: list[tuple[int, int, int]], causal: bool) -> tuple[int, int, int]:
    hop, first, last = 1, 0, 0
    for kernel, stride, dilation in layers:
        span = (kernel - 1) * dilation + 1
        total = span - stride
        left = total if causal else total - total // 2
        first, last = first - left * hop, last + (span - 1 - left) * hop
        hop *= stride
    return hop, first, last


def _measured(layers: list[tuple[int, int, int]], causal: bool) -> tuple[int, int, int]:
    """The same by gradient: the samples that one frame of the library's own convolutions depends on."""
    config = EncodecConfig(use_causal_conv=causal)
    stack = torch.nn.Sequential(*(Conv1d(config, 1, 1, k, s, d) for k, s, d in layers)).double()
    hop = math.prod(stride for _, stride, _ in layers)
    frame = 2 + sum((k - 1) * d for k, _, d in layers)  # far from both ends
    sound = torch.randn(1, 1, 2 * frame * hop, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(stack(sound)[0, 0, frame], sound)
    touched = gradient[0, 0].nonzero().flatten() - frame * hop
    return hop, int(touched.min()), int(touched.max())


def says_three_whole_numbers(answer):
    """The result is a tuple of three ints: hop, first, last."""
    found = answer(SMALL, False)
    expect(isinstance(found, tuple) and len(found) == 3, f"expected a tuple of three, not {found!r}")
    expect(all(type(one) is int for one in found), f"hop, first and last must be ints, not {found!r}")


def one_layer_sees_its_window(answer):
    """One convolution sees its own window, dilated, with the padding of span - stride around it."""
    for layer, expected in (((7, 1, 1), (1, -3, 3)), ((3, 1, 2), (1, -2, 2)), ((16, 8, 1), (8, -4, 11))):
        found = answer([layer], False)
        expect(found == expected, f"kernel, stride, dilation {layer}: expected {expected}, not {found}")


def odd_padding_goes_to_the_left(answer):
    """Where the padding is an odd number, the larger half stands at the left."""
    for layer, expected in (((10, 5, 1), (5, -3, 6)), ((4, 1, 1), (1, -2, 1))):
        found = answer([layer], False)
        expect(found == expected, f"kernel, stride, dilation {layer}: expected {expected}, not {found}")


def later_layers_step_wider(answer):
    """A layer after a stride of s counts in steps of s samples."""
    found = answer([(4, 2, 1), (3, 1, 1)], False)
    expect(found == (2, -3, 4), f"kernel 4 stride 2, then kernel 3: expected (2, -3, 4), not {found}")


def causal_sees_nothing_later(answer):
    """Causal: the last sample seen is the last one of the frame's own hop."""
    for layers in ([(7, 1, 1)], [(4, 2, 1), (3, 1, 1)], SMALL):
        hop, first, last = answer(layers, True)
        expect(last == hop - 1, f"{layers}, causal: the last sample is {hop - 1}, not {last}")
        expect(last - first == answer(layers, False)[2] - answer(layers, False)[1], "the window changes its length")


def windows_are_those_measured(answer):
    """On random stacks it is what the gradient of the library's layers shows."""
    for _ in range(6):
        layers = []
        for _ in range(int(torch.randint(1, 5, ()))):
            stride = int(torch.randint(1, 5, ()))
            kernel, dilation = stride + int(torch.randint(1, 5, ())), int(torch.randint(1, 3, ()))
            layers.append((kernel, stride, dilation if stride == 1 else 1))
        for causal in (False, True):
            found, target = answer(layers, causal), _measured(layers, causal)
            expect(found == target, f"{layers}, causal {causal}: the gradient shows {target}, not {found}")


def _walk(layers, causal, *, dilate=True, even=False, scale=True, late=False, padded=True, adds=False):
    """The walk through the layers with one thing or another done wrong."""
    hop, first, last = 1, 0, 0
    for kernel, stride, dilation in layers:
        span = (kernel - 1) * (dilation if dilate else 1) + 1
        total = span - stride
        left = (total if causal else (total // 2 if even else total - total // 2)) if padded else 0
        if late:
            hop *= stride
        step = hop if scale else 1
        first, last = first - left * step, last + (span - 1 - left) * step
        if not late:
            hop = hop + stride - 1 if adds else hop * stride
    return hop, first, last


def _window_undilated(layers, causal):
    return _walk(layers, causal, dilate=False)


def _window_small_half_left(layers, causal):
    return _walk(layers, causal, even=True)


def _window_unscaled(layers, causal):
    return _walk(layers, causal, scale=False)


def _window_hop_early(layers, causal):
    return _walk(layers, causal, late=True)


def _window_unpadded(layers, causal):
    return _walk(layers, causal, padded=False)


def _window_never_causal(layers, causal):
    return _walk(layers, False)


def _window_length(layers, causal):
    hop, first, last = _walk(layers, causal)
    return hop, last - first + 1


def _window_backwards(layers, causal):
    """From the frame down to the samples: each output [a, b] needs inputs a * s - left to b * s - left + span - 1."""
    first = last = 0
    for kernel, stride, dilation in reversed(layers):
        span = (kernel - 1) * dilation + 1
        left = span - stride if causal else math.ceil((span - stride) / 2)
        first, last = first * stride - left, last * stride - left + span - 1
    return math.prod(stride for _, stride, _ in layers), first, last


def _window_sets(layers, causal):
    hop, seen = 1, {0}
    for _, stride, _ in layers:
        hop *= stride
    for kernel, stride, dilation in layers[::-1]:
        total = (kernel - 1) * dilation + 1 - stride
        left = total if causal else (total + 1) // 2
        seen = {at * stride - left + i * dilation for at in seen for i in range(kernel)}
    return hop, min(seen), max(seen)


window_of_frame = Exercise(
    "window_of_frame",
    reference=_window,
    properties=(
        says_three_whole_numbers,
        one_layer_sees_its_window,
        odd_padding_goes_to_the_left,
        later_layers_step_wider,
        causal_sees_nothing_later,
        windows_are_those_measured,
    ),
    wrong=(
        Wrong(
            _window_length,
            "says_three_whole_numbers",
            "That is the length of the window. Where it begins matters too: return hop, first and last.",
        ),
        Wrong(
            _window_undilated,
            "one_layer_sees_its_window",
            "You leave out the dilation: the samples of a window are d apart, so it spans (k - 1) d + 1.",
        ),
        Wrong(
            _window_unpadded,
            "one_layer_sees_its_window",
            "You count from the left end of the window, as without padding. The padding at the left moves every "
            "window back by that much.",
        ),
        Wrong(
            _window_hop_early,
            "one_layer_sees_its_window",
            "You multiply by a layer's own stride before you use the step. A window is counted in steps of what the "
            "layers before it have made of the time; its own stride only spreads the windows of the next layer.",
        ),
        Wrong(
            _window_small_half_left,
            "odd_padding_goes_to_the_left",
            "An odd padding is split the other way round: right is total // 2, left gets the rest.",
        ),
        Wrong(
            _window_unscaled,
            "later_layers_step_wider",
            "You count every layer in samples. After strides of 4 and 2, neighbours are 8 samples apart: multiply "
            "by the product of the strides before the layer.",
        ),
        Wrong(
            _window_never_causal,
            "causal_sees_nothing_later",
            "You do not use `causal`: then the whole padding, span - stride, stands at the left.",
        ),
    ),
    right=(_window_backwards, _window_sets),
    examples=lambda generator: [
        (SMALL, False),
        (SMALL, True),
        ([(16, 8, 1)], False),
        ([(4, 2, 1), (3, 1, 1)], False),
    ],
)


# ---- 3. stream_convolution: a causal layer, a piece at a time ------------------------------------------------------


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


# ---- 4. judge: what a discriminator teaches ------------------------------------------------------------------------

Scale = tuple[Tensor, list[Tensor]]


def _judge(real: list[Scale], fake: list[Scale]) -> tuple[Tensor, Tensor, Tensor]:
    real_logits, fake_logits = [logits for logits, _ in real], [logits for logits, _ in fake]
    features = feature_matching_loss([[m.detach() for m in maps] for _, maps in real], [maps for _, maps in fake])
    return discriminator_loss(real_logits, fake_logits), adversarial_loss(fake_logits), features


def _views(*logits: list[float], scale: float = 1.0) -> list[Scale]:
    return [(torch.tensor(row), [scale * torch.tensor([1.0, 3.0]), torch.tensor([[2.0], [4.0]])]) for row in logits]


def says_three_numbers(answer):
    """Three scalars: the discriminator's loss, the codec's adversarial loss, feature matching."""
    found = answer(*_judge_examples(torch.Generator().manual_seed(1))[0])
    expect(isinstance(found, tuple) and len(found) == 3, "return three losses")
    for name, value in zip(("discriminator", "adversarial", "features"), found, strict=True):
        expect_tensor(value, (), torch.float32, f"the loss `{name}`")


def hinges_are_those_of_the_equation(answer):
    """One window, two patches: max(0, 1 - real) and max(0, 1 + fake) for the judge, max(0, 1 - fake) for the codec."""
    judge, codec, _ = answer(_views([1.5, 0.5]), _views([-2.0, 0.5]))
    expect_close(judge, torch.tensor(1.0), "real [1.5, 0.5], fake [-2, 0.5]: (0 + 0.5) / 2 + (0 + 1.5) / 2")
    expect_close(codec, torch.tensor(1.75), "fake [-2, 0.5]: (3 + 0.5) / 2")


def windows_count_the_same(answer):
    """Each window counts the same, however many patches it has."""
    judge, codec, _ = answer(_views([1.0], [0.0] * 9), _views([-1.0], [0.0] * 9))
    expect_close(judge, torch.tensor(1.0), "a perfect window of 1 patch, a clueless one of 9: (0 + 2) / 2")
    expect_close(codec, torch.tensor(1.5), "verdicts on copies -1 in one patch, 0 in nine: (2 + 1) / 2")


def layers_count_the_same(answer):
    """Feature matching is relative: 10 % off counts the same in a loud and in a quiet layer."""
    for scale in (1.0, 100.0):
        real = _views([0.0], scale=scale)
        fake = [(logits, [1.1 * one for one in maps]) for logits, maps in real]
        expect_close(answer(real, fake)[2], torch.tensor(0.1), f"every map 10 % louder, one of them {scale:g} times")


def nobody_is_taught_the_wrong_thing(answer):
    """Feature matching sends no gradient into the maps of recordings."""
    (real, fake), *_ = _judge_examples(torch.Generator().manual_seed(2))
    held = real[0][1][0].requires_grad_()
    moved = fake[0][1][0].requires_grad_()
    features = answer(real, fake)[2]
    expect(features.requires_grad, "feature matching sends no gradient into the copies' maps")
    gradients = torch.autograd.grad(features, (held, moved), allow_unused=True)
    expect(gradients[1] is not None and gradients[1].abs().sum() > 0, "no gradient arrives at the copies' maps")
    expect(gradients[0] is None or not gradients[0].any(), "a gradient arrives at the maps of recordings: detach them")


def judges_as_the_library_does(answer):
    """On random sizes the losses are those of the library."""
    for real, fake in _judge_examples(torch.Generator().manual_seed(3)):
        for name, yours, target in zip(
            ("discriminator", "adversarial", "features"), answer(real, fake), _judge(real, fake), strict=True
        ):
            expect_close(yours, target, f"the loss `{name}` differs")


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()


def _hinges(real, fake):
    judge = _mean([F.relu(1 - r).mean() + F.relu(1 + f).mean() for (r, _), (f, _) in zip(real, fake, strict=True)])
    return judge, _mean([F.relu(1 - f).mean() for f, _ in fake])


def _pairs(real, fake):
    return [pair for (_, a), (_, b) in zip(real, fake, strict=True) for pair in zip(a, b, strict=True)]


def _relative(real, fake):
    return _mean([(b - a.detach()).abs().mean() / a.detach().abs().mean() for a, b in _pairs(real, fake)])


def _judge_lists(real, fake):
    judge, codec = _hinges(real, fake)
    return torch.stack([judge]), torch.stack([codec]), torch.stack([_relative(real, fake)])


def _judge_flipped(real, fake):
    return *_hinges(fake, real), _relative(real, fake)


def _judge_unhinged(real, fake):
    judge = _mean([(1 - r).mean() + (1 + f).mean() for (r, _), (f, _) in zip(real, fake, strict=True)])
    return judge, _mean([(1 - f).mean() for f, _ in fake]), _relative(real, fake)


def _judge_opposite(real, fake):
    judge, _ = _hinges(real, fake)
    return judge, _mean([F.relu(1 + f).mean() for f, _ in fake]), _relative(real, fake)


def _judge_pooled(real, fake):
    r, f = (torch.cat([logits.flatten() for logits, _ in side]) for side in (real, fake))
    return F.relu(1 - r).mean() + F.relu(1 + f).mean(), F.relu(1 - f).mean(), _relative(real, fake)


def _judge_absolute(real, fake):
    features = _mean([(b - a.detach()).abs().mean() for a, b in _pairs(real, fake)])
    return *_hinges(real, fake), features


def _judge_by_fake(real, fake):
    features = _mean([(b - a.detach()).abs().mean() / b.abs().mean() for a, b in _pairs(real, fake)])
    return *_hinges(real, fake), features


def _judge_attached(real, fake):
    features = _mean([(b - a).abs().mean() / a.abs().mean() for a, b in _pairs(real, fake)])
    return *_hinges(real, fake), features


def _judge_vectorised(real, fake):
    return *_hinges(real, fake), _relative(real, fake)


def _judge_loops(real, fake):
    judge = codec = features = torch.tensor(0.0)
    layers = sum(len(maps) for _, maps in real)
    for (r, real_maps), (f, fake_maps) in zip(real, fake, strict=True):
        judge = judge + ((1 - r).clamp(min=0).mean() + (1 + f).clamp(min=0).mean()) / len(real)
        codec = codec + torch.maximum(1 - f, torch.zeros_like(f)).mean() / len(real)
        for a, b in zip(real_maps, fake_maps, strict=True):
            constant = a.detach()
            features = features + F.l1_loss(b, constant) / constant.abs().mean() / layers
    return judge, codec, features


def _judge_examples(generator):
    def side(loudness):
        return [
            (
                torch.randn(2, 1, frames, 3, generator=generator),
                [loudness[i] * torch.randn(2, 4, frames, 6 >> i, generator=generator).abs() for i in range(2)],
            )
            for frames in (5, 12)
        ]

    (first, second) = side((1.0, 30.0)), side((1.0, 30.0))
    for _, maps in (*first, *second):
        for one in maps:
            one.requires_grad_()
    return [(first, second)]


judge_losses = Exercise(
    "judge_losses",
    reference=_judge,
    properties=(
        says_three_numbers,
        hinges_are_those_of_the_equation,
        windows_count_the_same,
        layers_count_the_same,
        nobody_is_taught_the_wrong_thing,
        judges_as_the_library_does,
    ),
    wrong=(
        Wrong(_judge_lists, "says_three_numbers", "Each loss has a dimension left over: take the mean to the end."),
        Wrong(
            _judge_flipped,
            "hinges_are_those_of_the_equation",
            "Recordings and copies are the wrong way round: recordings should get more than 1, copies less than -1.",
        ),
        Wrong(
            _judge_unhinged,
            "hinges_are_those_of_the_equation",
            "The hinge is missing: a verdict beyond 1 is good enough and must earn nothing more. max(0, ...) first, "
            "then the mean.",
        ),
        Wrong(
            _judge_opposite,
            "hinges_are_those_of_the_equation",
            "Your adversarial loss wants copies to be found out. The codec wants the opposite of the discriminator: "
            "max(0, 1 - fake).",
        ),
        Wrong(
            _judge_pooled,
            "windows_count_the_same",
            "You pool the patches of all windows, so a window counts by the number of its patches. Take the mean of "
            "each window first.",
        ),
        Wrong(
            _judge_absolute,
            "layers_count_the_same",
            "Your feature matching is absolute: the loudest layer decides alone. Divide each by mean |real|.",
        ),
        Wrong(
            _judge_by_fake,
            "layers_count_the_same",
            "You divide by the loudness of the copy, and a codec can lower that loss by being loud. Divide by mean "
            "|real|.",
        ),
        Wrong(
            _judge_attached,
            "nobody_is_taught_the_wrong_thing",
            "The maps of recordings are targets. Without .detach() the gradient pulls them towards the copy.",
        ),
    ),
    right=(_judge_vectorised, _judge_loops),
    examples=_judge_examples,
)


# ---- 5. balance: one step of the balancer --------------------------------------------------------------------------


def _balance(gradients: Tensor, weights: Tensor, averages: Tensor, step: int, decay: float) -> tuple[Tensor, Tensor]:
    averages = decay * averages + (1 - decay) * gradients.norm(dim=1)  # [M]
    unbiased = averages / (1 - decay ** (step + 1))
    return (weights / weights.sum() / unbiased) @ gradients, averages


def _library_balance(sequence: list[Tensor], weights: Tensor, decay: float) -> list[Tensor]:
    """What the library's balancer sends back for a sequence of gradients [M, N] of linear losses."""
    balancer = Balancer({str(i): float(w) for i, w in enumerate(weights)}, decay=decay)
    sent = []
    for gradients in sequence:
        output = torch.zeros(gradients.shape[1], requires_grad=True)
        balancer.backward({str(i): output @ one for i, one in enumerate(gradients)}, output)
        sent.append(output.grad)
    return sent


def _balance_all(answer, sequence, weights, decay):
    averages, sent = torch.zeros(len(weights)), []
    for step, gradients in enumerate(sequence):
        gradient, averages = answer(gradients, weights, averages, step, decay)
        sent.append(gradient)
    return sent


PAIR = torch.tensor([[0.003, 0.004], [0.0, 100.0]])


def gives_a_gradient_and_averages(answer):
    """The balanced gradient has the shape of one gradient, the averages that of the weights."""
    for M, N in ((2, 5), (4, 3)):
        found = answer(torch.randn(M, N), torch.rand(M), torch.zeros(M), 0, 0.9)
        expect(isinstance(found, tuple) and len(found) == 2, "return two tensors: gradient, averages")
        expect_tensor(found[0], (N,), torch.float32, "the gradient")
        expect_tensor(found[1], (M,), torch.float32, "the averages")


def weights_are_shares(answer):
    """At the first step: weights 3 and 1 are three quarters and one quarter, whatever the losses' scales."""
    for weights in (torch.tensor([3.0, 1.0]), torch.tensor([30.0, 10.0])):
        gradient, _ = answer(PAIR, weights, torch.zeros(2), 0, 0.9)
        expect_close(gradient, torch.tensor([0.45, 0.85]), f"weights {weights.tolist()}: 3/4 [.6, .8] + 1/4 [0, 1]")
        louder, _ = answer(PAIR * torch.tensor([[1.0], [1000.0]]), weights, torch.zeros(2), 0, 0.9)
        expect_close(louder, gradient, "one loss a thousand times larger changes the balance")


def averages_are_norms(answer):
    """The averages follow the Euclidean norms of the gradients: decay times the old, 1 - decay times the new."""
    _, averages = answer(PAIR, torch.tensor([3.0, 1.0]), torch.tensor([1.0, 2.0]), 5, 0.75)
    expect_close(averages, torch.tensor([0.75 + 0.25 * 0.005, 1.5 + 25.0]), "norms 0.005 and 100, averages 1 and 2")


def a_burst_stays_a_burst(answer):
    """What is divided by is the average, not the moment's norm: a gradient that is large for once stays large."""
    usual, burst = torch.tensor([[1.0, 0.0]]), torch.tensor([[2.0, 0.0]])
    sent = _balance_all(answer, [usual] * 20 + [burst], torch.ones(1), 0.99)
    expect(1.5 < sent[-1][0] < 2.0, f"after 20 gradients of norm 1, one of norm 2 is sent as {sent[-1][0]:.2f}")


def balances_as_the_library_does(answer):
    """Over ten steps of random gradients it sends what the library's balancer sends."""
    for M, N, decay in ((2, 6, 0.9), (4, 3, 0.999), (3, 8, 0.5)):
        scales = 10.0 ** torch.randint(-3, 4, (M, 1))
        sequence, weights = [scales * torch.randn(M, N) for _ in range(10)], torch.rand(M) + 0.1
        yours, target = _balance_all(answer, sequence, weights, decay), _library_balance(sequence, weights, decay)
        expect_close(torch.stack(yours), torch.stack(target), f"M {M}, decay {decay}: the gradients differ", 1e-4)


def _balance_transposed(gradients, weights, averages, step, decay):
    gradient, averages = _balance(gradients, weights, averages, step, decay)
    return (weights / weights.sum() / gradients.norm(dim=1))[:, None] * gradients, averages


def _balance_sum(gradients, weights, averages, step, decay):
    averages = decay * averages + (1 - decay) * gradients.norm(dim=1)
    return (weights / weights.sum()) @ gradients, averages


def _balance_unshared(gradients, weights, averages, step, decay):
    averages = decay * averages + (1 - decay) * gradients.norm(dim=1)
    return (weights * (1 - decay ** (step + 1)) / averages) @ gradients, averages


def _balance_biased(gradients, weights, averages, step, decay):
    averages = decay * averages + (1 - decay) * gradients.norm(dim=1)
    return (weights / weights.sum() / averages) @ gradients, averages


def _balance_l1(gradients, weights, averages, step, decay):
    averages = decay * averages + (1 - decay) * gradients.abs().sum(1)
    return (weights / weights.sum() * (1 - decay ** (step + 1)) / averages) @ gradients, averages


def _balance_squared(gradients, weights, averages, step, decay):
    averages = decay * averages + (1 - decay) * gradients.square().sum(1)
    return (weights / weights.sum() / (averages / (1 - decay ** (step + 1))).sqrt()) @ gradients, averages


def _balance_swapped(gradients, weights, averages, step, decay):
    averages = (1 - decay) * averages + decay * gradients.norm(dim=1)
    return (weights / weights.sum() / (averages / (1 - (1 - decay) ** (step + 1)))) @ gradients, averages


def _balance_moment(gradients, weights, averages, step, decay):
    norms = gradients.norm(dim=1)
    return (weights / weights.sum() / norms) @ gradients, decay * averages + (1 - decay) * norms


def _balance_loop(gradients, weights, averages, step, decay):
    total, kept, whole = torch.zeros(gradients.shape[1]), [], float(weights.sum())
    for gradient, weight, average in zip(gradients, weights, averages, strict=True):
        average = average.lerp(gradient.square().sum().sqrt(), 1 - decay)
        total = total + float(weight) / whole * gradient * (1 - decay ** (step + 1)) / average
        kept.append(average)
    return total, torch.stack(kept)


def _balance_einsum(gradients, weights, averages, step, decay):
    norms = torch.einsum("mn,mn->m", gradients, gradients).sqrt()
    averages = averages + (1 - decay) * (norms - averages)
    scale = F.normalize(weights, p=1, dim=0) * (1 - decay ** (step + 1)) / averages
    return torch.einsum("m,mn->n", scale, gradients), averages


def _balance_examples(generator):
    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    return [
        (PAIR.clone(), torch.tensor([3.0, 1.0]), torch.zeros(2), 0, 0.9),
        (normal(3, 4), torch.rand(3, generator=generator), torch.rand(3, generator=generator), 7, 0.9),
    ]


balance = Exercise(
    "balance",
    reference=_balance,
    properties=(
        gives_a_gradient_and_averages,
        weights_are_shares,
        averages_are_norms,
        a_burst_stays_a_burst,
        balances_as_the_library_does,
    ),
    wrong=(
        Wrong(
            _balance_transposed,
            "gives_a_gradient_and_averages",
            "You return one gradient for each loss. They go back as one: add them up.",
        ),
        Wrong(
            _balance_sum,
            "weights_are_shares",
            "That is the plain weighted sum: nothing is divided by the averages, so the loudest loss decides.",
        ),
        Wrong(
            _balance_unshared,
            "weights_are_shares",
            "Your weights do not add up to 1: divide them by their sum, else all of them together set the step.",
        ),
        Wrong(
            _balance_biased,
            "weights_are_shares",
            "The averages begin at 0, so the first ones are much too small. Divide them by 1 - decay^(step + 1).",
        ),
        Wrong(
            _balance_l1,
            "weights_are_shares",
            "You add up absolute values. The norm is Euclidean: the root of the sum of squares.",
        ),
        Wrong(
            _balance_squared,
            "averages_are_norms",
            "You average squared norms and take the root at the end, as Adam does. The balancer averages the norms.",
        ),
        Wrong(
            _balance_swapped,
            "averages_are_norms",
            "decay and 1 - decay are the wrong way round: the old average is kept with `decay`.",
        ),
        Wrong(
            _balance_moment,
            "a_burst_stays_a_burst",
            "You divide by this step's own norm, so every gradient has length 1, even one that hardly matters. "
            "Divide by the moving average.",
        ),
    ),
    right=(_balance_loop, _balance_einsum),
    examples=_balance_examples,
)


EXERCISES = (codebooks_for, window_of_frame, stream_convolution, judge_losses, balance)
seal(__name__)
