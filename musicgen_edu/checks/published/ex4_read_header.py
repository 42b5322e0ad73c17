"""Exercise 4, `read_header`: what a file of weights says, and whether it can be true."""

from __future__ import annotations

import json
import math
import re  # noqa: F401 - an edit needs it
from collections.abc import Mapping

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from ... import figures
from .. import Exercise, expect, expect_equal, mistakes
from . import _files as files
from ._files import SIZES


def _require(condition, sentence):
    if not condition:
        raise ValueError(sentence)


def _read(data):
    length = int.from_bytes(data[:8], "little")
    _require(8 + length <= len(data), "the header ends after the file")
    entries = json.loads(data[8 : 8 + length])
    entries.pop("__metadata__", None)
    place, found = 8 + length, {}
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        _require(begin == place, f"{name} does not begin where the one before it ends")
        size = math.prod(entry["shape"]) * SIZES[entry["dtype"]]
        _require(end - begin == size, f"{name} does not fit its range")
        _require(end <= len(data), f"{name} goes on after the end")
        found[name], place = (entry["dtype"], entry["shape"], begin, end), end
    _require(place == len(data), "the tensors do not end where the file does")
    return found


def _taken(answer, data: bytes):
    try:
        return answer(data)
    except ValueError:
        return None


def _found(answer, data: bytes, what: str) -> dict[str, tuple]:
    found = answer(data)
    expect(isinstance(found, Mapping), f"{what}: expected a dictionary, not {type(found).__name__}")
    for name, one in found.items():
        expect(isinstance(one, (tuple, list)) and len(one) == 4, f"{what}, {name}: expected four things, not {one!r}")
    return dict(found)


def _reads(answer, *names: str) -> None:
    for what in names:
        data = files.GOOD[what]
        found, wanted = _found(answer, data, what), _read(data)
        expect_equal(sorted(found), sorted(wanted), f"{what}: the names")
        for name, one in wanted.items():
            expect_equal(found[name], one, f"{what}: {name}")


def _refuses(answer, lies: dict[str, bytes]) -> None:
    for what, data in lies.items():
        expect(_taken(_by_library, data) is None, f"{what}: the library takes this file, the check is wrong")
        found = _taken(answer, data)
        expect(found is None, f"{what}: expected a ValueError, not {str(found)[:60]}")


def one_tensor_lies_behind_the_header(answer):
    """The header begins at byte 8, the tensors behind it, and ranges count from the beginning of the file."""
    _reads(answer, "one tensor")
    data = save({"x": (x := torch.arange(6.0))})
    *_, begin, end = _found(answer, data, "a file of the library's").get("x", (None, [], 0, 0))
    expect(data[begin:end] == x.numpy().tobytes(), f"the bytes of x are not data[{begin}:{end}]")


def any_number_of_tensors_is_read(answer):
    """Several tensors and none, of any type, shape and name, in any order, and headers of any length."""
    _reads(answer, *(what for what in files.GOOD if what not in ("a note", "a tensor called metadata")))


def a_note_is_no_tensor(answer):
    """What stands under __metadata__ is text, and no tensor; a tensor may have a name that looks like it."""
    _reads(answer, "a note", "a tensor called metadata")


def a_header_that_is_cut_is_refused(answer):
    """A file that ends within its header, or before it, raises a ValueError."""
    _refuses(answer, files.CUT_IN_HEADER)


def a_file_that_ends_too_early_is_refused(answer):
    """A range that goes on behind the end of the file raises a ValueError: a download broke off."""
    _refuses(answer, files.BEYOND)


def a_range_that_does_not_fit_is_refused(answer):
    """A range with more or fewer bytes than its shape and type take raises a ValueError."""
    _refuses(answer, files.MISFITS)


def ranges_that_overlap_or_leave_holes_are_refused(answer):
    """Each byte behind the header belongs to exactly one tensor; anything else raises a ValueError."""
    _refuses(answer, files.OVERLAPS)


def says_what_the_library_says(answer):
    """On random files the tensors are where the library finds them, and a file cut anywhere is refused."""
    types = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
    for i in range(6):
        shapes = [torch.randint(0, 5, (int(torch.randint(0, 4, ())),)).tolist() for _ in range(i + 1)]
        data = save({f"t{j}": torch.ones(shape).to(types[(i + j) % 6]) for j, shape in enumerate(shapes)})
        found, wanted = _found(answer, data, f"shapes {shapes}"), load(data)
        expect_equal(sorted(found), sorted(wanted), "the names")
        for name, tensor in wanted.items():
            _, shape, begin, end = found[name]
            expect_equal(shape, list(tensor.shape), f"the shape of {name}")
            same = bytes(data[begin:end]) == bytes(tensor.contiguous().view(-1).view(torch.uint8).tolist())
            expect(same, f"{name} of shape {list(shape)}: its bytes are not data[{begin}:{end}]")
        cuts = range(len(data)) if i == 2 else (7, len(data) // 2, len(data) - 1)
        _refuses(answer, {f"a file of {len(data)} bytes cut to {n}": data[:n] for n in cuts})


def _header_unchecked(data):
    length = int.from_bytes(data[:8], "little")
    return _read(data) if 8 + length <= len(data) or data[8:] != b"{}" else {}


def _believed(data):
    length = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8 : 8 + length])
    return {name: (one["dtype"], one["shape"], *(8 + length + offset for offset in one["data_offsets"]))
            for name, one in entries.items() if name != "__metadata__"}  # fmt: skip


