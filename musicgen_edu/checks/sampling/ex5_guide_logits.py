"""Exercise 5, `guide_logits`: guidance as the paper's code does it."""

from __future__ import annotations

import torch
from torch import Tensor

from ...model.sampling import guide
from .. import Exercise, Wrong, expect_close, expect_tensor
from ._shared import two_distributions


def _guide(logits: Tensor, scale: float) -> Tensor:
    conditional, unconditional = logits.float().chunk(2)  # [B, K, V] each
    return unconditional + scale * (conditional - unconditional)


def half_of_the_rows_come_back(answer):
    """Of 2 B rows B come back, in float32 whatever the model computes in."""
    for B, K, V in ((1, 4, 6), (3, 2, 5)):
        logits = torch.randn(2 * B, K, V)
        expect_tensor(answer(logits, 3.0), (B, K, V), torch.float32)
        expect_tensor(answer(logits.bfloat16(), 3.0), (B, K, V), torch.float32, "for bfloat16 logits the result")


def nothing_to_exaggerate_changes_nothing(answer):
    """Where both halves agree, they stay as they are at every scale."""
    half = torch.randn(3, 2, 5)
    for scale in (0.0, 1.0, 4.0):
        expect_close(answer(torch.cat([half, half]), scale), half, f"equal halves, scale {scale}")


def scale_zero_forgets_the_text(answer):
    """Scale 0 is the unconditional half, which comes second."""
    conditional, unconditional = torch.randn(2, 3, 2, 5)
    expect_close(answer(torch.cat([conditional, unconditional]), 0.0), unconditional, "scale 0")


def scale_one_is_the_model_as_trained(answer):
    """Scale 1 is the conditional half, which comes first."""
    conditional, unconditional = torch.randn(2, 3, 2, 5)
    expect_close(answer(torch.cat([conditional, unconditional]), 1.0), conditional, "scale 1")


def scale_three_goes_beyond(answer):
    """Logits 1 and 2 with a text, 0 and 2.5 without: scale 3 gives 3 and 1."""
    logits = torch.tensor([[[1.0, 2.0]], [[0.0, 2.5]]])
    expect_close(answer(logits, 3.0), torch.tensor([[[3.0, 1.0]]]), "scale 3")


def guidance_raises_a_ratio_to_a_power(answer):
    """As probabilities: what the text makes r times as likely becomes r ** scale times as likely."""
    conditional, unconditional = torch.randn(2, 2, 3, 6).softmax(-1)
    for scale in (2.0, 5.0, -1.0):
        wanted = unconditional * (conditional / unconditional) ** scale
        found = answer(torch.cat([conditional, unconditional]).log(), scale).softmax(-1)
        expect_close(found, wanted / wanted.sum(-1, keepdim=True), f"scale {scale}", 1e-4)


def nothing_is_rounded_on_the_way(answer):
    """Logits in bfloat16 are taken to float32 before the difference: nothing is rounded on the way."""
    logits = 4 * torch.randn(4, 2, 30).bfloat16()
    expect_close(answer(logits, 3.0), _guide(logits, 3.0), "bfloat16 logits, computed in float32")


def guided_as_in_the_library(answer):
    """On random sizes the result is that of the library."""
    for B, K, V, scale in ((2, 4, 60, 3.0), (5, 1, 7, 0.4)):
        logits = 4 * torch.randn(2 * B, K, V)
        expect_close(answer(logits, scale), guide(*logits.chunk(2), scale), f"scale {scale}")


def _reversed(logits, scale):
    conditional, unconditional = logits.float().chunk(2)
    return conditional + scale * (unconditional - conditional)


def _ho_and_salimans(logits, scale):
    conditional, unconditional = logits.float().chunk(2)
    return (1 + scale) * conditional - scale * unconditional


def _minus(logits, scale):
    conditional, unconditional = logits.float().chunk(2)
    return unconditional - scale * (conditional - unconditional)


def _only_added(logits, scale):
    conditional, unconditional = logits.float().chunk(2)
    return unconditional + scale * conditional


def _only_scaled(logits, scale):
    conditional, unconditional = logits.float().chunk(2)
    return scale * conditional - unconditional


def _probabilities_mixed(logits, scale):
    conditional, unconditional = logits.float().softmax(-1).chunk(2)
    return unconditional + scale * (conditional - unconditional)


def _probabilities_and_back(logits, scale):
    return _probabilities_mixed(logits, scale).clamp(min=1e-9).log()


def _softmax_at_the_end(logits, scale):
    return _guide(logits, scale).softmax(-1)


def _in_turn(logits, scale):
    logits = logits.float()
    return logits[1::2] + scale * (logits[0::2] - logits[1::2])


def _codebooks_halved(logits, scale):
    conditional, unconditional = logits.float().chunk(2, dim=1)
    return unconditional + scale * (conditional - unconditional)


def _no_further_than_one(logits, scale):
    return _guide(logits, min(max(scale, 0), 1))


