"""What a half-written table sounds like."""

from __future__ import annotations

import pytest
import torch

from musicgen_edu.widgets.pattern_explorer import PatternSound
from musicgen_edu.widgets.pattern_explorer.sound import FRAMES


def test_a_code_counts_once_those_above_it_are_known(sound):
    known = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 1], [1, 0, 1, 1]]).bool()
    assert sound.counts(known).tolist() == [4, 2, 1, 0]


def test_each_column_is_decoded_with_the_codebooks_that_count(sound):
    counts = torch.tensor([4, 2, 0, 1])
    audio = sound.audio(counts)
    width = sound.samples
    assert audio.shape == (4 * width,)
    for t, n in enumerate(counts.tolist()):
        inside = slice(t * width + 100, (t + 1) * width - 100)
        assert torch.allclose(audio[inside], sound.clips[n][inside], atol=1e-6)
    assert audio.diff().abs().max() < 0.12, "a seam clicks"


def test_too_short_a_clip_is_refused():
    with pytest.raises(ValueError, match="24 columns of 5 frames need 120 frames, not 60"):
        PatternSound(None, torch.zeros(4, 60, dtype=torch.int64), 24)


def test_a_column_lasts_five_frames_of_the_codec(sound):
    assert sound.samples == FRAMES * 320
    assert sound.clips.shape == (5, 24 * sound.samples)


def test_the_spectrogram_is_put_together_column_by_column(sound):
    whole = [sound.shades(torch.full((24,), n)) for n in range(5)]
    cells = whole[0].shape[1] // 24
    shades = sound.shades(torch.tensor([4, 0, 2]))
    assert shades.shape == (len(whole[0]), 3 * cells)
    for t, n in enumerate((4, 0, 2)):
        assert (shades[:, t * cells : (t + 1) * cells] == whole[n][:, t * cells : (t + 1) * cells]).all()
    assert not whole[0].any(), "silence is black"
    assert whole[4].max() == 1
