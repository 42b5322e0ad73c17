"""Segments from a folder of sound files: reproducible, of the right sound, and clear about what is broken."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import soundfile
import torch

from musicgen_edu.data.audio_folder import file_segments, sound_files

RATE = 8000


def write(path, seconds, rate=RATE, value=0.25, channels=1, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full((round(seconds * rate), channels), value, dtype=np.float32), rate, **options)


@pytest.fixture
def folder(tmp_path):
    """A ramp, so that a segment tells from where it was cut, beside other sounds in other folders."""
    ramp = np.arange(2 * RATE) / (2 * RATE)
    soundfile.write(tmp_path / "ramp.wav", ramp, RATE, subtype="FLOAT")
    write(tmp_path / "deep" / "deeper" / "LOUD.FLAC", 1.0, value=0.5)
    (tmp_path / "cover.jpg").write_bytes(b"no sound")
    return tmp_path


def test_batches_are_segments_of_the_files_in_an_order_that_can_be_entered_anywhere(folder):
    batches = list(itertools.islice(file_segments(sound_files(folder), RATE, 6, 400, seed=7), 4))
    for batch in batches:
        assert batch.shape == (6, 1, 400)
        assert batch.dtype == torch.float32
    for segment in torch.cat(batches)[:, 0]:
        step = segment.diff()
        loud = (segment - 0.5).abs().max() < 1e-4
        assert loud or torch.allclose(step, torch.full_like(step, 1 / (2 * RATE)), atol=1e-6)
    assert torch.equal(next(file_segments(sound_files(folder), RATE, 6, 400, seed=7, start=3)), batches[3])
    assert not torch.equal(batches[0], batches[1])
    assert not torch.equal(next(file_segments(sound_files(folder), RATE, 6, 400, seed=8)), batches[0])


def test_a_second_of_any_file_is_as_likely_as_another(folder):
    segments = torch.cat(list(itertools.islice(file_segments(sound_files(folder), RATE, 50, 80, seed=0), 8)))[:, 0]
    ramp = segments[(segments - 0.5).abs().amax(1) > 1e-4]
    assert len(ramp) / len(segments) == pytest.approx(2 / 3, abs=0.08)
    starts = ramp[:, 0]
    assert starts.min() < 0.05
    assert starts.max() > 0.94  # every place of the file, up to its end
    assert starts.mean().item() == pytest.approx(0.5, abs=0.06)


def test_channels_are_averaged_and_rates_are_converted(tmp_path):
    time = np.arange(44100) / 44100
    left = 0.5 * np.sin(2 * np.pi * 440 * time)
    soundfile.write(tmp_path / "a.wav", np.stack([left, np.zeros_like(left)], 1), 44100)
    segment = next(file_segments(sound_files(tmp_path), RATE, 1, RATE // 2, seed=0))[0, 0]
    spectrum = torch.fft.rfft(segment).abs()
    assert spectrum.argmax().item() * 2 == 440  # bins of 2 Hz
    assert segment[200:-200].abs().max().item() == pytest.approx(0.25, abs=0.01)
    assert segment[-200:].abs().max() > 0.2  # enough was read: no silence at the end


def test_a_file_shorter_than_a_segment_is_filled_up_with_silence(tmp_path):
    write(tmp_path / "short.wav", 0.1)
    segment = next(file_segments(sound_files(tmp_path), RATE, 1, 1600, seed=0))[0, 0]
    torch.testing.assert_close(segment[:800], torch.full((800,), 0.25))
    assert segment[800:].abs().max() == 0


def test_broken_files_are_named_and_left_out(folder):
    (folder / "broken.wav").write_bytes(b"RIFF of nothing")
    write(folder / "empty.wav", 0)
    told = []
    assert [file.path.name for file in sound_files(folder, told.append)] == ["LOUD.FLAC", "ramp.wav"]
    assert len(told) == 2
    assert "broken.wav cannot be read as audio" in told[0]
    assert "empty.wav holds no samples" in told[1]


@pytest.mark.parametrize("rate", [RATE, 2 * RATE])  # resampled or not
def test_a_file_that_breaks_later_is_named_once_and_another_is_drawn(folder, rate):
    soundfile.write(folder / "nan.wav", np.full(8 * rate, np.nan), rate, subtype="FLOAT")
    told = []
    batch = next(file_segments(sound_files(folder, told.append), RATE, 20, 100, seed=1, tell=told.append))
    assert torch.isfinite(batch).all()
    assert len(told) == 1
    assert "nan.wav contains NaN" in told[0]
    files = [file for file in sound_files(folder) if file.path.name == "nan.wav"]
    with pytest.raises(ValueError, match=r"100 segments in a row could not be read; the last file was .*nan\.wav"):
        next(file_segments(files, RATE, 1, 100, seed=1, tell=told.append))


def test_a_folder_without_sound_is_a_clear_mistake(tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder at"):
        sound_files(tmp_path / "missing")
    with pytest.raises(ValueError, match=r"holds no sound files \(looked for .wav"):
        sound_files(tmp_path)
    (tmp_path / "a.ogg").write_text("no sound")
    (tmp_path / "b.wav").write_text("no sound")
    with pytest.raises(ValueError, match=r"none of the 2 sound files in .* can be read: .*a\.ogg"):
        sound_files(tmp_path)
    with pytest.raises(ValueError, match="is a file, not a folder"):
        sound_files(tmp_path / "a.ogg")


def test_sound_in_formats_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "song.M4A").write_bytes(bytes(2000))
    said = r"1 of a format that cannot be read, to be converted to WAV or FLAC first: song\.M4A"
    with pytest.raises(ValueError, match=rf"holds no sound files \(looked for .*\); {said}"):
        sound_files(tmp_path)
    write(tmp_path / "a.wav", 1.0)
    told = []
    assert [file.path.name for file in sound_files(tmp_path, told.append)] == ["a.wav"]
    assert len(told) == 1
    assert "song.M4A" in told[0]
