"""The folder of a run: its state and its settings, and that nobody goes on with a run of other settings."""

from __future__ import annotations

import json
from pathlib import Path

STATE, SETTINGS = "run.pt", "run.json"


def check_same_run(out: Path, wanted: dict) -> None:
    """Raise a `ValueError` if the folder holds the state of a run with other settings; more steps are welcome."""
    if not (out / STATE).exists():
        return
    try:
        found = json.loads((out / SETTINGS).read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{out / STATE} is there without a readable {SETTINGS}: remove it to start anew") from error
    for name, now in wanted.items():
        was = found.get(name)
        if was != now and not (name == "steps" and now > was):
            raise ValueError(f"{out} holds a run with {name} {was}, not {now}: give the same options, or another --out")
