"""Captions: what is true of a piece, in varied words."""

from __future__ import annotations

import numpy as np

from .pieces import Piece

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
