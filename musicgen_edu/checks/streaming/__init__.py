"""The exercises of assignment 10: look-ahead, two layers and a small decoder streamed, windows, the first chunk."""

from __future__ import annotations

from .. import seal
from .ex1_look_ahead import look_ahead
from .ex2_stream_convolution import stream_convolution
from .ex3_stream_transposed import stream_transposed
from .ex4_stream_decoder import stream_decoder
from .ex5_plan_windows import plan_windows
from .ex6_first_chunk import first_chunk

EXERCISES = (look_ahead, stream_convolution, stream_transposed, stream_decoder, plan_windows, first_chunk)

seal(__name__)
