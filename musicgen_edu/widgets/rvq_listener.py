"""Hear a codec with fewer and more of its codebooks (lesson 03).

`Listening` holds a clip, its K + 1 reconstructions and what is chosen, and knows nothing of drawing; `picture` draws
one as SVG; `RvqListener` puts controls around it; `still` is for where no kernel runs.
"""

from __future__ import annotations

import base64
import html
import io
import math
from functools import cache, cached_property
from typing import TYPE_CHECKING

import ipywidgets
import numpy as np
import torch
from torch import Tensor

from ..figures.players import player_html
from ..figures.svg import GREY, INK, LIT, PAPER, label
from ..model.audio import mel_filters
from ..model.encodec import check_audio
from ..model.quantization import bit_rate
from ..model.shapes import check_shape

if TYPE_CHECKING:
    from ..model.encodec import EncodecModel

HEARD = {"original": "A: original", "reconstruction": "B: reconstruction", "residual": "A − B: what is missing"}
FLOOR = -70.0  # dB below the original's loudest cell; what is softer is black
BANDS, WINDOW = 64, 1024


class Listening:
    """A clip, what each number of codebooks makes of it, and which of them is looked at and heard.

    Everything is computed once, at the start: a move only chooses.

    Args:
        codec: encodes and decodes.
        audio: the clip, float [C, N] at the codec's sample rate.
        codebooks: how many of the first codebooks are used, 0 to K; None takes all K.
        heard: "original", "reconstruction" or "residual".

    Attributes:
        reconstructions: K + 1 clips [C, N]; number 0 is what the decoder makes of zeros.
        residuals: the original minus each of them.
        left_over: energy of each residual relative to the original's, in dB.
    """

    def __init__(self, codec: EncodecModel, audio: Tensor, codebooks: int | None = None, heard: str = "reconstruction"):
        config = codec.config
        C, N = check_shape("audio", audio, "C N", C=config.audio_channels)
        check_audio(audio)
        self.sample_rate, self.config, self.K = config.sampling_rate, config, config.num_codebooks
        codes = codec.encode(audio[None].to(codec.quantizer.layers[0].embed.device))  # [1, K, T]
        with torch.no_grad():
            nothing = codec.decoder(torch.zeros_like(codec.quantizer.decode(codes)))
        decoded = [nothing, *(codec.decode(codes[:, :k]) for k in range(1, self.K + 1))]
        self.original = audio.cpu()
        self.reconstructions = [clip[0, :, :N].cpu() for clip in decoded]
        self.residuals = [self.original - clip for clip in self.reconstructions]
        energy = self.original.square().sum().clamp(min=1e-12)
        self.left_over = [10 * math.log10(float(r.square().sum().clamp(min=1e-12) / energy)) for r in self.residuals]
        self._players: dict[tuple[str, int], str] = {}
        self.codebooks, self.heard = self.K, "reconstruction"
        self.move(self.K if codebooks is None else codebooks, heard)

    def move(self, codebooks: int | None = None, heard: str | None = None) -> None:
        """Choose a number of codebooks, or what is heard; None leaves it.

        Raises:
            ValueError: not 0 to K codebooks, or nothing of that name to hear. Nothing has changed then.
        """
        codebooks = self.codebooks if codebooks is None else codebooks
        heard = self.heard if heard is None else heard
        if codebooks not in range(self.K + 1):
            raise ValueError(f"the number of codebooks must be 0 to {self.K}, not {codebooks}")
        if heard not in HEARD:
            raise ValueError(f"there is nothing called {heard!r} to hear: choose one of {', '.join(HEARD)}")
        self.codebooks, self.heard = int(codebooks), heard

    @property
    def seconds(self) -> float:
        return self.original.shape[-1] / self.sample_rate

    def clip(self, heard: str, codebooks: int) -> Tensor:
        """The sound of one choice: [C, N]."""
        if heard == "original":
            return self.original
        return (self.reconstructions if heard == "reconstruction" else self.residuals)[codebooks]

    def text(self) -> str:
        """What was chosen and what follows from it by arithmetic, one line each; nothing that is measured."""
        V, rate = self.config.codebook_size, self.config.frame_rate
        bits = bit_rate(self.codebooks, V, rate)
        return "\n".join(
            [
                f"codebooks: {self.codebooks} of {self.K}",
                f"bit rate:  {self.codebooks} x {math.log2(V):g} bits x {rate:g} frames/s = {bits / 1000:.1f} kbit/s",
                f"listening: {_caption(self.heard, self.codebooks)}",
            ]
        )

    def measured(self) -> str:
        """One sentence on how much of the sound is left over."""
        level = round(self.left_over[self.codebooks], 1)
        return f"What is missing lies {abs(level):.1f} dB {'above' if level > 0 else 'below'} the original in energy."

    @cached_property
    def spectrograms(self) -> dict[tuple[str, int], str]:
        """PNG data URLs by (kind, number of codebooks), all on one scale: dB below the original's loudest cell."""
        loudest = float(_mel_power(self.original, self.sample_rate).max())
        return {
            (kind, k): _png(_mel_power(clips[k], self.sample_rate), loudest)
            for kind, clips in (("reconstruction", self.reconstructions), ("residual", self.residuals))
            for k in range(self.K + 1)
        }

    def player(self, heard: str, codebooks: int) -> str:
        """A captioned player as HTML."""
        if (heard, codebooks) not in self._players:
            clip, caption = self.clip(heard, codebooks), _caption(heard, codebooks)
            self._players[heard, codebooks] = player_html(clip, self.sample_rate, caption, spectrogram=False)
        return self._players[heard, codebooks]