def _half_precision(logits, scale):
    conditional, unconditional = logits.chunk(2)
    return unconditional + scale * (conditional - unconditional)


def _float_at_the_end(logits, scale):
    return _half_precision(logits, scale).float()


def _float_after_the_difference(logits, scale):
    conditional, unconditional = logits.chunk(2)
    return unconditional.float() + scale * (conditional - unconditional).float()


def _normalised_first(logits, scale):
    return _guide(logits.float().log_softmax(-1), scale)


def _by_weights(logits, scale):
    B = len(logits) // 2
    return scale * logits[:B].float() + (1 - scale) * logits[B:].float()


def _by_lerp(logits, scale):
    conditional, unconditional = logits.float().unflatten(0, (2, -1))
    return torch.lerp(unconditional, conditional, scale)


guide_logits = Exercise(
    "guide_logits",
    reference=_guide,
    properties=(
        half_of_the_rows_come_back,
        nothing_to_exaggerate_changes_nothing,
        scale_zero_forgets_the_text,
        scale_one_is_the_model_as_trained,
        scale_three_goes_beyond,
        guidance_raises_a_ratio_to_a_power,
        nothing_is_rounded_on_the_way,
        guided_as_in_the_library,
    ),
    wrong=(
        Wrong(
            _codebooks_halved,
            "half_of_the_rows_come_back",
            "You halve the codebooks. The halves are rows of the batch, axis 0: the first B with the text, the last B "
            "without.",
        ),
        Wrong(
            _half_precision,
            "half_of_the_rows_come_back",
            "You compute in the number format of the logits. Guidance multiplies a small difference of large numbers, "
            "and half precision has lost its digits: begin with .float().",
        ),
        Wrong(
            _normalised_first,
            "nothing_to_exaggerate_changes_nothing",
            "You normalise each half first. A row is moved by a constant, which the next softmax would not notice; but "
            "the formula is of logits, as they come. Leave log_softmax out.",
        ),
        Wrong(
            _only_added,
            "nothing_to_exaggerate_changes_nothing",
            "You add the conditional logits themselves. What is scaled is the difference that the text makes.",
        ),
        Wrong(
            _only_scaled,
            "nothing_to_exaggerate_changes_nothing",
            "You scale the conditional logits only. The weights of the two halves sum to 1: scale and 1 - scale.",
        ),
        Wrong(
            _probabilities_mixed,
            "nothing_to_exaggerate_changes_nothing",
            "You take the softmax before you guide: differences of probabilities, which can leave the range 0 to 1. "
            "Here logits come in and logits go out. Probabilities are exercise 6.",
        ),
        Wrong(
            _probabilities_and_back,
            "nothing_to_exaggerate_changes_nothing",
            "You guide probabilities and cut off those below 0. That loses every token that the text makes unlikely. "
            "Guide the logits themselves.",
        ),
        Wrong(
            _softmax_at_the_end,
            "nothing_to_exaggerate_changes_nothing",
            "You return probabilities. Temperature comes next, and that wants logits.",
        ),
        Wrong(
            _in_turn,
            "nothing_to_exaggerate_changes_nothing",
            "You take even rows for the conditional half and odd rows for the other. They stand in two blocks: "
            "chunk(2).",
        ),
        Wrong(
            _reversed,
            "scale_zero_forgets_the_text",
            "You go from the conditional half towards the unconditional one: the more guidance, the less the text is "
            "heard. Either the halves are swapped or the difference is.",
        ),
        Wrong(
            _ho_and_salimans,
            "scale_zero_forgets_the_text",
            "That is (1 + w) conditional - w unconditional, as Ho and Salimans write it. There w = 0 is the model as "
            "trained; here it is scale = 1. With w = scale - 1 the two are the same.",
        ),
        Wrong(
            _minus,
            "scale_one_is_the_model_as_trained",
            "You subtract what the text changes: the music runs away from it. Add it.",
        ),
        Wrong(
            _no_further_than_one,
            "scale_three_goes_beyond",
            "You keep the scale between 0 and 1. To go beyond 1 is the point: it exaggerates what the text changes.",
        ),
        Wrong(
            _float_at_the_end,
            "nothing_is_rounded_on_the_way",
            "Your .float() comes at the end, when the digits are lost. Guidance multiplies a small difference of "
            "large numbers: begin with it.",
        ),
        Wrong(
            _float_after_the_difference,
            "nothing_is_rounded_on_the_way",
            "You subtract in half precision: the small difference is what gets rounded. Take both to float32 first.",
        ),
    ),
    right=(_by_weights, _by_lerp),
    examples=lambda generator: [
        (torch.randn(4, 2, 6, generator=generator), 3.0),
        (torch.randn(2, 2, 4, generator=generator).bfloat16(), 0.5),
    ],
    picture=lambda target, yours, arguments: two_distributions(target, yours, "guided logit"),
)
