"""Exercise 5, `parameters_of`: how many numbers a model is."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ... import figures
from ...model.lm import CONFIGS, LMConfig
from .. import Exercise, Wrong, expect
from . import _parameters as answers
from ._parameters import PARTS

SMALLEST = LMConfig(dim=2, num_heads=1, layers=1, feed_forward=3, num_codebooks=1, codebook_size=5, text_dim=3)


def _sizes(**changes) -> LMConfig:
    return LMConfig(**(vars(SMALLEST) | changes))


def _counts(answer: Callable, config: LMConfig) -> dict[str, int]:
    found = answer(config)
    expect(isinstance(found, dict), f"expected a dictionary, not {type(found).__name__}")
    expect(set(found) == set(PARTS), f"expected the parts {', '.join(PARTS)}, not {', '.join(map(str, found))}")
    for part, count in found.items():
        expect(type(count) is int, f"the number of {part} must be an int, not {count!r}")
    return found


def _expect_count(answer: Callable, part: str, wanted: int, **changes) -> None:
    found = _counts(answer, _sizes(**changes))[part]
    sizes = {"D": "dim", "F": "feed_forward", "K": "num_codebooks", "V": "codebook_size", "text": "text_dim"}
    said = ", ".join(f"{short} = {getattr(_sizes(**changes), name)}" for short, name in sizes.items())
    expect(found == wanted, f"{part}, {said}, layers = {_sizes(**changes).layers}: {wanted} parameters, not {found}")


def four_parts_are_counted(answer):
    """The result is a dictionary of ints: embedding, decoder, heads, text projection."""
    _counts(answer, SMALLEST)


def each_codebook_has_a_table(answer):
    """K tables with a row for each of the V codes and one for the special token; positions are not learned."""
    for K, V, D, wanted in ((1, 5, 2, 12), (4, 5, 2, 48), (4, 5, 3, 72), (3, 7, 2, 48)):
        _expect_count(answer, "embedding", wanted, num_codebooks=K, codebook_size=V, dim=D)


def each_codebook_has_a_head(answer):
    """K matrices from D numbers to the V codes, without bias: nobody predicts the special token."""
    for K, V, D, wanted in ((1, 5, 2, 10), (4, 5, 2, 40), (3, 7, 2, 42)):
        _expect_count(answer, "heads", wanted, num_codebooks=K, codebook_size=V, dim=D)


def the_text_s_projection_has_a_bias(answer):
    """One matrix from the text encoder's width to D, and the only bias besides those of the norms."""
    for text, D, wanted in ((3, 2, 8), (1, 2, 4), (5, 3, 18)):
        _expect_count(answer, "text projection", wanted, text_dim=text, dim=D)


def a_layer_by_hand(answer):
    """D = 2, F = 3: attention 4 D² twice, feed-forward 2 D F, three norms of 2 D; 56. After the layer a norm, 4."""
    _expect_count(answer, "decoder", 60)


def layers_are_alike_and_end_in_one_norm(answer):
    """More layers are more of the same; the norm after the last one is there once."""
    for layers, wanted in ((1, 60), (2, 116), (24, 1348)):
        _expect_count(answer, "decoder", wanted, layers=layers)


def published_sizes_come_out(answer):
    """Small, medium and large: 419.58, 1837.56 and 3255.38 million, and 0.79, 1.18 and 1.57 for the projection."""
    for name, million, projection in (("small", 419.58, 0.787), ("medium", 1837.56, 1.181), ("large", 3255.38, 1.575)):
        parts = _counts(answer, CONFIGS[name])
        found = round(sum(parts[part] for part in PARTS[:3]) / 1e6, 2)
        expect(found == million, f"{name}: embedding, decoder and heads are {million} million, not {found}")
        found = round(parts["text projection"] / 1e6, 3)
        expect(found == projection, f"{name}: the projection has {projection} million, not {found}")


def counts_as_the_library_s_model_has(answer):
    """On random sizes: as many as the library's model has, built on the meta device, where numbers take no memory."""
    for _ in range(8):
        half, F, K, V, layers, text = (int(torch.randint(2, most, ())) for most in (7, 20, 9, 30, 5, 9))
        changes = {"dim": 2 * half, "feed_forward": F, "num_codebooks": K, "codebook_size": V}
        config = _sizes(**changes, layers=layers, text_dim=text)
        found, wanted = _counts(answer, config), answers.measured(config)
        expect(found == wanted, f"{changes | {'layers': layers, 'text_dim': text}}: {wanted}, not {found}")


def _picture(target, yours, arguments):
    figure, axes = figures.new_figure(8.4, 2.4)
    for row, (name, counts) in enumerate((("target", target), ("yours", yours))):
        places = [i + 0.4 * row for i in range(len(PARTS))]
        axes.bar(places, [counts[part] / 1e6 for part in PARTS], 0.38, label=name, edgecolor=figures.INK,
                 color=(figures.LIT, figures.GREY)[row], hatch=(None, "//")[row])  # fmt: skip
        for place, part in zip(places, PARTS, strict=True):
            million = counts[part] / 1e6
            axes.annotate(f"{million:.3f}", (place, million), ha="center", va="bottom", fontsize=8)
    axes.set_xticks([i + 0.2 for i in range(len(PARTS))], PARTS)
    axes.set(ylabel="million parameters", yscale="log")
    axes.legend(frameon=False)
    return figures.figure_picture(figure, "parameters by part of the small model: target and yours")


