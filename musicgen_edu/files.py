"""Files that are written whole or not at all, with a clear word where that cannot be."""

from __future__ import annotations

import errno
import glob
import hashlib
import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LONG_NAME = 100  # bytes; the longest that a disk takes are 255, or 143
LEFT_ALONE = 3600  # seconds since the last change


def asset(*parts: str) -> Path:
    """A file or folder of the package's own assets: beside the package in a checkout, inside it in a wheel."""
    package = Path(__file__).resolve().parent
    places = [base.joinpath("assets", *parts) for base in (package.parent, package)]
    return next((place for place in places if place.exists()), places[0])


def check_place(path: str | os.PathLike) -> None:
    """Raise an `OSError` that says why no file can be written there: better before the work than after it.

    An empty file beside it is tried, for permissions alone do not tell. What processes that were killed have left
    there is removed.

    Raises:
        FileNotFoundError: the folder does not exist.
        OSError: it is a folder or something special, its name cannot be a file's, or the folder takes no file.
    """
    path = Path(path)
    try:
        _check_target(path)
        remove_leftovers(path)
        _try_folder(_temporary(path))
    except (OSError, ValueError) as error:  # a ValueError for a null, or for half a character
        raise cannot_write(path, error) from error


def _try_folder(temporary: Path) -> None:
    try:
        temporary.touch()
        temporary.unlink()
    except OSError as error:
        raise OSError(error.errno, f"nothing can be written in {temporary.parent} ({error.strerror})") from error


def _check_target(path: Path) -> None:
    _check_folder(path)
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder")
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no ordinary file")


def _check_folder(path: Path) -> None:
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, f"the folder {path.parent} does not exist")


def cannot_write(path: str | os.PathLike, error: OSError | ValueError) -> OSError:
    """The error for a file that cannot be written, with the reason of another error (or that one, if it says so)."""
    if str(error).startswith("cannot write"):
        return error
    kind = type(error) if isinstance(error, OSError) else OSError
    return kind(f"cannot write {path}: {getattr(error, 'strerror', None) or error}")


@contextmanager
def replace_when_complete(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary name beside `path`; rename it to `path` if the block ends well, remove it if it fails.

    What a process that was killed left of an earlier attempt is removed first.

    Raises:
        FileNotFoundError: the folder does not exist.
    """
    path = Path(path)
    try:
        _check_folder(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    with suppress(OSError):
        remove_leftovers(path)
    temporary = _temporary(path)
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with suppress(OSError):  # the folder may be gone, which is not what to tell of
            temporary.unlink(missing_ok=True)


def _temporary(path: Path) -> Path:
    return path.with_name(f"{_hidden(path)}.{os.getpid()}.part")


def _hidden(path: Path) -> str:
    """What the temporary names of a file begin with; for a long one a hash, lest they be too long for the disk."""
    name = os.fsencode(path.name)
    return f".{path.name if len(name) <= LONG_NAME else hashlib.sha1(name).hexdigest()}"


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replace_when_complete(path) as temporary:
        temporary.write_text(text)


@contextmanager
def room_for(path: Path, needed: int) -> Iterator[Path]:
    """`replace_when_complete` for a file of about `needed` bytes.

    What a process that was killed left of an earlier attempt is removed first.

    Raises:
        OSError: the disk is full. What stood at `path` before is still there.
    """
    with suppress(OSError):
        remove_leftovers(path)  # before its room is counted
    check_room(path.parent, needed, path.name)
    try:
        with replace_when_complete(path) as temporary:
            yield temporary
    except Exception as error:  # torch and safetensors have errors of their own for a full disk
        if _disk_is_full(error):
            raise no_room(path.parent, needed, path.name) from error
        raise


def _disk_is_full(error: BaseException | None) -> bool:
    """Whether that is what an error, or one that it came from, says."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if "No space left" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def check_room(folder: Path, needed: int, what: str) -> None:
    """Raise an `OSError` if a folder's disk has not so many bytes free: better before the work than after it."""
    if folder.is_dir() and shutil.disk_usage(folder).free < needed:
        raise no_room(folder, needed, what)


def no_room(folder: Path, needed: int, what: str) -> OSError:
    """The error for a disk that is full."""
    free = shutil.disk_usage(folder).free
    return OSError(
        f"the disk is full: {what} needs {needed / 1e6:.1f} MB in {folder}, and {free / 1e6:.1f} MB are free; what "
        f"was written before is still there: make room and do the same again"
    )


def remove_leftovers(path: Path) -> None:
    """Remove the temporary files of `replace_when_complete` whose processes were killed."""
    for left in path.parent.glob(f"{glob.escape(_hidden(path))}.*.part"):
        process = re.fullmatch(r".*\.(\d+)\.part", left.name)
        if process and not _in_use(left, int(process[1])):
            left.unlink(missing_ok=True)


def _in_use(file: Path, process: int) -> bool:
    """Whether a process that writes this file may still be there."""
    if os.name == "nt":  # where signal 0 is Ctrl+C
        return time.time() - file.stat().st_mtime < LEFT_ALONE
    try:
        os.kill(process, 0)  # signal 0 only asks
    except (ProcessLookupError, OverflowError):  # the latter is a number that no process has
        return False
    except OSError:
        return True
    return True


def has_hash(path: Path, digest: str) -> bool:
    """Whether that is the hash of a file in hexadecimal: 64 digits are SHA-256, 40 are git's SHA-1 of a blob."""
    start = hashlib.sha256() if len(digest) == 64 else hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: start).hexdigest() == digest


def link_or_copy(target: Path, path: Path) -> None:
    """Let `path` be a symbolic link to `target`; where that is not allowed, a hard link; else a copy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    for make in (lambda: path.symlink_to(os.path.relpath(target, path.parent)), lambda: path.hardlink_to(target)):
        try:
            return make()
        except OSError:  # Windows allows the first to some only; some disks do not know the second
            continue
    shutil.copyfile(target, path)
