"""Fixtures that several test files share, and small random models in both implementations."""

from __future__ import annotations

import os
import subprocess

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test needs the network

import pytest
import torch

SLOW = {  # files that take more than some seconds, by the list at the end of `make test`; `make quick` leaves them out
    "checks/test_class.py", "checks/test_checks.py", "checks/test_submissions.py", "experiments/test_tiny.py",
    "checkpoints/test_full_size.py", "test_musicgen.py", "checkpoints/test_audiocraft.py", "training/test_runs.py",
    "training/test_codec.py", "model/test_encodec.py", "widgets/sampling_desk/test_panel.py", "model/test_streaming.py",
    "data/test_procedural.py", "app/test_serve.py", "widgets/test_generator.py", "training/test_lm.py",
    "experiments/test_guidance_report.py", "fast/test_int8.py", "package/test_packaging.py", "package/test_fuzz.py",
    "experiments/test_patterns_comparison.py", "checkpoints/test_hub.py", "cli/test_train_lm.py",
}  # fmt: skip


def pytest_collection_modifyitems(items):
    """Mark the tests of slow files."""
    for item in items:
        if any(item.path.as_posix().endswith(f"tests/{name}") for name in SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def seed():
    """Every test starts from the same random numbers, whatever ran before it, and leaves torch as it was."""
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    yield
    assert torch.is_grad_enabled(), "this test has switched gradients off for all that follow"
    assert torch.get_num_threads() == threads, "this test has changed the number of threads for all that follow"


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 1 MB: what needs more does not fit."""
    folder = tmp_path / "small disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a small disk is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
