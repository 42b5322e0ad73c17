"""Exercise 1, `map_key`: where a tensor of audiocraft's file has its place in the published model."""

from __future__ import annotations

import re
from functools import cache

import torch

from ...checkpoints.audiocraft import published_lm
from ...checkpoints.published import published_names
from ...model.lm import LMConfig, MusicgenLM
from .. import Exercise, expect, expect_equal, mistakes
from .audiocraft_form import NORMS, TEXT, audiocraft_keys

BASE = "decoder.model.decoder."
LAYER, THERE = "transformer.layers.3.", f"{BASE}layers.3."
UNKNOWN = (
    "", "weight", "emb.weight", "emb.0", "emb.0.bias", "linears.3.bias", "emb.0.weight.old", "emb.0.0.weight",
    "out_norm", "rvq.layers.0.weight", "ema.emb.0.weight", "ema.transformer.layers.0.norm1.weight", "out_norm.weight_g",
    f"{BASE}layer_norm.weight", "condition_provider.conditioners.self_wav.output_proj.weight", f"{TEXT}.0.weight",
    *(f"transformer.layers.0.{one}" for one in (
        "norm3.weight", "norm.weight", "norm1", "self_attn.norm1.weight", "self_attn.in_proj_bias", "out_norm.weight",
        "self_attn.out_proj.bias", "self_attn.in_proj.weight", "cross_attention.in_proj_bias", "linear1.bias",
        "cross_attention.q_proj.weight", "cross_attention.out_proj_weight", "encoder_attn.out_proj.weight",
        "linear2.bias", "linear3.weight", "linear12.weight", "fc1.weight", "1.linear1.weight",
    )),
)  # fmt: skip
NO_NUMBERS = ("last", "", "-1", "+1", " 1", "1 ", "1.5", "1_0", "k", "0x1")  # int() takes some of them


def _names(key):
    outside = {"emb": "decoder.model.decoder.embed_tokens", "linears": "decoder.lm_heads"}
    single = {"out_norm": "decoder.model.decoder.layer_norm"}
    single["condition_provider.conditioners.description.output_proj"] = "enc_to_dec_proj"
    norms = {"norm1": "self_attn_layer_norm", "norm_cross": "encoder_attn_layer_norm", "norm2": "final_layer_norm"}
    blocks = {"self_attn": "self_attn", "cross_attention": "encoder_attn"}
    if match := re.fullmatch(r"(emb|linears)\.(\d+)\.weight", key):
        return [f"{outside[match[1]]}.{match[2]}.weight"]
    stem, _, kind = key.rpartition(".")
    if stem in single and kind in ("weight", "bias"):
        return [f"{single[stem]}.{kind}"]
    if match := re.fullmatch(r"transformer\.layers\.(\d+)\.(.+)", key):
        layer, rest = f"decoder.model.decoder.layers.{match[1]}", match[2]
        if match := re.fullmatch(r"(norm1|norm_cross|norm2)\.(weight|bias)", rest):
            return [f"{layer}.{norms[match[1]]}.{match[2]}"]
        if match := re.fullmatch(r"linear([12])\.weight", rest):
            return [f"{layer}.fc{match[1]}.weight"]
        if match := re.fullmatch(r"(self_attn|cross_attention)\.out_proj\.weight", rest):
            return [f"{layer}.{blocks[match[1]]}.out_proj.weight"]
        if match := re.fullmatch(r"(self_attn|cross_attention)\.in_proj_weight", rest):
            return [f"{layer}.{blocks[match[1]]}.{letter}_proj.weight" for letter in "qkv"]
    return []


def _map_key(key):
    names = _names(key)
    if not names:
        raise ValueError(f"no place for {key}")
    return names


@cache
def _published(layers: int, K: int) -> list[str]:
    with torch.device("meta"):
        model = MusicgenLM(LMConfig(dim=8, num_heads=1, layers=layers, feed_forward=8, num_codebooks=K, text_dim=4))
    return [one for name in model.state_dict() for one in published_names(name, K)]


def _refuses(answer, key):
    try:
        found = answer(key)
    except ValueError:
        return
    expect(False, f"{key!r} is no key of this model: expected a ValueError, not {found!r}")


def tables_and_heads_keep_their_codebook(answer):
    """The embedding tables stand in the decoder, the heads beside it; each keeps its number. The result is a list."""
    for k in (0, 3, 7, 12):
        expect_equal(answer(f"emb.{k}.weight"), [f"{BASE}embed_tokens.{k}.weight"], f"emb.{k}.weight")
        expect_equal(answer(f"linears.{k}.weight"), [f"decoder.lm_heads.{k}.weight"], f"linears.{k}.weight")


