"""Exercise 4, `judge_losses`: what a discriminator teaches."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...training.discriminator import adversarial_loss, discriminator_loss, feature_matching_loss
from .. import Exercise, expect, expect_close, expect_tensor, mistakes

Scale = tuple[Tensor, list[Tensor]]
NAMES = ("discriminator", "adversarial", "features")


def _judge(real, fake):
    judge, codec, features = [], [], []
    for (r, real_maps), (q, fake_maps) in zip(real, fake, strict=True):
        judge.append(F.relu(1 - r).mean() + F.relu(1 + q).mean())
        codec.append(F.relu(1 - q).mean())
        for target, made in zip(real_maps, fake_maps, strict=True):
            target = target.detach()
            features.append((made - target).abs().mean() / target.abs().mean())
    return torch.stack(judge).mean(), torch.stack(codec).mean(), torch.stack(features).mean()


def _library(real: list[Scale], fake: list[Scale]) -> tuple[Tensor, Tensor, Tensor]:
    real_logits, fake_logits = [logits for logits, _ in real], [logits for logits, _ in fake]
    features = feature_matching_loss([[m.detach() for m in maps] for _, maps in real], [maps for _, maps in fake])
    return discriminator_loss(real_logits, fake_logits), adversarial_loss(fake_logits), features


def _views(*logits: list[float], scale: float = 1.0) -> list[Scale]:
    return [(torch.tensor(row), [scale * torch.tensor([1.0, -3.0]), torch.tensor([[-2.0], [4.0]])]) for row in logits]


def _examples(generator):
    """Windows of unequal patches and layers, the second layer loud, numbers of either sign."""

    def window(frames, layers, sure):
        logits = torch.randn(2, 1, frames, 3, generator=generator) + sure
        sizes = [(30.0**i, 6 >> i) for i in range(layers)]
        maps = [loud * torch.randn(2, 4, frames, bands, generator=generator) for loud, bands in sizes]
        return logits.requires_grad_(), [one.requires_grad_() for one in maps]

    return [tuple([window(5, 2, side), window(12, 1, side)] for side in sure) for sure in ((0, 0), (2, -2))]


def _expect_gradients(answer, loss: int, seed: int) -> None:
    """Expect a loss to send what the library's sends to verdicts and maps, of recordings and of copies."""
    real, fake = _examples(torch.Generator().manual_seed(seed))[0]
    yours, target = answer(real, fake)[loss], _library(real, fake)[loss]
    expect(yours.requires_grad, f"expected gradients of the loss `{NAMES[loss]}`, not none: nothing can learn from it")
    for name, side in (("recordings", real), ("copies", fake)):
        verdicts, maps = [logits for logits, _ in side], [one for _, maps in side for one in maps]
        for what, leaves in (("verdicts on", verdicts), ("maps of", maps)):
            found, wanted = (
                torch.autograd.grad(one, leaves, allow_unused=True, retain_graph=True) for one in (yours, target)
            )
            for leaf, one, other in zip(leaves, found, wanted, strict=True):
                one, other = (torch.zeros_like(leaf) if x is None else x for x in (one, other))
                expect_close(one, other, f"the gradient of the loss `{NAMES[loss]}` at the {what} {name}")


def says_three_numbers(answer):
    """Three scalars: the discriminator's loss, the codec's adversarial loss, feature matching."""
    found = answer(*_examples(torch.Generator().manual_seed(1))[0])
    three = isinstance(found, (tuple, list)) and len(found) == 3
    expect(three, f"expected three losses, not {type(found).__name__}")
    for name, value in zip(NAMES, found, strict=True):
        expect_tensor(value, (), torch.float32, f"the loss `{name}`")


def hinges_are_those_of_the_equation(answer):
    """One window: max(0, 1 - real) and max(0, 1 + fake) for the judge, max(0, 1 - fake) for the codec."""
    judge, codec, _ = answer(_views([1.5, 0.5]), _views([-2.0, 0.5]))
    expect_close(judge, torch.tensor(1.0), "discriminator, real [1.5, 0.5], fake [-2, 0.5]: (0 + 0.5) / 2 + 1.5 / 2")
    expect_close(codec, torch.tensor(1.75), "adversarial, fake [-2, 0.5]: (3 + 0.5) / 2")
    judge, codec, _ = answer(_views([-1.0, 1.0]), _views([2.0, 1.0]))
    expect_close(judge, torch.tensor(3.5), "discriminator, real [-1, 1], fake [2, 1]: (2 + 0) / 2 + (3 + 2) / 2")
    expect_close(codec, torch.tensor(0.0), "adversarial, fake [2, 1]: beyond 1 is good enough")


