"""What the shipped model can do, measured on fixed sets: the tables of assets/tiny/README.md."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from ...checkpoints.locate import find
from ...data.captions import caption
from ...data.pieces import random_piece
from ...data.procedural import Clip, make_clips, sounds_of
from ...evaluation.probes import AttributeProbe, features_of
from ...evaluation.reconstruction import decoded, encoded
from ...fast.quick import QuickLM
from ...model.generation import generate_codes
from ...model.sampling import Sampling
from ...musicgen import MusicGen
from ..codec_report import HELD_OUT_SEED, codec_table
from ..pages import table, write_below_mark
from .odd_dress import dressed

CAPTION_SEED, PROBE_SEED, DRESS_SEED = 12, 13, 14  # none is used in training
FRAMES = 400  # 8 s
PROBED, HELD_OUT, CAPTIONS = 600, 256, 300  # clips that the probe learns from, other real ones, generated ones
BATCH = 50  # captions at a time
CHANCE = {"timbre": 1 / 5, "tempo": 1 / 3, "tonic": 1 / 3, "mode": 1 / 2, "drums": 1 / 2}
SCALES = (1.0, 2.0, 3.0, 5.0)


def promised(text: str) -> set[str]:
    """Which attributes a caption with every mention names: all but the tonic, which may be left out."""
    names = {"timbre", "tempo", "mode", "drums"}
    return names | {"tonic"} if re.search(r"\bin (the key of )?[CDE]\b", text) else names


def fit_probe(clips: Sequence[Clip], copies: Tensor, sample_rate: int) -> AttributeProbe:
    """Classifiers trained on clips, and on the sounds [B, N] of the first of them after the codec's way."""
    attributes = [clip.piece.attributes() for clip in clips]
    features = features_of([*sounds_of(clips), *copies], sample_rate)
    return AttributeProbe().fit(features, attributes + attributes[: len(copies)])


def through_codec(model: MusicGen, clips: Sequence[Clip]) -> Tensor:
    """The sounds of clips after the codec's way to codes and back: [B, N]."""
    return decoded(model.codec, encoded(model.codec, sounds_of(clips)))


def accuracy(found: list[dict], wanted: list[dict], counts: Callable[[int, str], bool]) -> dict[str, float]:
    """Share of clips that have the wanted attribute, over the clips for which `counts(i, name)` is true."""
    return {
        name: float(
            np.mean([f[name] == w[name] for i, (f, w) in enumerate(zip(found, wanted, strict=True)) if counts(i, name)])
        )
        for name in CHANCE
    }


def judged(probe: AttributeProbe, sounds: Tensor, sample_rate: int) -> list[dict]:
    """What the probe hears in sounds [B, N]: the attributes of each."""
    return probe.predict(features_of(sounds, sample_rate))


def real_rows(model: MusicGen, probe: AttributeProbe) -> dict[str, dict[str, float]]:
    """How often the probe hears the attributes of real clips: as they are, and through the codec, the ceiling."""
    clips = make_clips(HELD_OUT_SEED, HELD_OUT, FRAMES)
    attributes = [clip.piece.attributes() for clip in clips]
    heard = {
        "the generator's own clips": judged(probe, sounds_of(clips), model.sample_rate),
        "their reconstructions (ceiling)": judged(probe, through_codec(model, clips), model.sample_rate),
    }
    rows = {"chance": CHANCE}
    rows |= {name: accuracy(found, attributes, lambda i, name: True) for name, found in heard.items()}
    ceiling = rows["their reconstructions (ceiling)"]
    return rows | {"two thirds of the way": {n: CHANCE[n] + 2 / 3 * (ceiling[n] - CHANCE[n]) for n in CHANCE}}


def held_out_captions() -> tuple[list[str], list[dict], np.ndarray]:
    """The captions that are judged, the attributes of their pieces, and a permutation for the control."""
    rng = np.random.default_rng(CAPTION_SEED)
    pieces = [random_piece(rng) for _ in range(CAPTIONS)]
    texts = [caption(piece, rng, mention=1.0) for piece in pieces]
    return texts, [piece.attributes() for piece in pieces], rng.permutation(CAPTIONS)


