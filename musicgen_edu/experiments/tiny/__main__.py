"""`make tiny`: train the model that this package ships, from nothing but the procedural music; and measure it.

Four stages, each of which goes on where it was stopped: `codec` trains the codec, `codes` encodes captioned clips,
`lm` trains text encoder and language model together on them, `export` writes the folder in the published format.
`python -m musicgen_edu.experiments.tiny all` runs them in a row: some three hours on two CPU cores, most of it the
language model. `report` measures the model and prints the tables of assets/tiny/README.md; with --write it puts them
there. `dress` prints the two of its rows that compare captions with the same in odd dress, in some five minutes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from .report import dress_report, report
from .train import export, train_tiny_codec, train_tiny_lm, write_tiny_codes

STAGES = {
    "codec": lambda options: train_tiny_codec(options.folder),
    "codes": lambda options: write_tiny_codes(options.folder, *map(int, options.part.split("/"))),
    "lm": lambda options: train_tiny_lm(options.folder),
    "export": lambda options: export(options.folder, options.out),
}


def build_parser() -> argparse.ArgumentParser:
    """The stages, `all`, `report` and `dress`, with their options."""
    prog, form = "python -m musicgen_edu.experiments.tiny", argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog, description=__doc__, formatter_class=form)
    parts = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for name in (*STAGES, "all"):
        add = parts.add_parser(name).add_argument
        add("--folder", type=Path, default=Path("runs/tiny"), help="where the state of the run lives")
        add("--out", type=Path, default=Path("assets/tiny"), help="where to write the model")
        add("--part", default="0/1", help="of the codes: I/N encodes each N-th file from the I-th on")
    add = parts.add_parser("report").add_argument
    add("--model", default="tiny", help="folder or name of the model")
    add("--write", action="store_true", help="replace the tables in the model's README.md")
    parts.add_parser("dress").add_argument("--model", default="tiny", help="folder or name of the model")
    return parser


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one stage, all of them, or a report."""
    options = build_parser().parse_args(arguments)
    if options.stage == "report":
        report(options.model, options.write)
        return
    if options.stage == "dress":
        dress_report(options.model)
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    for stage in STAGES if options.stage == "all" else [options.stage]:
        STAGES[stage](options)


if __name__ == "__main__":
    main()
