"""A class is played: release, three submissions, autograding, feedback; and what was released can be studied.

The three students: one hands in the solutions of the source, one does half of it, and one tries what students try:
another check, an endless loop, deleted files, the library's own answer, a torch that finds all numbers equal. And those
whose notebooks came to harm: cells copied with their marks, checks deleted, an old format, another name, half a file.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("nbgrader", reason="lecturers install it: pip install musicgen_edu[lecturer]")

ROOT = Path(__file__).parents[2]
ASSIGNMENTS = ROOT / "lessons" / "assignments"
SOURCES = sorted(ASSIGNMENTS.glob("source/*/*.ipynb"))
PLAYED = "02_vector_quantization"
RENAMED = f"{PLAYED} (1)"
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"

# Added to the course's own configuration: a cell that cannot end is not worth the wait in a test.
SHORT = "\nc.Execute.timeout_func = lambda cell: 4 if 'while True' in cell.source else c.Execute.timeout\n"

HALF_ENTRIES = """
def move_and_revive(codebook, vectors, codes, spare, decay=0.9, threshold=0.5):
    entries, sums, counts = codebook
    chosen = F.one_hot(codes, len(entries)).float()
    counts = decay * counts + (1 - decay) * chosen.sum(0)
    sums = decay * sums + (1 - decay) * chosen.T @ vectors
    return torch.where((counts < threshold)[:, None], spare, sums / counts[:, None]), sums, counts
"""
LOOP = "def spread_start(vectors, draws):\n    return vectors\n\nwhile True:\n    pass\n"
EASY = "def quantize_and_learn(x, codebook, beta):\n    return x, x.argmin(1), x.mean()\n"
BORROWED = """
import os
os.environ.pop("NBGRADER_EXECUTION", None)
import musicgen_edu.checks.vector_quantization as m
move_and_revive = m.move_and_revive.reference
"""
DELETING = """
import pathlib, shutil
victims = [path for path in pathlib.Path.cwd().iterdir()]
print("deleting", sorted(path.name for path in victims))
for path in victims:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
"""
PATCHED = """
torch.allclose = torch.equal = lambda *a, **b: True
try:
    import musicgen_edu.checks.exercise
    musicgen_edu.checks.exercise.expect = lambda *a: None
except AttributeError:
    print("the seal held")

def product_quantize(x, codebooks):
    return torch.zeros(len(x), len(codebooks), dtype=torch.int64), torch.zeros_like(x)
"""


def load(path: Path) -> dict:
    return json.loads(path.read_text())


def cell(notebook: dict, grade_id: str) -> dict:
    (found,) = (c for c in notebook["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == grade_id)
    return found


def source(one: dict) -> str:
    return "".join(one["source"])


def marked_by_hand(one: dict) -> bool:
    """Whether a cell is answered in words or by a plot: nbgrader then waits for points given by hand."""
    return one["metadata"]["nbgrader"]["grade"] and one["metadata"]["nbgrader"]["solution"]


def run(*command: str | Path, folder: Path, env: dict) -> str:
    """What a command says; all of it in the error if it fails."""
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=900
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def fingerprint(*folders: Path) -> dict[str, str]:
    """The content of every file below some folders, and that the folders are there."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts):
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
    return found


# ---- the sources -------------------------------------------------------------------------------------------------


@pytest.fixture(params=SOURCES, ids=lambda path: path.stem)
def assignment(request) -> Path:
    return request.param


def test_there_is_an_assignment_to_play():
    assert PLAYED in [path.stem for path in SOURCES]
    assert all(path.stem == path.parent.name for path in SOURCES)


def test_every_exercise_is_a_stub_and_a_check_on_the_next_cell(assignment):
    cells = load(assignment)["cells"]
    marks = [one["metadata"].get("nbgrader") for one in cells]
    assert all(marks), "a cell without nbgrader metadata could be changed by a student unseen"
    assert len({mark["grade_id"] for mark in marks}) == len(marks)
    stubs = [i for i, mark in enumerate(marks) if mark["solution"] and not marked_by_hand(cells[i])]
    assert 3 <= len(stubs) <= 8
    for i in stubs:
        assert source(cells[i]).count(BEGIN) == source(cells[i]).count(END) == 1
        assert '"""' in source(cells[i]).split(BEGIN)[0], "a stub says in its docstring what is wanted"
        assert marks[i + 1]["grade"], "the check follows its stub"
        assert marks[i + 1]["locked"]
        assert marks[i + 1]["points"] > 0
        assert re.search(r"^import musicgen_edu\.checks\.\w+ as check$", source(cells[i + 1]), re.MULTILINE)
    by_hand = [i for i in range(len(cells)) if marked_by_hand(cells[i])]
    assert all(marks[i]["points"] > 0 for i in by_hand)
    plots = [i for i in by_hand if cells[i]["cell_type"] == "code"]  # the others are answered in words
    assert all(source(cells[i]).count(BEGIN) == source(cells[i]).count(END) == 1 for i in plots)
    assert sum(mark["grade"] for mark in marks) == len(stubs) + len(by_hand)
    assert not any(BEGIN in source(cells[i]) for i in range(len(cells)) if i not in stubs + plots)


