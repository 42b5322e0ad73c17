"""Whatever comes, a right result or one sentence of ours: a few hundred tries here, as many as you like by hand.

python tests/package/test_fuzz.py --minutes 10
python tests/package/test_fuzz.py --again folders 1234
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))  # for who runs it by hand

from helpers.fuzz import Fuzz
from helpers.judges import save_musicgen, their_musicgen

TRIES = {"settings": 300, "folders": 300, "sounds": 400, "calls": 1200}


def start(place: Path) -> Fuzz:
    torch.manual_seed(0)
    for name in ("model", "scratch"):
        (place / name).mkdir()
    return Fuzz(save_musicgen(their_musicgen(), place / "model"), place / "scratch")


@pytest.fixture(scope="module")
def fuzz(tmp_path_factory):
    return start(tmp_path_factory.mktemp("fuzz"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="time and memory of a try are limited by Linux's means")
@pytest.mark.parametrize("kind", TRIES)
def test_a_right_result_or_one_sentence(fuzz, kind):
    found = [fuzz.attempt(kind, number) for number in range(TRIES[kind])]
    counts = Counter(result for result, _ in found)
    print(f"{kind}: {TRIES[kind]} tries, {counts['right']} right, {counts['refused']} refused, {counts['raw']} raw")
    assert [said for result, said in found if result == "raw"] == []
    assert min(counts["right"], counts["refused"]) > TRIES[kind] // 20, "one of the two was hardly tried"


def main() -> None:
    parser = argparse.ArgumentParser(description="Spoil input by chance, and count what comes of it.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--again", nargs=2, metavar=("KIND", "NUMBER"), help="one try, told in full")
    arguments, seen, counts = parser.parse_args(), Counter(), {kind: Counter() for kind in TRIES}
    with tempfile.TemporaryDirectory() as place:
        fuzz = start(Path(place))
        if arguments.again:
            print(*fuzz.attempt(arguments.again[0], int(arguments.again[1])))
            return
        begin = time.time()
        for number, kind in zip(itertools.count(int(begin)), itertools.cycle(TRIES)):
            if time.time() > begin + 60 * arguments.minutes:
                break
            result, said = fuzz.attempt(kind, number)
            counts[kind][result] += 1
            if result == "raw":
                place_of_it = said.rpartition("): ")[2].rpartition(": ")[0]
                seen[place_of_it] += 1
                if seen[place_of_it] <= 2:
                    print(said, flush=True)
    print(f"\n{'kind':10}{'tries':>8}{'right':>8}{'refused':>9}{'raw':>6}")
    for kind, count in counts.items():
        print(f"{kind:10}{count.total():8}{count['right']:8}{count['refused']:9}{count['raw']:6}")


if __name__ == "__main__":
    main()
