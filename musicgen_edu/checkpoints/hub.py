"""Published models by name: fetched from the hub once, every byte checked, kept, and found again without a network.

`huggingface_hub` knows names, tokens and where the cache lies. Its own download begins anew at each call and compares
no hashes. Here what arrived stays, the next call asks for the rest (`Range`, RFC 9110, section 14), and no file is
given out before its hash is the one that the hub lists. The cache is the library's; in a folder of ours in it stand
`<hash>.part`, a file while it arrives, and an empty `<hash>.<size>.<time of change>` for each that was found right.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from huggingface_hub import HfApi, constants, errors, get_session, hf_hub_url, utils
from huggingface_hub.utils import tqdm

from ..errors import CheckpointError
from ..files import has_hash, link_or_copy, replace_when_complete
from .folder import SMALL_FILES, check_names, is_complete, weights_among

WAITS = (1.0, 3.0, 9.0)  # seconds before each new attempt, when no byte came since the last one
LONGEST_WAIT = 60.0  # what a server may ask us to wait; beyond that the user should decide
PASSING = {408, 429, 500, 502, 503, 504}  # HTTP answers that another attempt may change
HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
LOG_IN = "if this network asks for a login, open a browser and log in"
PROXY = "if it happens twice, a proxy or virus scanner on the way changes files"
HTTPError = errors.HfHubHTTPError.__bases__[0]  # if line or server fail: httpx's in huggingface_hub 1, httpx2's in 2


class RemoteFile(NamedTuple):
    """A file of a repository: its name, bytes, and hash: SHA-256 of a large file, else git's SHA-1 of the blob."""

    name: str
    size: int
    digest: str


def fetch(name: str, revision: str = "main", progress: bool = True) -> Path:
    """The folder with a published model's files, fetched from the hub as far as they are not on this disk.

    Only `safetensors` weights, the configuration and the tokenizer are fetched, never a pickle. A model that was
    fetched before loads without a network. `HF_ENDPOINT` names another hub, `HF_HOME` another folder. See `find`.
    """
    repository = Repository(name, revision)
    try:
        utils.validate_repo_id(name)
        with repository.alone():
            return repository.fetch(progress)
    except (OSError, ValueError, HTTPError) as error:
        raise CheckpointError(f"{name}: {explain(error, repository)}") from error