def windows_count_the_same(answer):
    """Each window counts the same, however many patches it has."""
    judge, codec, _ = answer(_views([1.0], [0.0] * 9), _views([-1.0], [0.0] * 9))
    expect_close(judge, torch.tensor(1.0), "discriminator, a perfect window of 1 patch, a clueless one of 9: (0 + 2)/2")
    expect_close(codec, torch.tensor(1.5), "adversarial, verdicts on copies -1 in one patch, 0 in nine: (2 + 1) / 2")


def layers_count_the_same(answer):
    """Feature matching is relative: 10 % off counts the same in a loud and in a quiet layer, and in any window."""
    for scale in (1.0, 100.0):
        real = _views([0.0], scale=scale)
        fake = [(logits, [1.1 * one for one in maps]) for logits, maps in real]
        expect_close(answer(real, fake)[2], torch.tensor(0.1), f"every map 10 % louder, one of them {scale:g} times")
    logits = torch.zeros(2)
    found = answer([(logits, [torch.tensor([1.0, -3.0])])], [(logits, [torch.tensor([-20.0, -1.0])])])[2]
    expect_close(found, torch.tensor(5.75), "a map [1, -3] and its copy [-20, -1]: (21 + 2) / 2 over (1 + 3) / 2")
    real = [(logits, [torch.tensor([-2.0, 2.0])] * 3), (logits, [torch.tensor([[5.0, -5.0]])])]
    fake = [(logits, [torch.tensor([-1.0, 1.0])] * 3), (logits, [torch.tensor([[5.0, -5.0]])])]
    told = "windows of 3 layers and of 1, those of the first half as loud: (3 * 0.5 + 0) / 4"
    expect_close(answer(real, fake)[2], torch.tensor(0.375), told)


def nobody_is_taught_the_wrong_thing(answer):
    """Feature matching moves the copies' maps, and sends no gradient into those of recordings."""
    _expect_gradients(answer, 2, seed=2)


def verdicts_can_be_learned_from(answer):
    """The gradients of the two hinge losses arrive at the verdicts, and are those of the library's losses."""
    _expect_gradients(answer, 0, seed=4)
    _expect_gradients(answer, 1, seed=4)


def judges_as_the_library_does(answer):
    """On random sizes the losses are those of the library."""
    for seed in (3, 5):
        for real, fake in _examples(torch.Generator().manual_seed(seed)):
            for name, yours, target in zip(NAMES, answer(real, fake), _library(real, fake), strict=True):
                expect_close(yours, target, f"the loss `{name}`")


def _pooled(real, fake):
    r, q = (torch.cat([logits.flatten() for logits, _ in side]) for side in (real, fake))
    return F.relu(1 - r).mean() + F.relu(1 + q).mean(), F.relu(1 - q).mean(), _judge(real, fake)[2]


def _mean_of_means(real, fake):
    judged = [_judge([one], [other]) for one, other in zip(real, fake, strict=True)]
    return tuple(torch.stack(losses).mean() for losses in zip(*judged, strict=True))


def _as_sums(real, fake):
    judge = codec = features = torch.tensor(0.0)
    layers = sum(len(maps) for _, maps in real)
    for (r, real_maps), (f, fake_maps) in zip(real, fake, strict=True):
        judge = judge + ((1 - r).clamp(min=0).mean() + (1 + f).clamp(min=0).mean()) / len(real)
        codec = codec + torch.maximum(1 - f, torch.zeros_like(f)).mean() / len(real)
        for a, b in zip(real_maps, fake_maps, strict=True):
            constant = a.detach()
            features = features + F.l1_loss(b, constant) / constant.abs().mean() / layers
    return judge, codec, features


def _in_double(real, fake):
    found = [torch.tensor(0.0, dtype=torch.float64) for _ in range(3)]
    counts = len(real), len(real), sum(len(maps) for _, maps in real)
    for i in range(len(real)):
        r, q = real[i][0].double(), fake[i][0].double()
        found[0] = found[0] + ((1 - r) * (r < 1)).mean() + ((1 + q) * (q > -1)).mean()
        found[1] = found[1] + ((1 - q) * (q < 1)).mean()
        for j in range(len(real[i][1])):
            with torch.no_grad():
                target = real[i][1][j].double()
                size = torch.linalg.vector_norm(target, 1)
            found[2] = found[2] + torch.linalg.vector_norm(fake[i][1][j].double() - target, 1) / size
    return [(one / count).float() for one, count in zip(found, counts, strict=True)]


