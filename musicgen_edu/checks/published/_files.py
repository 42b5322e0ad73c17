"""Small files of weights for exercise 4: whole ones, and ones that lie."""

from __future__ import annotations

import json
import struct

SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


def file(*tensors: tuple[str, str, list[int], int, int], body: int, length: int | None = None, **more) -> bytes:
    """A file of tensors (name, type, shape, begin, end) before a body of so many bytes; `length` may lie."""
    entries = {name: {"dtype": t, "shape": shape, "data_offsets": [a, b]} for name, t, shape, a, b in tensors}
    header = json.dumps(more | entries, ensure_ascii=False).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + bytes(i % 251 for i in range(body))


PAIR = file(("a", "F32", [2, 3], 0, 24), ("b", "F32", [2, 4], 24, 56), body=56)
GOOD = {
    "one tensor": file(("a", "F32", [2, 3], 0, 24), body=24),
    "two tensors": PAIR,
    "half precision": file(("a", "F16", [2, 3], 0, 12), ("b", "BF16", [5, 1], 12, 22), body=22),
    "a flag and codes": file(("codes", "I64", [2, 2], 0, 32), ("inited", "BOOL", [1], 32, 33), body=33),
    "integers of all sizes": file(("a", "I32", [2], 0, 8), ("b", "I16", [3], 8, 14), ("c", "I8", [3], 14, 17), body=17),
    "a single number": file(("scale", "F32", [], 0, 4), ("b", "U8", [3], 4, 7), body=7),
    "an empty tensor": file(("a", "F32", [0, 3], 0, 0), ("b", "F32", [1], 0, 4), body=4),
    "an empty tensor, named last": file(("b", "F32", [1], 0, 4), ("none", "F32", [0, 3], 0, 0), body=4),
    "an empty tensor at the end": file(("none", "F32", [0, 3], 4, 4), ("b", "F32", [1], 0, 4), body=4),
    "no tensor at all": file(body=0),
    "names in another order than bytes": file(("a", "F32", [4], 8, 24), ("b", "F64", [1], 0, 8), body=24),
    "forty tensors": file(*((f"layers.{i}.weight", "F32", [2], 8 * i, 8 * i + 8) for i in range(40)), body=320),
    "a name with an umlaut": file(("größe", "F32", [1], 0, 4), ("a", "F32", [1], 4, 8), body=8),
    "a note": file(("a", "F32", [2], 0, 8), body=8, __metadata__={"format": "pt"}),
    "a tensor called metadata": file(("metadata", "F32", [1], 0, 4), body=4, __metadata__={"format": "pt"}),
}
CUT_IN_HEADER = {
    "nothing at all": b"",
    "five bytes": PAIR[:5],
    "a length and nothing else": PAIR[:8],
    "a file that ends in its header": PAIR[:60],
    "a file that lacks the last byte of its header": file(body=0)[:-1],
    "a header longer than the file": file(body=0, length=1000),
    "a header of 2 ** 63 bytes": file(body=0, length=2**63),
    "a header of no bytes, which is no JSON": bytes(8),
}
BEYOND = {
    "a file that ends in its last tensor": PAIR[:-1],
    "a file that ends before its last tensor": PAIR[:-32],
    "a range far beyond": file(("a", "F32", [1000], 0, 4000), body=4),
    "an empty tensor far beyond": file(("a", "F32", [1], 0, 4), ("b", "F32", [0], 400, 400), body=4),
}
MISFITS = {
    "24 bytes for 5 numbers": file(("a", "F32", [5], 0, 24), body=24),
    "24 bytes for 7 numbers": file(("a", "F32", [7], 0, 24), body=24),
    "8 bytes for 3 numbers": file(("a", "F32", [3], 0, 8), ("b", "F32", [1], 8, 12), body=12),
    "4 bytes for one of 2 bytes": file(("a", "F16", [1], 0, 4), body=4),
    "8 bytes for a single number of 4": file(("a", "F32", [], 0, 8), body=8),
    "4 bytes for no number": file(("a", "F32", [0, 2], 0, 4), body=4),
    "no bytes for a single number": file(("a", "F32", [], 0, 0), body=0),
    "no bytes for 2 ** 64 numbers": file(("a", "F32", [2**32, 2**32], 0, 0), body=0),
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
    "an empty tensor inside another": file(("a", "F32", [2], 0, 8), ("b", "F32", [0], 4, 4), body=8),
    "a hole between two tensors": file(("a", "F32", [1], 0, 4), ("b", "F32", [1], 8, 12), body=12),
    "a hole before the first": file(("a", "F32", [1], 4, 8), body=8),
    "a tensor that begins in the header": file(("a", "F32", [1], -4, 0), body=0),
    "bytes that nobody owns at the end": file(("a", "F32", [1], 0, 4), body=9),
    "bytes that nobody owns, and no tensor": file(body=4),
}
TELLING = (  # enough to tell all answers on record apart
    *(GOOD[what] for what in (
        "two tensors", "a flag and codes", "names in another order than bytes", "forty tensors", "a note",
        "a single number", "an empty tensor", "an empty tensor, named last", "no tensor at all",
        "a name with an umlaut", "a tensor called metadata",
    )),
    CUT_IN_HEADER["a header longer than the file"],
    CUT_IN_HEADER["a header of no bytes, which is no JSON"],
    BEYOND["a file that ends in its last tensor"],
    *(MISFITS[what] for what in ("24 bytes for 5 numbers", "24 bytes for 7 numbers", "no bytes for 2 ** 64 numbers")),
    *(OVERLAPS[what] for what in (
        "two tensors with the same bytes", "an overlap, and a hole of its size", "a hole before the first",
        "a hole between two tensors", "bytes that nobody owns at the end", "an empty tensor inside another",
    )),
)  # fmt: skip
