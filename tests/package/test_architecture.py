"""The house as it is meant to be: rooms without circles, a model that stands alone, nothing long, nothing unused."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = "musicgen_edu"
LONGEST_FILE, LONGEST_FUNCTION, LARGEST_MODEL = 300, 50, 3000
MODEL_MAY_IMPORT = {f"{PACKAGE}.errors", f"{PACKAGE}.files"}
THEMES = {  # tests of a room as a whole, which no single module of it stands for
    "checks": {"checks", "class", "submissions"},
    "checkpoints": {"full_size"},
    "experiments": {"commands"},
    "fast": {"fast_path"},
    "package": {"architecture", "fuzz", "packaging", "former_names"},
    "browser": None,  # one file a page
    "helpers": None,
}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}


@lru_cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(name: str, path: Path) -> Iterator[str]:
    """The modules of ours that a module imports anywhere, for the type checker alone too."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom):
            base = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            target = ".".join([*base, *([node.module] if node.module else [])])
            for alias in node.names:
                found = next((one for one in (f"{target}.{alias.name}", target) if one in MODULES), None)
                if found:
                    yield found


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Groups of modules that reach one another (Tarjan 1972), those of one module alone left out."""
    index, low, stack, found = {}, {}, [], []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in arrows[node]:
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1 or node in arrows[node]:
                found.append(sorted(group))

    for node in arrows:
        if node not in index:
            visit(node)
    return found


ARROWS = {name: set(imported(name, path)) - ({name} & {PACKAGE}) for name, path in MODULES.items()}


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(path)) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)))


def lines_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function without its docstring."""
    first = function.body[0]
    told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return function.end_lineno - function.lineno + 1 - (first.end_lineno - first.lineno + 1 if told else 0)


def public_names(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Functions and classes of a module, and the methods of its classes, whose names do not begin with `_`."""
    for node in tree(path).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name[0] != "_":
            yield node.name, node
            if isinstance(node, ast.ClassDef):
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef) and inner.name[0] != "_":
                        yield f"{node.name}.{inner.name}", inner


# ---- the house ---------------------------------------------------------------------------------------------------


def test_a_circle_is_seen():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]
    assert circles({"a": {"b"}, "b": set(), "c": {"b", "a"}}) == []


def test_no_circle():
    assert circles(ARROWS) == []


def test_the_model_stands_alone():
    allowed = (f"{PACKAGE}.model.", f"{PACKAGE}.model")
    strangers = {
        f"{name} imports {other}"
        for name, others in ARROWS.items()
        if name.startswith(f"{PACKAGE}.model")
        for other in others
        if not other.startswith(allowed) and other not in MODEL_MAY_IMPORT
    }
    assert not strangers
    lines = sum(len(path.read_text().splitlines()) for name, path in MODULES.items() if name.startswith(allowed))
    assert lines <= LARGEST_MODEL, "a reader can hold so much"


def test_nothing_imports_the_checks():
    own = f"{PACKAGE}.checks"
    users = {n for n, others in ARROWS.items() if not n.startswith(own) and any(o.startswith(own) for o in others)}
    assert not users, "the checks import anything; nothing imports them"


def test_model_names_its_reading_order():
    listed = [
        line.split()[0] for line in ast.get_docstring(tree(ROOT / PACKAGE / "model/__init__.py")).splitlines()[2:]
    ]
    own = {name.rpartition(".")[2] for name in MODULES if name.startswith(f"{PACKAGE}.model.")}
    assert set(listed) == own
    place = {f"{PACKAGE}.model.{name}": i for i, name in enumerate(listed)}
    late = [f"{a} needs {b}" for a in place for b in ARROWS[a] if b in place and place[b] > place[a]]
    assert not late, "what comes later may use what came before, and not the other way round"


@pytest.mark.parametrize("name", MODULES)
def test_a_file_can_be_read_in_one_sitting(name):
    path = MODULES[name]
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST_FILE
    long = {f"{one.name}: {lines_of(one)} lines" for one in functions(path) if lines_of(one) > LONGEST_FUNCTION}
    assert not long


def test_every_public_name_is_documented():
    bare = [
        f"{module}.{name}"
        for module, path in MODULES.items()
        if path.stem[0] != "_" or path.stem == "__init__"
        for name, node in public_names(path)
        if not ast.get_docstring(node)
    ]
    assert bare == []
    assert not [module for module, path in MODULES.items() if not ast.get_docstring(tree(path))]


# ---- the tests beside it -----------------------------------------------------------------------------------------


def test_the_tests_mirror_the_rooms():
    flat, strays = {module.replace(".", "_") for module in MODULES}, []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        room, name = path.parent.relative_to(ROOT / "tests").as_posix(), path.stem.removeprefix("test_")
        themes = THEMES.get(room.split("/")[0], set())
        place = "_".join([PACKAGE, *([] if room == "." else room.split("/")), name])
        if themes is not None and name not in themes and place not in flat:
            strays.append(path.relative_to(ROOT).as_posix())
    assert strays == [], "each is named after the module or the room that it tests"


# ---- nothing that nobody uses ------------------------------------------------------------------------------------


def notebook_code(folder: Path) -> str:
    """The Python of all notebooks and benchmarks: what they use is used."""
    cells = [
        "".join(cell["source"])
        for path in sorted(folder.rglob("*.ipynb"))
        if ".ipynb_checkpoints" not in path.parts
        for cell in json.loads(path.read_text())["cells"]
        if cell["cell_type"] == "code"
    ]
    return "\n".join(cell for cell in cells if not cell.lstrip().startswith(("%", "!")))


USED_BY_OTHERS = (  # names that a library calls or reads
    {"__getattr__", "__dir__", "__qualname__"}  # Python
    | {"find_spec", "create_module", "exec_module"}  # importlib
    | {"_render_traceback_", "_repr_html_", "_ipython_display_"}  # IPython
    | {"get_extra_state", "set_extra_state", "_save_to_state_dict", "_load_from_state_dict", "extra_repr"}  # torch.nn
    | {"ctx"}  # torch.autograd.Function
    | {"normalizer", "pre_tokenizer", "post_processor"}  # tokenizers
    | {"do_GET", "log_message", "daemon_threads"}  # http.server
    | {"tooltip", "disabled"}  # ipywidgets
    | {"title", "intro", "about"}  # `app.layout` puts words into its components by their names
)


def test_nothing_that_nobody_uses(tmp_path):
    vulture = pytest.importorskip("vulture")
    notebooks = tmp_path / "notebooks.py"
    notebooks.write_text(notebook_code(ROOT / "lessons"))
    scan = vulture.Vulture(ignore_names=sorted(USED_BY_OTHERS))
    scan.scavenge([str(ROOT / PACKAGE), str(ROOT / "benchmarks"), str(notebooks)])
    unused = [
        f"{item.filename.relative_to(ROOT)}:{item.first_lineno}: {item.name}"
        for item in scan.get_unused_code(min_confidence=60)
        if str(item.filename).startswith(str(ROOT / PACKAGE))
    ]
    assert unused == []
