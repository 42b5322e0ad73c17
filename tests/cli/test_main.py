"""The command line as a whole: help at once, and what a stop ends in."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import musicgen_edu
from musicgen_edu.cli.main import build_parser, main

COMMANDS = ("generate", "app", "train-codec", "train-lm")


@pytest.fixture(scope="module")
def helps() -> dict[str, str]:
    """What --help says, of the whole and of each command, from a process that must not load torch for it."""
    code = """
import argparse, json, sys
from musicgen_edu.cli.main import build_parser
parser = build_parser()
(commands,) = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
shown = {"": parser.format_help()} | {name: one.format_help() for name, one in commands.choices.items()}
print(json.dumps([shown, sorted({"torch", "transformers", "numpy"} & set(sys.modules))]))
"""
    shown, heavy = json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))
    assert not heavy, f"the help loads {heavy}"
    return {name: " ".join(text.split()) for name, text in shown.items()}


def test_help_is_there_without_loading_torch(helps):
    assert set(helps) == {"", *COMMANDS}
    assert "a calm bell melody, no drums" in helps[""]
    assert "CC-BY-NC 4.0" in helps[""]


@pytest.mark.parametrize("command", ["generate", "app"])
def test_help_says_what_each_number_format_is_for(helps, command):
    for told in ("float32 is the most exact", "bfloat16 takes half the memory", "int8 is for large models on a CPU"):
        assert told in helps[command]


def test_every_option_of_every_command_has_a_help_and_a_default_that_is_told():
    silent = []
    (commands,) = [action for action in build_parser()._actions if action.choices]
    for command, parser in commands.choices.items():
        for action in parser._actions:
            told = action.help % vars(action) if action.help else ""
            if not told or (action.default not in (None, False, "==SUPPRESS==") and "default" not in told):
                silent.append(f"{command} {action.option_strings}")
    assert silent == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["generate", "a bell"], "stopped; nothing was written"),
        (["train-codec", "--out", "out"], "stopped; the same command goes on from the last state written"),
        (["train-lm", "--out", "out"], "stopped; the same command goes on from the last state written"),
    ],
)
def test_a_stop_is_one_line_that_says_what_is_left(arguments, told, capsys, monkeypatch):
    def stop(*anything):
        raise KeyboardInterrupt

    module = arguments[0].replace("-", "_")
    monkeypatch.setattr(f"musicgen_edu.cli.{module}.run_{module}", stop)
    assert main(arguments) == 130
    assert capsys.readouterr().err == f"\nmusicgen-edu: {told}\n"


def test_the_version_is_shown(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"musicgen-edu {musicgen_edu.__version__}\n"
