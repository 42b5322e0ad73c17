"""How a submission is read for grading: whatever was done to its cells, the course's own are there, once and in place.

The small course here has two exercises and a question; what nbgrader makes of such submissions is in test_class.py.
"""

from __future__ import annotations

import copy
import json
import os
import runpy
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="lecturers install it: pip install musicgen_edu[lecturer]")

import nbformat
from nbgrader.nbgraderformat import MetadataValidator
from traitlets.config import Config

CONFIG = Path(__file__).parents[2] / "lessons" / "assignments" / "nbgrader_config.py"
STUB = "def {0}(x):\n    raise NotImplementedError()"


def marked(kind: str, name: str, text: str, grade: bool = False, solution: bool = False) -> dict:
    mark = {"grade": grade, "grade_id": name, "locked": not solution, "schema_version": 3, "solution": solution}
    mark |= {"task": False} | ({"points": 2} if grade else {})
    return {"cell_type": kind, "metadata": {"nbgrader": mark}, "source": text}


def course() -> list[dict]:
    """The cells as they are handed out."""
    return [
        marked("markdown", "title", "# Doubling"),
        marked("code", "setup", "import torch"),
        marked("code", "double", STUB.format("double"), solution=True),
        marked("code", "double-check", "check.double(double)", grade=True),
        marked("code", "halve", STUB.format("halve"), solution=True),
        marked("code", "halve-check", "check.halve(halve)", grade=True),
        marked("markdown", "why", "YOUR ANSWER HERE", grade=True, solution=True),
    ]


KNOWN = {
    one["metadata"]["nbgrader"]["grade_id"]: {
        "kind": one["cell_type"],
        "text": one["source"],
        "mark": one["metadata"]["nbgrader"],
    }
    for one in course()
}
ANSWERS = {"double": "def double(x):\n    return 2 * x", "halve": "def halve(x):\n    return x / 2", "why": "Because."}


@pytest.fixture(scope="module")
def config() -> dict:
    return runpy.run_path(str(CONFIG), {"get_config": Config})


def solved() -> list[dict]:
    cells = course()
    for one in cells:
        one["source"] = ANSWERS.get(one["metadata"]["nbgrader"]["grade_id"], one["source"])
    return cells


def place(cells: list[dict], name: str) -> int:
    return next(i for i, one in enumerate(cells) if one["metadata"]["nbgrader"]["grade_id"] == name)


def written(cells: list[dict], **more) -> bytes:
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5} | more).encode()


def read(config: dict, data: bytes) -> list[tuple[str, str]]:
    """Name and text of each cell of what is graded; it is valid for Jupyter and for nbgrader."""
    cells = config["with_what_was_deleted"](config["with_names"](config["cells_in"](data), KNOWN), KNOWN)
    notebook = config["notebook_of"](cells, KNOWN)
    nbformat.validate(notebook)
    MetadataValidator().validate_nb(notebook)
    return [(one.metadata.get("nbgrader", {}).get("grade_id", ""), one.source) for one in notebook.cells]


def copied_stub(cells):
    at = place(cells, "double")
    cells.insert(at + 1, marked("code", "double", STUB.format("double"), solution=True))


def copied_stub_before(cells):
    cells.insert(place(cells, "double"), marked("code", "double", STUB.format("double"), solution=True))


def copied_twice_with_ids(cells):
    for _ in range(2):
        cells.append(copy.deepcopy(cells[place(cells, "halve")]))
    for one in cells:
        one["id"] = "the-same"


def copied_check(cells):
    cells.insert(2, copy.deepcopy(cells[place(cells, "double-check")]))


def copied_question(cells):
    cells.append(marked("markdown", "why", "YOUR ANSWER HERE", grade=True, solution=True))


def copied_everything(cells):
    cells += copy.deepcopy(cells)


def deleted_check(cells):
    del cells[place(cells, "double-check")]


def deleted_checks_and_setup(cells):
    for name in ("double-check", "halve-check", "setup", "title"):
        del cells[place(cells, name)]


def changed_check(cells):
    cells[place(cells, "double-check")]["source"] = "print('all properties hold')"


def versions(version):
    def change(cells):
        for one in cells:
            one["metadata"]["nbgrader"]["schema_version"] = version

    return change


def without(key):
    def change(cells):
        for one in cells:
            one["metadata"]["nbgrader"].pop(key, None)

    return change


def spoiled(key, value):
    def change(cells):
        for one in cells:
            one["metadata"]["nbgrader"][key] = value

    return change


def other_kinds(cells):
    for one in cells:
        one["cell_type"] = {"code": "markdown", "markdown": "raw"}[one["cell_type"]]


def no_metadata_on_locked_cells(cells):
    for one in cells:
        if one["metadata"]["nbgrader"]["locked"]:
            one["metadata"] = {}


def tags_that_skip(cells):
    for one in cells:
        one["metadata"]["tags"] = ["skip-execution", "raises-exception"]


