"""Break the model on purpose, one small change at a time, and see whether a test notices.

    python tests/mutants.py                             a sample of 120 changes over musicgen_edu/model
    python tests/mutants.py patterns sampling --most 0  every change to these files
    python tests/mutants.py --seed 3                    another sample

A change turns an operator or comparison around, moves a number by one, swaps True and False, or drops a `not` or a
unary minus. The tests of the file (tests/model/test_NAME.py, and those of THOROUGH) run in a fork, from libraries that
are loaded once. What survives is printed: a test is missing, or the change makes no difference.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
MODEL = ROOT / "musicgen_edu" / "model"
LONGEST = 240  # seconds: who never ends is noticed, too
THOROUGH = {
    "lm": ["fast/test_step.py"],
    "decoder": ["model/test_lm.py"],
    "embedding": ["model/test_lm.py"],
    "generation": ["model/test_continuation.py", "test_musicgen.py"],
    "continuation": ["test_musicgen.py"],
    "streaming": ["test_musicgen.py"],
    "settings": ["model/test_sampling.py", "test_musicgen.py"],
    "text": ["test_musicgen.py"],
}
SWAPS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.And: ast.Or, ast.Or: ast.And, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """What a node may become."""
    if isinstance(node, (ast.BinOp, ast.BoolOp, ast.AugAssign)) and type(node.op) in SWAPS:
        yield _with(node, op=SWAPS[type(node.op)]())
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield _with(node, ops=[SWAPS[type(node.ops[0])](), *node.ops[1:]])
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield _with(node, value=not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        yield _with(node, value=node.value + 1)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.Not, ast.USub)):
        yield node.operand


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


class Change(ast.NodeTransformer):
    """Makes the change of this number, and remembers where."""

    def __init__(self, number: int):
        self.left, self.told = number, ""

    def visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Raise) or (isinstance(node, ast.arg) and node.annotation):
            return node  # sentences and annotations
        for changed in changes(node):
            if self.left == 0:
                self.told = f"{node.lineno}: {ast.unparse(node)}  ->  {ast.unparse(changed)}"
            self.left -= 1
            if self.left == -1:
                return changed
        return self.generic_visit(node)


def count(source: str) -> int:
    """How many changes a source offers."""
    every = Change(10**9)
    every.visit(ast.parse(source))
    return 10**9 - every.left


def noticed(name: str, code: ast.Module) -> bool:
    """Whether the tests of a module fail with this code in its place; in a fork."""
    child = os.fork()
    if child == 0:
        os.setsid()
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115
        os.dup2(sys.stdout.fileno(), 1), os.dup2(sys.stdout.fileno(), 2)
        os._exit(_run_changed(name, code))
    begin = time.monotonic()
    while time.monotonic() - begin < LONGEST:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status != 0
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def _run_changed(name: str, code: ast.Module) -> int:
    import importlib.abc
    import importlib.machinery

    import pytest

    class Loader(importlib.machinery.SourceFileLoader):
        def get_code(self, fullname: str):
            return compile(ast.fix_missing_locations(code), self.path, "exec")

    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, fullname: str, path: object, target: object = None):
            if fullname != f"musicgen_edu.model.{name}":
                return None
            file = str(MODEL / f"{name}.py")
            return importlib.machinery.ModuleSpec(fullname, Loader(fullname, file), origin=file)

    sys.meta_path.insert(0, Finder())
    tests = [f"model/test_{name}.py", *THOROUGH.get(name, [])]
    files = [str(ROOT / "tests" / one) for one in tests if (ROOT / "tests" / one).is_file()]
    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *files]))


def main() -> None:
    """Print each change that no test notices, and how many were noticed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="modules of model/ (default: all)")
    parser.add_argument("--most", type=int, default=120, help="changes to try; 0 is all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="which of them (default: %(default)s)")
    arguments = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    os.environ["HF_HUB_OFFLINE"] = "1"  # as tests/conftest.py has it, which comes too late here
    import transformers  # noqa: F401  once for all forks
    from transformers import EncodecModel, MusicgenForConditionalGeneration  # noqa: F401

    names = arguments.names or sorted(path.stem for path in MODEL.glob("[a-z]*.py"))
    sources = {name: (MODEL / f"{name}.py").read_text() for name in names}
    failing = [name for name, source in sources.items() if noticed(name, ast.parse(source))]
    if failing:
        sys.exit(f"the tests fail without any change: {', '.join(failing)}")
    found = [(name, i) for name, source in sources.items() for i in range(count(source))]
    random.Random(arguments.seed).shuffle(found)
    tried = sorted(found[: arguments.most] if arguments.most else found)
    caught = 0
    for name, number in tried:
        tree, change = ast.parse(sources[name]), Change(number)
        tree = change.visit(tree)
        if noticed(name, tree):
            caught += 1
        else:
            print(f"survives: {name}.py:{change.told}", flush=True)
    print(f"{caught} of {len(tried)} changes noticed, of {len(found)} that there are")


if __name__ == "__main__":
    main()
