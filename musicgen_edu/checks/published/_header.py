"""Answers to exercise 4, right and wrong."""

from __future__ import annotations

import json
import math
import re
import struct
from itertools import pairwise

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def require(condition: bool, sentence: str) -> None:
    if not condition:
        raise ValueError(sentence)


def header_read(data: bytes) -> dict[str, tuple[str, list[int], int, int]]:
    require(len(data) >= 8, "the file has no length")
    length = int.from_bytes(data[:8], "little")
    require(8 + length <= len(data), "the header ends after the file")
    entries = json.loads(data[8 : 8 + length])
    entries.pop("__metadata__", None)
    place, found = 8 + length, {}
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        require(begin == place, f"{name} does not begin where the one before it ends")
        require(end - begin == math.prod(entry["shape"]) * SIZES[entry["dtype"]], f"{name} does not fit its range")
        found[name], place = (entry["dtype"], entry["shape"], begin, end), end
    require(place == len(data), "the tensors do not end where the file does")
    return found


def as_it_stands(data, *, order="little", wide=8, at=8, start=True, after=True, notes=True, second_is_length=False):
    """What a header says, believed; with one thing or another done wrong."""
    length = int.from_bytes(data[:wide], order)
    entries, found = json.loads(data[at : at + length]), {}
    for name, entry in entries.items():
        if name == "__metadata__" and notes:
            continue
        begin, end = entry["data_offsets"]
        if second_is_length:
            end += begin
        base = (length if start else 0) + (8 if after else 0)
        found[name] = entry["dtype"], entry["shape"], base + begin, base + end
    return found


def big_endian(data):
    return checked(data, as_it_stands(data, order="big"))


def four_bytes(data):
    return checked(data, as_it_stands(data, wide=4, at=4))


def one_byte(data):
    return checked(data, as_it_stands(data, wide=1))


def from_the_body(data):
    header_read(data)
    return as_it_stands(data, start=False, after=False)


def without_eight(data):
    header_read(data)
    return as_it_stands(data, after=False)


def second_as_length(data):
    header_read(data)
    return as_it_stands(data, second_is_length=True)


def note_as_tensor(data):
    return checked(data, as_it_stands(data, notes=False))


def checked(data, found, sizes=True, inside=True, abut=True, ends=True, total=False, by_name=False):
    """The checks, each of which may be left out; `total` compares sums only, `by_name` takes the header's order."""
    length = int.from_bytes(data[:8], "little")
    require(len(data) >= 8 and 8 + length <= len(data), "the header ends after the file")
    place, all_bytes = 8 + length, 0
    for dtype, shape, begin, end in found.values() if by_name else sorted(found.values(), key=lambda one: one[2:]):
        size = math.prod(shape) * SIZES[dtype]
        require(not sizes or end - begin == size, "size")
        require(not inside or end <= len(data), "beyond")
        require(not abut or begin == place, "overlap or hole")
        place, all_bytes = end, all_bytes + size
    require(not ends or place == len(data), "end")
    require(not total or 8 + length + all_bytes == len(data), "total")
    return found


def believes(data):
    return as_it_stands(data)


def header_unchecked(data):
    """All is checked but that the header fits into the file: slices are cut short without a word."""
    found = as_it_stands(data)
    place = 8 + int.from_bytes(data[:8], "little")
    if found:
        checked(data, found)
        require(max(end for *_, end in found.values()) == len(data) or place == len(data), "end")
    return found


def end_unchecked(data):
    return checked(data, as_it_stands(data), inside=False, ends=False)


def size_unchecked(data):
    length = int.from_bytes(data[:8], "little")
    require(len(data) >= 8 and 8 + length <= len(data), "the header ends after the file")
    found = as_it_stands(data)
    ranges = sorted((begin, end) for *_, begin, end in found.values())
    require(all(one[1] == two[0] for one, two in pairwise(ranges)), "overlap or hole")
    require(not ranges or (ranges[0][0] == 8 + length and ranges[-1][1] == len(data)), "end")
    return found


def inside_only(data):
    return checked(data, as_it_stands(data), abut=False, ends=False)


