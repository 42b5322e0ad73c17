"""The codec inspector of lesson 04, driven from code."""

from __future__ import annotations

import re

import pytest
import torch

from helpers.panels import controls_of, seconds_of_a_move, set_value
from musicgen_edu.checkpoints.load import read_codec
from musicgen_edu.data.procedural import make_clip
from musicgen_edu.model.encodec import EncodecConfig, EncodecModel
from musicgen_edu.widgets.codec_inspector import TREATMENTS, CodecInspector, Inspector, picture, still

NAMES = ("first & loud", "second")


@pytest.fixture(scope="module")
def codec():
    """A codec of random weights, small enough for many moves."""
    torch.manual_seed(0)
    config = EncodecConfig(
        sampling_rate=4000, num_filters=4, upsampling_ratios=(5, 4), hidden_size=8, codebook_size=32, num_lstm_layers=1
    )
    model = EncodecModel(config).eval().requires_grad_(False)
    for layer in model.quantizer.layers:
        layer.embed.normal_()
    return model


@pytest.fixture
def clips():
    generator = torch.Generator().manual_seed(1)
    return {name: 0.3 * torch.randn(1, 4400, generator=generator) for name in NAMES}


@pytest.fixture
def inspector(codec, clips):
    return Inspector(codec, clips)


@pytest.fixture
def panel(codec, clips):
    return CodecInspector(codec, clips)


def test_untreated_it_is_what_the_codec_returns(codec, clips, inspector):
    for name in NAMES:
        inspector.choose(name)
        codes = codec.encode(clips[name][None])
        assert torch.equal(inspector.treated(), codes[0])
        torch.testing.assert_close(inspector.audio(), codec.decode(codes)[0])


def test_a_muted_codebook_is_left_out_of_the_sum(codec, inspector):
    """Muting the last codebooks is decoding with the first ones: what `decode` does with fewer rows."""
    codes = inspector.codes[NAMES[0]]
    for k in (3, 2, 1):
        inspector.set(k, "muted")
        torch.testing.assert_close(inspector.audio(), codec.decode(codes[None, :k])[0])
    inspector.set(0, "muted")
    silent = codec.decoder(torch.zeros(1, 8, codes.shape[1]))[0]
    torch.testing.assert_close(inspector.audio(), silent)


def test_a_swapped_codebook_is_the_other_clips(inspector):
    inspector.set(1, "swapped")
    mine, other = (inspector.codes[name] for name in NAMES)
    assert torch.equal(inspector.treated()[1], other[1])
    assert torch.equal(inspector.treated()[[0, 2, 3]], mine[[0, 2, 3]])
    for k in (0, 2, 3):
        inspector.set(k, "swapped")
    swapped = inspector.audio()
    inspector.choose(NAMES[1])
    assert torch.equal(inspector.plain(), swapped)  # with all four swapped it is the other clip


def test_a_shuffled_codebook_keeps_its_codes_and_loses_their_order(inspector):
    inspector.set(2, "shuffled")
    before, after = inspector.codes[NAMES[0]][2], inspector.treated()[2]
    assert not torch.equal(before, after)
    assert torch.equal(before.sort().values, after.sort().values)
    assert torch.equal(after, inspector.treated()[2])  # and the order does not change from look to look


def test_every_treatment_is_heard_and_undone(inspector):
    plain = inspector.audio()
    for k in range(4):
        for treatment in list(TREATMENTS)[1:]:
            inspector.set(k, treatment)
            assert not torch.allclose(inspector.audio(), plain)
        inspector.set(k, "as encoded")
        assert torch.equal(inspector.audio(), plain)
    inspector.set(0, "muted")
    inspector.reset()
    assert torch.equal(inspector.audio(), plain)


def test_bad_input_is_named(codec, clips, inspector):
    with pytest.raises(ValueError, match="two clips, not 1"):
        Inspector(codec, {"one": torch.zeros(1, 4000)})
    with pytest.raises(ValueError, match="same length, not 4000 and 4020"):
        Inspector(codec, {"one": torch.zeros(1, 4000), "two": torch.zeros(1, 4020)})
    with pytest.raises(ValueError, match="0 to 3, not 4"):
        inspector.set(4, "muted")
    with pytest.raises(ValueError, match="no treatment 'louder'"):
        inspector.set(0, "louder")
    with pytest.raises(ValueError, match="no clip 'third'"):
        inspector.choose("third")


