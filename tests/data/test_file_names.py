"""A table's names find the files that they mean, whatever system wrote either; else the thing is named."""

from __future__ import annotations

import unicodedata

import pytest

from musicgen_edu.data.file_names import FileNames


def made(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"sound")
    return FileNames(folder)


@pytest.mark.parametrize(
    ("on_disk", "in_table"),
    [
        ("a.wav", "a.wav"),
        ("deep/er/a.wav", "deep/er/a.wav"),
        ("deep/er/a.wav", r"deep\er\a.wav"),
        ("deep/a.wav", r".\deep\a.wav"),
        ("a.WAV", "a.wav"),
        ("Deep/A.wav", "deep/a.WAV"),
        (" a.wav", "a.wav"),
        ("a b.wav", "a b.wav"),
        (r"a\b.wav", r"a\b.wav"),  # a backslash is a letter where files are divided by slashes
    ],
)
def test_other_ways_to_write_a_name(tmp_path, on_disk, in_table):
    assert made(tmp_path, on_disk).find(in_table) == tmp_path / on_disk


@pytest.mark.parametrize("name", ["café.wav", "Übung/naïve.wav", "한국.wav", "ÇA VA.wav", "ṩ.wav"])
@pytest.mark.parametrize(("disk", "table"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_accents_of_one_piece_or_of_two(tmp_path, name, disk, table):
    there = unicodedata.normalize(disk, name)
    assert made(tmp_path, there).find(unicodedata.normalize(table, name)) == tmp_path / there


def test_the_exact_name_comes_first_and_doubt_is_said(tmp_path):
    names = made(tmp_path, "a.wav", "A.wav", "b.wav")
    assert names.find("A.wav") == tmp_path / "A.wav"
    with pytest.raises(ValueError, match=r"a\.WAV may be any of A\.wav, a\.wav in .*: write its name as one of them"):
        names.find("a.WAV")


@pytest.mark.parametrize(
    ("there", "asked", "said"),
    [
        (["a.m4a"], "a.m4a", r"a\.m4a is in the format \.m4a, which cannot be read: convert it to WAV or FLAC"),
        (["a.WEBM"], "a.webm", "is in the format .WEBM, which cannot be read"),
        (["a.raw"], "a.raw", "is in the format .raw, which cannot be read"),
        (["a.m4a"], "a.wav", r"no sound file at .*a\.wav, but there is a\.m4a"),
        (["a.flac", "a.mp3"], "a.wav", r"but there is a\.flac and a\.mp3"),
        ([], "a.wav", r"no sound file at .*a\.wav$"),
        (["a.wav"], "none/a.wav", r"no sound file at .*none/a\.wav$"),
        (["d/a.wav"], "d", "no sound file at"),
        ([], "x" * 5000, "no sound file at"),
        ([], "a\0b.wav", "no sound file at"),
        (["a.wav"], "a.wav/b.wav", "no sound file at"),
    ],
)
def test_what_is_not_there_or_cannot_be_read_is_named(tmp_path, there, asked, said):
    with pytest.raises(ValueError, match=said):
        made(tmp_path, *there).find(asked)
