"""What a training run says: a line of progress, and a file with the losses on held-out clips."""

from __future__ import annotations

import json
from pathlib import Path

from ..files import write_text
from . import runs

PREFIX = "validation "


def run_report(path: Path, steps: int) -> runs.Report:
    """A report that draws the progress, and prints and records each validation.

    Args:
        path: file of lines such as {"step": 250, "loss": 3.1, "k0": 2.4, ...}, step counting the updates done. A run
            that goes on from an earlier step replaces what it computes again.
        steps: of the run.
    """
    progress = runs.progress_bar(steps)

    def report(step: int, figures: dict[str, float]) -> None:
        progress(step, {name: value for name, value in figures.items() if not name.startswith(PREFIX)})
        found = {name.removeprefix(PREFIX): value for name, value in figures.items() if name.startswith(PREFIX)}
        if found:
            line = "  ".join(f"{name} {value:.4f}" for name, value in found.items())
            say(f"held-out clips after {step + 1} steps, nats a code:  {line}")
            record(path, {"step": step + 1} | found)

    return report


def say(line: str) -> None:
    """Print a line above the progress bar, if there is one."""
    from tqdm import tqdm

    tqdm.write(line)


def record(path: Path, entry: dict) -> None:
    """Add an entry to a file of JSON lines, in place of those of the same or a later step."""
    entries = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    kept = [one for one in entries if one["step"] < entry["step"]]
    write_text(path, "".join(json.dumps(one) + "\n" for one in [*kept, entry]))
