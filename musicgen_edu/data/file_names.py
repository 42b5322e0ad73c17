"""Files by the names that a table has for them, which may have been written on another system."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path, PureWindowsPath

from .audio_folder import UNREADABLE


def alike(name: str) -> str:
    """The same for names that differ in capitals, in spaces around them, or in how their accents are composed.

    A Mac's archive may hold an é as e and an accent (NFD), where a table has one character (NFC).
    """
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold()).strip()


class FileNames:
    """Finds sound files below a folder, which is listed when it has to be and once.

    Args:
        folder: that the names start from.
    """

    def __init__(self, folder: Path):
        self.folder, self.listings = folder, dict[Path, list[str]]()

    def find(self, name: str) -> Path:
        """The file of a name, which may have folders in it, divided by slashes or backslashes.

        Raises:
            ValueError: there is none, or several are alike, or its format is one that cannot be read.
        """
        path = self.folder / name
        if not os.path.isfile(path):
            path = self.folder
            for part in PureWindowsPath(name).parts:  # which knows both slashes
                path = self._inside(path, part)
        if not os.path.isfile(path):
            raise ValueError(f"no sound file at {self.folder / name}{self._instead(path)}")
        if path.suffix.lower() in UNREADABLE:
            raise ValueError(f"{path} is in the format {path.suffix}, which cannot be read: convert it to WAV or FLAC")
        return path

    def _inside(self, folder: Path, part: str) -> Path:
        """What is called so in a folder, or like it."""
        if os.path.exists(folder / part):
            return folder / part
        found = [name for name in self._listing(folder) if alike(name) == alike(part)]
        if len(found) > 1:
            raise ValueError(f"{part} may be any of {', '.join(found)} in {folder}: write its name as one of them")
        return folder / (found[0] if found else part)

    def _instead(self, path: Path) -> str:
        """What a message says of files of the same name with another ending."""
        stem = alike(path.stem)
        found = [name for name in self._listing(path.parent) if alike(Path(name).stem) == stem]
        return f", but there is {' and '.join(found[:3])}" if found and stem else ""

    def _listing(self, folder: Path) -> list[str]:
        if folder not in self.listings:
            self.listings[folder] = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        return self.listings[folder]
