"""Small files of weights for exercise 4: whole ones, and ones that lie."""

from __future__ import annotations

import json
import struct


def file(*tensors: tuple[str, str, list[int], int, int], body: int, length: int | None = None, **more) -> bytes:
    """A file of tensors (name, type, shape, begin, end) before a body of so many bytes; `length` may lie."""
    entries = {name: {"dtype": t, "shape": shape, "data_offsets": [a, b]} for name, t, shape, a, b in tensors}
    header = json.dumps(more | entries).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + bytes(i % 251 for i in range(body))


PAIR = file(("a", "F32", [2, 3], 0, 24), ("b", "F32", [2, 4], 24, 56), body=56)
GOOD = {
    "one tensor": file(("a", "F32", [2, 3], 0, 24), body=24),
    "two tensors": PAIR,
    "half precision": file(("a", "F16", [2, 3], 0, 12), ("b", "BF16", [5, 1], 12, 22), body=22),
    "a flag and codes": file(("codes", "I64", [2, 2], 0, 32), ("inited", "BOOL", [1], 32, 33), body=33),
    "a single number": file(("scale", "F32", [], 0, 4), ("b", "U8", [3], 4, 7), body=7),
    "an empty tensor": file(("a", "F32", [0, 3], 0, 0), ("b", "F32", [1], 0, 4), body=4),
    "an empty tensor, named last": file(("b", "F32", [1], 0, 4), ("none", "F32", [0, 3], 0, 0), body=4),
    "names in another order than bytes": file(("a", "F32", [4], 8, 24), ("b", "F64", [1], 0, 8), body=24),
    "forty tensors": file(*((f"layers.{i}.weight", "F32", [2], 8 * i, 8 * i + 8) for i in range(40)), body=320),
    "a note": file(("a", "F32", [2], 0, 8), body=8, __metadata__={"format": "pt"}),
}
CUT_IN_HEADER = {
    "nothing at all": b"",
    "five bytes": PAIR[:5],
    "a file that ends in its header": PAIR[:60],
    "a header longer than the file": file(body=0, length=1000),
}
BEYOND = {
    "a file that ends in its last tensor": PAIR[:-1],
    "a file that ends before its last tensor": PAIR[:-32],
    "a range far beyond": file(("a", "F32", [1000], 0, 4000), body=4),
}
MISFITS = {
    "24 bytes for 5 numbers": file(("a", "F32", [5], 0, 24), body=24),
    "8 bytes for 3 numbers": file(("a", "F32", [3], 0, 8), ("b", "F32", [1], 8, 12), body=12),
    "4 bytes for one of 2 bytes": file(("a", "F16", [1], 0, 4), body=4),
    "a range that ends before it begins": file(
        ("a", "F32", [2], 0, 8), ("b", "F32", [1], 8, 4), ("c", "F32", [1], 4, 8), body=8
    ),
}
OVERLAPS = {
    "two tensors with the same bytes": file(("a", "F32", [2], 0, 8), ("b", "F32", [2], 0, 8), body=8),
    "two tensors that overlap": file(("a", "F32", [2], 0, 8), ("b", "F32", [2], 4, 12), body=12),
    "an overlap, and a hole of its size": file(
        ("a", "F32", [2], 0, 8), ("b", "F32", [2], 4, 12), ("c", "F32", [1], 16, 20), body=20
    ),
    "a hole between two tensors": file(("a", "F32", [1], 0, 4), ("b", "F32", [1], 8, 12), body=12),
    "a hole before the first": file(("a", "F32", [1], 4, 8), body=8),
    "bytes that nobody owns at the end": file(("a", "F32", [1], 0, 4), body=9),
}
TELLING = (  # enough to tell all answers on record apart
    *(GOOD[what] for what in ("two tensors", "a flag and codes", "names in another order than bytes", "forty tensors")),
    GOOD["a note"],
    *(GOOD[what] for what in ("a single number", "an empty tensor", "an empty tensor, named last")),
    CUT_IN_HEADER["a header longer than the file"],
    BEYOND["a file that ends in its last tensor"],
    MISFITS["24 bytes for 5 numbers"],
    *(OVERLAPS[what] for what in ("two tensors with the same bytes", "an overlap, and a hole of its size")),
    OVERLAPS["a hole before the first"],
    *(OVERLAPS[what] for what in ("a hole between two tensors", "bytes that nobody owns at the end")),
)
