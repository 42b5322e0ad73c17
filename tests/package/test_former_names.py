"""Notebooks written before the rooms still find what they import."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

from musicgen_edu.former_names import FORMER


@pytest.mark.parametrize("name", FORMER)
def test_a_former_path_leads_to_the_module_of_today(name):
    sys.modules.pop(f"musicgen_edu.{name}", None)
    with pytest.warns(DeprecationWarning, match=f"musicgen_edu.{name} is now musicgen_edu."):
        found = import_module(f"musicgen_edu.{name}")
    first = import_module(f"musicgen_edu.{FORMER[name].split()[0]}")
    public = [one for one in vars(first) if one[0] != "_"]
    assert public
    assert all(getattr(found, one) is getattr(first, one) for one in public)
    assert first.__spec__.name == first.__name__


def test_what_was_one_file_and_is_two_gives_the_names_of_both():
    sys.modules.pop("musicgen_edu.audio", None)
    with pytest.warns(DeprecationWarning, match="is now musicgen_edu.model.audio and musicgen_edu.figures.players"):
        audio = import_module("musicgen_edu.audio")
    assert audio.read_audio.__module__ == "musicgen_edu.model.audio"
    assert audio.player_html.__module__ == "musicgen_edu.figures.players"
    with pytest.raises(AttributeError, match="neither of"):
        audio.no_such_name  # noqa: B018


def test_lines_of_former_notebooks():
    lines = (
        "from musicgen_edu import encodec, patterns, checkpoints",
        "from musicgen_edu.checkpoints import read_codec",
        "assert checkpoints.find('tiny').is_dir() and callable(checkpoints.load_lm) and checkpoints.POSITIONS",
        "from musicgen_edu.hub import is_complete",
        "from musicgen_edu.cli import main; assert callable(main)",
        "from musicgen_edu.evaluation import AttributeProbe, si_sdr",
        "from musicgen_edu.generation import Sampling, generate_codes",
        "from musicgen_edu.lm import CONFIGS, LMConfig",
        "from musicgen_edu.encodec import EncodecConfig, EncodecModel",
    )
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_no_other_name_is_found():
    with pytest.raises(ModuleNotFoundError):
        import_module("musicgen_edu.nonsense")
