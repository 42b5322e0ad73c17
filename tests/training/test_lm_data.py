"""Codes on disk: computed once, gone on with after a stop, never those of another codec; nothing broken gets in."""

from __future__ import annotations

import contextlib
import json

import numpy as np
import pytest
import soundfile
import torch

from helpers.coded_clips import HOP, RATE, K, small_codec, write_sound
from musicgen_edu.data.captioned import CaptionedClip
from musicgen_edu.data.pieces import GRID
from musicgen_edu.training import lm_data
from musicgen_edu.training.clip_sources import FileClips, ProceduralClips, in_pieces, procedural_parts, table_parts
from musicgen_edu.training.lm_data import CodedClips, cache_codes, fingerprint
from musicgen_edu.training.processes import Processes
from musicgen_edu.training.settings import LMTraining


@pytest.fixture(scope="module")
def codec():
    return small_codec(1)


@pytest.fixture
def files(tmp_path):
    """Seven clips of unequal lengths."""
    folder = tmp_path / "music"
    folder.mkdir()
    return [
        CaptionedClip(write_sound(folder / f"{i}.wav", 0.1 + 0.07 * i, i), f"caption {i}", seconds=9.0)
        for i in range(7)
    ]


@pytest.fixture
def small_shards(monkeypatch):
    monkeypatch.setattr(lm_data, "SHARD", 2)


def told():
    lines = []
    return lines, lines.append


def test_the_cache_holds_the_codes_of_each_clip(files, codec, tmp_path):
    clips = cache_codes(tmp_path / "codes", FileClips(files), codec, 20)
    assert clips.captions == [clip.caption for clip in files]
    assert clips.codes.dtype == torch.int16
    assert clips.codes.shape == (7, K, 20)
    for i, clip in enumerate(files):
        sound = torch.from_numpy(soundfile.read(clip.path, dtype="float32")[0])[: 20 * HOP]
        expected = codec.encode(sound[None, None])[0]
        T = expected.shape[1]
        assert clips.lengths[i] == T
        assert torch.equal(clips.codes[i, :, :T].long(), expected)
        assert not clips.codes[i, :, T:].any()
    assert clips.lengths.tolist()[-1] == 20  # it was longer


def test_what_is_there_is_not_encoded_again_and_an_interrupted_caching_goes_on(
    files, codec, tmp_path, small_shards, monkeypatch
):
    whole = cache_codes(tmp_path / "whole", FileClips(files), codec, 20)
    read, folder = [], tmp_path / "codes"

    class Interrupted(FileClips):
        def clip(self, i, sample_rate):
            read.append(i)
            if i == 5 and read.count(5) == 1:
                raise KeyboardInterrupt
            return super().clip(i, sample_rate)

    with pytest.raises(KeyboardInterrupt):
        cache_codes(folder, Interrupted(files), codec, 20)
    assert sorted(path.name for path in folder.iterdir()) == [
        "codes-00000.safetensors", "codes-00001.safetensors", "manifest.json",
    ]  # fmt: skip
    found = cache_codes(folder, Interrupted(files), codec, 20)
    assert read == [0, 1, 2, 3, 4, 5, 4, 5, 6]
    assert torch.equal(found.codes, whole.codes)
    assert found.captions == whole.captions
    assert torch.equal(cache_codes(folder, Interrupted(files), codec, 20).codes, whole.codes)
    assert len(read) == 9


def test_another_codec_and_other_clips_are_noticed(files, codec, tmp_path):
    folder = tmp_path / "codes"
    cache_codes(folder, FileClips(files), codec, 20)
    with pytest.raises(ValueError, match="were made by another codec: remove that folder"):
        cache_codes(folder, FileClips(files), small_codec(2), 20)
    changed = [*files[:6], CaptionedClip(files[6].path, "another caption", seconds=9.0)]
    for others in (files[:6], changed, files[::-1]):
        with pytest.raises(ValueError, match="were made of other clips: remove that folder"):
            cache_codes(folder, FileClips(others), codec, 20)
    with pytest.raises(ValueError, match="of another length"):
        cache_codes(folder, FileClips(files), codec, 21)
    write_sound(files[3].path, 3.0)
    with pytest.raises(ValueError, match="of other clips"):
        cache_codes(folder, FileClips(files), codec, 20)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(ValueError, match=r"manifest.json is damaged"):
        cache_codes(folder, FileClips(files), codec, 20)
    (folder / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"holds codes without a manifest.json"):
        cache_codes(folder, FileClips(files), codec, 20)