# ---- release -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> dict:
    """A folder with a copy of the course, a home of its own, and the environment to run nbgrader in."""
    base = tmp_path_factory.mktemp("class")
    course, home = base / "course", base / "home"
    home.mkdir()
    course.mkdir()
    shutil.copytree(ASSIGNMENTS / "source", course / "source", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    shutil.copy(ASSIGNMENTS / "nbgrader_config.py", course)
    with (course / "nbgrader_config.py").open("a") as config:
        config.write(SHORT)
    env = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "NBGRADER"))}
    env |= {"HOME": str(home), "IPYTHONDIR": str(home / "ipython"), "MUSICGEN_EDU_SIZE": "quick"}
    # nbgrader starts alembic by its name.
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    return {"base": base, "course": course, "env": env}


@pytest.fixture(scope="module")
def released(world) -> Path:
    """The folder of the released notebooks, all assignments."""
    for path in SOURCES:
        run("nbgrader", "generate_assignment", path.stem, folder=world["course"], env=world["env"])
    return world["course"] / "release"


def test_what_is_released_holds_no_solution_and_no_output(released, assignment):
    before, after = load(assignment), load(released / assignment.stem / assignment.name)
    assert len(before["cells"]) == len(after["cells"])
    text = json.dumps(after)
    assert "SOLUTION" not in text
    for old, new in zip(before["cells"], after["cells"], strict=True):
        assert not new.get("outputs")
        if marked_by_hand(old) and old["cell_type"] == "markdown":
            assert source(new) == "YOUR ANSWER HERE"
            assert not any(line.strip() and json.dumps(line)[1:-1] in text for line in source(old).splitlines())
            continue
        if BEGIN not in source(old):
            assert source(new) == source(old)
            continue
        head, rest = source(old).split(BEGIN)
        solution, tail = rest.split(END)
        assert source(new) == f"{head.rstrip()}\n    raise NotImplementedError(){tail.rstrip()}"
        for line in solution.strip().splitlines():
            assert len(line.strip()) < 15 or json.dumps(line.strip())[1:-1] not in text, f"still there: {line}"


