"""The units of the pattern comparison: one model each, by experiment, pattern and seed; done once, kept in a file.

Two kinds of codes: those of a synthetic source, for which the best possible value is known for each pattern, and those
of procedural music by the shipped codec. A unit's file is written when it is done, so a comparison that is stopped goes
on with the units that are missing, and several processes can share the work.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from ...checkpoints.load import read_codec
from ...evaluation.probes import features_of
from ...evaluation.reconstruction import decoded
from ...files import replace_when_complete, write_text
from ...model.encodec import EncodecModel
from ...model.patterns import PATTERNS, num_steps, pattern_table
from ...training.clip_sources import ProceduralClips
from ...training.lm_data import cache_codes
from .synthetic_codes import StickySource, exact_nats
from .training import (
    FRAME_RATE,
    CodeData,
    Terms,
    generate,
    generation_seconds,
    synthetic_data,
    train_pattern,
    window_data,
)

FOLDER = Path("runs/pattern-comparison")
FOUR = ("parallel", "delay", "coarse-first", "flattening")
SOURCE = StickySource()
TRAIN_SEED, VALIDATION_SEED = 31, 32  # no other clips of the course have them
TRAIN_CLIPS, VALIDATION_CLIPS, CLIP_FRAMES = 1024, 128, 250  # clips of 5 s
GENERATED = 64  # clips that each model generates
TOP_K = 250  # in generating music, as in the paper


@dataclass(frozen=True)
class Experiment:
    """Which codes, in windows of how many frames, for which patterns and seeds, on which terms."""

    codes: str  # "synthetic" or "music"
    frames: int
    terms: Terms
    patterns: tuple[str, ...] = FOUR
    seeds: tuple[int, ...] = (0, 1, 2)


EXPERIMENTS = {
    "synthetic": Experiment("synthetic", 32, Terms(layers=2, checks=(50, 100, 200, 400)), tuple(PATTERNS)),
    "music": Experiment("music", 128, Terms(batch=8, bfloat16=True)),
    "music-muon": Experiment("music", 128, Terms(batch=8, bfloat16=True, learning_rate=5e-3, muon=True)),
    "music-wide": Experiment(
        "music", 128, Terms(dim=128, batch=8, bfloat16=True, learning_rate=5e-3, muon=True), seeds=(0,)
    ),
}


def unit_name(experiment: str, pattern: str, seed: int) -> str:
    """A unit's name, which is that of its files."""
    return f"{experiment}-{pattern.replace(' ', '-')}-{seed}"


def units(experiments: dict[str, Experiment] = EXPERIMENTS) -> dict[str, tuple[str, str, int]]:
    """All units by name: experiment, pattern, seed. Seed by seed, so that a stopped run has whole comparisons."""
    return {
        unit_name(name, pattern, seed): (name, pattern, seed)
        for name, experiment in experiments.items()
        for seed in experiment.seeds
        for pattern in experiment.patterns
    }


@cache
def shipped_codec() -> EncodecModel:
    """The codec that comes with the package, on the CPU."""
    return read_codec("tiny")


def music_codes(folder: Path = FOLDER) -> dict[str, Tensor]:
    """Codes of procedural music, made once and cached: `train` and `validation`, int16 [N, K, T]."""
    parts = {
        "train": ProceduralClips(TRAIN_SEED, TRAIN_CLIPS, CLIP_FRAMES),
        "validation": ProceduralClips(VALIDATION_SEED, VALIDATION_CLIPS, CLIP_FRAMES),
    }
    return {
        name: cache_codes(folder / "codes" / name, source, shipped_codec(), CLIP_FRAMES).codes
        for name, source in parts.items()
    }


def sound_features(codes: Tensor) -> Tensor:
    """`clip_features` of codes [N, K, T], decoded by the shipped codec: float32 [N, F]."""
    codec = shipped_codec()
    return torch.from_numpy(features_of(decoded(codec, codes), codec.config.sampling_rate)).float()


def sound_distance(features: Tensor, reference: Tensor) -> float:
    """How far apart the sounds of two sets of clips are: a Fréchet distance over [N, F] and [M, F] features.

    Each feature is a normal distribution of its own, in units of the reference's deviation (a full covariance would
    need far more clips than features); the mean over the features. 0 is equal; the smaller, the closer.
    """
    scale = reference.std(0).clamp(min=1e-3)
    means = (features.mean(0) - reference.mean(0)) / scale
    deviations = (features.std(0) - reference.std(0)) / scale
    return float((means.square() + deviations.square()).mean())


