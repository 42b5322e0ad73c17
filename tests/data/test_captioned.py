"""Captioned clips from a table of files: nothing is lost unseen, and the right seconds are cut."""

from __future__ import annotations

import csv
import re

import numpy as np
import pytest
import soundfile
import torch

from musicgen_edu.data.captioned import CaptionedClip, read_captioned_table, read_clip

RATE = 8000


def write_table(path, rows, columns):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def write_noise(path, seconds):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(0).standard_normal(round(seconds * RATE)), RATE)


def test_a_table_of_files_and_captions(tmp_path):
    write_noise(tmp_path / "deep" / "a.wav", 3)
    write_noise(tmp_path / "b.wav", 3)
    rows = [
        ["deep/a.wav", "rain", "", ""], ["b.wav", "wind, and sea", "1", "0.5"], ["c.wav", "none", "", ""],
        ["b.wav", "", "", ""], ["", "no file", "", ""], ["b.wav", "early", "-1", ""], ["b.wav", "nothing", "", "0"],
    ]  # fmt: skip
    table, told = write_table(tmp_path / "t.csv", rows, ["file", "caption", "start", "seconds"]), []
    clips = read_captioned_table(table, tmp_path, told.append)
    assert clips == [
        CaptionedClip(tmp_path / "deep/a.wav", "rain"),
        CaptionedClip(tmp_path / "b.wav", "wind, and sea", 1.0, 0.5),
    ]
    for message, (number, reason) in zip(
        told,
        {
            4: "no sound file at .*c.wav",
            5: "b.wav has no caption",
            6: "names no file",
            7: "not '-1'",
            8: "more than 0",
        }.items(),
        strict=True,
    ):
        assert re.search(f"line {number} of .*{reason}", message)
    with pytest.raises(ValueError, match=r"no row of .* can be used with the files in"):
        read_captioned_table(
            write_table(tmp_path / "u.csv", rows[2:3], ["file", "caption", "start", "seconds"]), tmp_path, list
        )
    assert (
        len(read_captioned_table(write_table(tmp_path / "v.csv", [["b.wav", "x"]], ["file", "caption"]), tmp_path)) == 1
    )


def test_reading_a_clip_cuts_averages_and_resamples(tmp_path):
    time = np.arange(2 * 48000) / 48000
    left = 0.5 * np.sin(2 * np.pi * 440 * time) * (time >= 1)  # silence, then a tone on one side
    soundfile.write(tmp_path / "a.wav", np.stack([left, 0 * left], 1), 48000)
    assert read_clip(CaptionedClip(tmp_path / "a.wav", ""), 32000).shape == (64000,)
    tone = read_clip(CaptionedClip(tmp_path / "a.wav", "", 1.0, 0.5), 32000)
    assert tone.shape == (16000,)
    assert tone[200:-200].abs().max().item() == pytest.approx(0.25, abs=0.01)
    assert torch.fft.rfft(tone).abs().argmax().item() * 2 == 440
    assert read_clip(CaptionedClip(tmp_path / "a.wav", "", 1.5, 9.0), 32000).shape == (16000,)  # as long as there is


def test_a_clip_that_cannot_be_read_is_named(tmp_path):
    write_noise(tmp_path / "a.wav", 1)
    soundfile.write(tmp_path / "nan.wav", np.full(RATE, np.nan), RATE, subtype="FLOAT")
    (tmp_path / "text.wav").write_text("no sound")
    for clip, message in (
        (CaptionedClip(tmp_path / "a.wav", "", 2.0), r"a\.wav is 1 s long, but its clip begins at 2 s"),
        (CaptionedClip(tmp_path / "nan.wav", ""), r"nan\.wav contains NaN"),
        (CaptionedClip(tmp_path / "text.wav", ""), r"text\.wav cannot be read as audio"),
    ):
        for rate in (RATE, 2 * RATE):
            with pytest.raises(ValueError, match=message):
                read_clip(clip, rate)
    with pytest.raises(FileNotFoundError, match="no sound file at"):
        read_clip(CaptionedClip(tmp_path / "none.wav", ""), RATE)


def test_rows_that_say_the_same_are_taken_once(tmp_path):
    write_noise(tmp_path / "a.wav", 3)
    rows = [["a.wav", "rain"], ["a.wav", "wind"], ["a.wav", "rain"], ["A.wav", " rain "], ["./a.wav", "wind"]]
    table, told = write_table(tmp_path / "t.csv", rows, ["file", "caption"]), []
    clips = read_captioned_table(table, tmp_path, told.append)
    assert [(clip.path.name, clip.caption) for clip in clips] == [("a.wav", "rain"), ("a.wav", "wind")]
    assert [re.sub(".*line (.*) of .*: ", r"\1: ", message) for message in told] == [
        "4: the same as line 2", "5: the same as line 2", "6: the same as line 3",
    ]  # fmt: skip


def test_a_table_of_which_nothing_is_left_says_why(tmp_path):
    (tmp_path / "a.m4a").write_bytes(bytes(2000))
    table = write_table(tmp_path / "t.csv", [["a.m4a", "rain"], ["b.wav", "wind"]], ["file", "caption"])
    with pytest.raises(ValueError, match=r"no row of .* can be used .*: line 2 .*a\.m4a is in the format \.m4a"):
        read_captioned_table(table, tmp_path, list)


def test_a_caption_that_is_a_book_costs_its_row(tmp_path):
    for name in ("a.wav", "b.wav"):
        soundfile.write(tmp_path / name, np.zeros(8000), 8000)
    table, told = tmp_path / "t.csv", []
    table.write_text(f"file,caption\na.wav,{'bell ' * 6000}\nb.wav,an organ\n")
    assert [clip.caption for clip in read_captioned_table(table, tmp_path, told.append)] == ["an organ"]
    assert "a.wav has a caption of 29999 characters, expected at most 4000" in " ".join(told)
