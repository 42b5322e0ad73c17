"""The exercises of assignment 04: codebooks for a bit rate, windows, streaming, a discriminator's losses, balance."""

from __future__ import annotations

from .. import seal
from .ex1_codebooks_for import codebooks_for
from .ex2_window_of_frame import window_of_frame
from .ex3_stream_convolution import stream_convolution
from .ex4_judge_losses import judge_losses
from .ex5_balance import balance

EXERCISES = (codebooks_for, window_of_frame, stream_convolution, judge_losses, balance)

seal(__name__)
