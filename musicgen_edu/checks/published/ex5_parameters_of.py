"""Exercise 5, `parameters_of`: how many numbers a model is."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch

from ... import figures
from ...model.lm import CONFIGS, LMConfig, MusicgenLM
from .. import Exercise, expect, expect_equal, mistakes, plain

PARTS = ("embedding", "decoder", "heads", "text projection")
SMALLEST = LMConfig(dim=2, num_heads=1, layers=1, feed_forward=3, num_codebooks=1, codebook_size=5, text_dim=3)


def _count(config):
    D, K, V, F = config.dim, config.num_codebooks, config.codebook_size, config.feed_forward
    attention, feed_forward, norm = 4 * D * D, 2 * D * F, 2 * D
    layer = 2 * attention + feed_forward + 3 * norm
    return {
        "embedding": K * (V + 1) * D,
        "decoder": config.layers * layer + norm,
        "heads": K * V * D,
        "text projection": config.text_dim * D + D,
    }


def _measured(config: LMConfig) -> dict[str, int]:
    """The same of the library's model, which is built without memory."""
    with torch.device("meta"):
        model = MusicgenLM(config)
    modules = (model.embedding, model.decoder, model.heads, model.text_projection)
    return {name: sum(one.numel() for one in part.parameters()) for name, part in zip(PARTS, modules, strict=True)}


def _sizes(**changes) -> LMConfig:
    return LMConfig(**(vars(SMALLEST) | changes))


def _counts(answer, config: LMConfig) -> dict[str, int]:
    """Of a configuration that has the attributes named in the text, and nothing else."""
    found = answer(SimpleNamespace(**{name: getattr(config, name) for name in (
        "dim", "num_heads", "layers", "feed_forward", "num_codebooks", "codebook_size", "text_dim", "max_steps",
    )}))  # fmt: skip
    expect(isinstance(found, dict), f"expected a dictionary, not {type(found).__name__}")
    expect_equal(sorted(found), sorted(PARTS), "the parts")
    for part, count in found.items():
        expect(type(plain(count)) is int, f"the number of {part} must be an int, not {count!r}")
    return {part: plain(found[part]) for part in PARTS}


def _expect_count(answer, part: str, wanted: int, **changes) -> None:
    config = _sizes(**changes)
    sizes = {"D": config.dim, "F": config.feed_forward, "K": config.num_codebooks, "V": config.codebook_size}
    said = ", ".join(f"{name} = {size}" for name, size in sizes.items())
    said = f"{part}, {said}, text {config.text_dim}, layers {config.layers}, heads {config.num_heads}: parameters"
    expect_equal(_counts(answer, config)[part], wanted, said)


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
    for text, D, K, wanted in ((3, 2, 1, 8), (1, 2, 1, 4), (5, 3, 4, 18)):
        _expect_count(answer, "text projection", wanted, text_dim=text, dim=D, num_codebooks=K)


def a_layer_by_hand(answer):
    """D = 2, F = 3: attention 4 D² twice, feed-forward 2 D F, three norms of 2 D; 56. After the layer a norm, 4."""
    _expect_count(answer, "decoder", 60)


def layers_are_alike_and_end_in_one_norm(answer):
    """More layers are more of the same, however many heads they have; the norm after the last one is there once."""
    for layers, heads, wanted in ((1, 1, 60), (2, 1, 116), (24, 1, 1348), (2, 2, 116)):
        _expect_count(answer, "decoder", wanted, layers=layers, num_heads=heads)


def published_sizes_come_out(answer):
    """Small, medium and large: 419.58, 1837.56 and 3255.38 million, and 0.79, 1.18 and 1.57 for the projection."""
    for name, million, projection in (("small", 419.58, 0.787), ("medium", 1837.56, 1.181), ("large", 3255.38, 1.575)):
        parts = _counts(answer, CONFIGS[name])
        found = round(sum(parts[part] for part in PARTS[:3]) / 1e6, 2)
        expect_equal(found, million, f"{name}: millions in embedding, decoder and heads")
        expect_equal(round(parts["text projection"] / 1e6, 3), projection, f"{name}: millions in the projection")


