"""What torch lets a user set for a whole program must not change music: the model computes in a state of its own."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor


@contextmanager
def own_state() -> Iterator[None]:
    """No gradients, float32 by default, no autocast, and new tensors on the CPU unless said otherwise.

    What is made are ordinary tensors, be it within the user's `torch.inference_mode`; afterwards all is as it was.
    Serves as a decorator, too, but not for generators: see `each_in_own_state`.
    """
    dtype = torch.get_default_dtype()
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        for kind in ("cpu", "cuda", "mps"):
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":  # the same in a `with` costs each operation some time
            stack.enter_context(torch.device("cpu"))
        if dtype != torch.float32:
            stack.callback(torch.set_default_dtype, dtype)
            torch.set_default_dtype(torch.float32)
        yield


def each_in_own_state(items: Generator[Tensor, None, None]) -> Iterator[Tensor]:
    """The tensors of a generator, each made in `own_state`; between them the user's own state holds."""
    try:
        while True:
            with own_state():
                try:
                    item = next(items)
                except StopIteration:
                    return
                if item.is_inference():  # which could be neither changed in place nor used with gradients
                    item = item.clone()
            yield item
    finally:
        items.close()
