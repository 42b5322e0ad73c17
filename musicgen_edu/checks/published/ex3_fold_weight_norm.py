"""Exercise 3, `fold_weight_norm`: length and direction back to one weight."""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from ... import figures
from ...checkpoints import load as checkpoints
from .. import Exercise, expect, expect_close, expect_equal, expect_tensor, mistakes

OLD, NEW = checkpoints.WEIGHT_NORM
CONV, UP = "encoder.model.3.conv.conv.", "decoder.model.3.convtr.convtr."


def _fold(tensors):
    formats = {"weight_g": "weight_v", "parametrizations.weight.original0": "parametrizations.weight.original1"}
    found = dict(tensors)
    for key in tensors:
        for g, v in formats.items():
            if key.endswith("." + g):
                stem = key.removesuffix(g)
                length, direction = found.pop(stem + g), found.pop(stem + v)
                norm = direction.norm(dim=(1, 2), keepdim=True)
                found[stem + "weight"] = length * direction / norm
    return found


def _folded(answer, tensors: dict[str, Tensor], wanted: set[str]) -> dict[str, Tensor]:
    found = answer(tensors)
    expect(isinstance(found, dict), f"expected a dictionary, not {type(found).__name__}")
    expect_equal(sorted(found), sorted(wanted), f"the keys that {sorted(tensors)} become")
    return found


def _pair(stem: str, g: list, v: list, names: tuple[str, str] = OLD) -> dict[str, Tensor]:
    return {stem + names[0]: torch.tensor(g).view(-1, 1, 1), stem + names[1]: torch.tensor(v)}


def _stored(stem: str, layer: nn.Module, names: tuple[str, str] = OLD) -> dict[str, Tensor]:
    """A layer with random g and v, as a file has it; the layer then has the weight that belongs to them."""
    normed = weight_norm(layer)
    g, v = normed.parametrizations.weight.original0, normed.parametrizations.weight.original1
    g.data.uniform_(0.5, 2)
    v.data.normal_()
    return {stem + names[0]: g.detach().clone(), stem + names[1]: v.detach().clone()}


def two_tensors_become_one(answer):
    """Where weight_g and weight_v stood, there is weight, in the shape of weight_v."""
    for shape in ((4, 3, 7), (6, 4, 1), (1, 1, 1)):
        tensors = {f"{CONV}weight_g": torch.rand(shape[0], 1, 1) + 0.5, f"{CONV}weight_v": torch.randn(shape)}
        found = _folded(answer, tensors, {f"{CONV}weight"})
        expect_tensor(found[f"{CONV}weight"], shape, torch.float32, "weight")


def a_weight_is_as_long_as_g_says(answer):
    """One filter: v = [3, 4] with g = 10 is [6, 8], which has the direction of v and the length 10."""
    for scale in (1.0, 0.1, 100.0, 1e-8):
        found = _folded(answer, _pair(CONV, [10.0], [[[3.0 * scale, 4.0 * scale]]]), {f"{CONV}weight"})
        expect_close(found[f"{CONV}weight"], torch.tensor([[[6.0, 8.0]]]), f"g = 10, v = {scale:g} [3, 4]")
    found = _folded(answer, _pair(CONV, [-10.0], [[[3.0, -4.0]]]), {f"{CONV}weight"})
    expect_close(found[f"{CONV}weight"], torch.tensor([[[-6.0, 8.0]]]), "g = -10, v = [3, -4]")


def each_filter_has_its_own_norm(answer):
    """A convolution: the norm of a filter is taken over its channels and taps, and over no other filter."""
    v = [[[3.0, 0.0], [0.0, 4.0]], [[1.0, 1.0], [1.0, 1.0]]]  # two filters of two channels
    wanted = torch.tensor([[[3.0, 0.0], [0.0, 4.0]], [[4.0, 4.0], [4.0, 4.0]]])
    found = _folded(answer, _pair(CONV, [5.0, 8.0], v), {f"{CONV}weight"})
    expect_close(found[f"{CONV}weight"], wanted, "norms 5 and 2, g 5 and 8")
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
    """Biases, the LSTM's weights and the codebooks are handed on as they are, in a new dictionary."""
    others = {
        f"{CONV}bias": torch.randn(5), "encoder.model.13.lstm.weight_hh_l0": torch.randn(8, 2),
        "encoder.model.13.lstm.weight_ih_l0": torch.randn(8, 2, dtype=torch.float64),
        "decoder.model.15.conv.conv.weight": torch.randn(3, 2, 4), "decoder.model.15.weight_gain": torch.rand(3),
        "quantizer.vq.layers.0._codebook.embed": torch.randn(4, 3).half(),
        "quantizer.vq.layers.0._codebook.inited": torch.tensor([True]),
        "quantizer.vq.layers.0._codebook.cluster_size": torch.arange(4),
    }  # fmt: skip
    for pairs in ({}, _stored(CONV, nn.Conv1d(3, 5, 4))):
        tensors = pairs | others
        found = _folded(answer, tensors, {*others, f"{CONV}weight"} if pairs else {*others})
        expect(found is not tensors, "expected a new dictionary, not the one that was given")
        for key, tensor in others.items():
            expect_tensor(found[key], tuple(tensor.shape), tensor.dtype, key)
            expect_close(found[key], tensor, key, 0.0)


