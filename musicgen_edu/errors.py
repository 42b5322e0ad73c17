"""The errors of our own that several rooms raise and catch; without torch, so that they are quick to import."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A folder is no checkpoint, a tensor is missing, left over or of the wrong shape, or a model cannot be had.

    Its message is one sentence that a user can act on.
    """


class Stopped(Exception):
    """Raised by a `progress` callback to end a generation that was asked to stop; whoever asked catches it."""


class NotFinite(ValueError):
    """Numbers that had to be finite are NaN or infinite: of a training, of weights, or of logits."""
