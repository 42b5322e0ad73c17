"""The exercises of assignment 01: silence that stays silent, fewer samples, an honest prediction, where notes begin."""

from __future__ import annotations

from .. import seal
from .ex1_mid_tread import mid_tread
from .ex2_decimate import decimate
from .ex3_held_out_gain import held_out_gain
from .ex4_onset_strength import onset_strength

EXERCISES = (mid_tread, decimate, held_out_gain, onset_strength)

seal(__name__)
