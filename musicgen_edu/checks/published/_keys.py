"""Answers to exercise 1, right and wrong; and all keys of a model."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache

from ...checkpoints.audiocraft import LM_NAMES

BASE, TEXT = "decoder.model.decoder.", "condition_provider.conditioners.description.output_proj."
NORMS = {"norm1": "self_attn_layer_norm", "norm_cross": "encoder_attn_layer_norm", "norm2": "final_layer_norm"}


def audiocraft_keys(layers: int, K: int) -> list[str]:
    """Every key of a language model in audiocraft's file."""
    within = [f"{attention}.{part}" for attention in ("self_attn", "cross_attention") for part in
              ("in_proj_weight", "out_proj.weight")]  # fmt: skip
    within += ["linear1.weight", "linear2.weight"]
    within += [f"{norm}.{kind}" for norm in NORMS for kind in ("weight", "bias")]
    keys = [f"{stem}.{k}.weight" for stem in ("emb", "linears") for k in range(K)]
    keys += [f"transformer.layers.{i}.{one}" for i in range(layers) for one in within]
    return keys + [f"{stem}{kind}" for stem in ("out_norm.", TEXT) for kind in ("weight", "bias")]


def mapped(key: str) -> list[str]:
    for pattern, target in LM_NAMES:
        match = re.fullmatch(pattern, key)
        if match:
            name = match.expand(target)
            name = f"{BASE}{name}" if name.startswith("layers.") else name
            return [name.format(letter) for letter in "qkv"] if "{}" in name else [name]
    raise ValueError(f"no place for {key}")


def altered(called: str, *changes: tuple[str, str]) -> Callable[[str], list[str]]:
    """The right answer with some texts replaced in its names."""

    def answer(key):
        names = mapped(key)
        for old, new in changes:
            names = [name.replace(old, new) for name in names]
        return names

    answer.__name__ = called
    return answer


def as_text(key):
    return ", ".join(mapped(key))


def bare_decoder(key):
    """Names as in the decoder's own class, without what the whole model puts before them."""
    return [name.removeprefix("decoder.") for name in mapped(key)]


heads_inside = altered("heads_inside", ("decoder.lm_heads", "decoder.model.decoder.lm_heads"))
old_tables = altered("old_tables", ("embed_tokens", "emb"))
projection_inside = altered("projection_inside", ("enc_to_dec_proj", "decoder.enc_to_dec_proj"))
norm_at_the_end = altered("norm_at_the_end", ("decoder.layer_norm", "decoder.final_layer_norm"))
half_translated = altered("half_translated", ("encoder_attn.", "cross_attention."))
from_zero = altered("from_zero", (".fc1", ".fc0"), (".fc2", ".fc1"))


def joined(key):
    """One name for the joined matrix."""
    return [mapped(key)[0].replace("q_proj", "in_proj")] if "in_proj" in key else mapped(key)


def keys_first(key):
    names = mapped(key)
    return [names[1], names[2], names[0]] if len(names) == 3 else names


def no_query_for_text(key):
    """Cross-attention reads the text, so it is given keys and values only."""
    return mapped(key)[1:] if "cross_attention.in_proj" in key else mapped(key)


def norms_in_order(key):
    """By number: the norm called 2 goes to the second place in the layer."""
    swap = {"norm2": "norm_cross", "norm_cross": "norm2"}
    parts = [swap.get(part, part) for part in key.split(".")]
    return mapped(".".join(parts))


def weights_only(key):
    if re.search(r"norm\w*\.bias$", key) and "layers" in key:
        raise ValueError(key)
    return mapped(key)


def one_digit(key):
    """The number of a layer is taken from one place of the key."""
    parts = re.match(r"(transformer\.layers\.\d)\d*(\..*)", key)
    return mapped(parts[1] + parts[2]) if parts else mapped(key)


def passes_on(key):
    try:
        return mapped(key)
    except ValueError:
        return [key]


def drops(key):
    try:
        return mapped(key)
    except ValueError:
        return []


def falls_through(key):
    try:
        return mapped(key)
    except ValueError:
        return None


def looked_up(key):
    """The table is asked, and raises what dictionaries raise."""
    return list(_table()[key])


def biases_for_all(key):
    """Each ending `weight` may be a `bias` as well."""
    try:
        return mapped(key)
    except ValueError:
        if not key.endswith(".bias"):
            raise
    return [f"{name.removesuffix('weight')}bias" for name in mapped(f"{key.removesuffix('bias')}weight")]


def any_word(key):
    """Whatever stands between two dots is taken for a number."""
    parts = re.fullmatch(r"(emb|linears|transformer\.layers)\.([^.]+)\.(.+)", key)
    if not parts:
        return mapped(key)
    return [name.replace(".999.", f".{parts[2]}.") for name in mapped(f"{parts[1]}.999.{parts[3]}")]


def layers_anywhere(key):
    """What stands before the layers is not looked at."""
    match = re.search(r"transformer\.layers\..*", key)
    return mapped(match[0] if match else key)


