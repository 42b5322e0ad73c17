"""Reading, writing, resampling and measuring audio."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..files import asset, replace_when_complete


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
        audio: float32 [C, N] in [-1, 1]; its sample rate in Hz.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is not audio, holds no samples, or some that are not finite.
    """
    import soundfile

    if not Path(path).is_file():
        raise FileNotFoundError(f"no sound file at {path}")
    try:
        data, rate = soundfile.read(path, count, start, dtype="float32", always_2d=True)  # [N, C]
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path} cannot be read as audio (expected WAV, FLAC, OGG or MP3): {error}") from error
    if len(data) == 0:
        raise ValueError(f"{path} holds no samples")
    if not np.isfinite(data).all():  # before resampling, which would spread them
        raise ValueError(f"{path} contains NaN or infinite samples")
    audio = torch.from_numpy(data.T.copy())  # [C, N]
    if mono:
        audio = audio.mean(0, keepdim=True)
    if sample_rate and sample_rate != rate:
        audio, rate = resample(audio, rate, sample_rate), sample_rate
    return audio, rate


def write_audio(path: str | os.PathLike, audio: Tensor | np.ndarray, sample_rate: int) -> None:
    """Write audio as 16-bit WAV or FLAC, chosen by the file's ending; the file appears whole or not at all.

    Args:
        path: where to; an existing file is replaced.
        audio: float [N] or [C, N]; values outside [-1, 1] are clipped.
        sample_rate: Hz.
    """
    import soundfile

    samples, kind = _samples(audio), check_writable(path)
    with replace_when_complete(path) as temporary:
        soundfile.write(temporary, samples.T, sample_rate, format=kind, subtype="PCM_16")


def check_writable(path: str | os.PathLike) -> str:
    """The format that a file name asks for, "WAV" or "FLAC".

    Raises:
        ValueError: another ending.
        FileNotFoundError: the folder does not exist.
    """
    kind = Path(path).suffix.lstrip(".").upper()
    if kind not in ("WAV", "FLAC"):
        raise ValueError(f"cannot write {path}: expected a name that ends in .wav or .flac")
    if not Path(path).parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {Path(path).parent} does not exist")
    return kind


def _samples(audio: Tensor | np.ndarray) -> np.ndarray:
    """Float32 [C, N] within [-1, 1] of a tensor or array [N] or [C, N]."""
    array = audio.detach().cpu().numpy() if isinstance(audio, Tensor) else np.asarray(audio)
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"audio must be floating point in [-1, 1], but its type is {array.dtype}; divide integers first"
        )
    if array.ndim not in (1, 2):
        raise ValueError(f"audio must have shape [N] or [C, N], but its shape is {list(array.shape)}")
    if not np.isfinite(array).all():
        raise ValueError("audio contains NaN or infinite samples; every sample must be a finite number")
    return np.clip(np.atleast_2d(array).astype(np.float32), -1, 1)


def resample(audio: Tensor, rate: int, new_rate: int) -> Tensor:
    """Band-limited resampling of audio [C, N] from `rate` to `new_rate` Hz: [C, ceil(N * new_rate / rate)]."""
    import librosa

    if rate == new_rate:
        return audio
    array = librosa.resample(audio.cpu().numpy(), orig_sr=rate, target_sr=new_rate, res_type="soxr_hq")
    return torch.from_numpy(np.ascontiguousarray(array)).to(audio.dtype)


def mel_filters(sample_rate: int, window: int, bands: int) -> Tensor:
    """Mel filter bank [bands, window // 2 + 1] from librosa (Slaney's scale and area normalisation)."""
    import librosa

    return torch.from_numpy(librosa.filters.mel(sr=sample_rate, n_fft=window, n_mels=bands))


def mel_spectrogram(audio: Tensor | np.ndarray, sample_rate: int, bands: int = 80, window: int = 1024) -> np.ndarray:
    """Mel spectrogram in dB relative to its peak: [bands, frames], one frame each quarter of a window."""
    import librosa

    mono = _samples(audio).mean(0)
    power = librosa.feature.melspectrogram(y=mono, sr=sample_rate, n_fft=window, hop_length=window // 4, n_mels=bands)
    return librosa.power_to_db(power, ref=np.max, top_db=80)


def chromagram(audio: Tensor | np.ndarray, sample_rate: int, hop: int = 1024) -> np.ndarray:
    """Energy by pitch class [12, frames] (C first), each frame's largest value 1; silent frames are 0."""
    import librosa

    mono = _samples(audio).mean(0)
    return librosa.feature.chroma_stft(y=mono, sr=sample_rate, n_fft=4096, hop_length=hop, tuning=0.0)


def wav_bytes(audio: Tensor | np.ndarray, sample_rate: int) -> bytes:
    """Audio [N] or [C, N] as the bytes of a 16-bit WAV file."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, _samples(audio).T, sample_rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


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
    import soundfile

    try:
        header = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise ValueError(f"{path} cannot be read as audio (expected WAV, FLAC, OGG or MP3): {error}") from error
    if header.frames <= 0:
        raise ValueError(f"{path} holds no samples")
    return header.frames, header.samplerate
