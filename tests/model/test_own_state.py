"""What torch lets a user set for a whole program changes neither a seed's music nor whether it works."""

from __future__ import annotations

import warnings
from contextlib import ExitStack, contextmanager, nullcontext

import pytest
import torch

from helpers.judges import save_musicgen, their_musicgen
from musicgen_edu import MusicGen
from musicgen_edu.model.generation import generate_codes
from musicgen_edu.model.own_state import each_in_own_state, own_state
from musicgen_edu.model.sampling import uniform_numbers

PROMPTS = ["a calm bell", "piano"]
CODES = torch.arange(48).view(1, 4, 12) % 16


@contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextmanager
def default_device(name):
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def everything():
    with ExitStack() as stack:
        for state in (default_dtype(torch.float64), default_device("meta"), torch.autocast("cpu", torch.bfloat16)):
            stack.enter_context(state)
        stack.enter_context(torch.inference_mode())
        yield


STATES = {
    "no_grad": torch.no_grad,
    "enable_grad": torch.enable_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: default_dtype(torch.float64),
    "float16": lambda: default_dtype(torch.float16),
    "bfloat16": lambda: default_dtype(torch.bfloat16),
    "autocast bfloat16": lambda: torch.autocast("cpu", torch.bfloat16),
    "autocast float16": lambda: torch.autocast("cpu", torch.float16),
    "with torch.device": lambda: torch.device("meta"),
    "default device": lambda: default_device("meta"),
    "anomalies": lambda: torch.autograd.set_detect_anomaly(True, check_nan=False),
    "everything": everything,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    return save_musicgen(their_musicgen(), tmp_path_factory.mktemp("musicgen"))


@pytest.fixture(scope="module")
def recording():
    return 0.3 * torch.sin(torch.arange(4800) / 5)[None]


def music(model, recording) -> dict[str, torch.Tensor]:
    """Everything that a seed decides."""
    options = {"seconds": 0.4, "top_k": 8, "seed": 3}
    more = {"prompt_audio": recording, "prompt_sample_rate": 32000}
    condition = model.condition(PROMPTS)
    return {
        "generate": model.generate(PROMPTS, **options),
        "negative": model.generate(PROMPTS, negative_prompts=["drums", ""], **options),
        "going on": model.generate(PROMPTS, **options, **more),
        "long": model.generate(PROMPTS, **{**options, "seconds": 1.6}),
        "codes": model.generate_codes(PROMPTS, **options),
        "stream": torch.cat(list(model.stream(PROMPTS, chunk_seconds=0.15, **options, **more)), -1),
        "stream_codes": torch.cat(list(model.stream_codes(PROMPTS, **options)), -1),
        "condition": condition.states,
        "plain loop": generate_codes(model.lm, 12, [1, 2], condition),
        "encode": model.codec.encode(recording[None]),
        "decode": model.codec.decode(CODES),
        "numbers": uniform_numbers([1, 2], 3, 4),
    }


@pytest.fixture(scope="module")
def expected(folder, recording):
    return music(MusicGen.from_pretrained(folder, device="cpu"), recording)


@pytest.mark.parametrize("name", STATES)
def test_a_seed_s_music_is_the_same_in_every_state_of_torch(folder, recording, expected, name):
    with STATES[name]():
        before = settings()
        made = music(MusicGen.from_pretrained(folder, device="cpu"), recording)
        assert settings() == before
    assert made.keys() == expected.keys()
    for what, value in made.items():
        assert (value.dtype, value.device) == (expected[what].dtype, expected[what].device), what
        assert torch.equal(value, expected[what]), what


def settings():
    return (
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
    )


def test_a_state_that_changes_within_a_stream_changes_nothing_and_is_the_user_s_between_chunks(folder, expected):
    model = MusicGen.from_pretrained(folder, device="cpu")
    stream, parts = model.stream_codes(PROMPTS, 0.4, top_k=8, seed=3), []
    for make in [*STATES.values()]:
        with make():
            before = settings()
            parts.append(next(stream))
            assert settings() == before
    assert torch.equal(torch.cat([*parts, *stream], -1), expected["codes"])


def test_a_model_that_is_set_to_train_makes_the_same_music(folder, recording, expected):
    """Its text encoder is frozen: dropout would make another prompt of the same words each time."""
    model = MusicGen.from_pretrained(folder, device="cpu")
    model.text.model.config.dropout_rate = 0.5
    for module in model.text.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.5
    model.train()
    for what, value in music(model, recording).items():
        assert torch.equal(value, expected[what]), what


def test_music_takes_no_random_numbers_of_the_user_s_and_gives_no_warning(folder, recording):
    before = torch.get_rng_state()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        music(MusicGen.from_pretrained(folder, device="cpu"), recording)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("state", [nullcontext, torch.inference_mode, torch.no_grad])
@pytest.mark.parametrize(
    "name", ["generate", "going on", "long", "codes", "stream", "stream_codes", "encode", "decode"]
)
def test_what_is_made_can_be_changed_in_place_and_used_with_gradients(folder, recording, state, name):
    model = MusicGen.from_pretrained(folder, device="cpu")
    options = {"seconds": 0.4, "top_k": 8, "seed": 3, "prompt_audio": recording, "prompt_sample_rate": 32000}
    with state():
        made = [music(model, recording)[name]]
        if name.startswith("stream"):
            made = list(getattr(model, name)(PROMPTS, **options))
    for sound in made:
        sound.mul_(2)
        weight = torch.ones(1, requires_grad=True)
        (sound * weight).sum().backward()
        assert weight.grad is not None


def test_a_model_that_was_loaded_in_inference_mode_can_be_trained(folder):
    with torch.inference_mode():
        model = MusicGen.from_pretrained(folder, device="cpu")
    model.lm.requires_grad_(True)
    model.lm(torch.zeros(1, 4, 3, dtype=torch.int64)).sum().backward()
    assert model.lm.heads.weight.grad is not None


def test_the_state_is_put_back_after_an_error_and_after_a_stream_that_is_left():
    closed = []

    def items():
        try:
            yield torch.zeros(1)
            raise ZeroDivisionError
        finally:
            closed.append(True)

    with default_dtype(torch.float64):
        before = settings()
        with pytest.raises(ZeroDivisionError), own_state():
            raise ZeroDivisionError
        assert settings() == before
        with pytest.raises(ZeroDivisionError):
            list(each_in_own_state(items()))
        left = each_in_own_state(items())
        next(left)
        left.close()
        assert settings() == before
    assert closed == [True, True]
