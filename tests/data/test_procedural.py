"""The procedural music: a caption may promise only what the sound keeps."""

from __future__ import annotations

import re

import numpy as np
import pytest

from musicgen_edu.data.captions import WORDS, caption
from musicgen_edu.data.pieces import GRID, MODES, SAMPLE_RATE, TEMPI, TIMBRES, TONICS, Piece, compose, random_piece
from musicgen_edu.data.procedural import make_clip
from musicgen_edu.data.synthesis import tone
from musicgen_edu.model.audio import chromagram


def test_a_seed_fixes_everything_and_another_changes_it():
    a, b, c = make_clip(1, 100), make_clip(1, 100), make_clip(2, 100)
    assert (a.caption, a.piece, a.notes) == (b.caption, b.piece, b.notes)
    assert np.array_equal(a.audio, b.audio)
    assert not np.array_equal(a.audio, c.audio)


@pytest.mark.parametrize("seed", range(20))
def test_audio_is_finite_within_bounds_and_never_silent_for_long(seed):
    clip = make_clip(seed, 256)
    assert clip.audio.shape == (256 * GRID,)
    assert clip.audio.dtype == np.float32
    assert np.isfinite(clip.audio).all()
    assert 0.2 < np.abs(clip.audio).max() <= 1
    blocks = clip.audio.reshape(-1, 16 * GRID)  # a third of a second each
    assert (np.abs(blocks).max(1) > 0.01).all()


@pytest.mark.parametrize("seed", range(20))
def test_notes_keep_scale_metre_and_grid(seed):
    rng = np.random.default_rng(seed)
    piece = random_piece(rng)
    notes = compose(piece, 512, rng)
    scale = {(TONICS[piece.tonic] + step) % 12 for step in MODES[piece.mode]}
    half = TEMPI[piece.tempo] // 2
    assert {note.voice for note in notes} == {"melody", "chord", "bass"} | ({"drum"} if piece.drums else set())
    for note in notes:
        assert note.start % half == 0
        assert 0 <= note.start < 512
        assert note.length > 0
        if note.voice != "drum":
            assert int(note.pitch) % 12 in scale
    bars = {note.start for note in notes if note.voice == "chord"}
    assert bars == set(range(0, 512, TEMPI[piece.tempo] * piece.metre))
    first_chord = {int(note.pitch) % 12 for note in notes if note.voice == "chord" and note.start == 0}
    third = 4 if piece.mode == "major" else 3
    assert first_chord == {(TONICS[piece.tonic] + step) % 12 for step in (0, third, 7)}


def claims(text: str) -> dict[str, set]:
    """What a caption says, read back by its words: the possible values of each attribute that it names."""
    found: dict[str, set] = {}
    attributes = {"timbre": TIMBRES, "tempo": tuple(TEMPI), "mode": tuple(MODES), "drums": (True, False)}
    for name, values in attributes.items():
        words = [(word, value) for value in values for word in WORDS[value]]
        rest = text
        for word, value in sorted(words, key=lambda pair: -len(pair[0])):  # the longest first: "soft pad" before "pad"
            pattern = rf"(?<![\w-]){re.escape(word)}(?![\w-])"
            if re.search(pattern, rest):
                found.setdefault(name, set()).add(value)
                rest = re.sub(pattern, " ", rest)
    tonic = re.search(r"\bin (?:the key of )?([CDE])\b", text)
    return found | ({"tonic": {tonic[1]}} if tonic else {})


def test_a_caption_never_promises_what_is_not_true():
    rng = np.random.default_rng(0)
    named = dict.fromkeys(("timbre", "tempo", "mode", "drums", "tonic"), 0)
    for _ in range(3000):
        piece = random_piece(rng)
        for name, values in claims(caption(piece, rng)).items():
            assert values == {getattr(piece, name)}, name
            named[name] += 1
    assert named["timbre"] == 3000
    for name in ("tempo", "mode", "drums"):
        assert 0.8 < named[name] / 3000 < 0.9, name
    assert 0.45 < named["tonic"] / 3000 < 0.55


def test_captions_vary():
    rng = np.random.default_rng(0)
    piece = Piece("bell", "slow", "C", "minor", False)
    texts = {caption(piece, rng) for _ in range(500)}
    assert len(texts) > 400
    assert not any(
        re.search(r"\ba (?=[aeio])|\ban (?![aeio])|  |,,", text)
        for text in texts | {caption(random_piece(rng), rng) for _ in range(2000)}
    )


@pytest.mark.parametrize("timbre", [*TIMBRES, "bass"])
@pytest.mark.parametrize("pitch", [48, 57, 69])
def test_a_tone_has_its_pitch(timbre, pitch):
    spectrum = np.abs(np.fft.rfft(tone(timbre, pitch)[: 2 * SAMPLE_RATE]))
    frequency = 440 * 2 ** ((pitch - 69) / 12)
    peak = np.fft.rfftfreq(2 * SAMPLE_RATE, 1 / SAMPLE_RATE)[spectrum.argmax()]
    assert min(abs(peak / frequency / multiple - 1) for multiple in (1, 2)) < 0.01


def test_the_key_is_heard():
    clip = make_clip(3, 400, Piece("organ", "slow", "D", "minor", False))
    pitch_classes = chromagram(clip.audio, SAMPLE_RATE).mean(1)
    in_scale = [(2 + step) % 12 for step in MODES["minor"]]
    out_of_scale = [p for p in range(12) if p not in in_scale]
    assert pitch_classes[in_scale].mean() > 3 * pitch_classes[out_of_scale].mean()


def test_bad_requests_are_named():
    with pytest.raises(ValueError, match="at least 1 frame"):
        make_clip(0, 0)
    with pytest.raises(ValueError, match="unknown timbre 'kazoo'"):
        tone("kazoo", 60)
