"""Streamed decoding: the pieces joined are the whole, whatever the pieces; cost and memory do not grow."""

import random

import pytest
import torch

from musicgen_edu.model.encodec import EncodecConfig, EncodecModel
from musicgen_edu.model.streaming import StreamingDecoder

SIZES = {"num_filters": 4, "hidden_size": 8, "codebook_size": 16, "num_lstm_layers": 1}
CONFIGS = {
    "published form": EncodecConfig(**SIZES),
    "other ratios": EncodecConfig(**SIZES, upsampling_ratios=(5, 2, 3)),
    "stereo": EncodecConfig(**SIZES, audio_channels=2, upsampling_ratios=(4, 4)),
    "causal": EncodecConfig(**SIZES, use_causal_conv=True, upsampling_ratios=(5, 4)),
    "causal, trimmed at both ends": EncodecConfig(
        **SIZES, use_causal_conv=True, trim_right_ratio=0.5, upsampling_ratios=(6, 2)
    ),
    "zeros at the ends": EncodecConfig(**SIZES, pad_mode="constant", upsampling_ratios=(3, 4)),
    "more residual blocks": EncodecConfig(
        **SIZES, num_residual_layers=2, use_conv_shortcut=True, upsampling_ratios=(4, 2)
    ),
    "other kernels": EncodecConfig(**SIZES, last_kernel_size=9, kernel_size=3, upsampling_ratios=(4,)),
}


def build(config: EncodecConfig) -> EncodecModel:
    """A codec with random weights, its codebooks too."""
    torch.manual_seed(0)
    codec = EncodecModel(config).eval()
    for layer in codec.quantizer.layers:
        layer.embed.normal_()
    return codec


def streamed(codec: EncodecModel, codes: torch.Tensor, pieces: list[int], last_in_push: bool = True) -> torch.Tensor:
    """Codes [B, K, T] decoded in pieces of so many frames."""
    decoder, audio = StreamingDecoder(codec), []
    parts = codes.split(pieces, -1)
    for i, part in enumerate(parts):
        audio.append(decoder.push(part, last=last_in_push and i == len(parts) - 1))
    if not last_in_push:
        audio.append(decoder.finish(len(codes)))
    return torch.cat(audio, -1)


def random_pieces(frames: int) -> list[int]:
    """Lengths that sum to frames; some are 0."""
    pieces = []
    while sum(pieces) < frames:
        pieces.append(min(random.choice((0, 1, 1, 2, 3, 7, 20)), frames - sum(pieces)))
    return pieces


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 9, 40])
def test_pieces_joined_are_the_whole(name: str, frames: int) -> None:
    random.seed(frames)
    codec = build(CONFIGS[name])
    codes = torch.randint(16, (2, 4, frames))
    whole = codec.decode(codes)
    for pieces in ([frames], [1] * frames, *(random_pieces(frames) for _ in range(4))):
        for last_in_push in (True, False):
            joined = streamed(codec, codes, pieces, last_in_push)
            assert joined.shape == whole.shape, pieces
            torch.testing.assert_close(joined, whole, rtol=0, atol=1e-5 * float(whole.abs().max()), msg=str(pieces))


@pytest.mark.parametrize("name", ["published form", "other ratios", "causal", "more residual blocks"])
def test_a_sample_comes_as_soon_as_no_later_code_can_change_it(name: str) -> None:
    codec = build(CONFIGS[name]).double()  # so that no small change is lost in rounding
    codes = torch.randint(16, (1, 4, 24))
    decoder, given = StreamingDecoder(codec), 0
    for t in range(1, 24):
        given += decoder.push(codes[..., t - 1 : t]).shape[-1]
        other = codes.clone()
        other[..., t:] = (other[..., t:] + 1 + torch.randint(15, other[..., t:].shape)) % 16
        changed = (codec.decode(codes) != codec.decode(other))[0].any(0).nonzero()
        assert given == int(changed[0]), f"after {t} frames"


def test_the_published_sizes_look_2402_samples_ahead() -> None:
    codec = build(EncodecConfig(num_filters=4, hidden_size=8, codebook_size=16, num_lstm_layers=1))
    decoder = StreamingDecoder(codec)
    given = sum(decoder.push(torch.randint(16, (1, 4, 1))).shape[-1] for _ in range(30))
    assert given == 30 * 640 - 2402


@pytest.mark.parametrize("name", CONFIGS)
def test_frames_for_is_exact(name: str) -> None:
    """With so many frames the samples are there, with one less they are not."""
    codec = build(CONFIGS[name])
    decoder, given = StreamingDecoder(codec), [0]
    for _ in range(12):
        given.append(given[-1] + decoder.push(torch.randint(16, (1, 4, 1))).shape[-1])
    for samples in range(1, given[-1], max(1, given[-1] // 97)):
        frames = decoder.frames_for(samples)
        assert given[frames - 1] < samples <= given[frames]


def held(decoder: StreamingDecoder) -> int:
    """Numbers that a stream keeps for later."""

    def tensors(thing) -> list[torch.Tensor]:
        if isinstance(thing, torch.Tensor):
            return [thing]
        if isinstance(thing, (list, tuple)):
            return [t for part in thing for t in tensors(part)]
        if hasattr(thing, "__dict__") and not isinstance(thing, torch.nn.Module):
            return tensors(list(vars(thing).values()))
        return []

    return sum(t.untyped_storage().nbytes() for t in tensors(decoder.stages))


def test_memory_does_not_grow() -> None:
    decoder = StreamingDecoder(build(CONFIGS["published form"]))
    sizes = []
    for _ in range(60):
        decoder.push(torch.randint(16, (1, 4, 7)))
        sizes.append(held(decoder))
    assert max(sizes[5:]) == sizes[5]


def test_two_streams_of_one_codec_do_not_meet() -> None:
    codec = build(CONFIGS["published form"])
    codes = torch.randint(16, (2, 1, 4, 20))
    streams = [StreamingDecoder(codec) for _ in range(2)]
    audio = [[], []]
    for t in range(20):
        for i in range(2):
            audio[i].append(streams[i].push(codes[i][..., t : t + 1], last=t == 19))
    for i in range(2):
        torch.testing.assert_close(torch.cat(audio[i], -1), codec.decode(codes[i]), rtol=0, atol=1e-5)


def test_what_makes_no_sense_is_named() -> None:
    decoder = StreamingDecoder(build(CONFIGS["published form"]))
    with pytest.raises(ValueError, match="0 to 15"):
        decoder.push(torch.full((1, 4, 2), 16))
    with pytest.raises(ValueError, match=r"\[B, K, n\]"):
        decoder.push(torch.zeros(4, 2, dtype=torch.int64))
    decoder.push(torch.zeros(1, 4, 2, dtype=torch.int64), last=True)
    with pytest.raises(ValueError, match="has ended"):
        decoder.push(torch.zeros(1, 4, 2, dtype=torch.int64))
