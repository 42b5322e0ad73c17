"""What `MusicGen.generate` and its like take by keyword, and what is said of an option that makes no sense."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TypedDict

import numpy as np
from torch import Tensor

from .model.generation import Progress
from .model.sampling import check_seed
from .model.settings import Sampling
from .model.text import check_prompts
from .model.values import shown


class SamplingFields(TypedDict, total=False):
    """The fields of `Sampling`, each by its keyword."""

    guidance_scale: float
    temperature: float
    top_k: int
    top_p: float
    guidance_space: str


class Options(SamplingFields, total=False):
    """What `MusicGen.generate`, `generate_codes` and `stream` take by keyword; `generate` explains each."""

    sampling: Sampling | None
    seed: int | Sequence[int] | None
    progress: Progress | None
    negative_prompts: list[str] | None
    prompt_audio: Tensor | np.ndarray | list | None
    prompt_sample_rate: int | None


def whole_sampling(sampling: Sampling | None, fields: SamplingFields) -> Sampling:
    """One `Sampling`, from itself or from its fields; a `ValueError` if both are given, or something else."""
    if sampling is None:
        return Sampling(**fields)
    if fields:
        raise ValueError(f"sampling says how tokens are chosen already: leave out {', '.join(fields)}")
    if not isinstance(sampling, Sampling):
        raise ValueError(f"sampling must be a Sampling, such as Sampling(guidance_scale=3.0), not {sampling!r}")
    return sampling


def check_negative_prompts(negative_prompts: list[str] | None, rows: int) -> list[str] | None:
    """None, or a list of one for each prompt; raises a `ValueError` for anything else."""
    if negative_prompts is None:
        return None
    try:
        texts = [] if isinstance(negative_prompts, str) else list(negative_prompts)
    except TypeError:
        texts = [None]
    if isinstance(negative_prompts, str) or not all(isinstance(prompt, str) for prompt in texts):
        raise ValueError(f"negative_prompts must be a list of strings, not {shown(negative_prompts)}")
    if len(texts) != rows:
        raise ValueError(f"negative_prompts must be a list of {rows}, one for each prompt, not of {len(texts)}")
    return check_prompts(texts, "negative_prompt")


def check_seeds(seed: int | Sequence[int] | None, rows: int) -> list[int]:
    """One seed for each row; raises a `ValueError` for what is none, or another number of them."""
    if seed is None:
        return [secrets.randbits(32) for _ in range(rows)]
    try:
        seeds = [seed] * rows if isinstance(seed, str | bytes) else list(seed)
    except TypeError:  # a single one
        seeds = [seed] * rows
    if len(seeds) != rows:
        raise ValueError(f"seed must be one integer or a list of {rows}, one for each prompt, not of {len(seeds)}")
    return [check_seed(one) for one in seeds]
