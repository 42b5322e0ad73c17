"""The pattern explorer of lesson 05, driven from code."""

from __future__ import annotations

import asyncio
import re

import pytest

from helpers.panels import controls_of, seconds_of_a_move, set_value
from musicgen_edu.model.patterns import PATTERNS, pattern_table
from musicgen_edu.widgets.pattern_explorer import PatternExplorer
from musicgen_edu.widgets.pattern_explorer.panel import PAUSE


@pytest.mark.parametrize(
    ("control", "value", "told"),
    [
        ("view_as", "two closely", "step 5 of 15"),
        ("K", 6, "K = 6, T = 12"),
        ("T", 20, "K = 4, T = 20"),
        ("now", 9, "step 9 of 48"),
        ("k", 3, "chosen: codebook 3, frame 3"),
        ("t", 7, "chosen: codebook 1, frame 7"),
    ],
)
def test_each_control_changes_state_text_and_picture(panel, control, value, told):
    svg, words = panel.picture.value, panel.words.value
    getattr(panel, control).value = value
    assert told in panel.state_text().splitlines()[0]
    assert panel.picture.value != svg
    assert panel.words.value != words


def test_any_two_can_be_compared(panel):
    assert panel.first.disabled
    panel.view_as.value = "two closely"
    assert not panel.second.disabled
    for name in PATTERNS:
        before = panel.picture.value
        panel.second.value = name
        assert f"\n{name}: " in panel.state_text()
        assert panel.picture.value != before or name == "delay"


def test_the_play_button_moves_the_step(panel):
    panel.play.value = 0
    for step in range(1, 4):
        panel.play.value = step
        assert panel.now.value == panel.exploration.choice.now == step
    panel.now.value = 8
    assert panel.play.value == 8
    panel.T.value = 24
    assert panel.play.max == panel.now.max == 96


def test_the_limits_of_the_sliders_follow_the_sizes(panel):
    panel.now.value, panel.k.value, panel.t.value = 48, 3, 11
    panel.K.value = 1
    assert panel.k.disabled
    assert panel.exploration.choice.k == panel.k.value == 0
    assert (panel.now.max, panel.t.max) == (12, 11)
    panel.T.value = 5
    assert (panel.t.value, panel.t.max, panel.now.value) == (4, 4, 5)
    panel.K.value = 8
    assert not panel.k.disabled
    assert panel.k.max == 7


def test_an_own_pattern_that_fails_is_told_and_nothing_is_lost(sound):
    own = {"only four": lambda K, T: pattern_table("delay", 4, T)}
    panel = PatternExplorer(own, sound, view="two closely", second="only four")
    before = panel.state_text()
    panel.K.value = 5
    assert "<b>Error.</b> only four gives a table [4, 12] for K = 5" in panel.words.value
    assert panel.K.value == 4
    assert panel.state_text() == before
    panel.now.value = 2
    assert "Error" not in panel.words.value


def test_every_control_is_labelled(panel):
    controls = controls_of(panel)
    assert len(controls) == 10
    assert all(w.description for w in controls)
    assert len({w.description for w in controls}) == 10


def test_a_move_is_answered_within_a_tenth_of_a_second(sound):
    panel = PatternExplorer(sound=sound, K=8, T=24, now=0)
    panel.K.value = 4
    assert seconds_of_a_move(set_value(panel.now, i + 1) for i in range(50)) < 0.1


def test_the_sound_follows_the_step(panel):
    panel.now.value = 0
    assert "<audio" not in panel.player.value
    assert "Sound: delay before step 0: 0 of 12 frames whole, 0 begun." in panel.player.value
    heard = set()
    for now in (1, 4, 15):
        panel.now.value = now
        assert re.search(r'<audio controls [^>]*src="data:audio/wav;base64,', panel.player.value)
        heard.add(panel.player.value)
    assert len(heard) == 3
    assert "12 of 12 frames whole" in panel.player.value
    panel.heard.value = "coarse-first"
    assert panel.player.value not in heard
    assert "coarse-first before step 15: 3 of 12 frames whole, 9 begun" in panel.state_text()


def test_the_player_waits_for_a_pause_in_a_notebook(panel):
    async def play() -> list[str]:
        before, seen = panel.player.value, []
        for now in (1, 2, 3):
            panel.now.value = now
            seen.append(panel.player.value)
        assert set(seen) == {before}, "a player for each move holds up the picture"
        await asyncio.sleep(2 * PAUSE)
        return panel.player.value

    assert "delay before step 3" in asyncio.run(play())


def test_without_a_codec_or_with_too_many_codebooks_there_is_no_sound_but_everything_else(sound):
    silent = PatternExplorer()
    silent.now.value = 3
    assert "sound: none, no codec was given" in silent.state_text()
    assert silent.player.value == ""
    panel = PatternExplorer(sound=sound)
    panel.K.value = 5
    assert "none, the codec has only 4 codebooks" in panel.state_text()
    assert "<audio" not in panel.player.value
    panel.K.value = 2
    assert "<audio" in panel.player.value