parameters_of = Exercise(
    "parameters_of",
    reference=answers.counted,
    properties=(
        four_parts_are_counted,
        each_codebook_has_a_table,
        each_codebook_has_a_head,
        the_text_s_projection_has_a_bias,
        a_layer_by_hand,
        layers_are_alike_and_end_in_one_norm,
        published_sizes_come_out,
        counts_as_the_library_s_model_has,
    ),
    wrong=(
        Wrong(
            answers.total,
            "four_parts_are_counted",
            "That is one number for all. A dictionary is wanted, with a number for each part.",
        ),
        Wrong(
            answers.one_table,
            "each_codebook_has_a_table",
            "You count one table. Each codebook has its own: the same number means another thing in each.",
        ),
        Wrong(
            answers.no_special,
            "each_codebook_has_a_table",
            "You count V rows. There is one more, for the special token that stands where no code is: 2049.",
        ),
        Wrong(
            answers.shared_special,
            "each_codebook_has_a_table",
            "You count one row for the special token in all. Each table has its own.",
        ),
        Wrong(
            answers.learned_positions,
            "each_codebook_has_a_table",
            "You count a table of positions. They are sines and cosines: computed, not learned.",
        ),
        Wrong(
            answers.special_heads,
            "each_codebook_has_a_head",
            "You count a row for the special token in the heads. The pattern puts it in, nobody predicts it: 2048.",
        ),
        Wrong(
            answers.biased_heads,
            "each_codebook_has_a_head",
            "You give the heads a bias. They have none.",
        ),
        Wrong(
            answers.one_head,
            "each_codebook_has_a_head",
            "You count one head. Each codebook has its own.",
        ),
        Wrong(
            answers.tied_heads,
            "each_codebook_has_a_head",
            "You let the heads share the tables' numbers, as many language models do. Here they have their own.",
        ),
        Wrong(
            answers.unbiased_projection,
            "the_text_s_projection_has_a_bias",
            "You forget the bias of the projection: D numbers more.",
        ),
        Wrong(
            answers.bias_of_text,
            "the_text_s_projection_has_a_bias",
            "Your bias is as wide as what goes in. A bias is added to what comes out: D numbers.",
        ),
        Wrong(
            answers.no_cross_attention,
            "a_layer_by_hand",
            "You count one attention and two norms, as in a GPT. A layer here also attends to the text: another "
            "4 D² and a norm before it.",
        ),
        Wrong(
            answers.one_attention,
            "a_layer_by_hand",
            "You count the matrices of one attention. A layer has two, to the music and to the text: 4 D² each.",
        ),
        Wrong(
            answers.text_wide_keys,
            "a_layer_by_hand",
            "You let keys and values of the text begin at the text encoder's width. It has been projected to D before.",
        ),
        Wrong(
            answers.no_output_projection,
            "a_layer_by_hand",
            "You count three matrices in an attention. A fourth mixes what the heads have found.",
        ),
        Wrong(
            answers.biased_attention,
            "a_layer_by_hand",
            "You give the matrices of attention a bias. They have none.",
        ),
        Wrong(
            answers.biased_feed_forward,
            "a_layer_by_hand",
            "You give the feed-forward part a bias. It has none.",
        ),
        Wrong(
            answers.gated,
            "a_layer_by_hand",
            "You count three matrices in the feed-forward part, as where it is gated. Here there are two, up and down.",
        ),
        Wrong(
            answers.one_matrix,
            "a_layer_by_hand",
            "You count one matrix in the feed-forward part. What goes up to F has to come down again.",
        ),
        Wrong(
            answers.two_norms,
            "a_layer_by_hand",
            "You count two norms in a layer. There are three: before each attention and before the feed-forward part.",
        ),
        Wrong(
            answers.norms_unbiased,
            "a_layer_by_hand",
            "You count a weight for each norm, but no bias. They have both.",
        ),
        Wrong(
            answers.four_times_wide,
            "a_layer_by_hand",
            "You take 4 D for the width of the feed-forward part. So it is in the published models; the configuration "
            "says it.",
        ),
        Wrong(
            answers.no_final_norm,
            "a_layer_by_hand",
            "You forget the norm after the last layer.",
        ),
        Wrong(
            answers.norm_in_each,
            "layers_are_alike_and_end_in_one_norm",
            "You count the last norm in each layer. It stands once, after all of them.",
        ),
        Wrong(
            answers.heads_apart,
            "published_sizes_come_out",
            "You count matrices D × D for each head. The heads share them: each has D / heads of the rows.",
        ),
    ),
    right=(answers.added_up, answers.of_layers),
    examples=lambda generator: [(CONFIGS["small"],), (SMALLEST,), (_sizes(layers=3, num_codebooks=4, dim=5),)],
    picture=_picture,
)
