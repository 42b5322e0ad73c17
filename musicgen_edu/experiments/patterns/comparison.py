"""The patterns compared: what the units found, summed up over the seeds, and written to assets/measurements."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

import torch
from safetensors.torch import load_file, save_file

from ...files import asset, replace_when_complete, write_text
from ...model.patterns import pattern_table
from ...training.runs import Report
from ..pages import write_below_mark
from .report import comparison_report
from .synthetic_codes import StickySource, exact_nats
from .training import CodeData, Terms, generator_for, synthetic_data, train_pattern
from .units import (
    EXPERIMENTS,
    FOLDER,
    FOUR,
    GENERATED,
    Experiment,
    data_for,
    distance_to_music,
    finished,
    music_codes,
    unigram_nats,
    unit_name,
    units,
)

NAME = "pattern_comparison"


def compare(
    data: CodeData, patterns: Sequence[str], terms: Terms, seeds: Sequence[int] = (0,), report: Report | None = None
) -> list[dict]:
    """Train a model under each pattern and from each seed: what `train_pattern` measured, with `pattern` and `seed`."""
    return [
        {"pattern": pattern, "seed": seed} | train_pattern(data, pattern, terms, seed, report)[1]
        for seed in seeds
        for pattern in patterns
    ]


def quick_comparison() -> list[dict]:
    """A comparison in seconds: a small synthetic source, small models; each result also has `exact`, nats a frame."""
    source, frames = StickySource(V=8), 16
    terms = Terms(dim=32, layers=2, checks=(25, 50, 100), learning_rate=5e-3)
    results = compare(synthetic_data(source, frames), FOUR, terms)
    for result in results:
        step = pattern_table(result["pattern"], source.K, frames)
        result["exact"] = float(exact_nats(source, step).sum()) / frames
    return results


def spread(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and standard deviation over seeds (n - 1 below); of a single value there is no deviation."""
    return {"mean": mean(values), "deviation": stdev(values) if len(values) > 1 else None}


def summarize(results: list[dict]) -> dict[str, dict]:
    """What each pattern reached, over the seeds, from results of `compare` or of units.

    Returns:
        by pattern: `seeds`, `parameters`, `codes` (seen at each check), `nats` (per frame at each check, `spread`),
        `per_codebook` (mean at the end, [K]), `behind_delay` (nats a frame above delay's with the same seed, at each
        check), `cpu` and `wall` (seconds of training), and the unit's other figures.
    """
    summary = {}
    nats = {(r["pattern"], r["seed"]): [sum(check["nats"]) for check in r["checks"]] for r in results}
    for pattern in dict.fromkeys(r["pattern"] for r in results):
        own = [r for r in results if r["pattern"] == pattern]
        seeds, last = [r["seed"] for r in own], [r["checks"][-1] for r in own]
        summary[pattern] = {
            "seeds": seeds,
            "parameters": own[0]["parameters"],
            "codes": [check["codes"] for check in own[0]["checks"]],
            "nats": [spread(values) for values in zip(*(nats[pattern, s] for s in seeds), strict=True)],
            "per_codebook": [mean(values) for values in zip(*(check["nats"] for check in last), strict=True)],
            "cpu": spread([check["cpu"] for check in last]),
            "wall": spread([check["wall"] for check in last]),
        }
        if all(("delay", s) in nats for s in seeds):
            behind = [[a - b for a, b in zip(nats[pattern, s], nats["delay", s], strict=True)] for s in seeds]
            summary[pattern]["behind_delay"] = [spread(values) for values in zip(*behind, strict=True)]
        for name in ("exact", "steps_per_second"):
            if name in own[0]:
                summary[pattern][name] = own[0][name]
        for name in ("generation", "sample", "sound"):
            if name in own[0]:
                summary[pattern][name] = spread([r[name] for r in own])
    return summary


def missing_units(folder: Path = FOLDER) -> list[str]:
    """The names of the units that are not done yet."""
    return [n for n, u in units().items() if not finished(folder / f"{n}.json", EXPERIMENTS[u[0]])]


def references(experiment: Experiment, folder: Path = FOLDER) -> dict[str, float]:
    """What figures can be held against.

    Returns:
        nats a frame of who knows nothing (`uniform`) and of who knows only how often each code occurs (`unigram`); for
        music `real_sound`, the distance in sound of real windows that are not those of the validation.
    """
    data = data_for(experiment, folder)
    counted = data.draw(2048, generator_for(0, 0))
    unigram = unigram_nats(counted, data.validation, data.codebook_size).sum()
    known = {"uniform": data.validation.shape[1] * math.log(data.codebook_size), "unigram": float(unigram)}
    if experiment.codes == "music":
        known["real_sound"] = distance_to_music(counted[:GENERATED], data.validation, folder)
    return known


def gather(folder: Path = FOLDER) -> dict[str, dict]:
    """The comparison so far, by experiment; of each those seeds for which every pattern is done."""
    comparison = {}
    for name, experiment in EXPERIMENTS.items():
        results = []
        for seed in experiment.seeds:
            paths = [folder / f"{unit_name(name, pattern, seed)}.json" for pattern in experiment.patterns]
            if all(finished(path, experiment) for path in paths):
                results += [json.loads(path.read_text()) for path in paths]
        if results:
            comparison[name] = {
                "codes": experiment.codes,
                "frames": experiment.frames,
                "terms": results[0]["terms"],
                "references": references(experiment, folder),
                "patterns": summarize(results),
            }
    return comparison


def load_comparison() -> dict[str, dict]:
    """The stored results: what `gather` gave when --write was run last."""
    return json.loads(asset("measurements", f"{NAME}.json").read_text())


def load_clips() -> dict[str, torch.Tensor]:
    """A clip of each pattern, as codes int64 [K, T] for the shipped codec, and a real one as "real"."""
    return {name: codes.long() for name, codes in load_file(asset("measurements", f"{NAME}_clips.safetensors")).items()}


def chosen_clips(folder: Path, experiment: str) -> dict[str, torch.Tensor]:
    """The first clip of each pattern's first model of one experiment, int16 [K, T]: not the best, the first."""
    clips = {}
    for pattern in EXPERIMENTS[experiment].patterns:
        clips[pattern] = load_file(folder / f"{unit_name(experiment, pattern, 0)}.safetensors")["codes"][0]
    real = music_codes(folder)["validation"][0, :, : EXPERIMENTS[experiment].frames]
    return {name: codes.contiguous() for name, codes in (clips | {"real": real}).items()}


def write(folder: Path = FOLDER, experiment: str = "music-muon") -> None:
    """Write figures, tables and clips; the text above the mark in the markdown file stays."""
    comparison = gather(folder)
    write_text(asset("measurements", f"{NAME}.json"), json.dumps(comparison, indent=1) + "\n")
    write_below_mark(asset("measurements", f"{NAME}.md"), comparison_report(comparison))
    if experiment in comparison:
        with replace_when_complete(asset("measurements", f"{NAME}_clips.safetensors")) as temporary:
            save_file(chosen_clips(folder, experiment), temporary)
