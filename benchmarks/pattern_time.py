"""Milliseconds to build a pattern's table, to interleave codes and to undo it: K = 4, T = 1500, on the CPU.

    python benchmarks/pattern_time.py

audiocraft lays its delay pattern out in Python: about 30 ms for this size, once for each length.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from musicgen_edu.model.patterns import PATTERNS, interleave, pattern_table, undo

K, T, V = 4, 1500, 2048


def milliseconds(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """Median and worst time of a call, after one to warm up."""
    work()
    times = []
    for _ in range(runs):
        begin = time.perf_counter()
        work()
        times.append(1000 * (time.perf_counter() - begin))
    return statistics.median(times), max(times)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=200, help="calls of each function (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    codes = torch.randint(V, (1, K, T))
    print("| pattern | table, ms (worst) | interleave, ms (worst) | undo, ms (worst) |\n|---|---|---|---|")
    for name in PATTERNS:
        step = pattern_table(name, K, T)
        sequence = interleave(codes, step, V)
        works = (
            lambda name=name: pattern_table(name, K, T),
            lambda step=step: interleave(codes, step, V),
            lambda step=step, sequence=sequence: undo(sequence, step),
        )
        cells = [f"{median:.3f} ({worst:.2f})" for median, worst in (milliseconds(w, arguments.runs) for w in works)]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
