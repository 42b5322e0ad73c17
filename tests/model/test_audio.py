"""Reading, writing and resampling: what goes in comes out, and what makes no sense is named."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from musicgen_edu.model.audio import chromagram, mel_spectrogram, read_audio, resample, write_audio


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
