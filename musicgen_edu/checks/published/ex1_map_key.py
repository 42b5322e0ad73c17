"""Exercise 1, `map_key`: where a tensor of audiocraft's file has its place in the published model."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch

from ...checkpoints.published import published_names
from ...model.lm import LMConfig, MusicgenLM
from .. import Exercise, Wrong, expect
from . import _keys as answers
from ._keys import BASE, TEXT

LAYER, THERE = "transformer.layers.3.", f"{BASE}layers.3."
UNKNOWN = (
    "transformer.layers.0.norm3.weight",
    "transformer.layers.0.self_attn.in_proj_bias",
    "transformer.layers.0.linear1.bias",
    "emb.0.weight.old",
    "out_norm.weight_g",
    "rvq.layers.0.weight",
    "ema.emb.0.weight",
    "ema.transformer.layers.0.norm1.weight",
    "condition_provider.conditioners.self_wav.output_proj.weight",
    "linears.last.weight",
    "transformer.layers.first.norm1.weight",
)

EXAMPLES = (  # enough to tell all answers on record apart
    "emb.0.weight",
    "linears.1.weight",
    "out_norm.weight",
    f"{TEXT}bias",
    "transformer.layers.0.self_attn.in_proj_weight",
    "transformer.layers.0.cross_attention.in_proj_weight",
    "transformer.layers.0.cross_attention.out_proj.weight",
    "transformer.layers.10.linear1.weight",
    "transformer.layers.0.norm2.weight",
    "transformer.layers.0.norm_cross.bias",
    *(UNKNOWN[i] for i in (0, 2, 3, 6, 7, 9)),
)


@cache
def _published(layers: int, K: int) -> list[str]:
    """Every key of the language model in the published file, by way of the library's own model."""
    with torch.device("meta"):
        model = MusicgenLM(LMConfig(dim=8, num_heads=1, layers=layers, feed_forward=8, num_codebooks=K, text_dim=4))
    return [one for name in model.state_dict() for one in published_names(name, K)]


def _expect_keys(answer: Callable, key: str, wanted: list[str]) -> None:
    found = answer(key)
    expect(isinstance(found, list), f"{key}: expected a list of keys, not {found!r}")
    expect(found == wanted, f"{key} becomes {', '.join(wanted)}; yours: {', '.join(map(str, found)) or 'nothing'}")


def tables_and_heads_keep_their_codebook(answer):
    """The embedding tables stand in the decoder, the heads beside it; each keeps its number. The result is a list."""
    for k in (0, 3, 7):
        _expect_keys(answer, f"emb.{k}.weight", [f"{BASE}embed_tokens.{k}.weight"])
        _expect_keys(answer, f"linears.{k}.weight", [f"decoder.lm_heads.{k}.weight"])


def what_stands_outside_of_the_layers(answer):
    """The last norm belongs to the decoder, the projection of the text to the whole model."""
    for kind in ("weight", "bias"):
        _expect_keys(answer, f"out_norm.{kind}", [f"{BASE}layer_norm.{kind}"])
        _expect_keys(answer, f"{TEXT}{kind}", [f"enc_to_dec_proj.{kind}"])


def matrices_of_a_layer(answer):
    """The output projections of both attentions, and the two matrices of the feed-forward part."""
    for key, wanted in (
        ("self_attn.out_proj", "self_attn.out_proj"),
        ("cross_attention.out_proj", "encoder_attn.out_proj"),
        ("linear1", "fc1"),
        ("linear2", "fc2"),
    ):
        _expect_keys(answer, f"{LAYER}{key}.weight", [f"{THERE}{wanted}.weight"])


def a_joined_matrix_has_three_places(answer):
    """The joined matrix of an attention is for queries, keys and values, in this order."""
    for key, wanted in (("self_attn", "self_attn"), ("cross_attention", "encoder_attn")):
        names = [f"{THERE}{wanted}.{letter}_proj.weight" for letter in "qkv"]
        _expect_keys(answer, f"{LAYER}{key}.in_proj_weight", names)


def norms_go_by_what_follows_them(answer):
    """A norm is named after the part that it stands before: self-attention, text, feed-forward. Each has a bias."""
    for key, wanted in answers.NORMS.items():
        for kind in ("weight", "bias"):
            _expect_keys(answer, f"{LAYER}{key}.{kind}", [f"{THERE}{wanted}.{kind}"])


def layers_are_counted_beyond_nine(answer):
    """The published models have 24 and 48 layers: numbers may have two digits."""
    for i in (0, 9, 10, 23, 47):
        wanted = [f"{BASE}layers.{i}.fc1.weight"]
        _expect_keys(answer, f"transformer.layers.{i}.linear1.weight", wanted)


def a_key_that_nobody_knows_is_refused(answer):
    """A key that is not of this model raises a ValueError: what is skipped in silence is missing without a word."""
    for key in UNKNOWN:
        try:
            found = answer(key)
        except ValueError:
            continue
        expect(False, f"{key}: expected a ValueError, not {found!r}")


def the_whole_model_is_filled(answer):
    """Over all keys of a model, each tensor of the published one is named exactly once."""
    for layers, K in ((1, 2), (12, 4)):
        wanted = sorted(_published(layers, K))
        found = sorted(one for key in answers.audiocraft_keys(layers, K) for one in answer(key))
        missing, more = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
        expect(found == wanted, f"{layers} layers, K = {K}: missing {missing[:2]}, not in the model {more[:2]}")