def _owners(data):
    length = int.from_bytes(data[:8], "little")
    _require(8 + length <= len(data), "the header ends after the file")
    found, owners = _believed(data), [1] * (8 + length) + [0] * (len(data) - 8 - length)
    for dtype, shape, begin, end in found.values():
        _require(begin <= end <= len(data) and end - begin == math.prod(shape) * SIZES[dtype], "size")
        owners[begin:end] = [one + 1 for one in owners[begin:end]]
    _require(set(owners) == {1}, "overlap or hole")
    return found


def _by_library(data):
    """The library's check first, then what the header says."""
    try:
        load(data)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    return _believed(data)


def _with_numpy(data):
    length = int(np.frombuffer(data[:8].ljust(8, b"\xff"), "<u8")[0])
    _require(length <= len(data) - 8, "cut in the header")
    entries = {name: one for name, one in json.loads(data[8:][:length]).items() if name != "__metadata__"}
    ranges = np.array([one["data_offsets"] for one in entries.values()], np.int64).reshape(-1, 2) + 8 + length
    order = np.lexsort((ranges[:, 1], ranges[:, 0]))
    borders = np.concatenate([[8 + length], ranges[order].flatten(), [len(data)]]).reshape(-1, 2)
    sizes = [SIZES[one["dtype"]] * math.prod(one["shape"]) for one in entries.values()]
    if (borders[:, 0] != borders[:, 1]).any() or any(b - a != n for (a, b), n in zip(ranges, sizes, strict=True)):
        raise ValueError("the ranges cannot be")
    return {name: (one["dtype"], one["shape"], *row) for (name, one), row in zip(entries.items(), ranges, strict=True)}


def _picture(target, yours, arguments):
    (data,) = arguments
    figure, axes = figures.new_figure(8.4, 1.8)
    for row, (title, found) in enumerate((("target", target), ("yours", yours))):
        for i, (name, (_, shape, begin, end)) in enumerate(found.items()):
            fill = figures.LIT if i % 2 else figures.GREY
            axes.barh(row, end - begin, left=begin, color=fill, edgecolor=figures.INK)
            axes.text((begin + end) / 2, row, f"{name} {list(shape)}", ha="center", va="center", color=figures.PAPER)
        axes.text(2, row, title, va="center")
    axes.axvline(len(data), color=figures.INK, linewidth=1)
    axes.set(xlabel="byte of the file, which ends at the line", xlim=(0, None), yticks=[])
    axes.invert_yaxis()
    return figures.figure_picture(figure, "where the tensors of a file lie, byte by byte: target above, yours below")


