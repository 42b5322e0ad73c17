"""What a head looks at, at each step of a real generation (lesson 06).

`Attending` holds the generation and its attention maps; `picture` draws one; `AttentionExplorer` adds controls.
"""

from .drawing import picture, still
from .panel import AttentionExplorer
from .state import Attending

__all__ = ["Attending", "AttentionExplorer", "picture", "still"]