def counts_as_the_library_s_model_has(answer):
    """On random sizes: as many as the library's model has, built on the meta device, where numbers take no memory."""
    for _ in range(8):
        half, F, K, V, layers, text = (int(torch.randint(2, most, ())) for most in (7, 20, 9, 30, 5, 9))
        changes = {"dim": 4 * half, "feed_forward": F, "num_codebooks": K, "codebook_size": V, "layers": layers}
        config = _sizes(**changes, text_dim=text, num_heads=2, max_steps=int(torch.randint(8, 99, ())))
        for part, wanted in _measured(config).items():
            expect_equal(_counts(answer, config)[part], wanted, f"{part}, {changes}, text {text}: parameters")


def _with_tied_positions(config):
    return _count(config) | {"embedding": _count(config)["embedding"] + config.max_steps * config.dim}


def _added_up(config):
    """Matrix after matrix."""
    D, parts = config.dim, dict.fromkeys(PARTS, 0)
    for _ in range(config.num_codebooks):
        parts["embedding"] += config.codebook_size * D + D
        parts["heads"] += config.codebook_size * D
    norm = D + D
    for _ in range(config.layers):
        for _ in ("self", "cross"):
            parts["decoder"] += 3 * D * D + D * D + norm
        parts["decoder"] += norm + D * config.feed_forward + config.feed_forward * D
    parts["decoder"] += norm
    parts["text projection"] = (config.text_dim + 1) * D
    return parts


def _of_layers(config):
    """Counted on torch's own layers, built without memory."""
    D, K, V = config.dim, config.num_codebooks, config.codebook_size
    options = {"bias": False, "device": "meta"}

    def size(*modules):
        return sum(parameter.numel() for module in modules for parameter in module.parameters())

    attention = size(torch.nn.MultiheadAttention(D, 1, **options))
    norm = size(torch.nn.LayerNorm(D, device="meta"))
    ends = size(torch.nn.Linear(D, config.feed_forward, **options), torch.nn.Linear(config.feed_forward, D, **options))
    return {
        "embedding": K * size(torch.nn.Embedding(V + 1, D, device="meta")),
        "decoder": config.layers * (2 * attention + ends + 3 * norm) + norm,
        "heads": K * size(torch.nn.Linear(D, V, **options)),
        "text projection": size(torch.nn.Linear(config.text_dim, D, device="meta")),
    }


