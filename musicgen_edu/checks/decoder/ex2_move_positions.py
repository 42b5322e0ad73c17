"""Exercise 2, `move_positions`: later ones without knowing where one is."""

from __future__ import annotations

import math

import numpy as np
import torch

from ... import figures
from ...model.embedding import sinusoidal_positions
from .. import Exercise, expect_close, expect_tensor, mistakes


def _move(table, distance):
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
    expect_close(answer(table, 0), table, "a table moved by 0")


def the_first_rows_move_ahead(answer):
    """The first two positions, moved by 1, are the second and the third."""
    table = sinusoidal_positions(3, 4)
    expect_close(answer(table[:2], 1), table[1:], "positions 0 and 1, moved by 1", 1e-4)


def any_rows_move_any_way(answer):
    """It works from everywhere, back as well as ahead, and two moves are one."""
    table = sinusoidal_positions(60, 16)
    expect_close(answer(table[20:30], -15), table[5:15], "positions 20 to 29, moved by -15", 1e-3)
    expect_close(answer(table[[40, 7, 33]], 12), table[[52, 19, 45]], "positions 40, 7 and 33, moved by 12", 1e-3)
    expect_close(answer(answer(table[3:7], 20), 9), answer(table[3:7], 29), "moved by 20 and by 9, or by 29", 1e-3)
    expect_close(answer(answer(table[3:7], -20), 20), table[3:7], "positions 3 to 6, moved by -20 and by 20", 1e-3)


def moves_as_the_library_would(answer):
    """On random sizes the result is the library's table from there on."""
    for S, D, start, distance in (
        (4, 64, 100, 37),
        (6, 10, 250, 31),
        (3, 192, 7, 200),
        (2, 6, 3000, -1),
        (90, 8, 1, 2),
    ):
        table = sinusoidal_positions(3010, D)
        target = table[start + distance : start + distance + S]
        found = answer(table[start : start + S], distance)
        expect_close(found, target, f"D {D}, from {start}, moved by {distance}", 2e-3)


def _frequencies(half):
    return torch.exp(torch.arange(half) * -(math.log(10000) / (half - 1)))