def what_stands_outside_of_the_layers(answer):
    """The last norm belongs to the decoder, the projection of the text to the whole model."""
    for kind in ("weight", "bias"):
        expect_equal(answer(f"out_norm.{kind}"), [f"{BASE}layer_norm.{kind}"], f"out_norm.{kind}")
        expect_equal(answer(f"{TEXT}.{kind}"), [f"enc_to_dec_proj.{kind}"], f"{TEXT}.{kind}")


def matrices_of_a_layer(answer):
    """The output projections of both attentions, and the two matrices of the feed-forward part."""
    for key, wanted in (
        ("self_attn.out_proj", "self_attn.out_proj"), ("cross_attention.out_proj", "encoder_attn.out_proj"),
        ("linear1", "fc1"), ("linear2", "fc2"),
    ):  # fmt: skip
        expect_equal(answer(f"{LAYER}{key}.weight"), [f"{THERE}{wanted}.weight"], f"{LAYER}{key}.weight")


def a_joined_matrix_has_three_places(answer):
    """The joined matrix of an attention is for queries, keys and values, in this order."""
    for key, wanted in (("self_attn", "self_attn"), ("cross_attention", "encoder_attn")):
        names = [f"{THERE}{wanted}.{letter}_proj.weight" for letter in "qkv"]
        expect_equal(answer(f"{LAYER}{key}.in_proj_weight"), names, f"{LAYER}{key}.in_proj_weight")


def norms_go_by_what_follows_them(answer):
    """A norm is named after the part that it stands before: self-attention, text, feed-forward. Each has a bias."""
    for key, wanted in NORMS.items():
        for kind in ("weight", "bias"):
            expect_equal(answer(f"{LAYER}{key}.{kind}"), [f"{THERE}{wanted}.{kind}"], f"{LAYER}{key}.{kind}")


def layers_are_counted_beyond_nine(answer):
    """The published models have 24 and 48 layers: numbers may have two digits."""
    for i in (0, 9, 10, 23, 47):
        wanted = [f"{BASE}layers.{i}.fc1.weight"]
        expect_equal(answer(f"transformer.layers.{i}.linear1.weight"), wanted, f"transformer.layers.{i}.linear1.weight")


def a_key_that_nobody_knows_is_refused(answer):
    """A key that is not of this model raises a ValueError: what is skipped in silence is missing without a word."""
    for key in UNKNOWN:
        _refuses(answer, key)
    for number in NO_NUMBERS:
        for key in ("emb.{}.weight", "linears.{}.weight", "transformer.layers.{}.norm1.weight"):
            _refuses(answer, key.format(number))


def almost_a_key_is_refused(answer):
    """A key that is off by one letter is refused: another sign for a point, a letter missing, something behind it."""
    for key in audiocraft_keys(1, 1):
        for more in ("\n", " ", ".", "s", ".weight"):
            _refuses(answer, key + more)
        for more in (".", " ", "x", "decoder."):
            _refuses(answer, more + key)
        for i, letter in enumerate(key):
            _refuses(answer, key[:i] + key[i + 1 :])
            if letter == ".":
                _refuses(answer, f"{key[:i]}_{key[i + 1 :]}")


def the_whole_model_is_filled(answer):
    """Each key goes where the library puts it, and each tensor of the published model is named exactly once."""
    for layers, K in ((1, 2), (12, 4)):
        names = {key: answer(key) for key in audiocraft_keys(layers, K)}
        for key, found in names.items():
            expect_equal(found, list(published_lm({key: torch.zeros(3)})), key)
        wanted, found = sorted(_published(layers, K)), sorted(one for several in names.values() for one in several)
        missing, more = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
        expect(found == wanted, f"{layers} layers, K = {K}: missing {missing[:2]}, not in the model {more[:2]}")


def _replaced(key):
    pieces = {TEXT: "enc_to_dec_proj", "transformer.layers": f"{BASE}layers", "out_norm.": f"{BASE}layer_norm."}
    pieces |= {"emb.": f"{BASE}embed_tokens.", "linears.": "decoder.lm_heads.", "cross_attention": "encoder_attn"}
    pieces |= {f".{norm}.": f".{name}." for norm, name in NORMS.items()} | {".linear": ".fc"}
    for old, new in pieces.items():
        key = key.replace(old, new)
    return [key.replace("in_proj_", f"{letter}_proj.") for letter in "qkv"] if "in_proj_" in key else [key]


