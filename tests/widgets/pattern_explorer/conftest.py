"""A sound to explore without a codec."""

from types import SimpleNamespace

import pytest
import torch

from musicgen_edu.widgets.pattern_explorer import PatternExplorer, PatternSound
from musicgen_edu.widgets.pattern_explorer.sound import FRAMES

HOP = 320


class Organ:
    """Stands in for a codec: frame t of a clip with n codebooks is a tone whose loudness says n."""

    config = SimpleNamespace(sampling_rate=16000, frame_rate=50.0)

    def decode(self, codes):
        _, K, T = codes.shape
        tone = torch.sin(torch.arange(T * HOP) * 0.2)
        return (0.1 * K * tone)[None, None]


@pytest.fixture(scope="session")
def sound() -> PatternSound:
    return PatternSound(Organ(), torch.zeros(4, 24 * FRAMES, dtype=torch.int64), 24)


@pytest.fixture
def panel(sound) -> PatternExplorer:
    return PatternExplorer(sound=sound)
