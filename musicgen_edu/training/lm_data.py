"""Codes of captioned clips: computed once, kept on disk, and given out in batches.

A cache is a folder: `manifest.json` says of which codec and which clips it is, and the codes lie in safetensors files
of `SHARD` clips, each with captions. What is there is not computed again, so an interrupted caching goes on.
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

from ..checkpoints.weights import SafetensorsFile
from ..data.audio_folder import Tell, tell_user
from ..files import check_room, room_for, write_text
from ..model.encodec import EncodecModel
from .clip_sources import ClipSource
from .layout import Batch
from .processes import ALONE, Processes
from .settings import LMTraining

MANIFEST = "manifest.json"
SHARD = 256  # clips in a file


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
        ValueError: the folder holds the codes of another codec or of other clips, or no clip can be used.
        OSError: the disk is full; what was written stays and is used the next time.
    """
    tell = tell if processes.main else lambda message: None
    paths = write_codes(folder, source, codec, frames, tell, processes)
    processes.wait()
    return read_shards(folder, paths, frames, tell)


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
    check_manifest(folder, manifest(source, codec, frames))
    processes.wait()  # nobody may write codes before all have looked
    paths = [folder / f"codes-{i:05d}.safetensors" for i in range(-(-len(source) // SHARD))]
    missing = [i for i, path in enumerate(paths) if not path.exists()]
    bytes_a_clip = codec.config.num_codebooks * frames * (2 if codec.config.codebook_size <= 2**15 else 4)
    check_room(folder, min(len(missing) * SHARD, len(source)) * bytes_a_clip, "the codes of all clips")
    for i in missing[processes.index :: processes.count]:
        clips = range(i * SHARD, min((i + 1) * SHARD, len(source)))
        write_shard(paths[i], source, clips, codec, frames)
        tell(f"{folder}: {clips.stop} of {len(source)} clips encoded")
    return paths


def manifest(source: ClipSource, codec: EncodecModel, frames: int) -> dict:
    """What the codes of a cache depend on."""
    identities = json.dumps([source.identity(i) for i in range(len(source))])
    return {
        "codec": fingerprint(codec),
        "clips": hashlib.sha256(identities.encode()).hexdigest(),
        "count": len(source),
        "frames": frames,
        "shard": SHARD,
    }


def check_manifest(folder: Path, wanted: dict) -> None:
    """Write the manifest of a new cache; raise a `ValueError` if there is one of another codec or other clips."""
    path = folder / MANIFEST
    if not path.exists():
        if any(folder.glob("codes-*.safetensors")):
            raise ValueError(f"{folder} holds codes without a {MANIFEST}: remove the folder, the codes are made anew")
        write_text(path, json.dumps(wanted, indent=2) + "\n")  # each process: they write the same
        return
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged: remove {folder}, the codes are made anew") from error
    for name, what in (("codec", "by another codec"), ("clips", "of other clips"), ("frames", "of another length")):
        if found.get(name) != wanted[name]:
            raise ValueError(f"the codes in {folder} were made {what}: remove that folder to make them anew")


@torch.inference_mode()
def write_shard(path: Path, source: ClipSource, clips: range, codec: EncodecModel, frames: int) -> None:
    """Encode some clips, one at a time (they differ in length), and write them; the broken ones by name."""
    from safetensors.torch import save_file

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
    texts = {"captions": json.dumps(captions), "skipped": json.dumps(skipped)}
    needed = sum(tensor.nbytes for tensor in tensors.values()) + sum(map(len, texts.values())) + 1024
    with room_for(path, needed) as temporary:
        save_file(tensors, temporary, metadata=texts)


def read_shards(folder: Path, paths: list[Path], frames: int, tell: Tell) -> CodedClips:
    """All clips of a cache; says how many were left out, and which."""
    codes, lengths, captions, skipped = [], [], [], []
    for path in paths:
        shard = SafetensorsFile(path)
        texts = shard.file.metadata()
        captions += json.loads(texts["captions"])
        skipped += json.loads(texts["skipped"])
        lengths.append(shard["lengths"])
        for part in shard["codes"].split(shard["lengths"].tolist(), 1):  # [K, length]
            codes.append(torch.nn.functional.pad(part, (0, frames - part.shape[1])))
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
