"""What the lessons take: code cells, words, size of the file, and the seconds of a run.

    python benchmarks/lessons.py                 # count
    python benchmarks/lessons.py --run cpu       # and execute each one, in its CPU size, without keeping the outputs

CPU seconds are those of all cores together, so a busy machine changes them little.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

LESSONS = Path(__file__).parents[1] / "lessons"


def counts(path: Path) -> tuple[int, int, float]:
    """Code cells, words of prose and megabytes of a notebook."""
    cells = nbformat.read(path, as_version=4).cells
    words = sum(len(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    return sum(cell.cell_type == "code" for cell in cells), words, path.stat().st_size / 1e6


def run_seconds(path: Path, size: str) -> tuple[float, float]:
    """Seconds on the clock and CPU seconds of a run from top to bottom; a cell that fails raises."""
    os.environ["MUSICGEN_EDU_SIZE"] = size
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.monotonic()
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": path.parent}}).execute()
    clock, now = time.monotonic() - begin, resource.getrusage(resource.RUSAGE_CHILDREN)
    return clock, now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", choices=("quick", "cpu", "gpu"), help="execute the lessons in this size")
    parser.add_argument("lessons", nargs="*", type=Path, help="notebooks (default: all lessons)")
    arguments = parser.parse_args()
    timed = f" seconds ({arguments.run}) | CPU seconds |" if arguments.run else ""
    print(f"| lesson | code cells | words | MB |{timed}\n|---|---|---|---|{'---|---|' if timed else ''}")
    for path in arguments.lessons or sorted(LESSONS.glob("*.ipynb")):
        cells, words, megabytes = counts(path)
        row = f"| {path.stem} | {cells} | {words:,} | {megabytes:.1f} |"
        if arguments.run:
            row += "".join(f" {seconds:.0f} |" for seconds in run_seconds(path, arguments.run))
        print(row, flush=True)


if __name__ == "__main__":
    main()
