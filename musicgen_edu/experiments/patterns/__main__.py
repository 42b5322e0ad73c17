"""The patterns compared on equal terms: `python -m musicgen_edu.experiments.patterns --write`.

The units that are missing are done first: about 75 minutes of one CPU core in all. A run that is stopped goes on. Then
the results go to assets/measurements: figures, tables and a clip of each pattern.

--list names the missing units, --unit NAME does one, --quick does a small comparison in seconds and prints it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from .comparison import missing_units, quick_comparison, summarize, write
from .report import comparison_report
from .units import FOLDER, do_unit, music_codes


def build_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(
        "python -m musicgen_edu.experiments.patterns",
        None,
        __doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where units are kept (default: %(default)s)")
    parser.add_argument("--unit", metavar="NAME", help="do this unit only")
    parser.add_argument("--codes", action="store_true", help="only make the codes of the music")
    parser.add_argument("--list", action="store_true", help="name the units that are missing")
    parser.add_argument("--quick", action="store_true", help="a small comparison in seconds, printed only")
    parser.add_argument("--write", action="store_true", help="write the results to assets/measurements")
    parser.add_argument("--so-far", action="store_true", help="with --write: of what is done, without doing the rest")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what is missing; with --write also write the results."""
    options = build_parser().parse_args(arguments)
    torch.set_num_threads(1)
    if options.quick:
        print(comparison_report({"quick": {"codes": "synthetic", "patterns": summarize(quick_comparison())}}))
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    if options.codes:
        music_codes(options.folder)
        return
    if options.list:
        print("\n".join(missing_units(options.folder)))
        return
    if not options.so_far:
        for name in [options.unit] if options.unit else missing_units(options.folder):
            do_unit(name, options.folder)
            print(name, flush=True)
    if options.write:
        write(options.folder)


if __name__ == "__main__":
    main()
