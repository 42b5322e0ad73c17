"""A player holds its sound, its caption and its spectrogram."""

import base64
import io
import re

import numpy as np
import soundfile
import torch

from musicgen_edu import figures
from musicgen_edu.figures.players import frequency_ticks, player_html


def test_a_player_holds_its_sound_and_escapes_its_caption():
    audio = torch.linspace(-0.5, 0.5, 800)
    page = player_html(audio, 8000, 'bells & "drums" <now>')
    assert "bells &amp; &quot;drums&quot; &lt;now&gt;" in page
    assert "<now>" not in page
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(re.search(r"audio/wav;base64,([^\"]+)", page)[1])))
    assert rate == 8000
    assert np.abs(samples - audio.numpy()).max() < 1e-4
    assert "data:image/png;base64," in page
    assert "data:image/png" not in player_html(audio, 8000, spectrogram=False)


def test_players_side_by_side_have_their_captions():
    side = figures.side_by_side({"one & two": torch.zeros(1, 8000), "three": torch.zeros(1, 8000)}, 16000).data
    assert side.count("<audio") == 2
    assert "one &amp; two" in side


def test_frequencies_lie_upwards_within_the_bands_and_below_half_the_sample_rate():
    hertz, places = zip(*frequency_ticks(8000, 80), strict=True)
    assert hertz == (200, 500, 1000, 2000)
    assert min(places) > 0
    assert max(places) < 80
    assert list(places) == sorted(places)