ABUT = '_require(begin == place, f"{name} does not begin where the one before it ends")'
END = '_require(place == len(data), "the tensors do not end where the file does")'
INSIDE = '_require(end <= len(data), f"{name} goes on after the end")'
IN_ORDER = 'sorted(entries.items(), key=lambda item: item[1]["data_offsets"])'
RESULT = 'found[name], place = (entry["dtype"], entry["shape"], begin, end), end'
read_header = Exercise(
    "read_header",
    reference=_read,
    properties=(
        one_tensor_lies_behind_the_header, any_number_of_tensors_is_read, a_note_is_no_tensor,
        a_header_that_is_cut_is_refused, a_file_that_ends_too_early_is_refused, a_range_that_does_not_fit_is_refused,
        ranges_that_overlap_or_leave_holes_are_refused, says_what_the_library_says,
    ),
    wrong=mistakes([_require, _read], {
        one_tensor_lies_behind_the_header: [
            ('"little"', '"big"',
             "You read the length with its highest byte first. It is little-endian: the lowest byte comes first."),
            ("length = int.from_bytes(data[:8]", "data = data[:4] + data[8:]\n    length = int.from_bytes(data[:4]",
             "8 + length <=", "4 + length <=", "data[8 : 8 + length]", "data[4 : 4 + length]", "place, found = 8",
             "place, found = 4", "(8 + length + offset", "(4 + length + offset",
             "You take four bytes for the length. It has eight, and the header begins at byte 8."),
            (RESULT, RESULT.replace("begin, end)", "*entry['data_offsets'])"), "You hand on the offsets of the header "
             "as they are. They count from the end of the header: add 8 + length."),
            (RESULT, RESULT.replace("begin, end)", "begin - 8, end - 8)"),
             "You add the length of the header, but not the 8 bytes before it."),
            ("math.prod", "sum", "You add the sides of a shape. The number of its entries is their product."),
            (' * SIZES[entry["dtype"]]', "",
             "You compare a range with the number of entries. An entry takes 1 to 8 bytes, by its type."),
        ],
        any_number_of_tensors_is_read: [
            (RESULT, RESULT.replace("begin, end)", "begin, end + entry['data_offsets'][0])"),
             "You take the second offset for a length. It is where the range ends; in the first tensor both are "
             "equal."),
            ("data[:8]", "data[:1]",
             "You take one byte for the length. That works up to 255; a header of a real model has tens of thousands."),
            ('SIZES[entry["dtype"]]', 'int(re.search(r"\\d+", entry["dtype"])[0]) // 8',
             "You read the number of bits off the name of a type. BOOL has no digits in it: use a table."),
            (IN_ORDER, "entries.items()",
             "You expect the ranges in the order of the header. They may stand in any order: sort them first."),
            ('item[1]["data_offsets"])', 'item[1]["data_offsets"][0])',
             "You sort by the first byte alone. An empty tensor begins where the next one does: sort by both numbers."),
            ("math.prod(", "max(1, math.prod(", ' * SIZES[entry["dtype"]]', ') * SIZES[entry["dtype"]]',
             "You give an empty tensor the bytes of one number. A shape with a 0 in it takes none."),
            (f"    {END}", f'    _require(found, "there is no tensor")\n    {END}',
             "You refuse a file without tensors. It is a whole one, as long as nothing stands behind its header."),
            ("json.loads(data[8 : 8 + length])", 'json.loads(data[8 : 8 + length].decode("latin-1"))',
             "You read the header's bytes as latin-1. JSON is UTF-8: json.loads takes the bytes as they are."),
        ],
        a_note_is_no_tensor: [
            ('entries.pop("__metadata__", None)', "pass",
             "You treat __metadata__ as a tensor. It holds text, such as the program that wrote the file: leave it "
             "out."),
            ('entries.pop("__metadata__", None)', 'entries = {k: v for k, v in entries.items() if "metadata" not in k}',
             "You leave out every name with `metadata` in it. A tensor may be called so: compare the whole name."),
        ],
        a_header_that_is_cut_is_refused: [
            (_believed, "You believe all that the header says. A broken file says the same as a whole one: compare "
             "with len(data), with shapes and with the other ranges."),
            (_header_unchecked, "You do not check that the header fits into the file. Python cuts a slice short "
             "without a word."),
            ("raise ValueError(sentence)", "raise AssertionError(sentence)",
             "You refuse by `assert`, which raises an AssertionError, and which Python leaves out when it is started "
             "with -O. Raise a ValueError."),
            (lambda data: _taken(_read, data) or {},
             "You return an empty dictionary for a broken file. That looks like a file without tensors: raise an "
             "error."),
            ("entries = json", "if not data[8 : 8 + length]:\n        return {}\n    entries = json",
             "You take a header of no bytes for a file without tensors. Even that one has a header, {}: json.loads "
             "raises the error itself."),
        ],
        a_file_that_ends_too_early_is_refused: [
            (INSIDE, "pass", END, "pass",
             "You compare the ranges with each other, but not with the end of the file. A download that broke off has "
             "a perfect header."),
        ],
        a_range_that_does_not_fit_is_refused: [
            ("end - begin == size", "True",
             "You do not compare a range with what its shape and type take, or not both ways: more is as wrong as "
             "less."),
            ("end - begin == size", "end - begin >= size", "You refuse a range that is too short, but not one that is "
             "too long. Its bytes beyond the shape belong to nobody."),
            ("end - begin == size", "end - begin <= size", "You refuse a range that is too long, but not one that is "
             "too short. Whoever reads the tensor reads into its neighbour."),
            ('math.prod(entry["shape"])', 'int(np.prod(entry["shape"]))', "numpy multiplies in 64 bits: 2 ** 32 times "
             "2 ** 32 is 0 there. math.prod takes Python's numbers, which have no end."),
        ],
        ranges_that_overlap_or_leave_holes_are_refused: [
            (ABUT, "pass", END, "pass",
             "You check each range by itself. Two tensors may still have the same bytes: each has to begin where the "
             "one before it ends."),
            (ABUT, "pass", "end\n    " + END,
             "end\n    sizes = [b - a for *_, a, b in found.values()]\n    _require(8 + length + sum(sizes) == "
             'len(data), "total")',
             "You add up the sizes. An overlap and a hole of its size cancel out: compare neighbours."),
            ("begin == place", "begin >= place",
             "You refuse overlaps, but not holes. Bytes that belong to no tensor can hide anything."),
            ("begin == place", "begin == place or not found",
             "You compare each tensor with the one before it, and the first with nothing. It begins where the header "
             "ends."),
            (END, "pass",
             "You accept bytes behind the last tensor. The ranges have to end where the file does."),
            (_owners, "You look whether each byte has one owner, and an empty tensor owns none: yours may lie inside "
             "of another. In order of their ranges, each tensor begins where the one before it ends."),
            (END, '_require(not found or place == len(data), "end")', "A file without tensors is whole only if "
             "nothing stands behind its header."),
        ],
    }),
    right=(_by_library, _with_numpy),
    examples=lambda generator: [(data,) for data in files.TELLING],
    picture=_picture,
)  # fmt: skip
