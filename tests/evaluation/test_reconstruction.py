"""A codec's way to codes and back, measured: the more codebooks the better."""

from __future__ import annotations

import pytest
import torch

from musicgen_edu.checkpoints.load import read_codec
from musicgen_edu.evaluation.reconstruction import codec_measures, decoded, encoded
from musicgen_edu.experiments.codec_report import procedural_clips


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


def test_a_few_at_a_time_are_all_of_them():
    codec, audio = read_codec("tiny"), procedural_clips(5, 0.5, 16000)
    codes = encoded(codec, audio, batch=2)
    assert torch.equal(codes, codec.encode(audio[:, None]))
    torch.testing.assert_close(decoded(codec, codes.short(), batch=3), codec.decode(codes)[:, 0])