judge_losses = Exercise(
    "judge_losses",
    reference=_judge,
    properties=(
        says_three_numbers, hinges_are_those_of_the_equation, windows_count_the_same, layers_count_the_same,
        nobody_is_taught_the_wrong_thing, verdicts_can_be_learned_from, judges_as_the_library_does,
    ),
    wrong=mistakes(_judge, {
        says_three_numbers: [
            ("torch.stack(judge).mean(), torch.stack(codec).mean(), torch.stack(features).mean()",
             "torch.stack(judge), torch.stack(codec), torch.stack(features)",
             "Each loss has a dimension left over: take the mean to the end."),
            ("torch.stack(judge).mean(), torch.stack(codec).mean(), torch.stack(features).mean()",
             "*(torch.stack(one).mean().item() for one in (judge, codec, features)),",
             "You return Python numbers. A loss is a tensor: .item() cuts it off from what it was computed from."),
        ],
        hinges_are_those_of_the_equation: [
            ("zip(real, fake", "zip(fake, real", "Recordings and copies are the wrong way round: recordings should get "
             "more than 1, copies less than -1."),
            ("F.relu(1 - r)", "(1 - r)", "F.relu(1 + q)", "(1 + q)", "F.relu(1 - q)", "(1 - q)",
             "The hinge is missing: a verdict beyond 1 is good enough and must earn nothing more. max(0, ...) first, "
             "then the mean."),
            ("F.relu(1 - r).mean() + F.relu(1 + q).mean()", "F.relu((1 - r).mean()) + F.relu((1 + q).mean())",
             "F.relu(1 - q).mean()", "F.relu((1 - q).mean())",
             "You take the mean before the hinge, so a verdict far beyond 1 makes up for a wrong one. max(0, ...) "
             "first, then the mean."),
            ("append(F.relu(1 - q)", "append(F.relu(1 + q)", "Your adversarial loss wants copies to be found out. The "
             "codec wants the opposite of the discriminator: max(0, 1 - fake)."),
            ("append(F.relu(1 - q)", "append((-q)", "You take -q, as many codecs do. Here the adversarial loss has a "
             "hinge too: max(0, 1 - fake)."),
            ("F.relu(1 + q).mean())", "F.relu(1 + q).mean() / 2)", "F.relu(1 - r).mean()", "F.relu(1 - r).mean() / 2",
             "You halve the discriminator's loss. The two hinges are added: no mean over recordings and copies."),
        ],
        windows_count_the_same: [
            (_pooled, "You pool the patches of all windows, so a window counts by the number of its patches. Take the "
             "mean of each window first."),
            ("torch.stack(judge).mean(), torch.stack(codec).mean()",
             "torch.stack(judge).sum(), torch.stack(codec).sum()",
             "You add the windows up, so that more windows make a louder loss. Take their mean."),
            ("torch.stack(judge).mean(), torch.stack(codec).mean()", "judge[-1], codec[-1]",
             "Your losses are those of the last window alone. Collect all of them, and take the mean."),
        ],
        layers_count_the_same: [
            (" / target.abs().mean()", "", "Your feature matching is absolute: the loudest layer decides alone. Divide "
             "each by mean |real|."),
            ("/ target.abs()", "/ made.abs()", "You divide by the loudness of the copy, and a codec can lower that "
             "loss by being loud. Divide by mean |real|."),
            ("target.abs().mean()", "target.mean().abs()", "You divide by |mean real|. Positive and negative numbers "
             "cancel in a mean: first |...|, then the mean."),
            ("(made - target).abs().mean()", "(made - target).mean().abs()",
             "You take the mean of the differences, and then |...|: errors of opposite sign cancel. First |...|."),
            ("(made - target).abs()", "(made - target).square()",
             "You square the differences. Feature matching is mean |...| of them."),
            ("((made - target).abs().mean() / target.abs().mean())", "(((made - target).abs() / target.abs()).mean())",
             "You divide number by number, so one that is nearly 0 decides alone. Divide mean by mean."),
            (_mean_of_means, "You take the mean of each window's layers first, so the layers of a short window count "
             "more. The mean runs over all layers of all windows."),
        ],
        nobody_is_taught_the_wrong_thing: [
            ("target = target.detach()", "", "The maps of recordings are targets. Without .detach() the gradient pulls "
             "them towards the copy."),
            ("target = target.detach()", "held = target.detach()", "(made - target)", "(made - held)",
             "You detach in the difference, but not in the mean that you divide by: a gradient still makes recordings "
             "loud."),
            ("made - target", "made.detach() - target", "You detach the maps of the copies, too. Then there is "
             "nothing that could learn: only the recordings' maps are constants."),
        ],
        verdicts_can_be_learned_from: [
            ("judge.append(", "q = q.detach(); judge.append(", "You detach the verdicts on copies for all that "
             "follows. The values stay right, but the codec learns nothing from them."),
            ("judge.append(", "r = r.detach(); judge.append(", "You detach the verdicts on recordings. Only their "
             "feature maps are constants: the discriminator learns from its verdicts."),
            ("judge.append(F.relu(1 - r).mean() + F.relu(1 + q)", "judge.append(F.relu(1 - r).mean() + "
             "F.relu(1 + q.detach())", "You detach the copies' verdicts in the discriminator's loss. It is the sound "
             "of the copy that is detached in training, before the discriminator; its verdicts must learn."),
        ],
    }),
    right=(_as_sums, _in_double),
    examples=_examples,
)  # fmt: skip
