"""One file from the hub: received in pieces that are kept when the line breaks, and compared with its hash.

`huggingface_hub` throws away what it had when a download fails. Here the bytes stay beside the cache under
`<hash>.incomplete`, and the next call asks the server for the rest with a `Range` request (RFC 9110, section 14).
"""

from __future__ import annotations

import hashlib
import importlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..errors import CheckpointError

PIECE = 2**20  # bytes that are hashed at a time
WAITS = (1.0, 3.0, 9.0)  # seconds before each new attempt, when no byte came since the last one
LONGEST_WAIT = 60.0  # what a server may ask us to wait; beyond that the user should decide
PASSING = {408, 429, 500, 502, 503, 504}  # HTTP answers that another attempt may change
Result = TypeVar("Result")


@dataclass(frozen=True)
class RemoteFile:
    """A file in a repository: its name, bytes, and hash: SHA-256 of a large file, else git's SHA-1 of the blob."""

    name: str
    size: int
    digest: str


class WrongBytes(CheckpointError):
    """What arrived is not the file that the hub lists."""


def network_error() -> type[Exception]:
    """What the hub's client raises when the line breaks: it is httpx in huggingface_hub 1 and httpx2 in 2."""
    from huggingface_hub import get_session

    return importlib.import_module(type(get_session()).__module__.partition(".")[0]).RequestError


def digest_of(path: Path, like: str) -> str:
    """The hash of a file in hexadecimal, of the kind of `like`: 64 digits are SHA-256, 40 are a git blob's SHA-1."""
    algorithm = hashlib.sha256() if len(like) == 64 else hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            algorithm.update(piece)
    return algorithm.hexdigest()


def is_whole(path: Path, file: RemoteFile) -> bool:
    """Whether a file on disk has the length and the hash that the hub lists."""
    return path.is_file() and path.stat().st_size == file.size and digest_of(path, file.digest) == file.digest


def asked_wait(error: Exception) -> float:
    """Seconds that the server's `Retry-After` asks for; 0 without one, or if it is a date."""
    response = getattr(error, "response", None)
    value = "" if response is None else response.headers.get("Retry-After", "")
    return float(value) if re.fullmatch(r"\d+", value.strip()) else 0.0


def patiently(call: Callable[[], Result], progressed: Callable[[], Any] = lambda: None) -> Result:
    """Call again after failures that may pass: a broken line, a busy server.

    Args:
        call: what is tried.
        progressed: a number that grows when something arrived; then the count of attempts begins anew.
    """
    from huggingface_hub.errors import HfHubHTTPError

    failures, before = 0, progressed()
    while True:
        try:
            return call()
        except (network_error(), HfHubHTTPError) as error:
            response = getattr(error, "response", None)  # only an answer of the server has one
            if response is not None and response.status_code not in PASSING:
                raise
            failures, before = (failures + 1 if progressed() == before else 1), progressed()
            if failures > len(WAITS) or asked_wait(error) > LONGEST_WAIT:
                raise
            time.sleep(max(WAITS[failures - 1], asked_wait(error)))


def download(url: str, part: Path, file: RemoteFile, headers: dict[str, str], bar: Any) -> None:
    """Complete `part`, going on where it ends, and check it.

    Args:
        url: of the file.
        part: where the bytes are kept until they are all there.
        file: what is expected.
        headers: of the request; a token, for example.
        bar: its `update` is called with the number of bytes that arrived.

    Raises:
        WrongBytes: the bytes are not those that the hub lists; they are deleted.
        OSError: the line, the server or the disk failed; what arrived stays.
    """
    if part.is_file() and part.stat().st_size > file.size:
        part.unlink()
    bar.update(length_of(part))
    patiently(lambda: receive(url, part, file, headers, bar), lambda: length_of(part))
    if not is_whole(part, file):
        part.unlink()
        raise WrongBytes(
            f"{file.name} arrived with other bytes than the hub lists (its hash is not {file.digest[:12]}...) and was "
            "deleted: call again; if it happens twice, a proxy or virus scanner on the way changes files"
        )


def length_of(path: Path) -> int:
    """Bytes of a file; 0 if there is none."""
    return path.stat().st_size if path.is_file() else 0


def receive(url: str, part: Path, file: RemoteFile, headers: dict[str, str], bar: Any) -> None:
    """Ask once for the bytes that `part` lacks, and append what comes."""
    from huggingface_hub import constants, get_session
    from huggingface_hub.utils import hf_raise_for_status

    have = length_of(part)
    if have == file.size and file.size:
        return
    headers = {**headers, "Accept-Encoding": "identity"}  # compressed, the positions would be others
    if have:
        headers["Range"] = f"bytes={have}-"
    timeout = constants.HF_HUB_DOWNLOAD_TIMEOUT
    with get_session().stream("GET", url, headers=headers, timeout=timeout, follow_redirects=True) as response:
        if response.is_error:
            response.read()
        hf_raise_for_status(response)
        skip = check_answer(response, file, have)
        with part.open("ab") as out:
            for piece in response.iter_bytes():
                kept = piece[skip:][: file.size - have]  # a longer answer is cut off; the hash decides about the rest
                skip, have = max(0, skip - len(piece)), have + len(kept)
                out.write(kept)
                bar.update(len(kept))
    if length_of(part) < file.size:
        raise network_error()(f"the answer ended after {length_of(part)} of {file.size} bytes")


def check_answer(response: Any, file: RemoteFile, have: int) -> int:
    """How many bytes of an answer we already have: all of `have` if the server does not know `Range`, else none.

    Raises:
        WrongBytes: this is another thing than the file, such as the login page of a hotel's network.
    """
    if response.headers.get("Content-Type", "").startswith("text/html"):
        raise WrongBytes(
            f"instead of {file.name} came a web page: if this network asks for a login, open a browser and log in, "
            "then call again"
        )
    begins = have if response.status_code == 206 else 0
    stated = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    if response.status_code == 206 and (stated is None or int(stated[1]) != have):
        raise WrongBytes(f"the hub sent another part of {file.name} than the one that was asked for: call again")
    length = response.headers.get("Content-Length")
    if length is not None and begins + int(length) != file.size:
        raise WrongBytes(
            f"the hub announces {begins + int(length)} bytes of {file.name} where it lists {file.size}: call again "
            "later; if it happens twice, a proxy on the way changes files"
        )
    return have - begins
