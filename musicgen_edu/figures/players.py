"""Sound in a page: captioned players with the sound's spectrogram, and spectrograms alone."""

from __future__ import annotations

import html

import numpy as np
from torch import Tensor

from ..model.audio import load_librosa, mel_spectrogram, wav_bytes
from .picture import Picture, compact_png, figure_picture, new_figure
from .svg import LIT, data_url


def player_html(audio: Tensor | np.ndarray, sample_rate: int, caption: str = "", spectrogram: bool = True) -> str:
    """A captioned player with the sound's spectrogram below it, as HTML that needs no other file.

    The picture speaks to a silent room.

    Args:
        audio: float [N] or [C, N].
        sample_rate: Hz.
        caption: shown above the player and read by screen readers.
        spectrogram: whether to draw one.
    """
    sound, told, picture = data_url("audio/wav", wav_bytes(audio, sample_rate)), html.escape(caption, quote=True), ""
    if spectrogram:
        picture = (
            f'<img alt="mel spectrogram of: {told}" style="display:block;max-width:100%;margin-top:4px" '
            f'src="{data_url("image/png", spectrogram_png(audio, sample_rate))}">'
        )
    return (
        f'<figure style="margin:8px 0;max-width:640px"><figcaption style="margin-bottom:4px">{told}</figcaption>'
        f'<audio controls aria-label="{told}" style="width:100%" src="{sound}"></audio>{picture}</figure>'
    )


def player(audio: Tensor | np.ndarray, sample_rate: int, caption: str = "", spectrogram: bool = True):
    """`player_html` as an object that a notebook displays."""
    from IPython.display import HTML

    return HTML(player_html(audio, sample_rate, caption, spectrogram))


def spectrogram_png(audio: Tensor | np.ndarray, sample_rate: int) -> bytes:
    """The mel spectrogram of audio as a PNG, time in seconds across and frequency in Hz upwards."""
    figure, axes = new_figure(6.4, 1.8)
    draw_spectrogram(axes, mel_spectrogram(audio, sample_rate), audio.shape[-1] / sample_rate, sample_rate)
    return compact_png(figure)


def draw_spectrogram(axes, mel: np.ndarray, seconds: float, sample_rate: int) -> None:
    """Draw a mel spectrogram [bands, frames] in dB on matplotlib axes, with ticks in seconds and Hz."""
    axes.imshow(mel, origin="lower", aspect="auto", cmap="magma", extent=(0, seconds, 0, len(mel)))
    ticks = frequency_ticks(sample_rate, len(mel))
    axes.set_yticks([place for _, place in ticks], [str(hertz) for hertz, _ in ticks])
    axes.set_xlabel("time (s)")
    axes.set_ylabel("frequency (Hz)")


def frequency_ticks(sample_rate: int, bands: int) -> list[tuple[int, float]]:
    """Some frequencies in Hz that a sample rate can have, and where each lies among mel bands, in bands from below."""
    centres = load_librosa().mel_frequencies(n_mels=bands + 2, fmax=sample_rate / 2)[1:-1]
    hertz = [f for f in (200, 500, 1000, 2000, 4000, 8000) if f < sample_rate / 2]
    return list(zip(hertz, np.interp(hertz, centres, np.arange(bands)).tolist(), strict=True))


def waveform_and_spectrogram(audio: Tensor, sample_rate: int) -> Picture:
    """The same sound [N] twice: its samples over time, and its mel spectrogram below."""
    samples = audio.detach().float().cpu().reshape(-1).numpy()
    seconds = len(samples) / sample_rate
    figure, (upper, lower) = new_figure(8.4, 3.8, rows=2, sharex=True, height_ratios=(1, 1.6))
    upper.plot(np.arange(len(samples)) / sample_rate, samples, color=LIT, linewidth=0.4)
    upper.set_ylabel("amplitude")
    upper.set_ylim(-1, 1)
    draw_spectrogram(lower, mel_spectrogram(samples, sample_rate), seconds, sample_rate)
    return figure_picture(figure, f"waveform and mel spectrogram of {seconds:g} s of audio")


def side_by_side(clips: dict[str, Tensor], sample_rate: int):
    """Captioned players with their spectrograms, next to each other where there is room.

    Args:
        clips: caption to audio [N] or [C, N].
        sample_rate: Hz.
    """
    from IPython.display import HTML

    panes = [
        f'<div style="flex:1 1 380px;max-width:480px">{player_html(audio, sample_rate, caption)}</div>'
        for caption, audio in clips.items()
    ]
    return HTML(f'<div style="display:flex;flex-wrap:wrap;gap:4px 20px">{"".join(panes)}</div>')
