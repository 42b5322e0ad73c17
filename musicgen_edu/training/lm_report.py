"""What a training run says: a line of progress, and a file with the losses on held-out clips."""

from __future__ import annotations

import json
from pathlib import Path

from ..files import write_text
from . import runs

PREFIX = "validation "


def run_report(path: Path, steps: int) -> runs.Report:
    """A report that draws the progress, and prints and records each validation.

    The file is valid JSON, line by line.

    Args:
        path: file of lines such as {"step": 250, "loss": 3.1, "k0": 2.4, ...}, step counting the updates done. A run
            that goes on from an earlier step replaces what it computes again.
        steps: of the run.

    Raises:
        ValueError: the file is there and damaged.
    """
    read_record(path)  # now rather than after the first validation
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
    """Add an entry of finite numbers to a file of JSON lines, in place of those of the same or a later step."""
    kept = [one for one in read_record(path) if one["step"] < entry["step"]]
    write_text(path, "".join(json.dumps(one, allow_nan=False) + "\n" for one in [*kept, entry]))


def read_record(path: Path) -> list[dict]:
    """The entries of a file that `record` has written; none if it does not exist.

    Raises:
        ValueError: a line is damaged.
    """
    entries = []
    for number, line in enumerate(path.read_bytes().splitlines() if path.exists() else [], 1):
        try:
            entry = json.loads(line, parse_constant=int)  # NaN and Infinity are no JSON: int refuses them
            int(entry["step"])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(f"line {number} of {path} is damaged: remove the line, or the file") from error
        entries.append(entry)
    return entries
