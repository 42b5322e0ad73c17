"""Pieces drawn at random, and their notes: melody, chords, bass and drums over real scales and metres.

A `Piece` says what is true of a clip (timbre, tempo, key, drums), so what a caption promises can be measured in
the sound.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

SAMPLE_RATE = 16000  # Hz
GRID = 320  # samples: one codec frame. Every note starts on this grid.

TIMBRES = ("plucked string", "bell", "organ", "saw", "soft pad")
TEMPI = {"slow": 48, "medium": 32, "fast": 20}  # codec frames a beat: 62.5, 93.75 and 150 beats per minute
TONICS = {"C": 60, "D": 62, "E": 64}  # MIDI numbers
MODES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}  # semitones above the tonic
PROGRESSIONS = {  # scale degrees of the chords, one a bar
    "major": ((0, 3, 4, 0), (0, 5, 3, 4), (0, 4, 5, 3), (0, 0, 3, 4)),
    "minor": ((0, 3, 4, 0), (0, 5, 2, 6), (0, 6, 5, 4), (0, 0, 3, 4)),
}
# One bar of melody in halves of a beat: (start, length), for bars of three and of four beats.
RHYTHMS = {
    4: (
        ((0, 2), (2, 2), (4, 2), (6, 2)),
        ((0, 4), (4, 2), (6, 2)),
        ((0, 2), (2, 1), (3, 1), (4, 4)),
        ((0, 3), (3, 1), (4, 4)),
    ),
    3: (((0, 2), (2, 2), (4, 2)), ((0, 4), (4, 2)), ((0, 2), (2, 1), (3, 1), (4, 2))),
}


@dataclass(frozen=True)
class Note:
    """One note: start and length in frames of `GRID` samples, MIDI pitch (or drum name), voice."""

    start: int
    length: int
    pitch: int | str
    voice: str  # "melody", "chord", "bass" or "drum"


@dataclass(frozen=True)
class Piece:
    """What is true of a clip. The caption promises some of it; `metre` is never promised."""

    timbre: str
    tempo: str
    tonic: str
    mode: str
    drums: bool
    metre: int = 4

    def attributes(self) -> dict[str, str | bool]:
        """The promised attributes by name: timbre, tempo, tonic, mode, drums."""
        attributes = asdict(self)
        del attributes["metre"]
        return attributes


def random_piece(rng: np.random.Generator) -> Piece:
    """Draw every attribute independently; one piece in four is in three."""
    return Piece(
        timbre=str(rng.choice(TIMBRES)),
        tempo=str(rng.choice(list(TEMPI))),
        tonic=str(rng.choice(list(TONICS))),
        mode=str(rng.choice(list(MODES))),
        drums=bool(rng.random() < 0.5),
        metre=3 if rng.random() < 0.25 else 4,
    )


def scale_pitch(piece: Piece, degree: int) -> int:
    """MIDI pitch of a scale degree: 0 is the tonic, 7 the tonic an octave above, -1 the note below."""
    octave, step = divmod(degree, 7)
    return TONICS[piece.tonic] + 12 * octave + MODES[piece.mode][step]


def compose(piece: Piece, frames: int, rng: np.random.Generator) -> list[Note]:
    """Write the notes of a piece: a two-bar motif that is varied, a triad a bar, a bass, and drums if wanted.

    Args:
        piece: what must be true.
        frames: length of the clip in frames of `GRID` samples.
        rng: draws melody, rhythm and progression.

    Returns:
        the notes that start within the clip.
    """
    beat = TEMPI[piece.tempo]
    bar = beat * piece.metre
    progression = PROGRESSIONS[piece.mode][rng.integers(len(PROGRESSIONS[piece.mode]))]
    rhythms = RHYTHMS[piece.metre]
    motif = [rhythms[i] for i in rng.integers(len(rhythms), size=2)]
    contour = [int(c) for c in rng.integers(-2, 3, size=16)]  # melodic steps, the same in every pair of bars
    notes: list[Note] = []
    for index in range(-(-frames // bar)):
        start, root = index * bar, progression[index % len(progression)]
        notes += _melody_bar(piece, start, root, motif[index % 2], contour[8 * (index % 2) :])
        notes += [Note(start, bar, scale_pitch(piece, root + third) - 12, "chord") for third in (0, 2, 4)]
        notes += [Note(start, 2 * beat, scale_pitch(piece, root) - 24, "bass")]
        notes += [Note(start + 2 * beat, (piece.metre - 2) * beat, scale_pitch(piece, root + 4) - 24, "bass")]
        if piece.drums:
            notes += _drum_bar(piece, start, beat)
    return [note for note in notes if note.start < frames]


def _melody_bar(piece: Piece, start: int, root: int, rhythm, contour) -> list[Note]:
    half = TEMPI[piece.tempo] // 2
    notes, degree = [], root + 4 if root < 4 else root
    for position, ((offset, length), step) in enumerate(zip(rhythm, contour, strict=False)):
        if position:
            degree = min(max(degree + step, 0), 9)
        notes.append(Note(start + offset * half, length * half, scale_pitch(piece, degree), "melody"))
    return notes


def _drum_bar(piece: Piece, start: int, beat: int) -> list[Note]:
    notes = [Note(start + i * beat // 2, beat // 2, "hat", "drum") for i in range(2 * piece.metre)]
    kicks, snares = ((0, 2), (1, 3)) if piece.metre == 4 else ((0,), (1, 2))
    notes += [Note(start + i * beat, beat, "kick", "drum") for i in kicks]
    notes += [Note(start + i * beat, beat, "snare", "drum") for i in snares]
    return notes