map_key = Exercise(
    "map_key",
    reference=answers.mapped,
    properties=(
        tables_and_heads_keep_their_codebook,
        what_stands_outside_of_the_layers,
        matrices_of_a_layer,
        a_joined_matrix_has_three_places,
        norms_go_by_what_follows_them,
        layers_are_counted_beyond_nine,
        a_key_that_nobody_knows_is_refused,
        the_whole_model_is_filled,
    ),
    wrong=(
        Wrong(
            answers.as_text,
            "tables_and_heads_keep_their_codebook",
            "You return a text. A list is wanted, since one tensor may go to three places.",
        ),
        Wrong(
            answers.bare_decoder,
            "tables_and_heads_keep_their_codebook",
            "Your keys are those of the decoder alone. In the whole model, which has a text encoder and a codec too, "
            "`decoder.` stands before them.",
        ),
        Wrong(
            answers.old_tables,
            "tables_and_heads_keep_their_codebook",
            "The tables are still called `emb`: their published name is `embed_tokens`.",
        ),
        Wrong(
            answers.heads_inside,
            "tables_and_heads_keep_their_codebook",
            "You put the heads inside of the decoder. They stand beside it: `decoder.lm_heads`.",
        ),
        Wrong(
            answers.projection_inside,
            "what_stands_outside_of_the_layers",
            "The projection of the text is no part of the decoder: no `decoder.` before `enc_to_dec_proj`.",
        ),
        Wrong(
            answers.norm_at_the_end,
            "what_stands_outside_of_the_layers",
            "`final_layer_norm` is the last norm of each layer. The one after all layers is `layer_norm`.",
        ),
        Wrong(
            answers.half_translated,
            "matrices_of_a_layer",
            "You left `cross_attention` as it is: it is published as `encoder_attn`.",
        ),
        Wrong(
            answers.from_zero,
            "matrices_of_a_layer",
            "You count the matrices of the feed-forward part from 0: they are `fc1` and `fc2`.",
        ),
        Wrong(
            answers.joined,
            "a_joined_matrix_has_three_places",
            "You give the joined matrix one place. The published model has one for each third: q, k and v.",
        ),
        Wrong(
            answers.keys_first,
            "a_joined_matrix_has_three_places",
            "Your order is keys, values, queries. All have the same shape, so nothing complains: the music does.",
        ),
        Wrong(
            answers.no_query_for_text,
            "a_joined_matrix_has_three_places",
            "Cross-attention has queries, too: they come from the music, and their matrix is the first third.",
        ),
        Wrong(
            answers.norms_in_order,
            "norms_go_by_what_follows_them",
            "`norm2` stands before the feed-forward part, `norm_cross` before the text: you have them the other way "
            "round. Both have the same shape, so nothing complains.",
        ),
        Wrong(
            answers.weights_only,
            "norms_go_by_what_follows_them",
            "Norms have a bias, though the matrices beside them have none.",
        ),
        Wrong(
            answers.one_digit,
            "layers_are_counted_beyond_nine",
            "You take one digit for the number of a layer: layer 10 is put in the place of layer 1.",
        ),
        Wrong(
            answers.passes_on,
            "a_key_that_nobody_knows_is_refused",
            "You hand an unknown key on as it is. Then it is somebody else who wonders: raise a ValueError.",
        ),
        Wrong(
            answers.drops,
            "a_key_that_nobody_knows_is_refused",
            "You drop what you do not know. If that is a bias which the model has and you forgot, nobody will notice.",
        ),
        Wrong(
            answers.falls_through,
            "a_key_that_nobody_knows_is_refused",
            "Where no line of yours fits, the function ends and returns None: let it end in `raise ValueError(key)`.",
        ),
        Wrong(
            answers.looked_up,
            "a_key_that_nobody_knows_is_refused",
            "A dictionary that does not have a key raises a KeyError. That is no ValueError: ask with `in`, and raise.",
        ),
        Wrong(
            answers.biases_for_all,
            "a_key_that_nobody_knows_is_refused",
            "You let everything have a bias. Only the norms and `output_proj` have one: a bias elsewhere is unknown.",
        ),
        Wrong(
            answers.replaced,
            "a_key_that_nobody_knows_is_refused",
            "You replace piece after piece. What is not replaced goes through as it is: ask at the end whether the key "
            "was one of the table.",
        ),
        Wrong(
            answers.anywhere,
            "a_key_that_nobody_knows_is_refused",
            "You look at the end of a key only: re.search does not ask what stands before. re.fullmatch does.",
        ),
        Wrong(
            answers.any_word,
            "a_key_that_nobody_knows_is_refused",
            "Where the table has k or i you take any word. There stands a number: isdigit, or \\d+ in a pattern.",
        ),
        Wrong(
            answers.layers_anywhere,
            "a_key_that_nobody_knows_is_refused",
            "You look for a layer's key anywhere: re.search does not ask what stands before. re.fullmatch does.",
        ),
        Wrong(
            answers.open_ended,
            "a_key_that_nobody_knows_is_refused",
            "You look at the beginning of a key only: re.match does not ask how the key goes on. re.fullmatch does.",
        ),
    ),
    right=(answers.by_parts, answers.by_table, answers.allowed_then_replaced),
    examples=lambda generator: [(key,) for key in EXAMPLES],
)
