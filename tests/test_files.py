"""Files that cannot be written: noticed before the work, in one sentence, and nothing is left beside them."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest

from musicgen_edu import files
from musicgen_edu.files import check_place, remove_leftovers, replace_when_complete, write_text

NAMES = ["a.wav", "x" * 246 + ".wav", "音" * 80 + ".wav", "[a]*?.wav", " .wav", "-.wav", b"caf\xe9.wav"]


@pytest.mark.parametrize("name", NAMES)
def test_every_name_that_a_disk_takes_can_be_written_and_nothing_stays_beside_it(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    check_place(path)
    assert list(tmp_path.iterdir()) == []
    write_text(path, "first")
    check_place(path)
    write_text(path, "second")
    assert path.read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder", "it is a folder"),
        ("link to folder", "it is a folder"),
        ("pipe", "it is no ordinary file"),
        ("x" * 256, "name too long"),
        ("音" * 86, "name too long"),
        ("missing/a.wav", "the folder .*missing does not exist"),
        ("file/a.wav", "the folder .*file does not exist"),
        ("a\0.wav", "null"),
        ("bell \ud83d.wav", "surrogates not allowed"),
        ("/proc/a.wav", "nothing can be written in /proc"),
        ("/sys/a.wav", "nothing can be written in /sys"),
    ],
)
def test_a_place_that_takes_no_file_is_told_before_the_work(tmp_path, name, reason):
    if name.startswith("/") and not Path(name).parent.is_dir():
        pytest.skip("there is no such folder here")
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "link to folder").symlink_to(tmp_path / "folder")
    os.mkfifo(tmp_path / "pipe")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(OSError, match=f"(?i)^cannot write .*{reason}") as caught:
        check_place(tmp_path / name)
    assert len(str(caught.value).splitlines()) == 1
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT])
def test_a_folder_without_permission_or_room_for_a_name_is_told(tmp_path, monkeypatch, number):
    def refuse(*arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "touch", refuse)
    with pytest.raises(OSError, match=f"nothing can be written in .*{os.strerror(number)}"):
        check_place(tmp_path / "a.wav")


def test_what_fails_keeps_the_old_file_and_says_its_own_error(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("precious")

    def half() -> None:
        with replace_when_complete(path) as temporary:
            temporary.write_text("half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half()
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


LEFT = [("a.wav", ".a.wav.4194399.part"), ("[a].wav", ".[a].wav.4194399.part"), ("b", ".b.99999999999999.part")]


@pytest.mark.parametrize(("name", "left"), LEFT)
def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path, name, left):
    kept = [tmp_path / f".{name}.{os.getpid()}.part", tmp_path / ".other.4194399.part", tmp_path / f".{name}.x.part"]
    for path in (tmp_path / left, *kept):
        path.touch()
    check_place(tmp_path / name)
    assert not (tmp_path / left).exists()
    assert [path for path in kept if not path.exists()] == kept[:1]  # one's own is the name that was tried


def test_on_windows_no_process_is_asked_and_only_what_is_old_is_removed(tmp_path, monkeypatch):
    """Signal 0 is Ctrl+C there: `os.kill` would interrupt one's own console."""
    for name, age in (("old", 7200), ("new", 0)):
        file = tmp_path / f".{name}.4242.part"
        file.touch()
        os.utime(file, (time.time() - age,) * 2)

    class Windows:
        name = "nt"

        def __getattr__(self, attribute):
            return getattr(os, attribute)

        def kill(self, *anything):
            pytest.fail("os.kill was called")

    monkeypatch.setattr(files, "os", Windows())
    for name in ("old", "new"):
        remove_leftovers(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [".new.4242.part"]
