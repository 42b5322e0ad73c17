"""A desk that has read its caption once."""

from dataclasses import asdict

import pytest

from musicgen_edu.widgets.sampling_desk import Desk, SamplingDesk
from musicgen_edu.widgets.sampling_desk.choice import Choice, Clip


@pytest.fixture(scope="session")
def made(tiny) -> Desk:
    return Desk(tiny, seconds=0.8)


@pytest.fixture(scope="session")
def default_clip(made) -> Clip:
    """The clip of the default settings."""
    made.move(**asdict(Choice()))
    assert made.generate()
    return made.clips[-1]


@pytest.fixture
def desk(made) -> Desk:
    """The desk in its first state; what it has read stays."""
    made.clips, made._made = [], 0
    made.move(**asdict(Choice()))
    return made


@pytest.fixture
def panel(desk) -> SamplingDesk:
    return SamplingDesk(desk)
