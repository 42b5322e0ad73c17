"""The pattern comparison in words and tables: markdown from what `comparison.gather` gives."""

from __future__ import annotations

from ..pages import table

# Copet et al. 2023, table 4: steps for 30 s, Fréchet audio distance, KL, CLAP, listeners' quality and relevance.
PAPER = {
    "delay": (1500, 0.96, 0.52, 0.35, 79.69, 79.67),
    "partial delay": (1500, 1.51, 0.54, 0.32, 79.13, 79.67),
    "parallel": (1500, 2.58, 0.62, 0.27, 72.21, 80.30),
    "partial flattening": (3000, 1.32, 0.54, 0.34, 78.56, 79.18),
    "coarse-first": (3000, 1.98, 0.56, 0.30, 74.42, 76.55),
    "flattening": (6000, 0.86, 0.51, 0.37, 79.71, 82.03),
}
COLUMNS = {  # of our table: heading, key, digits
    "best possible": ("exact", 2),
    "cost of its samples": ("sample", 2),
    "distance in sound": ("sound", 2),
    "training, CPU s": ("cpu", 0),
    "generation, CPU s per s": ("generation", 2),
}


def with_deviation(value: dict | float, digits: int = 2) -> str:
    """A mean and its standard deviation over seeds as text; a number as it is."""
    if not isinstance(value, dict):
        return f"{value:.{digits}f}"
    deviation = "" if value["deviation"] is None else f" ± {value['deviation']:.{digits}f}"
    return f"{value['mean']:.{digits}f}{deviation}"


def curve_table(patterns: dict[str, dict], key: str = "nats") -> str:
    """Nats a frame (or how far behind delay) by the millions of codes seen."""
    codes = next(iter(patterns.values()))["codes"]
    rows = [[name, *(with_deviation(v, 3) for v in p[key])] for name, p in patterns.items() if key in p]
    return table(["pattern", *(f"{c / 1e6:.2f} M codes" for c in codes)], rows)


def end_table(patterns: dict[str, dict], paper: bool) -> str:
    """What each pattern reached at the end and what it took, with the paper's figures beside it if wanted."""
    first = next(iter(patterns.values()))
    columns = {heading: spec for heading, spec in COLUMNS.items() if spec[0] in first}
    headings = ["pattern", "nats a frame", *(f"k{k}" for k in range(len(first["per_codebook"]))), *columns]
    if "steps_per_second" in first:
        headings.append("steps per s")
    if paper:
        headings += ["paper: steps for 30 s", "FAD", "KL", "CLAP", "OVL", "REL"]
    rows = []
    for name, p in patterns.items():
        row = [name, with_deviation(p["nats"][-1], 3), *(f"{v:.2f}" for v in p["per_codebook"])]
        row += [with_deviation(p[key], digits) for key, digits in columns.values()]
        if "steps_per_second" in first:
            row.append(f"{p['steps_per_second']:.0f}")
        rows.append(row + ([f"{v:g}" for v in PAPER[name]] if paper else []))
    return table(headings, rows)


def experiment_report(name: str, experiment: dict) -> str:
    """One experiment: its terms, the end, and the course of the validation."""
    patterns = experiment["patterns"]
    first = next(iter(patterns.values()))
    terms = experiment.get("terms")
    about = f"{len(first['seeds'])} seed{'s' if len(first['seeds']) > 1 else ''}, {first['parameters']:,} parameters"
    if terms:
        about += (
            f", width {terms['dim']}, {terms['layers']} layers, windows of {experiment['frames']} frames, batches of "
            f"{terms['batch']}, {terms['checks'][-1]} updates by {'Muon' if terms['muon'] else 'AdamW'}"
        )
    known = experiment.get("references", {})
    if known:
        about += f". Nats a frame of who knows nothing: {known['uniform']:.2f}; of who knows only how often each code "
        about += f"occurs: {known['unigram']:.2f}"
    if "real_sound" in known:
        about += f". Distance in sound of other real clips: {known['real_sound']:.2f}"
    parts = [f"### {name}", about + ".", end_table(patterns, paper=experiment["codes"] == "music")]
    parts += ["Validation, nats a frame:", curve_table(patterns)]
    if "behind_delay" in first:
        parts += ["Above delay with the same seed, nats a frame:", curve_table(patterns, "behind_delay")]
    return "\n\n".join(parts)


def comparison_report(comparison: dict[str, dict]) -> str:
    """All experiments."""
    return "\n\n".join(experiment_report(name, experiment) for name, experiment in comparison.items()) + "\n"
