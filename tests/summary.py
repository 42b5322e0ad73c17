"""The last lines of `make test`: how many tests and notebook cells ran, and the files that took longest."""

import sys
from collections import Counter
from xml.etree import ElementTree

SLOWEST = 10


def count(path: str) -> tuple[int, int]:
    """How many tests of a JUnit file ran, and how many were skipped."""
    suites = ElementTree.parse(path).getroot().findall("testsuite")
    skipped = sum(int(suite.get("skipped")) for suite in suites)
    return sum(int(suite.get("tests")) for suite in suites) - skipped, skipped


def seconds_by_file(paths: list[str]) -> Counter:
    """Seconds of each test file and notebook, those of shared fixtures with the first test that asked for them."""
    seconds = Counter()
    for path in paths:
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            seconds[case.get("classname").partition("::")[0]] += float(case.get("time"))
    return seconds


if __name__ == "__main__":
    (tests, skipped), (cells, _) = map(count, sys.argv[1:])
    if not (tests and cells):
        sys.exit(f"make test: {tests} tests and {cells} notebook cells ran, expected some of both")
    for name, seconds in seconds_by_file(sys.argv[1:]).most_common(SLOWEST):
        print(f"{seconds:7.1f} s  {name}")
    print(f"make test: {tests} tests ({skipped} skipped) and {cells} notebook cells passed")
