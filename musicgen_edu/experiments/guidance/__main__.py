"""What guidance does to the shipped model, measured: `python -m musicgen_edu.experiments.guidance --write`.

Takes about half an hour of one core. Each setting is stored when it is done, so a stopped run goes on where it was;
`--most N` ends after N settings. `--write` puts the complete result in `assets/measurements`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from ...files import asset, write_text
from .report import go_on, left_to_do
from .table import markdown

ASSETS = asset("measurements")


def main(arguments: Sequence[str] | None = None) -> None:
    """Go on measuring; print the table, and with --write store it when it is complete."""
    parser = argparse.ArgumentParser(
        "python -m musicgen_edu.experiments.guidance",
        None,
        __doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", default="tiny", help="folder or name of the model")
    parser.add_argument("--captions", type=int, default=100, help="how many, with two clips each (default: 100)")
    parser.add_argument("--most", type=int, help="end after so many settings (default: go on to the end)")
    parser.add_argument("--run", type=Path, default=Path("runs/guidance"), help="where unfinished work is kept")
    parser.add_argument("--write", action="store_true", help=f"when complete, write to {ASSETS}")
    options = parser.parse_args(arguments)
    result = go_on(options.model, options.captions, options.run, options.most)
    print(markdown(result))
    if options.write and not left_to_do(result):
        write_text(ASSETS / "guidance.json", json.dumps(result, indent=1) + "\n")
        write_text(ASSETS / "guidance.md", markdown(result))


if __name__ == "__main__":
    main()
