"""What the commands share: options that are fields of a dataclass, bounds of numbers, number format and device.

Nothing here loads torch before a command runs: the help of each is there at once.
"""

from __future__ import annotations

import argparse
import functools
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

if TYPE_CHECKING:
    import torch

    from ..musicgen import MusicGen

BOUNDS: dict[str, Callable[[float], bool]] = {  # besides "at least 1" and the like
    "0 to 1": lambda number: 0 <= number <= 1,
    "at least 0 and less than 1": lambda number: 0 <= number < 1,
    "more than 0": lambda number: 0 < number < math.inf,
    "at most 1e9": lambda number: number <= 1e9,
    "less than 2**63": lambda number: number < 2**63,
}
NOT_OF_THE_RUN = ("command", "run", "when_stopped", "out", "device", "checkpoint_every")  # they change no numbers


class Fields:
    """Fields of a dataclass as options: the type and the default of each stand in the dataclass alone.

    Args:
        defaults: an instance; it has the default values.
        options: name of an option to (field, help), or to (field, help, what to choose from).
    """

    def __init__(self, defaults: Any, **options: tuple):
        self.defaults, self.options = defaults, options

    def add_to(self, group: argparse._ActionsContainer, unset: bool = False) -> None:
        """Add the options to a command, or to a group of its help; with `unset` one that is not given is None."""
        types = get_type_hints(type(self.defaults))
        for name, (field, told, *choices) in self.options.items():
            default, kind = getattr(self.defaults, field), types[field]
            default = list(default) if isinstance(default, tuple) else default  # as if it had been typed
            kind, *more = get_args(kind) or [kind]  # `float | None` and `tuple[int, ...]` begin with what is read
            group.add_argument(
                dashed(name),
                type=kind,
                nargs="+" if ... in more else None,
                default=None if unset else default,
                choices=choices[0] if choices else None,
                metavar=None if choices else {int: "N", float: "X"}.get(kind),
                help=told if default is None else f"{told} (default: {shown(default)})",
            )

    def make(self, arguments: argparse.Namespace, base: Any = None, **others: Any) -> Any:
        """The dataclass that the options ask for, with `others` by field; what is None is as in `base` or a default."""
        given = {field: getattr(arguments, name) for name, (field, *_) in self.options.items()}
        given = {field: tuple(x) if isinstance(x, list) else x for field, x in given.items() if x is not None}
        return replace(self.defaults if base is None else base, **given, **others)


def dashed(name: str) -> str:
    """The option of a name."""
    return f"--{name.replace('_', '-')}"


def shown(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, list):
        return " ".join(map(shown, value))
    return f"{value:.15g}" if isinstance(value, float) else str(value)


def check_numbers(arguments: argparse.Namespace, bounds: dict[str, str]) -> None:
    """Raise a `ValueError` that names the option whose number makes no sense; one that is not given always does.

    Args:
        arguments: what was typed.
        bounds: in words, such as "at least 1" or a key of `BOUNDS`, to the names of the options that must keep them.
    """
    for words, names in bounds.items():
        kept = BOUNDS.get(words) or functools.partial(_at_least, float(words.removeprefix("at least ")))
        for name in names.split():
            given = getattr(arguments, name)
            numbers = given if isinstance(given, list) else [] if given is None else [given]
            if not all(map(kept, numbers)):
                raise ValueError(f"{dashed(name)} must be {words}, not {shown(given)}")


def _at_least(least: float, number: float) -> bool:
    return least <= number < math.inf


def add_command(commands: argparse._SubParsersAction, name: str, told: str, description: str, examples: str = ""):
    """Add a command, whose description and examples are shown as they are written; returns its parser."""
    return commands.add_parser(
        name,
        help=told,
        description=description,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_run_options(parser: argparse.ArgumentParser, result: str) -> None:
    """Add `--out`, `--device` and what else every training has."""
    add = parser.add_argument
    add("--out", type=Path, required=True, help=f"folder for {result} and the state of the run")
    add("--device", help="cpu, cuda, cuda:1 (default: a GPU if there is one)")
    add("--float32", action="store_true", help="compute in float32 (default: bfloat16 where it does no harm)")
    told = "steps between writes of the state (default: %(default)s)"
    add("--checkpoint-every", type=int, default=250, metavar="N", help=told)
    parser.set_defaults(when_stopped="the same command goes on from the last state written")


def run_settings(arguments: argparse.Namespace) -> dict:
    """The options that the numbers of a training depend on, by name."""
    return {name: value for name, value in vars(arguments).items() if name not in NOT_OF_THE_RUN}


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add `--dtype` and `--device` to a command that makes music."""
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "int8"),
        default="float32",
        help="number format of the weights: float32 is the most exact; bfloat16 takes half the memory and is the one "
        "for GPUs; int8 is for large models on a CPU, several times as fast there, and the least exact "
        "(default: %(default)s)",
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: a GPU if there is one, and the CPU for int8)")


def chosen_device(name: str | None) -> torch.device:
    """What `--device` names, or the best there is; raises a `ValueError` if it cannot be used."""
    from ..device import choose_device

    try:
        return choose_device(name)
    except ValueError as error:
        raise ValueError(f"--{error}") from error


def model_loader(arguments: argparse.Namespace) -> Callable[[str], MusicGen]:
    """Name to model, in the number format and on the device that were asked for.

    Raises:
        ValueError: this computer has no such device; the loader, if int8 was asked for elsewhere than on the CPU.
    """
    import torch

    from ..musicgen import MusicGen

    device = None if arguments.device is None else chosen_device(arguments.device)  # without a name int8 takes the CPU
    return functools.partial(MusicGen.from_pretrained, device=device, dtype=getattr(torch, arguments.dtype))
