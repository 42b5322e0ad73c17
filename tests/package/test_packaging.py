"""What a newcomer installs: the named versions, a quick import, the wheel and the stored outputs of the lessons."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LESSONS = sorted(
    {
        ROOT / "lessons" / "00_hear_it_first.ipynb",
        *(ROOT / "lessons").glob("*.ipynb"),
        *(ROOT / "lessons" / "assignments" / "source").glob("*/*.ipynb"),
    }
)


# --- versions -------------------------------------------------------------------------------------------------------


def requirements(lines: list[str]) -> dict[str, Requirement]:
    """Requirements by name. A name that stands twice is an error."""
    found = [Requirement(line) for line in lines]
    names = [canonicalize_name(one.name) for one in found]
    assert len(set(names)) == len(names), f"named twice: {sorted(name for name in names if names.count(name) > 1)}"
    return dict(zip(names, found, strict=True))


def pins(lines: list[str]) -> dict[str, str]:
    """Versions by name, of lines that all read name==version."""
    exact = {name: re.fullmatch(r"==([\w.]+)", str(one.specifier)) for name, one in requirements(lines).items()}
    assert all(exact.values()), f"not pinned exactly: {[name for name, match in exact.items() if match is None]}"
    return {name: match[1] for name, match in exact.items()}


@pytest.fixture(scope="module")
def direct() -> dict[str, Requirement]:
    """What pyproject.toml asks for, with all extras."""
    extras = PROJECT["optional-dependencies"]
    found = requirements([*PROJECT["dependencies"], *(line for extra in extras.values() for line in extra)])
    assert {"torch", "transformers", "gradio", "nbgrader", "pytest"} <= set(found)
    return found


@pytest.fixture(scope="module")
def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return pins([line for line in lines if line and not line.startswith("#")])


@pytest.fixture(scope="module")
def conda() -> dict:
    """environment.yml, its lines for pip taken out of the list into the key "pip"."""
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    nested = [entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict)]
    assert len(nested) == 1
    return {**environment, "pip": nested[0]}


def test_constraints_pin_every_direct_dependency_within_its_bounds(direct, constraints):
    assert set(direct) <= set(constraints), f"without a pin: {sorted(set(direct) - set(constraints))}"
    outside = [f"{one}: {constraints[name]}" for name, one in direct.items() if constraints[name] not in one.specifier]
    assert not outside


def test_constraints_hold_all_that_is_needed(direct, constraints):
    """The pins close over the requirements of what is installed here: pip is left nothing to choose."""
    from importlib.metadata import requires

    waiting = [(name, extra) for name, one in direct.items() for extra in [*one.extras, ""]]
    seen = set()
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        needed = [Requirement(line) for line in requires(name) or []]
        needed = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": extra})]
        waiting += [(canonicalize_name(one.name), more) for one in needed for more in [*one.extras, ""]]
    assert len(seen) > 2 * len(direct)
    # Left out: what every environment has, and what torch itself pins for a GPU.
    left_out = re.compile(r"pip|setuptools|triton|(nvidia|cuda)-.*")
    names = {name for name, _ in seen if left_out.fullmatch(name) is None}
    assert names <= set(constraints), f"without a pin: {sorted(names - set(constraints))}"


def test_environment_yml_names_what_pyproject_names_in_the_versions_of_constraints(direct, constraints, conda):
    options = [line for line in conda["pip"] if line.startswith("-")]
    versions = pins([line for line in conda["pip"] if not line.startswith("-")])
    assert options == ["--constraint constraints.txt", "--editable ."]
    assert set(versions) == set(direct)
    assert versions == {name: constraints[name] for name in direct}


def test_environment_yml_pins_a_python_that_pyproject_allows(conda):
    exact = [line.removeprefix("python=") for line in conda["dependencies"] if str(line).startswith("python=")]
    assert len(exact) == 1
    assert f"{exact[0]}.0" in Requirement(f"python{PROJECT['requires-python']}").specifier


# --- import ---------------------------------------------------------------------------------------------------------

IMPORT = """
from time import perf_counter
start = perf_counter()
import musicgen_edu
seconds = perf_counter() - start
import json, sys
heavy = {"torch", "transformers", "numpy", "librosa"} & set(sys.modules)
print(json.dumps([seconds, musicgen_edu.__file__, sorted(heavy)]))
"""


def test_import_is_quick_and_loads_nothing_heavy():
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    runs = [subprocess.check_output([sys.executable, "-c", IMPORT], env=environment, text=True) for _ in range(5)]
    seconds, files, heavy = zip(*map(json.loads, runs), strict=True)
    assert {Path(file) for file in files} == {ROOT / "musicgen_edu" / "__init__.py"}
    assert not any(heavy), f"import musicgen_edu imports {heavy[0]}"
    assert 0 < min(seconds) < 0.2


@pytest.mark.parametrize("name", ["CheckpointError", "Sampling", "LMConfig", "EncodecConfig", "CONFIGS"])
def test_errors_and_settings_load_no_torch(name):
    """Who only wants to catch the error or offer the settings waits for nothing."""
    code = f"import sys; from musicgen_edu import {name}; assert 'torch' not in sys.modules, 'torch was loaded'"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()


# --- wheel ----------------------------------------------------------------------------------------------------------


def run(*command: str | Path, **options) -> str:
    """The output of a command; all that it wrote if it fails."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel of the tree, built without the network."""
    folder = tmp_path_factory.mktemp("wheel")
    offline = {**os.environ, "PIP_NO_INDEX": "1"}
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, "--wheel-dir", folder, ROOT, env=offline, cwd=folder)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """A folder that holds nothing but the installed wheel."""
    folder = tmp_path_factory.mktemp("elsewhere")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", folder, wheel)
    return folder