def _caption(heard: str, codebooks: int) -> str:
    return HEARD["original"] if heard == "original" else f"{HEARD[heard]}, {_count(codebooks)}"


def _count(codebooks: int) -> str:
    return f"{codebooks} codebook{'' if codebooks == 1 else 's'}"


def _mel_power(audio: Tensor, sample_rate: int) -> Tensor:
    """Mel power [bands, frames] of a clip [C, N]."""
    spectrum = torch.stft(
        audio.mean(0), WINDOW, WINDOW // 4, window=torch.hann_window(WINDOW), pad_mode="constant", return_complex=True
    )
    return mel_filters(sample_rate, WINDOW, BANDS) @ spectrum.abs().square()


def _png(power: Tensor, loudest: float) -> str:
    """Mel power as a PNG data URL: bright is loud, one pixel a cell, low bands at the bottom."""
    import matplotlib
    from PIL import Image

    decibels = 10 * torch.log10(power.clamp(min=1e-20) / max(loudest, 1e-12))
    shade = ((decibels - FLOOR) / -FLOOR).clamp(0, 1).flip(0).numpy()
    pixels = (matplotlib.colormaps["magma"](shade)[..., :3] * 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).quantize(64, dither=Image.Dither.NONE).save(buffer, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


# ---- drawing -----------------------------------------------------------------------------------------------------

LEFT, WIDTH, HEIGHT, TOP = 62, 600, 128, 78


def picture(listening: Listening) -> str:
    """The state as an SVG string: which codebooks are used, the result's spectrogram and the residual's."""
    k, K = listening.codebooks, listening.K
    total = TOP + 2 * (HEIGHT + 54)
    described = (
        f"{k} of {K} codebooks used; mel spectrograms of the reconstruction and of what is missing. "
        f"{listening.measured()}"
    )
    hatch = (
        '<defs><pattern id="rvq-unused" width="7" height="7" patternUnits="userSpaceOnUse">'
        f'<path d="M0 7 L7 0" stroke="{GREY}" stroke-width="1"/></pattern></defs>'
    )
    body = hatch + "".join(_codebook(i, i < k, K) for i in range(K))
    for i, (kind, title) in enumerate((("reconstruction", "result"), ("residual", "residual: original minus result"))):
        body += _spectrogram(listening, kind, TOP + i * (HEIGHT + 54), f"{title}, {_count(k)}")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 14} {total}" role="img" '
        f'aria-label="{html.escape(described, quote=True)}" style="width:100%;max-width:{LEFT + WIDTH + 14}px" '
        f'font-family="DejaVu Sans, Verdana, sans-serif" fill="{INK}">'
        f'<rect width="100%" height="100%" rx="6" fill="{PAPER}"/>{body}</svg>'
    )


def _codebook(index: int, used: bool, K: int) -> str:
    """One box of the row on top. Used: filled, bold and called so; unused: hatched."""
    width = min(140, WIDTH / K - 10)
    x, y = LEFT + index * (width + 10), 10
    fill, ink = (LIT, PAPER) if used else ("url(#rvq-unused)", INK)
    text = f"codebook {index}" if width > 90 else str(index)
    word = "used" if used else "left out"
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="40" rx="3" fill="{fill}" stroke="{INK}"/>'
        + ("" if used else f'<rect x="{x + 6}" y="{y + 4}" width="{width - 12}" height="32" fill="{PAPER}"/>')
        + label(x + width / 2, y + 12, text, 13, ink, "bold" if used else "normal")
        + label(x + width / 2, y + 29, word, 12, ink)
    )


