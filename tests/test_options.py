"""Arguments as people have them: taken as what they mean, or refused by one sentence that names them."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
import torch

from helpers.judges import save_musicgen, their_musicgen
from musicgen_edu import MusicGen, Sampling
from musicgen_edu.model.sampling import distribution
from musicgen_edu.model.text import check_prompt

PROMPTS, RATE = ["a calm bell", "piano"], 32000
TONE = 0.3 * torch.sin(torch.arange(9600) / 5)  # [N]


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    torch.manual_seed(0)
    return MusicGen.from_pretrained(save_musicgen(their_musicgen(), tmp_path_factory.mktemp("musicgen")), device="cpu")


def codes(ours, prompts=PROMPTS, **options):
    return ours.generate_codes(prompts, **{"seconds": 0.5, "top_k": 8, "seed": 3, **options})


@pytest.fixture(scope="module")
def plain(ours):
    return codes(ours)


@pytest.mark.parametrize(
    "options",
    [
        {"seed": np.int64(3)},
        {"seed": np.uint8(3)},
        {"seed": np.array(3)},
        {"seed": torch.tensor(3)},
        {"seed": [3, 3]},
        {"seed": (3, 3)},
        {"seed": np.array([3, 3])},
        {"seed": torch.tensor([3, 3], dtype=torch.int32)},
        {"seed": [np.int16(3), torch.tensor(3)]},
        {"seed": [3 - 2**64 + 2**64, 3]},
        {"seconds": np.float32(0.5)},
        {"seconds": np.float16(0.5)},
        {"seconds": torch.tensor(0.5)},
        {"seconds": Fraction(1, 2)},
        {"top_k": np.int64(8)},
        {"top_k": torch.tensor(8)},
        {"temperature": np.float64(1)},
        {"temperature": 1},
        {"temperature": torch.tensor(1.0)},
        {"guidance_scale": np.float32(3)},
        {"guidance_scale": np.int32(3)},
        {"guidance_scale": np.array(3.0)},
        {"top_p": np.float32(0)},
        {"sampling": Sampling(np.float64(3), np.float32(1), np.uint16(8)), "top_k": None},
        {"prompts": tuple(PROMPTS)},
        {"prompts": np.array(PROMPTS)},
        {"prompts": (prompt for prompt in PROMPTS)},
        {"prompts": dict.fromkeys(PROMPTS).keys()},
        {"prompts": [np.str_(prompt) for prompt in PROMPTS]},
        {"negative_prompts": ("", "")},
        {"negative_prompts": np.array(["", ""])},
    ],
    ids=lambda changes: re.sub(r" at 0x\w+", "", str(changes)),  # the same in every process, for xdist
)
def test_numbers_and_texts_of_numpy_and_torch_are_what_they_mean(ours, plain, options):
    options = {"top_k": 8, **options}
    if options["top_k"] is None:
        options.pop("top_k")
        assert torch.equal(ours.generate_codes(PROMPTS, 0.5, seed=3, **options), plain)
    else:
        assert torch.equal(codes(ours, **options), plain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        *(({"seed": seed}, "seed must be") for seed in (1.0, "5", True, b"ab", 2**64, -(2**63) - 1, 10**5000, 1 + 2j)),
        *(({"seed": [seed, 1]}, "seed must be") for seed in (None, 1.5, "1", [1], np.float32(1), torch.tensor([1, 2]))),
        ({"seed": np.array([True, False])}, "seed must be a whole number"),
        ({"seed": []}, "list of 2"),
        *(
            ({"seconds": x}, "seconds must be")
            for x in ("1", None, True, [1], 1 + 2j, 10**400, torch.ones(2), Decimal(1))
        ),
        *(
            ({"top_k": k}, "top_k must be")
            for k in (1.5, "8", None, True, [8], -1, 17, 249, 251, 10**30, np.float32(8))
        ),
        *(({"temperature": x}, "temperature must be") for x in ("1", None, True, [1.0], 10**400, np.ones(2))),
        *(({"top_p": x}, "top_p must be") for x in ("0.5", None, True, -0.1, 1.1, float("nan"))),
        *(({"guidance_scale": x}, "guidance_scale must be") for x in ("3", None, False, 10**400, float("-inf"), 1j)),
        *(({"guidance_space": x}, "guidance_space must be") for x in (None, 1, ["logits"], "Logits")),
        *(({"prompts": x}, "prompts") for x in (None, 5, [], (), np.array([]), "a bell")),
        *(({"prompts": x}, "each prompt must be a string") for x in ([b"a", "b"], [None, "a"], np.ones(2), {1: 2})),
        ({"negative_prompts": 5}, "negative_prompts must be a list of strings, not 5"),
        *(
            ({"prompts": [text, "a"]}, r"half a character, \\ud")
            for text in ("caf\udce9", "\ud83d", "\udfff bell", "a\ud800")
        ),
        ({"negative_prompts": ["", "drums \udcff"]}, r"a negative_prompt holds half a character, \\udcff"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, str) else "",
)
def test_what_makes_no_sense_is_one_sentence_that_names_it(ours, options, message):
    with pytest.raises(ValueError, match=message) as caught:
        codes(ours, **options)
    assert "\n" not in str(caught.value)
    str(caught.value).encode()


@pytest.mark.parametrize("x", ["1", None, True, 0, -1, float("nan"), float("inf"), 10**400, [1]])
def test_a_chunk_of_no_length_is_one_sentence(ours, x):
    with pytest.raises(ValueError, match="chunk_seconds must be"):
        ours.stream(PROMPTS, 0.5, x)


def test_any_text_in_whole_characters_is_a_prompt(ours):
    texts = ["\0", "a\0b", "\ufffe", "🎵🎵", "e\u0301", "\u202ea bell", "<unk>", "</s>", "\x1b[0m", " \n"]
    assert codes(ours, texts, seconds=0.1).shape[0] == len(texts)


EXPECTED = TONE.view(1, 1, -1)
SOUNDS = {
    "[N]": TONE,
    "[C, N]": TONE[None],
    "[B, C, N]": EXPECTED,
    "[2, C, N]": EXPECTED.expand(2, -1, -1),
    "numpy [N]": TONE.numpy(),
    "numpy [C, N]": TONE[None].numpy(),
    "numpy [B, C, N]": EXPECTED.numpy(),
    "float64": TONE.double(),
    "numpy float64": TONE.double().numpy(),
    "numpy longdouble": TONE.numpy().astype(np.longdouble),
    "other byte order": TONE.numpy().astype(">f4"),
    "backwards twice": TONE.numpy()[::-1].copy()[::-1],
    "every second": np.repeat(TONE.numpy(), 2)[::2],
    "read-only": np.frombuffer(TONE.numpy().tobytes(), np.float32),
    "transposed": np.asfortranarray(TONE[None].numpy().T).T,
    "gradient": TONE.clone().requires_grad_(),
    "result with gradient": TONE * torch.ones(1, requires_grad=True),
    "parameter": torch.nn.Parameter(TONE[None]),
    "stereo of one": TONE.expand(2, -1),
    "list of numbers": TONE.tolist(),
    "nested list": [TONE.tolist()],
    "list of [N]": [TONE, TONE],
    "list of [C, N]": [TONE[None], TONE[None].numpy()],
    "list of one": [TONE],
    "tuple": (TONE[None].numpy(), TONE),
    "masked array": np.ma.masked_array(TONE.numpy()),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_a_recording_is_the_same_in_every_form(ours, name):
    expected = codes(ours, prompt_audio=EXPECTED, prompt_sample_rate=RATE)
    assert torch.equal(codes(ours, prompt_audio=SOUNDS[name], prompt_sample_rate=np.int64(RATE)), expected)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, np.float16])
def test_a_recording_in_half_precision_is_what_its_numbers_say(ours, kind):
    half = TONE.numpy().astype(kind) if kind is np.float16 else TONE.to(kind)
    whole = torch.as_tensor(np.float32(half)) if kind is np.float16 else half.float()
    made = codes(ours, prompt_audio=half, prompt_sample_rate=RATE)
    assert torch.equal(made, codes(ours, prompt_audio=whole, prompt_sample_rate=RATE))


@pytest.mark.parametrize(
    ("sound", "message"),
    [
        ([TONE, TONE[:4000]], "must hold recordings of one shape"),
        ([TONE.tolist(), TONE[:4000].tolist()], "must hold sounds of one length"),
        ((TONE.numpy(), RATE), "must be a tensor, an array or a list of numbers"),  # as soundfile.read gives it
        ("song.wav", "must be a tensor, an array or a list of numbers .*not 'song.wav'"),
        (object(), "must be a tensor"),
        ({"audio": TONE}, "must be a tensor"),
        (TONE.numpy()[:, None].repeat(2, 1), "channels first"),
        (torch.zeros(1, 1, 1, 9600), r"shape \[N\], \[C, N\] or \[B, C, N\]"),
        (torch.tensor(0.5), "shape"),
        (np.zeros((0,), np.float32), "no samples"),
        (np.zeros((1, 0), np.float32), "no samples"),
        ([], "floating|no samples|must be"),
        ((TONE * 32767).short(), "floating point .* divide integers first"),
        ((TONE * 32767).short().numpy(), "floating point .* divide integers first"),
        (np.ones(9600, bool), "floating point"),
        (TONE.to(torch.complex64), "floating point"),
        (TONE * 32767, "reaches 98.*divide integers"),
        (TONE.double().numpy() * 2**31, "reaches .*divide integers"),
        (TONE * 127, "reaches 38.1.*divide integers"),
        ((TONE * 32767).half(), "reaches .*divide integers"),
        (torch.full((9600,), 1e38).double() * 10, "infinite"),
        (torch.cat([TONE, torch.tensor([torch.nan])]), "NaN"),
        (TONE.expand(3, 1, -1), "one for each of the 2 prompts, not 3"),
        (TONE[:5], "at least one frame"),
        (TONE.repeat(20), "lasts 6 s: it must be shorter than the clip of 0.5 s"),
    ],
)
def test_a_recording_that_makes_no_sense_is_one_sentence_before_it_is_encoded(ours, monkeypatch, sound, message):
    monkeypatch.setattr(type(ours.codec), "encode", lambda *a, **k: pytest.fail("it went through the codec"))
    with pytest.raises(ValueError, match=f"prompt_audio.*{message}") as caught:
        codes(ours, prompt_audio=sound, prompt_sample_rate=RATE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rate", [0, -1, True, 1.5, 32000.0, "32000", None, [32000], float("nan"), 1])
def test_a_rate_that_is_none_is_one_sentence(ours, rate):
    with pytest.raises(ValueError, match=r"prompt_sample_rate|prompt_audio lasts 9600 s"):
        codes(ours, prompt_audio=TONE, prompt_sample_rate=rate)


@pytest.mark.parametrize("convert", ["bfloat16", "half"])
def test_a_codec_in_half_precision_is_told_where_it_would_give_other_codes(ours, tmp_path, convert):
    model = MusicGen(ours.text, ours.lm, ours.codec)
    import copy

    model = getattr(copy.deepcopy(model), convert)()
    with pytest.raises(ValueError, match="keep it in float32"):
        model.generate(PROMPTS, 0.5, prompt_audio=TONE, prompt_sample_rate=RATE)
    double = copy.deepcopy(ours).double()
    assert double.generate(PROMPTS, 0.5, prompt_audio=TONE, prompt_sample_rate=RATE).dtype == torch.float32


def test_the_default_top_k_serves_a_codebook_that_has_fewer_codes(ours):
    """As what keeps all of them; another number that is too large is a mistake."""
    assert torch.equal(ours.generate_codes(PROMPTS, 0.5, seed=3), codes(ours, top_k=0))


@pytest.mark.parametrize(
    ("field", "value"),
    [("guidance_scale", 1e39), ("guidance_scale", -1e31), ("temperature", 1e-46), ("temperature", 5e-324),
     ("top_p", 1e-46), ("top_p", 1e-40)],
)  # fmt: skip
def test_a_setting_beyond_what_float32_can_multiply_is_refused(field, value):
    with pytest.raises(ValueError, match=rf"{field} must be .*not {re.escape(str(value))}"):
        Sampling(**{field: value}).check(2048)


@pytest.mark.parametrize("field", ["temperature", "top_p"])
def test_the_smallest_setting_takes_the_likeliest_token(field):
    Sampling(**{field: 1e-30}).check(2048)
    logits = 50 * torch.randn(3, 2048)
    found = distribution(logits, **{field: 1e-30})
    assert torch.equal(found.argmax(-1), logits.argmax(-1))
    assert torch.equal(found.amax(-1), torch.ones(3))


def test_a_prompt_is_no_book():
    check_prompt("a" * 4000)
    with pytest.raises(ValueError, match="a prompt must have at most 4000 characters, not 30000"):
        check_prompt("bell " * 6000)
