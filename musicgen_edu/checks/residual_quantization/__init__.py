"""The exercises of assignment 03: stop early, decode fewer stages, plan a rate, share out energy, search wider."""

from __future__ import annotations

from .. import seal
from .ex1_stages_needed import stages_needed
from .ex2_decode_first import decode_first
from .ex3_codebooks_for import codebooks_for
from .ex4_energy_shares import energy_shares
from .ex5_beam_encode import beam_encode

EXERCISES = (stages_needed, decode_first, codebooks_for, energy_shares, beam_encode)

seal(__name__)
