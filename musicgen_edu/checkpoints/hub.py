"""Published models by name: fetched from the hub once, checked, kept, and found again without a network (lesson 09).

`huggingface_hub` knows names, tokens and the cache; this file decides what is fetched, sees to it that nothing whole is
fetched twice and nothing broken is used, and puts what can go wrong into one sentence with the next step.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from .hub_cache import COMMIT, HASH, RepositoryCache
from .hub_download import RemoteFile, WrongBytes, download, length_of, network_error, patiently
from .hub_errors import explain

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
SMALL_FILES = {
    "config.json", "generation_config.json", "preprocessor_config.json", INDEX, "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "spiece.model",
}  # fmt: skip
AGAIN = "download or copy it again, or give another revision"
LICENCE = (
    "The weights of {name} are under CC-BY-NC 4.0: free to study and to share with credit, not for commercial use."
)
_licence_said: set[str] = set()


@dataclass(frozen=True)
class Request:
    """A name, the revision asked for, and the hub to ask."""

    name: str
    revision: str
    endpoint: str

    def url(self, commit: str, file: str) -> str:
        from huggingface_hub import hf_hub_url

        return hf_hub_url(self.name, file, revision=commit, endpoint=self.endpoint)


def fetch(name: str, revision: str | None = None, progress: bool = True) -> Path:
    """The folder with a published model's files, fetched from the hub as far as they are not on this disk.

    Only `safetensors` weights, the configuration and the tokenizer are fetched, never a pickle. A model that was
    fetched before loads without a network. `HF_ENDPOINT` names another hub, `HF_HOME` another folder.

    Args:
        name: such as "facebook/musicgen-small".
        revision: a branch, tag or commit; None is the newest.
        progress: show a bar while bytes arrive.

    Raises:
        CheckpointError: it cannot be had; the message says why and what to do.
    """
    from huggingface_hub import constants
    from huggingface_hub.errors import HFValidationError

    request = Request(name, revision or "main", (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/"))
    cache = RepositoryCache(Path(constants.HF_HUB_CACHE).expanduser(), name)
    try:
        with _alone(cache):
            folder = _fetch(request, cache, progress)
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from error
    except HFValidationError as error:
        raise CheckpointError(
            f"{name} is no name that a hub could have: write it as in facebook/musicgen-small"
        ) from error
    except (OSError, network_error()) as error:
        raise CheckpointError(f"{name}: {explain(error, request, cache.folder)}") from error
    if name.startswith("facebook/musicgen-") and name not in _licence_said:
        _licence_said.add(name)
        print(LICENCE.format(name=name), file=sys.stderr)
    return folder


def _alone(cache: RepositoryCache) -> AbstractContextManager:
    """A lock: a second process waits and then finds everything there. In a cache that cannot be written, none."""
    from huggingface_hub.utils import WeakFileLock

    if cache.folder.is_dir() and not os.access(cache.folder, os.W_OK):
        return nullcontext()
    cache.lock.parent.mkdir(parents=True, exist_ok=True)
    return WeakFileLock(cache.lock)


def _fetch(request: Request, cache: RepositoryCache, progress: bool) -> Path:
    known, damaged = cache.commit(request.revision), None
    complete = known is not None and is_complete(cache.snapshot(known))
    if complete and COMMIT.fullmatch(request.revision):
        damaged = _damaged(cache, known)
        if damaged is None:
            return cache.snapshot(known)  # a commit never changes: nothing to ask
    try:
        commit, files = list_files(request, patient=not complete)
    except (OSError, network_error()) as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if not complete or (status is not None and status < 500 and status != 429):
            raise
        return _from_cache(cache, known, damaged or _damaged(cache, known))
    small = [file for file in files.values() if file.name in SMALL_FILES]
    _check_listing(files)
    _bring(request, cache, commit, small, progress)
    _bring(request, cache, commit, weights_of(files, cache.snapshot(commit)), progress)
    cache.remember_commit(request.revision, commit)
    return cache.snapshot(commit)


def list_files(request: Request, patient: bool = True) -> tuple[str, dict[str, RemoteFile]]:
    """The commit that a revision means, and its files by name: one request."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import HFValidationError

    def ask() -> Any:
        api, timeout = HfApi(endpoint=request.endpoint), constants.HF_HUB_ETAG_TIMEOUT
        return api.model_info(request.name, revision=request.revision, files_metadata=True, timeout=timeout)

    try:
        info = patiently(ask) if patient else ask()
        files = [
            RemoteFile(one.rfilename, int(one.size), one.lfs.sha256 if one.lfs else one.blob_id)
            for one in info.siblings
        ]
        if not all(HASH.fullmatch(file.digest) for file in files) or not COMMIT.fullmatch(info.sha):
            raise ValueError("no hashes")  # they become names of files
    except HFValidationError:
        raise
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise WrongBytes(
            f"{request.endpoint} does not answer as a hub does: if this network asks for a login, open a browser and "
            "log in; if HF_ENDPOINT is set, check it; then call again"
        ) from error
    return info.sha, {file.name: file for file in files}


