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
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .compare import fresh_state, outcome, same, snapshot
from .expectations import CheckFailed, InputChanged, expect
from .guard import grading
from .mistakes import Wrong


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
        wrong, right: answers on record. The wrong ones give the hints (see `mistakes`); `tests/checks` runs both.
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
        broken = self._first_broken(answer)
        if broken is None:
            return None
        number, error = broken
        one = self.properties[number]
        return Failure(one.__name__, number, _what_happened(error, answer), self.diagnose(answer, one, error))

    def _first_broken(self, answer: Callable) -> tuple[int, Exception] | None:
        errors = ((i, _try(one, answer)) for i, one in enumerate(self.properties))
        return next(((i, error) for i, error in errors if error is not None), None)

    def diagnose(self, answer: Callable, broken: Callable, error: Exception) -> str | None:
        """The hint of the first mistake on record that breaks this property in the same way and behaves the same.

        An answer that raises an error, or changes its input, is only like a mistake that does the same. A mistake
        rarely comes alone: whoever pads each piece may also forget that a piece can be empty. So examples on which the
        answer raises an error are left out if no mistake on record behaves the same on all of them.
        """
        known = [one for one in self.wrong if one.breaks == broken.__name__]
        if _way(error) != "value":
            known = [one for one in known if _way(_try(broken, one.answer)) == _way(error)]
        own, right = self.behaviour(answer), self.behaviour(self.reference)
        behaviours = [(one.hint, self.behaviour(one.answer)) for one in known]
        ran = [i for i, one in enumerate(own) if one[2] is not None]  # [2] is None after an error, see `outcome`
        for examples in (range(len(own)), ran):
            if all(same(own[i], right[i]) for i in examples):
                continue  # nothing to tell mistakes apart by; some show only in the sizes that a property asks for
            for hint, behaviour in behaviours:
                if all(same(own[i], behaviour[i]) for i in examples):
                    return hint
        return next((hint for hint, behaviour in behaviours if same(own, behaviour)), None)

    def behaviour(self, answer: Callable) -> list:
        """What an answer does on the examples: for each its value (or type of error) and its gradients."""
        with fresh_state():
            examples = self.examples(torch.Generator().manual_seed(0))
        return [outcome(answer, arguments) for arguments in examples]

    def _unattempted(self, answer: Callable) -> bool:
        try:
            with fresh_state():
                answer(*self.examples(torch.Generator().manual_seed(0))[0])
        except NotImplementedError as error:  # an empty one: those of torch have a message
            return not str(error)
        except Exception:
            return False
        return False

    def _confirm(self) -> None:
        """When grades depend on it: a check that a notebook has tampered with accepts what it must not."""
        for wrong in self.wrong:
            broken = self._first_broken(wrong.answer)
            known = broken is not None and self.properties[broken[0]].__name__ == wrong.breaks
            expect(known, f"{self.name}: something has changed the check itself")

    def _message(self, failure: Failure) -> str:
        broken, total = self.properties[failure.number], len(self.properties)
        told = f"{self.name}: property {failure.number + 1} of {total} is broken: {_title(broken)}\n"
        told += f"  Seen: {failure.seen}"
        return f"{told}\n  Hint: {failure.hint}" if failure.hint else told

    def _show(self, answer: Callable) -> None:
        """Display target against yours, if there is a picture and the answer's result can be drawn."""
        if self.picture is None:
            return
        try:
            from IPython.display import display

            results = []
            for one in (self.reference, answer):
                with fresh_state():
                    arguments = self.examples(torch.Generator().manual_seed(0))[0]
                    results.append(one(*arguments))
            display(self.picture(*results, arguments))
        except Exception:  # the message says enough about an answer that has no picture
            return


def _try(one: Callable, answer: Callable) -> Exception | None:
    """What a property raises for an answer: whatever it is, the property is broken."""
    try:
        with fresh_state():
            one(guarded(answer))
    except Exception as error:
        return error
    return None


def _way(error: Exception | None) -> str:
    """How a property was broken: by a value, by a changed input, or by which error."""
    if isinstance(error, CheckFailed):
        return "input" if isinstance(error, InputChanged) else "value"
    return type(error).__name__


def guarded(answer: Callable) -> Callable:
    """The answer, watched: it has to return something and to leave what it is given as it was."""

    def watched(*arguments: Any, **named: Any) -> Any:
        given = [*arguments, *named.values()]
        before = snapshot(given)
        value = answer(*arguments, **named)
        for old, now in zip(before, given, strict=True):
            if not same(old, now):
                raise InputChanged(f"it changes its inputs: work on a copy, {_copying(now)}")
        expect(value is not None, "it returns nothing: is the `return` missing?")
        return value

    functools.update_wrapper(watched, answer, updated=())
    return watched


def _copying(value: Any) -> str:
    ways = {Tensor: "x.clone()", np.ndarray: "x.copy()", dict: "dict(x)", list: "list(x)"}
    found = [way for kind, way in ways.items() if isinstance(value, kind)]
    if isinstance(value, (list, tuple)) and any(isinstance(one, (Tensor, np.ndarray, list, dict)) for one in value):
        return f"{_copying(value[0])} of each" if len(value) else "list(x)"
    return found[0] if found else "copy.deepcopy(x)"


def _title(one: Callable) -> str:
    return (inspect.getdoc(one) or one.__name__.replace("_", " ")).splitlines()[0]


def _what_happened(error: Exception, answer: Callable) -> str:
    """A broken property in words: the sentence of `expect`, or the error and the student's line that raised it."""
    if isinstance(error, CheckFailed):
        return str(error)
    file = getattr(getattr(answer, "__code__", None), "co_filename", None)
    step, line, last = error.__traceback__, "", False
    while step is not None:
        last = step.tb_frame.f_code.co_filename == file and file != __file__
        if last:
            line = linecache.getline(file, step.tb_lineno).strip()
        step = step.tb_next
    message = f"{type(error).__name__}: {error}".strip(": ")
    if last and line.startswith("raise ") and not isinstance(error, NotImplementedError):
        return f"your own `{line}` refuses what is in order here: {message}"
    return f"your line `{line}` raises {message}" if line else f"what it returns cannot be used: {message}"
