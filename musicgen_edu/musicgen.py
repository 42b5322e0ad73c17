"""The whole system: prompts in, audio out (lesson 00 hears it, lesson 09 loads the published weights into it)."""

from __future__ import annotations

import os
import secrets

import torch
from torch import Tensor, nn

from . import checkpoints, published
from .encodec import EncodecModel
from .generation import Progress, Sampling, generate_codes
from .lm import MusicgenLM
from .text import TextEncoder, check_prompts, load_tokenizer

DEFAULT_SECONDS = 8.0


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
    def from_pretrained(
        cls,
        name: str | os.PathLike = "tiny",
        device: str | torch.device | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> MusicGen:
        """Load a checkpoint in the published format.

        Args:
            name: "tiny" (comes with the package), a folder, or a hub name such as "facebook/musicgen-small".
                The published weights are under CC-BY-NC 4.0.
            device: None takes a GPU if there is one.
            dtype: number format of text encoder and language model; the codec stays in float32.

        Raises:
            CheckpointError: the folder is no checkpoint, or a tensor is missing, left over or of the wrong shape.
        """
        folder = checkpoints.find(name)
        config = published.read_config(folder)
        file = checkpoints.SafetensorsFile(folder / "model.safetensors")
        state = checkpoints.StateReader(file, str(folder / "model.safetensors"))
        with torch.device("meta"):
            lm = MusicgenLM(published.lm_config(config))
            codec = EncodecModel(published.codec_config(config["audio_encoder"]))
        checkpoints.load_lm(lm, state, dtype)
        checkpoints.load_codec(codec, state)
        text_model = checkpoints.load_text_model(config["text_encoder"], state, dtype)
        state.check_all_used()
        model = cls(TextEncoder(text_model, load_tokenizer(folder)), lm, codec)
        return model.requires_grad_(False).eval().to(device or best_device())

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

    def frames(self, seconds: float) -> int:
        """How many codec frames a duration takes; raises a `ValueError` if it is not positive or too long."""
        if not 0 < seconds <= self.max_seconds:
            raise ValueError(f"seconds must be more than 0 and at most {self.max_seconds:g}, not {seconds}")
        return max(1, round(seconds * self.frame_rate))

    def generate(
        self,
        prompts: list[str],
        seconds: float = DEFAULT_SECONDS,
        guidance_scale: float = 3.0,
        top_k: int = 250,
        top_p: float = 0.0,
        temperature: float = 1.0,
        seed: int | list[int] | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """Prompts to audio.

        Args:
            prompts: B texts.
            seconds: length of each clip.
            guidance_scale: how strongly the text steers: 0 not at all, 1 as learned, 3 exaggerated.
            top_k, top_p, temperature: see `sampling.distribution`; temperature 0 is greedy.
            seed: an integer for all rows, or one for each. The same prompt with the same seed gives the same
                music, alone or in any batch; None draws a new seed for each row.
            progress: called after each step with the steps done and their total.

        Returns:
            audio: float32 [B, C, N] at `sample_rate` Hz.

        Raises:
            ValueError: an argument makes no sense; the message names it and what is expected.
        """
        codes = self.generate_codes(prompts, seconds, guidance_scale, top_k, top_p, temperature, seed, progress)
        return self.codec.decode(codes)

    def generate_codes(
        self,
        prompts: list[str],
        seconds: float = DEFAULT_SECONDS,
        guidance_scale: float = 3.0,
        top_k: int = 250,
        top_p: float = 0.0,
        temperature: float = 1.0,
        seed: int | list[int] | None = None,
        progress: Progress | None = None,
    ) -> Tensor:
        """The codes [B, K, T] that `generate` decodes; the arguments are the same."""
        check_prompts(prompts)
        frames, seeds = self.frames(seconds), check_seeds(seed, len(prompts))
        sampling = Sampling(guidance_scale, temperature, top_k, top_p)
        condition = self.lm.project_text(*self.text(prompts))
        return generate_codes(self.lm, frames, seeds, condition, sampling, progress=progress)


def check_seeds(seed: int | list[int] | None, rows: int) -> list[int]:
    """One seed for each row."""
    if seed is None:
        return [secrets.randbits(32) for _ in range(rows)]
    seeds = [seed] * rows if isinstance(seed, int) else list(seed)
    if len(seeds) != rows:
        raise ValueError(f"seed must be one integer or a list of {rows}, one for each prompt, not of {len(seeds)}")
    return seeds


def best_device() -> torch.device:
    """CUDA if there is one, else the CPU (the codec's quantizer is known to give garbage silently on MPS)."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
