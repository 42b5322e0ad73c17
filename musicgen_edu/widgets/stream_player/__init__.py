"""A panel that plays music while it is being made: the app's controls in a notebook (lesson 10).

`Streamer` is a `Generator` whose sound can be heard from its first chunk on; `StreamPanel` adds controls and players;
`live_sound` sends the browser a file that grows.
"""

from .panel import StreamPanel
from .state import Streamer, StreamSettings

__all__ = ["StreamPanel", "StreamSettings", "Streamer"]
