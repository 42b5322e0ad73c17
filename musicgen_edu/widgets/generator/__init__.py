"""A panel that turns a prompt into sound (lesson 00).

`Generator` holds the settings, the work and its outcome; `GeneratorPanel` adds controls, progress and a player.
"""

from .drawing import still
from .panel import GeneratorPanel
from .state import EXAMPLES, Generator, Settings

__all__ = ["EXAMPLES", "Generator", "GeneratorPanel", "Settings", "still"]