def _in_turn(table, distance):
    turn = distance * _frequencies(table.shape[1] // 2)
    sin, cos = table[:, 0::2], table[:, 1::2]
    moved = sin * turn.cos() + cos * turn.sin(), cos * turn.cos() - sin * turn.sin()
    return torch.stack(moved, 2).flatten(1)


def _from_the_first_wave(table, distance):
    half = table.shape[1] // 2
    place = torch.atan2(table[:, half], table[:, 0])
    angles = (place + distance)[:, None] * _frequencies(half)
    return torch.cat([angles.cos(), angles.sin()], 1)


def _complex(table, distance):
    half = table.shape[1] // 2
    hands = torch.complex(table[:, :half], table[:, half:])
    moved = hands * torch.polar(torch.ones(half), distance * _frequencies(half))
    return torch.cat([moved.real, moved.imag], 1)


def _angles(table, distance):
    half = table.shape[1] // 2
    rows = []
    for row in table:
        numbers = [0.0] * (2 * half)
        for i in range(half):
            angle = math.atan2(row[half + i], row[i]) + distance * 10000 ** (-i / (half - 1))
            numbers[i], numbers[half + i] = math.cos(angle), math.sin(angle)
        rows.append(numbers)
    return torch.tensor(rows)


def _matrix(table, distance):
    half = table.shape[1] // 2
    b = distance * np.power(10000.0, -np.arange(half) / (half - 1))
    turn = np.block([[np.diag(np.cos(b)), np.diag(np.sin(b))], [np.diag(-np.sin(b)), np.diag(np.cos(b))]])
    return torch.from_numpy(table.numpy().astype(np.float64) @ turn).float()


def _positions_picture(target, yours, arguments):
    figure, axes = figures.new_figure(8.4, 2.6, 2)
    for one, (name, table) in zip(axes, (("target", target), ("yours", yours)), strict=True):
        image = one.imshow(table.detach(), aspect="auto", cmap="cividis", vmin=-1, vmax=1, interpolation="nearest")
        one.set_title(name, fontsize=10)
        one.set_xlabel("dimension")
    figure.colorbar(image, ax=list(axes))
    return figures.figure_picture(figure, f"positions moved by {arguments[1]}: target and yours")


_WHOLE = "torch.cat([cos * turn.cos() - sin * turn.sin(), sin * turn.cos() + cos * turn.sin()], 1)"

move_positions = Exercise(
    "move_positions",
    reference=_move,
    properties=(
        moved_positions_keep_the_shape, a_distance_of_zero_changes_nothing, the_first_rows_move_ahead,
        any_rows_move_any_way, moves_as_the_library_would,
    ),
    wrong=mistakes(_move, {
        moved_positions_keep_the_shape: [
            (_WHOLE, "torch.cat([table, sinusoidal_positions(int(abs(distance)), 2 * half)])", "You append rows to the "
             "table. Each row is to be turned into a later one: as many rows as before."),
            ("turn.sin()], 1)", "turn.sin()])", "You put the sines below the cosines. They stand beside them, in the "
             "same row: torch.cat(..., 1)."),
        ],
        a_distance_of_zero_changes_nothing: [
            (_WHOLE, "table + torch.cat([turn.cos(), turn.sin()])",
             "You add the position of the distance. cos(a + b) is not cos a + cos b: use cos a cos b - sin a sin b."),
            (_WHOLE, "table * torch.cat([turn.cos(), turn.sin()])",
             "You multiply cosines with cosines and sines with sines. A turn mixes the two halves: each new half needs "
             "both old ones."),
            ("cos, sin = table[:, :half], table[:, half:]", "sin, cos = table[:, :half], table[:, half:]",
             "You take the first half for the sines and return it as the second. In the published layout cosines come "
             "first."),
            ("turn = distance *", "turn = (distance + 1) *", "You move a step too far: a distance of 0 is no move."),
            (_WHOLE, "sinusoidal_positions(len(table) + abs(distance), 2 * half)[distance:][: len(table)]",
             "You assume that the table begins at place 0. You are not told where it begins: turn each row."),
            (_from_the_first_wave, "You work out the place from the first wave. It repeats every 2 π places, so "
             "place 20 looks like place 1: turn each wave by itself."),
        ],
        the_first_rows_move_ahead: [
            (_WHOLE, "table.roll(-distance, 0)",
             "You roll the rows, so those that leave at one end come back at the other. What comes after the last row "
             "is not in the table: compute it."),
            ("turn = distance", "turn = -distance",
             "You move the wrong way. It is cos(a + b) = cos a cos b - sin a sin b, and sin(a + b) has a plus. Taking "
             "the first half for the sines does the same harm: it holds the cosines, and position 0 begins with ones."),
            (_in_turn, "You take sine and cosine in turn, as Vaswani et al. do. Here the first half of a row is "
             "cosines "
             "and the second half sines."),
            ("(half - 1)", "half",
             "Your exponent divides by h = D / 2. The published table divides by h - 1, so that the last frequency is "
             "exactly 1 / 10000."),
            ("sin * turn.cos() + cos", "sin * turn.cos() - cos", "sin(a + b) = sin a cos b + cos a sin b has a plus."),
            ("cos * turn.cos() - sin", "cos * turn.cos() + sin", "cos(a + b) = cos a cos b - sin a sin b has a minus."),
            ("-(math.log(10000)", "(math.log(10000)", "Your frequencies grow from 1 to 10000. They fall, from 1 to "
             "1 / 10000: the exponent is negative."),
            ("torch.arange(half)", "torch.arange(half).flip(0)", "Your frequencies stand in reverse. The first is 1, "
             "the last 1 / 10000."),
        ],
        any_rows_move_any_way: [
            ("turn = distance", "turn = abs(distance)", "A negative distance moves back, and yours moves ahead."),
            ("turn = distance", "turn = (torch.arange(len(table))[:, None] * 0 + distance).clamp(min=0)",
             "A negative distance moves back. Yours does not move at all."),
        ],
    }),
    right=(_complex, _angles, _matrix),
    examples=lambda generator: [(sinusoidal_positions(40, 8)[10:30], 7), (sinusoidal_positions(9, 6), -2)],
    picture=_positions_picture,
)  # fmt: skip
