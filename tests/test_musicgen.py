"""The whole system: against `transformers` on a published folder, as a stream, and its answers to bad requests."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from transformers import AutoTokenizer, MusicgenForConditionalGeneration

from helpers.judges import save_musicgen, their_musicgen
from musicgen_edu import CONFIGS, EncodecConfig, EncodecModel, MusicGen
from musicgen_edu.fast.quick import QuickLM
from musicgen_edu.model.audio import resample
from musicgen_edu.model.generation import delay_table, generate_codes
from musicgen_edu.model.lm import on_meta
from musicgen_edu.model.sampling import Sampling
from musicgen_edu.model.streaming import StreamingDecoder

PROMPTS = ["a calm bell", "a fast organ melody in c minor with drums", "piano"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    return save_musicgen(their_musicgen(), tmp_path_factory.mktemp("musicgen"))


@pytest.fixture(scope="module")
def ours(folder):
    return MusicGen.from_pretrained(folder, device="cpu")


@pytest.fixture(scope="module")
def theirs(folder):
    return MusicgenForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()


def their_greedy_audio(theirs, folder, frames):
    tokens = AutoTokenizer.from_pretrained(folder)(PROMPTS, padding=True, return_tensors="pt")
    assert tokens.attention_mask.sum(1).unique().numel() == 3  # the prompts are of unequal length
    return theirs.generate(
        input_ids=tokens.input_ids,
        attention_mask=tokens.attention_mask,
        do_sample=False,
        guidance_scale=3.0,
        max_new_tokens=frames + 3,
    )


def their_greedy_codes(theirs, folder, frames, monkeypatch):
    """The codes that `transformers` hands to its codec."""
    seen = []
    decode = theirs.audio_encoder.decode
    monkeypatch.setattr(
        theirs.audio_encoder, "decode", lambda codes, *a, **k: (seen.append(codes), decode(codes, *a, **k))[1]
    )
    audio = their_greedy_audio(theirs, folder, frames)
    return seen[0][0], audio


@pytest.mark.parametrize("frames", [4, 25])
def test_greedy_tokens_with_guidance_equal_transformers_to_the_last_one(ours, theirs, folder, frames, monkeypatch):
    expected, audio = their_greedy_codes(theirs, folder, frames, monkeypatch)
    condition = ours.lm.project_text(*ours.text(PROMPTS))
    table = delay_table(4, frames, "special")
    codes = generate_codes(ours.lm, frames, [0, 0, 0], condition, Sampling(3.0, temperature=0, top_k=0), table)
    assert codes.unique().numel() > 4  # tokens that are all alike would make the comparison empty
    assert torch.equal(codes, expected)
    torch.testing.assert_close(ours.codec.decode(codes), audio, atol=1e-4, rtol=0)


def test_generate_equals_the_beginning_of_a_longer_clip_of_transformers(ours, theirs, folder, monkeypatch):
    """Our default ending goes on as in a longer clip, so K - 1 frames more of theirs begin with ours."""
    expected, _ = their_greedy_codes(theirs, folder, 28, monkeypatch)
    seconds = 25 / ours.frame_rate
    codes = ours.generate_codes(PROMPTS, seconds, guidance_scale=3.0, temperature=0, top_k=0)
    assert torch.equal(codes, expected[:, :, :25])


def test_generate_is_its_codes_decoded(ours):
    audio = ours.generate(PROMPTS, seconds=0.5, top_k=8, seed=3)
    assert audio.shape == (3, 1, 400)
    torch.testing.assert_close(audio, ours.codec.decode(ours.generate_codes(PROMPTS, 0.5, top_k=8, seed=3)))


def test_one_seed_serves_every_prompt_alone_and_in_a_batch(ours):
    together = ours.generate_codes(PROMPTS, 0.4, top_k=8, seed=11)
    for i, prompt in enumerate(PROMPTS):
        assert torch.equal(ours.generate_codes([prompt], 0.4, top_k=8, seed=11)[0], together[i])
    mixed = ours.generate_codes(PROMPTS, 0.4, top_k=8, seed=[1, 11, 2])
    assert torch.equal(mixed[1], together[1])


def test_without_a_seed_two_clips_differ(ours):
    a, b = ours.generate_codes(["a", "a"], 0.6, top_k=8)
    assert not torch.equal(a, b)


def test_an_empty_prompt_is_the_unconditional_model(ours):
    empty = ours.generate_codes([""], 0.4, top_k=8, seed=1)
    unconditional = ours.generate_codes(["piano"], 0.4, guidance_scale=0, top_k=8, seed=1)
    assert torch.equal(empty, unconditional)


@pytest.mark.parametrize("space", [{"guidance_scale": 3.0}, {"guidance_scale": 0.2, "guidance_space": "probabilities"}])
def test_a_negative_prompt_leads_away_from_its_words(ours, space):
    """Equal to the prompt it takes guidance away; empty it changes nothing; another one changes the music."""

    def codes(negative=None, **more):
        return ours.generate_codes(PROMPTS, 0.4, top_k=8, seed=3, negative_prompts=negative, **{**space, **more})

    assert torch.equal(codes(PROMPTS), codes(guidance_scale=1.0))
    assert torch.equal(codes(["", " ", ""]), codes())
    assert not torch.equal(codes(PROMPTS[::-1]), codes())
    mixed = codes(["", "with drums", PROMPTS[2]])  # each row has its own
    assert torch.equal(mixed[0], codes()[0])
    assert torch.equal(mixed[1], codes(["with drums"] * 3)[1])
    assert torch.equal(mixed[2], codes(guidance_scale=1.0)[2])


def test_guidance_in_probabilities_ends_in_the_two_models(ours):
    def codes(scale, space):
        return ours.generate_codes(PROMPTS, 0.4, guidance_scale=scale, top_k=8, seed=3, guidance_space=space)

    for scale, near in ((0.0, 1e-7), (1.0, 1 - 1e-7)):
        assert torch.equal(codes(scale, "probabilities"), codes(scale, "logits"))
        assert torch.equal(codes(near, "probabilities"), codes(scale, "logits"))
    assert not torch.equal(codes(0.5, "probabilities"), codes(0.5, "logits"))


def test_audio_and_codes_take_the_same_settings(ours):
    settings = {"top_k": 8, "seed": 3, "guidance_scale": 0.7, "guidance_space": "probabilities"}
    settings["negative_prompts"] = ["with drums"] * 3
    audio, codes = ours.generate(PROMPTS, 0.5, **settings), ours.generate_codes(PROMPTS, 0.5, **settings)
    torch.testing.assert_close(audio, ours.codec.decode(codes))


def test_sampling_is_taken_whole_or_by_its_fields(ours):
    """And each of them reaches the tokens, in codes, audio and stream alike."""
    fields = {"guidance_scale": 0.7, "temperature": 0.8, "top_k": 8, "top_p": 0.9, "guidance_space": "probabilities"}
    assert set(fields) == set(asdict(Sampling()))
    request, whole = {"seed": 3, "seconds": 0.5}, Sampling(**fields)
    codes = ours.generate_codes(PROMPTS, sampling=whole, **request)
    assert torch.equal(codes, ours.generate_codes(PROMPTS, **fields, **request))
    for left_out in fields:
        others = {"top_k": 16, **{name: value for name, value in fields.items() if name != left_out}}
        assert not torch.equal(codes, ours.generate_codes(PROMPTS, **{"guidance_scale": 1.0, **others}, **request))
    audio = ours.codec.decode(codes)
    torch.testing.assert_close(ours.generate(PROMPTS, sampling=whole, **request), audio)
    chunks = list(ours.stream(PROMPTS, chunk_seconds=0.2, sampling=whole, **request))
    torch.testing.assert_close(torch.cat(chunks, -1), audio, atol=1e-5, rtol=0)
    defaults = ours.generate_codes(PROMPTS, sampling=Sampling(top_k=8), **request)
    assert torch.equal(defaults, ours.generate_codes(PROMPTS, top_k=8, **request))


def test_it_generates_by_the_quick_steps(ours, monkeypatch):
    steps, step = [], QuickLM.step
    monkeypatch.setattr(QuickLM, "step", lambda *given: (steps.append(given), step(*given))[1])
    ours.generate_codes(PROMPTS, 0.2, top_k=8)
    assert len(steps) == ours.frames(0.2) + 3


@pytest.mark.parametrize("name", ["generate", "generate_codes", "stream"])
def test_a_request_is_checked_once_and_at_once(ours, name, monkeypatch):
    asked = []
    check = Sampling.check
    monkeypatch.setattr(Sampling, "check", lambda self, V: (asked.append(V), check(self, V))[1])
    made = getattr(ours, name)(PROMPTS, 0.2, top_k=8)
    assert asked == [16]  # before a stream is asked for its first chunk
    list(made)
    assert asked == [16]
    with pytest.raises(ValueError, match="codebook size 16, not 17"):
        getattr(ours, name)(PROMPTS, 0.2, top_k=17)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompts": []}, "prompts is empty"),
        ({"prompts": "a bell"}, "must be a list of strings"),
        ({"prompts": [3]}, "each prompt must be a string, not int"),
        ({"seconds": 0}, "more than 0 and at most"),
        ({"seconds": -1}, "more than 0 and at most"),
        ({"seconds": float("nan")}, "more than 0 and at most"),
        ({"seconds": 1e4}, "more than 0 and at most 3600"),
        ({"top_k": 17}, "codebook size 16, not 17"),
        ({"top_p": 2}, "top_p"),
        ({"sampling": Sampling(), "top_p": 0.5}, "sampling says how tokens are chosen already: leave out top_k, top_p"),
        ({"sampling": {"top_k": 8}, "top_k": 8}, "already: leave out top_k"),
        ({"temperature": -1}, "temperature"),
        ({"guidance_scale": float("nan")}, "guidance_scale"),
        ({"seed": [1, 2]}, "list of 1, one for each prompt, not of 2"),
        ({"guidance_space": "probability"}, "guidance_space must be 'logits' or 'probabilities', not 'probability'"),
        ({"guidance_space": "probabilities"}, "guidance_scale must be 0 to 1 in the space of probabilities, not 3.0"),
        ({"negative_prompts": "drums"}, "negative_prompts must be a list of strings, not 'drums'"),
        ({"negative_prompts": [None]}, "negative_prompts must be a list of strings"),
        ({"negative_prompts": []}, "negative_prompts must be a list of 1, one for each prompt, not of 0"),
        ({"negative_prompts": ["a", "b"]}, "negative_prompts must be a list of 1, one for each prompt, not of 2"),
    ],
)
def test_a_bad_request_is_one_clear_sentence(ours, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        ours.generate(**{"prompts": ["a bell"], "seconds": 0.2, "top_k": 8, **arguments})
    assert "\n" not in str(caught.value)


def test_what_is_no_sampling_and_no_option_is_named(ours):
    with pytest.raises(ValueError, match=r"sampling must be a Sampling, .* not \{'top_k': 8\}"):
        ours.generate(PROMPTS, 0.2, sampling={"top_k": 8})
    with pytest.raises(TypeError, match="guidence_scale"):
        ours.generate(PROMPTS, 0.2, guidence_scale=2.0)


def test_an_unknown_hub_name_without_a_network_is_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ValueError, match="facebook/no-such-model: it is not on this disk, and HF_HUB_OFFLINE"
    ) as caught:
        MusicGen.from_pretrained("facebook/no-such-model")
    assert "\n" not in str(caught.value)


def test_every_number_format_that_a_lesson_uses_loads(folder, ours):
    exact = MusicGen.from_pretrained(folder, device="cpu", dtype=torch.float64)
    assert exact.lm.heads.weight.dtype == torch.float64
    assert torch.equal(exact.lm.heads.weight.float(), ours.lm.heads.weight)
    with pytest.raises(ValueError, match=r"or int8, not torch\.int16"):
        MusicGen.from_pretrained(folder, dtype=torch.int16)


PAIR = ["a calm piano", "fast drums and a bell"]

OPTIONS = {"top_k": 8, "seed": [5, 6]}


def recording(seconds: float, channels: int, rate: int) -> torch.Tensor:
    torch.manual_seed(3)
    return 0.3 * torch.randn(channels, round(seconds * rate))


@pytest.mark.parametrize("seconds", [0.02, 1.0, 3.1])
@pytest.mark.parametrize("chunk_seconds", [0.001, 0.0173, 0.1, 0.5, 1.5, 4.0])
def test_chunks_joined_are_the_whole(ours, seconds: float, chunk_seconds: float) -> None:
    whole = ours.generate(PAIR, seconds, **OPTIONS)
    chunks = list(ours.stream(PAIR, seconds, chunk_seconds, **OPTIONS))
    samples = round(chunk_seconds * ours.sample_rate)
    assert all(chunk.shape == (2, 1, samples) for chunk in chunks[:-1])
    assert 0 < chunks[-1].shape[-1] <= samples
    joined = torch.cat(chunks, -1)
    assert joined.shape == whole.shape
    assert float((joined - whole).abs().max()) <= 1e-4 * float(whole.abs().max())


def test_a_chunk_waits_for_its_own_steps_only(ours) -> None:
    """The steps before each chunk: its frames, what the decoder looks ahead, and the delay of K - 1."""
    steps = [0]
    stream = ours.stream(PAIR, 3.0, 0.5, progress=lambda done, total: steps.append(done), **OPTIONS)
    samples = round(0.5 * ours.sample_rate)
    for chunk in range(1, 6):
        next(stream)
        frames = StreamingDecoder(ours.codec).frames_for(chunk * samples)
        assert steps[-1] == windows_steps(ours, min(frames, ours.frames(3.0)))


def windows_steps(ours: MusicGen, frames: int) -> int:
    """Steps until so many frames are complete: K - 1 more for each window that has begun."""
    longest, keep = ours.window
    begun = 1 + max(0, -(-(frames - longest) // (longest - keep)))
    return frames + 3 * begun


def test_a_window_keeps_12_of_30_seconds(ours) -> None:
    """Of the published models, whose windows are as long as their training clips; and as much of a shorter one."""
    with torch.device("meta"):
        codec = EncodecModel(EncodecConfig())
    for name in ("small", "medium", "large"):
        published = MusicGen(None, on_meta(CONFIGS[name]), codec)
        assert (published.max_seconds, published.window) == (30.0, (30 * 50, 12 * 50))
    assert ours.window == (61, 24)  # 64 steps, three of them for the delay


def test_a_longer_clip_begins_like_a_shorter_one_and_goes_on(ours) -> None:
    longest, _ = ours.window
    seconds = 3 * longest / ours.frame_rate
    long = ours.generate_codes(PAIR, seconds, **OPTIONS)
    assert long.shape == (2, 4, 3 * longest)
    for share in (0.2, 1.0, 1.7, 2.9):
        short = ours.generate_codes(PAIR, share * longest / ours.frame_rate, **OPTIONS)
        assert torch.equal(short, long[..., : short.shape[-1]])
    audio = ours.generate(PAIR, seconds, **OPTIONS)
    torch.testing.assert_close(audio, ours.codec.decode(long), rtol=0, atol=1e-4 * float(audio.abs().max()))


@pytest.mark.parametrize("channels,rate", [(1, 32000), (2, 44100), (6, 8000)])
def test_going_on_from_a_recording(ours, channels: int, rate: int) -> None:
    sound = recording(0.4, channels, rate)
    codes = ours.generate_codes(PAIR, 1.0, prompt_audio=sound, prompt_sample_rate=rate, **OPTIONS)
    assert codes.shape == (2, 4, ours.frames(1.0))
    mono = resample(sound.mean(0, keepdim=True), rate, ours.sample_rate)[None]
    P = mono.shape[-1] // ours.codec.config.hop_length
    expected = ours.codec.encode(mono[..., : P * ours.codec.config.hop_length])
    assert round(0.4 * ours.frame_rate) == P
    assert torch.equal(codes[..., :P], expected.expand(2, -1, -1))
    plain = ours.generate_codes(PAIR, 1.0, **OPTIONS)
    assert not torch.equal(codes[..., P:], plain[..., P:])
    chunks = list(ours.stream(PAIR, 1.0, 0.3, prompt_audio=sound, prompt_sample_rate=rate, **OPTIONS))
    whole = ours.generate(PAIR, 1.0, prompt_audio=sound, prompt_sample_rate=rate, **OPTIONS)
    torch.testing.assert_close(torch.cat(chunks, -1), whole, rtol=0, atol=1e-4 * float(whole.abs().max()))


def test_each_row_can_go_on_from_its_own_recording(ours) -> None:
    both = torch.stack([recording(0.3, 1, 32000), recording(0.3, 1, 32000).flip(-1)])
    codes = ours.generate_codes(PAIR, 0.8, prompt_audio=both, prompt_sample_rate=32000, **OPTIONS)
    for row in range(2):
        alone = ours.generate_codes(
            PAIR[row : row + 1], 0.8, prompt_audio=both[row], prompt_sample_rate=32000, top_k=8, seed=5 + row
        )
        assert torch.equal(alone[0], codes[row])


def test_a_stream_that_is_stopped_leaves_the_model_usable(ours) -> None:
    expected = ours.generate_codes(PAIR, 1.0, **OPTIONS)
    stream = ours.stream(PAIR, 3.0, 0.1, **OPTIONS)
    next(stream)
    stream.close()

    def stop(done: int, total: int) -> None:
        if done == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ours.generate(PAIR, 1.0, progress=stop, **OPTIONS)
    assert torch.equal(ours.generate_codes(PAIR, 1.0, **OPTIONS), expected)


def test_a_single_prompt_may_be_streamed_as_a_string(ours) -> None:
    (chunk,) = ours.stream("a bell", 0.3, 1.0, top_k=8, seed=2)
    torch.testing.assert_close(chunk, ours.generate(["a bell"], 0.3, top_k=8, seed=2), rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "options,message",
    [
        ({"chunk_seconds": 0}, "chunk_seconds must be at least one sample long"),
        ({"chunk_seconds": float("nan")}, "chunk_seconds must be"),
        ({"seconds": -1}, "seconds must be more than 0"),
        ({"top_k": 99}, "top_k"),
        ({"prompt_audio": torch.zeros(1, 9000)}, "needs prompt_sample_rate"),
        (
            {"prompt_audio": torch.zeros(1, 1, 1, 9000), "prompt_sample_rate": 32000},
            r"prompt_audio must have shape \[N\], \[C, N\] or \[B, C, N\]",
        ),
        (
            {"prompt_audio": torch.zeros(3, 1, 9000), "prompt_sample_rate": 32000},
            "one for each of the 2 prompts, not 3",
        ),
        ({"prompt_audio": torch.zeros(1, 9), "prompt_sample_rate": 32000}, "at least one frame"),
        ({"prompt_audio": torch.full((1, 9000), torch.nan), "prompt_sample_rate": 32000}, "NaN"),
        (
            {"prompt_audio": torch.zeros(1, 64000), "prompt_sample_rate": 32000},
            r"prompt_audio lasts 2 s: it must be shorter than the clip of 1 s and than .* at once, 1\.22 s",
        ),
    ],
)
def test_a_bad_request_is_refused_at_once(ours, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ours.stream(PAIR, **{"seconds": 1.0, "top_k": 8, **options})
