"""Processes that are killed while they train or write, forked from a small one: a fresh start each would take longer.

python tests/helpers/killed_runs.py FOLDER      prints what happened as JSON
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
import training_runs

from musicgen_edu.training import runs


def run_and_kill(folder: Path, killed_at: int, after: float) -> dict:
    """Let a training go on from its state until it is killed, some time after it has told of a step."""
    said = folder / "said"
    child = os.fork()
    if child == 0:
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        training_runs.main(folder, killed_at, after)
        os._exit(0)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    steps = [int(line.split()[1]) for line in said.read_text().splitlines()]
    said.unlink()
    state = torch.load(folder / "run.pt", weights_only=True)["step"]
    return {"asked": killed_at, "status": status, "first": steps[0], "last": steps[-1], "state": state}


def kill_three_times(folder: Path) -> list[dict]:
    """A run that is killed three times, at moments of chance; it is left unfinished."""
    places = ((2, 8), (14, 20), (26, 32))
    return [run_and_kill(folder, random.randint(*place), random.uniform(0, 0.03)) for place in places]


def kill_while_writing(folder: Path) -> dict:
    """Kill processes that write their state all the time, 25 and until 5 were caught at it; load what each left."""
    path, model = folder / "run.pt", torch.nn.Linear(400, 400)
    optimizer = torch.optim.AdamW(model.parameters())
    runs.save_run(path, model, optimizer, 0)
    kills, caught, seen = 0, 0, set()
    while (kills < 25 or caught < 5) and kills < 500:
        child = os.fork()
        if child == 0:
            step = 0
            while True:
                step += 1
                runs.save_run(path, model, optimizer, step)
        time.sleep(random.uniform(0.005, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
        seen.add(runs.load_run(path, model, optimizer))
        caught += len(list(folder.glob(".run.pt.*.part")))
    runs.save_run(path, model, optimizer, 7)
    return {"caught": caught, "seen": len(seen)}


def main(folder: Path) -> None:
    """Both, in folders of their own."""
    torch.set_num_threads(1)  # so that there are no threads to be lost in a fork
    (folder / "training").mkdir()
    (folder / "writing").mkdir()
    found = {"writing": kill_while_writing(folder / "writing"), "training": kill_three_times(folder / "training")}
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
