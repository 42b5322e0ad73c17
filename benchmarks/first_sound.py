"""How soon there is sound: the first chunk of a stream against the whole clip, and what each chunk costs.

    python benchmarks/first_sound.py
    python benchmarks/first_sound.py --seconds 120 --chunk 10

The shipped tiny model, float32, guidance on, 2 threads. The first table is a clip of 10 s; the second is the cost of
decoding alone, chunk after chunk, with random codes in place of the language model.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import statistics
import time
from collections.abc import Iterator

import torch
from torch import Tensor

from musicgen_edu.model.streaming import chunks_of
from musicgen_edu.musicgen import MusicGen

PROMPT, CLIP = "calm organ melody in c major", 10.0


def seconds_until_each(chunks: Iterator[Tensor]) -> list[float]:
    """Seconds from the beginning to each chunk."""
    begin, times = time.perf_counter(), []
    for _ in chunks:
        times.append(time.perf_counter() - begin)
    return times


def first_chunk(model: MusicGen, chunk: float, runs: int) -> tuple[float, float, float]:
    """Medians: seconds to the first chunk of a stream, to its last one, and for `generate`; taking turns."""
    firsts, lasts, wholes = [], [], []
    for seed in range(runs):
        times = seconds_until_each(model.stream(PROMPT, CLIP, chunk, seed=seed))
        firsts.append(times[0])
        lasts.append(times[-1])
        begin = time.perf_counter()
        model.generate([PROMPT], CLIP, seed=seed)
        wholes.append(time.perf_counter() - begin)
    return statistics.median(firsts), statistics.median(lasts), statistics.median(wholes)


def chunk_costs(model: MusicGen, seconds: float, chunk: float, decoding: bool) -> list[float]:
    """Seconds that each whole chunk costs, decoding alone or all of it."""
    if decoding:
        config, frames = model.codec.config, model.frames(seconds)
        codes = torch.randint(0, config.codebook_size, (1, config.num_codebooks, frames))
        chunks = chunks_of(iter(codes.split(1, -1)), frames, round(chunk * model.sample_rate), model.codec)
    else:
        chunks = model.stream(PROMPT, seconds, chunk, seed=0)
    times = [0.0, *seconds_until_each(chunks)]
    return [after - before for before, after in itertools.pairwise(times)]


def print_costs(model: MusicGen, seconds: float, chunk: float) -> None:
    """The cost of chunks over a long clip, in six groups."""
    print(f"\n| of {seconds:g} s, chunks of {chunk:g} s | decoding, ms a chunk | all, ms a chunk | peak memory, MB |")
    print("|---|---|---|---|")
    decoding, everything = (chunk_costs(model, seconds, chunk, alone) for alone in (True, False))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # kilobytes on Linux
    groups = 6
    for group in range(groups):
        part = slice(group * len(decoding) // groups, (group + 1) * len(decoding) // groups)
        a, b = (1000 * statistics.median(costs[part]) for costs in (decoding, everything))
        print(f"| chunks {part.start + 1} to {part.stop} | {a:.1f} | {b:.0f} | {peak:.0f} |", flush=True)


def main() -> None:
    """Print two tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--seconds", type=float, default=120.0, help="of the long clip (default: %(default)s)")
    parser.add_argument("--chunk", type=float, default=1.5, help="seconds of its chunks (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=5, help="alternating runs (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    model = MusicGen.from_pretrained(arguments.model, device="cpu")
    model.generate([PROMPT], 1.0)  # warm up
    print(f"| chunks of a clip of {CLIP:g} s | first chunk, s | last chunk, s | `generate`, s | whole / first |")
    print("|---|---|---|---|---|")
    for chunk in (0.1, 0.5, 1.5, 4.0):
        first, last, whole = first_chunk(model, chunk, arguments.runs)
        print(f"| {chunk:g} s | {first:.3f} | {last:.2f} | {whole:.2f} | {whole / first:.1f} |", flush=True)
    print_costs(model, arguments.seconds, arguments.chunk)


if __name__ == "__main__":
    main()
