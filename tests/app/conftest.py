"""The shipped model, loaded once for all tests of the app."""

from __future__ import annotations

import pytest

from musicgen_edu import MusicGen


@pytest.fixture(scope="package")
def tiny() -> MusicGen:
    return MusicGen.from_pretrained("tiny", device="cpu")
