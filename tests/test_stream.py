"""`MusicGen.stream`, clips longer than the model sees, and going on from a recording."""

import pytest
import torch

from helpers.judges import save_musicgen, their_musicgen
from musicgen_edu import CONFIGS, EncodecConfig, EncodecModel, MusicGen
from musicgen_edu.model.audio import resample
from musicgen_edu.model.lm import on_meta
from musicgen_edu.model.streaming import StreamingDecoder

PROMPTS = ["a calm piano", "fast drums and a bell"]
OPTIONS = {"top_k": 8, "seed": [5, 6]}


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> MusicGen:
    torch.manual_seed(0)
    return MusicGen.from_pretrained(save_musicgen(their_musicgen(), tmp_path_factory.mktemp("model")), device="cpu")


def recording(seconds: float, channels: int, rate: int) -> torch.Tensor:
    torch.manual_seed(3)
    return 0.3 * torch.randn(channels, round(seconds * rate))


@pytest.mark.parametrize("seconds", [0.02, 1.0, 3.1])
@pytest.mark.parametrize("chunk_seconds", [0.001, 0.0173, 0.1, 0.5, 1.5, 4.0])
def test_chunks_joined_are_the_whole(model, seconds: float, chunk_seconds: float) -> None:
    whole = model.generate(PROMPTS, seconds, **OPTIONS)
    chunks = list(model.stream(PROMPTS, seconds, chunk_seconds, **OPTIONS))
    samples = round(chunk_seconds * model.sample_rate)
    assert all(chunk.shape == (2, 1, samples) for chunk in chunks[:-1])
    assert 0 < chunks[-1].shape[-1] <= samples
    joined = torch.cat(chunks, -1)
    assert joined.shape == whole.shape
    assert float((joined - whole).abs().max()) <= 1e-4 * float(whole.abs().max())


def test_a_chunk_waits_for_its_own_steps_only(model) -> None:
    """The steps before each chunk: its frames, what the decoder looks ahead, and the delay of K - 1."""
    steps = [0]
    stream = model.stream(PROMPTS, 3.0, 0.5, progress=lambda done, total: steps.append(done), **OPTIONS)
    samples = round(0.5 * model.sample_rate)
    for chunk in range(1, 6):
        next(stream)
        frames = StreamingDecoder(model.codec).frames_for(chunk * samples)
        assert steps[-1] == windows_steps(model, min(frames, model.frames(3.0)))


