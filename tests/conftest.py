"""Fixtures that several test files share, and small random models in both implementations."""

from __future__ import annotations

import os
import subprocess

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # no test needs the network

import pytest
import torch


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
