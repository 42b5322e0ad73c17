"""Options that are fields of a dataclass, and bounds of numbers."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import pytest

from musicgen_edu.cli import app, generate, train_codec, train_lm
from musicgen_edu.cli.main import build_parser
from musicgen_edu.cli.options import Fields, check_numbers


@dataclass(frozen=True)
class Kiln:
    """Something with a field of every kind."""

    degrees: int = 900
    slope: float = 1e-3
    limit: float | None = None
    shelves: tuple[int, ...] = (3, 4)
    glaze: str = "ash"
    lid: str = "shut"


KILN = Fields(
    Kiln(degrees=1200),
    heat=("degrees", "how hot"),
    slope=("slope", "how fast"),
    limit=("limit", "how long (default: until it is done)"),
    shelf_sizes=("shelves", "in cm"),
    glaze=("glaze", "of what", ("ash", "salt")),
)


def parsed(*typed: str, unset: bool = False) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    KILN.add_to(parser, unset)
    return parser.parse_args(typed)


def test_what_is_not_given_is_as_in_the_dataclass():
    assert KILN.make(parsed()) == Kiln(degrees=1200)
    assert parsed().shelf_sizes == [3, 4], "as if it had been typed"


def test_what_is_given_has_the_type_of_its_field():
    made = KILN.make(
        parsed("--heat", "7", "--slope", "2", "--limit", "3", "--shelf-sizes", "5", "6", "--glaze", "salt")
    )
    assert made == Kiln(7, 2.0, 3.0, (5, 6), "salt")
    assert [type(value) for value in (made.degrees, made.slope, made.limit)] == [int, float, float]


@pytest.mark.parametrize("typed", [["--heat", "1.5"], ["--limit", "long"], ["--glaze", "tin"], ["--lid", "open"]])
def test_what_is_no_value_of_the_field_or_no_option_is_refused(typed, capsys):
    with pytest.raises(SystemExit):
        parsed(*typed)
    assert typed[0] in capsys.readouterr().err


def test_other_fields_and_another_base_are_taken_whole():
    assert KILN.make(parsed("--heat", "7"), lid="open") == Kiln(7, lid="open")
    base = Kiln(1, 2.0, glaze="salt", lid="open")
    assert KILN.make(parsed("--heat", "7", unset=True), base) == Kiln(7, 2.0, glaze="salt", lid="open")


def test_help_tells_the_default_as_it_is_typed(capsys):
    with pytest.raises(SystemExit):
        parsed("--help")
    shown = " ".join(capsys.readouterr().out.split())
    for told in ("how hot (default: 1200)", "how fast (default: 0.001)", "in cm (default: 3 4)", "{ash,salt}"):
        assert told in shown
    assert "how long (default: until it is done)" in shown


@pytest.mark.parametrize(
    ("fields", "command"),
    [
        (generate.SAMPLING, ["generate", "a bell"]),
        (app.LIMITS, ["app"]),
        (train_codec.SIZE, ["train-codec", "--out", "out"]),
        (train_codec.TRAINING, ["train-codec", "--out", "out"]),
        (train_codec.ADVERSARIAL, ["train-codec", "--out", "out"]),
        (train_lm.SIZE, ["train-lm", "--out", "out"]),
        (train_lm.TRAINING, ["train-lm", "--out", "out"]),
    ],
)
def test_a_command_without_options_is_the_defaults(fields, command):
    assert fields.make(build_parser().parse_args(command)) == fields.defaults


@pytest.mark.parametrize(
    ("bound", "kept", "broken"),
    [
        ("at least 2", [2, 3], [1, -1, float("nan")]),
        ("0 to 1", [0, 0.5, 1], [-0.1, 1.1, float("nan")]),
        ("at least 0 and less than 1", [0, 0.9], [1, -0.1, float("nan")]),
        ("more than 0", [1e-9, 7], [0, -1, float("nan"), float("inf")]),
    ],
)
def test_a_number_out_of_bounds_is_named_with_its_option(bound, kept, broken):
    for value in [*kept, None, kept]:
        check_numbers(argparse.Namespace(how_many=value), {bound: "how_many"})
    for value in broken:
        for given in (value, [kept[0], value]):
            with pytest.raises(ValueError, match=rf"^--how-many must be {bound}, not .*{value:g}$"):
                check_numbers(argparse.Namespace(which=kept[0], how_many=given), {bound: "which how_many"})
