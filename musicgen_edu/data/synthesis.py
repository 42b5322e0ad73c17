"""A small synthesizer: notes to sound. Five timbres, a bass and a drum machine, made of decaying sines and noise."""

from __future__ import annotations

from functools import cache

import numpy as np

from .pieces import GRID, SAMPLE_RATE, TIMBRES, Note

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
