"""The exercises of assignment 08: temperature, top-k, top-p, the draw, guidance in both spaces, the whole step."""

from __future__ import annotations

from .. import seal
from .ex1_to_probabilities import to_probabilities
from .ex2_keep_top_k import keep_top_k
from .ex3_keep_top_p import keep_top_p
from .ex4_draw_tokens import draw_tokens
from .ex5_guide_logits import guide_logits
from .ex6_mix_probabilities import mix_probabilities
from .ex7_choose_tokens import choose_tokens

EXERCISES = (
    to_probabilities,
    keep_top_k,
    keep_top_p,
    draw_tokens,
    guide_logits,
    mix_probabilities,
    choose_tokens,
)

seal(__name__)
