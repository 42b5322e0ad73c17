"""`musicgen-edu generate`: a clip that was made is not lost, whatever becomes of the file that it was to go to."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile

from helpers.judges import save_musicgen, their_musicgen
from musicgen_edu import MusicGen
from musicgen_edu.cli.main import main


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return str(save_musicgen(their_musicgen(), tmp_path_factory.mktemp("musicgen")))


def generate(folder, out, *more):
    return main(["generate", "a bell", "--model", folder, "--out", str(out), "--seconds", "0.5", "--seed", "5", *more])


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("folder.wav", "it is a folder"),
        ("pipe.flac", "no ordinary file"),
        ("x" * 256 + ".wav", "ame too long"),
        ("file/a.wav", "does not exist"),
        ("a\0.wav", "null"),
        ("/proc/a.wav", "nothing can be written in /proc"),
    ],
)
def test_a_place_that_takes_no_file_is_refused_before_the_work(folder, tmp_path, capsys, monkeypatch, name, reason):
    monkeypatch.setattr(MusicGen, "from_pretrained", lambda *a, **k: pytest.fail("the model was loaded"))
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe.flac")
    assert generate(folder, tmp_path / name) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("musicgen-edu: cannot write ")
    assert reason in error
    assert "\n" not in error


@pytest.fixture
def refusing(monkeypatch):
    """Let folders refuse what is written to them; what comes is their list."""
    folders, write = [], Path.write_bytes

    def refuse(path, content):
        if any(path.is_relative_to(folder) for folder in folders):
            path.touch()
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", refuse)
    return folders


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "音乐.wav", "x" * 250 + ".wav"])
def test_what_cannot_be_written_at_the_end_is_kept_elsewhere_and_said(folder, tmp_path, capsys, refusing, name):
    out, whole = tmp_path / "out" / name, tmp_path / "whole.wav"
    out.parent.mkdir()
    out.write_bytes(b"precious")
    refusing.append(out.parent)
    assert generate(folder, whole) == 0
    assert generate(folder, out) == 2
    told = capsys.readouterr().err.strip()
    assert "\n" not in told
    kept = Path(re.fullmatch(r"musicgen-edu: cannot write .*: No space left on device; the clip is in (.*)", told)[1])
    assert kept.read_bytes() == whole.read_bytes()
    assert list(out.parent.iterdir()) == [out]
    assert out.read_bytes() == b"precious"
    kept.unlink()
    kept.parent.rmdir()


def test_where_nothing_can_be_written_the_seed_is_said(folder, tmp_path, capsys, refusing, monkeypatch):
    places = [tmp_path / "out", tmp_path / "temporary", tmp_path / "home"]
    for place in places:
        place.mkdir()
    refusing.extend(places)
    monkeypatch.setattr("tempfile.tempdir", str(places[1]))
    monkeypatch.setenv("HOME", str(places[2]))
    assert generate(folder, places[0] / "a.wav") == 2
    assert "the same command with --seed 5 makes the clip again" in capsys.readouterr().err
    assert [list(place.iterdir()) for place in places] == [[], [], []]


def test_the_home_serves_where_the_folder_for_temporary_files_is_full(folder, tmp_path, capsys, refusing, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "home").mkdir()
    refusing.append(tmp_path / "out")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert generate(folder, tmp_path / "out" / "a.wav") == 2
    assert str(tmp_path / "home") in capsys.readouterr().err
    assert soundfile.info(next((tmp_path / "home").rglob("music.wav"))).frames == 400


@pytest.mark.parametrize(
    ("name", "printed"),
    [("音乐.wav", "cp1252"), ("🎵.flac", "ascii"), ("caf\udce9.wav", "utf-8"), ("a.wav", "closed"), ("a.wav", "full")],
)
def test_a_name_or_a_place_that_cannot_be_printed_is_no_failure(folder, tmp_path, name, printed):
    if printed == "full" and not Path("/dev/full").exists():
        pytest.skip("there is no full disk to be had here")
    told = ["generate", "a bell", "--model", folder, "--seconds", "0.1", "--out", str(tmp_path / name)]
    code = f"import sys; from musicgen_edu.cli.main import main; sys.exit(main({told!a}))"
    where = os.open("/dev/full", os.O_WRONLY) if printed == "full" else None
    if printed == "closed":
        reader, where = os.pipe()
        os.close(reader)
    encoding = "utf-8" if where else printed
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=where or subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert (tmp_path / name).exists()
