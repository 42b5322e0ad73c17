"""The exercises of assignment 02: where k-means starts, gradients through a choice, dead entries, bits, groups."""

from __future__ import annotations

from .. import seal
from .ex1_spread_start import spread_start
from .ex2_quantize_and_learn import quantize_and_learn
from .ex3_move_and_revive import move_and_revive
from .ex4_code_rate import code_rate
from .ex5_product_quantize import product_quantize

EXERCISES = (spread_start, quantize_and_learn, move_and_revive, code_rate, product_quantize)

seal(__name__)
