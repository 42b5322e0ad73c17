"""The stream player with controls around it.

The live player hears a file that the kernel serves on the loopback address (see `live_sound`), so it plays only where
browser and kernel run on the same computer. Elsewhere the finished clip below it is what there is to hear.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import ipywidgets

from ...musicgen import MusicGen
from ..generator.drawing import clip
from ..generator.panel import LABEL, GeneratorPanel, in_a_row, setting
from ..panel import Progress, control
from .drawing import download, live_player
from .live_sound import LiveServer, LiveSound
from .state import DEFAULT, Streamer, StreamSettings, read_bytes


class StreamPanel(GeneratorPanel):
    """A `Streamer` with controls, progress, a player that plays while the clip is being made, and the finished clip.

    Args:
        model: what generates.
        settings: what to start from.
    """

    kind = Streamer
    server: LiveServer | None = None  # one for all panels of a kernel

    def __init__(self, model: MusicGen, settings: StreamSettings = DEFAULT):
        super().__init__(model, settings)
        self.generator.hear = self._hear

    def _make_controls(self, settings: StreamSettings, longest: float) -> None:
        super()._make_controls(settings, longest)
        slider, codes = partial(setting, ipywidgets.FloatSlider), self.generator.model.lm.config.codebook_size
        chunk = {"min": 0.25, "max": 4, "step": 0.25, "readout_format": ".2f"}
        self.chunk_seconds = slider("Chunk (s)", settings.chunk_seconds, **chunk)
        self.top_k = control(
            ipywidgets.BoundedIntText, "Top-k (0: all)", settings.top_k, LABEL, "240px", min=0, max=codes
        )
        temperature = {"min": 0, "max": 2, "step": 0.1, "readout_format": ".1f"}
        self.temperature = slider("Temperature", settings.temperature, **temperature)
        self.upload = ipywidgets.FileUpload(
            description="Go on from a recording", multiple=False, layout={"width": "240px", "margin": "4px 0 4px 134px"}
        )
        self.clear = ipywidgets.Button(description="Clear", icon="trash", tooltip="forget prompt, recording and clip")
        self.live, self.download = ipywidgets.HTML(), ipywidgets.HTML()

    def _rows(self) -> Sequence[ipywidgets.Widget]:
        lengths = [self.seconds, self.chunk_seconds]
        drawn = [self.guidance_scale, self.seed, self.top_k, self.temperature]
        buttons = in_a_row(self.generate, self.stop, self.clear)
        sounds = [self.live, self.player, self.download]
        above = [self.example, self.prompt, *lengths, *drawn, self.upload, self.note]
        return [*above, buttons, self.progress, self.status, *sounds]

    def _connect(self) -> None:
        super()._connect()
        self.upload.observe(self._take, "value")
        self.clear.on_click(lambda _: self._wipe())

    def _take(self, change: dict) -> None:
        """Read the file that was chosen, and say what it is."""
        if not change["new"]:
            return
        (file,) = change["new"]
        try:
            sound, rate = self.generator.recording = read_bytes(file["name"], bytes(file["content"]))
        except ValueError as error:
            self.generator.recording = None
            self.worker.say(str(error), error=True)
            return
        told = f"Goes on from {file['name']}, {sound.shape[-1] / rate:.1f} s. The length counts from its beginning."
        self.worker.say(told)

    def _wipe(self) -> None:
        self.generator.clear()
        self.prompt.value, self.upload.value = "", ()
        self.live.value, self.player.value, self.download.value = "", clip(self.generator), ""
        self.progress.value = 0
        self._tell()

    def _hear(self, sound: LiveSound) -> None:
        if StreamPanel.server is None:
            StreamPanel.server = LiveServer()
        self.live.value = live_player(StreamPanel.server.add(sound), str(self.generator.settings))

    def _work(self, progress: Progress) -> None:
        super()._work(progress)
        if self.generator.status == "done":
            self.download.value = download(self.generator)

    def _tell(self) -> None:
        streamer, text = self.generator, self.generator.message
        if streamer.status == "done":
            text += f"\n{streamer.timing()}"
        if streamer.status == "stopped":  # a player drawn anew is silent, and has what was made
            self.live.value = self.live.value.replace(" autoplay", "")
        self.worker.say(text, streamer.status == "error")
