"""Answers to exercise 3, right and wrong."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ...checkpoints import load as checkpoints

OLD, NEW = checkpoints.WEIGHT_NORM
Fold = Callable[[Tensor, Tensor, str], Tensor]


def library(g: Tensor, v: Tensor, key: str) -> Tensor:
    return checkpoints.fold_weight_norm(g, v)


def fold_all(tensors: dict[str, Tensor], fold: Fold = library, formats=(OLD, NEW)) -> dict[str, Tensor]:
    """Fold every pair by `fold(g, v, key)`; keys of other tensors stay."""
    found = {}
    for key, tensor in tensors.items():
        for g_name, v_name in formats:
            stem = key.removesuffix(g_name)
            if key.endswith("." + v_name):
                break
            if key.endswith("." + g_name):
                found[f"{stem}weight"] = fold(tensor, tensors[stem + v_name], key)
                break
        else:
            found[key] = tensor
    return found


def folded(tensors):
    return fold_all(tensors)


def with_fold(called: str, fold: Fold) -> Callable:
    """An answer that folds a pair in its own way."""

    def answer(tensors):
        return fold_all(tensors, fold)

    answer.__name__ = called
    return answer


multiplied = with_fold("multiplied", lambda g, v, key: g * v)
squared = with_fold("squared", lambda g, v, key: g * v / v.square().sum((1, 2), keepdim=True))
absolute = with_fold("absolute", lambda g, v, key: g * v / v.abs().sum((1, 2), keepdim=True))
mean_square = with_fold("mean_square", lambda g, v, key: g * v / v.square().mean((1, 2), keepdim=True).sqrt())
default_axis = with_fold("default_axis", lambda g, v, key: g * F.normalize(v))
over_all = with_fold("over_all", lambda g, v, key: g * v / v.norm())
over_taps = with_fold("over_taps", lambda g, v, key: g * v / v.norm(dim=-1, keepdim=True))
over_filters = with_fold("over_filters", lambda g, v, key: g * v / v.norm(dim=0, keepdim=True))
along_outputs = with_fold("along_outputs", lambda g, v, key: g * v / v.norm(dim=(0, 2), keepdim=True))
without_g = with_fold("without_g", lambda g, v, key: v / v.norm(dim=(1, 2), keepdim=True))
padded_norm = with_fold("padded_norm", lambda g, v, key: g * v / (v.norm(dim=(1, 2), keepdim=True) + 1e-5))


def by_output(tensors):
    """The norm over all but the output channels, wherever those are."""
    return fold_all(tensors, lambda g, v, key: g * v / v.norm(dim=(0, 2) if "convtr" in key else (1, 2), keepdim=True))


def g_along_outputs(tensors):
    """As `by_output`, with g brought to the place where its numbers would belong."""

    def fold(g, v, key):
        if "convtr" not in key:
            return library(g, v, key)
        return g.view(1, -1, 1) * v / v.norm(dim=(0, 2), keepdim=True)

    return fold_all(tensors, fold)


def parts_stay(tensors):
    return tensors | fold_all(tensors)


def taken_out(tensors):
    found = fold_all(tensors)
    for key in [key for key in tensors if key not in found]:
        del tensors[key]
    tensors.update(found)
    return tensors


def swapped(tensors):
    """original0 for v, original1 for g."""
    return fold_all(tensors, lambda g, v, key: library(v, g, key) if "parametrizations" in key else library(g, v, key))


def old_only(tensors):
    return fold_all(tensors, formats=(OLD,))


def stem_kept(tensors):
    found = {}
    for key, tensor in fold_all(tensors).items():
        new = key.endswith("weight") and key.removesuffix("weight") + NEW[0] in tensors
        found[key.removesuffix("weight") + "parametrizations.weight" if new else key] = tensor
    return found


def others_dropped(tensors):
    return {key: tensor for key, tensor in fold_all(tensors).items() if key not in tensors}


def one_after_another(tensors):
    """The last length that was seen is taken to belong to a direction."""
    found, g = {}, None
    for key, tensor in tensors.items():
        if key.endswith((f".{OLD[0]}", f".{NEW[0]}")):
            g = tensor
        elif key.endswith((f".{OLD[1]}", f".{NEW[1]}")):
            found[key.removesuffix(OLD[1]).removesuffix(NEW[1]) + "weight"] = library(g, tensor, key)
        else:
            found[key] = tensor
    return found


def first_only(tensors):
    found, rest = fold_all(tensors), dict(tensors)
    for key in [key for key in found if key not in tensors][:1]:
        stem = key.removesuffix("weight")
        for name in (*OLD, *NEW):
            rest.pop(stem + name, None)
        rest[key] = found[key]
    return rest


def by_torch(tensors):
    """torch's own function for it."""
    renamed = {re.sub(r"parametrizations\.weight\.original", "weight_", key): one for key, one in tensors.items()}
    renamed = {re.sub(r"\.weight_0$", ".weight_g", re.sub(r"\.weight_1$", ".weight_v", key)): one
               for key, one in renamed.items()}  # fmt: skip
    found = {}
    for key, tensor in renamed.items():
        if key.endswith(".weight_v"):
            found[key[:-2]] = torch._weight_norm(tensor, renamed[key[:-1] + "g"], 0)
        elif not key.endswith(".weight_g"):
            found[key] = tensor
    return found


def by_pairs(tensors):
    """The rest first, then pair after pair, filter after filter."""
    ends = {"weight_g": "weight_v", "parametrizations.weight.original0": "parametrizations.weight.original1"}
    endings = tuple(f".{name}" for pair in ends.items() for name in pair)
    found = {key: tensor for key, tensor in tensors.items() if not key.endswith(endings)}
    for g_end, v_end in ends.items():
        for key in tensors:
            if key.endswith(f".{g_end}"):
                stem = key[: -len(g_end)]
                rows = zip(tensors[key], tensors[stem + v_end], strict=True)
                found[stem + "weight"] = torch.stack([length * row / row.norm() for length, row in rows])
    return found


def popped(tensors):
    """Pairs are taken out of a copy, and the norm is that of a matrix."""
    found = dict(tensors)
    for key in tensors:
        for g_name, v_name in (OLD, NEW):
            if key.endswith(f".{g_name}"):
                stem = key.removesuffix(g_name)
                g, v = found.pop(key), found.pop(stem + v_name)
                found[f"{stem}weight"] = (g / torch.linalg.matrix_norm(v, keepdim=True)) * v
    return found


def by_einsum(tensors):
    def fold(g, v, key):
        return torch.einsum("i,iok->iok", g.flatten() / torch.einsum("iok,iok->i", v, v).sqrt(), v)

    return fold_all(tensors, fold)
