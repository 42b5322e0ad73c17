"""EnCodec against `transformers`, and what must be true of it by itself."""

from __future__ import annotations

import pytest
import torch

from helpers.judges import PUBLISHED_CODEC, our_codec, their_codec
from musicgen_edu.model.encodec import EncodecConfig, EncodecModel

HOP = 16  # of the small codec


def assert_equal_codecs(theirs, ours, audio, mask=None):
    with torch.no_grad():
        expected = theirs.encode(audio, mask)
        codes = ours.encode(audio if mask is None else audio * mask)
        assert torch.equal(codes, expected.audio_codes[0])
        sound = theirs.decode(expected.audio_codes, expected.audio_scales).audio_values
        torch.testing.assert_close(ours.decode(codes), sound, atol=1e-5, rtol=0)
    return codes


@pytest.fixture(scope="module")
def published():
    """The 32 kHz configuration at full width, random weights, in both implementations."""
    torch.manual_seed(0)
    theirs = their_codec(**PUBLISHED_CODEC, hidden_size=128, num_lstm_layers=2)
    return theirs, our_codec(theirs)


def test_published_configuration_at_full_width(published):
    theirs, ours = published
    assert ours.config == EncodecConfig()
    codes = assert_equal_codecs(theirs, ours, torch.randn(1, 1, 32000 + 123) * 0.3)
    assert codes.shape == (1, 4, 51)
    assert len(codes.unique()) > 20  # codes that never change would make the comparison empty


def test_published_configuration_by_the_numbers(published):
    config = published[1].config
    assert config.hop_length == 640
    assert config.frame_rate == 50
    assert config.bandwidth == 2.2
    trainable = sum(p.numel() for p in published[1].parameters())
    assert round(trainable / 1e6, 2) == 56.88


SMALL = {
    "as published": {},
    "causal": {"use_causal_conv": True},
    "causal, trimmed on both sides": {"use_causal_conv": True, "trim_right_ratio": 0.5},
    "with a convolution as shortcut": {"use_conv_shortcut": True},
    "odd strides": {"upsampling_ratios": [5, 3], "sampling_rate": 750},
    "more residual layers": {"num_residual_layers": 3, "dilation_growth_rate": 3},
    "padded with zeros": {"pad_mode": "constant"},
    "eight codebooks": {"target_bandwidths": [1.6]},
}


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("samples", [1, 2, HOP - 1, HOP, HOP + 1, 333, 800])
def test_small_configurations_at_awkward_lengths(name, samples):
    theirs = their_codec(**SMALL[name])
    ours = our_codec(theirs)
    codes = assert_equal_codecs(theirs, ours, torch.randn(2, 1, samples) * 0.3)
    assert codes.shape[2] == -(-samples // ours.config.hop_length)
    assert ours.decode(codes).shape[2] == codes.shape[2] * ours.config.hop_length


def test_stereo_in_one_model():
    theirs = their_codec(audio_channels=2)
    assert_equal_codecs(theirs, our_codec(theirs), torch.randn(2, 2, 500) * 0.3)


def test_padding_is_silence_to_transformers():
    theirs = their_codec()
    ours = our_codec(theirs)
    audio, lengths = torch.randn(3, 1, 400), torch.tensor([400, 123, 5])
    mask = (torch.arange(400) < lengths[:, None])[:, None]
    codes = assert_equal_codecs(theirs, ours, audio, mask)
    assert torch.equal(codes, ours.encode(audio, lengths=lengths))
    assert not torch.equal(codes, ours.encode(audio))  # what stands there is heard otherwise


def test_codes_of_fewer_codebooks_are_the_first_rows():
    codec = our_codec(their_codec())
    audio = torch.randn(1, 1, 300)
    assert torch.equal(codec.encode(audio, num_codebooks=2), codec.encode(audio)[:, :2])
    assert codec.decode(codec.encode(audio)[:, :2]).shape == codec.decode(codec.encode(audio)).shape


def test_training_pass_reaches_every_weight():
    codec = EncodecModel(
        EncodecConfig(num_filters=4, upsampling_ratios=(4, 2), hidden_size=8, codebook_size=16)
    ).train()
    audio = torch.randn(2, 1, 101)
    made, codes, commitment = codec(audio)
    assert made.shape == audio.shape
    assert codes.shape == (2, 4, 13)
    ((made - audio).square().mean() + commitment).backward()
    for name, parameter in codec.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (torch.full((1, 1, 50), float("nan")), "NaN"),
        (torch.full((1, 1, 50), float("inf")), "infinite"),
        (torch.zeros(1, 1, 50, dtype=torch.int16), "floating point"),
        (torch.zeros(1, 2, 50), "C = 1, not 2"),
        (torch.zeros(50), r"\[B, C, N\]"),
        (torch.zeros(1, 1, 0), "no samples"),
    ],
)
def test_bad_audio_is_named(audio, message):
    with pytest.raises(ValueError, match=message):
        our_codec(their_codec()).encode(audio)


