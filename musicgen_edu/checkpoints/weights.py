"""Files of weights as mappings from names to tensors, each read from the disk when it is asked for.

The format of `safetensors`: 8 bytes with the length of a header, the header in JSON (for each tensor its type, shape,
first byte and end), the bytes of all tensors. The library's own reader maps the whole file into memory and hands out
views; the pages that were looked at then count as used beside what is made of them. Here each tensor's bytes are read
into memory of its own, so a model of 2.4 GB loads in little more than 2.4 GB.
"""

from __future__ import annotations

import json
import math
import mmap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import CheckpointError
from ..model.finite import all_finite
from .folder import INDEX, WEIGHTS, open_file, read_index, weights_file

# Integers are no weights: what a file calls I8 or F8 is packed in some way that its reader has to know.
TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class StateReader:
    """The tensors of a checkpoint, read one at a time; it remembers which were used.

    Args:
        tensors: names to tensors.
        where: what to call the checkpoint in errors.
    """

    def __init__(self, tensors: Mapping[str, Any], where: str):
        self.tensors, self.where = tensors, where
        self.used: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self.tensors

    def read(self, name: str, shape: Sequence[int] | None = None, dtype: torch.dtype | None = None) -> Tensor:
        """A tensor by name, in the number format `dtype` (None: in that of the file).

        Raises:
            CheckpointError: there is none, it has another shape than `shape`, it does not hold real numbers in
                floating point, or one of them is NaN, infinite, or too large for `dtype`.
        """
        if name not in self.tensors:
            raise CheckpointError(f"{self.where} lacks the key {name}")
        self.used.add(name)
        tensor = self.tensors[name]
        if tensor.dtype not in TYPES.values():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise CheckpointError(f"{self.where}: {name} is of the type {kind}, expected {' or '.join(TYPES)}")
        if shape is not None:
            self.check_shape(name, tensor, shape)
        tensor = tensor.to(dtype or tensor.dtype)
        self.check_finite(name, tensor)
        return tensor

    def sizes(self, name: str, dimensions: int) -> list[int]:
        """The shape of a tensor that must have so many dimensions, else a `CheckpointError`; see `read`."""
        shape = list(self.read(name).shape)
        if len(shape) != dimensions:
            raise CheckpointError(f"{self.where}: {name} has shape {shape}, expected {dimensions} dimensions")
        return shape

    def check_finite(self, name: str, tensor: Tensor) -> None:
        """Raise a `CheckpointError` if a number of a tensor, called `name`, is not finite."""
        if not all_finite(tensor):
            kind = str(tensor.dtype).removeprefix("torch.")
            raise CheckpointError(
                f"{self.where}: {name} holds NaN, infinite numbers or such as {kind} cannot hold; download or copy it "
                "again"
            )

    def check_shape(self, name: str, tensor: Tensor, shape: Sequence[int]) -> None:
        """Raise a `CheckpointError` unless a tensor, called `name`, has this shape."""
        if list(tensor.shape) != list(shape):
            raise CheckpointError(f"{self.where}: {name} has shape {list(tensor.shape)}, expected {list(shape)}")

    def check_all_used(self) -> None:
        """Raise a `CheckpointError` if a tensor was not read: then it is the checkpoint of something else."""
        left = sorted(set(self.tensors) - self.used)
        if left:
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            raise CheckpointError(f"{self.where} has the unexpected key {left[0]}{more}")


class SafetensorsFile(Mapping):
    """A safetensors file as a mapping from names to tensors, each read when it is asked for.

    Attributes:
        file: the library's reader, which has checked the header; its `metadata()` gives the texts that a file may hold.
    """

    def __init__(self, path: Path):
        from safetensors import SafetensorError, safe_open

        try:
            self.bytes = open_file(path)  # closed when the mapping is dropped
            self.file = safe_open(path, framework="pt")
        except FileNotFoundError as error:
            raise CheckpointError(f"{path.parent} is no checkpoint: it has no {path.name}") from error
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} is damaged or incomplete ({error}); download or copy it again") from error
        self.path = path
        length = int.from_bytes(self.bytes.read(8), "little")
        self.entries = json.loads(self.bytes.read(length))
        self.entries.pop("__metadata__", None)
        self.start = 8 + length

    def __getitem__(self, name: str) -> Tensor:
        entry = self.entries[name]
        if entry["dtype"] not in TYPES:
            kinds = " or ".join(TYPES)
            raise CheckpointError(f"{self.path}: {name} is of the type {entry['dtype']}, expected {kinds}")
        dtype, shape, (begin, end) = TYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        if not math.prod(shape):
            return torch.empty(shape, dtype=dtype)
        # A mapping of its own goes back to the system when it is dropped; the allocator keeps some of what it gave.
        memory = mmap.mmap(-1, end - begin)
        self.bytes.seek(self.start + begin)
        self._fill(memoryview(memory))
        return torch.frombuffer(memory, dtype=dtype).view(shape)

    def _fill(self, memory: memoryview) -> None:
        while memory:
            count = self.bytes.readinto(memory)
            if not count:
                raise CheckpointError(f"{self.path} has become shorter while it was read; download or copy it again")
            memory = memory[count:]

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __del__(self):
        if hasattr(self, "bytes"):
            self.bytes.close()


class LazyTensors(Mapping):
    """Names to tensors that are made when they are asked for: renamed, cut from larger ones, from several files.

    Args:
        makers: names to functions without arguments.
    """

    def __init__(self, makers: Mapping[str, Callable[[], Tensor]]):
        self.makers = makers

    def __getitem__(self, name: str) -> Tensor:
        return self.makers[name]()

    def __contains__(self, name: object) -> bool:
        return name in self.makers

    def __iter__(self) -> Iterator[str]:
        return iter(self.makers)

    def __len__(self) -> int:
        return len(self.makers)


def renamed(tensors: Mapping[str, Tensor], names: Mapping[str, str]) -> LazyTensors:
    """Some tensors of a mapping under other names: `names` are new to old."""
    return LazyTensors({new: lambda old=old: tensors[old] for new, old in names.items()})


def open_weights(folder: Path) -> Mapping[str, Tensor]:
    """The tensors of a folder: of `model.safetensors`, or of the shards that its index names.

    Raises:
        CheckpointError: there are none, a shard is missing, or a tensor is not in the shard where the index says.
    """
    if weights_file(folder).name == WEIGHTS:
        return SafetensorsFile(folder / WEIGHTS)
    places = read_index(folder)
    names = sorted(set(places.values()))
    missing = [shard for shard in names if not (folder / shard).is_file()]
    if missing:
        raise CheckpointError(
            f"{folder} lacks {missing[0]}, one of {len(names)} shards that {INDEX} names: copy or download it, too"
        )
    shards = {shard: SafetensorsFile(folder / shard) for shard in names}
    for shard, file in shards.items():
        listed = {name for name, place in places.items() if place == shard}
        for name in sorted(listed ^ set(file)):
            fault = f"{shard} lacks the key {name}" if name in listed else f"{shard} has the unexpected key {name}"
            raise CheckpointError(f"{folder}: {fault}, {INDEX} says otherwise; download or copy both again")
    return LazyTensors({name: lambda name=name, place=place: shards[place][name] for name, place in places.items()})


def open_state(folder: Path, *prefixes: str, under: str = "") -> StateReader:
    """The tensors of a folder whose names begin with one of `prefixes` (all without any), each named `under` + name."""
    tensors = open_weights(folder)
    names = {under + name: name for name in tensors if name.startswith(prefixes or "")}
    return StateReader(renamed(tensors, names), str(weights_file(folder)))