class Repository:
    """A model on the hub, and what this disk holds of it; `revision` is a branch, tag or commit."""

    def __init__(self, name: str, revision: str):
        self.name, self.revision = name, revision
        self.endpoint = (os.environ.get("HF_ENDPOINT") or constants.ENDPOINT).rstrip("/")
        self.folder = Path(constants.HF_HUB_CACHE).expanduser() / ("models--" + name.replace("/", "--"))
        self.blobs, self.snapshots, self.ours = (self.folder / part for part in ("blobs", "snapshots", "musicgen_edu"))

    def alone(self) -> AbstractContextManager:
        """A lock: a second process waits and then finds everything there. In a cache that cannot be written, none."""
        if self.folder.is_dir() and not os.access(self.folder, os.W_OK):
            return nullcontext()
        lock = self.folder.parent / ".locks" / self.folder.name / "musicgen_edu.lock"
        lock.parent.mkdir(parents=True, exist_ok=True)
        return utils.WeakFileLock(lock)

    def fetch(self, progress: bool) -> Path:
        """The folder of the revision's files; what the disk lacks, or has with other bytes, is downloaded."""
        ref = self.folder / "refs" / self.revision
        known = self.snapshots / (ref.read_text().strip() if ref.is_file() else self.revision)
        complete = is_complete(known) and all(path.exists() for path in known.iterdir())
        damaged = self.remove_damaged(known) if complete else []
        if complete and not damaged and known.name == self.revision:
            return known  # a commit never changes: nothing to ask
        try:
            commit, files = self.listing() if complete else patiently(self.listing)
        except (OSError, CheckpointError, HTTPError) as error:
            if not complete or (400 <= answer_of(error)[0] < 500 and answer_of(error)[0] != 429):
                raise
            if damaged:
                raise CheckpointError(
                    f"{damaged[0]} on this disk is not as it was fetched and was removed, and the hub cannot be "
                    "reached: call again with a network; only this file is fetched again"
                ) from error
            return known
        check_names(files)
        folder = self.snapshots / commit
        self.bring(folder, [file for file in files.values() if file.name in SMALL_FILES], progress)
        self.bring(folder, [files[name] for name in weights_among(files, folder)], progress)
        if self.revision != commit and known != folder:
            ref.parent.mkdir(parents=True, exist_ok=True)
            with replace_when_complete(ref) as temporary:
                temporary.write_text(commit)
        return folder

    def listing(self) -> tuple[str, dict[str, RemoteFile]]:
        """The commit that the revision means, and its files by name: one request."""
        ask = partial(HfApi(self.endpoint).model_info, timeout=constants.HF_HUB_ETAG_TIMEOUT, files_metadata=True)
        try:
            info = ask(self.name, revision=self.revision)
            kept = [(one.rfilename, int(one.size), one.lfs.sha256 if one.lfs else one.blob_id) for one in info.siblings]
            if not all(HASH.fullmatch(digest) for digest in (info.sha, *(digest for _, _, digest in kept))):
                raise ValueError("no hashes")  # they become names of files
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise CheckpointError(
                f"{self.endpoint} does not answer as a hub does: {LOG_IN}; if HF_ENDPOINT is set, check it; call again"
            ) from error
        return info.sha, {name: RemoteFile(name, size, digest) for name, size, digest in kept}

    def holds(self, path: Path, digest: str) -> bool:
        """Whether a file of a commit is here, right to the last byte."""
        if not path.is_file() and (self.blobs / digest).is_file():  # another commit has the same file
            link_or_copy(self.blobs / digest, path)
        return path.is_file() and self.is_right(path, digest)

    def is_right(self, path: Path, digest: str) -> bool:
        """Whether a file has this hash; one with another is removed, and never given out."""
        mark = self.ours / f"{digest}.{path.stat().st_size}.{path.stat().st_mtime_ns}"  # since hashing takes seconds
        if not mark.exists():
            if not has_hash(path, digest):  # one step only: a blob may itself be a link, to a store that others use
                (path.parent / path.readlink() if path.is_symlink() else path).unlink()
                return False
            with suppress(OSError):  # a cache that cannot be written: hashed at each load
                self.ours.mkdir(exist_ok=True)
                mark.touch()
        return True

    def remove_damaged(self, folder: Path) -> list[str]:
        """Remove the files of a commit that are not as the hub once listed them; their names."""
        damaged = []
        for path in sorted(folder.iterdir()):
            same = [blob for blob in self.blobs.glob("*") if path.is_file() and blob.is_file() and blob.samefile(path)]
            if not all(self.is_right(path, blob.name) for blob in same if HASH.fullmatch(blob.name)):
                damaged.append(path.name)
        return damaged

    def bring(self, folder: Path, files: list[RemoteFile], progress: bool) -> None:
        """Download what a commit's folder lacks, after a look whether the disk has room."""
        missing = [file for file in files if not self.holds(folder / file.name, file.digest)]
        if not missing:
            return
        for place in (self.blobs, self.ours):
            place.mkdir(parents=True, exist_ok=True)
        parts, total = [self.ours / f"{file.digest}.part" for file in missing], sum(file.size for file in missing)
        if shutil.disk_usage(self.folder).free < total - sum(part.stat().st_size for part in parts if part.is_file()):
            raise OSError(errno.ENOSPC, "no room", str(self.folder))
        with tqdm(total=total, unit="B", unit_scale=True, desc=self.name, disable=not progress) as bar:
            for file, part in zip(missing, parts, strict=True):
                self.download(folder.name, file, part, bar)
                os.replace(part, self.blobs / file.digest)
                link_or_copy(self.blobs / file.digest, folder / file.name)

    def download(self, commit: str, file: RemoteFile, part: Path, bar: Any) -> None:
        """Complete `part`, going on where it ends, and check it; what arrived before a failure stays."""
        url = hf_hub_url(self.name, file.name, revision=commit, endpoint=self.endpoint)
        part.touch()
        bar.update(part.stat().st_size)
        if part.stat().st_size < file.size:
            patiently(partial(receive, url, part, file, bar), lambda: part.stat().st_size)
        if not self.is_right(part, file.digest):
            raise CheckpointError(
                f"{file.name} arrived with other bytes than the hub lists (its hash is not {file.digest[:12]}...) and "
                f"was deleted: call again; {PROXY}"
            )


def answer_of(error: Exception) -> tuple[int, float]:
    """The status of the server's answer, and for how many seconds it asks to wait; 0 without an answer or a number."""
    response = getattr(error, "response", None)
    wait = "" if response is None else response.headers.get("Retry-After", "")
    return getattr(response, "status_code", 0), float(wait) if wait.isdecimal() else 0.0


