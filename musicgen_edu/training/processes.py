"""Several processes that train one model: each takes its rows of a batch, and the gradients are added up.

    accelerate launch --num_processes 4 -m musicgen_edu.cli train-lm ...

Every process holds the whole model, draws the same random numbers for all rows of a batch, and computes its part.
The loss is divided by the counts of the whole batch, so the sum of the gradients is that of one process with all
rows: nothing has to be averaged.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from accelerate import Accelerator


@dataclass(frozen=True)
class Processes:
    """How many processes there are, and which of them this is. The default is a single one."""

    count: int = 1
    index: int = 0
    accelerator: Accelerator | None = None

    @property
    def main(self) -> bool:
        """Whether this is the process that writes and prints."""
        return self.index == 0

    @property
    def device(self) -> torch.device | None:
        """The device that `accelerate` chose for this process; None for a single one."""
        return self.accelerator.device if self.accelerator else None

    def rows(self, B: int) -> slice:
        """The rows of a batch of B that this process computes."""
        return slice(B * self.index // self.count, B * (self.index + 1) // self.count)

    def sum(self, values: Tensor) -> Tensor:
        """The sum of a tensor over the processes; all of them get the same."""
        return self.accelerator.reduce(values, reduction="sum") if self.accelerator else values

    def sum_gradients(self, model: nn.Module) -> None:
        """Replace each gradient by its sum over the processes: one message for all of them."""
        if self.accelerator is None:
            return
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in trained]
        total = self.sum(torch.cat([gradient.flatten() for gradient in gradients]))
        for parameter, part in zip(trained, total.split([p.numel() for p in trained]), strict=True):
            parameter.grad = part.view_as(parameter)

    def wait(self) -> None:
        """Go on when all processes are here."""
        if self.accelerator:
            self.accelerator.wait_for_everyone()


ALONE = Processes()


def find_processes(cpu: bool = False) -> Processes:
    """The processes that `accelerate launch` (or torchrun) has started, or a single one.

    Args:
        cpu: compute on the CPU even where there is a GPU.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=cpu)
    return Processes(accelerator.num_processes, accelerator.process_index, accelerator)
