"""EnCodec: SEANet encoder, residual vector quantizer, SEANet decoder (lesson 04).

Source: Défossez et al. 2022, "High Fidelity Neural Audio Compression" (arXiv 2210.13438), section 3 and figure 1;
the sizes are those of the published `facebook/encodec_32khz`. Weight normalisation is folded into plain convolutions
when a checkpoint is loaded (`checkpoints`), so what is here is what runs.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .audio import check_scale, float_tensor
from .own_state import own_state
from .quantization import ResidualVectorQuantizer
from .settings import EncodecConfig
from .shapes import check_shape


def reflect_pad(x: Tensor, left: int, right: int) -> Tensor:
    """Mirror the signal at both ends, x [B, C, N]; one that is too short to mirror is lengthened with zeros first."""
    missing = max(0, max(left, right) - x.shape[-1] + 1)
    if missing:
        x = F.pad(x, (0, missing))
    x = F.pad(x, (left, right), mode="reflect")
    return x[..., : x.shape[-1] - missing]


class Conv1d(nn.Module):
    """Convolution whose output has ceil(N / stride) samples.

    The padding of kernel - stride is split over both ends, or stands all on the left if causal; the right end gets
    as much more as the last window needs to be complete.
    """

    def __init__(
        self, config: EncodecConfig, inputs: int, outputs: int, kernel: int, stride: int = 1, dilation: int = 1
    ):
        super().__init__()
        self.causal, self.pad_mode = config.use_causal_conv, config.pad_mode
        self.stride, self.span = stride, (kernel - 1) * dilation + 1
        self.conv = nn.Conv1d(inputs, outputs, kernel, stride, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, N] to [B, C', ceil(N / stride)]."""
        B, C, N = x.shape
        total = self.span - self.stride
        right = 0 if self.causal else total // 2
        left = total - right
        windows = math.ceil((N - self.span + total) / self.stride)  # after the first one
        right += windows * self.stride + self.span - total - N
        x = reflect_pad(x, left, right) if self.pad_mode == "reflect" else F.pad(x, (left, right), mode=self.pad_mode)
        return self.conv(x)


class ConvTranspose1d(nn.Module):
    """Transposed convolution whose output has exactly N * stride samples: the surplus is trimmed."""

    def __init__(self, config: EncodecConfig, inputs: int, outputs: int, kernel: int, stride: int):
        super().__init__()
        total = kernel - stride
        self.right = math.ceil(total * config.trim_right_ratio) if config.use_causal_conv else total // 2
        self.left = total - self.right
        self.conv = nn.ConvTranspose1d(inputs, outputs, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, N] to [B, C', N * stride]."""
        x = self.conv(x)
        return x[..., self.left : x.shape[-1] - self.right]


class ResidualBlock(nn.Module):
    """x + (ELU, dilated convolution to fewer channels, ELU, 1x1 convolution back)."""

    def __init__(self, config: EncodecConfig, channels: int, dilation: int):
        super().__init__()
        hidden = channels // config.compress
        self.block = nn.ModuleList(
            [
                nn.ELU(),
                Conv1d(config, channels, hidden, config.residual_kernel_size, dilation=dilation),
                nn.ELU(),
                Conv1d(config, hidden, channels, 1),
            ]
        )
        self.shortcut = Conv1d(config, channels, channels, 1) if config.use_conv_shortcut else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, N], same shape out."""
        y = x
        for layer in self.block:
            y = layer(y)
        return self.shortcut(x) + y


class LSTM(nn.Module):
    """Unidirectional LSTM over time with a skip connection."""

    def __init__(self, channels: int, layers: int):
        super().__init__()
        self.lstm = nn.LSTM(channels, channels, layers)

    def forward(self, x: Tensor) -> Tensor:
        """x [B, C, T], same shape out."""
        x = x.permute(2, 0, 1)  # [T, B, C]
        return (self.lstm(x)[0] + x).permute(1, 2, 0)  # [B, C, T]


def _residual_blocks(config: EncodecConfig, channels: int) -> list[nn.Module]:
    return [ResidualBlock(config, channels, config.dilation_growth_rate**i) for i in range(config.num_residual_layers)]


def seanet_encoder(config: EncodecConfig) -> list[nn.Module]:
    """The encoder's layers, from audio [B, C, N] to latents [B, D, T]. It walks the ratios backwards: 4, 4, 5, 8."""
    channels = config.num_filters
    layers: list[nn.Module] = [Conv1d(config, config.audio_channels, channels, config.kernel_size)]
    for ratio in reversed(config.upsampling_ratios):
        layers += _residual_blocks(config, channels)
        layers += [nn.ELU(), Conv1d(config, channels, 2 * channels, 2 * ratio, stride=ratio)]
        channels *= 2
    layers += [LSTM(channels, config.num_lstm_layers), nn.ELU()]
    return [*layers, Conv1d(config, channels, config.hidden_size, config.last_kernel_size)]