def distance_to_music(codes: Tensor, reference: Tensor, folder: Path = FOLDER) -> float:
    """`sound_distance` of generated codes [N, K, T] to those of real windows [M, K, T], whose features are cached."""
    path = folder / f"features-{reference.shape[2]}.safetensors"
    if not path.exists():
        with replace_when_complete(path) as temporary:
            save_file({"features": sound_features(reference)}, temporary)
    return sound_distance(sound_features(codes), load_file(path)["features"])


def unigram_nats(train: Tensor, validation: Tensor, codebook_size: int) -> Tensor:
    """What a model pays that knows only how often each code occurs: mean nats of each codebook, float64 [K].

    Args:
        train: codes [N, K, T] to count; each code is counted once more, so that none is impossible.
        validation: codes [M, K, T] to pay for.
    """
    nats = []
    for k in range(train.shape[1]):
        counts = torch.bincount(train[:, k].flatten().long(), minlength=codebook_size).double() + 1
        nats.append(-(counts / counts.sum()).log()[validation[:, k].long()].mean())
    return torch.stack(nats)  # [K]


def data_for(experiment: Experiment, folder: Path = FOLDER) -> CodeData:
    """The codes of an experiment."""
    if experiment.codes == "synthetic":
        return synthetic_data(SOURCE, experiment.frames, clips=512)
    if experiment.codes != "music":
        raise ValueError(f"codes must be 'synthetic' or 'music', not {experiment.codes!r}")
    codes, V = music_codes(folder), shipped_codec().config.codebook_size
    return window_data(codes["train"], codes["validation"], experiment.frames, V)


def run_unit(
    experiment: Experiment, pattern: str, seed: int, data: CodeData, folder: Path = FOLDER
) -> tuple[dict, Tensor]:
    """Train one model, measure it, and generate with it.

    Returns:
        what `train_pattern` measured, with `pattern`, `seed`, `terms`, `steps_per_second` (of music) and
        `generation` (processor seconds for a second of music); for the synthetic source also `exact` (the best
        possible nats a frame) and `sample` (what the source pays for a frame of what the model generates); for
        music `sound` (the `sound_distance` of what the model generates to the validation windows).
        And the generated codes, int16 [GENERATED, K, T].
    """
    model, measured = train_pattern(data, pattern, experiment.terms, seed)
    frames, K = experiment.frames, data.validation.shape[1]
    step = pattern_table(pattern, K, frames)
    synthetic = experiment.codes == "synthetic"
    made = generate(model, pattern, frames, list(range(GENERATED)), top_k=0 if synthetic else TOP_K)
    result = {"pattern": pattern, "seed": seed, "frames": frames, "terms": asdict(experiment.terms)} | measured
    result["steps_per_second"] = FRAME_RATE * num_steps(step) / frames
    result["generation"] = generation_seconds(model, pattern, frames)
    if synthetic:
        result["exact"] = float(exact_nats(SOURCE, step).sum()) / frames
        result["sample"] = float(SOURCE.nats(made).sum(1).mean())
    else:
        result["sound"] = distance_to_music(made, data.validation, folder)
    return result, made.short()


def finished(path: Path, experiment: Experiment) -> bool:
    """Whether a unit's file is there.

    Raises:
        ValueError: it is there, but made on other terms.
    """
    if not path.exists():
        return False
    terms = json.loads(json.dumps(asdict(experiment.terms)))
    if json.loads(path.read_text())["terms"] != terms:
        raise ValueError(f"{path} was made on other terms than {terms}: remove it to do it again")
    return True


def do_unit(
    name: str,
    folder: Path = FOLDER,
    experiments: dict[str, Experiment] = EXPERIMENTS,
    source: Callable[[Experiment, Path], CodeData] = data_for,
) -> bool:
    """Do a unit unless it is done, and write its results and its clips below `folder`. Returns whether it was done now.

    Raises:
        ValueError: there is no such unit, or its file was made on other terms.
    """
    known = units(experiments)
    if name not in known:
        raise ValueError(f"no unit {name!r}: expected one of {', '.join(known)}")
    experiment, pattern, seed = experiments[known[name][0]], *known[name][1:]
    path = folder / f"{name}.json"
    if finished(path, experiment):
        return False
    result, made = run_unit(experiment, pattern, seed, source(experiment, folder), folder)
    with replace_when_complete(path.with_suffix(".safetensors")) as temporary:
        save_file({"codes": made}, temporary)
    write_text(path, json.dumps(result | {"experiment": known[name][0]}))  # last: it says that the unit is done
    return True
