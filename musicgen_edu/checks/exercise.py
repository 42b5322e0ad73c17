"""The frame in which an exercise is marked: properties, and a catalogue of wrong answers that gives the hints.

An answer must have every property of an exercise. Where one is missing, the answer is compared with the wrong answers
on record: if it behaves like one of them, the student gets the hint that belongs to it. So the catalogue that tests
the check is the same that explains it.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import linecache
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ._compare import outcome, same, seeded, snapshot
from ._seal import seal


class CheckFailed(AssertionError):
    """An answer lacks a property. A notebook shows the message alone, without the way through this file."""

    def _render_traceback_(self) -> list[str]:
        return [f"CheckFailed: {self}"]


def expect(condition: Any, sentence: str) -> None:
    """Raise `CheckFailed` with the sentence unless the condition (a bool, or a tensor of one) holds."""
    if not bool(condition):
        raise CheckFailed(sentence)


def expect_tensor(value: Any, shape: tuple[int, ...], dtype: torch.dtype | None = None, name: str = "the result"):
    """Expect a tensor of that shape and, if given, of that dtype."""
    expect(isinstance(value, Tensor), f"{name} must be a tensor, not {type(value).__name__}")
    expect(tuple(value.shape) == tuple(shape), f"{name} must have shape {list(shape)}, not {list(value.shape)}")
    expect(dtype in (None, value.dtype), f"{name} must have dtype {dtype}, not {value.dtype}")


def expect_close(value: Any, target: Any, sentence: str, tolerance: float = 1e-5) -> None:
    """Expect numbers or tensors of one shape to be equal up to rounding; the message adds the largest difference."""
    value, target = (torch.as_tensor(one).detach().double() for one in (value, target))
    expect(value.shape == target.shape, f"{sentence}: shape {list(target.shape)} is expected, not {list(value.shape)}")
    if not torch.allclose(value, target, rtol=tolerance, atol=tolerance, equal_nan=True):
        most = float((value - target).abs().max())
        raise CheckFailed(f"{sentence}: expected {_short(target)}, not {_short(value)} (largest difference {most:.3g})")


def _short(numbers: Tensor) -> str:
    shown = [f"{one:.4g}" for one in numbers.flatten()[:6].tolist()]
    return shown[0] if numbers.ndim == 0 else f"[{', '.join(shown)}{', ...' if numbers.numel() > 6 else ''}]"


@dataclass(frozen=True)
class Wrong:
    """A plausible wrong answer, the name of the first property that it breaks, and what to tell whoever wrote it."""

    answer: Callable
    breaks: str
    hint: str


@dataclass(frozen=True)
class Failure:
    """The property that an answer lacks, its number, what was seen, and the hint if the mistake is on record."""

    breaks: str
    number: int
    seen: str
    hint: str | None


@dataclass(frozen=True)
class Exercise:
    """One exercise. Calling it with an answer checks the answer and returns the function to go on with.

    Args:
        name: of the function that the student writes.
        reference: the library's version.
        properties: functions `property(answer)` in the order in which they are tried; the first line of a
            docstring is what a student reads; a broken one raises, best through `expect`.
        wrong, right: answers on record. The wrong ones give the hints; `tests/test_checks.py` runs both.
        examples: from a `torch.Generator` to a list of argument tuples, on which answers are told apart: by value,
            and by gradient where an argument requires one.
        picture: `picture(target, yours, arguments)`, what to show on failure, for the first of the examples.
    """

    name: str
    reference: Callable
    properties: tuple[Callable, ...]
    wrong: tuple[Wrong, ...]
    right: tuple[Callable, ...]
    examples: Callable[[torch.Generator], list[tuple]]
    picture: Callable | None = None

    def __call__(self, answer: Callable) -> Callable:
        """Check an answer.

        Returns:
            The answer; when studying, the library's version for a stub nobody has filled in yet.

        Raises:
            CheckFailed: a property is missing.
            NotImplementedError: the stub is as it was, and nbgrader is grading.
        """
        # nbgrader takes any word on stderr, a warning or a progress bar, for a failed check.
        with contextlib.redirect_stderr(sys.stdout):
            return self._check(answer)

    def _check(self, answer: Callable) -> Callable:
        expect(callable(answer), f"{self.name}: hand over the function itself, not {type(answer).__name__}")
        borrowed = answer is self.reference or str(getattr(answer, "__module__", "")).startswith(__package__)
        expect(not (borrowed and grading()), f"{self.name}: this is the library's version; hand in your own")
        if grading():
            self._confirm()
        elif borrowed:
            print(f"{self.name}: nothing checked, this is the library's version.")
            return answer
        if self._unattempted(answer):
            if grading():
                raise NotImplementedError(f"{self.name}: the stub is as it was handed out")
            print(f"{self.name}: not attempted yet. The notebook goes on with the library's version.")
            return self.reference
        failure = self.examine(answer)
        if failure is not None:
            self._show(answer)
            raise CheckFailed(self._message(failure))
        print(f"{self.name}: all {len(self.properties)} properties hold.")
        print(*(f"  - {_title(one)}" for one in self.properties), sep="\n")
        return answer

    def examine(self, answer: Callable) -> Failure | None:
        """The first property that an answer lacks, or None."""
        for i, one in enumerate(self.properties):
            try:
                with seeded():
                    one(_guarded(answer))
            except Exception as error:  # whatever an answer does wrong is a broken property
                return Failure(one.__name__, i, _what_happened(error, answer), self.diagnose(answer, one.__name__))
        return None

    def diagnose(self, answer: Callable, broken: str) -> str | None:
        """The hint of the first mistake on record that breaks this property, too, and behaves the same, or None.

        A mistake rarely comes alone: whoever pads each piece may also forget that a piece can be empty. So examples on
        which the answer raises an error are left out if no mistake on record behaves the same on all of them.
        """
        own, right = self.behaviour(answer), self.behaviour(self.reference)
        known = [(one.hint, self.behaviour(one.answer)) for one in self.wrong if one.breaks == broken]
        ran = [i for i, one in enumerate(own) if one[2] is not None]  # [2] is None after an error, see `outcome`
        for examples in (range(len(own)), ran):
            if all(same(own[i], right[i]) for i in examples):
                continue  # nothing to tell mistakes apart by; some show only in the sizes that a property asks for
            for hint, behaviour in known:
                if all(same(own[i], behaviour[i]) for i in examples):
                    return hint
        return next((hint for hint, behaviour in known if same(own, behaviour)), None)

    def behaviour(self, answer: Callable) -> list:
        """What an answer does on the examples: for each its value (or type of error) and its gradients."""
        return [outcome(answer, arguments) for arguments in self.examples(torch.Generator().manual_seed(0))]

    def _unattempted(self, answer: Callable) -> bool:
        try:
            with seeded():
                answer(*self.examples(torch.Generator().manual_seed(0))[0])
        except NotImplementedError as error:  # an empty one: those of torch have a message
            return not str(error)
        except Exception:
            return False
        return False

    def _confirm(self) -> None:
        """When grades depend on it: a check that a notebook has tampered with accepts what it must not."""
        for wrong in self.wrong:
            failure = self.examine(wrong.answer)
            expect(failure and failure.breaks == wrong.breaks, f"{self.name}: something has changed the check itself")

    def _message(self, failure: Failure) -> str:
        broken, total = self.properties[failure.number], len(self.properties)
        hint = failure.hint or f"your answer behaves like none of the {len(self.wrong)} mistakes on record"
        return (
            f"{self.name}: property {failure.number + 1} of {total} is broken: {_title(broken)}\n"
            f"  Seen: {failure.seen}\n  Hint: {hint}"
        )

    def _show(self, answer: Callable) -> None:
        """Display target against yours, if there is a picture and the answer's result can be drawn."""
        if self.picture is None:
            return
        try:
            from IPython.display import display

            results = []
            for one in (self.reference, answer):
                arguments = self.examples(torch.Generator().manual_seed(0))[0]
                with seeded():
                    results.append(one(*arguments))
            display(self.picture(*results, arguments))
        except Exception:  # the message says enough about an answer that has no picture
            return


