"""What a checkpoint's folder holds, as far as names and settings tell: no tensor is read here, nor torch imported."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import BinaryIO

from ..errors import CheckpointError

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
SMALL_FILES = {
    CONFIG, "generation_config.json", "preprocessor_config.json", INDEX, "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "spiece.model",
}  # fmt: skip
LARGEST_JSON = 64 * 10**6  # bytes; the index of a model of a thousand shards has some 10 MB
AGAIN = "download or copy it again, or give another revision"


def open_file(path: Path) -> BinaryIO:
    """A file to read; without a buffer, since what is large is read at once.

    Raises:
        FileNotFoundError: there is nothing of that name, or a link that leads to nothing.
        CheckpointError: it cannot be read, or is something else than a file: a folder, for example.
    """
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path} is no file but a {'folder' if path.is_dir() else 'device'}: {AGAIN}")
    try:
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        raise
    except OSError as error:  # a file of somebody else, links that lead in a circle
        raise CheckpointError(f"{path} cannot be read: {error.strerror or error}") from error


def read_json(path: Path) -> dict:
    """A file of settings, such as `config.json`.

    Raises:
        CheckpointError: there is none, it cannot be read, it is no JSON, or it holds something else than names and
            values.
    """
    try:
        with open_file(path) as file:
            content = file.read(LARGEST_JSON + 1)
    except FileNotFoundError as error:
        raise CheckpointError(f"{path.parent} is no checkpoint: it has no {path.name}") from error
    if len(content) > LARGEST_JSON:
        raise CheckpointError(f"{path} is larger than {LARGEST_JSON // 10**6} MB, which no settings are: {AGAIN}")
    try:
        settings = json.loads(content)
    except ValueError as error:
        raise CheckpointError(f"{path} is not readable as JSON ({error}): {AGAIN}") from error
    except RecursionError as error:
        raise CheckpointError(f"{path} is nested too deeply to be a file of settings: {AGAIN}") from error
    if not isinstance(settings, dict):
        raise CheckpointError(f"{path} does not hold a configuration but a {type(settings).__name__}: {AGAIN}")
    return settings


def weights_file(folder: Path) -> Path:
    """`model.safetensors`, or the index of the shards where a folder has only that."""
    whole, index = folder / WEIGHTS, folder / INDEX
    return index if index.is_file() and not whole.is_file() else whole


def read_index(folder: Path) -> dict[str, str]:
    """The index of a folder's shards: names of tensors to the names of the files that hold them.

    Raises:
        CheckpointError: it is no such index, or names a file outside the folder.
    """
    places = read_json(folder / INDEX).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{folder / INDEX} is no index of shards: it has no readable weight_map; {AGAIN}")
    for shard in places.values():
        if not isinstance(shard, str) or re.fullmatch(r"[\w.-]+\.safetensors", shard) is None:
            raise CheckpointError(f"{folder / INDEX} names {shard!r}, which is no safetensors file beside it; {AGAIN}")
    return places


def shards_of(folder: Path) -> list[str]:
    """The files that a folder's index of shards names."""
    return sorted(set(read_index(folder).values()))


def is_complete(folder: Path) -> bool:
    """Whether a folder has a configuration and all its weights; they come last, so the rest is there too."""
    if not (folder / CONFIG).is_file():
        return False
    if weights_file(folder).name == WEIGHTS:
        return (folder / WEIGHTS).is_file()
    try:
        return all((folder / shard).is_file() for shard in shards_of(folder))
    except CheckpointError:
        return False


def check_names(names: Collection[str]) -> None:
    """Raise a `CheckpointError` unless files of these names can be a model without a pickle."""
    if CONFIG not in names:
        raise CheckpointError(f"the repository has no {CONFIG}: it is no model that can be loaded; check the name")
    if WEIGHTS not in names and INDEX not in names:
        pickles = sorted(name for name in names if name.endswith((".bin", ".pt", ".ckpt")))
        others = f" (it has {pickles[0]}, a pickle, which could run code here)" if pickles else ""
        raise CheckpointError(
            f"the repository has no {WEIGHTS}{others}: look for a revision with safetensors, or convert the model on a "
            "machine that may run it and give the folder"
        )


def weights_among(names: Collection[str], folder: Path) -> list[str]:
    """The files with weights among those of a repository: one, or the shards that the index in `folder` names."""
    if WEIGHTS in names:
        return [WEIGHTS]
    missing = [shard for shard in shards_of(folder) if shard not in names]
    if missing:
        raise CheckpointError(
            f"{INDEX} names {missing[0]}, which the repository does not have: its upload is incomplete; give an "
            "earlier revision"
        )
    return shards_of(folder)
