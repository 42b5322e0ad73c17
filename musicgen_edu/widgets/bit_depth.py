"""A listener for bit depth and sample rate (lesson 01).

`Listener` holds the settings, does the sampling and quantizing and measures the outcome; `BitDepthPanel` puts
controls and players around it with ipywidgets; `drawing` is its picture as an SVG string; `still` shows one as plain
HTML, for where no kernel runs.
"""

from __future__ import annotations

import base64
import html
import io
from dataclasses import asdict, dataclass, replace

import ipywidgets
import librosa
import matplotlib
import numpy as np
from PIL import Image

from ..figures.players import player_html
from ..figures.svg import GREY, INK, LIT, PALE, PAPER, label
from ..model.pcm import LAWS, decode, encode, snr

DIVISORS = (1, 2, 4, 8, 16)  # the sample rates on offer are the clip's rate over these
QUIETEST = -60  # dB
WIDTH, HEIGHT = 700, 300


@dataclass(frozen=True)
class Settings:
    """How a clip is stored: which clip, bits a sample, law, samples a second, low-pass filter or not, level in dB."""

    clip: str
    bits: int = 4
    law: str = "linear"
    sample_rate: int = 16000
    low_pass: bool = True
    level: int = 0

    def __str__(self) -> str:
        how = "" if self.low_pass else " without low-pass filter"
        return f"{self.clip}, {self.bits} bits {self.law}, {self.sample_rate} Hz{how}, level {self.level} dB"


