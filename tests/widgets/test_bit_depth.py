"""The bit-depth and sample-rate listener of lesson 01, driven from code."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import asdict

import numpy as np
import pytest
import soundfile

from helpers.panels import controls_of, seconds_of_a_move, set_value
from musicgen_edu.widgets.bit_depth import BitDepthPanel, Listener, Settings, picture, still

RATE = 16000
TIME = np.arange(3 * RATE) / RATE
# A low tone that gets quieter, and one that only 8000 samples a second and more can hold.
CLIPS = {
    "low": (0.8 * np.exp(-TIME) * np.sin(2 * np.pi * 300 * TIME)).astype(np.float32),
    "low & <high>": (0.4 * np.sin(2 * np.pi * 300 * TIME) + 0.3 * np.sin(2 * np.pi * 3000 * TIME)).astype(np.float32),
}


@pytest.fixture
def panel() -> BitDepthPanel:
    return BitDepthPanel(CLIPS, RATE)


def heard(page: str) -> np.ndarray:
    (source,) = re.findall(r'src="data:audio/wav;base64,([^"]+)"', page)
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(source)))
    assert rate == RATE
    return samples


def strongest(audio: np.ndarray) -> int:
    """Hz, below which nothing is counted that is under 1000."""
    spectrum = np.abs(np.fft.rfft(audio[:RATE]))
    return int(spectrum[1000:].argmax()) + 1000


def test_the_default_state_can_be_read(panel):
    lines = panel.state_text().splitlines()
    assert lines[0] == "settings: low, 4 bits linear, 16000 Hz, level 0 dB"
    assert lines[1] == "stored:   16 levels, 64 kbit/s; the clip itself has 256"
    assert re.fullmatch(r"error:    signal-to-noise ratio \d+\.\d dB", lines[2])


@pytest.mark.parametrize(
    ("control", "value", "told"),
    [
        ("clip", "low & <high>", "low & <high>,"),
        ("bits", 3, "3 bits"),
        ("law", "mu-law", "mu-law,"),
        ("sample_rate", 4000, "4000 Hz,"),
        ("level", -24, "level -24 dB"),
    ],
)
def test_each_control_changes_its_setting_the_text_the_picture_and_the_sound(panel, control, value, told):
    settings, text, picture, status = (
        panel.listener.settings,
        panel.state_text(),
        panel.picture.value,
        panel.words.value,
    )
    sound = heard(panel.after.value)
    getattr(panel, control).value = value
    assert asdict(panel.listener.settings) == asdict(settings) | {control: value}
    assert told in panel.state_text().splitlines()[0]
    assert panel.state_text() != text
    assert panel.picture.value != picture
    assert panel.words.value != status
    assert not np.array_equal(heard(panel.after.value), sound)


def test_without_the_filter_a_high_tone_comes_back_mirrored(panel):
    panel.clip.value = "low & <high>"
    panel.bits.value, panel.sample_rate.value = 16, 4000
    filtered = panel.listener.signal_to_noise, panel.picture.value, panel.after.value
    assert np.abs(np.fft.rfft(panel.listener.output[:RATE]))[900:].max() < 30  # of 2400 for the tone that was there
    panel.low_pass.value = False
    assert strongest(panel.listener.output) == 1000  # 3000 Hz at 4000 samples a second
    assert "without low-pass filter" in panel.state_text()
    assert panel.listener.signal_to_noise < filtered[0] - 2
    assert panel.picture.value != filtered[1]
    assert panel.after.value != filtered[2]


def test_more_bits_are_better_and_cost_more():
    listener = Listener(CLIPS, RATE)
    ratios, costs = [], []
    for bits in range(1, 17):
        listener.set(bits=bits)
        ratios.append(listener.signal_to_noise)
        costs.append(listener.bit_rate())
    assert costs == [16.0 * bits for bits in range(1, 17)]
    assert (np.diff(ratios) > 3).all()
    assert np.mean(np.diff(ratios[3:])) == pytest.approx(6.02, abs=0.2)


def test_mu_law_saves_what_is_quiet_and_the_player_turns_it_up(panel):
    panel.bits.value, panel.level.value = 8, -48
    linear = panel.listener.signal_to_noise
    panel.law.value = "mu-law"
    assert panel.listener.signal_to_noise > linear + 20
    assert np.abs(heard(panel.after.value)).max() == pytest.approx(0.8, rel=0.1)
    assert "turned up again by 48 dB" in panel.after.value


def test_what_is_coarser_than_the_clip_is_loud_is_not_turned_up_until_it_clips(panel):
    panel.level.value, panel.bits.value = -60, 3  # the two levels next to zero are a hundred times too far apart
    assert np.abs(panel.listener.output).max() > 0.1
    sound = heard(panel.after.value)
    assert 0.98 < np.abs(sound).max() <= 1
    assert np.corrcoef(sound, panel.listener.output)[0, 1] > 0.9999, "clipped on the way to the player"
    assert "turned up again by 18 dB" in panel.after.value


def test_at_sixteen_bits_and_the_full_rate_nothing_is_lost(panel):
    panel.bits.value = 16
    assert panel.listener.signal_to_noise > 80
    assert np.abs(panel.listener.output - CLIPS["low"]).max() < 1e-4


def test_the_player_before_follows_the_clip_alone(panel):
    before = panel.before.value
    panel.bits.value = 2
    panel.level.value = -30
    assert panel.before.value == before
    panel.clip.value = "low & <high>"
    assert panel.before.value != before
    assert np.allclose(heard(panel.before.value), CLIPS["low & <high>"], atol=1e-4)


def test_the_picture_says_in_words_what_it_shows_and_has_a_dot_for_each_sample(panel):
    for rate, dots in ((16000, 96), (4000, 24), (1000, 6)):
        panel.sample_rate.value = rate
        assert panel.picture.value.count("<circle") == dots
        assert f"{rate} Hz" in re.search(r'aria-label="([^"]+)"', panel.picture.value)[1]
    assert 'role="img"' in panel.picture.value
    assert "stroke-dasharray" in panel.picture.value  # before and after differ by more than colour


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_few_levels_are_drawn_as_lines_and_the_dots_lie_on_them(bits):
    listener = Listener(CLIPS, RATE, Settings("low & <high>", bits=bits, sample_rate=8000))
    page = picture(listener)
    lines = {float(y) for y in re.findall(r'<path d="M46[.0]* ([\d.]+) h320', page)}
    dots = {float(y) for y in re.findall(r'<circle cx="[\d.]+" cy="([\d.]+)"', page)}
    assert len(dots) >= 2
    assert dots <= lines


def test_every_control_is_labelled_and_names_are_shown_as_text(panel):
    assert len(controls_of(panel)) == 6
    assert all(w.description for w in controls_of(panel))
    panel.clip.value = "low & <high>"
    assert "<high>" not in panel.before.value + panel.picture.value + panel.words.value + still(panel.listener).data


def test_a_move_is_answered_within_a_tenth_of_a_second(panel):
    moves = [("bits", 3), ("sample_rate", 4000), ("low_pass", False), ("level", -30), ("law", "mu-law")]
    moves += [("clip", "low & <high>"), ("bits", 16), ("sample_rate", 16000), ("low_pass", True), ("level", 0)]
    assert seconds_of_a_move(set_value(getattr(panel, name), value) for name, value in moves) < 0.1


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"bits": 0}, "bits must be a whole number from 1 to 16, not 0"),
        ({"law": "a-law"}, "law must be one of linear, mu-law"),
        ({"sample_rate": 44100}, "sample rate must be one of 16000, 8000, 4000, 2000, 1000, not 44100"),
        ({"level": 6}, "level must lie between -60 and 0 dB, not 6"),
        ({"clip": "none"}, "there is no clip 'none': expected one of low, low & <high>"),
    ],
)
def test_a_value_that_is_not_on_offer_is_one_sentence_and_changes_nothing(changes, told):
    listener = Listener(CLIPS, RATE)
    before, output = listener.settings, listener.output
    with pytest.raises(ValueError, match=re.escape(told)):
        listener.set(**changes)
    assert listener.settings == before
    assert listener.output is output


@pytest.mark.parametrize(
    ("clips", "rate", "told"),
    [
        ({}, RATE, "at least one clip"),
        ({"a": np.zeros(100)}, RATE, "'a' must be audio"),
        ({"a": np.ones((2, 100))}, RATE, "'a' must be audio"),
        (CLIPS, 22050, "divisible by 16"),
    ],
)
def test_clips_that_cannot_be_used_are_one_sentence(clips, rate, told):
    with pytest.raises(ValueError, match=told):
        Listener(clips, rate)


def test_the_still_picture_shows_settings_and_sound_without_scripts(panel):
    page = still(panel.listener).data
    for wanted in (*panel.state_text().splitlines(), "<svg", "still picture"):
        assert wanted in page
    assert "<script" not in page
    assert np.array_equal(heard(page), heard(panel.after.value))