@cache
def _table() -> dict[str, list[str]]:
    return {key: _replaced(key) for key in audiocraft_keys(64, 16)}


def _by_table(key):
    if key not in _table():
        raise ValueError(f"unknown: {key}")
    return list(_table()[key])


def _by_parts(key):
    match key.split("."):
        case ["emb", k, "weight"] if k.isdigit():
            return [f"{BASE}embed_tokens.{k}.weight"]
        case ["linears", k, "weight"] if k.isdigit():
            return [f"decoder.lm_heads.{k}.weight"]
        case ["out_norm", ("weight" | "bias") as kind]:
            return [f"{BASE}layer_norm.{kind}"]
        case ["condition_provider", "conditioners", "description", "output_proj", ("weight" | "bias") as kind]:
            return [f"enc_to_dec_proj.{kind}"]
        case ["transformer", "layers", i, ("self_attn" | "cross_attention") as block, *last] if i.isdigit():
            block = f"{BASE}layers.{i}.{block.replace('cross_attention', 'encoder_attn')}"
            if last == ["in_proj_weight"]:
                return [f"{block}.q_proj.weight", f"{block}.k_proj.weight", f"{block}.v_proj.weight"]
            if last == ["out_proj", "weight"]:
                return [f"{block}.out_proj.weight"]
        case ["transformer", "layers", i, ("linear1" | "linear2") as linear, "weight"] if i.isdigit():
            return [f"{BASE}layers.{i}.fc{linear[-1]}.weight"]
        case ["transformer", "layers", i, norm, ("weight" | "bias") as kind] if i.isdigit() and norm in NORMS:
            return [f"{BASE}layers.{i}.{NORMS[norm]}.{kind}"]
    raise ValueError(f"{key} is not of this model")