def windows_steps(model: MusicGen, frames: int) -> int:
    """Steps until so many frames are complete: K - 1 more for each window that has begun."""
    longest, keep = model.window
    begun = 1 + max(0, -(-(frames - longest) // (longest - keep)))
    return frames + 3 * begun


def test_a_window_keeps_12_of_30_seconds(model) -> None:
    """Of the published models, whose windows are as long as their training clips; and as much of a shorter one."""
    with torch.device("meta"):
        codec = EncodecModel(EncodecConfig())
    for name in ("small", "medium", "large"):
        published = MusicGen(None, on_meta(CONFIGS[name]), codec)
        assert (published.max_seconds, published.window) == (30.0, (30 * 50, 12 * 50))
    assert model.window == (61, 24)  # 64 steps, three of them for the delay


def test_a_longer_clip_begins_like_a_shorter_one_and_goes_on(model) -> None:
    longest, _ = model.window
    seconds = 3 * longest / model.frame_rate
    long = model.generate_codes(PROMPTS, seconds, **OPTIONS)
    assert long.shape == (2, 4, 3 * longest)
    for share in (0.2, 1.0, 1.7, 2.9):
        short = model.generate_codes(PROMPTS, share * longest / model.frame_rate, **OPTIONS)
        assert torch.equal(short, long[..., : short.shape[-1]])
    audio = model.generate(PROMPTS, seconds, **OPTIONS)
    torch.testing.assert_close(audio, model.codec.decode(long), rtol=0, atol=1e-4 * float(audio.abs().max()))


@pytest.mark.parametrize("channels,rate", [(1, 32000), (2, 44100), (6, 8000)])
def test_going_on_from_a_recording(model, channels: int, rate: int) -> None:
    sound = recording(0.4, channels, rate)
    codes = model.generate_codes(PROMPTS, 1.0, prompt_audio=sound, prompt_sample_rate=rate, **OPTIONS)
    assert codes.shape == (2, 4, model.frames(1.0))
    mono = resample(sound.mean(0, keepdim=True), rate, model.sample_rate)[None]
    P = mono.shape[-1] // model.codec.config.hop_length
    expected = model.codec.encode(mono[..., : P * model.codec.config.hop_length])
    assert round(0.4 * model.frame_rate) == P
    assert torch.equal(codes[..., :P], expected.expand(2, -1, -1))
    plain = model.generate_codes(PROMPTS, 1.0, **OPTIONS)
    assert not torch.equal(codes[..., P:], plain[..., P:])
    chunks = list(model.stream(PROMPTS, 1.0, 0.3, prompt_audio=sound, prompt_sample_rate=rate, **OPTIONS))
    whole = model.generate(PROMPTS, 1.0, prompt_audio=sound, prompt_sample_rate=rate, **OPTIONS)
    torch.testing.assert_close(torch.cat(chunks, -1), whole, rtol=0, atol=1e-4 * float(whole.abs().max()))


def test_each_row_can_go_on_from_its_own_recording(model) -> None:
    both = torch.stack([recording(0.3, 1, 32000), recording(0.3, 1, 32000).flip(-1)])
    codes = model.generate_codes(PROMPTS, 0.8, prompt_audio=both, prompt_sample_rate=32000, **OPTIONS)
    for row in range(2):
        alone = model.generate_codes(
            PROMPTS[row : row + 1], 0.8, prompt_audio=both[row], prompt_sample_rate=32000, top_k=8, seed=5 + row
        )
        assert torch.equal(alone[0], codes[row])


def test_a_stream_that_is_stopped_leaves_the_model_usable(model) -> None:
    expected = model.generate_codes(PROMPTS, 1.0, **OPTIONS)
    stream = model.stream(PROMPTS, 3.0, 0.1, **OPTIONS)
    next(stream)
    stream.close()

    def stop(done: int, total: int) -> None:
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        model.generate(PROMPTS, 1.0, progress=stop, **OPTIONS)
    assert torch.equal(model.generate_codes(PROMPTS, 1.0, **OPTIONS), expected)


def test_a_single_prompt_may_be_streamed_as_a_string(model) -> None:
    (chunk,) = model.stream("a bell", 0.3, 1.0, top_k=8, seed=2)
    torch.testing.assert_close(chunk, model.generate(["a bell"], 0.3, top_k=8, seed=2), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "options,message",
    [
        ({"chunk_seconds": 0}, "chunk_seconds must be at least one sample long"),
        ({"chunk_seconds": float("nan")}, "chunk_seconds must be"),
        ({"seconds": -1}, "seconds must be more than 0"),
        ({"top_k": 99}, "top_k"),
        ({"prompt_audio": torch.zeros(1, 9000)}, "needs prompt_sample_rate"),
        ({"prompt_audio": torch.zeros(9000), "prompt_sample_rate": 32000}, r"prompt_audio must have shape \[B, C, N\]"),
        (
            {"prompt_audio": torch.zeros(3, 1, 9000), "prompt_sample_rate": 32000},
            "one for each of the 2 prompts, not 3",
        ),
        ({"prompt_audio": torch.zeros(1, 9), "prompt_sample_rate": 32000}, "at least one frame"),
        ({"prompt_audio": torch.full((1, 9000), torch.nan), "prompt_sample_rate": 32000}, "NaN"),
        ({"prompt_audio": torch.zeros(1, 64000), "prompt_sample_rate": 32000}, "the prompt has 100 frames: it must be"),
    ],
)
def test_a_bad_request_is_refused_at_once(model, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model.stream(PROMPTS, **{"seconds": 1.0, "top_k": 8, **options})
