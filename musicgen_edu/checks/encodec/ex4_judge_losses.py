"""Exercise 4, `judge_losses`: what a discriminator teaches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...training.discriminator import adversarial_loss, discriminator_loss, feature_matching_loss
from .. import Exercise, Wrong, expect, expect_close, expect_tensor

Scale = tuple[Tensor, list[Tensor]]


def _judge(real: list[Scale], fake: list[Scale]) -> tuple[Tensor, Tensor, Tensor]:
    real_logits, fake_logits = [logits for logits, _ in real], [logits for logits, _ in fake]
    features = feature_matching_loss([[m.detach() for m in maps] for _, maps in real], [maps for _, maps in fake])
    return discriminator_loss(real_logits, fake_logits), adversarial_loss(fake_logits), features


def _views(*logits: list[float], scale: float = 1.0) -> list[Scale]:
    return [(torch.tensor(row), [scale * torch.tensor([1.0, 3.0]), torch.tensor([[2.0], [4.0]])]) for row in logits]


def says_three_numbers(answer):
    """Three scalars: the discriminator's loss, the codec's adversarial loss, feature matching."""
    found = answer(*_judge_examples(torch.Generator().manual_seed(1))[0])
    expect(isinstance(found, tuple) and len(found) == 3, "return three losses")
    for name, value in zip(("discriminator", "adversarial", "features"), found, strict=True):
        expect_tensor(value, (), torch.float32, f"the loss `{name}`")


def hinges_are_those_of_the_equation(answer):
    """One window, two patches: max(0, 1 - real) and max(0, 1 + fake) for the judge, max(0, 1 - fake) for the codec."""
    judge, codec, _ = answer(_views([1.5, 0.5]), _views([-2.0, 0.5]))
    expect_close(judge, torch.tensor(1.0), "real [1.5, 0.5], fake [-2, 0.5]: (0 + 0.5) / 2 + (0 + 1.5) / 2")
    expect_close(codec, torch.tensor(1.75), "fake [-2, 0.5]: (3 + 0.5) / 2")


def windows_count_the_same(answer):
    """Each window counts the same, however many patches it has."""
    judge, codec, _ = answer(_views([1.0], [0.0] * 9), _views([-1.0], [0.0] * 9))
    expect_close(judge, torch.tensor(1.0), "a perfect window of 1 patch, a clueless one of 9: (0 + 2) / 2")
    expect_close(codec, torch.tensor(1.5), "verdicts on copies -1 in one patch, 0 in nine: (2 + 1) / 2")


def layers_count_the_same(answer):
    """Feature matching is relative: 10 % off counts the same in a loud and in a quiet layer."""
    for scale in (1.0, 100.0):
        real = _views([0.0], scale=scale)
        fake = [(logits, [1.1 * one for one in maps]) for logits, maps in real]
        expect_close(answer(real, fake)[2], torch.tensor(0.1), f"every map 10 % louder, one of them {scale:g} times")


def nobody_is_taught_the_wrong_thing(answer):
    """Feature matching sends no gradient into the maps of recordings."""
    (real, fake), *_ = _judge_examples(torch.Generator().manual_seed(2))
    held = real[0][1][0].requires_grad_()
    moved = fake[0][1][0].requires_grad_()
    features = answer(real, fake)[2]
    expect(features.requires_grad, "feature matching sends no gradient into the copies' maps")
    gradients = torch.autograd.grad(features, (held, moved), allow_unused=True)
    expect(gradients[1] is not None and gradients[1].abs().sum() > 0, "no gradient arrives at the copies' maps")
    expect(gradients[0] is None or not gradients[0].any(), "a gradient arrives at the maps of recordings: detach them")


def judges_as_the_library_does(answer):
    """On random sizes the losses are those of the library."""
    for real, fake in _judge_examples(torch.Generator().manual_seed(3)):
        for name, yours, target in zip(
            ("discriminator", "adversarial", "features"), answer(real, fake), _judge(real, fake), strict=True
        ):
            expect_close(yours, target, f"the loss `{name}` differs")


def _mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).mean()


def _hinges(real, fake):
    judge = _mean([F.relu(1 - r).mean() + F.relu(1 + f).mean() for (r, _), (f, _) in zip(real, fake, strict=True)])
    return judge, _mean([F.relu(1 - f).mean() for f, _ in fake])


def _pairs(real, fake):
    return [pair for (_, a), (_, b) in zip(real, fake, strict=True) for pair in zip(a, b, strict=True)]


def _relative(real, fake):
    return _mean([(b - a.detach()).abs().mean() / a.detach().abs().mean() for a, b in _pairs(real, fake)])


def _judge_lists(real, fake):
    judge, codec = _hinges(real, fake)
    return torch.stack([judge]), torch.stack([codec]), torch.stack([_relative(real, fake)])


def _judge_flipped(real, fake):
    return *_hinges(fake, real), _relative(real, fake)


def _judge_unhinged(real, fake):
    judge = _mean([(1 - r).mean() + (1 + f).mean() for (r, _), (f, _) in zip(real, fake, strict=True)])
    return judge, _mean([(1 - f).mean() for f, _ in fake]), _relative(real, fake)


def _judge_opposite(real, fake):
    judge, _ = _hinges(real, fake)
    return judge, _mean([F.relu(1 + f).mean() for f, _ in fake]), _relative(real, fake)


def _judge_pooled(real, fake):
    r, f = (torch.cat([logits.flatten() for logits, _ in side]) for side in (real, fake))
    return F.relu(1 - r).mean() + F.relu(1 + f).mean(), F.relu(1 - f).mean(), _relative(real, fake)


def _judge_absolute(real, fake):
    features = _mean([(b - a.detach()).abs().mean() for a, b in _pairs(real, fake)])
    return *_hinges(real, fake), features


def _judge_by_fake(real, fake):
    features = _mean([(b - a.detach()).abs().mean() / b.abs().mean() for a, b in _pairs(real, fake)])
    return *_hinges(real, fake), features


def _judge_attached(real, fake):
    features = _mean([(b - a).abs().mean() / a.abs().mean() for a, b in _pairs(real, fake)])
    return *_hinges(real, fake), features


def _judge_vectorised(real, fake):
    return *_hinges(real, fake), _relative(real, fake)


def _judge_loops(real, fake):
    judge = codec = features = torch.tensor(0.0)
    layers = sum(len(maps) for _, maps in real)
    for (r, real_maps), (f, fake_maps) in zip(real, fake, strict=True):
        judge = judge + ((1 - r).clamp(min=0).mean() + (1 + f).clamp(min=0).mean()) / len(real)
        codec = codec + torch.maximum(1 - f, torch.zeros_like(f)).mean() / len(real)
        for a, b in zip(real_maps, fake_maps, strict=True):
            constant = a.detach()
            features = features + F.l1_loss(b, constant) / constant.abs().mean() / layers
    return judge, codec, features


def _judge_examples(generator):
    def side(loudness):
        return [
            (
                torch.randn(2, 1, frames, 3, generator=generator),
                [loudness[i] * torch.randn(2, 4, frames, 6 >> i, generator=generator).abs() for i in range(2)],
            )
            for frames in (5, 12)
        ]

    (first, second) = side((1.0, 30.0)), side((1.0, 30.0))
    for _, maps in (*first, *second):
        for one in maps:
            one.requires_grad_()
    return [(first, second)]


judge_losses = Exercise(
    "judge_losses",
    reference=_judge,
    properties=(
        says_three_numbers,
        hinges_are_those_of_the_equation,
        windows_count_the_same,
        layers_count_the_same,
        nobody_is_taught_the_wrong_thing,
        judges_as_the_library_does,
    ),
    wrong=(
        Wrong(_judge_lists, "says_three_numbers", "Each loss has a dimension left over: take the mean to the end."),
        Wrong(
            _judge_flipped,
            "hinges_are_those_of_the_equation",
            "Recordings and copies are the wrong way round: recordings should get more than 1, copies less than -1.",
        ),
        Wrong(
            _judge_unhinged,
            "hinges_are_those_of_the_equation",
            "The hinge is missing: a verdict beyond 1 is good enough and must earn nothing more. max(0, ...) first, "
            "then the mean.",
        ),
        Wrong(
            _judge_opposite,
            "hinges_are_those_of_the_equation",
            "Your adversarial loss wants copies to be found out. The codec wants the opposite of the discriminator: "
            "max(0, 1 - fake).",
        ),
        Wrong(
            _judge_pooled,
            "windows_count_the_same",
            "You pool the patches of all windows, so a window counts by the number of its patches. Take the mean of "
            "each window first.",
        ),
        Wrong(
            _judge_absolute,
            "layers_count_the_same",
            "Your feature matching is absolute: the loudest layer decides alone. Divide each by mean |real|.",
        ),
        Wrong(
            _judge_by_fake,
            "layers_count_the_same",
            "You divide by the loudness of the copy, and a codec can lower that loss by being loud. Divide by mean "
            "|real|.",
        ),
        Wrong(
            _judge_attached,
            "nobody_is_taught_the_wrong_thing",
            "The maps of recordings are targets. Without .detach() the gradient pulls them towards the copy.",
        ),
    ),
    right=(_judge_vectorised, _judge_loops),
    examples=_judge_examples,
)
