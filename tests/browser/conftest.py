"""A JupyterLab of its own and a browser, for tests that use a lesson as a learner does."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).parents[2]
REQUIRED = os.environ.get("MUSICGEN_EDU_REQUIRE_BROWSER") == "1"
# What keeps Chromium from looking for the network.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
START_SECONDS = 120


def _missing(what: str) -> None:
    if REQUIRED:
        pytest.fail(f"{what}, and MUSICGEN_EDU_REQUIRE_BROWSER=1 demands a browser")
    pytest.skip(what)


@pytest.fixture(scope="session")
def browser():
    """Chromium, driven by Playwright."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("playwright is not installed")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        _missing("there is no chromium on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Start a JupyterLab in an empty folder: a function that copies a lesson there and returns its address."""
    tmp_path = tmp_path_factory.mktemp("lab")
    notebooks = tmp_path / "notebooks"
    notebooks.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token, log = secrets.token_hex(16), tmp_path / "lab.log"
    with log.open("w") as output:
        command, environment = _command(notebooks, port, token), _environment(tmp_path)
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
    try:
        _wait_until_up(server, f"http://127.0.0.1:{port}/api?token={token}", log)

        def address(lesson: str | Path) -> str:
            name = Path(lesson).name
            shutil.copy(ROOT / "lessons" / lesson, notebooks / name)  # or a path of its own
            return f"http://127.0.0.1:{port}/lab/workspaces/test/tree/{name}?reset&token={token}"

        yield address
    finally:
        server.terminate()  # JupyterLab ends its kernels too
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()


def _command(notebooks: Path, port: int, token: str) -> list[str]:
    options = {
        "ServerApp.root_dir": notebooks,
        "ServerApp.port": port,
        "ServerApp.port_retries": 0,
        "ServerApp.ip": "127.0.0.1",
        "IdentityProvider.token": token,
        "LabApp.expose_app_in_browser": True,
        "LabApp.news_url": "None",
    }
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    return [sys.executable, "-m", "jupyterlab", "--no-browser", *as_root, *(f"--{k}={v}" for k, v in options.items())]


def _environment(tmp_path: Path) -> dict[str, str]:
    own = {
        name: str(tmp_path / name.lower())
        for name in (
            "JUPYTER_CONFIG_DIR",
            "JUPYTER_DATA_DIR",
            "JUPYTER_RUNTIME_DIR",
            "JUPYTERLAB_WORKSPACES_DIR",
            "JUPYTERLAB_SETTINGS_DIR",
            "IPYTHONDIR",
        )
    }
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return os.environ | own | {"MUSICGEN_EDU_SIZE": "quick", "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"}


def _wait_until_up(server: subprocess.Popen, address: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.poll() is not None:
            break
        try:
            with urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")
