"""A clip heard with fewer bits a sample and fewer samples a second (lesson 01).

`Listener` stores a clip and reads it back; `picture` draws it; `BitDepthPanel` adds controls and two players.
"""

from .drawing import picture, still
from .panel import BitDepthPanel
from .state import Listener, Settings

__all__ = ["BitDepthPanel", "Listener", "Settings", "picture", "still"]
