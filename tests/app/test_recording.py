"""A recording to go on from: as it is to the model, or refused in one sentence."""

from __future__ import annotations

import pytest
import soundfile
import torch

from helpers.instrument import RATE, Instrument, outcome, recording, request, service


def test_a_recording_reaches_the_model_as_it_is(tmp_path):
    model = Instrument()
    path = recording(tmp_path / "a.wav", 0.8)
    assert list(service(model).run(request(recording=path)))[-1].state == "done"
    sound, rate = soundfile.read(path, dtype="float32")
    assert model.asked[0]["prompt_sample_rate"] == rate == 44100
    assert torch.equal(model.asked[0]["prompt_audio"], torch.from_numpy(sound.T.copy()))


@pytest.mark.parametrize(
    "seconds,wanted,told",
    [
        (2.0, 2.0, "The recording lasts 2.0 s: it must be shorter than 2.0 s"),
        (10.5, 30.0, "The recording lasts 10.5 s: it must be shorter than 10.0 s"),
        (0.01, 2.0, "The recording is too short: it must last at least 0.02 s"),
    ],
)
def test_a_recording_that_leaves_nothing_to_make_is_refused(tmp_path, seconds, wanted, told):
    path = recording(tmp_path / "a.wav", seconds)
    assert outcome(list(service().run(request(recording=path, seconds=wanted)))).startswith(told)


def test_a_file_that_is_no_sound_is_refused(tmp_path):
    silent, text = tmp_path / "empty.wav", tmp_path / "words.wav"
    soundfile.write(silent, torch.zeros(0).numpy(), RATE)
    text.write_text("no sound")
    for path in (silent, text, tmp_path / "missing.wav"):
        assert "holds no sound" in outcome(list(service().run(request(recording=str(path)))))
