"""The table of what a codec can do: its clips are held out and fixed, and its measures move the right way."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from musicgen_edu.checkpoints.load import read_codec
from musicgen_edu.data.procedural import make_clips, sounds_of
from musicgen_edu.experiments.codec_report import HELD_OUT_SEED, codec_table, music_clips, procedural_clips
from musicgen_edu.experiments.tiny import report, train


def test_the_set_is_that_of_the_tiny_report_and_of_no_training():
    assert HELD_OUT_SEED not in (train.CODEC_TRAINING.seed, train.CLIP_SEED, train.TEXT_SEED)
    assert len({HELD_OUT_SEED, report.CAPTION_SEED, report.PROBE_SEED}) == 3
    assert torch.equal(procedural_clips(2, 8.0, 16000), sounds_of(make_clips(HELD_OUT_SEED, 2, report.FRAMES)))


def test_recordings_are_drawn_the_same_each_time_without_the_silent_ones(tmp_path):
    rng = np.random.default_rng(0)
    soundfile.write(tmp_path / "noise.wav", 0.1 * rng.standard_normal(60000), 16000)
    soundfile.write(tmp_path / "silence.wav", np.zeros(60000), 16000)
    clips = music_clips(tmp_path, 20, 0.5, 16000)
    assert 3 < len(clips) < 17
    assert torch.equal(clips, music_clips(tmp_path, 20, 0.5, 16000))
    assert clips.shape[1] == 8000
    (tmp_path / "noise.wav").unlink()
    with pytest.raises(ValueError, match=r"all clips drawn from .* are silent"):
        music_clips(tmp_path, 20, 0.5, 16000)


def test_the_table_has_a_row_for_each_codebook():
    lines = codec_table(read_codec("tiny"), procedural_clips(1, 1.0, 16000)).splitlines()
    assert len(lines) == 2 + 4
    assert len({line.count("|") for line in lines}) == 1
    assert lines[2].startswith("| 1 | 0.5 | ")
