"""Procedural captioned music: pieces drawn at random, played by a small synthesizer, described in varied words.

A `Piece` says what is true of a clip (timbre, tempo, key, drums), so what a caption promises can be measured in
the sound. Everything is made from a seed; nothing is downloaded.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cache

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


LEVELS = {"melody": 0.30, "chord": 0.10, "bass": 0.22, "drum": 0.5}
LONGEST = 4 * SAMPLE_RATE  # samples of a note that is rendered once and then cut


def render(notes: list[Note], frames: int, timbre: str) -> np.ndarray:
    """Play notes: float32 [N] in [-1, 1] at `SAMPLE_RATE` Hz, N = frames * `GRID`."""
    audio = np.zeros(frames * GRID, dtype=np.float32)
    for note in notes:
        sound = _note_sound(note, timbre)[: len(audio) - note.start * GRID]
        audio[note.start * GRID :][: len(sound)] += LEVELS[note.voice] * sound
    return np.tanh(audio)  # a soft limiter: the loudest moments are rounded, nothing clips


def _note_sound(note: Note, timbre: str) -> np.ndarray:
    if note.voice == "drum":
        return drum_sound(str(note.pitch))
    name = "bass" if note.voice == "bass" else timbre
    sound = tone(name, int(note.pitch))[: note.length * GRID].copy()
    release = min(GRID, len(sound))
    sound[-release:] *= np.linspace(1, 0, release, dtype=np.float32)
    return sound


@cache
def tone(timbre: str, pitch: int) -> np.ndarray:
    """One long note of a timbre (or of the "bass"): float32 [LONGEST], phase 0 at the start.

    Args:
        timbre: one of `TIMBRES`, or "bass".
        pitch: MIDI number, 69 is 440 Hz.

    Raises:
        ValueError: an unknown timbre.
    """
    time = np.arange(LONGEST) / SAMPLE_RATE
    frequency = 440.0 * 2 ** ((pitch - 69) / 12)
    octave = np.clip((pitch - 48) / 24, 0, 1)  # higher notes decay faster, as strings and bells do
    if timbre == "plucked string":
        partials = [(h, np.sin(np.pi * h / 4.2) / h, (2.2 + octave) * (0.7 + 0.5 * h)) for h in range(1, 9)]
        sound = 1.5 * _partials(time, frequency, partials) * _attack(time, 0.003)
    elif timbre == "bell":
        partials = [(1.0, 0.75, 1.2), (2.76, 0.5, 2.4), (5.4, 0.3, 5.0), (0.5, 0.12, 0.8)]
        sound = _partials(time, frequency, partials) * _attack(time, 0.002)
    elif timbre == "organ":
        partials = [(1, 0.55, 0.0), (2, 0.45, 0.0), (3, 0.25, 0.0), (4, 0.2, 0.0)]
        sound = 0.8 * _partials(time, frequency, partials) * _attack(time, 0.015)
    elif timbre == "saw":
        partials = [(h, 0.55 / h**0.8, 0.25) for h in range(1, 15)]
        sound = 0.75 * _partials(time, frequency, partials) * _attack(time, 0.008)
    elif timbre == "soft pad":
        tremolo = 1 - 0.35 * (0.5 - 0.5 * np.cos(2 * np.pi * 5.0 * time))  # a slow swell tells it from an organ
        sound = 1.1 * _partials(time, frequency, [(1, 0.8, 0.0), (2, 0.08, 0.0)]) * _attack(time, 0.16) * tremolo
    elif timbre == "bass":
        partials = [(1, 0.9, 0.8), (2, 0.35, 1.5), (3, 0.1, 3.0)]
        sound = _partials(time, frequency, partials) * _attack(time, 0.01)
    else:
        raise ValueError(f"unknown timbre {timbre!r}: expected one of {', '.join(TIMBRES)} or bass")
    return sound.astype(np.float32)


def _partials(time: np.ndarray, frequency: float, partials) -> np.ndarray:
    """Sum of decaying sines: (multiple of the frequency, amplitude, decay per second); none above 7 kHz."""
    sound = np.zeros_like(time)
    for multiple, amplitude, decay in partials:
        if multiple * frequency < 7000:
            sound += amplitude * np.exp(-decay * time) * np.sin(2 * np.pi * multiple * frequency * time)
    return sound


def _attack(time: np.ndarray, seconds: float) -> np.ndarray:
    return np.minimum(time / seconds, 1.0)


@cache
def drum_sound(name: str) -> np.ndarray:
    """One stroke of a drum machine, always the same: "kick", "snare" or "hat", float32 [N]."""
    time = np.arange(int(0.24 * SAMPLE_RATE)) / SAMPLE_RATE
    noise = np.random.default_rng(808).standard_normal(len(time))
    if name == "kick":
        phase = 2 * np.pi * (48 * time + (140 / 35) * (1 - np.exp(-35 * time)))  # 188 Hz falling to 48 Hz
        sound = np.sin(phase) * np.exp(-13 * time)
    elif name == "snare":
        sound = 0.5 * np.sin(2 * np.pi * 190 * time) * np.exp(-22 * time) + 0.28 * noise * np.exp(-24 * time)
    elif name == "hat":
        bright = np.diff(noise, prepend=0.0)  # a first difference keeps the high end
        sound = 0.16 * bright * np.exp(-70 * time)
    else:
        raise ValueError(f"unknown drum {name!r}: expected kick, snare or hat")
    return (sound * _attack(time, 0.001)).astype(np.float32)


WORDS = {
    "plucked string": ("plucked string", "plucked strings", "guitar", "harp", "pizzicato string"),
    "bell": ("bell", "bells", "music box", "glockenspiel", "chimes"),
    "organ": ("organ", "church organ", "pipe organ", "reed organ"),
    "saw": ("saw", "saw lead", "sawtooth synth", "buzzing synth", "bright synth"),
    "soft pad": ("soft pad", "warm pad", "ambient pad", "mellow pad", "pad"),
    "slow": ("slow", "calm", "slow and calm", "slow calm", "peaceful", "relaxed", "at 62 bpm"),
    "medium": ("medium tempo", "moderate", "walking pace", "mid-tempo", "steady", "at 94 bpm"),
    "fast": ("fast", "quick", "lively", "energetic", "fast and lively", "at 150 bpm"),
    "major": ("major", "happy", "cheerful", "bright-hearted", "joyful"),
    "minor": ("minor", "sad", "dark", "melancholic", "sorrowful"),
    True: ("with drums", "with a drum beat", "with percussion", "over a drum machine"),
    False: ("no drums", "without drums", "without percussion", "drumless", "no beat"),
}
NOUNS = ("melody", "tune", "piece", "song")


def caption(piece: Piece, rng: np.random.Generator, mention: float = 0.85) -> str:
    """Describe a piece in varied words; each attribute is named with probability `mention`, the timbre always."""

    def word(value: str | bool) -> str:
        return str(rng.choice(WORDS[value]))

    named = {name: bool(rng.random() < mention) for name in ("tempo", "mode", "drums")}
    key = rng.random() < 0.5
    timbre, noun = word(piece.timbre), str(rng.choice(NOUNS))
    tempo = word(piece.tempo) if named["tempo"] else ""
    mood = ""
    tail = []
    if key:
        tail.append(f"in {piece.tonic} {piece.mode}" if named["mode"] else f"in the key of {piece.tonic}")
    elif named["mode"]:
        mood = word(piece.mode)
        if mood in ("major", "minor"):
            tail.append(f"in a {mood} key")
            mood = ""
    if named["drums"]:
        tail.append(word(piece.drums))
    rng.shuffle(tail)
    if tempo.startswith("at "):
        tail.append(tempo)
        tempo = ""
    style = rng.integers(4)
    lead = [w for w in (tempo, mood) if w]
    rng.shuffle(lead)
    if style == 0:
        text = " ".join(["a", *lead, timbre, noun])
    elif style == 1:
        text = " ".join(["a", *lead, noun, "on a" if rng.random() < 0.5 else "played by", timbre])
    elif style == 2:
        text = " ".join([timbre, noun]) + "".join(f", {w}" for w in lead)
    else:
        text = " ".join([*lead, timbre])
    text = text.replace("a organ", "an organ").replace("a energetic", "an energetic").replace("a ambient", "an ambient")
    return text + "".join((" " if t.startswith("in ") and rng.random() < 0.5 else ", ") + t for t in tail)


@dataclass(frozen=True)
class Clip:
    """A piece, its caption and its sound: audio float32 [N] at `SAMPLE_RATE` Hz."""

    piece: Piece
    caption: str
    notes: list[Note]
    audio: np.ndarray


def make_clip(seed: int | np.random.SeedSequence, frames: int, piece: Piece | None = None) -> Clip:
    """Make one clip of `frames` * `GRID` samples from a seed; `piece` fixes what would be drawn."""
    if frames < 1:
        raise ValueError(f"a clip needs at least 1 frame of {GRID} samples, not {frames}")
    rng = np.random.default_rng(seed)
    drawn = random_piece(rng)
    piece = piece or drawn
    text = caption(piece, rng)
    notes = compose(piece, frames, rng)
    return Clip(piece, text, notes, render(notes, frames, piece.timbre))
