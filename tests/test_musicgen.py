"""The whole system against `transformers` on a published folder, and its answers to bad requests."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, MusicgenForConditionalGeneration

from helpers.judges import save_musicgen, their_musicgen
from musicgen_edu import MusicGen
from musicgen_edu.fast.quick import QuickLM
from musicgen_edu.model.generation import delay_table, generate_codes
from musicgen_edu.model.sampling import Sampling

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


def copy_of(folder, tmp_path, change):
    """The folder with its tensors changed."""
    import shutil

    copy = shutil.copytree(folder, tmp_path / "copy")
    tensors = load_file(copy / "model.safetensors")
    change(tensors)
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


def fold(tensors, old=False):
    """Rename the weight norm of every convolution to its other pair of names."""
    names = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    if old:
        names = {new: before for before, new in names.items()}
    for name in list(tensors):
        for before, after in names.items():
            if name.endswith("." + before):
                tensors[name.removesuffix(before) + after] = tensors.pop(name)


def test_old_and_new_names_of_weight_norm_load_alike(folder, ours, tmp_path):
    found = set()
    for old in (False, True):
        copy = copy_of(folder, tmp_path / str(old), lambda tensors, old=old: fold(tensors, old))
        found |= {
            name.rsplit(".", 1)[-1] for name in load_file(copy / "model.safetensors") if "encoder.layers.0.conv" in name
        }
        other = MusicGen.from_pretrained(copy, device="cpu")
        for (name, a), b in zip(ours.codec.state_dict().items(), other.codec.state_dict().values(), strict=True):
            torch.testing.assert_close(a, b, msg=name)
    assert {"weight_g", "weight_v", "original0", "original1"} <= found  # both were really tried


def test_known_buffers_are_checked_and_dropped(folder, ours, tmp_path):
    from musicgen_edu.model.embedding import sinusoidal_positions

    name = "decoder.model.decoder.embed_positions.weights"
    good = copy_of(folder, tmp_path / "good", lambda t: t.update({name: sinusoidal_positions(64, 32)}))
    model = MusicGen.from_pretrained(good, device="cpu")
    assert torch.equal(
        model.generate_codes(["a"], 0.3, top_k=8, seed=1), ours.generate_codes(["a"], 0.3, top_k=8, seed=1)
    )
    bad = copy_of(folder, tmp_path / "bad", lambda t: t.update({name: torch.rand(64, 32)}))
    with pytest.raises(ValueError, match=r"embed_positions\.weights is not the sinusoidal table"):
        MusicGen.from_pretrained(bad)


LM_KEY = "decoder.model.decoder.layers.1.self_attn.k_proj.weight"
CODEC_KEY = "audio_encoder.quantizer.layers.2.codebook.embed"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop(LM_KEY), f"lacks the key {LM_KEY}"),
        (lambda t: t.pop(CODEC_KEY), f"lacks the key {CODEC_KEY}"),
        (lambda t: t.pop("text_encoder.encoder.final_layer_norm.weight"), "lacks the key text_encoder.encoder.final"),
        (lambda t: t.update({LM_KEY: torch.zeros(3, 3)}), r"k_proj.weight has shape \[3, 3\], expected \[32, 32\]"),
        (lambda t: t.update({CODEC_KEY: torch.zeros(3, 3)}), r"embed has shape \[3, 3\], expected \[16, 12\]"),
        (lambda t: t.update({"decoder.extra": torch.zeros(1)}), "unexpected key decoder.extra"),
        (lambda t: t.update({CODEC_KEY + "_avg": torch.zeros(2)}), r"embed_avg has shape \[2\], expected \[16, 12\]"),
    ],
)
def test_a_mismatched_file_names_the_key(folder, tmp_path, change, message):
    with pytest.raises(ValueError, match=message):
        MusicGen.from_pretrained(copy_of(folder, tmp_path, change))


def test_a_truncated_file_is_named(folder, tmp_path):
    copy = copy_of(folder, tmp_path, lambda tensors: None)
    data = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="damaged or incomplete"):
        MusicGen.from_pretrained(copy)


def test_a_folder_that_is_no_checkpoint_is_named(folder, tmp_path):
    with pytest.raises(ValueError, match=r"has no config\.json"):
        MusicGen.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(ValueError, match="not readable as JSON"):
        MusicGen.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ValueError, match="found bert"):
        MusicGen.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text((folder / "config.json").read_text())
    with pytest.raises(ValueError, match=r"no model\.safetensors"):
        MusicGen.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="neither 'tiny' nor a folder nor a hub name"):
        MusicGen.from_pretrained(tmp_path / "missing" / "folder")


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
