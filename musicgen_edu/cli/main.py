"""The command line `musicgen-edu`: its commands, and what a mistake or a stop ends in."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import __version__
from .app import add_app
from .generate import EXAMPLES, add_generate
from .output import print_any_name
from .train_codec import add_train_codec
from .train_lm import add_train_lm


def build_parser() -> argparse.ArgumentParser:
    """The commands and their options."""
    parser = argparse.ArgumentParser(
        prog="musicgen-edu",
        description="MusicGen, built to be understood: text in, music out.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}", help="show it and exit")
    parser.set_defaults(when_stopped="nothing was written")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for add in (add_generate, add_app, add_train_codec, add_train_lm):
        add(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; a mistake of the user's ends in one sentence and exit status 2, without a traceback."""
    print_any_name()
    parsed = build_parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except (ValueError, OSError) as error:
        print(f"musicgen-edu: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"\nmusicgen-edu: stopped; {parsed.when_stopped}", file=sys.stderr)
        return 130
    return 0
