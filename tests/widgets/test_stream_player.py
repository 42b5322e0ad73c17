"""The panel that plays while it generates: its state, its controls, and the file that grows while it is heard."""

from __future__ import annotations

import base64
import io
import re
import threading
from datetime import UTC, datetime
from types import SimpleNamespace
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
import soundfile
import torch

from helpers.panels import controls_of
from musicgen_edu import MusicGen
from musicgen_edu.model.audio import wav_bytes
from musicgen_edu.widgets.generator import EXAMPLES, still
from musicgen_edu.widgets.stream_player import Streamer, StreamPanel, StreamSettings
from musicgen_edu.widgets.stream_player.live_sound import LiveServer, LiveSound, wav_header


class Instrument:
    """Stands in for a model: noise in chunks, which can be held back."""

    sample_rate, frame_rate, max_seconds = 16000, 50.0, 10.0
    lm = SimpleNamespace(config=SimpleNamespace(num_codebooks=4, codebook_size=64))
    frames = MusicGen.frames

    def __init__(self):
        self.asked: list[dict] = []
        self.first_was_given, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    def stream(self, prompts, seconds, chunk_seconds, seed, progress, **others):
        self.asked.append({"seconds": seconds, "chunk_seconds": chunk_seconds, **others})
        own = torch.Generator().manual_seed(sum(prompts[0].encode()) * 1000 + seed)
        clip = 0.1 * torch.randn(1, 1, self.frames(seconds) * 320, generator=own)
        chunks = clip.split(round(chunk_seconds * self.sample_rate), -1)
        for number, chunk in enumerate(chunks):
            progress(number + 1, len(chunks))
            yield chunk
            self.first_was_given.set()
            assert self.go_on.wait(60)


@pytest.fixture
def panel() -> StreamPanel:
    return StreamPanel(Instrument(), StreamSettings(seconds=3.0))


def press(panel: StreamPanel) -> None:
    panel.generate.click()
    panel.wait(60)
    assert not panel.generate.disabled


def address(panel: StreamPanel) -> str:
    return re.search(r'src="(http://127\.0\.0\.1:\d+/[\w-]+\.wav)"', panel.live.value)[1]


def test_the_clip_is_heard_before_it_is_done_and_is_the_clip_in_the_end(panel):
    model = panel.generator.model
    model.go_on.clear()
    panel.generate.click()
    assert model.first_was_given.wait(60)
    with urlopen(address(panel), timeout=30) as answer:
        assert int(answer.headers["Content-Length"]) == 58 + 8 * 3 * 16000
        first = answer.read(58 + 8 * 16000)  # the first chunk, while the second one is held back
        assert panel.generator.status == "generating"
        assert panel.generator.audio is None
        model.go_on.set()
        rest = answer.read()
    panel.wait(60)
    samples, rate = soundfile.read(io.BytesIO(first + rest), dtype="float32")
    assert rate == 16000
    assert samples.shape == (48000, 2)
    assert (samples == panel.generator.audio[0].numpy()[:, None]).all()
    assert panel.generator.status == "done"
    assert "The first sound was there after" in panel.status.value
    assert "autoplay" in panel.live.value
    assert "data:audio/wav;base64," in panel.player.value


def test_each_control_reaches_the_model(panel):
    panel.seconds.value, panel.chunk_seconds.value, panel.guidance_scale.value = 2.0, 0.5, 1.0
    panel.top_k.value, panel.temperature.value = 9, 0.5
    press(panel)
    drawn = {"guidance_scale": 1.0, "top_k": 9, "temperature": 0.5}
    assert panel.generator.model.asked == [{"seconds": 2.0, "chunk_seconds": 0.5, **drawn}]
    told = "guidance 1, seed 5, top-k 9, temperature 0.5, chunks of 0.5 s"
    assert panel.state_text().splitlines()[2].endswith(told)
    first = panel.generator.audio
    panel.seed.value = 6
    press(panel)
    assert not torch.equal(first, panel.generator.audio)
    panel.chunk_seconds.value = 1.5
    panel.seed.value = 5
    press(panel)
    assert torch.equal(first, panel.generator.audio), "how it is cut must not matter"


def test_stop_ends_it_and_the_player_gets_the_length_it_was_promised(panel):
    model = panel.generator.model
    model.go_on.clear()
    panel.generate.click()
    assert model.first_was_given.wait(60)
    panel.stop.click()
    model.go_on.set()
    panel.wait(60)
    assert panel.generator.status == "stopped"
    assert panel.generator.audio is None
    with urlopen(address(panel), timeout=30) as answer:
        samples, _ = soundfile.read(io.BytesIO(answer.read()))
    assert samples.shape == (48000, 2)
    assert abs(samples[:16000]).max() > 0.01
    assert not samples[16000:].any()
    assert "autoplay" not in panel.live.value, "it must fall silent"
    press(panel)
    assert panel.generator.status == "done"


def chosen(content: bytes, name: str = "a <b>.wav") -> tuple[dict]:
    """What a browser sends of a file."""
    modified = datetime(2026, 1, 1, tzinfo=UTC)
    return ({"name": name, "type": "audio/wav", "size": len(content), "content": content, "last_modified": modified},)


