"""The sampling desk of lesson 08, driven from code."""

from __future__ import annotations

import threading
from dataclasses import asdict

import pytest
import torch

from helpers.panels import controls_of, seconds_of_a_move, set_value
from musicgen_edu.widgets.generator import EXAMPLES
from musicgen_edu.widgets.sampling_desk import SamplingDesk, still
from musicgen_edu.widgets.sampling_desk import state as desk_state
from musicgen_edu.widgets.sampling_desk.choice import Choice
from musicgen_edu.widgets.sampling_desk.state import EMPTY, KEPT_CLIPS

SECONDS, FRAMES = 0.8, 40


def press(panel: SamplingDesk) -> None:
    panel.generate.click()
    panel.wait(120)
    assert not panel.generate.disabled


def test_the_default_state_can_be_read(panel):
    assert panel.state_text().splitlines() == [
        "looks at: codebook 0 of 0 to 3, frame 30",
        f"settings: “{EXAMPLES[0]}”, scale 3 in logits, temperature 1, top-k 250, top-p off, seed 5",
        "clips:    none yet",
    ]


@pytest.mark.parametrize(
    ("control", "value", "told"),
    [
        ("caption", EXAMPLES[2], f"“{EXAMPLES[2]}”"),
        ("frame", 12, "frame 12\n"),
        ("codebook", 3, "codebook 3 of 0 to 3"),
        ("space", "probabilities", "gamma 0.2 in probabilities"),
        ("scale", 6.5, "scale 6.5 in logits"),
        ("temperature", 0.5, "temperature 0.5"),
        ("top_k", 5, "top-k 5"),
        ("top_k", 0, "top-k off"),
        ("top_p", 0.9, "top-p 0.9"),
        ("seed", 77, "seed 77"),
    ],
)
def test_each_control_changes_its_setting_text_picture_and_clip(panel, default_clip, control, value, told):
    panel.desk.clips = [default_clip]
    drawn, figures = panel.picture.value, panel.words.value
    getattr(panel, control).value = value
    assert asdict(panel.desk.choice) == asdict(Choice()) | {control: value}
    assert told in panel.state_text()
    assert panel.picture.value != drawn
    assert panel.words.value != figures
    assert len(panel.desk.clips) == 1, "a control starts nothing"
    press(panel)
    first, second = panel.desk.clips
    assert torch.equal(first.audio, second.audio) == (control in ("frame", "codebook"))


def test_gamma_counts_in_probabilities_and_the_scale_in_logits(panel):
    assert (panel.scale.layout.display, panel.gamma.layout.display) == (None, "none")
    panel.space.value = "probabilities"
    assert (panel.scale.layout.display, panel.gamma.layout.display) == ("none", None)
    drawn = panel.picture.value
    panel.gamma.value = 0.9
    assert "gamma 0.9 in probabilities" in panel.state_text()
    assert panel.picture.value != drawn
    panel.space.value = "logits"
    assert "scale 3 in logits" in panel.state_text()


def test_the_square_root_changes_the_picture_alone(panel):
    drawn, figures, told = panel.picture.value, panel.words.value, panel.state_text()
    panel.axis.value = "square root"
    assert panel.picture.value != drawn
    assert (panel.words.value, panel.state_text()) == (figures, told)


def test_the_seed_moves_the_triangle(panel):
    tokens = set()
    for seed in range(12):
        panel.seed.value = seed
        tokens.add(panel.desk.token)
        assert f"Seed {seed} draws token {panel.desk.token}," in panel.words.value
        kept = int((panel.desk.found.after > 0).sum())
        assert f"Drawn from {kept} of 1024" in panel.desk.measured()
    assert len(tokens) > 3


def test_an_example_fills_the_caption_and_own_words_leave_the_example(panel):
    panel.example.value = EXAMPLES[2]
    assert panel.caption.value == panel.desk.choice.caption == EXAMPLES[2]
    panel.caption.value = "an organ"
    assert panel.example.value == ""
    assert panel.desk.choice.caption == "an organ"


def test_an_empty_caption_is_one_sentence_and_nothing_is_lost(panel):
    press(panel)
    before, clips, drawn = panel.state_text(), panel.desk.clips, panel.picture.value
    panel.caption.value = "   "
    assert f"<b>Error.</b> {EMPTY}" in panel.note.value
    press(panel)
    assert f"<b>Error.</b> {EMPTY}" in panel.status.value
    assert (panel.state_text(), panel.desk.clips, panel.picture.value) == (before, clips, drawn)
    panel.frame.value = 3
    assert EMPTY in panel.note.value, "until there is a caption"
    panel.caption.value = EXAMPLES[1]
    assert panel.note.value == ""
    assert "Error" not in panel.status.value
    press(panel)
    assert "Error" not in panel.status.value
    assert panel.desk.clips[-1].made_with.caption == EXAMPLES[1]


def test_a_clip_is_what_the_model_generates_with_these_settings(panel, tiny):
    for space, guidance in (("logits", {"scale": 5.0}), ("probabilities", {"gamma": 0.4})):
        panel.desk.move(space=space, **guidance, temperature=0.8, top_k=20, top_p=0.95, seed=9)
        press(panel)
        alone = tiny.generate(
            [EXAMPLES[0]], SECONDS, guidance_scale=next(iter(guidance.values())), top_k=20, top_p=0.95,
            temperature=0.8, seed=9, guidance_space=space,
        )  # fmt: skip
        assert torch.equal(panel.desk.clips[-1].audio, alone[0])
    assert panel.progress.value == panel.progress.max == FRAMES + 3
    assert "Clip 2 is done" in panel.status.value


