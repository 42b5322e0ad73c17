"""A codec seen from inside (lesson 04): a clip's codes, with codebooks muted, swapped or shuffled, and heard.

`Inspector` holds two clips, what is done to each codebook, and the sound of it; `picture` draws its codes above the
spectrogram of that sound; `CodecInspector` joins both with ipywidgets; `still` is the same as plain HTML.
"""

from __future__ import annotations

import base64
import html
import io
import time
from collections.abc import Callable

import ipywidgets
import librosa
import numpy as np
import torch
from matplotlib import colormaps
from PIL import Image
from torch import Tensor

from ..evaluation.scores import chroma_cosine, si_sdr
from ..figures.players import player_html
from ..figures.svg import GREY, INK, LIT, PALE, PAPER
from ..model.audio import mel_spectrogram
from ..model.encodec import EncodecModel
from ..model.shapes import check_shape

TREATMENTS = {  # name: what it does
    "as encoded": "the clip's own codes, in their places",
    "muted": "left out of the sum",
    "swapped": "the other clip's codes",
    "shuffled": "its own codes, in random order",
}
AS_ENCODED, MUTED, SWAPPED, SHUFFLED = TREATMENTS


class Inspector:
    """Two clips of one length, one of them chosen, and a treatment for each of its K codebooks.

    Args:
        codec: encodes the clips and decodes what becomes of them.
        clips: name to audio [C, N] at the codec's sample rate, exactly two.
        seed: of the order in which "shuffled" puts the frames.

    Attributes:
        clip: the name of the chosen clip; the other one is what "swapped" takes codes from.
        treatments: a name of `TREATMENTS` for each codebook.

    Raises:
        ValueError: not two clips, or clips of different lengths.
    """

    def __init__(self, codec: EncodecModel, clips: dict[str, Tensor], seed: int = 0):
        if len(clips) != 2:
            raise ValueError(f"the inspector compares two clips, not {len(clips)}")
        first, second = (check_shape(name, audio, "C N")[1] for name, audio in clips.items())
        if first != second:
            raise ValueError(f"both clips must have the same length, not {first} and {second} samples")
        self.codec = codec
        self.codes = {name: codec.encode(audio[None])[0] for name, audio in clips.items()}  # [K, T]
        self.clip = next(iter(clips))
        K, T = self.codes[self.clip].shape
        self.treatments = [AS_ENCODED] * K
        self._order = torch.randperm(T, generator=torch.Generator().manual_seed(seed))
        self._sounds: dict[tuple[str, ...], Tensor] = {}

    @property
    def other(self) -> str:
        """The name of the clip that is not chosen."""
        return next(name for name in self.codes if name != self.clip)

    def choose(self, clip: str) -> None:
        """Take this clip; raises a `ValueError` if there is none of that name."""
        if clip not in self.codes:
            raise ValueError(f"there is no clip {clip!r}: expected one of {', '.join(self.codes)}")
        self.clip = clip

    def set(self, codebook: int, treatment: str) -> None:
        """Treat one codebook; raises a `ValueError` for a codebook or a treatment that does not exist."""
        K = len(self.treatments)
        if not 0 <= codebook < K:
            raise ValueError(f"the codebook must be 0 to {K - 1}, not {codebook}")
        if treatment not in TREATMENTS:
            raise ValueError(f"there is no treatment {treatment!r}: expected one of {', '.join(TREATMENTS)}")
        self.treatments[codebook] = treatment

    def reset(self) -> None:
        """All codebooks as encoded."""
        self.treatments = [AS_ENCODED] * len(self.treatments)

    def treated(self) -> Tensor:
        """The codes [K, T] after treatment; a muted row keeps its codes, it is only not added."""
        codes = self.codes[self.clip].clone()
        for k, treatment in enumerate(self.treatments):
            if treatment == SWAPPED:
                codes[k] = self.codes[self.other][k]
            elif treatment == SHUFFLED:
                codes[k] = codes[k, self._order.to(codes.device)]
        return codes

    @torch.no_grad()
    def audio(self) -> Tensor:
        """The sound of the treated codes [C, N]: the vectors of all codebooks but the muted ones, added and decoded."""
        key = (self.clip, *self.treatments)
        if key not in self._sounds:
            rows = zip(self.codec.quantizer.layers, self.treated(), self.treatments, strict=True)
            vectors = [layer.decode(row[None]) * (treatment != MUTED) for layer, row, treatment in rows]
            self._sounds[key] = self.codec.decoder(sum(vectors))[0].cpu()
        return self._sounds[key]

    def plain(self) -> Tensor:
        """The chosen clip decoded from its codes as they are [C, N]."""
        key = (self.clip, *[AS_ENCODED] * len(self.treatments))
        if key not in self._sounds:
            self._sounds[key] = self.codec.decode(self.codes[self.clip][None])[0].cpu()
        return self._sounds[key]

    def likeness(self) -> tuple[float, float]:
        """SI-SDR in dB and chroma cosine of the treated sound against the untreated copy."""
        plain, treated, rate = self.plain()[:1], self.audio()[:1], self.codec.config.sampling_rate
        return float(si_sdr(plain, treated)), chroma_cosine(plain[0].numpy(), treated[0].numpy(), rate)

    def text(self) -> str:
        """The state in words: the clip, then one line a codebook."""
        lines = [f"clip:       {self.clip} (swaps with {self.other})"]
        lines += [f"codebook {k}: {name}, {TREATMENTS[name]}" for k, name in enumerate(self.treatments)]
        count = self.treatments.count(AS_ENCODED)
        return "\n".join([*lines, f"untouched:  {count} of {len(self.treatments)} codebooks"])