def own_cells(cells):
    cells.insert(0, {"cell_type": "code", "source": "notes = 1", "metadata": {"nbgrader": {"grade_id": "mine"}}})
    cells.append({"cell_type": "markdown", "source": "![me](attachment:me.png)", "attachments": {"me.png": {}}})
    cells.insert(3, {"cell_type": "code", "source": "1", "metadata": {"nbgrader": None}})
    cells.insert(3, {"cell_type": "code", "source": "2", "metadata": {"nbgrader": [1]}})
    cells.insert(3, {"cell_type": "code", "source": ["3", "4"], "metadata": None})
    cells.insert(3, {"cell_type": "heading", "level": 2, "source": "mine"})
    cells.insert(3, {})


def broken_outputs(cells):
    for one in cells:
        one |= {"outputs": "none", "execution_count": "x", "id": "no id!"}


def lists_of_lines(cells):
    for one in cells:
        one["source"] = one["source"].splitlines(keepends=True)


def half_a_character(cells):
    cells.append({"cell_type": "code", "source": "# \ud83c", "metadata": {}})


CHANGES = [
    copied_stub, copied_stub_before, copied_twice_with_ids, copied_check, copied_question, copied_everything,
    deleted_check, deleted_checks_and_setup, changed_check, *map(versions, (1, 2, 4, 99, "3", None)),
    *map(without, ("schema_version", "points", "locked", "grade", "solution", "task")),
    spoiled("points", -5), spoiled("points", "many"), spoiled("grade", "yes"), spoiled("solution", True),
    spoiled("locked", False), spoiled("extra", 1), other_kinds, no_metadata_on_locked_cells, tags_that_skip, own_cells,
    broken_outputs, lists_of_lines, half_a_character,
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__qualname__)
def test_every_cell_of_the_course_is_there_once_with_the_answer_before_its_check(config, change):
    cells = solved()
    change(cells)
    found = read(config, written(cells))
    names = [name for name, _ in found if name]
    assert sorted(names) == sorted(KNOWN)
    texts = dict(found)
    assert {name: texts[name] for name in ANSWERS} == ANSWERS
    order = [one["text"] if (one := KNOWN.get(name)) and one["mark"]["locked"] else text for name, text in found]
    assert not any("NotImplementedError" in text for text in order), "a stub would undo the answer"
    for name in ("double", "halve"):
        assert order.index("import torch") < order.index(ANSWERS[name]) < order.index(f"check.{name}({name})")
    own = {one["source"] for one in cells if isinstance(one.get("source"), str)} & {"notes = 1", "1", "2"}
    assert own <= set(order), "what a student added runs, too"


def test_a_function_that_was_written_elsewhere_is_not_undone_and_is_checked_after_it(config):
    cells = solved()
    del cells[place(cells, "double-check")]
    cells[place(cells, "double")] = {"cell_type": "code", "source": ANSWERS["double"], "metadata": {}}
    found = read(config, written(cells))
    assert found[2:4] == [("", ANSWERS["double"]), ("double-check", "check.double(double)")]
    assert "double" not in dict(found)


def test_an_unanswered_stub_stays_one(config):
    cells = course()
    copied_stub(cells)
    assert [text for _, text in read(config, written(cells))] == [one["source"] for one in course()]


def test_a_notebook_of_an_older_format_is_read(config):
    old = [{k: v for k, v in one.items() if k != "source"} for one in solved()]
    for one, new in zip(old, solved(), strict=True):
        one["input" if one["cell_type"] == "code" else "source"] = new["source"].splitlines(keepends=True)
    data = json.dumps({"worksheets": [{"cells": old}], "metadata": {"name": ""}, "nbformat": 3}).encode()
    assert read(config, data) == read(config, written(solved()))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_the_encoding_of_a_file_costs_nothing(config, encoding):
    cells = solved()
    cells[place(cells, "why")]["source"] = "Weil es genügt."
    data = json.dumps({"cells": cells}, ensure_ascii=False).encode(encoding)
    assert dict(read(config, data))["why"] == "Weil es genügt."


@pytest.mark.parametrize(
    "data",
    [b"", b" \n", b"no json", written(solved())[:200], b"[]", b"null", b"3", b"{}", b'{"cells": 3}', b'{"cells": []}',
     b'{"worksheets": [3]}', b"\x00\xff\xfe", b"PK\x03\x04", b"<html>", b"[" * 100_000],
    ids=lambda data: repr(data[:9]),
)  # fmt: skip
def test_what_is_no_notebook_is_told_and_not_raised_at_the_class(config, data):
    with pytest.raises((ValueError, RecursionError)):
        config["cells_in"](data)


def test_a_notebook_under_another_name_is_copied_to_its_own(config, tmp_path):
    put = {"other.ipynb": b"{}", "double (1).ipynb": written(course()), "double-Copy1.ipynb": written(solved())}
    for i, (name, data) in enumerate(put.items()):
        (tmp_path / name).write_bytes(data)
        os.utime(tmp_path / name, (1000 - 300 * (i == 0) + i,) * 2)
    notebooks = [str(tmp_path / name) for name in put]
    config["under_its_name"](assignment="double", student="*", notebooks=notebooks)
    assert notebooks[3:] == [str(tmp_path / "double.ipynb")]
    assert (tmp_path / "double.ipynb").read_bytes() == written(solved())
    (tmp_path / "double.ipynb").write_bytes(b"mine")
    config["under_its_name"](assignment="double", student="*", notebooks=notebooks)
    assert (tmp_path / "double.ipynb").read_bytes() == b"mine"
    assert len(notebooks) == 4