def test_two_clips_are_compared_side_by_side(panel, monkeypatch):
    assert [player.value.count("appears here") for player in panel._players] == [1, 1]
    press(panel)
    assert [player.value.count("<audio") for player in panel._players] == [1, 1], "the only clip stands in both"
    panel.scale.value, panel.seed.value = 8.0, 6
    press(panel)
    assert (panel.first.value, panel.second.value) == (1, 2)
    assert "differ in guidance: scale 3 in logits against scale 8 in logits; seed: 5 against 6." in (
        panel.difference.value
    )
    assert "Clip 1:" in panel._players[0].value
    assert "Clip 2:" in panel._players[1].value
    panel.first.value = 2
    assert panel._players[0].value == panel._players[1].value.replace("<b>B</b>", "<b>A</b>")
    assert "Both are clip 2." in panel.difference.value
    press(panel)
    assert "Clips 2 and 3 were made with the same settings." in panel.difference.value
    monkeypatch.setattr(desk_state, "generate_codes", lambda *a, **k: torch.zeros(1, 4, FRAMES, dtype=torch.int64))
    for seed in range(KEPT_CLIPS):
        panel.seed.value = seed
        press(panel)
    assert [clip.number for clip in panel.desk.clips] == list(range(4, 4 + KEPT_CLIPS))
    assert [number for _, number in panel.first.options] == list(range(4, 4 + KEPT_CLIPS))
    assert (panel.first.value, panel.second.value) == (KEPT_CLIPS + 2, KEPT_CLIPS + 3)


def test_generate_is_off_while_it_runs_and_the_controls_are_not(panel, monkeypatch):
    half_way, go_on = threading.Event(), threading.Event()
    real = desk_state.generate_codes

    def slow(*arguments, progress=None, **options):
        def report(done, total):
            progress(done, total)
            if done == total // 2:
                half_way.set()
                assert go_on.wait(60)

        return real(*arguments, progress=report, **options)

    monkeypatch.setattr(desk_state, "generate_codes", slow)
    panel.generate.click()
    assert half_way.wait(60)
    assert panel.generate.disabled
    assert 0 < panel.progress.value < panel.progress.max
    drawn = panel.picture.value
    panel.temperature.value = 0.3  # a move meanwhile: the picture follows, the clip keeps its settings
    assert panel.picture.value != drawn
    panel.generate.click()  # does nothing
    go_on.set()
    panel.wait(60)
    assert not panel.generate.disabled
    assert [clip.made_with.temperature for clip in panel.desk.clips] == [1.0]


def test_an_error_of_the_model_is_one_sentence_and_nothing_is_lost(panel, monkeypatch):
    press(panel)

    def broken(*arguments, **options):
        raise RuntimeError("Out of memory.\nTraceback and more lines")

    monkeypatch.setattr(desk_state, "generate_codes", broken)
    press(panel)
    assert "<b>Error.</b> Out of memory.</div>" in panel.status.value
    assert panel.desk.status == "error"
    assert len(panel.desk.clips) == 1
    monkeypatch.undo()
    press(panel)
    assert panel.desk.status == "done"


def test_captions_are_shown_as_text(panel):
    panel.caption.value = "<script>alert(1)</script> & an <b>organ</b>"
    press(panel)
    page = panel.picture.value + panel.words.value + panel.status.value + still(panel.desk).data
    page += panel.difference.value + panel._players[0].value
    assert "<script" not in page
    assert "<b>organ" not in page
    assert "&lt;b&gt;organ" in page


def test_settings_between_the_places_of_a_slider_have_a_place_too(desk):
    desk.move(top_k=7, top_p=0.33)
    panel = SamplingDesk(desk)
    assert (panel.top_k.value, panel.top_p.value) == (7, 0.33)
    assert [value for _, value in panel.top_k.options][:6] == [1, 2, 3, 5, 7, 10]
    assert panel.top_k.options[-1] == panel.top_p.options[-1] == ("all", 0)


def test_every_control_is_labelled(panel):
    controls = controls_of(panel)
    assert len(controls) == 15
    assert all(w.description for w in [*controls, panel.generate])
    assert len({w.description for w in controls}) == 15


def test_a_move_is_answered_within_a_tenth_of_a_second(panel):
    def move(i: int):
        places = (("frame", i % FRAMES), ("scale", i % 9), ("temperature", i % 5 / 2), ("top_p", i % 19 / 20))
        name, value = places[i % 4]
        return set_value(getattr(panel, name), value)

    assert seconds_of_a_move(move(i) for i in range(60)) < 0.1


def test_the_picture_is_one_svg_with_a_description(panel):
    svg = panel.picture.value
    assert svg.startswith("<svg")
    assert svg.endswith("</svg>")
    assert 'role="img" aria-label="looks at: codebook 0 of 0 to 3' in svg
    assert panel.desk.measured() in svg
    assert len(svg) < 40_000


def test_the_still_picture_needs_no_script(panel):
    press(panel)
    page = still(panel.desk).data
    for wanted in ("still picture", "<svg", "<audio", EXAMPLES[0], "KL from the model with the text"):
        assert wanted in page
    assert "<script" not in page