def a_model_is_folded_as_torch_does(answer):
    """A model of several layers, in either format: plain layers with the folded weights compute the same."""
    for names, backwards in (([OLD] * 3, False), ([NEW] * 3, False), ([OLD] * 3, True), ([OLD, NEW, OLD], True)):
        made = [nn.Conv1d(2, 6, 5), nn.ConvTranspose1d(6, 4, 4, stride=2), nn.Conv1d(4, 1, 3)]
        plain = nn.Sequential(nn.Conv1d(2, 6, 5), nn.ConvTranspose1d(6, 4, 4, stride=2), nn.Conv1d(4, 1, 3))
        tensors = {}
        for i, layer in enumerate(made):
            tensors |= _stored(f"{i}.", layer, names[i]) | {f"{i}.bias": layer.bias.detach()}
        if backwards:  # a dictionary promises no order
            tensors = dict(reversed(tensors.items()))
        plain.load_state_dict(_folded(answer, tensors, set(plain.state_dict())))
        x = torch.randn(2, 2, 20)
        expect_close(plain(x), nn.Sequential(*made)(x), f"three layers, {[one[0] for one in names]}: their output")


def folds_as_the_library_does(answer):
    """On random pairs of either name, in any order, the weights are those of the library."""
    for n, m, taps in ((1, 5, 3), (5, 1, 7), (4, 4, 4), (3, 4, 1), (16, 8, 10)):
        v = torch.randn(n, m, taps) * 10 ** torch.empty(n, 1, 1).uniform_(-3, 3)
        tensors = {}
        for i, names in enumerate((OLD, NEW, OLD, NEW)):
            tensors |= {f"{i}.{names[i // 2]}": torch.randn(n, 1, 1) if i < 2 else v + i}
            tensors |= {f"{i}.{names[1 - i // 2]}": v + i if i < 2 else torch.randn(n, 1, 1)}
        found = _folded(answer, tensors, {f"{i}.weight" for i in range(4)})
        for i, (g, v_name) in enumerate((OLD, NEW, OLD, NEW)):
            wanted = checkpoints.fold_weight_norm(tensors[f"{i}.{g}"], tensors[f"{i}.{v_name}"])
            expect_close(found[f"{i}.weight"], wanted, f"g {[n, 1, 1]} and v {[n, m, taps]} as {g} and {v_name}")


def _one_after_another(tensors):
    """The last length that was seen is taken to belong to a direction."""
    found, g = {}, None
    for key, tensor in tensors.items():
        if key.endswith((f".{OLD[0]}", f".{NEW[0]}")):
            g = tensor
        elif key.endswith((f".{OLD[1]}", f".{NEW[1]}")):
            found[key.removesuffix(OLD[1]).removesuffix(NEW[1]) + "weight"] = checkpoints.fold_weight_norm(g, tensor)
        else:
            found[key] = tensor
    return found


def _by_torch(tensors):
    """torch's own function for it."""
    new = re.compile(r"\.parametrizations\.weight\.original([01])$")
    renamed = {new.sub(lambda one: f".weight_{'gv'[int(one[1])]}", key): tensor for key, tensor in tensors.items()}
    found = {}
    for key, tensor in renamed.items():
        if key.endswith(".weight_v"):
            found[key[:-2]] = torch._weight_norm(tensor, renamed[key[:-1] + "g"], 0)
        elif not key.endswith(".weight_g"):
            found[key] = tensor
    return found


def _with_numpy(tensors):
    found = dict(tensors)
    for key in tensors:
        for g_name, v_name in (OLD, NEW):
            if key.endswith(f".{v_name}"):
                stem = key.removesuffix(v_name)
                g, v = found.pop(stem + g_name).numpy(), found.pop(key).numpy()
                norm = np.sqrt((v.astype(np.float64) ** 2).sum((1, 2), keepdims=True))
                found[f"{stem}weight"] = torch.from_numpy((g * v / norm).astype(np.float32))
    return found


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
        ({f"{CONV}weight_v": conv[1], f"{CONV}weight_g": -conv[0], "y": torch.arange(3)},),
        ({f"{CONV}weight_g": conv[0], f"{CONV}weight_v": 1e-8 * conv[1]},),
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


