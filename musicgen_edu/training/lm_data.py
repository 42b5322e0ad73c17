"""Codes of captioned clips: computed once, kept on disk, and given out in batches.

A cache is a folder: `manifest.json` says of which codec and which clips it is, and the codes lie in safetensors files
of `SHARD` clips, each with captions. What is there is not computed again, so an interrupted caching goes on.

The manifest knows the sounds by a hash of their files, and each file of codes has a hash over all that it holds and
over the manifest: codes that are not of the sounds on the disk are refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..data.audio_folder import Tell, tell_user
from ..files import check_room, room_for, write_text
from ..model.encodec import EncodecModel
from .clip_sources import ClipSource
from .layout import Batch
from .processes import ALONE, Processes
from .settings import LMTraining

MANIFEST = "manifest.json"
FORMAT = 2  # of the cache; 1 knew the sounds by the sizes of their files
SHARD = 256  # clips in a file


REASONS = {  # what it means that an entry of the manifest is another
    "format": "by an earlier version",
    "codec": "by another codec",
    "clips": "of other clips",
    "count": "of other clips",
    "frames": "of another length",
    "shard": "by another version",
}


@dataclass(frozen=True)
class CodedClips:
    """Codes int16 or int32 [n, K, T], 0 behind a clip's end; lengths int64 [n] in frames; n captions."""

    codes: Tensor
    lengths: Tensor
    captions: list[str]

    def __len__(self) -> int:
        return len(self.captions)

    def batch(self, rows: np.ndarray, frames: int | None = None) -> Batch:
        """Some clips, cut to so many frames and to the longest of them."""
        lengths = self.lengths[rows].clamp(max=frames or self.codes.shape[2])
        codes = self.codes[rows, :, : int(lengths.max())].long()  # [B, K, T]
        captions = [self.captions[i] for i in rows]
        return Batch(codes, captions, None if (lengths == codes.shape[2]).all() else lengths)

    def batches(self, settings: LMTraining, start: int = 0) -> Iterator[list[Batch]]:
        """Each step's batches, from step `start` on: every clip once before any comes again, in a seeded order."""
        for step in range(start, settings.steps):
            yield [
                self.batch(self._turn(settings.seed + 2 * kind, step * batch, batch), frames)
                for kind, (frames, batch) in enumerate(settings.sizes(step))
            ]

    def _turn(self, seed: int, first: int, count: int) -> np.ndarray:
        """Positions `first` to `first + count` of an endless row of permutations of all clips."""
        n, rows = len(self), []
        for turn in range(first // n, (first + count - 1) // n + 1):
            order = np.random.default_rng((seed, turn, 2)).permutation(n)
            rows.append(order[max(0, first - turn * n) : first + count - turn * n])
        return np.concatenate(rows)

    def in_batches(self, batch: int, frames: int | None = None, largest: int | None = None) -> list[Batch]:
        """The first `largest` clips in order, for validation."""
        n = min(len(self), largest or len(self))
        return [self.batch(np.arange(i, min(i + batch, n)), frames) for i in range(0, n, batch)]


def fingerprint(codec: EncodecModel) -> str:
    """A hash of a codec's configuration and weights."""
    digest = hashlib.sha256(repr(codec.config).encode())
    for name, tensor in codec.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def cache_codes(
    folder: Path,
    source: ClipSource,
    codec: EncodecModel,
    frames: int,
    tell: Tell = tell_user,
    processes: Processes = ALONE,
) -> CodedClips:
    """Encode clips once; what the folder has is read. Broken clips are named and left out.

    Args:
        folder: of the cache; made if it does not exist.
        source: the clips.
        codec: in evaluation mode; clips are computed where it is.
        frames: longer clips are cut.
        tell: gets the progress and what was left out.
        processes: share the work.

    Raises:
        ValueError: the folder holds the codes of another codec or of other clips, a file of it is damaged or comes
            from elsewhere, a sound changed while it was encoded, or no clip can be used.
        OSError: the disk is full; what was written stays and is used the next time.
    """
    tell = tell if processes.main else lambda message: None
    paths = write_codes(folder, source, codec, frames, tell, processes)
    processes.wait()
    return read_shards(folder, paths, tell)


def write_codes(
    folder: Path,
    source: ClipSource,
    codec: EncodecModel,
    frames: int,
    tell: Tell = tell_user,
    processes: Processes = ALONE,
) -> list[Path]:
    """Encode this process's share of what a folder lacks, as `cache_codes` has it; returns the paths of all codes."""
    folder.mkdir(parents=True, exist_ok=True)
    identities = [source.identity(i) for i in range(len(source))]
    wanted = manifest(identities, codec, frames)
    check_manifest(folder, wanted)
    processes.wait()  # nobody may write codes before all have looked
    paths = [folder / f"codes-{i:05d}.safetensors" for i in range(-(-len(source) // SHARD))]
    missing = [i for i, path in enumerate(paths) if not path.exists()]
    bytes_a_clip = codec.config.num_codebooks * frames * (2 if codec.config.codebook_size <= 2**15 else 4)
    check_room(folder, min(len(missing) * SHARD, len(source)) * bytes_a_clip, "the codes of all clips")
    for i in missing[processes.index :: processes.count]:
        clips = range(i * SHARD, min((i + 1) * SHARD, len(source)))
        tensors, texts = encode_clips(source, clips, codec, frames)
        changed = [identities[j][0] for j in clips if source.identity(j) != identities[j]]
        if changed:
            raise ValueError(f"{changed[0]} changed while it was encoded: remove {folder}, the codes are made anew")
        write_shard(paths[i], tensors, texts, wanted)
        tell(f"{folder}: {clips.stop} of {len(source)} clips encoded")
    return paths


def manifest(identities: list[list], codec: EncodecModel, frames: int) -> dict:
    """What the codes of a cache depend on; `identities` are those of its clips."""
    return {
        "format": FORMAT,
        "codec": fingerprint(codec),
        "clips": hashlib.sha256(json.dumps(identities).encode()).hexdigest(),
        "count": len(identities),
        "frames": frames,
        "shard": SHARD,
    }


def check_manifest(folder: Path, wanted: dict) -> None:
    """Write the manifest of a new cache; raise a `ValueError` if there is one of another codec or other clips.

    Other clips: a sound file, the table, its order or the division in pieces has changed.
    """
    path = folder / MANIFEST
    if not path.exists():
        if any(folder.glob("codes-*.safetensors")):
            raise ValueError(f"{folder} holds codes without a {MANIFEST}: remove the folder, the codes are made anew")
        write_text(path, json.dumps(wanted, indent=2) + "\n")  # each process: they write the same
        return
    try:
        found = dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged: remove {folder}, the codes are made anew") from error
    for name, what in REASONS.items():
        if found.get(name) != wanted[name]:
            raise ValueError(f"the codes in {folder} were made {what}: remove that folder to make them anew")


@torch.inference_mode()
def encode_clips(
    source: ClipSource, clips: range, codec: EncodecModel, frames: int
) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Encode some clips, one at a time, as they differ in length: what a file of codes holds, the broken ones by name.

    Returns:
        tensors: codes of all clips one behind the other, int16 or int32 [K, sum of lengths], and lengths int64 [n].
        texts: captions, and why clips were left out, as JSON.
    """
    device, parts, captions, skipped = next(codec.parameters()).device, [], [], []
    for i in clips:
        try:
            sound, caption = source.clip(i, codec.config.sampling_rate)
            sound = sound[: frames * codec.config.hop_length].to(device)
            codes = codec.encode(sound[None, None])[0].cpu()  # [K, T]
            if codes.shape[1] < len(codes):
                raise ValueError(
                    f"{source.identity(i)[0]} is too short: {codes.shape[1]} frames, expected {len(codes)}"
                )
        except (ValueError, OSError) as error:
            skipped.append(str(error))
            continue
        parts.append(codes)
        captions.append(caption)
    kind = torch.int16 if codec.config.codebook_size <= 2**15 else torch.int32
    tensors = {
        "codes": torch.cat(parts, 1).to(kind) if parts else torch.zeros(codec.config.num_codebooks, 0, dtype=kind),
        "lengths": torch.tensor([part.shape[1] for part in parts], dtype=torch.int64),
    }
    return tensors, {"captions": json.dumps(captions), "skipped": json.dumps(skipped)}


def content_digest(tensors: dict[str, Tensor], texts: dict[str, str], wanted: dict, name: str) -> str:
    """A hash over all that a file of codes holds, the manifest it belongs to, and its name."""
    digest = hashlib.sha256(json.dumps([name, wanted, texts["captions"], texts["skipped"]], sort_keys=True).encode())
    for key in ("codes", "lengths"):
        digest.update(f"{tensors[key].dtype} {list(tensors[key].shape)}".encode())
        digest.update(tensors[key].numpy().tobytes())
    return digest.hexdigest()


def write_shard(path: Path, tensors: dict[str, Tensor], texts: dict[str, str], wanted: dict) -> None:
    """Write what `encode_clips` gave, with a hash over it.

    Raises:
        OSError: the disk is full.
    """
    from safetensors.torch import save_file

    texts = texts | {"digest": content_digest(tensors, texts, wanted, path.name)}
    needed = sum(tensor.nbytes for tensor in tensors.values()) + sum(map(len, texts.values())) + 1024
    with room_for(path, needed) as temporary:
        save_file(tensors, temporary, metadata=texts)


def read_shard(path: Path, wanted: dict) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What `write_shard` wrote; raises a `ValueError` unless it is that, for this manifest."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as shard:
            tensors, texts = {key: shard.get_tensor(key).clone() for key in ("codes", "lengths")}, shard.metadata()
        whole = texts["digest"] == content_digest(tensors, texts, wanted, path.name)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged: remove it, its codes are made anew") from error
    if not whole:
        raise ValueError(f"{path} is damaged or belongs to other codes: remove it, its codes are made anew")
    return tensors, texts


def read_shards(folder: Path, paths: list[Path], tell: Tell) -> CodedClips:
    """All clips of a cache; says how many were left out, and which."""
    wanted = json.loads((folder / MANIFEST).read_text())
    codes, lengths, captions, skipped = [], [], [], []
    for path in paths:
        tensors, texts = read_shard(path, wanted)
        captions += json.loads(texts["captions"])
        skipped += json.loads(texts["skipped"])
        lengths.append(tensors["lengths"])
        for part in tensors["codes"].split(tensors["lengths"].tolist(), 1):  # [K, length]
            codes.append(torch.nn.functional.pad(part, (0, wanted["frames"] - part.shape[1])))
    for message in skipped:
        tell(f"left out: {message}")
    if skipped:
        tell(f"{folder}: {len(skipped)} of {len(skipped) + len(captions)} clips were left out")
    if not captions:
        reason = (
            f"all {len(skipped)} were left out, the first because: {skipped[0]}" if skipped else "the list is empty"
        )
        raise ValueError(f"there are no clips for {folder}: {reason}")
    return CodedClips(torch.stack(codes), torch.cat(lengths), captions)
