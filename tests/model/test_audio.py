"""Reading, writing and resampling: what goes in comes out, and what makes no sense is named."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
import soundfile
import torch

from musicgen_edu.model.audio import (
    chromagram,
    mel_spectrogram,
    read_audio,
    resample,
    sound_length,
    wav_bytes,
    write_audio,
)


def test_audio_round_trip(tmp_path):
    audio = torch.sin(torch.arange(8000) * 2 * torch.pi * 440 / 16000)[None] * 0.5
    write_audio(tmp_path / "tone.wav", audio, 16000)
    read, rate = read_audio(tmp_path / "tone.wav")
    assert rate == 16000
    torch.testing.assert_close(read, audio, atol=1 / 32768, rtol=0)
    half, rate = read_audio(tmp_path / "tone.wav", sample_rate=8000)
    assert (half.shape, rate) == ((1, 4000), 8000)
    expected = torch.sin(torch.arange(4000) * 2 * torch.pi * 440 / 8000) * 0.5
    torch.testing.assert_close(half[0, 200:-200], expected[200:-200], atol=2e-3, rtol=0)
    assert resample(audio, 16000, 16000) is audio
    with pytest.raises(FileNotFoundError, match="no sound file"):
        read_audio(tmp_path / "missing.wav")
    (tmp_path / "text.wav").write_text("this is not a sound")
    with pytest.raises(ValueError, match="cannot be read as audio"):
        read_audio(tmp_path / "text.wav")


def test_stereo_is_kept_or_averaged(tmp_path):
    stereo = torch.stack([torch.full((100,), 0.5), torch.full((100,), -0.25)])
    write_audio(tmp_path / "a.wav", stereo, 8000)
    both, _ = read_audio(tmp_path / "a.wav", mono=False)
    torch.testing.assert_close(both, stereo, atol=1e-4, rtol=0)
    mono, _ = read_audio(tmp_path / "a.wav")
    torch.testing.assert_close(mono, torch.full((1, 100), 0.125), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("audio", "message"),
    [
        (np.zeros(10, dtype=np.int16), "floating point"),
        (torch.tensor([0.0, float("nan")]), "NaN"),
        (torch.zeros(1, 1, 10), r"\[N\] or \[C, N\]"),
    ],
)
def test_what_cannot_be_written_is_named_and_nothing_is_left(tmp_path, audio, message):
    with pytest.raises(ValueError, match=message):
        write_audio(tmp_path / "a.wav", audio, 8000)
    assert list(tmp_path.iterdir()) == []


def test_a_tone_stands_in_its_mel_band_and_its_pitch_class():
    tone = np.sin(np.arange(32000) * 2 * np.pi * 440 / 16000).astype(np.float32)
    mel = mel_spectrogram(tone, 16000)
    assert mel.max() == 0
    import librosa

    centres = librosa.mel_frequencies(n_mels=82, fmax=8000)[1:-1]
    assert abs(centres[mel.mean(1).argmax()] / 440 - 1) < 0.1
    assert (chromagram(tone, 16000).argmax(0) == 9).all()  # A


def test_a_mel_spectrogram_has_a_frame_each_quarter_of_a_window():
    for window in (512, 1024):
        assert mel_spectrogram(torch.rand(1, 16000), 16000, bands=20, window=window).shape == (
            20,
            1 + 16000 // (window // 4),
        )


TONE = 0.3 * np.sin(np.arange(8000) * 2 * np.pi * 440 / 16000)  # [N]


@pytest.mark.parametrize("scale", [127, 32767, 8388607, 2**31 - 1, 1e30])
@pytest.mark.parametrize("subtype", ["FLOAT", "DOUBLE"])
def test_integers_written_as_floats_are_no_sound(tmp_path, scale, subtype):
    soundfile.write(tmp_path / "a.wav", TONE * scale, 16000, subtype=subtype)
    with pytest.raises(ValueError, match=r"a\.wav reaches .* but sound is in \[-1, 1\]: divide integers"):
        read_audio(tmp_path / "a.wav", 8000)
    if scale > 127:
        with pytest.raises(ValueError, match="audio reaches"):
            write_audio(tmp_path / "b.wav", TONE * scale, 16000)


@pytest.mark.parametrize("scale", [1.0, 2.0, 12.0])
def test_a_file_of_floats_may_go_beyond_its_full_scale(tmp_path, scale):
    soundfile.write(tmp_path / "a.wav", TONE * scale, 16000, subtype="FLOAT")
    torch.testing.assert_close(read_audio(tmp_path / "a.wav")[0][0], torch.from_numpy(np.float32(TONE * scale)))


SOUNDS = {
    "bfloat16": torch.from_numpy(TONE).bfloat16(),
    "float16": TONE.astype(np.float16),
    "gradient": torch.from_numpy(TONE).requires_grad_(),
    "list": TONE.tolist(),
    "backwards": TONE[::-1],
    "other byte order": TONE.astype(">f8"),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_sound_in_any_form_is_written_and_resampled(tmp_path, name):
    sound = SOUNDS[name]
    expected = np.float32(sound.detach().float() if isinstance(sound, torch.Tensor) else sound)
    write_audio(tmp_path / "a.wav", sound, np.int64(16000))
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[0][0], expected, atol=1 / 32768)
    half = resample(sound, np.int32(16000), 8000)
    np.testing.assert_allclose(half.float(), resample(torch.from_numpy(expected), 16000, 8000), atol=2e-3)


@pytest.mark.parametrize(
    ("audio", "rate", "message"),
    [
        (TONE[:, None].repeat(2, 1), 16000, "audio must have its channels first"),
        (TONE, 0, "sample_rate must be at least 1 Hz"),
        (TONE, -5, "sample_rate must be at least 1 Hz"),
        (TONE, 16000.5, "sample_rate must be a whole number"),
        (TONE, True, "sample_rate must be a whole number, not True"),
        (TONE, "16000", "sample_rate must be a whole number"),
        (np.zeros((9, 100)), 16000, "9 channels at 16000 Hz cannot be written as FLAC"),
        ("a.wav", 16000, "audio must be a tensor, an array or a list of numbers"),
        (None, 16000, "audio must be a tensor"),
        ([[0.1, 0.2], [0.3]], 16000, "audio must hold sounds of one length"),
        (TONE * 1j, 16000, "audio must be floating point"),
    ],
)
def test_what_is_no_sound_is_one_sentence(tmp_path, audio, rate, message):
    with pytest.raises(ValueError, match=message) as caught:
        write_audio(tmp_path / "a.flac", audio, rate)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["x.raw", "x.RAW", "x.wav", "x"])
def test_a_file_without_a_header_is_no_audio(tmp_path, name):
    (tmp_path / name).write_bytes(bytes(2000))
    for read in (read_audio, sound_length):
        with pytest.raises(ValueError, match="cannot be read as audio"):
            read(tmp_path / name)


@pytest.mark.parametrize("name", ["音乐.wav", os.fsdecode(b"caf\xe9.wav"), "[a]*?.wav"])
def test_sounds_of_any_name_are_read(tmp_path, name):
    write_audio(tmp_path / name, TONE, 16000)
    assert read_audio(tmp_path / name)[0].shape == (1, 8000)
    assert sound_length(tmp_path / name) == (8000, 16000)


def test_a_header_that_lies_about_the_length_costs_no_memory(tmp_path, monkeypatch):
    """A FLAC file says in 36 bits how many samples it has; what is not there is not made room for."""
    path = tmp_path / "a.flac"
    soundfile.write(path, TONE, 16000)
    content = bytearray(path.read_bytes())
    content[21] |= 0x0F  # the first of these bits
    path.write_bytes(content)
    assert sound_length(path)[0] > 2**35
    largest, real = [], np.empty
    monkeypatch.setattr(np, "empty", lambda shape, *a, **k: (largest.append(np.prod(shape)), real(shape, *a, **k))[1])
    with suppress(ValueError):
        read_audio(path)
    assert max(largest) <= 1 << 22


@pytest.mark.parametrize("audio", [torch.tensor(1.0), torch.tensor([0.1, float("nan")]), torch.tensor([float("inf")])])
def test_what_is_resampled_is_finite(audio):
    with pytest.raises(ValueError, match=r"must be .* finite to be resampled"):
        resample(audio, 800, 1600)


@pytest.mark.parametrize(
    ("rate", "new_rate"),
    [(1, 2**31), (2**64, 800), (800, 2**64), (10**7, 8000), (0, 16000), (16000, -1), (1.5, 16000), (16000, True)],
)
def test_resampling_to_nonsense_is_one_sentence(rate, new_rate):
    with pytest.raises(ValueError, match=r"at least 1 Hz|whole number|would be too long"):
        resample(torch.from_numpy(TONE), rate, new_rate)


def test_where_nothing_can_be_written_numba_gets_a_folder_of_its_own_until_the_end():
    """numba keeps what it compiles beside librosa or in ~/.cache; without either librosa cannot be imported."""
    code = """
import os
os.access = lambda *anything: False
from musicgen_edu.model.audio import load_librosa
print(load_librosa().resample.__name__, os.environ["NUMBA_CACHE_DIR"], os.path.isdir(os.environ["NUMBA_CACHE_DIR"]))
"""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
    told = subprocess.check_output([sys.executable, "-c", code], text=True, env=environment).split()
    assert (told[0], told[2]) == ("resample", "True")
    assert not os.path.exists(told[1])


def test_wav_bytes_are_what_a_file_would_hold(tmp_path):
    write_audio(tmp_path / "a.wav", TONE, 16000)
    assert wav_bytes(TONE, 16000) == (tmp_path / "a.wav").read_bytes()
