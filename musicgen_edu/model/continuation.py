"""Going on: from a recording, and beyond what the model can see at once, frame by frame (lessons 09 and 10).

The published models see 30 s. A longer clip is made in windows, each of which begins with the end of the one before
(FAIR's audiocraft keeps 12 of 30 s). What is older than that is forgotten: so is the tune, after some windows.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .audio import check_channels_first, check_rate, float_tensor, resample
from .decoder import Condition
from .encodec import EncodecModel, check_audio
from .generation import Progress, Stepper, check_request, delay_table, write_frames
from .own_state import each_in_own_state, own_state
from .sampling import Sampling, UniformNumbers
from .values import whole_number

MOST_WINDOWS = 10**6


@dataclass(frozen=True)
class Window:
    """One pass of the model over a long clip: frames `start` to `end`, of which the first `known` are there before."""

    start: int
    end: int
    known: int


def plan_windows(frames: int, longest: int, keep: int, prompt: int = 0) -> list[Window]:
    """Cut a clip into windows that the model can see as a whole; each repeats the end of the one before.

    60 s with windows of 30 s that keep 12 s: 0 to 30, 18 to 48, 36 to 60, as the published implementation does.

    Args:
        frames: of the whole clip.
        longest: frames in a window.
        keep: frames that a window repeats, as its prompt.
        prompt: frames that are known before the first one.

    Raises:
        ValueError: the windows would not move on, there would be no end of them, or the prompt leaves nothing to
            generate.
    """
    frames, longest = whole_number("frames", frames), whole_number("longest", longest)
    keep, prompt = whole_number("keep", keep), whole_number("prompt", prompt)
    if not 0 < keep < longest:
        raise ValueError(
            f"a window of {longest} frames can keep 1 to {longest - 1} frames of the one before, not {keep}"
        )
    if not 0 <= prompt < min(frames, longest):
        raise ValueError(
            f"the prompt has {prompt} frames: it must be shorter than the clip ({frames} frames) and than what the "
            f"model sees at once ({longest} frames)"
        )
    if (frames - longest) // (longest - keep) > MOST_WINDOWS:
        raise ValueError(f"{frames} frames are too many for windows of {longest} frames that keep {keep} of them")
    windows = [Window(0, min(frames, longest), prompt)]
    while windows[-1].end < frames:
        start = windows[-1].end - keep
        windows.append(Window(start, min(start + longest, frames), keep))
    return windows


def stream_frames(
    model: Stepper,
    windows: list[Window],
    seeds: list[int],
    condition: Condition | None = None,
    sampling: Sampling = Sampling(),
    negative: Condition | None = None,
    prompt: Tensor | None = None,
    progress: Progress | None = None,
) -> Iterator[Tensor]:
    """Generate codes in the delay pattern and give each frame as soon as it is complete.

    A clip of one window has the codes of `generate_codes`. A longer one is made window by window: the positions
    begin anew in each, and what is kept of the one before is its prompt. Memory does not grow with the clip.

    Args:
        windows: from `plan_windows`.
        prompt: codes [B, K, P] that the clip begins with; P is the first window's `known`.
        others: see `generate_codes`.

    Yields:
        int64 [B, K, 1] for each frame after the prompt.

    Raises:
        ValueError: as `generate_codes`; at once, not with the first frame.
    """
    check_request(model, len(seeds), sampling, condition, negative)
    K = model.config.num_codebooks
    numbers = UniformNumbers(seeds, K)  # goes on from window to window
    total = sum(window.end - window.start - window.known + K - 1 for window in windows)
    done = itertools.count(1)
    report = progress and (lambda *_: progress(next(done), total))

    @torch.inference_mode()
    def frames() -> Iterator[Tensor]:
        recent = [] if prompt is None else [prompt]
        for window, following in itertools.zip_longest(windows, windows[1:]):
            T = window.end - window.start
            table = delay_table(K, T)
            given = torch.cat(recent, -1)[..., -window.known :] if window.known else None  # [B, K, P]
            recent = [] if given is None else [given]
            for frame in write_frames(model, table, T, numbers, condition, sampling, negative, given, report):
                if following:
                    recent.append(frame)
                yield frame

    return each_in_own_state(frames())


def as_recordings(audio: Tensor | np.ndarray | list, name: str = "prompt_audio") -> Tensor:
    """Recordings as people have them, as float32 [B, C, N] without a gradient.

    Args:
        audio: [N], [C, N] or [B, C, N] in any floating-point format, a tensor, an array or numbers in lists; or a list
            of such recordings, all of one shape.

    Raises:
        ValueError: it is something else; the message names it.
    """
    if isinstance(audio, list | tuple) and any(hasattr(one, "shape") for one in audio):
        rows = [as_recordings(one, name) for one in audio]
        shapes = sorted({tuple(one.shape[1:]) for one in rows})
        if len(shapes) > 1:
            told = " and ".join(str(list(shape)) for shape in shapes[:2])
            raise ValueError(f"{name} must hold recordings of one shape [C, N], not of {told}: cut the longer ones")
        return torch.cat(rows)
    audio = float_tensor(name, audio)
    if audio.dim() not in (1, 2, 3):
        raise ValueError(f"{name} must have shape [N], [C, N] or [B, C, N], but its shape is {list(audio.shape)}")
    audio = audio.view(-1, *(audio.shape if audio.dim() > 1 else (1, len(audio)))[-2:]) if audio.numel() else audio
    check_audio(audio, name)
    check_channels_first(name, audio.shape)
    return audio


@own_state()
def check_recordings(
    codec: EncodecModel, audio: Tensor | np.ndarray | list, sample_rate: int | None, rows: int
) -> tuple[Tensor, int]:
    """A recording to go on from, [N], [C, N] or [B, C, N], as float32 [1 or B, C, N]; and how many frames it has.

    Nothing has gone through the codec then: a whole song can be refused at once.

    Raises:
        ValueError: no sample rate, another number of clips than rows, channels that the codec has not, or shorter than
            a frame.
    """
    if sample_rate is None:
        raise ValueError("prompt_audio needs prompt_sample_rate, its rate in Hz: sound without it has no length")
    rate, config = check_rate("prompt_sample_rate", sample_rate), codec.config
    audio = as_recordings(audio)
    B, C, N = audio.shape
    if B not in (1, rows):
        raise ValueError(f"prompt_audio must hold one recording, or one for each of the {rows} prompts, not {B}")
    if config.audio_channels not in (1, C):
        raise ValueError(f"prompt_audio must have {config.audio_channels} channels, not {C}")
    P = -(-N * config.sampling_rate // rate) // config.hop_length
    if P == 0:
        raise ValueError(f"prompt_audio must last at least one frame, {1 / config.frame_rate:g} s")
    return audio, P


@own_state()
def encode_prompt(codec: EncodecModel, audio: Tensor, sample_rate: int, rows: int) -> Tensor:
    """What `check_recordings` gave, [1 or B, C, N], as codes [B, K, P] to go on from, in whole frames."""
    if codec.config.audio_channels == 1:
        audio = audio.mean(1, keepdim=True)  # [B, 1, N]
    audio = resample(audio, sample_rate, codec.config.sampling_rate)
    P = audio.shape[-1] // codec.config.hop_length
    weight = next(codec.parameters())
    return codec.encode(audio[..., : P * codec.config.hop_length].to(weight)).expand(rows, -1, -1).contiguous()
