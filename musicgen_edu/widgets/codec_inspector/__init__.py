"""A codec seen from inside (lesson 04): a clip's codes, with codebooks muted, swapped or shuffled, and heard.

`Inspector` holds two clips and what is done to each codebook; `picture` draws the codes above the spectrogram of their
sound; `CodecInspector` adds controls and a player.
"""

from .drawing import picture, still
from .panel import CodecInspector
from .state import TREATMENTS, Inspector

__all__ = ["TREATMENTS", "CodecInspector", "Inspector", "picture", "still"]
