"""The exercises of assignment 07: loss, two dropouts, averaged weights, pieces of a batch, rates, a fifth pattern."""

from __future__ import annotations

from .. import seal
from .ex1_masked_loss import masked_loss
from .ex2_drop_words import drop_words
from .ex3_drop_conditions import drop_conditions
from .ex4_update_average import update_average
from .ex5_update_with_pieces import update_with_pieces
from .ex6_learning_rates import learning_rates
from .ex7_own_table import own_table
from .ex8_nats_per_frame import nats_per_frame

EXERCISES = (
    masked_loss,
    drop_words,
    drop_conditions,
    update_average,
    update_with_pieces,
    learning_rates,
    own_table,
    nats_per_frame,
)

seal(__name__)
