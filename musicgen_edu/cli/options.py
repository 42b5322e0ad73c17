"""`--dtype` and `--device`, for the commands that make music."""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..musicgen import MusicGen


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add both to a command."""
    parser.add_argument(
        "--dtype",
        choices=("float32", "bfloat16", "int8"),
        default="float32",
        help="number format of the weights: float32 is the most exact; bfloat16 takes half the memory and is the one "
        "for GPUs; int8 is for large models on a CPU, several times as fast there, and the least exact "
        "(default: %(default)s)",
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1 (default: a GPU if there is one, and the CPU for int8)")


def model_loader(arguments: argparse.Namespace) -> Callable[[str], MusicGen]:
    """Name to model, in the number format and on the device that were asked for.

    Raises:
        ValueError: this computer has no such device, or int8 was asked for elsewhere than on the CPU.
    """
    import torch

    from ..fast.int8 import check_int8_device
    from ..musicgen import MusicGen
    from .train_codec import chosen_device

    dtype, device = getattr(torch, arguments.dtype), None
    if arguments.device is not None:
        device = chosen_device(arguments.device)
        if dtype == torch.int8:
            check_int8_device(device)
    return functools.partial(MusicGen.from_pretrained, device=device, dtype=dtype)