def in_odd_dress(texts: Sequence[str]) -> list[str]:
    """The same captions as a person might type them."""
    rng = np.random.default_rng(DRESS_SEED)
    return [dressed(text, rng) for text in texts]


def heard_in(model: MusicGen, probe: AttributeProbe, texts: Sequence[str], scale: float) -> list[dict]:
    """What the probe hears in a clip for each text; the seed is the number of the text."""
    found = []
    for i in range(0, len(texts), BATCH):
        condition = model.condition(texts[i : i + BATCH])
        seeds = list(range(i, i + len(condition.states)))
        codes = generate_codes(QuickLM(model.lm), FRAMES, seeds, condition, Sampling(guidance_scale=scale))
        found += judged(probe, decoded(model.codec, codes), model.sample_rate)
    return found


def kept(found: list[dict], wanted: list[dict], texts: Sequence[str]) -> dict[str, float]:
    """Share of clips that have what their captions promise."""
    names = [promised(text) for text in texts]
    return accuracy(found, wanted, lambda i, name: name in names[i])


def generated_rows(model: MusicGen, probe: AttributeProbe) -> dict[str, dict[str, float]]:
    """How often generated clips have what their caption promises, by guidance scale.

    At guidance 3 also: what another caption promises, and what the same captions in odd dress do.
    """
    texts, wanted, shuffled = held_out_captions()
    found = {scale: heard_in(model, probe, texts, scale) for scale in SCALES}
    rows = {f"guidance {scale:g}": kept(found[scale], wanted, texts) for scale in SCALES}
    others = [wanted[j] for j in shuffled], [texts[j] for j in shuffled]
    return rows | {
        "guidance 3, captions shuffled": kept(found[3.0], *others),
        "guidance 3, captions in odd dress": kept(heard_in(model, probe, in_odd_dress(texts), 3.0), wanted, texts),
    }


def dress_rows(model: MusicGen, probe: AttributeProbe) -> dict[str, dict[str, float]]:
    """Two rows of the table: guidance 3, and the same captions in odd dress."""
    texts, wanted, _ = held_out_captions()
    ways = {"guidance 3": texts, "guidance 3, captions in odd dress": in_odd_dress(texts)}
    return {name: kept(heard_in(model, probe, given, 3.0), wanted, texts) for name, given in ways.items()}


def caption_table(model: MusicGen, dress_only: bool = False) -> str:
    """How often a generated clip has what its caption promises, between chance and ceiling; or two rows of it."""
    clips = make_clips(PROBE_SEED, PROBED, FRAMES)
    probe = fit_probe(clips, through_codec(model, clips), model.sample_rate)
    rows = dress_rows(model, probe) if dress_only else real_rows(model, probe) | generated_rows(model, probe)
    cells = [[title, *(f"{values[name]:.2f}" for name in CHANCE)] for title, values in rows.items()]
    return table(["", *CHANCE], cells)


def report(name: str, write: bool) -> None:
    """Measure a model and print the tables; with `write` also into the README beside it."""
    model = MusicGen.from_pretrained(name, device="cpu")
    clips = sounds_of(make_clips(HELD_OUT_SEED, HELD_OUT, FRAMES))
    text = (
        f"### Codec: {HELD_OUT} held-out clips of 8 s\n\n{codec_table(model.codec, clips)}\n\n"
        f"### Captions: {CAPTIONS} held-out captions, clips of 8 s, top-k 250\n\n{caption_table(model)}\n"
    )
    print(text)
    if write:
        write_below_mark(Path(find(name)) / "README.md", text)


def dress_report(name: str) -> None:
    """Print the two rows that say what odd dress costs a caption."""
    print(caption_table(MusicGen.from_pretrained(name, device="cpu"), dress_only=True))