# ---- drawing ----------------------------------------------------------------------------------------------------

LEFT, WIDTH, RIGHT, ROW, MEL_HEIGHT = 96, 560, 112, 26, 130  # pixels
HATCH = (
    '<defs><pattern id="off" width="8" height="8" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    f'<rect width="8" height="8" fill="{PALE}"/><rect width="2" height="8" fill="{GREY}"/></pattern></defs>'
)


def picture(inspector: Inspector) -> str:
    """SVG: one row of coloured cells a codebook, its treatment in words beside it, the spectrogram below in step."""
    codes, audio, config = inspector.treated().cpu(), inspector.audio(), inspector.codec.config
    K, T = codes.shape
    seconds, top = T / config.frame_rate, 8
    body = HATCH
    for k, treatment in enumerate(inspector.treatments):
        body += _code_row(codes[k].numpy() / config.codebook_size, k, treatment, top + k * ROW)
    y = top + K * ROW + 10
    body += _image(colormaps["magma"](np.flipud(_mel(audio, config.sampling_rate))), y, MEL_HEIGHT)
    body += _frequencies(config.sampling_rate, y) + _times(seconds, y + MEL_HEIGHT)
    height, width = y + MEL_HEIGHT + 34, LEFT + WIDTH + RIGHT
    told = html.escape("codes above, spectrogram below. " + inspector.text().replace("\n", "; "), quote=True)
    return (
        f'<svg role="img" aria-label="{told}" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'style="max-width:100%;height:auto" width="{width}" height="{height}" fill="{INK}" font-size="13" '
        f'font-family="DejaVu Sans, Verdana, sans-serif">'
        f'<rect width="{width}" height="{height}" rx="6" fill="{PAPER}"/>{body}</svg>'
    )


def _code_row(shades: np.ndarray, k: int, treatment: str, y: int) -> str:
    """Codes [T] as shares of V. What is done to them is said by a word and by the frame, not by colour."""
    height = ROW - 6
    if treatment == MUTED:
        cells = f'<rect x="{LEFT}" y="{y}" width="{WIDTH}" height="{height}" fill="url(#off)"/>'
    else:
        cells = _image(colormaps["viridis"](shades[None]), y, height)
    thick, dash = (1, "") if treatment == AS_ENCODED else (3, ' stroke-dasharray="9 4"')
    frame = (
        f'<rect x="{LEFT}" y="{y}" width="{WIDTH}" height="{height}" fill="none" '
        f'stroke="{GREY if treatment == AS_ENCODED else LIT}" stroke-width="{thick}"{dash}/>'
    )
    weight = "normal" if treatment == AS_ENCODED else "bold"
    middle = y + height / 2
    return (
        f"{cells}{frame}"
        f'<text x="{LEFT - 8}" y="{middle}" text-anchor="end" dominant-baseline="central">codebook {k}</text>'
        f'<text x="{LEFT + WIDTH + 8}" y="{middle}" dominant-baseline="central" font-weight="{weight}">'
        f"{treatment}</text>"
    )


def _image(colours: np.ndarray, y: float, height: float) -> str:
    """Colours [rows, columns, 4] from 0 to 1 as an image that is stretched without smoothing."""
    buffer = io.BytesIO()
    Image.fromarray((255 * colours[..., :3]).astype(np.uint8)).save(buffer, format="PNG")
    source = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<image x="{LEFT}" y="{y}" width="{WIDTH}" height="{height}" preserveAspectRatio="none" '
        f'style="image-rendering:pixelated" href="data:image/png;base64,{source}"/>'
    )


def _mel(audio: Tensor, sample_rate: int) -> np.ndarray:
    """Mel spectrogram [80, frames], 1 at its peak and 0 at 80 dB below; silence is 0 everywhere."""
    if float(audio.abs().max()) < 1e-4:
        return np.zeros((80, 2))
    return 1 + np.clip(mel_spectrogram(audio, sample_rate), -80, 0) / 80