def test_a_fingerprint_is_of_weights_and_sizes():
    assert fingerprint(small_codec(1)) == fingerprint(small_codec(1)) != fingerprint(small_codec(2))
    model = small_codec(1)
    next(model.parameters()).data.view(-1)[0] += 1e-6
    assert fingerprint(model) != fingerprint(small_codec(1))


def test_broken_clips_are_named_counted_and_left_out(files, codec, tmp_path, small_shards):
    files[1].path.write_bytes(b"no sound")
    files[2].path.unlink()
    write_sound(files[4].path, 0.01)  # one frame: too short for two codebooks
    sound = np.zeros(8000)
    sound[5] = np.nan
    soundfile.write(files[6].path, sound, RATE, subtype="FLOAT")
    reasons = {"1.wav": "cannot be read", "2.wav": "no sound file", "4.wav": "too short", "6.wav": "NaN"}
    for _ in range(2):  # the second time from the disk
        lines, tell = told()
        clips = cache_codes(tmp_path / "codes", FileClips(files), codec, 20, tell)
        assert clips.captions == [f"caption {i}" for i in (0, 3, 5)]
        for name, why in reasons.items():
            assert any(line.startswith("left out") and name in line and why in line for line in lines), (name, lines)
        assert lines[-1].endswith("4 of 7 clips were left out")


def test_nothing_that_can_be_used_is_an_error(files, codec, tmp_path):
    for clip in files:
        clip.path.write_bytes(b"no sound")
    with pytest.raises(ValueError, match=r"no clips for .*: all 7 were left out, the first because: .*0\.wav"):
        cache_codes(tmp_path / "codes", FileClips(files), codec, 20)
    with pytest.raises(ValueError, match="the list is empty"):
        cache_codes(tmp_path / "none", FileClips([]), codec, 20)


def test_a_full_disk_is_named_and_what_was_written_stays(files, codec, small_disk, tmp_path, small_shards):
    folder, ballast = small_disk / "codes", small_disk / "ballast"

    class FillsTheDisk(FileClips):
        def clip(self, i, sample_rate):
            if i == 4 and not ballast.exists():
                with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                    while True:
                        file.write(b"0" * 4096)
            return super().clip(i, sample_rate)

    with pytest.raises(
        OSError, match=r"the disk is full: codes-00002.safetensors needs .* MB in .*small disk/codes, and 0"
    ):
        cache_codes(folder, FillsTheDisk(files), codec, 20)
    assert sorted(path.name for path in folder.iterdir()) == [
        "codes-00000.safetensors", "codes-00001.safetensors", "manifest.json",
    ]  # fmt: skip
    kept = (folder / "codes-00001.safetensors").read_bytes()
    ballast.unlink()
    found = cache_codes(folder, FileClips(files), codec, 20)
    assert (folder / "codes-00001.safetensors").read_bytes() == kept
    assert torch.equal(found.codes, cache_codes(tmp_path / "roomy", FileClips(files), codec, 20).codes)


def test_a_disk_too_small_for_all_codes_is_named_before_the_work(codec, small_disk):
    class Unread(ProceduralClips):
        def clip(self, i, sample_rate):
            raise AssertionError("nothing should have been computed")

    with pytest.raises(OSError, match=r"the disk is full: the codes of all clips needs 2\.0 MB"):
        cache_codes(small_disk / "codes", Unread(0, 1000, 500), codec, 500)


def test_processes_share_the_work(files, codec, tmp_path, small_shards):
    whole = cache_codes(tmp_path / "whole", FileClips(files), codec, 20)

    class Together(Processes):
        def wait(self):  # the other process does its part while this one waits
            if self.index == 1:
                done.append(sorted(path.name for path in (tmp_path / "codes").glob("codes-*")))

    done = []
    with pytest.raises(Exception, match=r"codes-00000|no checkpoint"):  # the first process has written nothing
        cache_codes(tmp_path / "codes", FileClips(files), codec, 20, processes=Together(2, 1))
    assert done[-1] == ["codes-00001.safetensors", "codes-00003.safetensors"]
    (tmp_path / "codes" / "manifest.json").write_bytes((tmp_path / "whole" / "manifest.json").read_bytes())
    assert torch.equal(cache_codes(tmp_path / "codes", FileClips(files), codec, 20).codes, whole.codes)


def coded(n: int) -> CodedClips:
    lengths = torch.arange(n) % 5 + 3
    return CodedClips(torch.arange(n).view(n, 1, 1).expand(n, 2, 7).short(), lengths, [str(i) for i in range(n)])


