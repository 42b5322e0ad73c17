"""A codec heard with fewer and more of its codebooks (lesson 03).

`Listening` holds a clip and its reconstructions; `picture` draws it; `RvqListener` adds controls and a player.
"""

from .drawing import picture, still
from .panel import RvqListener
from .state import HEARD, Listening

__all__ = ["HEARD", "Listening", "RvqListener", "picture", "still"]
