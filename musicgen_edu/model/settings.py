"""What can be set: the sizes of codec and language model, and how a token is chosen.

Plain numbers without torch, so that the command line can offer them without keeping anybody waiting.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

from .limits import CODEC_RULES, LM_RULES, LONGEST_WINDOW, check_fields
from .values import number, plain, whole_number

GUIDANCE_SPACES = ("logits", "probabilities")


@dataclass(frozen=True)
class EncodecConfig:
    """The sizes of an EnCodec; field names are those of the published `config.json`.

    The defaults are `facebook/encodec_32khz`: 32 kHz mono, 50 frames/s, 4 codebooks of 2048, 2.2 kbit/s.
    """

    sampling_rate: int = 32000
    audio_channels: int = 1
    num_filters: int = 64
    upsampling_ratios: tuple[int, ...] = (8, 5, 4, 4)
    hidden_size: int = 128
    codebook_size: int = 2048
    num_codebooks: int = 4
    num_residual_layers: int = 1
    num_lstm_layers: int = 2
    kernel_size: int = 7
    last_kernel_size: int = 7
    residual_kernel_size: int = 3
    dilation_growth_rate: int = 2
    compress: int = 2
    use_causal_conv: bool = False
    use_conv_shortcut: bool = False
    pad_mode: str = "reflect"
    trim_right_ratio: float = 1.0

    @property
    def hop_length(self) -> int:
        """Samples in one frame."""
        return math.prod(self.upsampling_ratios)

    @property
    def frame_rate(self) -> float:
        """Frames per second."""
        return self.sampling_rate / self.hop_length

    @property
    def bandwidth(self) -> float:
        """kbit/s with all codebooks: K * log2(V) bits a frame (`quantization.bit_rate`)."""
        return self.num_codebooks * math.log2(self.codebook_size) * self.frame_rate / 1000

    def check(self) -> None:
        """Raise a `ValueError` that names the field which no codec can have."""
        check_fields(asdict(self), CODEC_RULES)
        if self.compress > self.num_filters:
            raise ValueError(f"compress must be at most num_filters, {self.num_filters}, not {self.compress}")
        window = (self.residual_kernel_size - 1) * self.dilation_growth_rate ** max(0, self.num_residual_layers - 1)
        if window > LONGEST_WINDOW:
            raise ValueError(
                f"dilation_growth_rate must be less than {self.dilation_growth_rate}: with num_residual_layers "
                f"{self.num_residual_layers} a block would see {window} samples, and {LONGEST_WINDOW} are the most"
            )


@dataclass(frozen=True)
class LMConfig:
    """The sizes of a language model. The defaults are MusicGen small.

    The last five fields tell the published models from those of a student project that the course retells.
    """

    dim: int = 1024  # D
    num_heads: int = 16  # H, of attention
    layers: int = 24
    feed_forward: int = 4096
    num_codebooks: int = 4  # K
    codebook_size: int = 2048  # V
    text_dim: int = 768  # width of the text encoder's states
    max_steps: int = 2048  # length of the table of positions; it grows when more are asked for
    special_tokens: int = 1  # rows of an embedding table beyond the V codes
    bias: bool = False  # in attention and feed-forward
    head_bias: bool = False
    final_norm: bool = True
    text_layers: int = 1  # linear layers between the text encoder and the decoder

    @property
    def special(self) -> int:
        """The token of cells without a code: V."""
        return self.codebook_size

    def check(self) -> None:
        """Raise a `ValueError` that names the field which no language model can have."""
        check_fields(asdict(self), LM_RULES)
        if self.dim % 2:
            raise ValueError(f"the width D must be even and at least 4, not {self.dim}")
        if self.dim % self.num_heads:
            raise ValueError(f"the width D must be a multiple of the number of heads, {self.num_heads}, not {self.dim}")
        if self.text_layers == 0 and self.text_dim != self.dim:
            raise ValueError(f"text_dim must be the width D, {self.dim}, without text_layers, not {self.text_dim}")


CONFIGS = {
    "small": LMConfig(),
    "medium": LMConfig(dim=1536, num_heads=24, layers=48, feed_forward=6144),
    "large": LMConfig(dim=2048, num_heads=32, layers=48, feed_forward=8192),
}
_STUDENT = {
    "text_dim": 512,
    "special_tokens": 2,
    "bias": True,
    "head_bias": True,
    "final_norm": False,
    "text_layers": 2,
}
CONFIGS["MusicGen-1"] = LMConfig(dim=1024, num_heads=8, layers=8, feed_forward=2048, **_STUDENT)
CONFIGS["MusicGen-2"] = LMConfig(dim=2048, num_heads=16, layers=16, feed_forward=4096, **_STUDENT)


LONGEST_PROMPT = 4000  # characters; a text encoder's memory grows with the square of a text's length
LARGEST, SMALLEST = 1e30, 1e-30  # beyond these float32 makes infinities and zeros of what a setting is multiplied with


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen. The defaults are those of the MusicGen paper.

    `temperature` 0 is greedy; `top_k` 0 and `top_p` 0 switch the filter off. `guidance_space` is "logits" or
    "probabilities"; in the latter `guidance_scale` is gamma, 0 to 1.
    """

    guidance_scale: float = 3.0
    temperature: float = 1.0
    top_k: int = 250
    top_p: float = 0.0
    guidance_space: str = "logits"

    def __post_init__(self):
        for name in ("guidance_scale", "temperature", "top_k", "top_p"):
            value = plain(getattr(self, name))
            if name != "top_k" and type(value) is int:  # torch takes none beyond 2^63
                value = number(name, value)
            object.__setattr__(self, name, value)

    def check(self, codebook_size: int) -> None:
        """Raise a `ValueError` that names the setting which makes no sense for a model with V codes a codebook.

        The default `top_k` serves every model: where a codebook has fewer codes it keeps all.
        """
        if self.guidance_space not in GUIDANCE_SPACES:
            raise ValueError(f"guidance_space must be 'logits' or 'probabilities', not {self.guidance_space!r}")
        if not math.isfinite(number("guidance_scale", self.guidance_scale)):
            raise ValueError(f"guidance_scale must be a finite number, not {self.guidance_scale}")
        if abs(self.guidance_scale) > LARGEST:
            raise ValueError(f"guidance_scale must be at most {LARGEST:g} either way, not {self.guidance_scale}")
        if self.guidance_space == "probabilities" and not 0 <= self.guidance_scale <= 1:
            raise ValueError(f"guidance_scale must be 0 to 1 in the space of probabilities, not {self.guidance_scale}")
        if not 0 <= number("temperature", self.temperature) < math.inf:
            raise ValueError(f"temperature must be 0 (greedy) or a positive number, not {self.temperature}")
        if 0 < self.temperature < SMALLEST:
            raise ValueError(f"temperature must be 0 (greedy) or at least {SMALLEST:g}, not {self.temperature}")
        if whole_number("top_k", self.top_k) != Sampling.top_k and not 0 <= self.top_k <= codebook_size:
            raise ValueError(f"top_k must be 0 (off) to the codebook size {codebook_size}, not {self.top_k}")
        if not 0 <= number("top_p", self.top_p) <= 1:
            raise ValueError(f"top_p must be 0 (off) to 1, not {self.top_p}")
        if 0 < self.top_p < SMALLEST:
            raise ValueError(f"top_p must be 0 (off) or at least {SMALLEST:g}, not {self.top_p}")