def _check_listing(files: dict[str, RemoteFile]) -> None:
    if "config.json" not in files:
        raise CheckpointError("the repository has no config.json: it is no model that can be loaded; check the name")
    if WEIGHTS not in files and INDEX not in files:
        pickles = sorted(name for name in files if name.endswith((".bin", ".pt", ".ckpt")))
        others = f" (it has {pickles[0]}, a pickle, which could run code here)" if pickles else ""
        raise CheckpointError(
            f"the repository has no {WEIGHTS}{others}: look for a revision with safetensors, or convert the model on a "
            "machine that may run it and give the folder"
        )


def weights_of(files: dict[str, RemoteFile], folder: Path) -> list[RemoteFile]:
    """The files with weights: one, or the shards that the index names."""
    if WEIGHTS in files:
        return [files[WEIGHTS]]
    missing = sorted(set(shards_of(folder)) - set(files))
    if missing:
        raise CheckpointError(
            f"{INDEX} names {missing[0]}, which the repository does not have: its upload is incomplete; give an "
            "earlier revision"
        )
    return [files[shard] for shard in shards_of(folder)]


def shards_of(folder: Path) -> list[str]:
    """The files that a folder's index of shards names."""
    try:
        names = set(json.loads((folder / INDEX).read_text())["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise CheckpointError(
            f"{folder / INDEX} is no index of shards: it has no readable weight_map; {AGAIN}"
        ) from error
    for name in names:
        if not isinstance(name, str) or re.fullmatch(r"[\w.-]+\.safetensors", name) is None:
            raise CheckpointError(f"{folder / INDEX} names {name!r}, which is no safetensors file beside it; {AGAIN}")
    return sorted(names)


def is_complete(folder: Path) -> bool:
    """Whether a folder has a configuration and all its weights; they come last, so the rest is there too."""
    if not (folder / "config.json").is_file():
        return False
    if (folder / WEIGHTS).is_file():
        return True
    try:
        return (folder / INDEX).is_file() and all((folder / shard).is_file() for shard in shards_of(folder))
    except CheckpointError:
        return False


def _damaged(cache: RepositoryCache, commit: str) -> str | None:
    """The name of a file on this disk that is not as the hub listed it; it is removed."""
    for path in sorted(cache.snapshot(commit).iterdir()):
        file = cache.listed(commit, path.name)
        if file is not None and not cache.holds(commit, file):
            return path.name
    return None


def _from_cache(cache: RepositoryCache, commit: str, damaged: str | None) -> Path:
    if damaged:
        raise CheckpointError(
            f"{damaged} on this disk is not as it was fetched and was removed, and the hub cannot be reached: call "
            "again with a network; only this file is fetched again"
        )
    return cache.snapshot(commit)


def _bring(request: Request, cache: RepositoryCache, commit: str, files: Iterable[RemoteFile], progress: bool) -> None:
    """Download what the disk lacks, after a look whether it has room."""
    from huggingface_hub.utils import build_hf_headers, tqdm

    missing = [file for file in files if not cache.holds(commit, file)]
    if not missing:
        return
    rest = sum(file.size - length_of(cache.part(file)) for file in missing)
    if shutil.disk_usage(cache.folder).free < rest:
        raise OSError(errno.ENOSPC, "no room", str(cache.folder))
    total = sum(file.size for file in missing)
    with tqdm(total=total, unit="B", unit_scale=True, desc=request.name, disable=not progress) as bar:
        for file in missing:
            url = request.url(commit, file.name)
            download(url, cache.part(file), file, build_hf_headers(), bar)
            cache.place(commit, file)
