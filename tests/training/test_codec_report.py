"""The table of what a codec can do: its clips are held out and fixed, and its measures move the right way."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch

from musicgen_edu.checkpoints.load import read_codec
from musicgen_edu.experiments.tiny import report as tiny_report
from musicgen_edu.experiments.tiny import train as tiny
from musicgen_edu.training import codec_report
from musicgen_edu.training.codec_report import codec_measures, codec_table, music_clips, procedural_clips


def test_more_codebooks_measure_better_on_held_out_music():
    audio = procedural_clips(3, 2.0, 16000)
    assert audio.shape == (3, 32000)
    rows = codec_measures(read_codec("tiny"), audio)
    assert [row["codebooks"] for row in rows] == [1, 2, 3, 4]
    assert rows[-1]["kbit/s"] == pytest.approx(2.0)
    assert rows[-1]["SI-SDR median"] > rows[0]["SI-SDR median"] + 3
    assert rows[-1]["chroma"] > rows[0]["chroma"] > 0.9
    assert rows[-1]["log-mel"] < rows[0]["log-mel"]
    for row in rows:
        assert 20 < row["perplexity"] <= 300  # as many as there are frames, at the most


def test_the_set_is_that_of_the_tiny_report_and_of_no_training():
    assert codec_report.HELD_OUT_SEED == tiny_report.CODEC_SEED
    assert codec_report.HELD_OUT_SEED not in (tiny.CODEC_TRAINING.seed, tiny.CLIP_SEED, tiny.TEXT_SEED)
    np.testing.assert_array_equal(
        procedural_clips(2, 8.0, 16000), tiny_report.stacked(tiny_report.clips_of(11, 2))[:, 0]
    )


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
