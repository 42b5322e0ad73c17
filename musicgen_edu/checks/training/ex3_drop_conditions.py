"""Exercise 3, `drop_conditions`: whole rows lose their caption, which is what guidance needs."""

from __future__ import annotations

import torch
from torch import Tensor

from .. import Exercise, expect, expect_close, expect_tensor
from ._conditions_answers import RIGHT, WRONG, _drop
from ._shared import two_images


def _rows(B: int, L: int = 4, D: int = 3, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """States without a zero in them, and masks of at least one word."""
    states = 1 + torch.rand(B, L, D, generator=generator)
    return states, torch.arange(L) < torch.randint(1, L + 1, (B, 1), generator=generator)


def _calls(answer, share: float, B: int = 400, count: int = 1, seed: int = 3) -> list[Tensor]:
    """Which rows have gone, bool [B], in calls with one generator."""
    generator = torch.Generator().manual_seed(seed)
    states, mask = torch.ones(B, 2, 2), torch.ones(B, 2, dtype=torch.bool)
    return [(answer(states, mask, share, generator)[0] == 0).all(2).all(1) for _ in range(count)]


def states_and_mask_keep_their_form(answer):
    """States stay float32 [B, L, D] and the mask bool [B, L]; the inputs are left as they were."""
    for B, L, D in ((8, 4, 3), (16, 1, 2)):
        states, mask = answer(*_rows(B, L, D), 0.5, torch.Generator().manual_seed(0))
        expect_tensor(states, (B, L, D), torch.float32, "the states")
        expect_tensor(mask, (B, L), torch.bool, "the mask")


def share_0_changes_nothing_and_share_1_drops_all(answer):
    """A share of 0 changes nothing; a share of 1 leaves no row with a caption."""
    states, mask = _rows(6)
    kept = answer(states, mask, 0.0, torch.Generator().manual_seed(1))
    expect_close(kept[0], states, "share 0: the states")
    expect(torch.equal(kept[1], mask), "share 0: the mask has changed")
    gone = answer(states, mask, 1.0, torch.Generator().manual_seed(1))
    expect(not gone[0].any() or not gone[1].any(), "share 1: some rows still have a caption")


def a_row_is_whole_or_gone(answer):
    """The states of a row are as they were, to the last number, or all zero."""
    states, mask = _rows(60)
    found = answer(states, mask, 0.5, torch.Generator().manual_seed(2))[0]
    for b in range(60):
        words = int(found[b].any(1).sum())  # that are left
        expect(words in (0, 4) or not torch.equal(found[b][found[b] != 0], states[b][found[b] != 0]),
               f"row {b} has lost some of its words, not all")  # fmt: skip
        expect(words == 0 or torch.equal(found[b], states[b]), f"row {b} is neither what it was nor zero: its first "
               f"word was {_short(states[b, 0])} and is {_short(found[b, 0])}")  # fmt: skip


def _short(numbers: Tensor) -> str:
    return f"[{', '.join(f'{one:.3g}' for one in numbers.tolist())}]"


def the_mask_goes_with_the_states(answer):
    """A row whose states are zero has an empty mask, and the other rows have theirs."""
    states, mask = _rows(60)
    found, left = answer(states, mask, 0.5, torch.Generator().manual_seed(2))
    gone = ~found.flatten(1).any(1)
    expect(torch.equal(gone, ~left.any(1)), f"{int(gone.sum())} rows of 60 have no states, but "
           f"{int((~left.any(1)).sum())} have no words in the mask")  # fmt: skip
    expect(torch.equal(left[~gone], mask[~gone]), "the mask of a row with a caption has changed")


def each_row_has_its_own_draw(answer):
    """Of many rows the share is dropped, in small batches now more, now fewer: each row has its own draw."""
    for share in (0.2, 0.6):
        for gone in _calls(answer, share, count=4):
            found = float(gone.float().mean())
            expect(abs(found - share) < 0.12, f"share {share}: {found:.2f} of a batch of 400 rows are dropped")
    counts = torch.stack(_calls(answer, 0.5, B=8, count=200)).sum(1).float()
    expect(1 < counts.var() < 4, f"of 8 rows at share 0.5 {int(counts.min())} to {int(counts.max())} are dropped; the "
           f"variance is {float(counts.var()):.1f}, where 2 is expected")  # fmt: skip


def random_numbers_come_from_the_generator(answer):
    """The same generator drops the same rows, the next call others, and nothing else is asked."""
    torch.manual_seed(5)
    first = _calls(answer, 0.5, 40, 3)
    torch.manual_seed(6)
    second = _calls(answer, 0.5, 40, 3)
    expect(all(map(torch.equal, first, second)), "generators with the same seed drop different rows")
    expect(not torch.equal(first[0], first[1]), "the next call with this generator drops the same rows again")
    before = torch.get_rng_state()
    answer(*_rows_of_ones(), 0.5, torch.Generator().manual_seed(7))
    expect(torch.equal(before, torch.get_rng_state()), "the random numbers of the whole program have moved")


def _rows_of_ones() -> tuple[Tensor, Tensor]:
    return torch.ones(5, 2, 2), torch.ones(5, 2, dtype=torch.bool)


def _drop_examples(generator):
    states, mask = _rows(8, generator=generator)
    return [(states, mask, share, torch.Generator().manual_seed(1)) for share in (0.5, 0.25, 1.0, 0.0)]


drop_conditions = Exercise(
    "drop_conditions",
    reference=_drop,
    properties=(
        states_and_mask_keep_their_form,
        share_0_changes_nothing_and_share_1_drops_all,
        a_row_is_whole_or_gone,
        the_mask_goes_with_the_states,
        each_row_has_its_own_draw,
        random_numbers_come_from_the_generator,
    ),
    wrong=WRONG,
    right=RIGHT,
    examples=_drop_examples,
    picture=lambda target, yours, arguments: two_images(target[0][..., 0], yours[0][..., 0], "word", "row"),
)
