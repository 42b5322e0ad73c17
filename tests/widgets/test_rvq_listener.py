"""The RVQ listener of lesson 03, driven from code."""

from __future__ import annotations

import re

import pytest
import torch

from helpers.panels import controls_of, seconds_of_a_move, set_value
from musicgen_edu.checkpoints.load import read_codec
from musicgen_edu.data.procedural import make_clip
from musicgen_edu.model.encodec import EncodecConfig, EncodecModel
from musicgen_edu.widgets.rvq_listener import HEARD, Listening, RvqListener, picture, still

CONFIG = EncodecConfig(
    sampling_rate=16000,
    num_filters=4,
    upsampling_ratios=(5, 4, 4, 4),
    hidden_size=8,
    codebook_size=16,
    num_codebooks=4,
    num_lstm_layers=1,
)


@pytest.fixture(scope="module")
def codec() -> EncodecModel:
    """A small codec that has learned nothing, with codebooks that fit its latents."""
    torch.manual_seed(0)
    codec = EncodecModel(CONFIG).requires_grad_(False).train()
    codec.quantizer(codec.encoder(0.3 * torch.randn(4, 1, 16000)))
    return codec.eval()


@pytest.fixture(scope="module")
def audio() -> torch.Tensor:
    time_axis = torch.arange(16000) / 16000
    return (0.4 * torch.sin(2 * torch.pi * 440 * time_axis))[None]  # [C, N], 1 s


@pytest.fixture
def panel(codec, audio) -> RvqListener:
    return RvqListener(codec, audio, codebooks=1)


def shown(panel: RvqListener) -> tuple[str, str, str]:
    return panel.picture.value, panel.words.value, panel.player.value


def test_the_reconstructions_are_those_of_the_codec(codec, audio):
    listening = Listening(codec, audio)
    codes = codec.encode(audio[None])
    assert len(listening.reconstructions) == len(listening.residuals) == 5
    for k in range(1, 5):
        torch.testing.assert_close(listening.clip("reconstruction", k), codec.decode(codes[:, :k])[0])
    nothing = codec.decoder(torch.zeros(1, CONFIG.hidden_size, codes.shape[-1]))
    torch.testing.assert_close(listening.clip("reconstruction", 0), nothing[0])


def test_original_is_result_plus_residual(codec, audio):
    listening = Listening(codec, audio)
    for k in range(5):
        total = listening.clip("reconstruction", k) + listening.clip("residual", k)
        torch.testing.assert_close(total, listening.clip("original", k))


def test_a_clip_that_ends_within_a_frame_keeps_its_length(codec, audio):
    listening = Listening(codec, audio[:, :15900])
    assert {clip.shape for clip in listening.residuals} == {(1, 15900)}


def test_the_default_state_can_be_read(codec, audio):
    assert RvqListener(codec, audio).state_text().splitlines() == [
        "codebooks: 4 of 4",
        "bit rate:  4 x 4 bits x 50 frames/s = 0.8 kbit/s",
        "listening: B: reconstruction, 4 codebooks",
    ]


@pytest.mark.parametrize("k", [0, 2, 3, 4])
def test_the_slider_changes_text_picture_and_sound(panel, k):
    before = shown(panel)
    panel.codebooks.value = k
    assert panel.listening.codebooks == k
    assert f"codebooks: {k} of 4" in panel.state_text()
    assert all(new != old for new, old in zip(shown(panel), before, strict=True))
    assert f"{k} of 4 codebooks used" in panel.picture.value
    panel.codebooks.value = 1
    assert shown(panel) == before


@pytest.mark.parametrize("heard", ["original", "residual"])
def test_the_buttons_change_the_sound_and_not_the_picture(panel, heard):
    before = shown(panel)
    panel.heard.value = heard
    assert HEARD[heard] in panel.state_text()
    assert panel.picture.value == before[0]
    assert panel.player.value != before[2]
    panel.heard.value = "reconstruction"
    assert shown(panel) == before


def test_a_b_goes_on_when_the_slider_moves_while_a_plays(panel):
    panel.heard.value = "original"
    playing = panel.player.value
    panel.codebooks.value = 3
    assert panel.player.value == playing  # the page does not touch a player whose HTML is the same


