"""The attention explorer of lesson 06, driven from code."""

from __future__ import annotations

import re

import pytest
import torch

from helpers.panels import controls_of, seconds_of_a_move, set_value
from musicgen_edu.analysis.attention_maps import attention_maps
from musicgen_edu.model.patterns import interleave, pattern_table
from musicgen_edu.widgets.attention_explorer import Attending, AttentionExplorer, picture, still

PROMPT = "a fast <b>bell</b> & drums"


@pytest.fixture(scope="module")
def made(tiny) -> Attending:
    return Attending(tiny, PROMPT, seconds=0.6, seed=3)


@pytest.fixture
def panel(made) -> AttentionExplorer:
    made.move(0, 0, 16, "columns")
    return AttentionExplorer(made)


def test_the_default_state_can_be_read(panel):
    assert panel.state_text().splitlines() == [
        f"clip:     “{PROMPT}”, 0.6 s, seed 3",
        "layer:    0 of 0 to 5, head 0 of 0 to 2",
        "step:     16 of 0 to 32, writes codebook 0 of frame 16, codebook 1 of frame 15, codebook 2 of frame 14, "
        "codebook 3 of frame 13",
        "looks at: the columns so far, 17 of 33",
    ]


def test_it_shows_the_model_at_work(made, tiny):
    """The maps are those of the clip that the model generates."""
    codes = tiny.generate_codes([PROMPT], 0.6, seed=3)
    assert torch.equal(made.sequence, interleave(codes, pattern_table("delay", 4, 30), 1024)[0])
    maps = attention_maps(tiny.lm, made.sequence[None, :, :-1], *tiny.text([PROMPT]))
    for kind, targets, found in (("columns", 33, maps.own), ("text", len(tiny.text.tokens(PROMPT)), maps.text)):
        for layer in range(6):
            made.move(layer=layer, head=1, step=12, kind=kind)
            assert len(made.weights) == targets
            torch.testing.assert_close(torch.tensor(made.weights), found[layer, 0, 1, 12])
            assert sum(made.weights) == pytest.approx(1, abs=1e-4)
            assert kind == "text" or made.weights[13:] == [0] * 20
    made.move(0, 0, 0, "columns")
    assert made.weights[0] == pytest.approx(1)


@pytest.mark.parametrize(
    ("control", "value", "told"),
    [
        ("layer", 4, "layer:    4 of"),
        ("head", 2, "head 2 of"),
        ("step", 20, "step:     20 of"),
        ("kind", "text", "looks at: the words of the prompt"),
    ],
)
def test_each_control_changes_state_text_and_picture(panel, control, value, told):
    words, drawn = panel.words.value, panel.picture.value
    getattr(panel, control).value = value
    assert getattr(panel.attending, control) == value
    assert told in panel.state_text()
    assert told in panel.words.value
    assert panel.words.value != words
    assert panel.picture.value != drawn


def test_the_first_and_the_last_steps_write_fewer_codes(made):
    made.move(step=0)
    assert made.in_words().splitlines()[2] == "step:     0 of 0 to 32, writes codebook 0 of frame 0"
    made.move(step=32)
    assert made.in_words().splitlines()[2] == "step:     32 of 0 to 32, writes codebook 3 of frame 29"


def test_what_it_says_is_what_it_holds(made):
    made.move(3, 1, 25, "columns")
    most = max(range(33), key=lambda i: made.weights[i])
    assert made.measured().startswith(f"Looks most at column {most} ({made.weights[most]:.0%})")
    made.move(kind="text")
    most = max(range(len(made.pieces)), key=lambda i: made.weights[i])
    assert made.measured().startswith(f"Looks most at “{made.pieces[most]}” ({made.weights[most]:.0%})")


def test_bad_input_is_one_sentence_and_changes_nothing(made, tiny):
    made.move(1, 1, 5, "text")
    for wrong, told in (
        ({"layer": 6}, "the layer must be 0 to 5, not 6"),
        ({"head": -1}, "the head must be 0 to 2, not -1"),
        ({"layer": 2, "step": 33}, "the step must be 0 to 32, not 33"),
        ({"layer": 2, "kind": "sounds"}, "a head looks at columns or text, not at 'sounds'"),
    ):
        with pytest.raises(ValueError, match=told):
            made.move(**wrong)
    assert (made.layer, made.head, made.step, made.kind) == (1, 1, 5, "text")
    with pytest.raises(ValueError, match="the prompt is empty"):
        Attending(tiny, "  ")


def test_the_picture_is_read_without_colour(made):
    made.move(2, 0, 18, "text")
    drawn = picture(made)
    written = re.findall(r">([^<>]+)</text>", drawn)
    assert "layer 2, head 0: cross-attention" in written
    assert "weights of step 18" in written
    assert "18" in written, "the chosen step is named above its frame"
    assert any(text.endswith("%") and text[0].isdigit() for text in written)
    assert "&lt;b" in drawn or "&lt;" in drawn, "words of the prompt are text, not markup"
    assert "<b>" not in drawn
    label = re.search(r'aria-label="([^"]+)"', drawn)[1]
    assert "Looks most at" in label
    made.move(kind="columns")
    assert "self-attention" in picture(made)
    assert picture(made) != drawn


def test_a_darker_pixel_is_a_larger_weight(made):
    import base64
    import io

    import numpy as np
    from PIL import Image

    made.move(2, 0, 18, "columns")
    drawn = re.search(r"data:image/png;base64,([\w+/=]+)", picture(made))[1]
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(drawn))).convert("L"))
    assert pixels.shape == (33, 33)
    assert (pixels[20:, 18] == 255).all(), "what comes later is white"
    order = np.argsort(made.weights)
    assert (np.diff(pixels[order, 18].astype(int)) <= 0).all()


def test_every_control_is_labelled(panel):
    assert controls_of(panel) == [panel.layer, panel.head, panel.step, panel.kind]
    assert all(one.description for one in controls_of(panel))


def test_a_move_is_answered_within_a_tenth_of_a_second(panel):
    def move(i: int):
        name, value = (("layer", i % 6), ("head", i % 3), ("step", i % 33), ("kind", ("text", "columns")[i % 2]))[i % 4]
        return set_value(getattr(panel, name), value)

    assert seconds_of_a_move(move(i) for i in range(50)) < 0.1


def test_the_still_picture_shows_both_kinds_without_scripts(made):
    made.move(1, 2, 9, "columns")
    page = still(made).data
    assert page.count("<svg") == 2
    for wanted in ("self-attention", "cross-attention", "still picture", "layer:    1 of"):
        assert wanted in page
    assert "<script" not in page
    assert made.kind == "columns"
