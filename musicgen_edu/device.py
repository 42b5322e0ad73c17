"""Where to compute: one choice for the library and for the commands."""

from __future__ import annotations

import torch


def choose_device(name: str | torch.device | None = None) -> torch.device:
    """The device of a name; None is CUDA if there is one, else the CPU.

    MPS is never chosen, only taken when it is named: the codec's quantizer is known to give garbage there silently.

    Args:
        name: "cpu", "cuda", "cuda:1", ...

    Raises:
        ValueError: this computer has no such device.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.empty(1, device=name).device  # a name alone proves nothing
    except (RuntimeError, AssertionError, TypeError) as error:
        raise ValueError(f"device {name} cannot be used: {_reason(name, error)}") from error
    if device.type == "meta":
        raise ValueError("device meta cannot be used: it holds no numbers")
    return device


def _reason(name: object, error: Exception) -> str:
    if str(name).startswith("mps"):  # the error of others goes on for pages
        return "it is there on a Mac with Apple silicon only"
    return str(error).splitlines()[0].split(". ")[0].removesuffix(".")