def patiently(call: Callable[[], Any], progressed: Callable[[], int] = lambda: 0) -> Any:
    """Call again after failures that may pass; when `progressed` has grown, the count of attempts begins anew."""
    failures, before = 0, progressed()
    while True:
        try:
            return call()
        except HTTPError as error:
            status, wait = answer_of(error)
            failures, before = (failures + 1 if progressed() == before else 1), progressed()
            if (status and status not in PASSING) or failures > len(WAITS) or wait > LONGEST_WAIT:
                raise
            time.sleep(max(WAITS[failures - 1], wait))


def receive(url: str, part: Path, file: RemoteFile, bar: Any) -> None:
    """Ask once for the bytes that `part` lacks, and write each where it belongs: two that write do no harm."""
    have = part.stat().st_size
    headers = utils.build_hf_headers() | {"Accept-Encoding": "identity"}  # compressed, the positions would be others
    headers |= {"Range": f"bytes={have}-"} if have else {}
    options = {"headers": headers, "timeout": constants.HF_HUB_DOWNLOAD_TIMEOUT, "follow_redirects": True}
    with get_session().stream("GET", url, **options) as response, part.open("r+b") as out:
        utils.hf_raise_for_status(response)
        kind, stated, length = (response.headers.get(f"Content-{name}", "") for name in ("Type", "Range", "Length"))
        if kind.startswith("text/html"):
            raise CheckpointError(f"instead of {file.name} came a web page: {LOG_IN}, then call again")
        if response.status_code == 206:  # else the server does not know `Range`, and sends all
            if not stated.startswith(f"bytes {have}-"):
                raise CheckpointError(f"the hub sent another part of {file.name} than was asked for: call again")
            out.seek(have)
        if length and out.tell() + int(length) != file.size:
            raise CheckpointError(f"the hub announces another length of {file.name} than it lists: call again; {PROXY}")
        for piece in response.iter_bytes():
            count = out.write(piece[: file.size - out.tell()])  # a longer answer is cut off; the hash decides
            bar.update(max(0, min(count, out.tell() - have)))
        if (end := out.seek(0, os.SEEK_END)) < file.size:
            raise HTTPError(f"the answer ended after {end} of {file.size} bytes")


def explain(error: Exception, repository: Repository) -> str:
    """One sentence about a failure, and the next step."""
    (status, wait), home, endpoint = answer_of(error), repository.folder.parent, repository.endpoint
    page, later = f"{endpoint}/{repository.name}", f"in {wait:.0f} s" if wait else "later"
    number, file, why = (getattr(error, attribute, None) for attribute in ("errno", "filename", "strerror"))
    free = shutil.disk_usage(next(path for path in (home, *home.parents) if path.exists())).free / 1e9
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    sentences = [
        (errors.HFValidationError, "this is no name that a hub could have: write it as in facebook/musicgen-small"),
        (ValueError, reason),
        (errors.GatedRepoError, f"its authors ask who uses it: accept their terms at {page} and run `hf auth login`"),
        (errors.RevisionNotFoundError, f"there is no revision {repository.revision}: see {page}/commits/main for what "
         "there is, or leave revision out for the newest"),
        (errors.RepositoryNotFoundError, "the hub has no such model, or it is private: check the name "
         "(facebook/musicgen-small, for example), or run `hf auth login` if you may see it"),
        (errors.EntryNotFoundError, "the hub lists a file that it lacks: call again later, or use an earlier revision"),
        (errors.OfflineModeIsEnabled, "it is not on this disk, and HF_HUB_OFFLINE forbids to fetch it: unset that and "
         "call again with a network, or give a folder with a copy"),
        (status in (401, 403), f"the hub refuses access ({status}): run `hf auth login` with a token that may read it"),
        (status == 429, f"the hub has had too many requests from here (429): call again {later}; what arrived is kept"),
        (status >= 500, f"the hub does not work at the moment ({status}): call again {later}; what arrived is kept"),
        (status, f"the hub answered {status}, which is no answer to this request: check HF_ENDPOINT ({endpoint})"),
        (number in (errno.ENOSPC, errno.EDQUOT), f"the disk is full ({free:.1f} GB free at {home}): make room, or set "
         "HF_HOME to a folder on a larger disk, and call again; what arrived is kept"),
        (file, f"{file} cannot be used ({why}): set HF_HOME to a folder that can be written"),  # not a connection
        (True, f"the line to {endpoint} failed ({reason}): check the network and call again; what arrived is kept"),
    ]  # fmt: skip
    return next(text for case, text in sentences if (isinstance(error, case) if isinstance(case, type) else case))