def _frequencies(sample_rate: int, y: float) -> str:
    centres = librosa.mel_frequencies(n_mels=82, fmax=sample_rate / 2)[1:-1]
    ticks = [f for f in (200, 500, 1000, 2000, 4000, 8000) if f < sample_rate / 2]
    places = y + MEL_HEIGHT * (1 - np.interp(ticks, centres, np.arange(80) + 0.5) / 80)
    return "".join(
        f'<text x="{LEFT - 8}" y="{place:.1f}" text-anchor="end" dominant-baseline="central">{f} Hz</text>'
        for f, place in zip(ticks, places, strict=True)
    )


def _times(seconds: float, y: float) -> str:
    marks = np.arange(0, seconds + 1e-6, 0.5)
    return "".join(
        f'<text x="{LEFT + WIDTH * mark / seconds:.1f}" y="{y + 18}" text-anchor="middle">{mark:g}'
        f"{' s' if i == len(marks) - 1 else ''}</text>"
        for i, mark in enumerate(marks)
    )


# ---- panel ------------------------------------------------------------------------------------------------------


class CodecInspector:
    """An `Inspector` with a row of buttons for each codebook, the picture, and a player.

    Args:
        codec, clips, seed: see `Inspector`.

    Attributes:
        milliseconds: how long the answer to the last move took.
    """

    def __init__(self, codec: EncodecModel, clips: dict[str, Tensor], seed: int = 0):
        self.inspector = Inspector(codec, clips, seed)
        self.milliseconds = 0.0
        # Buttons, not lists: in a notebook the arrow keys that would open a list move on to the next cell.
        style = {"description_width": "110px", "button_width": "120px"}
        self.clip = ipywidgets.ToggleButtons(options=list(clips), description="Clip", style=style)
        self.codebooks = [
            ipywidgets.ToggleButtons(
                options=list(TREATMENTS),
                description=f"Codebook {k}",
                tooltips=[f"codebook {k}: {told}" for told in TREATMENTS.values()],
                style=style,
            )
            for k in range(len(self.inspector.treatments))
        ]
        self.reset = ipywidgets.Button(description="All as encoded", icon="undo", layout={"margin": "8px 0 8px 2px"})
        self.reset.tooltip = "undo every treatment"
        self.picture, self.note, self.player = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        rows = [self.clip, *self.codebooks, self.reset, self.picture, self.note, self.player]
        self.view = ipywidgets.VBox(rows, layout={"max_width": "800px"})
        self.clip.observe(lambda change: self._move(lambda: self.inspector.choose(change["new"])), "value")
        for k, control in enumerate(self.codebooks):
            control.observe(self._use_treatment(k), "value")
        self.reset.on_click(lambda _: self._reset())
        self._holding = False
        self._show()

    def _use_treatment(self, k: int) -> Callable[[dict], None]:
        return lambda change: self._move(lambda: self.inspector.set(k, change["new"]))

    def _move(self, change: Callable[[], None]) -> None:
        start = time.perf_counter()
        change()
        if not self._holding:  # a reset moves several controls and is drawn once
            self._show()
        self.milliseconds = 1000 * (time.perf_counter() - start)

    def _reset(self) -> None:
        self._holding = True
        try:
            for control in self.codebooks:
                control.value = AS_ENCODED
        finally:
            self._holding = False
        self._move(self.inspector.reset)

    def _show(self) -> None:
        self.picture.value = picture(self.inspector)
        self.note.value = (
            f'<div role="status" style="line-height:1.5">{html.escape(likeness_text(self.inspector))}</div>'
        )
        self.player.value = sound_html(self.inspector)

    def state_text(self) -> str:
        """What the panel shows, in words."""
        return self.inspector.text()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.view)

    def __repr__(self) -> str:
        return f"CodecInspector\n{self.state_text()}"


def likeness_text(inspector: Inspector) -> str:
    """One sentence on how far the treated sound is from the untreated copy."""
    if set(inspector.treatments) == {AS_ENCODED}:
        return "Nothing is treated: this is the clip as the codec returns it."
    ratio, chroma = inspector.likeness()
    return f"Against the untreated copy: SI-SDR {ratio:.1f} dB, chroma cosine {chroma:.2f}."


def sound_html(inspector: Inspector) -> str:
    """A player without a spectrogram of its own: the picture has it."""
    treated = [f"codebook {k} {name}" for k, name in enumerate(inspector.treatments) if name != AS_ENCODED]
    caption = f"{inspector.clip}: {', '.join(treated) or AS_ENCODED}"
    return player_html(inspector.audio(), inspector.codec.config.sampling_rate, caption, spectrogram=False)


def still(inspector: Inspector) -> object:
    """The inspector's picture, figures and sound as plain HTML that needs no kernel and no JavaScript."""
    from IPython.display import HTML

    return HTML(
        "<details><summary>A still picture of the panel, for where no kernel runs</summary>"
        f"{picture(inspector)}<p>{html.escape(likeness_text(inspector))}</p>{sound_html(inspector)}</details>"
    )
