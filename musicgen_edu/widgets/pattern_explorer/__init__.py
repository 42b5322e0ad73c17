"""Four interleaving patterns side by side, step by step (lesson 05).

`Exploration` holds what is chosen and reads all else off the tables; `PatternSound` makes a half-written
table audible; `picture` draws the exploration; `PatternExplorer` adds controls and a player.
"""

from .drawing import picture, still
from .panel import PatternExplorer
from .sound import PatternSound
from .state import Exploration

__all__ = ["Exploration", "PatternExplorer", "PatternSound", "picture", "still"]
