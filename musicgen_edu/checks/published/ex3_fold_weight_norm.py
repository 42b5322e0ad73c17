"""Exercise 3, `fold_weight_norm`: length and direction back to one weight."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from ... import figures
from .. import Exercise, Wrong, expect, expect_close, expect_tensor
from . import _weight_norm as answers
from ._weight_norm import NEW, OLD

CONV, UP = "encoder.model.3.conv.conv.", "decoder.model.3.convtr.convtr."


def _folded(answer: Callable, tensors: dict[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
    found = answer(tensors)
    expect(isinstance(found, dict), f"expected a dictionary, not {type(found).__name__}")
    expect(set(found) == wanted, f"of {sorted(tensors)} become {sorted(wanted)}; yours are {sorted(found)}")
    return found


def _stored(stem: str, layer: nn.Module, names: tuple[str, str] = OLD) -> dict[str, Tensor]:
    """A layer with random g and v, as a file has it; the layer then has the weight that belongs to them."""
    normed = weight_norm(layer)
    g, v = normed.parametrizations.weight.original0, normed.parametrizations.weight.original1
    g.data.uniform_(0.5, 2)
    v.data.normal_()
    return {stem + names[0]: g.detach().clone(), stem + names[1]: v.detach().clone()}


def two_tensors_become_one(answer):
    """Where weight_g and weight_v stood, there is weight, in the shape of weight_v."""
    for shape in ((4, 3, 7), (6, 4, 1)):
        tensors = {f"{CONV}weight_g": torch.rand(shape[0], 1, 1) + 0.5, f"{CONV}weight_v": torch.randn(shape)}
        found = _folded(answer, tensors, {f"{CONV}weight"})
        expect_tensor(found[f"{CONV}weight"], shape, torch.float32, "weight")


def a_weight_is_as_long_as_g_says(answer):
    """One filter: v = [3, 4] with g = 10 is [6, 8], which has the direction of v and the length 10."""
    for scale in (1.0, 0.1, 100.0):
        tensors = {f"{CONV}weight_g": torch.tensor([[[10.0]]]), f"{CONV}weight_v": scale * torch.tensor([[[3.0, 4.0]]])}
        found = _folded(answer, tensors, {f"{CONV}weight"})[f"{CONV}weight"]
        expect_close(found, torch.tensor([[[6.0, 8.0]]]), f"g = 10, v = {scale:g} [3, 4]")


def each_filter_has_its_own_norm(answer):
    """A convolution: the norm of a filter is taken over its channels and taps, and over no other filter."""
    v = torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]])  # two filters of two channels
    tensors = {f"{CONV}weight_g": torch.tensor([[[5.0]], [[8.0]]]), f"{CONV}weight_v": v}
    wanted = torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[4.0, 4.0], [4.0, 4.0]]])
    expect_close(_folded(answer, tensors, {f"{CONV}weight"})[f"{CONV}weight"], wanted, "norms 5 and 2, g 5 and 8")
    layer = nn.Conv1d(3, 5, 4)
    found = _folded(answer, _stored(CONV, layer), {f"{CONV}weight"})
    expect_close(found[f"{CONV}weight"], layer.weight, "a convolution of torch's, 3 to 5 channels")


def transposed_ones_are_normed_by_input(answer):
    """A transposed convolution stores [inputs, outputs, taps], and g has a number for each input."""
    for inputs, outputs in ((6, 3), (4, 4), (3, 6)):
        layer = nn.ConvTranspose1d(inputs, outputs, 4, stride=2)
        found = _folded(answer, _stored(UP, layer), {f"{UP}weight"})[f"{UP}weight"]
        expect_close(found, layer.weight, f"a transposed convolution of torch's, {inputs} to {outputs} channels")


def new_names_are_known(answer):
    """The names that newer versions of torch write: original0 is g, original1 is v."""
    for stem, layer in ((CONV, nn.Conv1d(3, 5, 4)), (UP, nn.ConvTranspose1d(4, 2, 4))):
        found = _folded(answer, _stored(stem, layer, NEW), {f"{stem}weight"})
        expect_close(found[f"{stem}weight"], layer.weight, f"{stem}parametrizations.weight.original0 and 1")


def all_else_stays(answer):
    """Biases, the LSTM's weights and the codebooks are handed on as they are."""
    others = {
        f"{CONV}bias": torch.randn(5),
        "encoder.model.13.lstm.weight_ih_l0": torch.randn(8, 2),
        "encoder.model.13.lstm.weight_hh_l0": torch.randn(8, 2),
        "quantizer.vq.layers.0._codebook.embed": torch.randn(4, 3),
    }
    layer = nn.Conv1d(3, 5, 4)
    found = _folded(answer, _stored(CONV, layer) | others, {f"{CONV}weight", *others})
    for key, tensor in others.items():
        expect(torch.equal(found[key], tensor), f"{key} has changed")


