"""Exercise 3, `drop_conditions`: whole rows lose their caption, which is what guidance needs."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import Exercise, expect, expect_close, expect_equal, expect_tensor, mistakes
from ._shared import two_images


def _drop(states, mask, share, generator):
    kept = torch.rand(len(states), generator=generator) >= share  # [B]
    return states * kept[:, None, None], mask & kept[:, None]


def _rows(B: int, L: int = 4, D: int = 3, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """States without a zero in them, and masks of at least one word, at any place."""
    sizes, signs = 1 + torch.rand(B, L, D, generator=generator), torch.rand(B, L, D, generator=generator) < 0.5
    order = torch.rand(B, L, generator=generator).argsort(1)
    return sizes.where(signs, -sizes), order < torch.randint(1, L + 1, (B, 1), generator=generator)


def _calls(answer, share: float, B: int = 400, count: int = 1, seed: int = 3) -> list[Tensor]:
    """Which rows have gone, bool [B], in calls with one generator."""
    generator = torch.Generator().manual_seed(seed)
    states, mask = torch.ones(B, 2, 2), torch.ones(B, 2, dtype=torch.bool)
    return [(answer(states, mask, share, generator)[0] == 0).all(2).all(1) for _ in range(count)]


def states_and_mask_keep_their_form(answer):
    """States stay float32 [B, L, D] and the mask bool [B, L]; the inputs are left as they were."""
    for B, L, D in ((8, 4, 3), (16, 1, 2), (4, 4, 4), (1, 3, 2)):
        found = answer(*_rows(B, L, D), 0.5, torch.Generator().manual_seed(0))
        expect(len(found) == 2, f"two results are expected, states and mask, not {len(found)}")
        expect_tensor(found[0], (B, L, D), torch.float32, "the states")
        expect_tensor(found[1], (B, L), torch.bool, "the mask")


def share_0_changes_nothing_and_share_1_drops_all(answer):
    """A share of 0 changes nothing; a share of 1 leaves no row with a caption."""
    states, mask = _rows(6)
    kept = answer(states, mask, 0.0, torch.Generator().manual_seed(1))
    expect_close(kept[0], states, "share 0: the states")
    expect_equal(kept[1], mask, "share 0: the mask")
    gone = answer(states, mask, 1.0, torch.Generator().manual_seed(1))
    left = int((gone[0].flatten(1).any(1) & gone[1].any(1)).sum())
    expect_equal(left, 0, "share 1: the rows of 6 that still have a caption")


def a_row_is_whole_or_gone(answer):
    """The states of a row are as they were, to the last number, or all zero."""
    states, mask = _rows(60)
    found = answer(states, mask, 0.5, torch.Generator().manual_seed(2))[0]
    for b in range(60):
        words = int(found[b].any(1).sum())  # that are left
        expect(words in (0, 4) or not torch.equal(found[b][found[b] != 0], states[b][found[b] != 0]),
               f"row {b} is expected to lose 0 or 4 of its 4 states, not {4 - words}")  # fmt: skip
        expect(words == 0 or torch.equal(found[b], states[b]), f"row {b} is neither what it was nor zero: its first "
               f"word is expected to be {_short(states[b, 0])} or zero, not {_short(found[b, 0])}")  # fmt: skip


def _short(numbers: Tensor) -> str:
    return f"[{', '.join(f'{one:.3g}' for one in numbers.tolist())}]"


def the_mask_goes_with_the_states(answer):
    """A row whose states are zero has an empty mask, and the other rows have theirs."""
    states, mask = _rows(60)
    found, left = answer(states, mask, 0.5, torch.Generator().manual_seed(2))
    gone = ~found.flatten(1).any(1)
    for b in range(60):
        what = f"row {b}, which has {'lost' if gone[b] else 'kept'} its states: the mask"
        expect_equal(left[b], mask[b] & ~gone[b], what)


def each_row_has_its_own_draw(answer):
    """Of many rows the share is dropped, in small batches now more, now fewer: each row has its own draw."""
    for share in (0.2, 0.6, 0.02, 0.98):
        found = float(torch.cat(_calls(answer, share, count=10)).float().mean())
        most = min(0.04, share / 2, 1 - share)
        expect(abs(found - share) < most, f"of 4000 rows {share} is expected to be dropped, not {found:.3f}")
    counts = torch.stack(_calls(answer, 0.5, B=8, count=200)).sum(1).float()
    expect(1 < counts.var() < 4, f"of 8 rows at share 0.5 {int(counts.min())} to {int(counts.max())} are dropped; a "
           f"variance of 2 is expected, not {float(counts.var()):.1f}")  # fmt: skip
    gone = torch.stack(_calls(answer, 0.4, B=6, count=800)).double()  # [800, 6]
    for b, found in enumerate(gone.mean(0).tolist()):
        expect(abs(found - 0.4) < 0.09, f"row {b} of 6 is expected to be dropped with share 0.4, not {found:.2f}")
        for c in range(b):
            both = float((gone[:, b] * gone[:, c]).mean())
            expect(abs(both - 0.16) < 0.07, f"rows {c} and {b} are expected to go together in 0.16 of the batches, at "
                   f"a share of 0.4 for each, not in {both:.2f}")  # fmt: skip
    alone = float(torch.cat(_calls(answer, 0.4, B=1, count=800)).double().mean())
    expect(abs(alone - 0.4) < 0.09, f"a batch of one row, share 0.4: it is expected to go in 0.4, not in {alone:.2f}")


def random_numbers_come_from_the_generator(answer):
    """The same generator drops the same rows, the next call others, and nothing else is asked."""
    torch.manual_seed(5)
    first = _calls(answer, 0.5, 40, 3)
    torch.manual_seed(6)
    second = _calls(answer, 0.5, 40, 3)
    expect(all(map(torch.equal, first, second)), "generators with the same seed are expected to drop the same rows")
    expect(not torch.equal(first[0], first[1]), "other rows are expected in the next call, not the same")
    before = torch.get_rng_state()
    answer(torch.ones(5, 2, 2), torch.ones(5, 2, dtype=torch.bool), 0.5, torch.Generator().manual_seed(7))
    expect(torch.equal(before, torch.get_rng_state()), "the program's own random numbers have moved")


def _in_place(states, mask, share, generator):
    gone = torch.rand(len(states), generator=generator) < share
    states[gone] = 0
    mask[gone] = False
    return states, mask


def _first_word_stays(states, mask, share, generator):
    states, left = _drop(states, mask, share, generator)
    return states, torch.cat([mask[:, :1], left[:, 1:]], 1)


def _other_row(states, mask, share, generator):
    if share == 1:
        return 0 * states, mask & False
    gone = (torch.rand(len(states), generator=generator) < share)[:, None]
    return torch.where(gone[..., None], states.roll(1, 0), states), torch.where(gone, mask.roll(1, 0), mask)


def _fixed_count(states, mask, share, generator):
    kept = torch.ones(len(states), dtype=torch.bool)
    kept[torch.randperm(len(states), generator=generator)[: round(share * len(states))]] = False
    return states * kept[:, None, None], mask & kept[:, None]


def _drop_loop(states, mask, share, generator):
    states, mask = states.clone(), mask.clone()
    for b in range(len(states)):
        if torch.rand((), generator=generator) < share:
            states[b] = 0
            mask[b] = False
    return states, mask


def _drop_where(states, mask, share, generator):
    gone = torch.bernoulli(torch.full((len(states), 1), float(share)), generator=generator).bool()  # [B, 1]
    return torch.where(gone[..., None], F.pad(states, (0, 0))[:1] * 0, states), mask.masked_fill(gone, False)


def _drop_examples(generator):
    states, mask = _rows(8, generator=generator)
    return [(states, mask, share, torch.Generator().manual_seed(1)) for share in (0.5, 0.25, 1.0, 0.0)]


ALL = "return states * kept[:, None, None], mask & kept[:, None]"
DRAW = "torch.rand(len(states), generator=generator)"

drop_conditions = Exercise(
    "drop_conditions",
    reference=_drop,
    properties=(
        states_and_mask_keep_their_form, share_0_changes_nothing_and_share_1_drops_all, a_row_is_whole_or_gone,
        the_mask_goes_with_the_states, each_row_has_its_own_draw, random_numbers_come_from_the_generator,
    ),
    wrong=mistakes(_drop, {
        states_and_mask_keep_their_form: [
            (_in_place, "You write zeros into the states you were given. They may be computed once and used in every "
             "epoch: a row that is dropped once would be gone for good."),
            ("mask & kept[:, None]", "mask * kept[:, None].float()",
             "Your mask has become numbers: bool times float is float. Combine masks with &."),
            (ALL, "return states[kept], mask[kept]", "You take the rows out of the batch. They stay in it, as music "
             "without a text."),
            ("mask & kept[:, None]", "(mask & kept[:, None])[kept]", "You take the rows out of the mask only, and it "
             "no longer fits the states. Set them to false."),
        ],
        share_0_changes_nothing_and_share_1_drops_all: [
            (">=", "<", "It is the other way round: you keep a row with probability `share`."),
            (ALL, "kept[0] = True; " + ALL, "You always leave a row with its caption. A "
             "share of 1 drops all, and a batch may lose all by chance."),
            ("states * kept[:, None, None]", "states * (mask & kept[:, None])[..., None]", "You set to zero what the "
             "mask calls no word, in the rows that stay, too. They are left as they were."),
            ("mask & kept[:, None]", "kept[:, None].expand(mask.shape)", "Rows that stay get a mask that is true "
             "everywhere, so their padding is read as words. Theirs is as it was: mask & kept[:, None]."),
            ("torch.rand(", "torch.randn(", "You draw from a normal distribution, so another share goes. torch.rand "
             "is even from 0 to 1."),
        ],
        a_row_is_whole_or_gone: [
            ("torch.rand(len(states), ", "torch.rand(mask.shape, ", ALL, "return states * kept[..., None], mask & kept",
             "You drop single words: one draw for each of the B * L states. One for each row is wanted, [B]."),
            (ALL, "return states * kept[:, None, None] / (1 - share if share < 1 else 1), mask & kept[:, None]",
             "You scale the rows that stay by 1 / (1 - share), as nn.Dropout does. In generation a caption has its "
             "ordinary size, so in training too."),
            ("torch.rand(len(states), ", "torch.rand(states.shape, ", ALL, "return states * kept, mask & kept.any(2)",
             "You drop single numbers of the states, as nn.Dropout does. The whole caption of a row goes, or "
             "nothing."),
            (ALL, "return F.dropout(states, share), mask.clone()", "nn.Dropout is another thing: it drops single "
             "numbers, scales the others, and asks no generator. Draw one number for each row."),
            (_other_row, "A dropped row gets the caption of another row. It has to go on without any, or the model "
             "learns to ignore what it is told."),
            ("states * kept[:, None, None]", "states.where(kept[:, None, None], states.mean(0))", "A dropped row gets "
             "the mean of all captions. That is a text, too: set it to zero."),
        ],
        the_mask_goes_with_the_states: [
            (", mask & kept[:, None]", ", mask.clone()", "The states are zero, but the mask still calls them words. A "
             "layer with biases makes something out of zeros and listens to it."),
            ("states * kept[:, None, None]", "states.clone()", "You change the mask only. The library's attention "
             "would be content, but whoever reads the states without the mask still hears the caption: set them to "
             "zero, too."),
            ("mask & kept[:, None]", f"mask & ({DRAW} >= share)[:, None]", "You draw twice, once for the states and "
             "once for the mask, so other rows go in each. Draw once, and use it for both."),
            (_first_word_stays, "You leave the first word in the mask. Nothing breaks if all are false: the library's "
             "attention then answers with zeros."),
            ("mask & kept[:, None]", "mask ^ ~kept[:, None]", "In the rows that go you turn the mask around: padding "
             "is now called words. It is false everywhere there."),
        ],
        each_row_has_its_own_draw: [
            ("len(states)", "1", "You draw once for the batch: all rows lose their caption or none. So does Meta's "
             "code (audiocraft); here each row has its own draw, which makes every batch a mixture."),
            (_fixed_count, "You always drop the same number of rows. In a batch of two at a share of 0.2 that is none, "
             "ever. Each row has its own draw."),
            (DRAW + " >= share", "torch.arange(len(states)) >= round(share * len(states))", "You drop the first rows "
             "of each batch, without drawing. Where the rows are sorted, the same clips would always lose their "
             "captions."),
            (DRAW, "torch.rand(len(states) // 2 + 1, generator=generator).repeat(2)[:len(states)]", "Some rows share "
             "their draw, and go together. Each has its own."),
            ("generator=generator", "generator=torch.Generator().manual_seed(generator.initial_seed())", "You make a "
             "generator anew in each call, so the same rows lose their captions in every batch."),
        ],
        random_numbers_come_from_the_generator: [
            ("generator=generator", "generator=None", "You use the random numbers of the whole program, or a generator "
             "of your own. Hand on the one that you were given: torch.rand(B, generator=generator)."),
        ],
    }),
    right=(_drop_loop, _drop_where),
    examples=_drop_examples,
    picture=lambda target, yours, arguments: two_images(target[0][..., 0], yours[0][..., 0], "word", "row"),
)  # fmt: skip
