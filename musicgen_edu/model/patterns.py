"""Interleaving patterns: in which step each code is produced (lesson 05).

A pattern is a table `step` [K, T]: the step at which code (k, t) is produced. Everything else follows from it.
Interleaving is a scatter by that table, undoing it a gather, the number of steps S its maximum plus one, and code
(k, t) may be computed from code (k', t') only if step[k', t'] < step[k, t].

A sequence [B, K, S + 1] has one column more than there are steps: column 0 is the start and holds only the special
token, and the code of step s stands in column s + 1. The model reads columns 0 to s and predicts step s, so the
logit of (k, t) stands at position step[k, t] of the model's output.

Source: Copet et al. 2023, "Simple and Controllable Music Generation" (arXiv 2306.05284), section 2.2 and figure 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .shapes import check_shape
from .values import whole_number

LARGEST_TABLE = 2**26  # codes; an hour of music has less than 2^20

# k is [K, 1], t is [1, T]; the result broadcasts to [K, T].
PATTERNS: dict[str, Callable[[Tensor, Tensor, int, int], Tensor]] = {
    "parallel": lambda k, t, K, T: t + 0 * k,
    "delay": lambda k, t, K, T: t + k,
    "flattening": lambda k, t, K, T: t * K + k,
    "coarse-first": lambda k, t, K, T: torch.where(k == 0, t, T + t),
    "partial delay": lambda k, t, K, T: t + (k > 0),
    "partial flattening": lambda k, t, K, T: 2 * t + (k > 0),
}


def pattern_table(name: str, K: int, T: int) -> Tensor:
    """The table of a pattern by name: step int64 [K, T].

    Args:
        name: a key of `PATTERNS`.
        K: codebooks, at least 1.
        T: frames, at least 1.

    Raises:
        ValueError: unknown name, or sizes below 1 or so large that no memory holds the table.
    """
    if not isinstance(name, str) or name not in PATTERNS:
        raise ValueError(f"unknown pattern {name!r}: expected one of {', '.join(PATTERNS)}")
    K, T = whole_number("K", K), whole_number("T", T)
    if K < 1 or T < 1:
        raise ValueError(f"a pattern needs K >= 1 and T >= 1, not K = {K} and T = {T}")
    if K * T > LARGEST_TABLE:
        raise ValueError(f"a table of K = {K} codebooks and T = {T} frames is too large: more than 2^26 codes")
    k, t = torch.arange(K)[:, None], torch.arange(T)[None, :]
    return check_table(PATTERNS[name](k, t, K, T).expand(K, T).contiguous())


def check_table(step: Tensor) -> Tensor:
    """Return the table if it is a pattern, else raise a `ValueError` that says why not.

    A pattern is int64 [K, T] without negative steps, and each codebook produces its codes one after the other.
    """
    check_shape("step", step, "K T")
    if step.dtype != torch.int64:
        raise ValueError(f"a pattern table must be int64, not {step.dtype}")
    if int(step.min()) < 0:
        raise ValueError("a pattern table must not contain negative steps")
    if not (step[:, 1:] > step[:, :-1]).all():
        raise ValueError("in a pattern table each codebook's steps must increase from frame to frame")
    return step


def num_steps(step: Tensor) -> int:
    """S, how many steps the model takes: the largest step plus one."""
    return int(step.max()) + 1


def interleave(codes: Tensor, step: Tensor, special: int) -> Tensor:
    """Lay codes out in the order of a pattern.

    Args:
        codes: [B, K, T].
        step: the pattern's table [K, T].
        special: token of the cells that hold no code; usually V.

    Returns:
        sequence: [B, K, S + 1], column 0 the start.
    """
    B, K, T = check_shape("codes", codes, "B K T", K=step.shape[0], T=step.shape[1])
    sequence = codes.new_full((B, K, num_steps(step) + 1), special)
    columns = (step + 1).to(codes.device).expand(B, K, T)
    return sequence.scatter(2, columns, codes)  # [B, K, S + 1]


def undo(sequence: Tensor, step: Tensor) -> Tensor:
    """Gather the codes [B, K, T] back from a sequence [B, K, at least S + 1]."""
    B, K, _ = check_shape("sequence", sequence, "B K S", K=step.shape[0])
    return sequence.gather(2, (step + 1).to(sequence.device).expand(B, -1, -1))  # [B, K, T]


def undo_logits(logits: Tensor, step: Tensor) -> Tensor:
    """Gather the logits of each code, [B, K, T, V], from the model's output [B, K, at least S, V]."""
    B, K, _, V = check_shape("logits", logits, "B K S V", K=step.shape[0])
    index = step.to(logits.device)[None, :, :, None].expand(B, -1, -1, V)
    return logits.gather(2, index)  # [B, K, T, V]


def holds_code(step: Tensor) -> Tensor:
    """Which cells of the sequence hold a code: bool [K, S + 1]; the others hold the special token."""
    cells = torch.zeros(step.shape[0], num_steps(step) + 1, dtype=torch.bool)
    return cells.scatter(1, step + 1, True)


def known_codes(step: Tensor, k: int, t: int) -> Tensor:
    """Which codes have been produced before (k, t) is predicted, and may be used for it: bool [K, T]."""
    return step < step[k, t]