ASSETS = ("tiny", "music", "measurements")


def test_wheel_holds_the_package_and_its_assets_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    expected = {
        "musicgen_edu" / path.relative_to(base)
        for base, folder in ((ROOT / "musicgen_edu", "."), *((ROOT, f"assets/{name}") for name in ASSETS))
        for path in (base / folder).rglob("*")
        if path.is_file() and not {"__pycache__", ".ipynb_checkpoints"} & set(path.parts)
    }
    assert {Path(name) for name in names if ".dist-info/" not in name} == {Path(path) for path in expected}
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_installed_wheel_finds_the_shipped_model_and_recording_inside_itself(installed, tmp_path):
    code = (
        "import musicgen_edu, musicgen_edu.checkpoints as c, musicgen_edu.model.audio as a; "
        "print(musicgen_edu.__version__, musicgen_edu.__file__, c.find('tiny'), a.recording()[1], sep='\\n')"
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    version, file, model, rate = run(sys.executable, "-c", code, cwd=tmp_path, env=environment).splitlines()
    assert Path(file) == installed / "musicgen_edu" / "__init__.py"
    assert (installed / f"musicgen_edu-{version}.dist-info").is_dir()
    assert Path(model) == installed / "musicgen_edu" / "assets" / "tiny"
    assert rate == "32000"  # the recording is there too
    shipped = sorted(path for path in (ROOT / "assets" / "tiny").iterdir() if path.is_file())
    assert {"config.json", "model.safetensors"} <= {path.name for path in shipped}
    for path in shipped:
        assert (Path(model) / path.name).read_bytes() == path.read_bytes(), path.name


def test_installed_command_says_what_it_does(installed, tmp_path):
    command = installed / "bin" / "musicgen-edu"
    said = run(sys.executable, command, "--help", cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(installed)})
    assert "generate" in said


# --- lessons --------------------------------------------------------------------------------------------------------

COMPARED = re.compile(r"^\s*#\s*NBVAL_CHECK_OUTPUT", re.MULTILINE)
DATA = re.compile(r"base64,[A-Za-z0-9+/=\s]+")  # pictures and sounds: a path in there is chance
MACHINE = re.compile(r"(?<![\w./:])/(?:home|Users|root|tmp|mnt|opt|usr|var|private)/\w+|\b[A-Z]:\\\\?Users")


def code_cells(notebook: dict) -> list[dict]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]


def is_compared(cell: dict) -> bool:
    tags = cell["metadata"].get("tags", [])
    return COMPARED.search("".join(cell["source"])) is not None or "nbval-check-output" in tags


def texts(notebook: dict) -> list[str]:
    """Everything in a notebook that can be read: sources, printed output, text and HTML, without embedded data."""
    found = ["".join(cell["source"]) for cell in notebook["cells"]]
    for output in (output for cell in code_cells(notebook) for output in cell["outputs"]):
        found.append("".join(output.get("text", "")))
        found += ["".join(value) for kind, value in output.get("data", {}).items() if kind.startswith("text/")]
        found += output.get("traceback", [])
    return [DATA.sub("", text) for text in found]


@pytest.fixture(params=LESSONS, ids=lambda path: f"{path.parent.parent.name}-{path.stem}")
def lesson(request) -> dict:
    notebook = json.loads(request.param.read_text())
    assert code_cells(notebook), "a lesson without code"
    return notebook


def test_lesson_was_run_once_from_the_top(lesson):
    """nbval compares nothing in a cell that never ran, so a stripped or half-run lesson would pass unread."""
    counts = [cell["execution_count"] for cell in code_cells(lesson)]
    assert counts == list(range(1, len(counts) + 1)), "execute it again: make lessons"


def test_lesson_keeps_what_is_compared_and_no_errors(lesson):
    compared = [cell for cell in code_cells(lesson) if is_compared(cell)]
    assert compared, "no cell of this lesson is compared: mark some with # NBVAL_CHECK_OUTPUT"
    empty = ["".join(cell["source"]) for cell in compared if not cell["outputs"]]
    assert not empty, f"compared, but without an output:\n{empty[0]}"
    kinds = {output["output_type"] for cell in code_cells(lesson) for output in cell["outputs"]}
    assert "error" not in kinds


def test_lesson_opens_anywhere(lesson):
    """No widget state, which stops some viewers; the kernel that every environment has; no path of one machine."""
    assert set(lesson["metadata"]) <= {"kernelspec", "language_info"}
    assert lesson["metadata"]["kernelspec"]["name"] == "python3"
    for text in texts(lesson):
        found = MACHINE.search(text)
        named = [str(path) for path in (ROOT, Path.home(), Path(sys.prefix)) if str(path) != "/" and str(path) in text]
        assert found is None, f"a path of one machine: {text[max(0, found.start() - 40) : found.end() + 40]!r}"
        assert not named