def a_model_is_folded_as_torch_does(answer):
    """A model of several layers, in either format: plain layers with the folded weights compute the same."""
    for names, backwards in ((OLD, False), (NEW, False), (OLD, True)):
        made = [nn.Conv1d(2, 6, 5), nn.ConvTranspose1d(6, 4, 4, stride=2), nn.Conv1d(4, 1, 3)]
        plain = nn.Sequential(nn.Conv1d(2, 6, 5), nn.ConvTranspose1d(6, 4, 4, stride=2), nn.Conv1d(4, 1, 3))
        tensors = {}
        for i, layer in enumerate(made):
            tensors |= _stored(f"{i}.", layer, names) | {f"{i}.bias": layer.bias.detach()}
        if backwards:  # a dictionary promises no order
            tensors = dict(reversed(tensors.items()))
        plain.load_state_dict(_folded(answer, tensors, set(plain.state_dict())))
        x = torch.randn(2, 2, 20)
        expect_close(plain(x), nn.Sequential(*made)(x), f"three layers, {names[0]}")


def _examples(generator):
    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    conv, up = (normal(4, 1, 1).abs() + 0.5, normal(4, 3, 5)), (normal(3, 1, 1).abs() + 0.5, normal(3, 3, 4))
    return [
        ({f"{CONV}weight_g": conv[0], f"{CONV}weight_v": conv[1]},),
        ({f"{UP}weight_g": up[0], f"{UP}weight_v": up[1], f"{CONV}bias": normal(4)},),
        ({CONV + NEW[0]: conv[0], CONV + NEW[1]: conv[1], f"{UP}weight_g": up[0], f"{UP}weight_v": up[1]},),
        ({f"{UP}weight_g": conv[0], f"{UP}weight_v": conv[1], "x.lstm.weight_hh_l0": normal(4, 1)},),
        ({CONV + NEW[0]: conv[0], CONV + NEW[1]: conv[1]},),
        ({f"{CONV}weight_v": conv[1], f"{CONV}weight_g": conv[0]},),
    ]


def _picture(target, yours, arguments):
    (wanted,), (found,) = ([one for key, one in each.items() if key.endswith("weight")] for each in (target, yours))
    g = next(one for key, one in arguments[0].items() if key.endswith("weight_g")).flatten()
    figure, axes = figures.new_figure(8.4, 2.4)
    fills = figures.PALE, figures.LIT, figures.GREY
    for i, (name, one) in enumerate({"g": g[:, None], "target": wanted, "yours": found}.items()):
        length = one.flatten(1).norm(dim=1)
        places = [n + 0.27 * (i - 1) for n in range(len(length))]
        axes.bar(places, length, 0.25, color=fills[i], edgecolor=figures.INK, label=name)
    axes.set(xlabel="filter", ylabel="its length", xticks=range(len(g)))
    axes.legend(frameon=False)
    return figures.figure_picture(figure, "length of each filter: as g says, as it should be, and yours")