def grading() -> bool:
    """Whether nbgrader is running the notebook.

    What the process began with counts too, where that can be read: a cell may unset the variable, not the past.
    """
    try:
        began = Path("/proc/self/environ").read_bytes()
    except OSError:
        began = b""
    return "NBGRADER_EXECUTION" in os.environ or b"NBGRADER_EXECUTION=" in began


def _guarded(answer: Callable) -> Callable:
    """The answer, watched: it has to return something and to leave tensors, arrays and lists as they were."""

    def guarded(*arguments: Any, **named: Any) -> Any:
        before = snapshot([arguments, named])
        value = answer(*arguments, **named)
        expect(same(before, [arguments, named]), "it changes its inputs: work on a copy, x.clone()")
        expect(value is not None, "it returns nothing: is the `return` missing?")
        return value

    functools.update_wrapper(guarded, answer, updated=())
    return guarded


def _title(one: Callable) -> str:
    return (inspect.getdoc(one) or one.__name__.replace("_", " ")).splitlines()[0]


def _what_happened(error: Exception, answer: Callable) -> str:
    """A broken property in words: the sentence of `expect`, or the error and the student's line that raised it."""
    if isinstance(error, CheckFailed):
        return str(error)
    file = getattr(getattr(answer, "__code__", None), "co_filename", None)
    step, line = error.__traceback__, ""
    while step is not None:
        if step.tb_frame.f_code.co_filename == file and file != __file__:
            line = linecache.getline(file, step.tb_lineno).strip()
        step = step.tb_next
    message = f"{type(error).__name__}: {error}".strip(": ")
    return f"your line `{line}` raises {message}" if line else f"what it returns cannot be used: {message}"


seal(__name__)