def _spectrogram(listening: Listening, kind: str, y: float, title: str) -> str:
    source = listening.spectrograms[kind, listening.codebooks]
    body = label(LEFT + WIDTH / 2, y - 10, title, 13, weight="bold")
    body += (
        f'<image x="{LEFT}" y="{y}" width="{WIDTH}" height="{HEIGHT}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="{source}"/>'
    )
    for hertz, place in _ticks(listening.sample_rate):
        at = y + HEIGHT * (1 - place)
        body += f'<path d="M{LEFT - 4} {at:.1f} h4" stroke="{INK}"/>' + label(LEFT - 30, at, f"{hertz} Hz", 11)
    for second in np.arange(0, listening.seconds + 1e-6, 0.5):
        at = LEFT + WIDTH * second / listening.seconds
        body += f'<path d="M{at:.1f} {y + HEIGHT} v4" stroke="{INK}"/>' + label(
            at, y + HEIGHT + 13, f"{second:g} s", 11
        )
    return body


@cache
def _ticks(sample_rate: int) -> list[tuple[int, float]]:
    """Some frequencies in Hz with their height in the picture, 0 to 1."""
    import librosa

    centres = librosa.mel_frequencies(n_mels=BANDS + 2, fmax=sample_rate / 2)[1:-1]
    rows = np.arange(BANDS) + 0.5
    return [(f, float(np.interp(f, centres, rows)) / BANDS) for f in (500, 1000, 2000, 4000) if f < sample_rate / 2]


# ---- the panel ---------------------------------------------------------------------------------------------------


class RvqListener:
    """A `Listening` with a slider for the codebooks, buttons for A and B, picture and player.

    Args:
        codec: encodes and decodes.
        audio: the clip, float [C, N] at the codec's sample rate.
        codebooks: to start with, 0 to K; None takes all K.
    """

    def __init__(self, codec: EncodecModel, audio: Tensor, codebooks: int | None = None):
        self.listening = listening = Listening(codec, audio, codebooks)
        self.codebooks = ipywidgets.IntSlider(
            listening.codebooks,
            min=0,
            max=listening.K,
            description="Codebooks used",
            style={"description_width": "130px"},
            layout={"width": "420px"},
        )
        self.heard = ipywidgets.ToggleButtons(
            options=[(words, name) for name, words in HEARD.items()],
            value=listening.heard,
            description="Listen to",
            tooltips=[f"play {words}" for words in HEARD.values()],
            style={"description_width": "130px", "button_width": "190px"},
        )
        self.picture, self.words, self.player = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        rows = [self.codebooks, self.heard, self.words, self.picture, self.player]
        self.view = ipywidgets.VBox(rows, layout={"max_width": "800px"})
        self.codebooks.observe(lambda change: self._move(codebooks=change["new"]), "value")
        self.heard.observe(lambda change: self._move(heard=change["new"]), "value")
        self._show()

    def _move(self, **choice: int | str) -> None:
        self.listening.move(**choice)
        self._show()

    def _show(self) -> None:
        listening = self.listening
        self.picture.value = picture(listening)
        # The original stays the same whatever the slider says: an unchanged player goes on playing.
        self.player.value = listening.player(
            listening.heard, 0 if listening.heard == "original" else listening.codebooks
        )
        self.words.value = _words(listening)  # last: what says that all of it is there

    def state_text(self) -> str:
        """What the panel shows, in words."""
        return self.listening.text()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.view)

    def __repr__(self) -> str:
        return f"RvqListener\n{self.state_text()}"


def _words(listening: Listening) -> str:
    lines = [*listening.text().splitlines(), listening.measured()]
    return f'<div role="status" style="line-height:1.5">{"<br>".join(html.escape(line) for line in lines)}</div>'


def still(listening: Listening) -> object:
    """The state as plain HTML that needs no kernel and no JavaScript: picture, words, and players of A and of B."""
    from IPython.display import HTML

    players = listening.player("original", 0) + listening.player("reconstruction", listening.codebooks)
    return HTML(
        "<details><summary>A still picture of the panel, for where no kernel runs</summary>"
        f"{_words(listening)}{picture(listening)}{players}</details>"
    )
