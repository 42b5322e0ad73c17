"""The commands of the experiments: each tells what it does, and the pages name those that exist."""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest

from musicgen_edu import experiments

ROOT = Path(__file__).parents[2]
NAMES = [
    module.name + (".__main__" if module.ispkg else "")
    for module in pkgutil.iter_modules(experiments.__path__)
    if module.name != "pages"
]


@pytest.mark.parametrize("name", NAMES)
def test_every_experiment_tells_what_it_does(name, capsys, monkeypatch):
    monkeypatch.setattr("sys.argv", ["experiment", "--help"])
    with pytest.raises(SystemExit) as left:
        importlib.import_module(f"musicgen_edu.experiments.{name}").main()
    assert left.value.code == 0
    assert f"python -m musicgen_edu.experiments.{name.removesuffix('.__main__')}" in capsys.readouterr().out


def test_pages_and_makefile_name_commands_that_exist():
    files = [*ROOT.glob("assets/*/*.md"), ROOT / "README.md", ROOT / "Makefile", *ROOT.glob("lessons/*.ipynb")]
    text = "\n".join(file.read_text() for file in files)
    said = set(re.findall(r"-m musicgen_edu\.experiments\.([\w.]*\w)", text)) - {"NAME"}
    assert {"tiny", "guidance", "patterns", "musiccaps_recipe"} <= said
    assert said <= {name.removesuffix(".__main__") for name in NAMES}
