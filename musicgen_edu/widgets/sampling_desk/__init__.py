"""How a token is drawn, to be tried out, and what that makes of a clip (lesson 08).

`Desk` holds a choice, what follows from it, and the clips that were made; `picture` draws it; `SamplingDesk` adds
controls and players.
"""

from .drawing import picture, still
from .panel import SamplingDesk
from .state import Desk

__all__ = ["Desk", "SamplingDesk", "picture", "still"]
