"""Reading, writing, resampling and measuring audio."""

from __future__ import annotations

import atexit
import io
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..files import asset, cannot_write, check_place, replace_when_complete
from .values import shown, whole_number

if TYPE_CHECKING:
    import soundfile

PART = 1 << 22  # samples that are read at a time
LOUDEST = 16.0  # of a recording: what a file of floats may reach beyond its full scale of 1, with room to spare
INTEGERS = 1000.0  # no decoder gives this; it is clipped when it is written, unlike integers, which are a mistake
MOST_CHANNELS = 8
MOST_TIMES = 1000  # of one rate the other: beyond that there is no end of it


def read_audio(
    path: str | os.PathLike, sample_rate: int | None = None, mono: bool = True, start: int = 0, count: int = -1
) -> tuple[Tensor, int]:
    """Read a sound file.

    Args:
        path: WAV, FLAC, OGG, MP3: whatever soundfile reads.
        sample_rate: resample to this rate in Hz; None keeps the file's own.
        mono: average the channels.
        start, count: read only `count` samples from `start` on, at the file's own rate; -1 reads to the end.

    Returns:
        audio: float32 [C, N], whose full scale is [-1, 1] (a file of floats may go a little beyond it); its sample
        rate in Hz.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is not audio, holds no samples, some that are not finite, or integers written as floats.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no sound file at {path}")
    data, rate = _read(path, start, count)
    if len(data) == 0:
        raise ValueError(f"{path} holds no samples")
    if not np.isfinite(data).all():  # before resampling, which would spread them
        raise ValueError(f"{path} contains NaN or infinite samples")
    check_scale(str(path), float(np.abs(data).max()))
    audio = torch.from_numpy(data.T.copy())  # [C, N]
    if mono:
        audio = audio.mean(0, keepdim=True)
    if sample_rate and sample_rate != rate:
        audio, rate = resample(audio, rate, sample_rate), sample_rate
    return audio, rate


def _read(path: str | os.PathLike, start: int, count: int) -> tuple[np.ndarray, int]:
    """Samples [N, C] of a sound file and its rate, in parts: a header that lies about the length costs no memory."""
    with _opened(path) as file:
        file.seek(min(start, file.frames))
        left, parts = (file.frames if count < 0 else count), [np.empty((0, file.channels), np.float32)]
        while left > 0:
            part = file.read(min(left, max(1, PART // file.channels)), dtype="float32", always_2d=True)
            if len(part) == 0:
                break
            parts.append(part)
            left -= len(part)
        return (parts[1] if len(parts) == 2 else np.concatenate(parts)), file.samplerate


@contextmanager
def _opened(path: str | os.PathLike) -> Iterator[soundfile.SoundFile]:
    """A sound file; what libsndfile says against it becomes a `ValueError`."""
    import soundfile

    name = os.fsencode(path) if os.name != "nt" else os.fspath(path)  # a name need not be text
    try:
        with soundfile.SoundFile(name) as file:
            yield file
    except (soundfile.SoundFileError, TypeError) as error:  # a TypeError for a name in .raw, which says no rate
        raise ValueError(f"{path} cannot be read as audio (expected WAV, FLAC, OGG or MP3): {error}") from error


def write_audio(path: str | os.PathLike, audio: Tensor | np.ndarray, sample_rate: int) -> None:
    """Write audio as 16-bit WAV or FLAC, chosen by the file's ending; the file appears whole or not at all.

    Args:
        path: where to; an existing file is replaced.
        audio: float [N] or [C, N]; values outside [-1, 1] are clipped.
        sample_rate: Hz.

    Raises:
        ValueError: another ending, or no audio of that kind.
        OSError: it cannot be written there; the message says why.
    """
    samples, kind = _samples(audio), _kind(path)
    content = _encoded(samples, sample_rate, kind)
    try:
        with replace_when_complete(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise cannot_write(path, error) from error


def check_writable(path: str | os.PathLike) -> None:
    """Raise an error unless `write_audio` can write there, as far as that can be known beforehand.

    Raises:
        ValueError: the name ends in neither .wav nor .flac.
        OSError: see `files.check_place`.
    """
    _kind(path)
    check_place(path)


def _kind(path: str | os.PathLike) -> str:
    """The format that a file name asks for, "WAV" or "FLAC"; raises a `ValueError` for another ending."""
    kind = Path(path).suffix.lstrip(".").upper()
    if kind not in ("WAV", "FLAC"):
        raise ValueError(f"cannot write {path}: expected a name that ends in .wav or .flac")
    return kind


def _encoded(samples: np.ndarray, sample_rate: int, kind: str) -> memoryview:
    """Samples [C, N] as the bytes of a 16-bit file.

    In memory, because libsndfile does not tell why a disk takes no more, nor always that it does not.

    Raises:
        ValueError: there is no such file, for example with nine channels of FLAC.
    """
    import soundfile

    buffer, sample_rate = io.BytesIO(), check_rate("sample_rate", sample_rate)
    try:
        soundfile.write(buffer, samples.T, sample_rate, format=kind, subtype="PCM_16")
    except soundfile.LibsndfileError as error:
        raise ValueError(
            f"audio of {len(samples)} channels at {sample_rate} Hz cannot be written as {kind}: {error}"
        ) from error
    return buffer.getbuffer()


def _samples(audio: Tensor | np.ndarray) -> np.ndarray:
    """Float32 [C, N] within [-1, 1] of a tensor or array [N] or [C, N]."""
    array = float_tensor("audio", audio).cpu().numpy()
    if array.ndim not in (1, 2):
        raise ValueError(f"audio must have shape [N] or [C, N], but its shape is {list(array.shape)}")
    check_channels_first("audio", array.shape)
    if not np.isfinite(array).all():
        raise ValueError("audio contains NaN or infinite samples; every sample must be a finite number")
    check_scale("audio", float(np.abs(array).max(initial=0)), INTEGERS)
    return np.clip(np.atleast_2d(array), -1, 1)


def float_tensor(name: str, audio: Tensor | np.ndarray | list) -> Tensor:
    """Audio of any shape as float32 without a gradient, from a tensor, an array or numbers in lists.

    Raises:
        ValueError: it is none, or its numbers are not floating point; the message names it.
    """
    if not isinstance(audio, Tensor):
        try:
            array = np.asarray(audio)
        except ValueError as error:  # lists of unequal lengths
            raise ValueError(f"{name} must hold sounds of one length: {error}") from error
        if array.ndim == 0 or array.dtype.kind not in "biufc":
            raise ValueError(f"{name} must be a tensor, an array or a list of numbers in [-1, 1], not {shown(audio)}")
        if array.dtype.kind != "f":
            raise ValueError(integers_first(name, array.dtype))
        return torch.from_numpy(np.array(array, np.float32))
    if not audio.is_floating_point():
        raise ValueError(integers_first(name, audio.dtype))
    return audio.detach().float()


def integers_first(name: str, dtype: object) -> str:
    """The sentence for samples that are no floating-point numbers."""
    return f"{name} must be floating point in [-1, 1], but its type is {dtype}; divide integers first"


def check_scale(name: str, peak: float, limit: float = LOUDEST) -> None:
    """Raise a `ValueError` if sound has so large a sample that 1 cannot be its full scale."""
    if peak > limit:
        raise ValueError(
            f"{name} reaches {peak:.6g}, but sound is in [-1, 1]: divide integers by their full scale, such as 32768"
        )


def check_channels_first(name: str, shape: Sequence[int]) -> None:
    """Raise a `ValueError` for samples first, [N, C], as soundfile reads them."""
    if len(shape) > 1 and shape[-2] > max(shape[-1], MOST_CHANNELS):
        raise ValueError(
            f"{name} must have its channels first, [C, N], but there are {shape[-2]} of {shape[-1]} samples: "
            "transpose what soundfile reads"
        )


def check_rate(name: str, rate: int) -> int:
    """A sample rate as Python's own integer; raises a `ValueError` unless it is whole and at least 1 Hz."""
    whole = whole_number(name, rate)
    if whole < 1:
        raise ValueError(f"{name} must be at least 1 Hz, not {shown(rate)}")
    return whole


