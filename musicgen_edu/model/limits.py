"""What the fields of a configuration may hold: wide enough for any model, and no wider than a computer can bear.

Types count as much as values: a file of settings may say "3", 3.0, true or null where 3 is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any, NamedTuple

from .values import shown


class Rule(NamedTuple):
    """What a field may hold, as a function and in words."""

    accepts: Callable[[Any], bool]
    expected: str


def whole(least: int, most: int) -> Rule:
    """A whole number; True and False are none, nor is 3.0."""
    return Rule(
        lambda value: isinstance(value, Integral) and not isinstance(value, bool) and least <= value <= most,
        f"a whole number from {least} to {most}",
    )


def number(least: float, most: float) -> Rule:
    """A number, neither NaN nor infinite."""
    return Rule(
        lambda value: isinstance(value, Real) and not isinstance(value, bool) and least <= value <= most,
        f"a number from {least:g} to {most:g}",
    )


def one_of(*values: Any) -> Rule:
    """One of some values, of the same type."""
    return Rule(
        lambda value: any(type(value) is type(one) and value == one for one in values),
        " or ".join(map(repr, values)),
    )


def several(each: Rule, most: int) -> Rule:
    """A list of 1 to `most` values."""
    return Rule(
        lambda value: isinstance(value, (list, tuple)) and 1 <= len(value) <= most and all(map(each.accepts, value)),
        f"a list of 1 to {most} values, each {each.expected}",
    )


FLAG = one_of(True, False)


def fault_of(values: Mapping[str, Any], rules: Mapping[str, Rule]) -> tuple[str, str] | None:
    """The first field that breaks its rule, and in words what it must be; None if all are as they should be."""
    for name, rule in rules.items():
        if name in values and not rule.accepts(values[name]):
            return name, f"must be {rule.expected}, not {shown(values[name])}"
    return None


def check_fields(values: Mapping[str, Any], rules: Mapping[str, Rule]) -> None:
    """Raise a `ValueError` that names the first field that breaks its rule."""
    fault = fault_of(values, rules)
    if fault:
        raise ValueError(" ".join(fault))


CODEC_RULES = {
    "sampling_rate": whole(1, 768000),
    "audio_channels": whole(1, 8),
    "num_filters": whole(1, 4096),
    "upsampling_ratios": several(whole(1, 64), 8),
    "hidden_size": whole(1, 65536),
    "codebook_size": whole(2, 2**20),
    "num_codebooks": whole(1, 1024),
    "num_residual_layers": whole(0, 16),
    "num_lstm_layers": whole(1, 16),
    "kernel_size": whole(1, 1024),
    "last_kernel_size": whole(1, 1024),
    "residual_kernel_size": whole(1, 1024),
    "dilation_growth_rate": whole(1, 64),
    "compress": whole(1, 4096),
    "use_causal_conv": FLAG,
    "use_conv_shortcut": FLAG,
    "pad_mode": one_of("reflect", "constant", "replicate"),
    "trim_right_ratio": number(0, 1),
}
LONGEST_WINDOW = 2**16  # samples that a residual block may see

LM_RULES = {
    "dim": whole(4, 65536),
    "num_heads": whole(1, 1024),
    "layers": whole(0, 1000),
    "feed_forward": whole(1, 2**20),
    "num_codebooks": whole(1, 1024),
    "codebook_size": whole(1, 2**20),
    "text_dim": whole(1, 65536),
    "max_steps": whole(1, 65536),
    "special_tokens": whole(1, 16),
    "bias": FLAG,
    "head_bias": FLAG,
    "final_norm": FLAG,
    "text_layers": whole(0, 8),
}