@pytest.mark.parametrize(("n", "batch"), [(10, 3), (10, 10), (3, 10), (7, 1)])
def test_every_clip_comes_once_before_any_comes_again(n, batch):
    clips, settings = coded(n), LMTraining(phases=((5, batch, 40),), seed=3)
    order = [int(row[0, 0]) for (one,) in clips.batches(settings) for row in one.codes]
    for turn in range(len(order) // n):
        assert sorted(order[turn * n : (turn + 1) * n]) == list(range(n))
    if n > 3:
        assert order[:n] != order[n : 2 * n]


def test_the_order_can_be_entered_anywhere_and_is_the_seeds():
    clips, settings = coded(10), LMTraining(phases=((5, 3, 12), (7, 4, 8)), beginnings=(3, 5), seed=3)
    whole = list(clips.batches(settings))
    assert [[len(batch.captions) for batch in step] for step in whole] == [[3, 5]] * 12 + [[4, 5]] * 8
    for start in (0, 1, 11, 12, 19):
        for step, expected in zip(clips.batches(settings, start), whole[start:], strict=True):
            for one, other in zip(step, expected, strict=True):
                assert torch.equal(one.codes, other.codes)
                assert one.captions == other.captions
    other_seed = next(clips.batches(LMTraining(phases=((5, 3, 1),), seed=4)))
    assert other_seed[0].captions != whole[0][0].captions


def test_a_batch_is_as_long_as_its_longest_clip_and_tells_lengths_where_they_differ():
    clips = coded(10)  # 3, 4, 5, 6, 7, 3, ... frames
    batch = clips.batch(np.array([0, 1, 5]))
    assert batch.codes.shape == (3, 2, 4)
    assert batch.codes.dtype == torch.int64
    assert batch.lengths.tolist() == [3, 4, 3]
    assert batch.captions == ["0", "1", "5"]
    assert clips.batch(np.array([3, 4]), frames=5).lengths is None
    held_out = clips.in_batches(4, largest=9)
    assert [one.captions for one in held_out] == [["0", "1", "2", "3"], ["4", "5", "6", "7"], ["8"]]


def test_long_files_are_cut_in_pieces(tmp_path):
    clip = CaptionedClip(write_sound(tmp_path / "a.wav", 7.5), "long")
    pieces = in_pieces([clip], 3.0)
    assert [(piece.start, piece.seconds) for piece in pieces] == [(0.0, 3.0), (3.0, 3.0), (6.0, 1.5)]
    assert [piece.start for piece in in_pieces([clip], 3.4)] == [0.0, 3.4]  # 0.7 s are dropped
    part = CaptionedClip(clip.path, "part", start=1.0, seconds=4.5)
    assert [(piece.start, piece.seconds) for piece in in_pieces([part], 3.0)] == [(1.0, 3.0), (4.0, 1.5)]
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    broken = CaptionedClip(tmp_path / "broken.wav", "broken")
    assert in_pieces([broken], 3.0) == [broken]  # who reads it will say what is wrong


def test_a_table_is_split_by_file(tmp_path):
    rows = ["file,caption,start,seconds"]
    for i in range(20):
        write_sound(tmp_path / f"{i}.wav", 0.2, i)
        rows += [f"{i}.wav,first half of {i},0,0.1", f"{i}.wav,second half of {i},0.1,0.1"]
    table = tmp_path / "captions.csv"
    table.write_text("\n".join(rows) + "\n")
    parts = table_parts(table, tmp_path, seed=1)
    files = {name: {clip.path for clip in clips} for name, clips in parts.items()}
    assert not files["train"] & files["validation"]
    assert {name: len(clips) for name, clips in parts.items()} == {"train": 36, "validation": 4}
    assert parts == table_parts(table, tmp_path, seed=1)
    assert parts != table_parts(table, tmp_path, seed=2)
    table.write_text("\n".join(rows[:3]) + "\n")
    with pytest.raises(ValueError, match="names 1 sound file: at least 2 are needed"):
        table_parts(table, tmp_path)


def test_procedural_clips_are_made_from_their_number_and_the_parts_share_none():
    parts = procedural_parts(0, 30, 0.5)
    assert {name: len(part) for name, part in parts.items()} == {"train": 30, "validation": 8}
    sound, caption = parts["train"].clip(3, RATE)
    assert sound.shape == (25 * GRID,)
    assert torch.equal(sound, parts["train"].clip(3, RATE)[0])
    assert caption == parts["train"].clip(3, RATE)[1]
    identities = {json.dumps(part.identity(i)[:3]) for seed in range(3)
                  for part in procedural_parts(seed, 30, 0.5).values() for i in range(len(part))}  # fmt: skip
    assert len(identities) == 3 * 38
    with pytest.raises(ValueError, match="comes at 16000 Hz, but the codec takes 32000 Hz"):
        parts["train"].clip(0, 32000)
