"""Exercise 4, `read_header`: what a file of weights says, and whether it can be true."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import torch

from ... import figures
from .. import Exercise, Wrong, expect
from . import _files as files
from . import _header as answers


@cache
def _library_accepts(data: bytes) -> bool:
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        load(data)
    except SafetensorError:
        return False
    return True


def _found(answer: Callable, data: bytes, what: str) -> dict[str, tuple]:
    found = answer(data)
    expect(isinstance(found, Mapping), f"{what}: expected a dictionary, not {type(found).__name__}")
    for name, one in found.items():
        expect(isinstance(one, (tuple, list)) and len(one) == 4, f"{what}, {name}: expected four things, not {one!r}")
    return {name: (dtype, list(shape), begin, end) for name, (dtype, shape, begin, end) in found.items()}


def _reads(answer: Callable, what: str) -> None:
    data = files.GOOD[what]
    found, wanted = _found(answer, data, what), answers.header_read(data)
    expect(found.keys() == wanted.keys(), f"{what}: expected the names {sorted(wanted)}, not {sorted(found)}")
    for name, one in wanted.items():
        expect(found[name] == one, f"{what}: {name} is {one}, not {found[name]}")


def _refuses(answer: Callable, lies: dict[str, bytes]) -> None:
    for what, data in lies.items():
        expect(not _library_accepts(data), f"{what}: the library takes this file, the check is wrong")
        try:
            found = answer(data)
        except ValueError:
            continue
        expect(False, f"{what}: expected a ValueError, not {str(found)[:60]}")


def one_tensor_lies_behind_the_header(answer):
    """The header begins at byte 8, the tensors behind it, and ranges count from the beginning of the file."""
    _reads(answer, "one tensor")
    x = torch.arange(6.0).view(2, 3)
    from safetensors.torch import save

    data = save({"x": x})
    *_, begin, end = _found(answer, data, "a file of the library's").get("x", (None, [], 0, 0))
    expect(data[begin:end] == x.numpy().tobytes(), f"the bytes of x are not data[{begin}:{end}]")


def any_number_of_tensors_is_read(answer):
    """Several tensors, of any type and shape, in any order, and headers of any length."""
    for what in files.GOOD:
        if what != "a note":
            _reads(answer, what)


def a_note_is_no_tensor(answer):
    """What stands under __metadata__ is text, and no tensor."""
    _reads(answer, "a note")


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
    from safetensors.torch import load, save

    types = (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
    for i in range(6):
        shapes = [torch.randint(0, 5, (int(torch.randint(0, 4, ())),)).tolist() for _ in range(i + 1)]
        data = save({f"t{j}": torch.ones(shape).to(types[(i + j) % 6]) for j, shape in enumerate(shapes)})
        found, wanted = _found(answer, data, f"shapes {shapes}"), load(data)
        expect(found.keys() == wanted.keys(), f"expected the names {sorted(wanted)}, not {sorted(found)}")
        for name, tensor in wanted.items():
            _, shape, begin, end = found[name]
            expect(shape == list(tensor.shape), f"{name} has shape {list(tensor.shape)}, not {shape}")
            same = bytes(data[begin:end]) == bytes(tensor.contiguous().view(-1).view(torch.uint8).tolist())
            expect(same, f"{name} of shape {shape}: its bytes are not data[{begin}:{end}]")
        _refuses(answer, {f"a file cut to {n} bytes": data[:n] for n in (7, len(data) // 2, len(data) - 1) if n >= 0})


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


read_header = Exercise(
    "read_header",
    reference=answers.header_read,
    properties=(
        one_tensor_lies_behind_the_header,
        any_number_of_tensors_is_read,
        a_note_is_no_tensor,
        a_header_that_is_cut_is_refused,
        a_file_that_ends_too_early_is_refused,
        a_range_that_does_not_fit_is_refused,
        ranges_that_overlap_or_leave_holes_are_refused,
        says_what_the_library_says,
    ),
    wrong=(
        Wrong(
            answers.big_endian,
            "one_tensor_lies_behind_the_header",
            "You read the length with its highest byte first. It is little-endian: the lowest byte comes first.",
        ),
        Wrong(
            answers.four_bytes,
            "one_tensor_lies_behind_the_header",
            "You take four bytes for the length. It has eight, and the header begins at byte 8.",
        ),
        Wrong(
            answers.from_the_body,
            "one_tensor_lies_behind_the_header",
            "You hand on the offsets of the header as they are. They count from the end of the header: add 8 + length.",
        ),
        Wrong(
            answers.without_eight,
            "one_tensor_lies_behind_the_header",
            "You add the length of the header, but not the 8 bytes before it.",
        ),
        Wrong(
            answers.shape_added,
            "one_tensor_lies_behind_the_header",
            "You add the sides of a shape. The number of its entries is their product.",
        ),
        Wrong(
            answers.numbers_not_bytes,
            "one_tensor_lies_behind_the_header",
            "You compare a range with the number of entries. An entry takes 1 to 8 bytes, by its type.",
        ),
        Wrong(
            answers.second_as_length,
            "any_number_of_tensors_is_read",
            "You take the second offset for a length. It is where the range ends; in the first tensor both are equal.",
        ),
        Wrong(
            answers.one_byte,
            "any_number_of_tensors_is_read",
            "You take one byte for the length. That works up to 255; a header of a real model has tens of thousands.",
        ),
        Wrong(
            answers.sizes_by_digits,
            "any_number_of_tensors_is_read",
            "You read the number of bits off the name of a type. BOOL has no digits in it: use a table.",
        ),
        Wrong(
            answers.in_order_of_names,
            "any_number_of_tensors_is_read",
            "You expect the ranges in the order of the header. They may stand in any order: sort them first.",
        ),
        Wrong(
            answers.by_begin_only,
            "any_number_of_tensors_is_read",
            "You sort by the first byte alone. An empty tensor begins where the next one does: sort by both numbers.",
        ),
        Wrong(
            answers.note_as_tensor,
            "a_note_is_no_tensor",
            "You treat __metadata__ as a tensor. It holds text, such as the program that wrote the file: leave it out.",
        ),
        Wrong(
            answers.believes,
            "a_header_that_is_cut_is_refused",
            "You believe all that the header says. A broken file says the same as a whole one: compare with len(data), "
            "with shapes and with the other ranges.",
        ),
        Wrong(
            answers.header_unchecked,
            "a_header_that_is_cut_is_refused",
            "You do not check that the header fits into the file. Python cuts a slice short without a word.",
        ),
        Wrong(
            answers.asserted,
            "a_header_that_is_cut_is_refused",
            "You refuse by `assert`, which raises an AssertionError, and which Python leaves out when it is started "
            "with -O. Raise a ValueError.",
        ),
        Wrong(
            answers.empty_for_a_lie,
            "a_header_that_is_cut_is_refused",
            "You return an empty dictionary for a broken file. That looks like a file without tensors: raise an error.",
        ),
        Wrong(
            answers.end_unchecked,
            "a_file_that_ends_too_early_is_refused",
            "You compare the ranges with each other, but not with the end of the file. A download that broke off has a "
            "perfect header.",
        ),
        Wrong(
            answers.size_unchecked,
            "a_range_that_does_not_fit_is_refused",
            "You do not compare a range with what its shape and type take, or not both ways: more is as wrong as less.",
        ),
        Wrong(
            answers.inside_only,
            "ranges_that_overlap_or_leave_holes_are_refused",
            "You check each range by itself. Two tensors may still have the same bytes: each has to begin where the "
            "one before it ends.",
        ),
        Wrong(
            answers.total_only,
            "ranges_that_overlap_or_leave_holes_are_refused",
            "You add up the sizes. An overlap and a hole of its size cancel out: compare neighbours.",
        ),
        Wrong(
            answers.holes_allowed,
            "ranges_that_overlap_or_leave_holes_are_refused",
            "You refuse overlaps, but not holes. Bytes that belong to no tensor can hide anything.",
        ),
        Wrong(
            answers.first_unchecked,
            "ranges_that_overlap_or_leave_holes_are_refused",
            "You compare each tensor with the one before it, and the first with nothing. It begins where the header "
            "ends.",
        ),
        Wrong(
            answers.more_at_the_end,
            "ranges_that_overlap_or_leave_holes_are_refused",
            "You accept bytes behind the last tensor. The ranges have to end where the file does.",
        ),
    ),
    right=(answers.by_struct, answers.by_library, answers.owners),
    examples=lambda generator: [(data,) for data in files.TELLING],
    picture=_picture,
)
