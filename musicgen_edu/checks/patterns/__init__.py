"""The exercises of assignment 05: tables from delays and groups, prompts, whole frames, what may be seen, targets."""

from __future__ import annotations

from .. import seal
from .ex1_delayed_table import delayed_table
from .ex2_grouped_table import grouped_table
from .ex3_prompted_sequence import prompted_sequence
from .ex4_finished_frames import finished_frames
from .ex5_may_see import may_see
from .ex6_training_pair import training_pair

EXERCISES = (delayed_table, grouped_table, prompted_sequence, finished_frames, may_see, training_pair)

seal(__name__)