map_key = Exercise(
    "map_key",
    reference=_map_key,
    properties=(
        tables_and_heads_keep_their_codebook, what_stands_outside_of_the_layers, matrices_of_a_layer,
        a_joined_matrix_has_three_places, norms_go_by_what_follows_them, layers_are_counted_beyond_nine,
        a_key_that_nobody_knows_is_refused, almost_a_key_is_refused, the_whole_model_is_filled,
    ),
    wrong=mistakes([_names, _map_key], {
        tables_and_heads_keep_their_codebook: [
            ("return names", 'return ", ".join(names)',
             "You return a text. A list is wanted, since one tensor may go to three places."),
            ("return names", 'return [one.removeprefix("decoder.") for one in names]',
             "Your keys are those of the decoder alone. In the whole model, which has a text encoder and a codec too, "
             "`decoder.` stands before them."),
            ("embed_tokens", "emb", "The tables are still called `emb`: their published name is `embed_tokens`."),
            ('"decoder.lm_heads"', '"decoder.model.decoder.lm_heads"',
             "You put the heads inside of the decoder. They stand beside it: `decoder.lm_heads`."),
            (r"(emb|linears)\.(\d+)", r"(emb|linears)\.(\d)", "You take one digit for the number of a codebook: there "
             "may be more than ten."),
        ],
        what_stands_outside_of_the_layers: [
            ('"enc_to_dec_proj"', '"decoder.enc_to_dec_proj"',
             "The projection of the text is no part of the decoder: no `decoder.` before `enc_to_dec_proj`."),
            ("decoder.layer_norm", "decoder.final_layer_norm",
             "`final_layer_norm` is the last norm of each layer. The one after all layers is `layer_norm`."),
        ],
        matrices_of_a_layer: [
            ('"cross_attention": "encoder_attn"', '"cross_attention": "cross_attention"',
             "You left `cross_attention` as it is: it is published as `encoder_attn`."),
            ("fc{match[1]}", "fc{int(match[1]) - 1}",
             "You count the matrices of the feed-forward part from 0: they are `fc1` and `fc2`."),
        ],
        a_joined_matrix_has_three_places: [
            ("return names", 'return [names[0].replace("q_proj", "in_proj")] if len(names) == 3 else names',
             "You give the joined matrix one place. The published model has one for each third: q, k and v."),
            ('"qkv"', '"kvq"',
             "Your order is keys, values, queries. All have the same shape, so nothing complains: the music does."),
            ('"qkv"', '("qkv" if match[1] == "self_attn" else "kv")',
             "Cross-attention has queries, too: they come from the music, and their matrix is the first third."),
        ],
        norms_go_by_what_follows_them: [
            ('"norm_cross": ', '"norm2": ', '"norm2": "final', '"norm_cross": "final',
             "`norm2` stands before the feed-forward part, `norm_cross` before the text: you have them the other way "
             "round. Both have the same shape, so nothing complains."),
            (r"norm2)\.(weight|bias)", r"norm2)\.(weight)",
             "Norms have a bias, though the matrices beside them have none."),
        ],
        layers_are_counted_beyond_nine: [
            (r"layers\.(\d+)", r"layers\.(\d)\d*",
             "You take one digit for the number of a layer: layer 10 is put in the place of layer 1."),
        ],
        a_key_that_nobody_knows_is_refused: [
            ('raise ValueError(f"no place for {key}")', "return [key]",
             "You hand an unknown key on as it is. Then it is somebody else who wonders: raise a ValueError."),
            ('raise ValueError(f"no place for {key}")', "return []",
             "You drop what you do not know. If that is a bias which the model has and you forgot, nobody will "
             "notice."),
            ('raise ValueError(f"no place for {key}")', "return None",
             "Where no line of yours fits, the function ends and returns None: let it end in `raise ValueError(key)`."),
            ("raise ValueError(", "raise KeyError(", "A dictionary that does not have a key raises a KeyError. That "
             "is no ValueError: ask with `in`, and raise."),
            ("names = _names(key)", "names = _names(key)\n    if not names and key.endswith('bias'):\n        "
             "names = [f'{one[:-6]}bias' for one in _names(f'{key[:-4]}weight')]",
             "You let everything have a bias. Only the norms and `output_proj` have one: a bias elsewhere is unknown."),
            (_replaced, "You replace piece after piece. What is not replaced goes through as it is: ask at the end "
             "whether the key was one of the table."),
            ("names = _names(key)", "ends = [key[i:].rstrip() for i in range(len(key))]\n    "
             "names = next(filter(None, map(_names, ends)), [])",
             "You look at the end of a key only: re.search does not ask what stands before. re.fullmatch does."),
            (r"linears)\.(\d+)", r"linears)\.([^.]+)", r"layers\.(\d+)", r"layers\.([^.]+)",
             "Where the table has k or i you take any word. There stands a number: isdigit, or \\d+ in a pattern."),
            (r"linears)\.(\d+)", r"linears)\.(\d*)", r"layers\.(\d+)", r"layers\.(\d*)",
             "Your pattern takes no digit at all for a number, too: \\d* is none or more. Write \\d+."),
            ('re.fullmatch(r"transformer', 're.search(r"transformer',
             "You look for a layer's key anywhere: re.search does not ask what stands before. re.fullmatch does."),
            ('re.fullmatch(r"(emb', 're.match(r"(emb',
             "You look at the beginning of a key only: re.match does not ask how the key goes on. re.fullmatch does."),
            ("linear([12])", r"linear(\d+)", "You take any number behind `linear`. A layer has two such matrices, 1 "
             "and 2."),
        ],
        almost_a_key_is_refused: [
            (r're.fullmatch(r"(emb|linears)\.(\d+)\.weight', r're.match(r"(emb|linears)\.(\d+)\.weight$',
             "`$` also fits before a line break at the end, so a key with one passes. re.fullmatch leaves nothing "
             "over."),
            (r"(emb|linears)\.(\d+)\.weight", r"(emb|linears).(\d+).weight",
             "A point in a pattern stands for any sign: `emb_0_weight` passes. Write \\. for a point."),
            ("names = _names(key)", "names = _names(key.strip())", "You strip blanks and line breaks off the key. A "
             "key that has them is another key."),
        ],
    }),
    right=(_by_parts, _by_table),
    examples=lambda generator: [(key,) for key in (
        "emb.0.weight", "linears.1.weight", "out_norm.weight", f"{TEXT}.bias",
        "transformer.layers.0.self_attn.in_proj_weight", "transformer.layers.0.cross_attention.in_proj_weight",
        "transformer.layers.0.cross_attention.out_proj.weight", "transformer.layers.10.linear1.weight",
        "transformer.layers.0.norm2.weight", "emb.12.weight",
        "transformer.layers.0.norm_cross.bias", "transformer.layers.0.norm3.weight", "emb..weight", "emb_0_weight",
        "transformer.layers.0.linear1.bias", "emb.0.weight.old", "ema.emb.0.weight", "linears.last.weight",
        "ema.transformer.layers.0.norm1.weight", "transformer.layers.0.linear3.weight",
        "emb.0.weight\n", "emb.0.weight ",
    )],
)  # fmt: skip
