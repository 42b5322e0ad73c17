"""The last line of `make test`: how many tests and how many notebook cells ran, from pytest's two result files."""

import sys
from xml.etree import ElementTree


def count(path: str) -> tuple[int, int]:
    """How many tests of a JUnit file ran, and how many were skipped."""
    suites = ElementTree.parse(path).getroot().findall("testsuite")
    skipped = sum(int(suite.get("skipped")) for suite in suites)
    return sum(int(suite.get("tests")) for suite in suites) - skipped, skipped


if __name__ == "__main__":
    (tests, skipped), (cells, _) = map(count, sys.argv[1:])
    if not (tests and cells):
        sys.exit(f"make test: {tests} tests and {cells} notebook cells ran, expected some of both")
    print(f"make test: {tests} tests ({skipped} skipped) and {cells} notebook cells passed")
