"""Exercise 8, `nats_per_frame`: a measure that is fair to every pattern."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ...model.patterns import undo_logits
from .. import Exercise, Wrong, expect_close, expect_tensor
from ._shared import FOUR, random_case


def _nats(logits: Tensor, codes: Tensor, step: Tensor) -> Tensor:
    B, K, T = codes.shape
    of_codes = undo_logits(logits, step)  # [B, K, T, V]
    return F.cross_entropy(of_codes.flatten(0, 2), codes.flatten(), reduction="sum") / (B * T)


def _cases() -> list[tuple[str, Tensor, Tensor, Tensor]]:
    """Every pattern in two sizes: (what, logits, codes, step)."""
    found = []
    for name in FOUR:
        for B, K, T in ((3, 4, 5), (2, 3, 7)):
            logits, codes, _, step = random_case(name, K, T, V=6, B=B)
            found.append((f"{name}, B = {B}, K = {K}, T = {T}", logits, codes, step))
    return found


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
    for B, K, T in ((2, 4, 5),):
        cases = [random_case(name, K, T, V=6, B=B) for name in FOUR]
        codes, wanted = cases[0][1], torch.randn(B, K, T, 6)
        found = {}
        for name, (logits, _, _, step) in zip(FOUR, cases, strict=True):
            index = step[None, :, :, None].expand(B, K, T, 6)
            found[name] = float(answer(logits.scatter(2, index, wanted), codes, step))
        for name in FOUR:
            expect_close(found[name], found["parallel"], f"{name} against parallel, with equal predictions")


def measures_as_the_library_does(answer):
    """On random logits, small and large, it is the sum of the nats of all codes, over B * T frames."""
    for what, logits, codes, step in _cases():
        for size in (1, 200):
            wanted = _nats(size * logits, codes, step)
            expect_close(answer(size * logits, codes, step), wanted, f"{what}, logits times {size}: nats per frame")


def _nats_of_code(logits, codes, step):
    return _nats(logits, codes, step) / codes.shape[1]


def _nats_of_step(logits, codes, step):
    return _nats(logits, codes, step) * codes.shape[2] / logits.shape[2]


def _nats_of_clip(logits, codes, step):
    return _nats(logits, codes, step) * codes.shape[2]


def _nats_of_batch(logits, codes, step):
    return _nats(logits, codes, step) * codes.shape[0]


def _nats_bits(logits, codes, step):
    return _nats(logits, codes, step) / math.log(2)


def _nats_cut(logits, codes, step):
    """As in training: the first T steps only."""
    B, K, T = codes.shape
    nats = F.cross_entropy(undo_logits(logits, step).flatten(0, 2), codes.flatten(), reduction="none").view(B, K, T)
    return (nats * (step < T)).sum() / (B * T)


def _nats_cut_and_mean(logits, codes, step):
    B, K, T = codes.shape
    nats = F.cross_entropy(undo_logits(logits, step).flatten(0, 2), codes.flatten(), reduction="none").view(B, K, T)
    return K * nats[:, step < T].mean()


def _nats_by_frame(logits, codes, step):
    T = codes.shape[2]
    return _nats(logits[:, :, :T], codes, torch.arange(T).expand_as(step))


def _nats_one_late(logits, codes, step):
    padded = F.pad(logits, (0, 0, 0, 1))
    return _nats(padded, codes, step + 1)


def _nats_log_outside(logits, codes, step):
    p = undo_logits(logits, step).softmax(-1).gather(-1, codes[..., None])
    return -codes.shape[1] * p.mean().log()


def _nats_one_early(logits, codes, step):
    before = logits[:, torch.arange(len(step))[:, None], step - 1]  # [B, K, T, V]
    return F.cross_entropy(before.flatten(0, 2), codes.flatten()) * len(step)


def _nats_past_the_end(logits, codes, step):
    after = logits[:, torch.arange(len(step))[:, None], step + 1]  # raises: the last position is S - 1
    return F.cross_entropy(after.flatten(0, 2), codes.flatten()) * len(step)


def _nats_times_four(logits, codes, step):
    return 4 * _nats_of_code(logits, codes, step)


def _nats_of_everything(logits, codes, step):
    return _nats(logits, codes, step) * codes.shape[0] * codes.shape[2]


def _nats_softmax_then_log(logits, codes, step):
    p = undo_logits(logits, step).softmax(-1).gather(-1, codes[..., None])[..., 0]
    return -p.log().sum(1).mean()


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


nats_per_frame = Exercise(
    "nats_per_frame",
    reference=_nats,
    properties=(
        gives_one_number,
        knowing_nothing_costs_k_log_v,
        reads_a_code_where_it_is_predicted,
        other_positions_do_not_count,
        the_order_of_steps_alone_changes_nothing,
        measures_as_the_library_does,
    ),
    wrong=(
        Wrong(
            _nats_past_the_end,
            "gives_one_number",
            "If an index is out of bounds: the logits have no start column, so there is no position step + 1 for the "
            "last step. Position step[k, t] predicts code (k, t).",
        ),
        Wrong(
            _nats_of_code,
            "knowing_nothing_costs_k_log_v",
            "You take the mean over the codebooks, too: that is nats per code. A frame has K codes; add them up.",
        ),
        Wrong(
            _nats_of_step,
            "knowing_nothing_costs_k_log_v",
            "You divide by the number of steps. A pattern with more steps would look better for being slower.",
        ),
        Wrong(
            _nats_of_clip,
            "knowing_nothing_costs_k_log_v",
            "You add up all frames of a clip. Divide by T, or longer clips cost more.",
        ),
        Wrong(
            _nats_of_batch,
            "knowing_nothing_costs_k_log_v",
            "You add up the rows of the batch. Divide by B.",
        ),
        Wrong(
            _nats_of_everything,
            "knowing_nothing_costs_k_log_v",
            "You add up all codes of all clips. Divide by the B * T frames.",
        ),
        Wrong(
            _nats_times_four,
            "knowing_nothing_costs_k_log_v",
            "You multiply by 4, and here K is 3. Ask the shape.",
        ),
        Wrong(
            _nats_bits,
            "knowing_nothing_costs_k_log_v",
            "You count bits: the logarithm to base 2. Nats take the natural logarithm.",
        ),
        Wrong(
            _nats_cut,
            "knowing_nothing_costs_k_log_v",
            "You leave out the codes after the first T steps. Under delay that are six, under flattening most of them: "
            "each pattern would be measured on other codes.",
        ),
        Wrong(
            _nats_by_frame,
            "reads_a_code_where_it_is_predicted",
            "You read the logits of code (k, t) at position t. Under this pattern it is predicted at step[k, t].",
        ),
        Wrong(
            _nats_one_late,
            "reads_a_code_where_it_is_predicted",
            "You read one position too late: at position step[k, t] + 1 the code has been read already. The logits "
            "have no start column.",
        ),
        Wrong(
            _nats_one_early,
            "reads_a_code_where_it_is_predicted",
            "You read one position too early. The code of step s stands in column s + 1 of the sequence, and position "
            "s predicts that column.",
        ),
        Wrong(
            _nats_cut_and_mean,
            "the_order_of_steps_alone_changes_nothing",
            "You take the mean over the codes of the first T steps. They are other codes under each pattern, the "
            "easy ones of the first codebooks among them. Count all K * T.",
        ),
        Wrong(
            _nats_log_outside,
            "measures_as_the_library_does",
            "You take the logarithm of the mean probability. A model that is sure and wrong would hardly pay; the "
            "mean is of logarithms.",
        ),
        Wrong(
            _nats_softmax_then_log,
            "measures_as_the_library_does",
            "softmax rounds an unlikely code to probability 0, and log makes infinity of it. log_softmax and "
            "cross_entropy never leave the logarithms.",
        ),
    ),
    right=(_nats_loops, _nats_per_codebook),
    examples=_nats_examples,
)
