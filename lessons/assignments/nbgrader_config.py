"""How nbgrader releases and grades the assignments. It is read wherever nbgrader is started in this folder.

Below the settings: how a submission is read. What one student did to the cells must not keep a class from its marks.
"""

import json
import shutil
from pathlib import Path

from nbconvert.exporters import NotebookExporter
from nbformat import v4
from nbgrader.api import Gradebook
from traitlets.log import get_logger

c = get_config()  # noqa: F821  nbgrader gives it to this file
ROOT = Path(__file__).resolve().parent

# nbgrader wants an absolute path here; this one follows the folder wherever it is copied.
c.CourseDirectory.root = str(ROOT)
c.CourseDirectory.course_id = "musicgen_edu"

# What a stub holds. The checks know an exercise that nobody has begun by this error without a message.
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError()"}

# Seconds that one cell of a submission may take. An endless loop is interrupted then, and the next cell begins.
c.Execute.timeout = 60
# A submission prints into its feedback: not more than this.
c.LimitOutput.max_lines = 500
c.LimitOutput.max_traceback = 30


def handed_out(assignment: str, notebook: str, db_url: str) -> dict[str, dict]:
    """The cells of an assignment by their names, in order: kind, the text that students got, nbgrader's mark."""
    source = json.loads((ROOT / "source" / assignment / f"{notebook}.ipynb").read_text(encoding="utf-8"))
    with Gradebook(db_url) as gradebook:
        texts = {cell.name: cell.source for cell in gradebook.find_notebook(notebook, assignment).source_cells}
    marked = [(cell["cell_type"], cell["metadata"].get("nbgrader", {})) for cell in source["cells"]]
    return {
        mark["grade_id"]: {"kind": kind, "text": texts[mark["grade_id"]], "mark": mark}
        for kind, mark in marked
        if mark.get("grade_id") in texts
    }


def part(thing: object, key: str, kind: type):
    """thing[key] if it is there and of that kind, else an empty one."""
    found = thing.get(key) if isinstance(thing, dict) else None
    return found if isinstance(found, kind) else kind()


def cells_in(data: bytes) -> list[dict]:
    """Kind, text, name and attachments of each cell of a notebook, of nbformat 3, too; whatever else is wrong with it.

    Raises:
        ValueError: this is no notebook with cells, with the reason.
    """
    try:
        notebook = json.loads(data)
    except UnicodeDecodeError:
        notebook = json.loads(data.decode("latin-1"))
    sheets = [notebook, *part(notebook, "worksheets", list)]
    found = [cell for sheet in sheets for cell in part(sheet, "cells", list) if isinstance(cell, dict)]
    if not found:
        raise ValueError("there are no cells in it")
    cells = []
    for cell in found:
        text = cell.get("source", cell.get("input", ""))
        text = "".join(map(str, text)) if isinstance(text, list) else str(text)
        kind = cell.get("cell_type") if cell.get("cell_type") in ("code", "raw") else "markdown"
        name = part(part(part(cell, "metadata", dict), "nbgrader", dict), "grade_id", str)
        text = text.encode("utf-8", "replace").decode("utf-8")  # half a character cannot be written again
        cells.append({"kind": kind, "text": text, "name": name, "attachments": part(cell, "attachments", dict)})
    return cells


def with_names(cells: list[dict], known: dict[str, dict]) -> list[dict]:
    """Each of the course's cells once under its name; copies, and cells that the course does not know, have none.

    Of several checks or answers the last one counts, of other cells the first. A stub that is as it was handed out does
    not count, nor does it run, beside one that was filled in. A cell without a name is known by a locked one's text.
    """
    locked = {one["text"].strip(): name for name, one in known.items() if one["mark"]["locked"]}
    groups: dict[str, list[dict]] = {}
    for cell in cells:
        name = cell["name"] if cell["name"] in known else locked.get(cell["text"].strip(), "")
        cell["name"] = ""
        groups.setdefault(name, []).append(cell)
    groups.pop("", None)
    dropped = set()
    for name, group in groups.items():
        changed = [cell for cell in group if cell["text"].strip() != known[name]["text"].strip()]
        mark = known[name]["mark"]
        chosen = (group if mark["locked"] or not changed else changed)[-1 if mark["grade"] or mark["solution"] else 0]
        chosen["name"] = name
        dropped |= {id(cell) for cell in group if cell is not chosen and cell not in changed}
    return [cell for cell in cells if id(cell) not in dropped]


def with_what_was_deleted(cells: list[dict], known: dict[str, dict]) -> list[dict]:
    """Checks, questions and explanations that are missing stand before the next cell of the course again.

    A stub does not come back: whoever wrote the function elsewhere would find it undone.
    """
    cells, place = list(cells), len(cells)
    for name, one in reversed(known.items()):
        at = next((i for i, cell in enumerate(cells) if cell["name"] == name), None)
        if at is not None:
            place = at
        elif one["mark"]["locked"] or one["mark"]["grade"]:
            cells.insert(place, {"kind": one["kind"], "text": one["text"], "name": name, "attachments": {}})
    return cells


def notebook_of(cells: list[dict], known: dict[str, dict]):
    """A new notebook: nothing of the old one but the text of its cells, so that nothing else can be broken in it."""
    made = []
    for cell in cells:
        one = known.get(cell["name"])
        kind, metadata = (one["kind"], {"nbgrader": dict(one["mark"])}) if one else (cell["kind"], {})
        new = {"code": v4.new_code_cell, "raw": v4.new_raw_cell, "markdown": v4.new_markdown_cell}[kind]
        more = {"attachments": cell["attachments"]} if cell["attachments"] and kind == "markdown" else {}
        made.append(new(source=cell["text"], metadata=metadata, **more))
    return v4.new_notebook(cells=made)


class MendedSubmission(NotebookExporter):
    """What nbgrader reads submissions with. It refuses none: what is no notebook is graded as one without answers."""

    def from_file(self, file_stream, resources=None, **kw):
        at, path = resources["nbgrader"], Path(file_stream.name)
        known = handed_out(at["assignment"], at["notebook"], at["db_url"])
        try:
            cells = with_names(cells_in(path.read_bytes()), known)
        except (ValueError, RecursionError) as error:
            self.log.warning("SET ASIDE, no points: %s of %s is no notebook: %s", path, at["student"], error)
            note = f"**The file that was handed in is no notebook, so nothing could be graded.** Python says: `{error}`"
            cells = [{"kind": "markdown", "text": note, "name": "", "attachments": {}}]
        notebook = notebook_of(with_what_was_deleted(cells, known), known)
        return self.from_notebook_node(notebook, resources=resources, **kw)


def under_its_name(assignment: str, student: str, notebooks: list[str]) -> None:
    """Copy a notebook that came under another name to the released one, beside it; of several the newest.

    Those that hold cells of the course go before others. nbgrader calls this before it looks at a submission.
    """
    wanted = Path(notebooks[0]).with_name(f"{assignment}.ipynb")
    if wanted.exists():
        return

    def rank(path: str) -> tuple:
        try:
            named = any(cell["name"] for cell in cells_in(Path(path).read_bytes()))
        except (ValueError, RecursionError):
            named = False
        return named, Path(path).stat().st_mtime, path

    found = max(notebooks, key=rank)
    get_logger().warning("%s is graded as %s", found, wanted.name)
    shutil.copy(found, wanted)
    notebooks.append(str(wanted))


c.Autograde.exporter_class = MendedSubmission
c.Autograde.pre_convert_hook = under_its_name