def resample(audio: Tensor | np.ndarray, rate: int, new_rate: int) -> Tensor:
    """Band-limited resampling of audio [..., N] from `rate` to `new_rate` Hz: [..., ceil(N * new_rate / rate)].

    Raises:
        ValueError: audio that is none or not finite, rates that are none or too far apart, or more than 2^31 samples.
    """
    rate, new_rate = check_rate("rate", rate), check_rate("new_rate", new_rate)
    if rate == new_rate:
        return audio
    sound = float_tensor("audio", audio)
    if sound.dim() == 0 or not sound.isfinite().all():
        raise ValueError(f"audio must be [..., N] and finite to be resampled, but it is {shown(audio)}")
    if max(rate, new_rate) > MOST_TIMES * min(rate, new_rate) or sound.numel() * new_rate // rate > 2**31:
        told = f"audio of {sound.shape[-1]} samples from {rate} to {new_rate} Hz would be too long or too short"
        raise ValueError(f"{told}: at most 2^31 samples, and at most {MOST_TIMES} times as many or as few")
    array = load_librosa().resample(sound.cpu().numpy(), orig_sr=rate, target_sr=new_rate, res_type="soxr_hq")
    kind = audio.dtype if isinstance(audio, Tensor) else torch.float32
    return torch.from_numpy(np.ascontiguousarray(array)).to(kind)


