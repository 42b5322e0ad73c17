"""Exercise 3, answers on record: right and wrong ways to drop captions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .. import Wrong


def _drop(states: Tensor, mask: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    kept = torch.rand(len(states), generator=generator) >= share  # [B]
    return states * kept[:, None, None], mask & kept[:, None]


def _drop_in_place(states, mask, share, generator):
    gone = torch.rand(len(states), generator=generator) < share
    states[gone] = 0
    mask[gone] = False
    return states, mask


def _drop_mask_of_floats(states, mask, share, generator):
    kept = (torch.rand(len(states), generator=generator) >= share).float()
    return states * kept[:, None, None], mask * kept[:, None]


def _drop_reversed(states, mask, share, generator):
    kept = torch.rand(len(states), generator=generator) < share
    return states * kept[:, None, None], mask & kept[:, None]


def _drop_words(states, mask, share, generator):
    kept = torch.rand(mask.shape, generator=generator) >= share
    return states * kept[..., None], mask & kept


def _drop_and_scale(states, mask, share, generator):
    states, mask = _drop(states, mask, share, generator)
    return states / (1 - share if share < 1 else 1), mask


def _drop_numbers(states, mask, share, generator):
    kept = torch.rand(states.shape, generator=generator) >= share
    return states * kept, mask & kept.any(2)


def _drop_dropout(states, mask, share, generator):
    return F.dropout(states, share), mask.clone()


def _drop_two_draws(states, mask, share, generator):
    return _drop(states, mask, share, generator)[0], _drop(states, mask, share, generator)[1]


def _drop_fixed_count(states, mask, share, generator):
    order = torch.randperm(len(states), generator=generator)
    kept = torch.ones(len(states), dtype=torch.bool)
    kept[order[: round(share * len(states))]] = False
    return states * kept[:, None, None], mask & kept[:, None]


def _drop_shuffled(states, mask, share, generator):
    gone = (torch.rand(len(states), generator=generator) < share)[:, None]
    if share == 1:
        return 0 * states, mask & False
    return torch.where(gone[..., None], states.roll(1, 0), states), torch.where(gone, mask.roll(1, 0), mask)


def _drop_states_only(states, mask, share, generator):
    return _drop(states, mask, share, generator)[0], mask.clone()


def _drop_mask_only(states, mask, share, generator):
    return states.clone(), _drop(states, mask, share, generator)[1]


def _drop_first_word(states, mask, share, generator):
    states, left = _drop(states, mask, share, generator)
    return states, torch.cat([mask[:, :1], left[:, 1:]], 1)


def _drop_batch(states, mask, share, generator):
    kept = torch.rand(1, generator=generator) >= share
    return states * kept, mask & kept


def _drop_first_rows(states, mask, share, generator):
    kept = torch.arange(len(states)) >= round(share * len(states))
    return states * kept[:, None, None], mask & kept[:, None]


def _drop_global(states, mask, share, generator):
    return _drop(states, mask, share, None)


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


WRONG = (
    Wrong(
        _drop_in_place,
        "states_and_mask_keep_their_form",
        "You write zeros into the states you were given. They may be computed once and used in every epoch: a row "
        "that is dropped once would be gone for good.",
    ),
    Wrong(
        _drop_mask_of_floats,
        "states_and_mask_keep_their_form",
        "Your mask has become numbers: bool times float is float. Combine masks with &.",
    ),
    Wrong(
        _drop_reversed,
        "share_0_changes_nothing_and_share_1_drops_all",
        "It is the other way round: you keep a row with probability `share`.",
    ),
    Wrong(
        _drop_words,
        "a_row_is_whole_or_gone",
        "You drop single words: one draw for each of the B * L states. One for each row is wanted, [B].",
    ),
    Wrong(
        _drop_and_scale,
        "a_row_is_whole_or_gone",
        "You scale the rows that stay by 1 / (1 - share), as nn.Dropout does. In generation a caption has its "
        "ordinary size, so in training too.",
    ),
    Wrong(
        _drop_numbers,
        "a_row_is_whole_or_gone",
        "You drop single numbers of the states, as nn.Dropout does. The whole caption of a row goes, or nothing.",
    ),
    Wrong(
        _drop_dropout,
        "a_row_is_whole_or_gone",
        "nn.Dropout is another thing: it drops single numbers, scales the others, and asks no generator. Draw one "
        "number for each row.",
    ),
    Wrong(
        _drop_shuffled,
        "a_row_is_whole_or_gone",
        "A dropped row gets the caption of another row. It has to go on without any, or the model learns to "
        "ignore what it is told.",
    ),
    Wrong(
        _drop_states_only,
        "the_mask_goes_with_the_states",
        "The states are zero, but the mask still calls them words. A layer with biases makes something out of "
        "zeros and listens to it.",
    ),
    Wrong(
        _drop_mask_only,
        "the_mask_goes_with_the_states",
        "You change the mask only. The library's attention would be content, but whoever reads the states without "
        "the mask still hears the caption: set them to zero, too.",
    ),
    Wrong(
        _drop_two_draws,
        "the_mask_goes_with_the_states",
        "You draw twice, once for the states and once for the mask, so other rows go in each. Draw once, and use "
        "it for both.",
    ),
    Wrong(
        _drop_first_word,
        "the_mask_goes_with_the_states",
        "You leave the first word in the mask. Nothing breaks if all are false: the library's attention then "
        "answers with zeros.",
    ),
    Wrong(
        _drop_batch,
        "each_row_has_its_own_draw",
        "You draw once for the batch: all rows lose their caption or none. So does Meta's code (audiocraft); here "
        "each row has its own draw, which makes every batch a mixture.",
    ),
    Wrong(
        _drop_fixed_count,
        "each_row_has_its_own_draw",
        "You always drop the same number of rows. In a batch of two at a share of 0.2 that is none, ever. Each "
        "row has its own draw.",
    ),
    Wrong(
        _drop_first_rows,
        "each_row_has_its_own_draw",
        "You drop the first rows of each batch, without drawing. Where the rows are sorted, the same clips would "
        "always lose their captions.",
    ),
    Wrong(
        _drop_global,
        "random_numbers_come_from_the_generator",
        "You use the random numbers of the whole program, or a generator of your own. Hand on the one that you "
        "were given: torch.rand(B, generator=generator).",
    ),
)
RIGHT = (_drop_loop, _drop_where)
