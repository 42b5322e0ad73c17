"""Exercise 2, `move_positions`: later ones without knowing where one is."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ... import figures
from ...model.embedding import sinusoidal_positions
from .. import Exercise, Wrong, expect_close, expect_tensor


def _move(table: Tensor, distance: int) -> Tensor:
    half = table.shape[1] // 2
    turn = distance * torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))  # [half]
    cos, sin = table[:, :half], table[:, half:]
    return torch.cat([cos * turn.cos() - sin * turn.sin(), sin * turn.cos() + cos * turn.sin()], 1)


def moved_positions_keep_the_shape(answer):
    """The result has the shape of the table."""
    for S, D in ((5, 8), (1, 4), (9, 12)):
        expect_tensor(answer(sinusoidal_positions(S, D), 3), (S, D), torch.float32)


def a_distance_of_zero_changes_nothing(answer):
    """Moved by 0, a table is what it was."""
    table = sinusoidal_positions(9, 8)[2:]
    expect_close(answer(table, 0), table, "the table has changed")


def the_first_rows_move_ahead(answer):
    """The first two positions, moved by 1, are the second and the third."""
    table = sinusoidal_positions(3, 4)
    expect_close(answer(table[:2], 1), table[1:], "positions 0 and 1, moved by 1", 1e-4)


def any_rows_move_any_way(answer):
    """It works from everywhere, back as well as ahead, and two moves are one."""
    table = sinusoidal_positions(60, 16)
    expect_close(answer(table[20:30], -15), table[5:15], "positions 20 to 29, moved by -15", 1e-3)
    expect_close(answer(answer(table[3:7], 20), 9), answer(table[3:7], 29), "moved by 20 and by 9, or by 29", 1e-3)


def moves_as_the_library_would(answer):
    """On random sizes the result is the library's table from there on."""
    for S, D, start, distance in ((4, 64, 100, 37), (6, 10, 250, 31), (3, 192, 7, 200)):
        table = sinusoidal_positions(500, D)
        target = table[start + distance : start + distance + S]
        expect_close(
            answer(table[start : start + S], distance), target, f"D {D}, from {start}, moved by {distance}", 2e-3
        )


def _frequencies(half, divisor=None):
    return torch.exp(torch.arange(half) * -(math.log(10000) / (divisor or half - 1)))


def _move_roll(table, distance):
    return table.roll(-distance, 0)


def _move_add(table, distance):
    half = table.shape[1] // 2
    turn = distance * _frequencies(half)
    return table + torch.cat([turn.cos(), turn.sin()])


def _move_without_mixing(table, distance):
    turn = distance * _frequencies(table.shape[1] // 2)
    return table * torch.cat([turn.cos(), turn.sin()])


def _move_back(table, distance):
    return _move(table, -distance)


def _move_by_half(table, distance):
    half = table.shape[1] // 2
    turn = distance * _frequencies(half, half)
    cos, sin = table.split(half, 1)
    return torch.cat([cos * turn.cos() - sin * turn.sin(), sin * turn.cos() + cos * turn.sin()], 1)


def _move_in_turn(table, distance):
    turn = distance * _frequencies(table.shape[1] // 2)
    sin, cos = table[:, 0::2], table[:, 1::2]
    moved = sin * turn.cos() + cos * turn.sin(), cos * turn.cos() - sin * turn.sin()
    return torch.stack(moved, 2).flatten(1)


def _move_complex(table, distance):
    half = table.shape[1] // 2
    hands = torch.complex(table[:, :half], table[:, half:])
    moved = hands * torch.polar(torch.ones(half), distance * _frequencies(half))
    return torch.cat([moved.real, moved.imag], 1)


def _move_angles(table, distance):
    half = table.shape[1] // 2
    rows = []
    for row in table:
        numbers = [0.0] * (2 * half)
        for i in range(half):
            angle = math.atan2(row[half + i], row[i]) + distance * 10000 ** (-i / (half - 1))
            numbers[i], numbers[half + i] = math.cos(angle), math.sin(angle)
        rows.append(numbers)
    return torch.tensor(rows)


def _positions_picture(target, yours, arguments):
    figure, axes = figures.new_figure(8.4, 2.6, 2)
    for one, (name, table) in zip(axes, (("target", target), ("yours", yours)), strict=True):
        image = one.imshow(table.detach(), aspect="auto", cmap="cividis", vmin=-1, vmax=1, interpolation="nearest")
        one.set_title(name, fontsize=10)
        one.set_xlabel("dimension")
    figure.colorbar(image, ax=list(axes))
    return figures.figure_picture(figure, f"positions moved by {arguments[1]}: target and yours")


move_positions = Exercise(
    "move_positions",
    reference=_move,
    properties=(
        moved_positions_keep_the_shape,
        a_distance_of_zero_changes_nothing,
        the_first_rows_move_ahead,
        any_rows_move_any_way,
        moves_as_the_library_would,
    ),
    wrong=(
        Wrong(
            _move_add,
            "a_distance_of_zero_changes_nothing",
            "You add the position of the distance. cos(a + b) is not cos a + cos b: use cos a cos b - sin a sin b.",
        ),
        Wrong(
            _move_without_mixing,
            "a_distance_of_zero_changes_nothing",
            "You multiply cosines with cosines and sines with sines. A turn mixes the two halves: each new half needs "
            "both old ones.",
        ),
        Wrong(
            _move_roll,
            "the_first_rows_move_ahead",
            "You roll the rows, so those that leave at one end come back at the other. What comes after the last row "
            "is not in the table: compute it.",
        ),
        Wrong(
            _move_back,
            "the_first_rows_move_ahead",
            "You move the wrong way. It is cos(a + b) = cos a cos b - sin a sin b, and sin(a + b) has a plus. Taking "
            "the first half for the sines does the same harm: it holds the cosines, and position 0 begins with ones.",
        ),
        Wrong(
            _move_in_turn,
            "the_first_rows_move_ahead",
            "You take sine and cosine in turn, as Vaswani et al. do. Here the first half of a row is cosines and the "
            "second half sines.",
        ),
        Wrong(
            _move_by_half,
            "the_first_rows_move_ahead",
            "Your exponent divides by h = D / 2. The published table divides by h - 1, so that the last frequency is "
            "exactly 1 / 10000.",
        ),
    ),
    right=(_move_complex, _move_angles),
    examples=lambda generator: [(sinusoidal_positions(40, 8)[10:30], 7), (sinusoidal_positions(9, 6), -2)],
    picture=_positions_picture,
)