def total_only(data):
    return checked(data, as_it_stands(data), abut=False, ends=False, total=True)


def more_at_the_end(data):
    return checked(data, as_it_stands(data), ends=False)


def holes_allowed(data):
    """Each tensor has to begin after the one before it."""
    found, place = checked(data, as_it_stands(data), abut=False), 0
    for *_, begin, end in sorted(found.values(), key=lambda one: one[2:]):
        require(begin >= place, "overlap")
        place = end
    return found


def first_unchecked(data):
    """Neighbours are compared, and the last one with the end of the file. The first has no neighbour."""
    found = checked(data, as_it_stands(data), abut=False)
    ranges = sorted((begin, end) for *_, begin, end in found.values())
    require(all(one[1] == two[0] for one, two in pairwise(ranges)), "overlap or hole")
    return found


def in_order_of_names(data):
    return checked(data, as_it_stands(data), by_name=True)


def by_begin_only(data):
    """Two tensors that begin at the same byte, one of them empty, stay in the order of the header."""
    found = as_it_stands(data)
    return checked(data, dict(sorted(found.items(), key=lambda item: item[1][2])), by_name=True)


def sizes_by_digits(data):
    found = as_it_stands(data)
    for dtype, shape, begin, end in found.values():
        bits = int(re.search(r"\d+", dtype)[0])
        require(end - begin == math.prod(shape) * bits // 8, "size")
    return checked(data, found)


def shape_added(data):
    found = as_it_stands(data)
    for dtype, shape, begin, end in found.values():
        require(end - begin == sum(shape) * SIZES[dtype], "size")
    return found


def numbers_not_bytes(data):
    found = as_it_stands(data)
    for _, shape, begin, end in found.values():
        require(end - begin == math.prod(shape), "size")
    return found


def asserted(data):
    try:
        return header_read(data)
    except ValueError as error:
        raise AssertionError(str(error)) from error


def empty_for_a_lie(data):
    try:
        return header_read(data)
    except ValueError:
        return {}


def by_struct(data):
    """Each range has to begin where the one before it ends, the header and the end of the file among them."""
    if len(data) < 8:
        raise ValueError("too short")
    (length,) = struct.unpack_from("<Q", data)
    body = memoryview(data)[8:][length:]
    if len(data) - 8 < length:
        raise ValueError("the header is cut")
    found = {}
    for name, entry in json.loads(bytes(data[8 : length + 8])).items():
        if name.startswith("__"):
            continue
        first, last = entry["data_offsets"]
        numbers = 1
        for side in entry["shape"]:
            numbers *= side
        if not 0 <= first <= last <= len(body) or (last - first) != numbers * SIZES[entry["dtype"]]:
            raise ValueError(f"{name} does not fit")
        found[name] = [entry["dtype"], tuple(entry["shape"]), 8 + length + first, 8 + length + last]
    ranges = sorted((a, b) for *_, a, b in found.values())
    for (_, one), (two, _) in pairwise([(0, 8 + length), *ranges, (len(data), 0)]):
        if one != two:
            raise ValueError("overlap or hole")
    return found


def owners(data):
    """A mark on each byte that has an owner: no mark twice, and none missing."""
    length = int.from_bytes(data[:8], "little")
    found, marks = as_it_stands(data), bytearray(max(0, len(data) - 8 - length))
    for dtype, shape, begin, end in found.values():
        begin, end = begin - 8 - length, end - 8 - length
        require(0 <= begin <= end <= len(marks) and end - begin == math.prod(shape) * SIZES[dtype], "size")
        require(not any(marks[begin:end]), "overlap")
        marks[begin:end] = b"\x01" * (end - begin)
    require(8 + length + sum(marks) == len(data), "hole")
    return found


def by_library(data):
    """The library's check first, then what the header says."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        load(data)
    except SafetensorError as error:
        raise ValueError(str(error)) from error
    length = int.from_bytes(data[:8], "little")
    entries = json.loads(data[8 : 8 + length])
    return {
        name: (one["dtype"], one["shape"], *(8 + length + offset for offset in one["data_offsets"]))
        for name, one in entries.items()
        if name != "__metadata__"
    }
