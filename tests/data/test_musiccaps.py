"""MusicCaps: nothing of its table is lost unseen, no clip is in two parts, and each is found under its names."""

from __future__ import annotations

import csv
import random
import re

import numpy as np
import pytest
import soundfile
import torch

from musicgen_edu.data.captioned import CaptionedClip, read_clip
from musicgen_edu.data.musiccaps import (
    MusicCapsRow,
    find_clips,
    musiccaps_parts,
    read_aspects,
    read_musiccaps,
    sounds_good,
    split_rows,
)

RATE = 8000
COLUMNS = (
    "ytid", "start_s", "end_s", "audioset_positive_labels", "aspect_list", "caption", "author_id",
    "is_balanced_subset", "is_audioset_eval",
)  # fmt: skip


def line(ytid="Xy-1_z", start="30", end="40", caption="A slow piano, with rain.", aspects="['slow', 'piano']"):
    return [ytid, start, end, "/m/04rlf", aspects, caption, "4", "False", "True"]


def write_table(path, rows, columns=COLUMNS):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def write_ramp(path, seconds, rate=RATE):
    """A sound in which each sample tells its own time: t / 1000 at t seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.arange(round(seconds * rate)) / rate / 1000, rate, subtype="FLOAT")


def rows_of(count, rng=None):
    rng = rng or random.Random(0)
    return [MusicCapsRow(f"{rng.getrandbits(64):x}", 10.0 * i, 10.0 * i + 10, f"caption {i}") for i in range(count)]


def test_the_split_of_5419_clips_is_the_projects():
    assert [len(part) for part in split_rows(rows_of(5419)).values()] == [3522, 813, 1084]


@pytest.mark.parametrize("seed", range(20))
def test_each_clip_is_in_one_part_whatever_the_order_of_the_table(seed):
    rng = random.Random(seed)
    rows = rows_of(rng.randrange(0, 300), rng)
    parts = split_rows(rows, seed)
    together = [row for part in parts.values() for row in part]
    assert len(together) == len(rows)
    assert set(together) == set(rows)
    for name, share in (("train", 0.65), ("validation", 0.15), ("test", 0.2)):
        assert abs(len(parts[name]) - share * len(rows)) <= 1
    shuffled = rng.sample(rows, len(rows))
    assert split_rows(shuffled, seed) == parts
    if len(rows) > 10:
        assert split_rows(rows, seed + 1) != parts


@pytest.mark.parametrize("seed", range(10))
def test_a_clip_that_is_lost_moves_at_most_one_other_over_each_border(seed):
    rows = rows_of(random.Random(seed).randrange(20, 200))
    before = {row: name for name, part in split_rows(rows, seed).items() for row in part}
    after = {row: name for name, part in split_rows(rows[1:], seed).items() for row in part}
    assert sum(before[row] != name for row, name in after.items()) <= 2


def test_a_row_is_read_whole(tmp_path):
    caption = 'A "live" recording,\nwith Ö and 雨.'
    table = write_table(tmp_path / "t.csv", [line(caption=caption, aspects="['slow', \"it's piano\", ' pad ']")])
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes())  # as spreadsheets begin it
    told = []
    (row,) = read_musiccaps(table, told.append)
    assert row == MusicCapsRow("Xy-1_z", 30.0, 40.0, caption, ("slow", "it's piano", "pad"))
    assert told == []


def test_every_bad_row_is_told_with_its_line_and_the_others_are_read(tmp_path):
    rows = [
        line("first", caption="over\ntwo lines"),
        line("late", start="40", end="30", caption="again\ntwo lines"),
        line("same", start="30", end="30"),
        line("words", start="soon"),
        line("never", end="inf"),
        line("before", start="-1"),
        line("mute", caption="  "),
        line(""),
        line("first"),
        line("short")[:5],
        [*line("long"), "more"],
        line("untold", aspects="slow, piano"),
        line("last"),
    ]
    told = []
    read = read_musiccaps(write_table(tmp_path / "t.csv", rows), told.append)
    assert [row.ytid for row in read] == ["first", "untold", "last"]
    assert read[1].aspects == ()
    expected = {
        4: "late must start before it ends, not start at 40.0 and end at 30.0",
        6: "same must start before it ends",
        7: "start_s must be a number of seconds, 0 or more, not 'soon'",
        8: "end_s must be a number of seconds, 0 or more, not 'inf'",
        9: "start_s must be a number of seconds, 0 or more, not '-1'",
        10: "mute has no caption",
        11: "it has no ytid",
        12: "the clip of first at 30 s is there already",
        13: "5 cells, expected 9",
        14: "10 cells, expected 9",
        15: "no aspects: expected a list",
    }
    assert len(told) == len(expected)
    for message, (number, reason) in zip(told, expected.items(), strict=True):
        assert f"line {number} of" in message
        assert reason in message


@pytest.mark.parametrize(
    "cell",
    [
        "",
        "slow",
        "('a',)",
        "[1, 2]",
        "__import__('os').getcwd()",
        "['a'",
        "[" * 10000,
        "-" * 100000 + "1",
        "['a' + 'b']",
        "{}",
    ],
)
def test_aspects_that_are_no_list_of_texts_are_none(cell):
    assert read_aspects(cell) == ()


@pytest.mark.parametrize("missing", ["ytid", "start_s", "end_s", "aspect_list", "caption"])
def test_a_missing_column_is_named(tmp_path, missing):
    kept = [i for i, name in enumerate(COLUMNS) if name != missing]
    table = write_table(tmp_path / "t.csv", [[line()[i] for i in kept]], [COLUMNS[i] for i in kept])
    with pytest.raises(ValueError, match=rf"t\.csv lacks the column {missing}: its first line must name ytid, start_s"):
        read_musiccaps(table)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "lacks the column ytid"),
        (b"ytid,start_s,end_s,aspect_list,caption\n", "no row of .* can be used"),
        (
            b'ytid,start_s,end_s,aspect_list,caption\na,0,10,[],"never closed\n',
            "no row of .*line 2 .* quotes are wrong",
        ),
        (b'ytid,start_s,end_s,aspect_list,"caption\na,0,10,[],fine\n', "damaged at line 1: its quotes are wrong"),
        (b"ytid,start_s,end_s,aspect_list,caption\na,0,10,[],caf\xe9\n", "is not text in UTF-8"),
        (b"ytid,start_s,end_s,aspect_list,caption,caption\n", "has the column caption twice"),
    ],
)
def test_a_table_that_is_none_is_an_error(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read_musiccaps(tmp_path / "t.csv", list)
    with pytest.raises(FileNotFoundError, match="no table at"):
        read_musiccaps(tmp_path / "u.csv")


@pytest.mark.parametrize("name", ["Xy-1_z.flac", "Xy-1_z_30_40.WAV", "deep/[Xy-1_z]-[30-40].wav"])
def test_a_clip_is_found_under_each_of_its_names(tmp_path, name):
    write_ramp(tmp_path / name, 10.02) if not name.endswith("flac") else write_flac(tmp_path / name, 10.02)
    write_ramp(tmp_path / "Xy-1_z_50_60.wav", 10)
    row = MusicCapsRow("Xy-1_z", 30.0, 40.0, "rain")
    (clip,) = find_clips([row], tmp_path).values()
    assert clip.path == tmp_path / name
    audio = read_clip(clip, RATE)
    assert len(audio) == 10 * RATE
    assert audio[0] == 0


def write_flac(path, seconds):
    soundfile.write(path, np.arange(round(seconds * RATE)) / RATE / 1000, RATE, subtype="PCM_24")


def test_from_the_whole_sound_of_a_video_the_clip_is_cut(tmp_path):
    write_ramp(tmp_path / "Xy-1_z.wav", 60)
    row = MusicCapsRow("Xy-1_z", 30.0, 40.0, "rain")
    audio = read_clip(find_clips([row], tmp_path)[row], RATE)
    assert len(audio) == 10 * RATE
    torch.testing.assert_close(audio[[0, -1]], torch.tensor([0.030, 0.040 - 1 / RATE / 1000]), atol=1e-6, rtol=0)


def test_missing_broken_and_wrong_files_are_told_and_left_out(tmp_path):
    names = ["good", "broken", "empty", "long", "cut", *(f"gone{i}" for i in range(7))]
    rows = [MusicCapsRow(name, 30.0, 40.0, "rain") for name in names]
    write_ramp(tmp_path / "good.wav", 9.5)
    write_flac(tmp_path / "good.flac", 10)
    (tmp_path / "broken.wav").write_bytes(b"RIFF of nothing")
    write_ramp(tmp_path / "empty.wav", 0)
    write_ramp(tmp_path / "long_30_40.wav", 60)  # says that it is the clip and is not
    write_ramp(tmp_path / "cut.wav", 20)  # neither the clip nor long enough to hold it
    told = []
    clips = find_clips(rows, tmp_path, told.append)
    assert [row.ytid for row in clips] == ["good"]
    assert clips[rows[0]] == CaptionedClip(tmp_path / "good.wav", "rain", 0.0, 10.0)
    for message in (
        "not used: .*good.flac, because .*good.wav has the same name", "broken.wav cannot be read as audio",
        "empty.wav holds no samples", "long_30_40.wav is 60.0 s long", "cut.wav is 20.0 s long",
        r"7 of 12 clips not in .*: gone0_30_40, .*gone4_30_40 and 2 more",
    ):  # fmt: skip
        assert sum(bool(re.search(message, line)) for line in told) == 1, message
    assert len(told) == 6


def test_a_folder_without_the_clips_is_an_error(tmp_path):
    rows = rows_of(3)
    with pytest.raises(ValueError, match="has none of the 3 clips"):
        find_clips(rows, tmp_path, list)
    with pytest.raises(FileNotFoundError, match="no folder at"):
        find_clips(rows, tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="is a file, not a folder"):
        find_clips(rows, tmp_path / "file")


@pytest.mark.parametrize(
    ("caption", "aspects", "good"),
    [
        ("The low quality recording features a folk song.", (), False),
        ("This recording is of poor audio-quality.", (), False),
        ("A low-quality piano.", (), False),
        ("A clear piano. The recording is Noisy and in mono.", (), False),
        ("A clear piano.", ("slow", "Poor Quality"), False),
        ("A clear piano in good quality.", ("slow", "lofi beat"), True),
    ],
)
def test_the_filter_hears_of_poor_sound(caption, aspects, good):
    assert sounds_good(MusicCapsRow("a", 0, 10, caption, aspects)) is good


def folder_of(tmp_path, count):
    captions = ["A low quality recording." if i % 3 == 0 else f"Piano {i}" for i in range(count)]
    table = write_table(tmp_path / "t.csv", [line(f"v{i}", "0", "1", captions[i]) for i in range(count)])
    for i in range(count):
        write_ramp(tmp_path / "clips" / f"v{i}.wav", 1)
    return table, tmp_path / "clips"


def test_the_filter_takes_clips_away_and_moves_none(tmp_path):
    table, clips = folder_of(tmp_path, 20)
    told = []
    everything, filtered = musiccaps_parts(table, clips), musiccaps_parts(table, clips, 0, sounds_good, told.append)
    assert [len(part) for part in everything.values()] == [13, 3, 4]
    for name, part in everything.items():
        assert filtered[name] == [clip for clip in part if "quality" not in clip.caption]
    lost = sum(len(everything[name]) - len(filtered[name]) for name in everything)
    assert lost == 7
    assert sum(int(message.split()[2]) for message in told) == 7


def test_a_part_without_clips_is_an_error(tmp_path):
    table, clips = folder_of(tmp_path, 3)
    with pytest.raises(ValueError, match="the part validation has no clips: 3 clips are too few to split"):
        musiccaps_parts(table, clips)
    with pytest.raises(ValueError, match="the part train has no clips: the filter left none of 2"):
        musiccaps_parts(table, clips, keep=lambda row: False, tell=list)


def rows_of_one_video(*spans):
    return [MusicCapsRow("V", float(start), float(end), f"from {start} to {end}") for start, end in spans]


@pytest.mark.parametrize(
    ("spans", "files", "expected"),
    [
        ([(30, 40), (60, 70)], {"V.wav": 10}, {"V_30_40": "V.wav"}),  # which of the two is not known: the first
        ([(30, 40), (60, 70), (90, 100)], {"V.wav": 10}, {"V_30_40": "V.wav"}),
        ([(30, 40), (60, 80)], {"V.wav": 20}, {"V_60_80": "V.wav"}),  # its length tells
        ([(30, 50), (60, 70)], {"V.wav": 10}, {"V_60_70": "V.wav"}),
        ([(30, 40), (60, 70)], {"V.wav": 10, "V_30_40.wav": 10}, {"V_30_40": "V_30_40.wav", "V_60_70": "V.wav"}),
        (
            [(30, 40), (60, 70)],
            {"V.wav": 10, "[V]-[60-70].wav": 10},
            {"V_30_40": "V.wav", "V_60_70": "[V]-[60-70].wav"},
        ),
        ([(30, 40), (60, 70)], {"V.wav": 100}, {"V_30_40": "V.wav", "V_60_70": "V.wav"}),  # the whole video
        ([(0, 10), (60, 70)], {"V.wav": 100}, {"V_0_10": "V.wav", "V_60_70": "V.wav"}),
    ],
)
def test_a_cut_clip_goes_to_one_row_of_its_video(tmp_path, spans, files, expected):
    for name, seconds in files.items():
        write_ramp(tmp_path / name, seconds)
    told = []
    found = find_clips(rows_of_one_video(*spans), tmp_path, told.append)
    assert {row.name: clip.path.name for row, clip in found.items()} == expected
    assert len({(clip.path, clip.start) for clip in found.values()}) == len(found)
    assert len(told) == len(spans) - len(expected)
    for message in told:
        cut = r"left out: V_\d+_\d+: .*V\.wav is one cut clip, taken for V_.*; call the other file V_"
        assert re.search(cut if "taken" in message else r"left out: .*V\.wav is 20\.0 s long: neither", message)


@pytest.mark.parametrize("ending", [".m4a", ".webm", ".MP4", ".aac", ".raw"])
def test_clips_in_formats_that_cannot_be_read_are_named_as_such(tmp_path, ending):
    rows = [MusicCapsRow("A", 30.0, 40.0, "rain"), MusicCapsRow("B", 30.0, 40.0, "wind")]
    (tmp_path / f"A{ending}").write_bytes(bytes(2000))
    with pytest.raises(ValueError, match=rf"none of the 2 clips .*: 1 of a format that cannot be read, .*: A\{ending}"):
        find_clips(rows, tmp_path, list)
    write_ramp(tmp_path / "B.wav", 10)
    told = []
    assert [row.ytid for row in find_clips(rows, tmp_path, told.append)] == ["B"]
    assert any(f"cannot be read, to be converted to WAV or FLAC first: A{ending}" in message for message in told)


def test_a_table_of_musiccaps_in_another_dress(tmp_path):
    text = 'YTID;Start_s;End_s;Aspect_list;Caption\nA;30;40;"[\'slow\', \'piano\']";"rain; and ""wind"""\n'
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        (tmp_path / "t.csv").write_bytes(text.encode(encoding))
        assert read_musiccaps(tmp_path / "t.csv") == [
            MusicCapsRow("A", 30.0, 40.0, 'rain; and "wind"', ("slow", "piano"))
        ]