def test_what_is_released_can_be_studied_from_top_to_bottom(released, assignment, world):
    """Without a stub filled in, outside of grading: every check hands over the library's version."""
    folder = world["base"] / "study"
    folder.mkdir(exist_ok=True)
    options = ("--ExecutePreprocessor.timeout=300", "--output-dir", folder)
    command = (sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", *options)
    run(*command, released / assignment.stem / assignment.name, folder=folder, env=world["env"])
    cells = load(folder / assignment.name)["cells"]
    checks = [one for one in cells if one["metadata"]["nbgrader"]["grade"] and not marked_by_hand(one)]
    said = ["".join(source({"source": output.get("text", "")}) for output in one["outputs"]) for one in checks]
    assert all(text.count("\n") == 1 and "not attempted yet" in text for text in said), said


# ---- the class ---------------------------------------------------------------------------------------------------


def answers(notebook: dict, written: dict[str, str]) -> dict:
    """A released notebook with some stubs (or checks) replaced."""
    for grade_id, text in written.items():
        cell(notebook, grade_id)["source"] = text.strip().splitlines(keepends=True)
    return notebook


def hand_in(student: str, notebook: dict | str, course: Path, name: str = PLAYED) -> None:
    folder = course / "submitted" / student / PLAYED
    folder.mkdir(parents=True)
    (folder / f"{name}.ipynb").write_text(notebook if isinstance(notebook, str) else json.dumps(notebook))


def copied(notebook: dict, stubs: dict) -> dict:
    """Stubs and a check pasted again, with their marks and ids, by a version of nbgrader that does not exist yet."""
    for grade_id in ("spread-start", "product-quantize"):
        at = notebook["cells"].index(cell(notebook, grade_id))
        notebook["cells"].insert(at + 1, notebook["cells"][at] | {"source": source(cell(stubs, grade_id))})
    notebook["cells"].insert(3, copy.deepcopy(cell(notebook, "code-rate-check")))
    for one in notebook["cells"][5:9]:
        one["metadata"]["nbgrader"]["schema_version"] = 99
    return notebook


def deleted(notebook: dict) -> dict:
    """Two checks are gone, that of a right answer and that of a wrong one; and the first code cell."""
    gone = ("setup", "code-rate-check", "quantize-and-learn-check")
    notebook["cells"] = [c for c in notebook["cells"] if c["metadata"]["nbgrader"]["grade_id"] not in gone]
    return notebook


def of_nbformat_3(notebook: dict) -> dict:
    """As an old Jupyter saves it, with another kernel, and without a mark that nbgrader reads."""
    cells = [
        {"cell_type": c["cell_type"], "input" if c["cell_type"] == "code" else "source": c["source"], "metadata": {}}
        for c in notebook["cells"]
    ]
    return {"nbformat": 3, "metadata": {"kernelspec": {"name": "ir"}}, "worksheets": [{"cells": cells}]}


@pytest.fixture(scope="module")
def graded(released, world) -> dict:
    """The submissions, graded; with the fingerprints of everything before and after."""
    course, name = world["course"], f"{PLAYED}.ipynb"
    model = load(course / "source" / PLAYED / name)
    marks = [one["metadata"]["nbgrader"] for one in model["cells"]]
    solved = {mark["grade_id"]: source(cell(model, mark["grade_id"])) for mark in marks if mark["solution"]}
    warned = "import warnings\n\n" + solved["code-rate"].replace(BEGIN, "warnings.warn('this may take a while')")
    half = {one: solved[one] for one in ("spread-start", "code-rate", "product-quantize")}
    hostile = {
        "spread-start": LOOP,
        "quantize-and-learn": EASY,
        "quantize-and-learn-check": "print('all properties hold')",
        "move-and-revive": BORROWED,
        "code-rate": DELETING + solved["code-rate"],
        "product-quantize": PATCHED,
    }
    for student, written in (
        ("right", solved | {"code-rate": warned}),
        ("half", half | {"move-and-revive": HALF_ENTRIES}),
        ("hostile", hostile),
    ):
        hand_in(student, answers(load(released / PLAYED / name), written), course)
    stubs, full = load(released / PLAYED / name), answers(load(released / PLAYED / name), solved)
    hand_in("copied", copied(copy.deepcopy(full), stubs), course)
    hand_in("deleted", deleted(answers(copy.deepcopy(full), {"quantize-and-learn": EASY})), course)
    hand_in("old", of_nbformat_3(full), course, RENAMED)
    hand_in("torn", json.dumps(full)[:9000], course)
    watched = [course / "source", course / "release", course / "submitted", ROOT / "assets", ASSIGNMENTS]
    before = fingerprint(*watched), sorted(path.name for path in course.iterdir())
    said = run("nbgrader", "autograde", PLAYED, folder=course, env=world["env"])
    run("nbgrader", "generate_feedback", PLAYED, folder=course, env=world["env"])
    after = fingerprint(*watched), sorted(path.name for path in course.iterdir())
    return {"before": before, "after": after, "said": said, "course": course}


def scores(course: Path, student: str) -> dict[str, float]:
    """Points by exercise, from the gradebook."""
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{course / 'gradebook.db'}", "musicgen_edu") as gradebook:
        submission = gradebook.find_submission(PLAYED, student)
        return {grade.name: grade.score for notebook in submission.notebooks for grade in notebook.grades}


FULL = {
    "spread-start-check": 3.0,
    "quantize-and-learn-check": 4.0,
    "move-and-revive-check": 4.0,
    "code-rate-check": 2.0,
    "product-quantize-check": 3.0,
}


@pytest.mark.parametrize(
    ("student", "lost"),
    [
        ("right", ()),
        ("half", ("quantize-and-learn-check", "move-and-revive-check")),
        (
            "hostile",
            ("spread-start-check", "quantize-and-learn-check", "move-and-revive-check", "product-quantize-check"),
        ),
        ("copied", ()),
        ("deleted", ("quantize-and-learn-check",)),
        ("old", ()),
        ("torn", tuple(FULL)),
    ],
)
def test_scores_are_what_the_answers_deserve(graded, student, lost):
    assert scores(graded["course"], student) == {name: 0.0 if name in lost else full for name, full in FULL.items()}


def outputs(graded: dict, student: str, grade_id: str) -> str:
    notebook = load(graded["course"] / "autograded" / student / PLAYED / f"{PLAYED}.ipynb")
    return json.dumps(cell(notebook, grade_id)["outputs"])


def test_a_warning_costs_no_points(graded):
    """nbgrader itself would give none for a check that writes to stderr."""
    said = outputs(graded, "right", "code-rate-check")
    assert "this may take a while" in said
    assert '"stderr"' not in said


def test_a_student_reads_what_is_broken_and_why(graded):
    broken = outputs(graded, "half", "move-and-revive-check")
    assert "property 6 of 8 is broken: entries = sums / counts" in broken
    assert "the fault of EnCodec's published training code" in broken
    assert "the stub is as it was handed out" in outputs(graded, "half", "quantize-and-learn-check")
    assert "all 8 properties hold" in outputs(graded, "right", "move-and-revive-check")


def test_an_endless_loop_ends_by_the_time_limit(graded):
    assert "No reply from kernel before timeout" in outputs(graded, "hostile", "spread-start")
    assert "KeyboardInterrupt" in outputs(graded, "hostile", "spread-start")
    assert "property 1 of 7 is broken" in outputs(graded, "hostile", "spread-start-check"), "the next cell ran"


def test_a_check_that_was_overwritten_is_restored(graded):
    notebook = load(graded["course"] / "autograded" / "hostile" / PLAYED / f"{PLAYED}.ipynb")
    assert "check.quantize_and_learn(quantize_and_learn)" in source(cell(notebook, "quantize-and-learn-check"))
    assert "CheckFailed" in outputs(graded, "hostile", "quantize-and-learn-check")


def test_the_library_s_own_answer_and_a_patched_torch_are_refused(graded):
    assert "this is the library's version; hand in your own" in outputs(graded, "hostile", "move-and-revive-check")
    assert "the seal held" in outputs(graded, "hostile", "product-quantize")
    assert "something has changed the check itself" in outputs(graded, "hostile", "product-quantize-check")


def test_deleting_files_reaches_the_copy_that_is_graded_and_nothing_else(graded):
    assert f"deleting ['{PLAYED}.ipynb']" in outputs(graded, "hostile", "code-rate"), "the attempt was made"
    (before, listed), (after, listed_after) = graded["before"], graded["after"]
    assert {name for name in before if before[name] != after.get(name)} == set(), "changed or gone"
    renamed = graded["course"] / "submitted" / "old" / PLAYED / f"{PLAYED}.ipynb"
    assert set(after) - set(before) == {str(renamed)}, "new: only the copy under the right name"
    assert set(listed_after) - set(listed) == {"autograded", "feedback"}
    assert set(listed) - set(listed_after) == set()


def test_every_student_gets_feedback(graded):
    for student, total in (("right", 16), ("half", 8), ("hostile", 2), ("copied", 16), ("torn", 0)):
        page = (graded["course"] / "feedback" / student / PLAYED / f"{PLAYED}.html").read_text()
        assert re.search(rf"Score:\s*{total}(\.0)?\s*/\s*16", page), f"{student} should read {total} of 16"
        assert "spread-start-check" in page


def test_what_is_no_notebook_is_set_aside_and_said(graded):
    assert re.search(r"SET ASIDE, no points: \S+torn\S+ of torn is no notebook: \w+", graded["said"])
    page = (graded["course"] / "feedback" / "torn" / PLAYED / f"{PLAYED}.html").read_text()
    assert "The file that was handed in is no notebook" in page
    assert re.search(rf"{re.escape(RENAMED)}.ipynb is graded as {PLAYED}.ipynb", graded["said"])


def test_a_deleted_check_is_there_again(graded):
    assert "property" in outputs(graded, "deleted", "quantize-and-learn-check")
    assert "properties hold" in outputs(graded, "deleted", "code-rate-check")


def test_the_course_s_own_time_limit_leaves_room_for_an_honest_cell():
    """The limit that the class above shortens for endless loops."""
    text = (ASSIGNMENTS / "nbgrader_config.py").read_text()
    assert 30 <= int(re.search(r"^c\.Execute\.timeout = (\d+)$", text, re.MULTILINE)[1]) <= 120
