"""The exercises of assignment 09: keys, a joined matrix, weight norm, a file's header, sizes, padded prompts."""

from __future__ import annotations

from .. import seal
from .ex1_map_key import map_key
from .ex2_split_in_proj import split_in_proj
from .ex3_fold_weight_norm import fold_weight_norm
from .ex4_read_header import read_header
from .ex5_parameters_of import parameters_of
from .ex6_attend_to_text import attend_to_text

EXERCISES = (map_key, split_in_proj, fold_weight_norm, read_header, parameters_of, attend_to_text)

seal(__name__)
