"""The model that several panels play, and the state of a plain script."""

from __future__ import annotations

import asyncio

import pytest

from musicgen_edu import MusicGen


@pytest.fixture(scope="session")
def tiny() -> MusicGen:
    """The shipped model, which no test changes."""
    return MusicGen.from_pretrained("tiny", device="cpu")


@pytest.fixture(autouse=True)
def no_loop():
    """As in a plain script: a browser test that ran before leaves its event loop running in this thread."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(loop)
