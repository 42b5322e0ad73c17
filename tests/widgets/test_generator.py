"""The panel of lesson 00, driven from code."""

from __future__ import annotations

import inspect
import re
import threading
from dataclasses import asdict
from types import SimpleNamespace

import pytest
import torch

from helpers.panels import controls_of, seconds_of_a_move, set_value
from musicgen_edu import MusicGen, Sampling
from musicgen_edu.musicgen import Options
from musicgen_edu.widgets.generator import EXAMPLES, Generator, GeneratorPanel, Settings, still


class Instrument:
    """Stands in for a model where only the panel is tested: instant noise, different for each setting."""

    sample_rate, frame_rate, max_seconds = 16000, 50.0, 10.0
    lm = SimpleNamespace(config=SimpleNamespace(num_codebooks=4))
    frames = MusicGen.frames

    def __init__(self):
        self.calls = 0
        self.half_way = threading.Event()  # set in the middle of a generation
        self.go_on = threading.Event()  # which then waits for this
        self.go_on.set()

    def generate(
        self, prompts, seconds=8.0, guidance_scale=3.0, top_k=250, top_p=0.0, temperature=1.0, seed=None, progress=None
    ):
        self.calls += 1
        steps = self.frames(seconds) + 3
        for s in range(steps):
            if s == steps // 2:
                self.half_way.set()
                assert self.go_on.wait(60)
            progress(s + 1, steps)
        own = sum(prompts[0].encode()) * 1000 + seed * 10 + int(guidance_scale * 2)
        noise = torch.randn(1, 1, self.frames(seconds) * 320, generator=torch.Generator().manual_seed(own))
        return 0.1 * noise


@pytest.fixture
def panel() -> GeneratorPanel:
    return GeneratorPanel(Instrument())


def press(panel: GeneratorPanel) -> None:
    panel.generate.click()
    panel.wait(120)
    assert not panel.generate.disabled
    assert panel.stop.disabled


def test_the_stand_in_has_the_signature_of_the_model():
    ours, theirs = (inspect.signature(c.generate).parameters for c in (Instrument, MusicGen))
    named = ["self", "prompts", "seconds"]
    assert [(ours[name].name, ours[name].default) for name in named] == [(n, theirs[n].default) for n in named]
    options = {name: ours[name].default for name in ours if name not in named}
    assert set(options) <= set(Options.__annotations__)  # the model can do more than the panel asks for
    assert asdict(Sampling()).items() >= {n: v for n, v in options.items() if n not in ("seed", "progress")}.items()


def test_the_default_state_can_be_read(panel):
    assert panel.state_text().splitlines() == [
        f"settings: “{EXAMPLES[0]}”, 4 s, guidance 3, seed 5",
        "status:   ready: Press Generate.",
        "clip:     none yet",
    ]
    assert "player appears here" in panel.player.value
    assert panel.stop.disabled


@pytest.mark.parametrize(
    ("control", "value", "told"),
    [
        ("prompt", "an organ", "“an organ”"),
        ("seconds", 2.5, "2.5 s,"),
        ("guidance_scale", 1.0, "guidance 1,"),
        ("seed", 77, "seed 77"),
    ],
)
def test_each_control_changes_its_setting_the_text_and_the_sound(panel, control, value, told):
    press(panel)
    before, player = panel.generator.audio, panel.player.value
    getattr(panel, control).value = value
    assert asdict(panel.generator.settings) == asdict(Settings()) | {control: value}
    assert told in panel.state_text().splitlines()[0]
    assert panel.generator.audio is before, "a control must not start or lose anything"
    press(panel)
    assert told in panel.state_text().splitlines()[2]
    assert panel.player.value != player
    assert not torch.equal(panel.generator.audio[..., :16000], before[..., :16000]) or control == "seconds"
    assert panel.generator.audio.shape[-1] == panel.generator.settings.seconds * 16000


def test_the_note_tells_the_cost_of_the_settings(panel):
    assert "4 s = 200 frames, made in 203 steps. Each step asks the model twice" in panel.note.value
    panel.seconds.value, panel.guidance_scale.value = 2.0, 1.0
    assert "100 frames, made in 103 steps. Each step asks the model once, with the text" in panel.note.value
    panel.guidance_scale.value = 0.0
    assert "once, without the text" in panel.note.value


def test_an_example_fills_the_prompt_and_own_words_leave_the_example(panel):
    panel.example.value = EXAMPLES[2]
    assert panel.prompt.value == panel.generator.settings.prompt == EXAMPLES[2]
    panel.prompt.value = EXAMPLES[2] + "!"
    assert panel.example.value == ""
    assert panel.prompt.value == EXAMPLES[2] + "!"