def seanet_decoder(config: EncodecConfig) -> list[nn.Module]:
    """The decoder's layers, from latents [B, D, T] to audio [B, C, N]: the encoder's mirror image."""
    channels = config.num_filters * 2 ** len(config.upsampling_ratios)
    layers: list[nn.Module] = [
        Conv1d(config, config.hidden_size, channels, config.kernel_size),
        LSTM(channels, config.num_lstm_layers),
    ]
    for ratio in config.upsampling_ratios:
        layers += [nn.ELU(), ConvTranspose1d(config, channels, channels // 2, 2 * ratio, ratio)]
        channels //= 2
        layers += _residual_blocks(config, channels)
    return [*layers, nn.ELU(), Conv1d(config, channels, config.audio_channels, config.last_kernel_size)]


class SEANet(nn.Module):
    """A row of layers, numbered as in the published checkpoints."""

    def __init__(self, layers: list[nn.Module]):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """Through all layers: audio [B, C, N] to latents [B, D, T] or back."""
        for layer in self.layers:
            x = layer(x)
        return x


class EncodecModel(nn.Module):
    """Audio to codes and back.

    Args:
        config: the sizes.
        quantizer_options: `decay`, `epsilon`, `dead_threshold` of the quantizers, for training.

    Raises:
        ValueError: sizes that no codec can have.
    """

    def __init__(self, config: EncodecConfig, **quantizer_options: float):
        super().__init__()
        config.check()
        self.config = config
        self.encoder = SEANet(seanet_encoder(config))
        self.decoder = SEANet(seanet_decoder(config))
        self.quantizer = ResidualVectorQuantizer(
            config.num_codebooks, config.codebook_size, config.hidden_size, **quantizer_options
        )

    @own_state()
    def encode(
        self, audio: Tensor | np.ndarray, num_codebooks: int | None = None, *, lengths: Tensor | list[int] | None = None
    ) -> Tensor:
        """Audio to codes.

        Args:
            audio: float [B, C, N] in [-1, 1] at `config.sampling_rate` Hz.
            num_codebooks: use only the first ones.
            lengths: samples of each clip [B], if the batch was padded; what lies behind is taken as silence.

        Returns:
            codes: int64 [B, K, T], T = ceil(N / hop length).

        Raises:
            ValueError: wrong shape, integer samples, NaN or infinite samples, no samples, lengths that are not those of
                the batch, or a codec in half precision.
        """
        audio = audio if isinstance(audio, Tensor) else float_tensor("audio", audio)
        B, _, N = check_shape("audio", audio, "B C N", C=self.config.audio_channels)
        check_audio(audio)
        if lengths is not None:
            audio = audio * (torch.arange(N) < check_lengths(lengths, B, N)[:, None, None]).to(audio.device)
        if (dtype := self.quantizer.layers[0].embed.dtype) not in (torch.float32, torch.float64):
            raise ValueError(
                f"the codec is in {dtype}, in which nearest entries are not found: keep it in float32, "
                "as MusicGen.from_pretrained(dtype=...) does"
            )
        return self.quantizer.encode(self.encoder(audio.to(self.device, dtype)), num_codebooks)

    @own_state()
    def decode(self, codes: Tensor | np.ndarray) -> Tensor:
        """Codes to audio.

        Args:
            codes: int64 [B, K, T], values 0 to V - 1; fewer than all K codebooks may be given.

        Returns:
            audio: [B, C, N] at `config.sampling_rate` Hz, N = T * hop length.

        Raises:
            ValueError: wrong shape, no frame, numbers that are not whole, or a code outside the codebook (the special
                token of a pattern, for example).
        """
        codes = torch.from_numpy(codes) if isinstance(codes, np.ndarray) else codes
        check_shape("codes", codes, "B K T")
        if codes.numel() == 0:
            raise ValueError(f"codes [B, K, T] hold no frame to decode: their shape is {list(codes.shape)}")
        self.check_codes(codes)
        return self.decoder(self.quantizer.decode(codes.to(self.device)))

    @property
    def device(self) -> torch.device:
        """Where it is; audio and codes are brought there."""
        return self.quantizer.layers[0].embed.device

    def check_codes(self, codes: Tensor) -> None:
        """Raise a `ValueError` unless codes are int64 and stand within the codebook, as a special token does not."""
        if codes.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"codes must be int64, not {str(codes.dtype).removeprefix('torch.')}")
        if codes.numel() and not (int(codes.min()) >= 0 and int(codes.max()) < self.config.codebook_size):
            raise ValueError(
                f"codes must be 0 to {self.config.codebook_size - 1}, "
                f"but they reach from {int(codes.min())} to {int(codes.max())}"
            )

    def forward(self, audio: Tensor, num_codebooks: int | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """One training pass: audio [B, C, N] to (reconstruction [B, C, N], codes [B, K, T], commitment loss)."""
        quantized, codes, commitment = self.quantizer(self.encoder(audio), num_codebooks)
        return self.decoder(quantized)[..., : audio.shape[-1]], codes, commitment


def check_lengths(lengths: Tensor | list[int], rows: int, longest: int) -> Tensor:
    """The lengths of clips in a batch, int64 [B] on the CPU; a `ValueError` unless there is one for each, 1 to N."""
    found = torch.as_tensor(lengths).cpu()
    if found.is_floating_point() or found.is_complex() or found.dtype == torch.bool:
        raise ValueError(f"lengths must be whole numbers of samples, not {str(found.dtype).removeprefix('torch.')}")
    if list(found.shape) != [rows]:
        raise ValueError(f"lengths must be a list of {rows}, one for each clip, but its shape is {list(found.shape)}")
    if not (int(found.min()) >= 1 and int(found.max()) <= longest):
        raise ValueError(f"lengths must be 1 to {longest} samples, not {found.tolist()}")
    return found


def check_audio(audio: Tensor, name: str = "audio") -> None:
    """Raise a `ValueError` unless audio is floating point, finite, not empty, and has 1 as its full scale."""
    if not audio.is_floating_point():
        raise ValueError(
            f"{name} must be floating point in [-1, 1], but its type is {audio.dtype}; divide integers first"
        )
    if audio.shape[-1] == 0:
        raise ValueError(f"{name} has no samples: N must be at least 1")
    if not torch.isfinite(audio).all():
        raise ValueError(f"{name} contains NaN or infinite samples; every sample must be a finite number")
    check_scale(name, float(audio.detach().abs().max()))
