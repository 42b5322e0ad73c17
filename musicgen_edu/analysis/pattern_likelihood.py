"""How well the best possible model can do under a pattern: exact, by enumeration, at small sizes (lesson 05).

The distribution of all codes of a short clip is one tensor, `joint`, with K*T axes of V entries: axis k*T + t belongs
to code (k, t). A set of codes is a bool mask [K, T]. Whoever predicts the codes of a step at once, and each from the
codes of earlier steps only, pays at least H(code | earlier codes) nats for each. The sum is the entropy of the clip
plus what the codes of a step would still have had to say about each other.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..model.patterns import check_table, num_steps
from ..model.shapes import check_shape

Parents = Callable[[int, int], tuple[tuple[int, int], ...]]
LARGEST = 2**22  # numbers in a joint distribution
NINE_TO_ONE = math.log(9)  # with V = 2, a code with one parent is equal to it in 9 cases of 10

# For each code (k, t) those that it hangs on; those outside the clip are left out.
STRUCTURES: dict[str, Parents] = {
    "independent": lambda k, t: (),
    "residual": lambda k, t: ((k - 1, t),),
    "time": lambda k, t: ((k, t - 1),),
    "both": lambda k, t: ((k - 1, t), (k, t - 1)),
    "neighbours": lambda k, t: ((k - 1, t), (k, t - 1), (k + 1, t - 1)),
    "diagonal": lambda k, t: ((k + 1, t - 1),),
}


def joint_distribution(parents: Parents, K: int, T: int, V: int = 2, strength: float = NINE_TO_ONE) -> Tensor:
    """Codes that hang on each other in a known way: float64, K*T axes of V entries, sum 1.

    P(code = v | parents) is proportional to exp(strength * number of parents that are v). A code without parents is
    uniform.

    Args:
        parents: of code (k, t), each in an earlier frame, or in the same frame above it.
        K, T, V: codebooks, frames, entries of a codebook.
        strength: 0 makes all codes independent.

    Raises:
        ValueError: too many numbers to enumerate, or a parent that comes later.
    """
    if V ** (K * T) > LARGEST:
        raise ValueError(f"K = {K}, T = {T}, V = {V} has V^(K*T) = {V ** (K * T):.2g} cases; at most {LARGEST} fit")

    def values(k: int, t: int) -> Tensor:  # 0 to V - 1 along the axis of code (k, t)
        return torch.arange(V).view([V if i == k * T + t else 1 for i in range(K * T)])

    logarithm = torch.zeros([V] * (K * T), dtype=torch.float64)
    for t in range(T):
        for k in range(K):
            own, score = values(k, t), torch.zeros_like(values(k, t), dtype=torch.float64)
            for above, before in parents(k, t):
                if (before, above) >= (t, k):
                    raise ValueError(f"code ({k}, {t}) cannot hang on ({above}, {before}), which comes later")
                if 0 <= above < K and before >= 0:
                    score = score + strength * (values(above, before) == own).double()
            logarithm += score.log_softmax(k * T + t)
    return logarithm.exp()


def entropy(joint: Tensor, codes: Tensor) -> float:
    """Entropy in nats of some of the codes, `codes` bool [K, T]; that of none is 0."""
    check_shape("codes", codes, "K T")
    if joint.ndim != codes.numel():
        raise ValueError(f"the distribution is of {joint.ndim} codes, but the mask is of {codes.numel()}")
    others = [axis for axis, kept in enumerate(codes.flatten().tolist()) if not kept]
    return float(torch.special.entr(joint.sum(others) if others else joint).sum())


def best_nats(joint: Tensor, step: Tensor) -> Tensor:
    """H(code | codes of earlier steps) in nats, float64 [K, T]: what the best model pays for each code.

    Args:
        joint: the distribution of the codes.
        step: a pattern's table [K, T].
    """
    nats = torch.zeros(check_table(step).shape, dtype=torch.float64)
    for s in step.unique().tolist():
        past = entropy(joint, step < s)
        for k, t in (step == s).nonzero().tolist():
            with_it = step < s
            with_it[k, t] = True
            nats[k, t] = entropy(joint, with_it) - past
    return nats


def lost_nats(joint: Tensor, step: Tensor) -> Tensor:
    """What a pattern loses at each of its steps, in nats, float64 [S].

    It is the conditional total correlation of the step's codes given all earlier ones: the sum of their conditional
    entropies minus their joint one. It is 0 if the codes of the step are independent given the past, so it is always
    0 for a single code.
    """
    nats, lost = best_nats(joint, step), torch.zeros(num_steps(step), dtype=torch.float64)
    for s in step.unique().tolist():
        together = entropy(joint, step <= s) - entropy(joint, step < s)
        lost[s] = nats[step == s].sum() - together
    return lost


def mutual_information(joint: Tensor, a: Tensor, b: Tensor, given: Tensor) -> float:
    """I(a; b | given) in nats, each a set of codes, bool [K, T]: what b tells about a beyond what is given."""
    return entropy(joint, a | given) + entropy(joint, b | given) - entropy(joint, a | b | given) - entropy(joint, given)
