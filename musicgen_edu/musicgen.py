"""The whole system: prompts in, audio out (lesson 00 hears it, lesson 09 loads the published weights into it)."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterator, Sequence
from typing import Unpack

import numpy as np
import torch
from torch import Tensor, nn

from .checkpoints.audiocraft import T5_BASE
from .checkpoints.load import load_parts, open_model
from .device import choose_device
from .fast.int8 import check_int8_device, to_int8
from .fast.quick import QuickLM
from .model.continuation import check_recordings, encode_prompt, plan_windows, stream_frames
from .model.decoder import Condition
from .model.encodec import EncodecModel
from .model.generation import Progress
from .model.lm import MusicgenLM
from .model.own_state import own_state
from .model.settings import Sampling
from .model.streaming import StreamingDecoder, chunks_of
from .model.text import TextEncoder, check_prompts, load_tokenizer
from .model.values import number
from .options import Options, SamplingFields, check_negative_prompts, check_seeds, whole_sampling

DEFAULT_SECONDS = 8.0
LONGEST_SECONDS = 3600.0


class MusicGen(nn.Module):
    """Text encoder, language model and codec.

    Args:
        text: prompts to states.
        lm: states to codes.
        codec: codes to audio.
    """

    def __init__(self, text: TextEncoder, lm: MusicgenLM, codec: EncodecModel):
        super().__init__()
        self.text, self.lm, self.codec = text, lm, codec

    @classmethod
    @own_state()
    def from_pretrained(
        cls,
        name: str | os.PathLike = "tiny",
        device: str | torch.device | None = None,
        dtype: torch.dtype = torch.float32,
        revision: str | None = None,
        progress: bool = True,
        text: str | os.PathLike = T5_BASE,
    ) -> MusicGen:
        """Load a checkpoint in the published format, or in that of audiocraft.

        Each weight is read, brought to its number format and device, and put in its place: loading takes little more
        memory than the model has.

        Args:
            name: "tiny" (comes with the package), a folder, or a hub name such as "facebook/musicgen-small".
                The published weights are under CC-BY-NC 4.0.
            device: None takes a GPU if there is one.
            dtype: number format of text encoder and language model, float64, float32, float16 or bfloat16; the codec
                stays in float32. int8 is for the CPU: it packs the language model's matrices and leaves the rest in
                float32.
            revision: of a hub name: a branch, tag or commit; None is the newest.
            progress: show a bar while something is fetched.
            text: folder or hub name of the T5 for audiocraft's files, which have none.

        Raises:
            CheckpointError: it is no checkpoint or cannot be fetched, or a tensor is missing, left over or of the wrong
                shape.
            ValueError: another dtype, or this computer has no such device.
        """
        if dtype not in (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int8):
            raise ValueError(f"dtype must be torch.float64, float32, float16, bfloat16 or int8, not {dtype}")
        if packed := dtype == torch.int8:
            device, dtype = check_int8_device("cpu" if device is None else device), torch.float32
        device = choose_device(device)
        found = open_model(name, revision, progress, text)
        text_model, lm, codec = load_parts(found, dtype, device)
        if packed:
            to_int8(lm)
        model = cls(TextEncoder(text_model, load_tokenizer(found.tokenizer, text_model.config.vocab_size)), lm, codec)
        model.requires_grad_(False).eval().to(device)
        if device.type == "mps":  # where its quantizer silently gives garbage
            model.codec.to("cpu")
        return model

    @property
    def sample_rate(self) -> int:
        """Hz of the audio that `generate` returns."""
        return self.codec.config.sampling_rate

    @property
    def frame_rate(self) -> float:
        """Codec frames per second."""
        return self.codec.config.frame_rate

    @property
    def max_seconds(self) -> float:
        """The longest clip that one pass may make: as long as the model's training clips, at most 30 s."""
        K = self.lm.config.num_codebooks
        return min(30.0, (self.lm.config.max_steps - K + 1) / self.frame_rate)

    @property
    def window(self) -> tuple[int, int]:
        """Frames that the model sees at once, and how many the next window keeps of a longer clip: 12 of 30 s."""
        longest = int(self.max_seconds * self.frame_rate)
        return longest, max(1, longest * 2 // 5)

    def frames(self, seconds: float) -> int:
        """How many codec frames a duration takes; raises a `ValueError` if it is not positive or too long."""
        if not 0 < number("seconds", seconds) <= LONGEST_SECONDS:
            raise ValueError(f"seconds must be more than 0 and at most {LONGEST_SECONDS:g}, not {seconds}")
        return max(1, round(number("seconds", seconds) * self.frame_rate))

    @own_state()
    def generate(self, prompts: list[str], seconds: float = DEFAULT_SECONDS, **options: Unpack[Options]) -> Tensor:
        """Prompts to audio.

        Args:
            prompts: B texts.
            seconds: length of each clip, up to an hour. What is longer than `max_seconds` is made in windows, each
                of which goes on from the end of the one before (see `continuation`).

        Options, all by keyword:
            guidance_scale (3.0): how strongly the text steers: 0 not at all, 1 as learned, 3 exaggerated; in the
                space of probabilities the share of the conditional model, 0 to 1.
            temperature (1.0), top_k (250), top_p (0.0): see `sampling.distribution`; temperature 0 is greedy.
            guidance_space ("logits"): or "probabilities": see `sampling.guide` and `sampling.guide_probabilities`.
            sampling: a whole `Sampling`, in place of those five.
            seed: an integer for all rows, or one for each. The same prompt with the same seed gives the same
                music, alone or in any batch; None draws a new seed for each row.
            progress: called after each step with the steps done and their total.
            negative_prompts: B texts to lead away from; without them guidance leads away from no text at all.
            prompt_audio: a recording to go on from, [N] or [C, N] for all rows, [B, C, N], or a list of B; any number
                of channels, as tensor or array. It is the beginning of what is returned, as the codec makes it, and
                part of `seconds`. What lies beyond its last whole frame (less than 1 / `frame_rate` s) is left out.
            prompt_sample_rate: of that recording in Hz; another rate than the model's is resampled.

        Returns:
            audio: float32 [B, C, N] at `sample_rate` Hz.

        Raises:
            ValueError: an argument makes no sense; the message names it and what is expected.
        """
        codes = self.generate_codes(prompts, seconds, **options)
        if codes.shape[2] <= self.window[0]:
            return self.codec.decode(codes).float()
        decoder = StreamingDecoder(self.codec)  # whole, minutes of audio would take gigabytes within the codec
        parts = [decoder.push(part) for part in codes.split(self.window[0], -1)]
        return torch.cat([*parts, decoder.finish(len(codes))], -1).float()

    @own_state()
    def generate_codes(
        self, prompts: list[str], seconds: float = DEFAULT_SECONDS, **options: Unpack[Options]
    ) -> Tensor:
        """The codes int64 [B, K, T] that `generate` decodes; the options are the same."""
        return torch.cat(list(self.stream_codes(prompts, seconds, **options)), -1)

    def stream(
        self,
        prompts: str | list[str],
        seconds: float = DEFAULT_SECONDS,
        chunk_seconds: float = 1.5,
        **options: Unpack[Options],
    ) -> Iterator[Tensor]:
        """Prompts to audio, piece by piece, while it is being made.

        The chunks joined are what `generate` returns with the same arguments. Each second is decoded once, and memory
        does not grow with the length.

        Args:
            prompts: B texts, or a single one.
            seconds: length of the whole clip.
            chunk_seconds: length of a chunk; the last one may be shorter.
            options: those of `generate`.

        Yields:
            float32 [B, C, n] at `sample_rate` Hz.

        Raises:
            ValueError: an argument makes no sense; at once, not with the first chunk.
        """
        length = number("chunk_seconds", chunk_seconds)
        samples = round(length * self.sample_rate) if math.isfinite(length) else 0
        if samples < 1:
            raise ValueError(f"chunk_seconds must be at least one sample long, not {chunk_seconds}")
        prompts = [prompts] if isinstance(prompts, str) else prompts
        return chunks_of(self.stream_codes(prompts, seconds, **options), self.frames(seconds), samples, self.codec)

    def stream_codes(
        self,
        prompts: list[str],
        seconds: float = DEFAULT_SECONDS,
        *,
        sampling: Sampling | None = None,
        seed: int | Sequence[int] | None = None,
        progress: Progress | None = None,
        negative_prompts: list[str] | None = None,
        prompt_audio: Tensor | np.ndarray | list | None = None,
        prompt_sample_rate: int | None = None,
        **fields: Unpack[SamplingFields],
    ) -> Iterator[Tensor]:
        """What `generate` begins with: the codes as they are made, int64 [B, K, n], those of `prompt_audio` first.

        Args and errors are those of `generate`; the errors come at once.
        """
        prompts = check_prompts(prompts)
        negative_prompts = check_negative_prompts(negative_prompts, len(prompts))
        frames, seeds = self.frames(seconds), check_seeds(seed, len(prompts))
        sampling, known, P = whole_sampling(sampling, fields), None, 0
        if prompt_audio is not None:
            audio, P = check_recordings(self.codec, prompt_audio, prompt_sample_rate, len(prompts))
            self.check_room(P, frames, "prompt_audio", f"the clip of {float(seconds):g} s")
            known = encode_prompt(self.codec, audio, int(prompt_sample_rate), len(prompts)).to(self.lm.device)
        windows = plan_windows(frames, *self.window, P)
        condition = self.condition(prompts)
        negative = None if negative_prompts is None else self.condition(negative_prompts)
        rest = stream_frames(QuickLM(self.lm), windows, seeds, condition, sampling, negative, known, progress)
        return rest if known is None else itertools.chain([known], rest)

    def check_room(self, recording: float, clip: int, name: str, whole: str) -> None:
        """Raise a `ValueError` in seconds if a recording of so many frames leaves nothing of a clip to be made."""
        if not recording < min(clip, self.window[0]):
            raise ValueError(
                f"{name} lasts {recording / self.frame_rate:.6g} s: it must be shorter than {whole} and than what the "
                f"model sees at once, {self.window[0] / self.frame_rate:g} s"
            )

    @own_state()
    def condition(self, prompts: list[str]) -> Condition:
        """What the language model attends to for B prompts; the row of an empty one has no words."""
        return self.lm.project_text(*self.text(prompts))