def test_each_codebook_is_told_by_word_and_hatching_as_well_as_colour(panel):
    for k in range(5):
        panel.codebooks.value = k
        drawing = panel.picture.value
        assert drawing.count(">used<") == k
        assert drawing.count(">left out<") == drawing.count('fill="url(#rvq-unused)"') == 4 - k


def test_the_two_spectrograms_share_one_scale(codec, audio):
    """A residual that is 40 dB softer is drawn darker: not every picture is scaled to its own peak."""
    import base64
    import io

    import numpy as np
    from PIL import Image

    listening = Listening(codec, audio)
    listening.residuals[4] = 0.01 * listening.original
    listening.reconstructions[4] = listening.original

    images = re.findall(r"data:image/png;base64,([\w+/=]+)", picture(listening))
    pixels = [np.asarray(Image.open(io.BytesIO(base64.b64decode(one))).convert("L")) for one in images]
    result, residual = (int(one.max()) for one in pixels)
    assert result > 200
    assert 5 < residual < 120


def test_what_is_left_over_is_measured_against_the_original(codec, audio):
    listening = Listening(codec, audio)
    for k, told in enumerate(listening.left_over):
        expected = 10 * torch.log10(listening.residuals[k].square().sum() / audio.square().sum())
        assert told == pytest.approx(expected.item(), abs=1e-3)
        listening.move(codebooks=k)
        side = "above" if round(told, 1) > 0 else "below"
        assert f"lies {abs(told):.1f} dB {side} the original" in listening.measured()


def test_silence_and_one_sample_can_be_listened_to(codec):
    for clip in (torch.zeros(1, 3200), torch.ones(1, 1) / 2):
        listening = Listening(codec, clip, codebooks=2)
        assert "2 of 4" in picture(listening)


def test_a_move_is_answered_within_a_tenth_of_a_second(panel):
    moves = [set_value(panel.codebooks, (i * 2 + 3) % 5) for i in range(30)]
    moves[1::2] = [set_value(panel.heard, list(HEARD)[i % 3]) for i in range(15)]
    assert seconds_of_a_move(moves) < 0.1


def test_a_wrong_move_is_one_sentence_and_changes_nothing(codec, audio):
    listening = Listening(codec, audio, codebooks=2)
    with pytest.raises(ValueError, match="the number of codebooks must be 0 to 4, not 5"):
        listening.move(codebooks=5)
    with pytest.raises(
        ValueError, match="nothing called 'C' to hear: choose one of original, reconstruction, residual"
    ):
        listening.move(codebooks=1, heard="C")
    assert (listening.codebooks, listening.heard) == (2, "reconstruction")
    with pytest.raises(ValueError, match="0 to 4, not -1"):
        Listening(codec, audio, codebooks=-1)


@pytest.mark.parametrize(
    ("clip", "told"),
    [
        (torch.zeros(16000), r"must have shape \[C, N\]"),
        (torch.zeros(2, 16000), "C"),
        (torch.full((1, 100), torch.nan), "NaN"),
        (torch.zeros(1, 100, dtype=torch.int16), "floating point"),
    ],
)
def test_what_is_no_clip_is_refused(codec, clip, told):
    with pytest.raises(ValueError, match=told):
        Listening(codec, clip)


def test_every_control_is_labelled(panel):
    assert [w.description for w in controls_of(panel)] == ["Codebooks used", "Listen to"]
    assert len(panel.heard.tooltips) == 3


def test_the_still_picture_has_both_players_and_no_script(codec, audio):
    page = still(Listening(codec, audio, codebooks=2)).data
    assert page.count("<audio controls") == 2
    for wanted in ("2 of 4 codebooks used", "A: original", "B: reconstruction, 2 codebooks", "still picture"):
        assert wanted in page
    assert "<script" not in page
    assert re.search(r'<svg [^>]*role="img" aria-label="[^"<>]+"', page)


def test_the_shipped_codec_gets_better_with_each_codebook():
    listening = Listening(read_codec("tiny"), torch.from_numpy(make_clip(32, 100).audio)[None])
    assert listening.left_over == sorted(listening.left_over, reverse=True)
    assert listening.left_over[0] > -1 > -8 > listening.left_over[4]