class Listener:
    """A clip, stored with few bits and few samples, and turned back into sound.

    Args:
        clips: name to audio, float [N] in [-1, 1], none of them silent.
        sample_rate: of all clips, in Hz, divisible by 16.
        settings: what to start from; None takes the first clip at its own rate.

    Attributes:
        settings: how it is stored now.
        source, output: float32 [N], what goes in (at its level) and what comes out, both at the clip's rate.
        signal_to_noise: dB, of output against source.
    """

    def __init__(self, clips: dict[str, np.ndarray], sample_rate: int = 16000, settings: Settings | None = None):
        if not clips:
            raise ValueError("the listener needs at least one clip")
        if sample_rate % DIVISORS[-1]:
            raise ValueError(f"the sample rate must be divisible by {DIVISORS[-1]}, but it is {sample_rate}")
        self.clips = {name: np.asarray(audio, np.float32) for name, audio in clips.items()}
        for name, audio in self.clips.items():
            if audio.ndim != 1 or not audio.any():
                raise ValueError(f"clip {name!r} must be audio [N] that is not silent")
        self.sample_rate = sample_rate
        self.rates = tuple(sample_rate // divisor for divisor in DIVISORS)
        self.settings = settings or Settings(next(iter(clips)), sample_rate=sample_rate)
        self.set()

    def set(self, **changes: str | int | bool) -> None:
        """Change some of the settings by name, and store and read the clip again.

        Raises:
            ValueError: a value that is not on offer; nothing changes then.
        """
        settings = replace(self.settings, **changes)
        if settings.clip not in self.clips:
            raise ValueError(f"there is no clip {settings.clip!r}: expected one of {', '.join(self.clips)}")
        if settings.sample_rate not in self.rates:
            raise ValueError(
                f"sample rate must be one of {', '.join(map(str, self.rates))}, not {settings.sample_rate}"
            )
        if not QUIETEST <= settings.level <= 0:
            raise ValueError(f"level must lie between {QUIETEST} and 0 dB, not {settings.level}")
        encode(np.zeros(1), settings.bits, settings.law)  # says so if bits or law cannot be
        self.settings = settings
        self._store_and_read()

    def _store_and_read(self) -> None:
        now, divisor = self.settings, self.sample_rate // self.settings.sample_rate
        self.source = self.clips[now.clip] * np.float32(10 ** (now.level / 20))
        samples = self.source[::divisor]
        if now.low_pass:
            samples = _resample(self.source, self.sample_rate, now.sample_rate)
        self.stored = decode(encode(samples, now.bits, now.law), now.bits, now.law)
        self.output = _resample(self.stored, now.sample_rate, self.sample_rate)[: len(self.source)]
        self.signal_to_noise = snr(self.source, self.output)

    def gain(self) -> float:
        """By how many dB the player turns the output up: to the loudness of the clip, as far as nothing clips."""
        peak = float(np.abs(self.output).max())
        return min(-self.settings.level, -20 * np.log10(peak)) if peak > 0 else 0.0

    def heard(self) -> np.ndarray:
        """What the player plays, float32 [N]."""
        return self.output * np.float32(10 ** (self.gain() / 20))

    def bit_rate(self) -> float:
        """Thousands of bits a second."""
        return self.settings.bits * self.settings.sample_rate / 1000

    def text(self) -> str:
        """The state in words, one line each: settings, what is stored, how wrong it is."""
        whole = 16 * self.sample_rate / 1000
        return "\n".join(
            [
                f"settings: {self.settings}",
                f"stored:   {2**self.settings.bits} levels, {self.bit_rate():g} kbit/s; the clip itself has {whole:g}",
                f"error:    signal-to-noise ratio {self.signal_to_noise:.1f} dB",
            ]
        )


def _resample(audio: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    if rate == new_rate:
        return audio
    return librosa.resample(audio, orig_sr=rate, target_sr=new_rate, res_type="soxr_hq")


# ---- drawing -----------------------------------------------------------------------------------------------------


def drawing(listener: Listener) -> str:
    """Six milliseconds of the clip before and after, beside the spectrogram of what comes out: one SVG."""
    described = html.escape("; ".join(" ".join(line.split()) for line in listener.text().splitlines()), quote=True)
    body = _wave(listener, 46, 30, 320, 226) + _spectrogram(listener, 440, 30, 250, 226)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img" '
        f'aria-label="{described}" style="max-width:100%;height:auto" font-size="12" fill="{INK}" '
        f'font-family="DejaVu Sans, Verdana, sans-serif"><rect width="{WIDTH}" height="{HEIGHT}" rx="6" '
        f'fill="{PAPER}"/>{body}</svg>'
    )


def _wave(listener: Listener, left: float, top: float, width: float, height: float) -> str:
    rate, divisor = listener.sample_rate, listener.sample_rate // listener.settings.sample_rate
    count = round(0.006 * rate / 16) * 16
    start = _loudest(listener.source, count) // 16 * 16  # a sample that every rate on offer keeps
    source, output = listener.source[start:][:count], listener.output[start:][:count]
    stored = listener.stored[start // divisor :][: count // divisor]
    limit = max(1e-6, float(np.abs(np.concatenate([source, output, stored])).max()))

    def points(values: np.ndarray, step: int = 1) -> list[tuple[float, float]]:
        places = left + width * step * np.arange(len(values)) / count
        return list(zip(places, top + height / 2 * (1 - values / limit), strict=True))

    def path(values: np.ndarray) -> str:
        return "M" + " L".join(f"{x:.1f} {y:.1f}" for x, y in points(values))

    levels = decode(np.arange(2**listener.settings.bits), listener.settings.bits, listener.settings.law)
    levels = levels[np.abs(levels) <= limit]
    lines = levels if len(levels) <= 40 else ()  # more would be a grey block
    return (
        f'<rect x="{left}" y="{top}" width="{width}" height="{height}" fill="{PALE}" stroke="{GREY}"/>'
        + "".join(f'<path d="M{left} {y:.1f} h{width}" stroke="#c9c9d2"/>' for _, y in points(np.asarray(lines)))
        + f'<path d="{path(source)}" fill="none" stroke="{INK}" stroke-dasharray="5 3" stroke-width="1.4"/>'
        + f'<path d="{path(output)}" fill="none" stroke="{LIT}" stroke-width="2"/>'
        + "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{LIT}"/>' for x, y in points(stored, divisor))
        + label(left + width / 2, 14, "dashed: before · dots: stored · line: after", 12)
        + label(left + width / 2, top + height + 24, f"{1000 * count / rate:g} ms at {start / rate:.2f} s", 12)
        + label(left - 24, top + 6, f"{limit:.2g}", 11)
        + label(left - 24, top + height - 4, f"-{limit:.2g}", 11)
    )


def _loudest(audio: np.ndarray, count: int) -> int:
    """Where a window of `count` samples about the loudest sample begins, within the clip."""
    return int(np.clip(np.abs(audio).argmax() - count // 2, 0, max(0, len(audio) - count)))


def _spectrogram(listener: Listener, left: float, top: float, width: float, height: float) -> str:
    """Linear in frequency, so that what is mirrored is seen mirrored; 80 dB from black to white."""
    frames = librosa.util.frame(np.pad(listener.heard(), (0, 512)), frame_length=512, hop_length=256)  # [512, frames]
    power = np.abs(np.fft.rfft(frames * np.hanning(512)[:, None], axis=0)[::-1]) ** 2
    decibels = 10 * np.log10(np.maximum(power, 1e-12) / max(float(power.max()), 1e-12))
    grey = np.clip(255 * (1 + decibels / 80), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    image = Image.fromarray(grey, mode="L").resize((round(width), round(height)))
    palette = (255 * matplotlib.colormaps["magma"](np.arange(256))[:, :3]).astype(np.uint8)
    image = image.convert("P")
    image.putpalette(palette.ravel().tolist())
    image.save(buffer, format="PNG")
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    half, seconds = listener.sample_rate / 2000, len(listener.source) / listener.sample_rate
    ticks = "".join(label(left - 18, top + height * (1 - k / 4), f"{half * k / 4:g}", 11) for k in range(5))
    return (
        f'<image href="{source}" x="{left}" y="{top}" width="{width}" height="{height}" preserveAspectRatio="none"/>'
        + ticks
        + label(left + width / 2, 14, "spectrogram of the sound after (kHz)", 12)
        + label(left + width / 2, top + height + 24, f"0 to {seconds:g} s", 12)
    )


# ---- panel -------------------------------------------------------------------------------------------------------

_LABEL = {"description_width": "130px"}
_WIDE = {"width": "98%"}


class BitDepthPanel:
    """A `Listener` with controls, picture and two players.

    Args:
        clips, sample_rate, settings: as for `Listener`.
    """

    def __init__(self, clips: dict[str, np.ndarray], sample_rate: int = 16000, settings: Settings | None = None):
        self.listener = Listener(clips, sample_rate, settings)
        self._make_controls()
        self.picture, self.status = ipywidgets.HTML(), ipywidgets.HTML()
        self.before, self.after = ipywidgets.HTML(), ipywidgets.HTML()
        self.controls = [self.clip, self.bits, self.law, self.sample_rate, self.low_pass, self.level]
        players = ipywidgets.HBox([self.before, self.after], layout={"flex_flow": "row wrap"})
        rows = [*self.controls, self.status, self.picture, players]
        self.view = ipywidgets.VBox(rows, layout={"max_width": f"{WIDTH + 20}px"})
        for name in asdict(self.listener.settings):
            getattr(self, name).observe(self._use_setting(name), "value")
        self._show_before()
        self._show()

    def _make_controls(self) -> None:
        now, common = self.listener.settings, {"style": _LABEL, "layout": _WIDE}
        self.clip = ipywidgets.Dropdown(options=list(self.listener.clips), value=now.clip, description="Clip", **common)
        self.bits = ipywidgets.IntSlider(now.bits, min=1, max=16, description="Bits a sample", **common)
        self.law = ipywidgets.Dropdown(options=LAWS, value=now.law, description="Levels", **common)
        self.sample_rate = ipywidgets.SelectionSlider(
            options=[(f"{rate} Hz", rate) for rate in sorted(self.listener.rates)],
            value=now.sample_rate,
            description="Sample rate",
            **common,
        )
        self.low_pass = ipywidgets.Checkbox(now.low_pass, description="Low-pass filter before sampling", **common)
        self.level = ipywidgets.IntSlider(now.level, min=QUIETEST, max=0, step=6, description="Level (dB)", **common)

    def _use_setting(self, name: str):
        def use(change: dict) -> None:
            self.listener.set(**{name: change["new"]})
            if name == "clip":
                self._show_before()
            self._show()

        return use

    def _show_before(self) -> None:
        name = self.listener.settings.clip
        self.before.value = _player(self.listener.clips[name], self.listener.sample_rate, f"before: {name}")

    def _show(self) -> None:
        lines = "<br>".join(html.escape(line) for line in self.state_text().splitlines()[1:])
        self.status.value = f'<div role="status" style="margin-left:134px;line-height:1.5">{lines}</div>'
        self.picture.value = drawing(self.listener)
        self.after.value = _after(self.listener)

    def state_text(self) -> str:
        """What the panel shows, in words."""
        return self.listener.text()

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.view)

    def __repr__(self) -> str:
        return f"BitDepthPanel\n{self.state_text()}"


def _player(audio: np.ndarray, rate: int, caption: str) -> str:
    return f'<div style="width:330px;margin-right:16px">{player_html(audio, rate, caption, spectrogram=False)}</div>'


def _after(listener: Listener) -> str:
    now = listener.settings
    turned_up = f", turned up again by {listener.gain():.0f} dB" if now.level else ""
    caption = f"after: {now.bits} bits {now.law} at {now.sample_rate} Hz{turned_up}"
    return _player(listener.heard(), listener.sample_rate, caption)


def still(listener: Listener) -> object:
    """A listener's settings, picture and sound as plain HTML that needs no kernel and no JavaScript."""
    from IPython.display import HTML

    return HTML(
        "<details open><summary>A still picture of the panel, for where no kernel runs</summary>"
        f"<pre>{html.escape(listener.text())}</pre>{drawing(listener)}{_after(listener)}</details>"
    )