@pytest.mark.parametrize("count", [0, 5, -1, 2.0, True, "2", [1], torch.tensor([1, 2])])
def test_a_number_of_codebooks_that_is_none_is_named(count):
    codec = our_codec(their_codec())
    with pytest.raises(ValueError, match=r"number of codebooks K must be 1 to 4, not "):
        codec.encode(torch.randn(1, 1, 50), count)


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        ([100], r"a list of 2, one for each clip, but its shape is \[1\]"),
        ([100, 100, 100], r"a list of 2, .* \[3\]"),
        (100, r"a list of 2, .* \[\]"),
        ([[100, 100]], r"a list of 2, .* \[1, 2\]"),
        ([100, 0], r"1 to 200 samples, not \[100, 0\]"),
        ([100, -1], "1 to 200 samples"),
        ([100, 201], "1 to 200 samples"),
        ([100.0, 20.5], "whole numbers of samples, not float32"),
        ([True, True], "whole numbers of samples, not bool"),
    ],
)
def test_lengths_that_are_not_those_of_the_batch_are_named(lengths, message):
    codec, audio = our_codec(their_codec()), torch.randn(2, 1, 200)
    with pytest.raises(ValueError, match=f"lengths must be {message}"):
        codec.encode(audio, lengths=lengths)
    with pytest.raises(ValueError, match=f"lengths must be {message}"):
        codec.encode(audio, lengths=torch.tensor(lengths))


def test_sound_and_codes_as_people_have_them():
    codec = our_codec(their_codec())
    audio = torch.randn(1, 1, 100) * 0.1
    codes = codec.encode(audio)
    for same in (audio.double(), audio.numpy(), audio.numpy().astype("float64"), audio.tolist()):
        assert torch.equal(codec.encode(same), codes)
    assert codec.encode(audio.half()).shape == codes.shape
    for same in (codes.int(), codes.numpy()):
        assert torch.equal(codec.decode(same), codec.decode(codes))
    for strange in (None, 5, "x.wav", [1, 2], {}):
        with pytest.raises(ValueError, match="audio must"):
            codec.encode(strange)
        with pytest.raises(ValueError, match=r"codes must be a tensor \[B, K, T\], not"):
            codec.decode(strange)


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (torch.zeros(1, 4, 0, dtype=torch.int64), r"hold no frame to decode: their shape is \[1, 4, 0\]"),
        (torch.zeros(0, 4, 3, dtype=torch.int64), r"hold no frame to decode: their shape is \[0, 4, 3\]"),
        (torch.zeros(1, 0, 3, dtype=torch.int64), r"hold no frame to decode: their shape is \[1, 0, 3\]"),
        (torch.zeros(1, 4, 3), "must be int64, not float32"),
        (torch.zeros(1, 4, 3, dtype=torch.bool), "must be int64, not bool"),
        (torch.zeros(1, 4, 3, dtype=torch.complex64), "must be int64, not complex64"),
        (torch.zeros(1, 5, 3, dtype=torch.int64), "must be 1 to 4, not 5"),
        (torch.zeros(4, 3, dtype=torch.int64), r"must have shape \[B, K, T\]"),
    ],
)
def test_bad_codes_are_named(codes, message):
    with pytest.raises(ValueError, match=message):
        our_codec(their_codec()).decode(codes)


@pytest.mark.parametrize("code", [-1, 16])
def test_a_code_outside_the_codebook_is_named(code):
    with pytest.raises(ValueError, match="codes must be 0 to 15"):
        our_codec(their_codec()).decode(torch.full((1, 4, 3), code))