def load_librosa() -> ModuleType:
    """librosa; its numba is given a folder for what it compiles, where neither of those it would take can be written.

    Without one librosa cannot be imported, for example in a container that is read-only but for one folder.
    """
    if "librosa" not in sys.modules and "NUMBA_CACHE_DIR" not in os.environ:
        places = [Path(*find_spec("librosa").submodule_search_locations), Path("~/.cache").expanduser()]
        if not any(os.access(place, os.W_OK) for place in places):
            os.environ["NUMBA_CACHE_DIR"] = folder = tempfile.mkdtemp(prefix="musicgen-edu-numba-")
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
    import librosa

    return librosa


def mel_filters(sample_rate: int, window: int, bands: int) -> Tensor:
    """Mel filter bank [bands, window // 2 + 1] from librosa (Slaney's scale and area normalisation)."""
    return torch.from_numpy(load_librosa().filters.mel(sr=sample_rate, n_fft=window, n_mels=bands))


def mel_spectrogram(audio: Tensor | np.ndarray, sample_rate: int, bands: int = 80, window: int = 1024) -> np.ndarray:
    """Mel spectrogram in dB relative to its peak: [bands, frames], one frame each quarter of a window."""
    librosa, mono = load_librosa(), _samples(audio).mean(0)
    power = librosa.feature.melspectrogram(y=mono, sr=sample_rate, n_fft=window, hop_length=window // 4, n_mels=bands)
    return librosa.power_to_db(power, ref=np.max, top_db=80)


def chromagram(audio: Tensor | np.ndarray, sample_rate: int, hop: int = 1024) -> np.ndarray:
    """Energy by pitch class [12, frames] (C first), each frame's largest value 1; silent frames are 0."""
    librosa, mono = load_librosa(), _samples(audio).mean(0)
    return librosa.feature.chroma_stft(y=mono, sr=sample_rate, n_fft=4096, hop_length=hop, tuning=0.0)


def wav_bytes(audio: Tensor | np.ndarray, sample_rate: int) -> bytes:
    """Audio [N] or [C, N] as the bytes of a 16-bit WAV file."""
    return bytes(_encoded(_samples(audio), sample_rate, "WAV"))


def recording(sample_rate: int | None = None) -> tuple[Tensor, int]:
    """The real recording that the lessons play: 5 s of "Feelings" by Sectoid; licence in `assets/music/README.md`.

    Args:
        sample_rate: resample to this rate in Hz; None keeps the file's 32000.

    Returns:
        audio: float32 [1, N]; its sample rate in Hz.
    """
    return read_audio(asset("music", "feelings.ogg"), sample_rate)


def sound_length(path: str | os.PathLike) -> tuple[int, int]:
    """Samples and sample rate in Hz of a sound file, by its header alone.

    Raises:
        ValueError: the file is not audio, holds no samples, or some that are not finite.
    """
    with _opened(path) as header:
        if header.frames <= 0:
            raise ValueError(f"{path} holds no samples")
        return header.frames, header.samplerate
