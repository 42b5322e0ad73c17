"""The error of everything that has to do with checkpoints; without torch, so that `hub` is quick to import."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A folder is no checkpoint, a tensor is missing, left over or of the wrong shape, or a model cannot be had.

    Its message is one sentence that a user can act on.
    """