# ---- the panel ---------------------------------------------------------------------------------------------------


def shown(panel) -> tuple[str, str, str, str]:
    return panel.state_text(), panel.picture.value, panel.words.value, panel.player.value


def test_the_default_state_can_be_read(panel):
    assert panel.state_text().splitlines() == [
        "clip:       first & loud (swaps with second)",
        *(f"codebook {k}: as encoded, the clip's own codes, in their places" for k in range(4)),
        "untouched:  4 of 4 codebooks",
    ]
    assert "Nothing is treated" in panel.words.value


@pytest.mark.parametrize("k", range(4))
@pytest.mark.parametrize("treatment", list(TREATMENTS)[1:])
def test_a_move_changes_text_picture_figures_and_sound(panel, k, treatment):
    before = shown(panel)
    panel.codebooks[k].value = treatment
    after = shown(panel)
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert f"codebook {k}: {treatment}" in panel.state_text()
    assert "SI-SDR" in panel.words.value
    assert f"codebook {k} {treatment}" in panel.player.value


def test_another_clip_and_the_reset_button(panel):
    first = shown(panel)
    panel.clip.value = NAMES[1]
    assert "swaps with first & loud" in panel.state_text()
    assert panel.picture.value != first[1]
    assert panel.player.value != first[3]
    panel.codebooks[0].value, panel.codebooks[2].value = "muted", "shuffled"
    drawn = []
    panel.picture.observe(drawn.append, "value")
    panel.reset.click()
    assert len(drawn) == 1  # two rows changed, one new picture
    assert [control.value for control in panel.codebooks] == ["as encoded"] * 4
    panel.clip.value = NAMES[0]
    assert shown(panel) == first


def test_the_picture_says_without_colour_what_is_done(panel):
    for control, treatment in zip(panel.codebooks, TREATMENTS, strict=True):
        control.value = treatment
    svg = panel.picture.value
    words = re.findall(r">([^<>]+)</text>", svg)
    assert [word for word in words if word in TREATMENTS] == list(TREATMENTS)
    assert svg.count('fill="url(#off)"') == 1  # the muted row is hatched
    assert svg.count("stroke-dasharray") == 3
    assert 'role="img"' in svg
    assert "codebook 1: muted" in svg  # in the label that is read aloud
    assert {"0", "0.5", "1 s", "200 Hz", "1000 Hz"} <= set(words)


def test_the_picture_shows_the_codes(inspector):
    """The row of a codebook is a picture of its own codes: others give another one."""
    rows = re.findall(r"data:image/png;base64,([^\"]+)", picture(inspector))
    assert len(set(rows)) == 5  # four codebooks and a spectrogram
    inspector.set(3, "swapped")
    changed = re.findall(r"data:image/png;base64,([^\"]+)", picture(inspector))
    assert [a == b for a, b in zip(rows, changed, strict=True)] == [True, True, True, False, False]


def test_silence_has_a_picture_too(codec):
    assert "<svg" in picture(Inspector(codec, {"a": torch.zeros(1, 4000), "b": torch.zeros(1, 4000)}))


def test_every_control_is_labelled_and_names_are_shown_as_text(codec):
    panel = CodecInspector(codec, {"<script>alert(1)</script>": torch.zeros(1, 4000), "b": torch.zeros(1, 4000)})
    panel.codebooks[0].value = "muted"
    assert len(controls_of(panel)) == 5
    assert all(control.description for control in [*controls_of(panel), panel.reset])
    page = panel.picture.value + panel.words.value + panel.player.value + still(panel.inspector).data
    assert "<script" not in page


def test_the_still_picture_shows_the_state(panel):
    panel.codebooks[1].value = "muted"
    page = still(panel.inspector).data
    for wanted in ("still picture", "<svg", "<audio controls", "muted", "SI-SDR"):
        assert wanted in page


def test_a_move_with_the_shipped_codec_is_answered_within_a_tenth_of_a_second():
    """Picture, figures and sound of a clip of 2.5 s that was not decoded before."""
    clips = {name: torch.from_numpy(make_clip(seed, 125).audio)[None] for seed, name in enumerate(NAMES)}
    panel = CodecInspector(read_codec("tiny"), clips)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        moves = [set_value(panel.codebooks[i % 4], list(TREATMENTS)[1 + (i // 4)]) for i in range(12)]
        assert seconds_of_a_move(moves) < 0.1
    finally:
        torch.set_num_threads(threads)
