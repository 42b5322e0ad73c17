"""Codes that are kept are those of the sounds on the disk, or they are refused."""

from __future__ import annotations

import functools
import json
import os
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from helpers.coded_clips import RATE, small_codec, write_sound
from musicgen_edu.data.captioned import CaptionedClip
from musicgen_edu.training import lm_data
from musicgen_edu.training.clip_sources import FileClips, content_hash
from musicgen_edu.training.lm_data import cache_codes

codec = functools.cache(small_codec)


@pytest.fixture
def clips(tmp_path, monkeypatch):
    """Four clips, two to a file of codes."""
    monkeypatch.setattr(lm_data, "SHARD", 2)
    (tmp_path / "music").mkdir()
    return [
        CaptionedClip(write_sound(tmp_path / "music" / f"{i}.wav", 0.3, i), f"caption {i}", seconds=0.2)
        for i in range(4)
    ]


@pytest.fixture
def kept(clips, tmp_path):
    cache_codes(tmp_path / "codes", FileClips(clips), codec(1), 20)
    return tmp_path / "codes"


def replaced(path, content: bytes) -> None:
    """Another content of the same name, length and date, as a program may leave it that copies files."""
    seen = path.stat()
    assert len(content) == seen.st_size
    path.write_bytes(content)
    os.utime(path, ns=(seen.st_atime_ns, seen.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (seen.st_size, seen.st_mtime_ns)


def other_sound(clips):
    other = write_sound(clips[0].path.with_name("other.wav"), 0.3, 99).read_bytes()
    replaced(clips[2].path, other)


def one_byte(clips):
    content = bytearray(clips[2].path.read_bytes())
    content[-1] ^= 1
    replaced(clips[2].path, bytes(content))


def two_swapped(clips):
    a, b = clips[0].path.read_bytes(), clips[3].path.read_bytes()
    replaced(clips[0].path, b)
    replaced(clips[3].path, a)


def another_link(clips):
    clips[1].path.unlink()
    clips[1].path.symlink_to(clips[0].path)


def another_rate(clips):
    write_sound(clips[0].path, 0.15, 0, 2 * RATE)


def edited(place: int, **change):
    def edit(clips):
        clips[place] = CaptionedClip(**{**vars(clips[place]), **change})

    return edit


CHANGES = {
    "another sound": other_sound,
    "one byte": one_byte,
    "two swapped": two_swapped,
    "another link": another_link,
    "another rate": another_rate,
    "gone": lambda clips: clips[0].path.unlink(),
    "rows moved": lambda clips: clips.reverse(),
    "a row less": lambda clips: clips.pop(),
    "a row more": lambda clips: clips.append(clips[0]),
    "a row twice": lambda clips: clips.__setitem__(1, clips[0]),
    "another caption": edited(1, caption="something else"),
    "captions swapped": lambda clips: (edited(0, caption="caption 1")(clips), edited(1, caption="caption 0")(clips)),
    "another beginning": edited(1, start=0.05),
    "another length": edited(1, seconds=0.15),
}


@pytest.mark.parametrize("name", CHANGES)
def test_codes_of_other_sounds_are_refused(clips, kept, name):
    source = FileClips(clips)
    assert len(cache_codes(kept, source, codec(1), 20)) == 4
    CHANGES[name](clips)
    with pytest.raises(ValueError, match="were made of other clips: remove that folder"):
        cache_codes(kept, source, codec(1), 20)  # by the same process, which has read the files before
    shutil.rmtree(kept)
    made = cache_codes(kept, source, codec(1), 20, list)
    assert len(made) in (3, 4, 5)


def test_a_broken_sound_that_was_mended_is_not_left_out_for_ever(clips, tmp_path):
    good = clips[1].path.read_bytes()
    clips[1].path.write_bytes(bytes(len(good)))
    assert len(cache_codes(tmp_path / "codes", FileClips(clips), codec(1), 20, list)) == 3
    replaced(clips[1].path, good)
    with pytest.raises(ValueError, match="of other clips: remove that folder"):
        cache_codes(tmp_path / "codes", FileClips(clips), codec(1), 20, list)


def test_another_codec_or_another_rate(clips, kept):
    for other in (small_codec(2), small_codec(1, rate=32000)):
        with pytest.raises(ValueError, match="made by another codec: remove that folder"):
            cache_codes(kept, FileClips(clips), other, 20)


def test_a_sound_that_changes_while_it_is_encoded(clips, tmp_path):
    class Changing(FileClips):
        def clip(self, i, sample_rate):
            if i == 1:
                write_sound(self.clips[0].path, 0.3, 50)  # its codes are made already
            return super().clip(i, sample_rate)

    with pytest.raises(
        ValueError, match=r"0\.wav changed while it was encoded: remove .*codes, the codes are made anew"
    ):
        cache_codes(tmp_path / "codes", Changing(clips), codec(1), 20)
    assert [path.name for path in (tmp_path / "codes").iterdir()] == ["manifest.json"]


def rewritten(path, **change):
    """A file of codes with other content, valid in itself."""
    with safe_open(path, framework="pt") as file:
        tensors, texts = {key: file.get_tensor(key).clone() for key in file.keys()}, file.metadata()  # noqa: SIM118
    for key, value in change.items():
        (texts if key in texts else tensors)[key] = value(texts[key] if key in texts else tensors[key])
    save_file(tensors, path, metadata={key: value for key, value in texts.items() if value is not None})


def flipped(path):
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(bytes(content))


DAMAGES = {
    "a bit of the codes": flipped,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-7]),
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("codes"),
    "the other file": lambda path: shutil.copy(path.with_name("codes-00001.safetensors"), path),
    "codes that there are not": lambda path: rewritten(path, codes=lambda codes: codes + 1000),
    "captions swapped": lambda path: rewritten(path, captions=lambda text: json.dumps(json.loads(text)[::-1])),
    "lengths swapped": lambda path: rewritten(path, lengths=lambda lengths: lengths + torch.tensor([1, -1])),
    "of an earlier version": lambda path: rewritten(path, digest=lambda digest: None),
    "another type": lambda path: rewritten(path, codes=lambda codes: codes.int()),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_file_of_codes_that_is_damaged_or_of_elsewhere(clips, kept, name):
    whole = cache_codes(kept, FileClips(clips), codec(1), 20)
    path = kept / "codes-00000.safetensors"
    DAMAGES[name](path)
    with pytest.raises(ValueError, match=r"codes-00000\.safetensors is damaged.*: remove it, its codes are made anew"):
        cache_codes(kept, FileClips(clips), codec(1), 20)
    path.unlink()
    again = cache_codes(kept, FileClips(clips), codec(1), 20)
    assert torch.equal(again.codes, whole.codes)
    assert again.captions == whole.captions


def test_a_file_of_the_codes_of_other_sounds(clips, kept, tmp_path):
    """Two folders of equal shape, as those to train and to validate on are."""
    others = [CaptionedClip(write_sound(tmp_path / f"{i}.wav", 0.3, i + 9), f"caption {i}") for i in range(4)]
    cache_codes(tmp_path / "others", FileClips(others), codec(1), 20)
    shutil.copy(tmp_path / "others" / "codes-00001.safetensors", kept)
    with pytest.raises(ValueError, match=r"codes-00001\.safetensors is damaged or belongs to other codes"):
        cache_codes(kept, FileClips(clips), codec(1), 20)


@pytest.mark.parametrize(
    ("manifest", "said"),
    [
        ("[]", "by an earlier version"),
        ("[1]", "is damaged: remove"),
        ("{}", "by an earlier version"),
        ("null", "is damaged: remove"),
    ],
)
def test_a_manifest_that_is_none(clips, kept, manifest, said):
    (kept / "manifest.json").write_text(manifest)
    with pytest.raises(ValueError, match=said):
        cache_codes(kept, FileClips(clips), codec(1), 20)


def test_a_file_is_read_once_as_long_as_nothing_touches_it(tmp_path, monkeypatch):
    path = write_sound(tmp_path / "a.wav", 0.1)
    first = content_hash(path)
    assert content_hash(tmp_path / "none.wav") == content_hash(tmp_path) == ""
    monkeypatch.setattr("builtins.open", None)
    assert content_hash(path) == first
