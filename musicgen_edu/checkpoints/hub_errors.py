"""What can go wrong between here and the hub, each in one sentence with the next step."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from .hub_download import asked_wait

if TYPE_CHECKING:
    from .hub import Request

FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


def explain(error: Exception, request: Request, folder: Path) -> str:
    """One sentence about a failure, and the next step.

    Args:
        error: what was raised.
        request: what was asked for.
        folder: where the model is kept.
    """
    from huggingface_hub import errors

    page = f"{request.endpoint}/{request.name}"
    known = [
        (errors.GatedRepoError, f"its authors ask who uses it: accept their terms at {page} and run `hf auth login`"),
        (errors.RevisionNotFoundError, f"there is no revision {request.revision}: see {page}/commits/main for what "
         "there is, or leave revision out for the newest"),
        (errors.RepositoryNotFoundError, "the hub has no such model, or it is private: check the name "
         "(facebook/musicgen-small, for example), or run `hf auth login` if you may see it"),
        (errors.EntryNotFoundError, "the hub lists a file that it does not have: call again later, or give an earlier "
         "revision"),
        (errors.OfflineModeIsEnabled, "it is not on this disk, and HF_HUB_OFFLINE forbids to fetch it: unset that "
         "and call again with a network, or give a folder with a copy"),
    ]  # fmt: skip
    for kind, sentence in known:
        if isinstance(error, kind):
            return sentence
    return _explain_server(error, request) or _explain_disk(error, folder) or _explain_network(error, request)


def _explain_server(error: Exception, request: Request) -> str | None:
    response = getattr(error, "response", None)
    if response is None:
        return None
    status, wait = response.status_code, asked_wait(error)
    if status in (401, 403):
        return f"the hub refuses access ({status}): run `hf auth login` with a token that may read it"
    if status == 429:
        when = f"in {wait:.0f} s" if wait else "in some minutes"
        return f"the hub has had too many requests from here (429): call again {when}; what arrived is kept"
    if status >= 500:
        when = f"in {wait:.0f} s" if wait else "later"
        return f"the hub does not work at the moment ({status}): call again {when}; what arrived is kept"
    return f"the hub answered {status}, which is no answer to this request: check HF_ENDPOINT ({request.endpoint})"


def _explain_disk(error: Exception, folder: Path) -> str | None:
    number = getattr(error, "errno", None)
    if number in FULL:
        free = shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free / 1e9
        return (
            f"the disk is full ({free:.1f} GB free at {folder.parent}): make room, or set HF_HOME to a folder on "
            "a larger disk, and call again; what arrived is kept"
        )
    if getattr(error, "filename", None) is not None:  # of a file here, not of a connection
        return f"{error.filename} cannot be used ({error.strerror}): set HF_HOME to a folder that can be written"
    return None


def _explain_network(error: Exception, request: Request) -> str:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return (
        f"the line to {request.endpoint} failed ({reason}): check the network and call again; what arrived is kept "
        "and continued"
    )
