"""`musicgen-edu app`: mistakes in one sentence, and who is let in."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

pytest.importorskip("gradio")

import musicgen_edu.app
from helpers.instrument import service
from musicgen_edu.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max-seconds", "0"], "1 to 3600 seconds, not 0"),
        (["--queue", "-1"], "0 or more places"),
        (["--concurrent", "0"], "at least 1 request"),
        (["--port", "99999"], "--port must be 1 to 65535"),
        (["--model", "no/such/model"], "no/such/model"),
        (["--dtype", "int8", "--device", "cuda"], "cuda"),
        (["--device", "sofa"], "--device sofa cannot be used"),
        (["--translator", "no/such/translator"], "cannot be loaded as a translation model"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_sentence(capsys, arguments, message):
    assert main(["app", *arguments]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert error.startswith("musicgen-edu: ")
    assert "\n" not in error


def test_another_host_is_served_with_a_warning_only(capsys, monkeypatch):
    import gradio

    from musicgen_edu.app.serve import launch

    asked = {}
    monkeypatch.setattr(gradio.Blocks, "launch", lambda self, **options: asked.update(options))
    monkeypatch.setattr(gradio.Blocks, "local_url", "http://0.0.0.0:7860/", raising=False)
    launch(service(), "0.0.0.0", 7860, block=False)
    assert "warning: 0.0.0.0 lets everybody on the network" in capsys.readouterr().err
    assert asked["server_name"] == "0.0.0.0"
    assert asked["share"] is False
    launch(service(), block=False)
    assert "warning" not in capsys.readouterr().err
    assert asked["server_name"] == "127.0.0.1"


def test_the_service_runs_without_gradio(capsys, monkeypatch):
    for name in ("service", "serve", "page", "layout"):  # they are imported anew, and afterwards all is as it was
        monkeypatch.setattr(musicgen_edu.app, name, None, raising=False)
        monkeypatch.delitem(sys.modules, f"musicgen_edu.app.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert import_module("musicgen_edu.app.service").Service
    assert main(["app"]) == 2
    assert "needs a package that is missing (gradio): pip install gradio" in capsys.readouterr().err