def _of_shapes(config):
    """With numpy, as products of shapes: numpy's whole numbers."""
    D, K, V = config.dim, config.num_codebooks, config.codebook_size
    layer = [(D, D)] * 8 + [(D, config.feed_forward)] * 2 + [(D,)] * 6
    shapes = [[(K, V + 1, D)], layer * config.layers + [(2, D)], [(K, V, D)], [(config.text_dim, D), (D,)]]
    return {part: sum(np.prod(one, dtype=np.int64) for one in some) for part, some in zip(PARTS, shapes, strict=True)}


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
    reference=_count,
    properties=(
        four_parts_are_counted, each_codebook_has_a_table, each_codebook_has_a_head, the_text_s_projection_has_a_bias,
        a_layer_by_hand, layers_are_alike_and_end_in_one_norm, published_sizes_come_out,
        counts_as_the_library_s_model_has,
    ),
    wrong=mistakes(_count, {
        four_parts_are_counted: [
            ("return {", "return sum({", "+ D,\n    }", "+ D,\n    }.values())",
             "That is one number for all. A dictionary is wanted, with a number for each part."),
            ("2 * D * F", "2.0 * D * F", "Your count of the decoder is a float. Parameters are counted in whole "
             "numbers: divide with //, or not at all."),
            ('"text projection"', '"text_projection"', "The part is called `text projection`, with a blank."),
        ],
        each_codebook_has_a_table: [
            ("K * (V + 1)", "(V + 1)",
             "You count one table. Each codebook has its own: the same number means another thing in each."),
            ("(V + 1)", "V",
             "You count V rows. There is one more, for the special token that stands where no code is: 2049."),
            ("K * (V + 1)", "(K * V + 1)",
             "You count one row for the special token in all. Each table has its own."),
            (_with_tied_positions,
             "You count a table of positions. They are sines and cosines: computed, not learned."),
        ],
        each_codebook_has_a_head: [
            ("K * V * D", "K * (V + 1) * D", "You count a row for the special token in the heads. The pattern puts it "
             "in, nobody predicts it: 2048."),
            ("K * V * D", "K * V * (D + 1)", "You give the heads a bias. They have none."),
            ("K * V * D", "V * D", "You count one head. Each codebook has its own."),
            ("K * V * D", "0", "You let the heads share the tables' numbers, as many language models do. Here they "
             "have their own."),
        ],
        the_text_s_projection_has_a_bias: [
            ("text_dim * D + D", "text_dim * D", "You forget the bias of the projection: D numbers more."),
            ("text_dim * D + D", "text_dim * (D + 1)",
             "Your bias is as wide as what goes in. A bias is added to what comes out: D numbers."),
            ("config.text_dim * D + D", "K * (config.text_dim * D + D)", "You count a projection for each codebook. "
             "The text is projected once."),
        ],
        a_layer_by_hand: [
            ("2 * attention", "attention", "3 * norm", "2 * norm", "You count one attention and two norms, as in a "
             "GPT. A layer here also attends to the text: another 4 D² and a norm before it."),
            ("2 * attention", "attention", "You count the matrices of one attention. A layer has two, to the music "
             "and to the text: 4 D² each."),
            ("2 * attention", "2 * attention + 2 * D * (config.text_dim - D)", "You let keys and values of the text "
             "begin at the text encoder's width. It has been projected to D before."),
            ("4 * D * D", "3 * D * D", "You count three matrices in an attention. A fourth mixes what the heads have "
             "found."),
            ("4 * D * D", "4 * D * (D + 1)", "You give the matrices of attention a bias. They have none."),
            ("2 * D * F", "2 * D * F + D + F", "You give the feed-forward part a bias. It has none."),
            ("2 * D * F", "3 * D * F", "You count three matrices in the feed-forward part, as where it is gated. Here "
             "there are two, up and down."),
            ("2 * D * F", "D * F", "You count one matrix in the feed-forward part. What goes up to F has to come down "
             "again."),
            ("3 * norm", "2 * norm", "You count two norms in a layer. There are three: before each attention and "
             "before the feed-forward part."),
            ("norm = 4 * D * D, 2 * D * F, 2 * D", "norm = 4 * D * D, 2 * D * F, D",
             "You count a weight for each norm, but no bias. They have both."),
            ("2 * D * F", "2 * D * 4 * D", "You take 4 D for the width of the feed-forward part. So it is in "
             "the published models; the configuration says it."),
            ("layer + norm", "layer", "You forget the norm after the last layer."),
        ],
        layers_are_alike_and_end_in_one_norm: [
            ("layers * layer + norm", "layers * (layer + norm)",
             "You count the last norm in each layer. It stands once, after all of them."),
            ("2 * attention", "2 * attention * config.num_heads",
             "You count matrices D × D for each head. The heads share them: each has D / heads of the rows."),
            ("config.layers * layer", "layer", "You count one layer. There are config.layers of them."),
        ],
    }),
    right=(_added_up, _of_layers, _of_shapes),
    examples=lambda generator: [
        (CONFIGS["small"],), (SMALLEST,), (_sizes(layers=3, num_codebooks=4, dim=6, num_heads=2),),
    ],
    picture=_picture,
)  # fmt: skip
