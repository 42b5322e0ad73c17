"""Exercise 8, `nats_per_frame`: a measure that is fair to every pattern."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...experiments.patterns.training import window_nats
from ...model.lm import LMConfig, MusicgenLM
from ...model.patterns import interleave, undo_logits
from .. import Exercise, expect_close, expect_tensor, mistakes
from ._shared import FOUR, random_case, random_codes


def _nats(logits, codes, step):
    B, K, T = codes.shape
    of_codes = logits[:, torch.arange(K)[:, None], step]  # [B, K, T, V]
    nats = F.cross_entropy(of_codes.flatten(0, 2), codes.flatten(), reduction="none").view(B, K, T)
    return nats.sum() / (B * T)


def _cases() -> list[tuple[str, Tensor, Tensor, Tensor]]:
    """Every pattern in two sizes: (what, logits, codes, step)."""
    found = []
    for name in FOUR:
        for B, K, T in ((3, 4, 5), (2, 3, 7), (1, 2, 4), (2, 1, 3)):
            logits, codes, _, step = random_case(name, K, T, V=6, B=B)
            found.append((f"{name}, B = {B}, K = {K}, T = {T}", logits, codes, step))
    step = torch.arange(5) + torch.tensor([2, 0, 1])[:, None]  # codebook 1 first; the slowest is not the last
    logits, codes = torch.randn(2, 3, 7, 6), random_codes(2, 3, 5, 6)
    return [*found, ("delays 2, 0, 1, B = 2, K = 3, T = 5", logits, codes, step)]


def gives_one_number(answer):
    """The result is a scalar tensor, float32."""
    for _, *arguments in _cases():
        expect_tensor(answer(*arguments), (), torch.float32)


def knowing_nothing_costs_k_log_v(answer):
    """Where all codes are equally likely, a frame costs K log V nats, whatever the pattern."""
    for what, logits, codes, step in _cases():
        expect_close(answer(0 * logits, codes, step), len(step) * math.log(6), f"{what}, V = 6: nats per frame")


def reads_a_code_where_it_is_predicted(answer):
    """Logits that are right and sure at position step[k, t] cost nothing."""
    for what, logits, codes, step in _cases():
        sure = 0 * logits
        index = step[None, :, :, None].expand(*codes.shape, 1)
        sure.scatter_(2, index.expand(-1, -1, -1, 6), 40.0 * F.one_hot(codes, 6).float())
        expect_close(answer(sure, codes, step), 0.0, f"{what}: nats per frame of a model that is always right")


def other_positions_do_not_count(answer):
    """Where no code is predicted, the logits change nothing."""
    for what, logits, codes, step in _cases():
        used = torch.zeros(logits.shape[1:3], dtype=torch.bool).scatter(1, step, True)
        others = torch.where(used[None, :, :, None], logits, torch.randn_like(logits))
        expect_close(answer(others, codes, step), answer(logits, codes, step), f"{what}: other logits in empty cells")


def the_order_of_steps_alone_changes_nothing(answer):
    """The same predictions for each code cost the same under every pattern."""
    B, K, T = 2, 4, 5
    cases = [random_case(name, K, T, V=6, B=B) for name in FOUR]
    codes, wanted = cases[0][1], torch.randn(B, K, T, 6)
    found = {}
    for name, (logits, _, _, step) in zip(FOUR, cases, strict=True):
        index = step[None, :, :, None].expand(B, K, T, 6)
        found[name] = float(answer(logits.scatter(2, index, wanted), codes, step))
    for name in FOUR:
        expect_close(found[name], found["parallel"], f"{name} against parallel, with equal predictions")


def measures_as_the_library_does(answer):
    """On random logits, small and large, and for a small model it is what the library measures."""
    for what, logits, codes, step in _cases():
        for size in (1, 200):
            of_codes = undo_logits(size * logits, step).flatten(0, 2)
            wanted = F.cross_entropy(of_codes, codes.flatten(), reduction="sum") / (len(codes) * codes.shape[2])
            expect_close(answer(size * logits, codes, step), wanted, f"{what}, logits times {size}: nats per frame")
    config = LMConfig(dim=16, num_heads=2, layers=1, feed_forward=24, num_codebooks=3, codebook_size=6, text_dim=4,
                      max_steps=32)  # fmt: skip
    model = MusicgenLM(config).eval()
    for what, _, codes, step in _cases():
        if len(step) == 3:
            with torch.no_grad():
                logits = model(interleave(codes, step, config.special)[:, :, :-1])
            wanted = window_nats(model, codes, step).sum()
            expect_close(answer(logits, codes, step), wanted, f"{what}, a small model: nats per frame", 1e-4)


def _nats_loops(logits, codes, step):
    B, K, T = codes.shape
    log_p, total = logits.log_softmax(-1), torch.zeros(())
    for k in range(K):
        for t in range(T):
            total = total - log_p[torch.arange(B), k, step[k, t], codes[:, k, t]].sum()
    return total / (B * T)


def _nats_per_codebook(logits, codes, step):
    B, K, T = codes.shape
    log_p = logits.log_softmax(-1)[:, torch.arange(K)[:, None], step]  # [B, K, T, V]
    return -torch.einsum("bktv,bktv->bkt", log_p, F.one_hot(codes, logits.shape[3]).float()).mean((0, 2)).sum()


def _nats_examples(generator):
    found = []
    for name, B, K, T in (("delay", 3, 4, 5), ("coarse-first", 2, 3, 4), ("flattening", 2, 2, 3)):
        logits, codes, _, step = random_case(name, K, T, V=6, B=B, generator=generator)
        found.append((logits, codes, step))
    logits = logits.clone()
    logits[0, 0, 0, (codes[0, 0, 0] + 1) % 6] += 300  # sure of another code
    return [*found, (logits, codes, step)]


READ = "logits[:, torch.arange(K)[:, None], step]"
MEAN = "nats.sum() / (B * T)"

nats_per_frame = Exercise(
    "nats_per_frame",
    reference=_nats,
    properties=(
        gives_one_number, knowing_nothing_costs_k_log_v, reads_a_code_where_it_is_predicted,
        other_positions_do_not_count, the_order_of_steps_alone_changes_nothing, measures_as_the_library_does,
    ),
    wrong=mistakes(_nats, {
        gives_one_number: [
            ("None], step]", "None], step + 1]", "If an index is out of bounds: the logits have no start column, so "
             "there is no position step + 1 for the last step. Position step[k, t] predicts code (k, t)."),
            (MEAN, "nats.sum(1).mean(0)", "You give one number for each frame. Take the mean over all frames of all "
             "clips, too."),
            (MEAN, "(nats.sum() / (B * T)).item()", "You return a Python number. A scalar tensor is asked for."),
        ],
        knowing_nothing_costs_k_log_v: [
            (MEAN, "nats.mean()", "You take the mean over the codebooks, too: that is nats per code. A frame has K "
             "codes; add them up."),
            ("(B * T)", "(B * logits.shape[2])", "You divide by the number of steps. A pattern with more steps would "
             "look better for being slower."),
            ("(B * T)", "B", "You add up all frames of a clip. Divide by T, or longer clips cost more."),
            ("(B * T)", "T", "You add up the rows of the batch. Divide by B."),
            (" / (B * T)", "", "You add up all codes of all clips. Divide by the B * T frames."),
            (MEAN, "4 * nats.mean()", "You multiply by 4, and here K is 3. Ask the shape."),
            (MEAN, MEAN + " / math.log(2)",
             "You count bits: the logarithm to base 2. Nats take the natural logarithm."),
            (MEAN, "(nats * (step < T)).sum() / (B * T)", "You leave out the codes after the first T steps. Under "
             "delay that are six, under flattening most of them: each pattern would be measured on other codes."),
        ],
        reads_a_code_where_it_is_predicted: [
            ("None], step]", "None], torch.arange(T).expand(K, T)]", "You read the logits of code (k, t) at position "
             "t. Under this pattern it is predicted at step[k, t]."),
            (READ, "F.pad(logits, (0, 0, 0, 1))[:, torch.arange(K)[:, None], step + 1]", "You read one position too "
             "late: at position step[k, t] + 1 the code has been read already. The logits have no start column."),
            ("None], step]", "None], step - 1]", "You read one position too early. The code of step s stands in column "
             "s + 1 of the sequence, and position s predicts that column."),
            ("None], step]", "None], (torch.arange(T) + torch.arange(K)[:, None]) % logits.shape[2]]", "You take the "
             "delay pattern for granted. Where a code is predicted stands in `step`, for any pattern."),
        ],
        the_order_of_steps_alone_changes_nothing: [
            (MEAN, "K * nats[:, step < T].mean()", "You take the mean over the codes of the first T steps. They are "
             "other codes under each pattern, the easy ones of the first codebooks among them. Count all K * T."),
        ],
        measures_as_the_library_does: [
            (MEAN, "-K * (-nats).exp().mean().log()", "You take the logarithm of the mean probability. A model that is "
             "sure and wrong would hardly pay; the mean is of logarithms."),
            ("nats.sum()", "-of_codes.softmax(-1).gather(-1, codes[..., None]).log().sum()", "softmax rounds an "
             "unlikely code to probability 0, and log makes infinity of it. log_softmax and cross_entropy never leave "
             "the logarithms."),
            ("nats.sum()", "nats.clamp(max=50).sum()", "You cap what a surprise costs. A model that is sure and wrong "
             "pays all of it."),
            (MEAN, "nats.sum(1).flatten().median()", "You take the median of the frames. The mean is asked for: what "
             "is rare and dear counts."),
            ("of_codes.flatten(0, 2)", "of_codes.flatten(0, 2).softmax(-1).clamp(min=1e-12).log()", "You keep "
             "probabilities above a small number, so a surprise has a highest price. Stay in logarithms."),
        ],
    }),
    right=(_nats_loops, _nats_per_codebook),
    examples=_nats_examples,
)  # fmt: skip