def open_ended(key):
    """A pattern is sought at the beginning of a key, whatever follows."""
    for pattern, _ in LM_NAMES:
        match = re.match(pattern, key)
        if match:
            return mapped(match[0])
    raise ValueError(key)


def anywhere(key):
    """A pattern is sought at the end of a key, whatever stands before."""
    for pattern, _ in LM_NAMES:
        match = re.search(f"{pattern}$", key)
        if match:
            return mapped(match[0])
    raise ValueError(key)


def replaced(key):
    """Piece after piece is replaced where it is found, and nobody asks whether anything was."""
    pieces = {TEXT: "enc_to_dec_proj.", "transformer.layers": f"{BASE}layers", "out_norm.": f"{BASE}layer_norm."}
    pieces |= {"emb.": f"{BASE}embed_tokens.", "linears.": "decoder.lm_heads.", "cross_attention": "encoder_attn"}
    pieces |= {f".{norm}.": f".{name}." for norm, name in NORMS.items()} | {".linear": ".fc"}
    for old, new in pieces.items():
        key = key.replace(old, new)
    return [key.replace("in_proj_", f"{letter}_proj.") for letter in "qkv"] if "in_proj_" in key else [key]


def allowed_then_replaced(key):
    """First whether the whole key is of this model, then piece after piece."""
    within = r"(self_attn|cross_attention)\.(in_proj_weight|out_proj\.weight)|linear[12]\.weight"
    within += r"|norm(1|2|_cross)\.(weight|bias)"
    ends = rf"(emb|linears)\.\d+\.weight|(out_norm\.|{re.escape(TEXT)})(weight|bias)"
    if not re.fullmatch(rf"{ends}|transformer\.layers\.\d+\.({within})", key):
        raise ValueError(f"not a key of this model: {key}")
    return replaced(key)


@cache
def _table() -> dict[str, list[str]]:
    """Every key that there can be, up to 64 layers, written down before it is asked for."""
    table = {f"{TEXT}{kind}": [f"enc_to_dec_proj.{kind}"] for kind in ("weight", "bias")}
    table |= {f"out_norm.{kind}": [f"{BASE}layer_norm.{kind}"] for kind in ("weight", "bias")}
    for k in range(16):
        table[f"emb.{k}.weight"] = [f"{BASE}embed_tokens.{k}.weight"]
        table[f"linears.{k}.weight"] = [f"decoder.lm_heads.{k}.weight"]
    for i in range(64):
        old, new = f"transformer.layers.{i}.", f"{BASE}layers.{i}."
        for mine, theirs in (("self_attn", "self_attn"), ("cross_attention", "encoder_attn")):
            table[f"{old}{mine}.in_proj_weight"] = [f"{new}{theirs}.{one}_proj.weight" for one in ("q", "k", "v")]
            table[f"{old}{mine}.out_proj.weight"] = [f"{new}{theirs}.out_proj.weight"]
        table |= {f"{old}linear{n}.weight": [f"{new}fc{n}.weight"] for n in (1, 2)}
        for mine, theirs in NORMS.items():
            table |= {f"{old}{mine}.{kind}": [f"{new}{theirs}.{kind}"] for kind in ("weight", "bias")}
    return table


def by_table(key):
    if key not in _table():
        raise ValueError(f"unknown: {key}")
    return list(_table()[key])


def by_parts(key):
    """The key taken apart at its dots."""
    match key.split("."):
        case ["emb", k, "weight"] if k.isdigit():
            return [f"decoder.model.decoder.embed_tokens.{k}.weight"]
        case ["linears", k, "weight"] if k.isdigit():
            return [f"decoder.lm_heads.{k}.weight"]
        case ["out_norm", ("weight" | "bias") as kind]:
            return [f"decoder.model.decoder.layer_norm.{kind}"]
        case ["condition_provider", "conditioners", "description", "output_proj", ("weight" | "bias") as kind]:
            return [f"enc_to_dec_proj.{kind}"]
        case ["transformer", "layers", i, *rest] if i.isdigit():
            return [f"decoder.model.decoder.layers.{i}.{one}" for one in _in_layer(rest)]
    raise ValueError(f"{key} is not of this model")


def _in_layer(rest: list[str]) -> list[str]:
    match rest:
        case [("self_attn" | "cross_attention") as block, *last]:
            block = block.replace("cross_attention", "encoder_attn")
            if last == ["in_proj_weight"]:
                return [f"{block}.q_proj.weight", f"{block}.k_proj.weight", f"{block}.v_proj.weight"]
            if last == ["out_proj", "weight"]:
                return [f"{block}.out_proj.weight"]
        case [("linear1" | "linear2") as linear, "weight"]:
            return [f"fc{linear[-1]}.weight"]
        case [("norm1" | "norm2" | "norm_cross") as norm, ("weight" | "bias") as kind]:
            return [f"{NORMS[norm]}.{kind}"]
    raise ValueError(f"a layer has no {'.'.join(rest)}")
