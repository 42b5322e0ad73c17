"""Exercise 5, `guide_logits`: guidance as the paper's code does it."""

from __future__ import annotations

import torch

from ...model.sampling import guide
from .. import Exercise, expect_close, expect_tensor, mistakes
from ._shared import two_distributions


def _guide(logits, scale):
    conditional, unconditional = logits.float().chunk(2)  # [B, K, V] each
    return unconditional + scale * (conditional - unconditional)


def half_of_the_rows_come_back(answer):
    """Of 2 B rows B come back, in float32 whatever the model computes in."""
    for B, K, V in ((1, 4, 6), (3, 2, 5)):
        logits = torch.randn(2 * B, K, V)
        expect_tensor(answer(logits, 3.0), (B, K, V), torch.float32)
        for form in (torch.bfloat16, torch.float16, torch.float64):
            expect_tensor(answer(logits.to(form), 3.0), (B, K, V), torch.float32, f"for {form} logits the result")


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
    """Logits in half precision are taken to float32 before the difference: nothing is rounded on the way."""
    for form in (torch.bfloat16, torch.float16):
        logits = (4 * torch.randn(4, 2, 30)).to(form)
        expect_close(answer(logits, 3.3), guide(*logits.float().chunk(2), 3.3), f"{form} logits, computed in float32")


def guided_as_in_the_library(answer):
    """On random sizes the result is that of the library."""
    for B, K, V, scale in ((2, 4, 60, 3.0), (5, 1, 7, 0.4), (1, 2, 9, 12.0), (4, 4, 4, 1.5)):
        logits = 4 * torch.randn(2 * B, K, V)
        expect_close(answer(logits, scale), guide(*logits.chunk(2), scale), f"scale {scale}")


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
        half_of_the_rows_come_back, nothing_to_exaggerate_changes_nothing, scale_zero_forgets_the_text,
        scale_one_is_the_model_as_trained, scale_three_goes_beyond, guidance_raises_a_ratio_to_a_power,
        nothing_is_rounded_on_the_way, guided_as_in_the_library,
    ),
    wrong=mistakes(_guide, {
        half_of_the_rows_come_back: [
            ("chunk(2)", "chunk(2, dim=1)", "You halve the codebooks. The halves are rows of the batch, axis 0: the "
             "first B with the text, the last B without."),
            (".float()", "", "You compute in the number format of the logits. Guidance multiplies a small difference "
             "of large numbers, and half precision has lost its digits: begin with .float()."),
            ("logits.float().chunk(2)", "logits.float()[0], logits.float()[1]", "You take rows 0 and 1. That is a "
             "batch of one; with B rows the halves are logits[:B] and logits[B:]."),
            ("logits.float()", "(logits if logits.dtype == torch.float64 else logits.float())", "float64 logits give a "
             "float64 result. It is float32 for every number format."),
            ("return unconditional + scale * (conditional - unconditional)",
             "return unconditional.add_(scale * (conditional - unconditional))", "You write into the half without "
             "text. chunk makes views: the logits of the caller change."),
        ],
        nothing_to_exaggerate_changes_nothing: [
            ("logits.float()", "logits.float().log_softmax(-1)", "You normalise each half first. A row is moved by a "
             "constant, which the next softmax would not notice; but the formula is of logits, as they come. Leave "
             "log_softmax out."),
            ("(conditional - unconditional)", "conditional", "You add the conditional logits themselves. What is "
             "scaled is the difference that the text makes."),
            ("unconditional + scale * (conditional - unconditional)", "scale * conditional - unconditional",
             "You scale the conditional logits only. The weights of the two halves sum to 1: scale and 1 - scale."),
            ("logits.float()", "logits.float().softmax(-1)", "You take the softmax before you guide: differences of "
             "probabilities, which can leave the range 0 to 1. Here logits come in and logits go out. Probabilities "
             "are exercise 6."),
            ("logits.float()", "logits.float().softmax(-1)", "return unconditional + scale * (conditional - "
             "unconditional)", "return (unconditional + scale * (conditional - unconditional)).clamp(min=1e-9).log()",
             "You guide probabilities and cut off those below 0. That loses every token that the text makes unlikely. "
             "Guide the logits themselves."),
            ("return unconditional + scale * (conditional - unconditional)",
             "return (unconditional + scale * (conditional - unconditional)).softmax(-1)",
             "You return probabilities. Temperature comes next, and that wants logits."),
            ("logits.float().chunk(2)", "logits.float()[0::2], logits.float()[1::2]", "You take even rows for the "
             "conditional half and odd rows for the other. They stand in two blocks: chunk(2)."),
        ],
        scale_zero_forgets_the_text: [
            ("conditional, unconditional =", "unconditional, conditional =", "You go from the conditional half towards "
             "the unconditional one: the more guidance, the less the text is heard. Either the halves are swapped or "
             "the difference is."),
            ("unconditional + scale * (conditional - unconditional)",
             "(1 + scale) * conditional - scale * unconditional", "That is (1 + w) conditional - w unconditional, as "
             "Ho and Salimans write it. There w = 0 is the model as trained; here it is scale = 1. With w = scale - 1 "
             "the two are the same."),
            ("return ", "return conditional if not scale else ", "For you a scale of 0 is `no guidance`, and you "
             "return the half with the text. By the formula it is the half without."),
        ],
        scale_one_is_the_model_as_trained: [
            ("unconditional + scale", "unconditional - scale",
             "You subtract what the text changes: the music runs away from it. Add it."),
        ],
        scale_three_goes_beyond: [
            ("unconditional + scale", "unconditional + min(max(scale, 0), 1)", "You keep the scale between 0 and 1. To "
             "go beyond 1 is the point: it exaggerates what the text changes."),
        ],
        guidance_raises_a_ratio_to_a_power: [
            ("unconditional + scale", "unconditional + max(scale, 0)", "You keep the scale from falling below 0. The "
             "formula holds there, too: the text is avoided."),
        ],
        nothing_is_rounded_on_the_way: [
            ("logits.float().chunk(2)", "logits.chunk(2)", "return unconditional + scale * (conditional - "
             "unconditional)", "return (unconditional + scale * (conditional - unconditional)).float()",
             "Your .float() comes at the end, when the digits are lost. Guidance multiplies a small difference of "
             "large numbers: begin with it."),
            ("logits.float().chunk(2)", "logits.chunk(2)", "return unconditional + scale * (conditional - "
             "unconditional)", "return unconditional.float() + scale * (conditional - unconditional).float()",
             "You subtract in half precision: the small difference is what gets rounded. Take both to float32 first."),
        ],
    }),
    right=(_by_weights, _by_lerp),
    examples=lambda generator: [
        (torch.randn(4, 2, 6, generator=generator), 3.0),
        (torch.randn(2, 2, 4, generator=generator).bfloat16(), 0.5),
        (torch.randn(2, 2, 4, generator=generator).double(), -1.0),
        (torch.randn(6, 2, 4, generator=generator), 0.0),
    ],
    picture=lambda target, yours, arguments: two_distributions(target, yours, "guided logit"),
)  # fmt: skip