def test_it_goes_on_from_a_recording_until_it_is_cleared(panel):
    sound = 0.1 * torch.randn(2, 8000)
    panel.upload.value = chosen(wav_bytes(sound, 16000))
    assert "Goes on from a &lt;b&gt;.wav, 0.5 s." in panel.status.value
    press(panel)
    asked = panel.generator.model.asked[-1]
    assert asked["prompt_sample_rate"] == 16000
    torch.testing.assert_close(asked["prompt_audio"], sound, rtol=0, atol=1 / 32768)
    panel.upload.value = chosen(b"no sound", "words.wav")
    assert "<b>Error.</b> words.wav holds no sound that can be read" in panel.status.value
    press(panel)
    assert "prompt_audio" not in panel.generator.model.asked[-1]
    panel.upload.value = chosen(wav_bytes(sound, 16000))
    panel.clear.click()
    panel.prompt.value = "a bell"
    press(panel)
    assert "prompt_audio" not in panel.generator.model.asked[-1]


def test_clear_stops_and_empties_it(panel):
    model = panel.generator.model
    press(panel)
    assert panel.generator.audio is not None
    model.go_on.clear()
    model.first_was_given.clear()
    panel.generate.click()
    assert model.first_was_given.wait(60)
    panel.clear.click()
    model.go_on.set()
    panel.wait(60)
    assert panel.generator.status == "stopped"
    assert panel.generator.audio is panel.generator.made_with is None
    assert panel.prompt.value == panel.generator.settings.prompt == panel.download.value == ""
    assert "<audio" not in panel.live.value + panel.player.value
    panel.prompt.value = "a bell"
    press(panel)
    assert panel.generator.status == "done"


def test_the_download_is_the_clip(panel):
    press(panel)
    name, data = re.search(r'download="([^"]+)" href="data:audio/wav;base64,([^"]+)"', panel.download.value).groups()
    assert name == "musicgen-edu-seed-5.wav"
    samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)), dtype="float32")
    assert rate == 16000
    torch.testing.assert_close(torch.from_numpy(samples), panel.generator.audio[0], rtol=0, atol=1 / 32768)


def test_errors_are_one_sentence_and_the_last_clip_stays(panel):
    press(panel)
    audio, live = panel.generator.audio, panel.live.value
    panel.prompt.value = " "
    press(panel)
    assert "<b>Error.</b> The prompt is empty" in panel.status.value
    assert panel.generator.audio is audio
    assert panel.live.value == live
    streamer = Streamer(Instrument(), StreamSettings(seconds=9999.0))
    assert not streamer.run()
    assert streamer.message == "Seconds must be more than 0 and at most 3600, not 9999.0."


def test_every_control_is_labelled_and_the_prompt_is_shown_as_text(panel):
    controls = controls_of(panel)
    assert len(controls) == 10  # example, prompt, length, chunk, guidance, seed, top-k, temperature, upload, progress
    assert all(control.description for control in controls)
    panel.prompt.value = "<script>alert(1)</script>"
    press(panel)
    assert "<script" not in panel.live.value + panel.player.value + panel.status.value


def test_the_still_picture_shows_all_settings(panel):
    page = still(panel.generator).data
    for wanted in (EXAMPLES[0], "Chunk (s)", "1.00", "3.0"):
        assert wanted in page
    assert "<script" not in page


def test_the_shipped_model_streams_into_the_panel(tiny):
    panel = StreamPanel(tiny, StreamSettings(seconds=1.0, chunk_seconds=0.5))
    press(panel)
    assert panel.generator.status == "done", panel.generator.message
    settings = panel.generator.settings
    whole = tiny.generate([settings.prompt], 1.0, guidance_scale=settings.guidance_scale, seed=settings.seed)
    torch.testing.assert_close(panel.generator.audio, whole[0].cpu(), rtol=0, atol=1e-4 * float(whole.abs().max()))


# ---- the file that grows -------------------------------------------------------------------------------------------


@pytest.fixture
def server():
    server = LiveServer(kept=2)
    yield server
    server.close()


@pytest.mark.parametrize("channels,rate,samples", [(1, 16000, 5), (2, 32000, 700)])
def test_the_header_is_that_of_a_wav_file(channels, rate, samples):
    data = wav_header(channels, rate, samples) + bytes(4 * channels * samples)
    found = soundfile.info(io.BytesIO(data))
    assert (found.channels, found.samplerate, found.frames) == (channels, rate, samples)
    assert found.subtype == "FLOAT"


def test_parts_of_the_file_can_be_asked_for(server):
    sound = LiveSound(8000, 100)
    sound.feed(torch.rand(2, 100) * 2 - 1)
    sound.end()
    where = server.add(sound)
    with urlopen(where, timeout=30) as answer:
        whole = answer.read()
    assert len(whole) == 858
    for asked, expected in (("bytes=0-1", whole[:2]), ("bytes=40-", whole[40:]), ("bytes=100-9999", whole[100:])):
        with urlopen(Request(where, headers={"Range": asked}), timeout=30) as answer:
            assert answer.status == 206
            assert answer.read() == expected


def test_only_who_knows_the_name_can_listen_and_old_sounds_go(server):
    places = []
    for _ in range(3):
        sound = LiveSound(8000, 4)
        sound.end()
        places.append(server.add(sound))
    assert len(set(places)) == 3
    assert all(place.startswith("http://127.0.0.1:") for place in places)
    for gone in (places[0], places[1].rsplit("/", 1)[0] + "/"):
        with pytest.raises(HTTPError, match="404"):
            urlopen(gone, timeout=30)
    for there in places[1:]:
        assert urlopen(there, timeout=30).read() == wav_header(2, 8000, 4) + bytes(32)
