"""The table of wrong and right answers: `python -m musicgen_edu.checks`."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from . import Exercise, modules


@dataclass(frozen=True)
class Trial:
    """What became of the answers on record of one exercise: complaints is empty if all is as it should be."""

    exercise: str
    wrong: int
    caught: int
    right: int
    accepted: int
    complaints: tuple[str, ...]


def try_all(exercise: Exercise, where: str = "") -> Trial:
    """Run every answer on record. A wrong one counts as caught on its own property and with its own hint."""
    complaints, caught, accepted = [], 0, 0
    for wrong in exercise.wrong:
        failure, name = exercise.examine(wrong.answer), wrong.answer.__name__
        if failure is None:
            complaints.append(f"{name} is accepted")
        elif failure.breaks != wrong.breaks:
            complaints.append(f"{name} breaks {failure.breaks} ({failure.seen}) rather than {wrong.breaks}")
        elif failure.hint != wrong.hint:
            complaints.append(f"{name} gets another hint: {failure.hint}")
        else:
            caught += 1
    for answer in (exercise.reference, *exercise.right):
        failure = exercise.examine(answer)
        if failure is not None:
            complaints.append(f"{answer.__name__} is right, but breaks {failure.breaks}: {failure.seen}")
        elif answer is not exercise.reference:
            accepted += 1
    name = f"{where}.{exercise.name}".strip(".")
    return Trial(name, len(exercise.wrong), caught, len(exercise.right), accepted, tuple(complaints))


def table(trials: list[Trial]) -> str:
    """The trials as a Markdown table with a line of sums."""
    lines = ["| exercise | wrong answers tried | caught | right answers tried | accepted |", "|---|---|---|---|---|"]
    for t in trials:
        lines.append(f"| {t.exercise} | {t.wrong} | {t.caught} | {t.right} | {t.accepted} |")
    sums = [sum(getattr(t, name) for t in trials) for name in ("wrong", "caught", "right", "accepted")]
    lines.append(f"| **{len(trials)} exercises** | {' | '.join(f'**{total}**' for total in sums)} |")
    return "\n".join(lines)


def every_exercise() -> list[tuple[str, Exercise]]:
    """All exercises with the names of their modules."""
    return [(module.__name__.rsplit(".", 1)[1], one) for module in modules() for one in module.EXERCISES]


if __name__ == "__main__":
    found = [try_all(exercise, where) for where, exercise in every_exercise()]
    print(table(found))
    wrong = [f"{one.exercise}: {text}" for one in found for text in one.complaints]
    sys.exit("\n".join(wrong) if wrong else 0)