fold_weight_norm = Exercise(
    "fold_weight_norm",
    reference=answers.folded,
    properties=(
        two_tensors_become_one,
        a_weight_is_as_long_as_g_says,
        each_filter_has_its_own_norm,
        transposed_ones_are_normed_by_input,
        new_names_are_known,
        all_else_stays,
        a_model_is_folded_as_torch_does,
    ),
    wrong=(
        Wrong(
            answers.parts_stay,
            "two_tensors_become_one",
            "You leave weight_g and weight_v in the dictionary. A plain layer has no place for them.",
        ),
        Wrong(
            answers.taken_out,
            "two_tensors_become_one",
            "You take the two out of the dictionary that you were given. Build a new one: others may need the old.",
        ),
        Wrong(
            answers.multiplied,
            "a_weight_is_as_long_as_g_says",
            "You multiply g and v. The length of v is in there too: divide by it.",
        ),
        Wrong(
            answers.squared,
            "a_weight_is_as_long_as_g_says",
            "You divide by the sum of squares. The norm is its root.",
        ),
        Wrong(
            answers.absolute,
            "a_weight_is_as_long_as_g_says",
            "You divide by the sum of absolute values. The norm is Euclidean: the root of the sum of squares.",
        ),
        Wrong(
            answers.mean_square,
            "a_weight_is_as_long_as_g_says",
            "You divide by the root of the mean of squares. It is their sum that counts, not their mean.",
        ),
        Wrong(
            answers.without_g,
            "a_weight_is_as_long_as_g_says",
            "Your weights all have the length 1. That is the direction: multiply it by g.",
        ),
        Wrong(
            answers.padded_norm,
            "a_weight_is_as_long_as_g_says",
            "You add a small number to the norm. Short directions then come out too short: divide by the norm itself.",
        ),
        Wrong(
            answers.default_axis,
            "a_weight_is_as_long_as_g_says",
            "F.normalize takes the norm over dimension 1 unless told otherwise: over channels, each tap by itself.",
        ),
        Wrong(
            answers.over_all,
            "each_filter_has_its_own_norm",
            "You take one norm over all filters. Each has its own.",
        ),
        Wrong(
            answers.over_taps,
            "each_filter_has_its_own_norm",
            "You take the norm over the taps of each channel. A filter is all its channels and taps together.",
        ),
        Wrong(
            answers.along_outputs,
            "each_filter_has_its_own_norm",
            "You take the norm over dimensions 0 and 2. It runs over all but the first: 1 and 2.",
        ),
        Wrong(
            answers.over_filters,
            "a_weight_is_as_long_as_g_says",
            "You take the norm along the first dimension, over all filters. It runs over all dimensions but the first.",
        ),
        Wrong(
            answers.by_output,
            "transposed_ones_are_normed_by_input",
            "You norm the outputs of a transposed convolution, which are its dimension 1. Sensible, and not what was "
            "trained: g [inputs, 1, 1] says dimension 0. It broadcasts all the same, so nothing complains.",
        ),
        Wrong(
            answers.g_along_outputs,
            "transposed_ones_are_normed_by_input",
            "You lay g along the outputs of a transposed convolution. Its shape says where it belongs.",
        ),
        Wrong(
            answers.swapped,
            "new_names_are_known",
            "original0 is g and original1 is v: you have them the other way round.",
        ),
        Wrong(
            answers.old_only,
            "new_names_are_known",
            "You know weight_g and weight_v only. The other format is parametrizations.weight.original0 and 1.",
        ),
        Wrong(
            answers.stem_kept,
            "new_names_are_known",
            "Your key still has `parametrizations.` in it. A plain layer's weight is called weight.",
        ),
        Wrong(
            answers.others_dropped,
            "all_else_stays",
            "You return what you have folded, and nothing else: biases, LSTM and codebooks are gone.",
        ),
        Wrong(
            answers.one_after_another,
            "a_model_is_folded_as_torch_does",
            "You take the g that you saw last. The keys may stand in any order: look the partner up by its name.",
        ),
        Wrong(
            answers.first_only,
            "a_model_is_folded_as_torch_does",
            "You fold one layer and stop. Does a `return` or `break` stand within the loop?",
        ),
    ),
    right=(answers.by_torch, answers.by_pairs, answers.by_einsum, answers.popped),
    examples=_examples,
    picture=_picture,
)
