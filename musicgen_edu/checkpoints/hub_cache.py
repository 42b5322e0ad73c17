"""The hub's cache on disk, in the layout that `huggingface_hub` and `transformers` share.

    models--facebook--musicgen-small/
        blobs/<hash>                  the files, named by their hash; `<hash>.incomplete` while they arrive
        snapshots/<commit>/<name>     links to them
        refs/main                     the commit that a branch was at
        musicgen_edu.json             ours: what was compared with its hash, with size and time of change

Hashing gigabytes takes seconds, so a file is hashed once; later its size and time of change tell that it is the same.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from ..files import replace_when_complete
from .hub_download import RemoteFile, is_whole

RECORD = "musicgen_edu.json"
HASH = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}")


class RepositoryCache:
    """What the disk holds of one repository.

    Args:
        root: the folder of all repositories.
        name: such as facebook/musicgen-small.
    """

    def __init__(self, root: Path, name: str):
        self.folder = root / ("models--" + name.replace("/", "--"))
        self.lock = root / ".locks" / self.folder.name / "musicgen_edu.lock"

    def commit(self, revision: str) -> str | None:
        """The commit that a branch, tag or commit is known to mean."""
        if COMMIT.fullmatch(revision):
            return revision
        ref = self.folder / "refs" / revision
        return ref.read_text().strip() if ref.is_file() else None

    def remember_commit(self, revision: str, commit: str) -> None:
        ref = self.folder / "refs" / revision
        if revision == commit or (ref.is_file() and ref.read_text() == commit):
            return
        ref.parent.mkdir(parents=True, exist_ok=True)
        with replace_when_complete(ref) as temporary:
            temporary.write_text(commit)

    def snapshot(self, commit: str) -> Path:
        """The folder with the files of a commit."""
        return self.folder / "snapshots" / commit

    def part(self, file: RemoteFile) -> Path:
        """Where a file is kept while it arrives."""
        path = self.folder / "blobs" / f"{file.digest}.incomplete"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def listed(self, commit: str, name: str) -> RemoteFile | None:
        """A file of a commit as the hub listed it once: from our record, or from the name of the blob."""
        path = self.snapshot(commit) / name
        digest, size, _ = self._record().get(f"{commit}/{name}", ["", None, 0])
        if not digest and path.is_symlink():
            digest = Path(os.readlink(path)).name
        if not path.is_file() or not HASH.fullmatch(digest):
            return None
        return RemoteFile(name, path.stat().st_size if size is None else size, digest)

    def holds(self, commit: str, file: RemoteFile) -> bool:
        """Whether the file is here with the right bytes; hashed only if it was never, or has changed since.

        What is here with other bytes is removed, so that it is fetched again and never loaded.
        """
        path = self.snapshot(commit) / file.name
        if not path.is_file():
            blob = self.folder / "blobs" / file.digest
            if not is_whole(blob, file):
                path.unlink(missing_ok=True)
                blob.unlink(missing_ok=True)
                return False
            self._link(blob, path)
        if self._record().get(f"{commit}/{file.name}") == self._state(path, file):
            return True
        if is_whole(path, file):
            self._remember(commit, file)
            return True
        blob = path.resolve()
        path.unlink()
        blob.unlink(missing_ok=True)
        return False

    def place(self, commit: str, file: RemoteFile) -> None:
        """Give a file that has arrived and was checked its place."""
        blob = self.folder / "blobs" / file.digest
        os.replace(self.part(file), blob)
        self._link(blob, self.snapshot(commit) / file.name)
        self._remember(commit, file)

    def _link(self, blob: Path, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        try:
            path.symlink_to(os.path.relpath(blob, path.parent))
        except OSError:  # Windows without the right to make links
            shutil.copyfile(blob, path)

    def _state(self, path: Path, file: RemoteFile) -> list:
        status = path.stat()
        return [file.digest, status.st_size, status.st_mtime_ns]

    def _record(self) -> dict[str, list]:
        try:
            return json.loads((self.folder / RECORD).read_text())
        except (OSError, ValueError):
            return {}

    def _remember(self, commit: str, file: RemoteFile) -> None:
        record = self._record() | {f"{commit}/{file.name}": self._state(self.snapshot(commit) / file.name, file)}
        if os.access(self.folder, os.W_OK):  # else it is hashed at each load
            with replace_when_complete(self.folder / RECORD) as temporary:
                temporary.write_text(json.dumps(record, indent=1, sort_keys=True))
