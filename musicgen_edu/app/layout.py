"""What stands on the app's page and where, and its words in each language."""

from __future__ import annotations

from typing import Any

import gradio as gr

from .request import Request
from .service import News, Service
from .texts import EXAMPLES, LANGUAGES, TEXTS, TINY_EXAMPLES, say

FIRST_SEED = 5
NUMBERS = ("seconds", "chunk_seconds", "seed", "guidance_scale", "top_k", "temperature")


class Layout:
    """The components of the page. They have no words yet: `words` has those.

    Args:
        service: what models and numbers may be asked for.
    """

    def __init__(self, service: Service):
        self.service = service
        with gr.Blocks(title=TEXTS["en"]["title"], analytics_enabled=False, delete_cache=(600, 3600)) as self.blocks:
            self._place()

    def _place(self) -> None:
        with gr.Row():
            with gr.Column(scale=3, min_width=320):
                self.title, self.intro, self.about = gr.Markdown(), gr.Markdown(), gr.Markdown()
            with gr.Column(scale=1, min_width=230):
                names = [(name, code) for code, name in LANGUAGES.items()]
                self.language = gr.Radio(names, value="en", elem_id="language")
        with gr.Row():
            with gr.Column(scale=6, min_width=320):
                self._place_prompt()
            with gr.Column(scale=5, min_width=320):
                self._place_settings()
        with gr.Row():
            self.generate = gr.Button(variant="primary", elem_id="generate", min_width=90)
            self.stop = gr.Button(interactive=False, elem_id="stop", min_width=90)
            self.clear = gr.Button(elem_id="clear", min_width=90)
        self.news, self.told = gr.HTML(elem_id="news"), gr.State(News("ready", (("ready", {}),)))
        self.player = gr.Audio(streaming=True, autoplay=True, interactive=False, buttons=[], elem_id="player")
        self.download = gr.DownloadButton(interactive=False, elem_id="download")

    def _place_prompt(self) -> None:
        self.prompt = gr.Textbox(lines=2, elem_id="prompt")
        self.hint = gr.HTML(visible=False)
        self.tiny_examples = gr.Dataset(components=["textbox"], samples=[[""]], type="index")
        self.examples = gr.Dataset(components=["textbox"], samples=[[""]], type="index")

    def _place_settings(self) -> None:
        names = self.service.models.names
        with gr.Row():
            self.model = gr.Dropdown(names, value=names[0], elem_id="model", min_width=120)
            self.seed = self._number("seed")
        with gr.Row():
            self.seconds, self.chunk_seconds = self._number("seconds"), self._number("chunk_seconds")
        with gr.Accordion(open=False) as self.settings:
            self.guidance_scale = self._number("guidance_scale")
            with gr.Row():
                self.top_k, self.temperature = self._number("top_k"), self._number("temperature")
        self.recording, self.recording_told = gr.State(None), gr.State(None)
        self.recording_note = gr.HTML(visible=False, elem_id="recording")
        with gr.Row():
            self.upload = gr.UploadButton(size="sm", elem_id="upload", file_types=["audio"], min_width=160)
            self.forget = gr.Button(size="sm", visible=False, elem_id="forget", min_width=160)

    def _number(self, name: str) -> gr.Number:
        # No bounds and no rounding here: Gradio would refuse in English or change what was typed; the service refuses
        # in the visitor's language.
        defaults = {"seconds": min(Request.seconds, self.service.limits.seconds), "seed": FIRST_SEED}
        default = defaults.get(name, getattr(Request, name))
        return gr.Number(default, elem_id=name, min_width=120)

    def words(self, language: str, model: str = "tiny") -> dict[str, Any]:
        """Every label and text of the page in a language: name of the component to its update."""
        ranges = self.service.limits.ranges()
        infos = {name: say(language, "range", low=low, high=high) for name, (low, high) in ranges.items()}
        described = ("model", "seed", "guidance_scale", "top_k", "temperature")
        infos |= {name: say(language, f"{name}_info") for name in described}
        labels = ("language", "settings", "player", "upload", "download")
        values = ("intro", "generate", "stop", "clear", "forget")
        shown = {name: gr.update(label=say(language, name), info=info) for name, info in infos.items()}
        shown |= {name: gr.update(label=say(language, name)) for name in labels}
        shown |= {name: gr.update(value=say(language, name)) for name in values}
        shown["title"] = gr.update(value="# " + say(language, "title"))
        shown["about"] = gr.update(value=say(language, "tiny" if model == "tiny" else "published"))
        shown["prompt"] = gr.update(label=say(language, "prompt"), placeholder=say(language, "placeholder"))
        for name, rows in (("tiny_examples", TINY_EXAMPLES), ("examples", EXAMPLES)):
            samples = [[chinese if language == "zh" else english] for english, chinese in rows]
            visible = name == "examples" or model == "tiny"
            shown[name] = gr.Dataset(label=say(language, name), samples=samples, visible=visible, render=False)
        return shown