def test_generate_shows_player_and_progress(panel):
    press(panel)
    assert panel.generator.status == "done"
    assert panel.progress.value == panel.progress.max == 203
    assert re.search(r'<audio controls [^>]*src="data:audio/wav;base64,', panel.player.value)
    assert 'alt="mel spectrogram' in panel.player.value
    assert "Done:" in panel.status.value


def test_the_same_settings_give_the_same_clip_and_others_do_not(panel):
    press(panel)
    first = panel.generator.audio
    press(panel)
    assert torch.equal(first, panel.generator.audio)


@pytest.mark.parametrize("prompt", ["", "   "])
def test_an_empty_prompt_is_one_sentence_and_nothing_is_lost(panel, prompt):
    press(panel)
    player, audio, made_with = panel.player.value, panel.generator.audio, panel.generator.made_with
    panel.prompt.value = prompt
    press(panel)
    assert "<b>Error.</b> The prompt is empty: write a few words, or choose an example." in panel.status.value
    assert (panel.player.value, panel.generator.audio, panel.generator.made_with) == (player, audio, made_with)
    assert panel.state_text().splitlines()[1].startswith("status:   error: The prompt is empty")
    panel.prompt.value = EXAMPLES[1]
    press(panel)
    assert "Error" not in panel.status.value
    assert panel.player.value != player


def test_errors_of_the_model_are_one_sentence():
    generator = Generator(Instrument(), Settings(seconds=9999.0))
    assert not generator.run()
    assert generator.message == "Seconds must be more than 0 and at most 3600, not 9999.0."
    assert generator.cost() == generator.message
    assert generator.audio is None

    def broken(*args, **kwargs):
        raise RuntimeError("out of memory\nTraceback and more lines")

    generator.model.generate = broken
    assert not generator.run()
    assert (generator.status, generator.message) == ("error", "Out of memory.")


def test_stop_ends_a_generation_and_everything_stays_usable(panel):
    press(panel)
    player, model = panel.player.value, panel.generator.model
    model.half_way.clear()
    model.go_on.clear()
    panel.seed.value = 6
    panel.generate.click()
    assert model.half_way.wait(60)
    assert panel.generate.disabled
    assert not panel.stop.disabled
    panel.generate.click()  # does nothing while one is under way
    panel.stop.click()
    model.go_on.set()
    panel.wait(120)
    assert model.calls == 2
    assert panel.generator.status == "stopped"
    assert re.search(r"Stopped after \d+ of 203 steps\.", panel.status.value)
    assert panel.player.value == player
    press(panel)
    assert panel.generator.made_with.seed == 6


def test_what_is_set_while_a_clip_is_made_counts_for_the_next(panel):
    model = panel.generator.model
    model.go_on.clear()
    panel.generate.click()
    assert model.half_way.wait(60)
    panel.seed.value = 8
    assert "seed 8" in panel.state_text().splitlines()[0]
    model.go_on.set()
    panel.wait(120)
    assert panel.generator.made_with.seed == 5
    assert panel.generator.settings.seed == 8


def test_a_stop_without_a_generation_stops_nothing(panel):
    panel.generator.stop()
    press(panel)
    assert panel.generator.status == "done"


def test_every_control_is_labelled_and_prompts_are_shown_as_text(panel):
    assert len(controls_of(panel)) == 6
    assert all(w.description for w in [*controls_of(panel), panel.generate, panel.stop])
    panel.prompt.value = "<script>alert(1)</script> & more"
    press(panel)
    assert "<script>" not in panel.player.value + panel.status.value + still(panel.generator).data


def test_a_move_is_answered_within_a_tenth_of_a_second(panel):
    moves = [set_value(panel.seconds, 1.0 + 0.5 * (i % 10)) for i in range(30)]
    moves[1::2] = [set_value(panel.guidance_scale, 0.5 * (i % 9)) for i in range(15)]
    assert seconds_of_a_move(moves) < 0.1


def test_the_still_picture_shows_settings_and_clip_without_scripts(panel):
    assert "player appears here" in still(panel.generator).data
    press(panel)
    page = still(panel.generator).data
    for wanted in (EXAMPLES[0], "<audio controls", "4.0", "3.0", "still picture"):
        assert wanted in page
    assert "<script" not in page


def test_the_shipped_model_plays_in_the_panel(tiny):
    panel = GeneratorPanel(tiny, Settings(seconds=1.0))
    clips = []
    for changes in ({}, {"seed": 6}, {"prompt": EXAMPLES[1]}, {"guidance_scale": 1.0}, {}):
        for name, value in (asdict(Settings(seconds=1.0)) | changes).items():
            getattr(panel, name).value = value
        press(panel)
        assert panel.generator.status == "done", panel.generator.message
        clips.append(panel.generator.audio)
    assert torch.equal(clips[0], clips[-1])
    assert all(clip.shape == (1, 16000) and clip.abs().max() > 1e-3 for clip in clips)
    assert all(not torch.equal(clips[0], clip) for clip in clips[1:-1])