NORM = "direction.norm(dim=(1, 2), keepdim=True)"
fold_weight_norm = Exercise(
    "fold_weight_norm",
    reference=_fold,
    properties=(
        two_tensors_become_one, a_weight_is_as_long_as_g_says, each_filter_has_its_own_norm,
        transposed_ones_are_normed_by_input, new_names_are_known, all_else_stays, a_model_is_folded_as_torch_does,
        folds_as_the_library_does,
    ),
    wrong=mistakes(_fold, {
        two_tensors_become_one: [
            ("return found", "return tensors | found",
             "You leave weight_g and weight_v in the dictionary. A plain layer has no place for them."),
            ("dict(tensors)", "tensors", "in tensors:", "in list(tensors):", "You take the two out of the dictionary "
             "that you were given. Build a new one: others may need the old."),
        ],
        a_weight_is_as_long_as_g_says: [
            (" / norm", "", "You multiply g and v. The length of v is in there too: divide by it."),
            (NORM, "direction.square().sum((1, 2), keepdim=True)",
             "You divide by the sum of squares. The norm is its root."),
            (NORM, "direction.abs().sum((1, 2), keepdim=True)",
             "You divide by the sum of absolute values. The norm is Euclidean: the root of the sum of squares."),
            (NORM, "direction.square().mean((1, 2), keepdim=True).sqrt()",
             "You divide by the root of the mean of squares. It is their sum that counts, not their mean."),
            ("length * direction", "direction",
             "Your weights all have the length 1. That is the direction: multiply it by g."),
            ("keepdim=True)", "keepdim=True) + 1e-5",
             "You add a small number to the norm. Short directions then come out too short: divide by the norm "
             "itself."),
            (NORM, "direction.norm(dim=1, keepdim=True)",
             "F.normalize takes the norm over dimension 1 unless told otherwise: over channels, each tap by itself."),
            ("dim=(1, 2)", "dim=0", "You take the norm along the first dimension, over all filters. It runs over all "
             "dimensions but the first."),
            ("length * direction", "length.abs() * direction", "You drop the sign of g. The formula multiplies by g as "
             "it stands."),
            ("keepdim=True)", "keepdim=True).clamp(min=1e-6)", "You do not let the norm be smaller than some number. "
             "Short directions then come out too short: no filter has the length 0."),
        ],
        each_filter_has_its_own_norm: [
            (NORM, "direction.norm()", "You take one norm over all filters. Each has its own."),
            ("dim=(1, 2)", "dim=2", "You take the norm over the taps of each channel. A filter is all its channels and "
             "taps together."),
            ("dim=(1, 2)", "dim=(0, 2)", "You take the norm over dimensions 0 and 2. It runs over all but the first: "
             "1 and 2."),
        ],
        transposed_ones_are_normed_by_input: [
            ("dim=(1, 2)", 'dim=(0, 2) if "convtr" in key else (1, 2)',
             "You norm the outputs of a transposed convolution, which are its dimension 1. Sensible, and not what was "
             "trained: g [inputs, 1, 1] says dimension 0. It broadcasts all the same, so nothing complains."),
            ("dim=(1, 2)", 'dim=(0, 2) if "convtr" in key else (1, 2)',
             "length * ", '(length.view(1, -1, 1) if "convtr" in key else length) * ',
             "You lay g along the outputs of a transposed convolution. Its shape says where it belongs."),
        ],
        new_names_are_known: [
            ("norm = ", "if 'param' in g:\n                    length, direction = direction, length\n"
             "                norm = ", "original0 is g and original1 is v: you have them the other way round."),
            (', "parametrizations.weight.original0": "parametrizations.weight.original1"', "",
             "You know weight_g and weight_v only. The other format is parametrizations.weight.original0 and 1."),
            ('found[stem + "weight"]', 'found[stem + g.replace("_g", "").removesuffix(".original0")]',
             "Your key still has `parametrizations.` in it. A plain layer's weight is called weight."),
        ],
        all_else_stays: [
            ("return found", "return {key: found[key] for key in found if key not in tensors}",
             "You return what you have folded, and nothing else: biases, LSTM and codebooks are gone."),
            ("return found", "return {key: one.float() for key, one in found.items()}",
             "You change the number format of what is not yours: codes and flags are no floats. Hand it on as it is."),
            ("return found", "return found if len(found) < len(tensors) else tensors",
             "Where there is nothing to fold you return the dictionary that you were given. A new one is asked for."),
        ],
        a_model_is_folded_as_torch_does: [
            (_one_after_another, "You take the g that you saw last. The keys may stand in any order: look the partner "
             "up by its name."),
            ("length * direction / norm", "length * direction / norm\n                return found",
             "You fold one layer and stop. Does a `return` or `break` stand within the loop?"),
            ("formats.items():", "[p for p in formats.items() if any(k.endswith('.' + p[0]) for k in tensors)][:1]:",
             "You look which names the file uses, once. A file may have both: ask for each key."),
        ],
    }),
    right=(_by_torch, _with_numpy),
    examples=_examples,
    picture=_picture,
)  # fmt: skip
