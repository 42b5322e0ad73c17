"""The checks are checked: every wrong answer on record is caught for its own reason, every right one accepted."""

from __future__ import annotations

import importlib
import random
import subprocess
import sys
from collections import defaultdict, namedtuple
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from musicgen_edu import checks
from musicgen_edu.checks import (
    CheckFailed,
    Exercise,
    Wrong,
    expect,
    expect_close,
    expect_equal,
    expect_tensor,
    mistakes,
    plain,
)  # fmt: skip
from musicgen_edu.checks.__main__ import every_exercise, table, try_all
from musicgen_edu.checks.exercise import guarded

CATALOGUE = {f"{where}.{exercise.name}": exercise for where, exercise in every_exercise()}


@pytest.fixture(autouse=True)
def studying(monkeypatch):
    """Tests study, wherever they are started; those about grading say so."""
    monkeypatch.delenv("NBGRADER_EXECUTION", raising=False)


# ---- the catalogue -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trials() -> dict:
    """Every answer on record, tried once."""
    return {name: try_all(exercise, name.split(".")[0]) for name, exercise in CATALOGUE.items()}


@pytest.mark.parametrize("name", CATALOGUE)
def test_wrong_answers_are_caught_for_their_own_reason_and_right_ones_accepted(name, trials):
    trial = trials[name]
    assert not trial.complaints, "\n".join(trial.complaints)
    assert trial.wrong == trial.caught >= 5
    assert trial.right == trial.accepted >= 2


def test_the_catalogue_is_large_enough(trials):
    print(f"\n{table(list(trials.values()))}")
    assert len(trials) >= 58
    assert sum(trial.caught for trial in trials.values()) >= 1200
    assert sum(trial.accepted for trial in trials.values()) >= 140


@pytest.mark.parametrize("name", CATALOGUE)
def test_an_exercise_says_what_a_student_reads(name):
    exercise = CATALOGUE[name]
    assert name.split(".")[1] == exercise.name
    assert exercise.name.isidentifier()
    titles = [(one.__doc__ or "").strip().splitlines()[0] for one in exercise.properties]
    assert all(title.endswith(".") for title in titles), titles
    assert len(set(titles)) == len(titles)
    hints = [wrong.hint for wrong in exercise.wrong]
    assert len(set(hints)) == len(hints), "a hint belongs to one mistake"
    assert all(len(hint) > 20 for hint in hints)
    assert {wrong.breaks for wrong in exercise.wrong} <= {one.__name__ for one in exercise.properties}


@pytest.mark.parametrize("module", checks.modules(), ids=lambda module: module.__name__.rsplit(".", 1)[1])
def test_a_module_lists_its_exercises_and_is_sealed(module):
    own = {name: one for name, one in vars(module).items() if isinstance(one, Exercise)}
    assert list(own.values()) == list(module.EXERCISES)
    assert all(one.name == name for name, one in own.items())
    for name in own:
        with pytest.raises(AttributeError, match=f"cannot change its `{name}`"):
            setattr(module, name, lambda answer: answer)
        with pytest.raises(AttributeError, match="cannot assign to field"):
            setattr(own[name], "properties", ())  # noqa: B010  a student would write it as an assignment


def test_the_table_can_be_printed_by_a_command(monkeypatch):
    trial = try_all(DOUBLE, "here")
    assert table([trial, trial]).splitlines()[2:] == [
        "| here.double | 5 | 5 | 2 | 2 |",
        "| here.double | 5 | 5 | 2 | 2 |",
        "| **2 exercises** | **10** | **10** | **4** | **4** |",
    ]


def test_checks_need_no_nbgrader_and_the_library_needs_no_checks():
    code = (
        "import sys, musicgen_edu.checks as c; c.modules(); assert 'nbgrader' not in sys.modules; "
        "[sys.modules.pop(name) for name in list(sys.modules) if name.startswith('musicgen_edu')]; "
        "import musicgen_edu.musicgen, musicgen_edu.training.codec, musicgen_edu.cli.main; "
        "assert not [name for name in sys.modules if name.startswith('musicgen_edu.checks')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---- mistakes as edits ------------------------------------------------------------------------------------------


def halve(x, y=1):
    """Half of x, plus y."""
    half = x / 2
    return half + y


def is_half(answer):
    """It is half."""


def test_a_mistake_is_an_edit_of_the_reference():
    first, second, third = mistakes(
        halve,
        {is_half: [("/ 2", "/ 3", "a third"), ("x / 2", "x", "half + y", "x", "nothing"), (abs, "a function")]},
    )
    assert (first.answer(6), second.answer(6), third.answer) == (3.0, 6, abs)
    assert {one.breaks for one in (first, second, third)} == {"is_half"}
    assert [one.hint for one in (first, second, third)] == ["a third", "nothing", "a function"]
    assert halve(6) == 4.0
    assert "/ 2" in first.answer.__name__


@pytest.mark.parametrize("edit", [("x", "y", "hint"), ("absent", "y", "hint"), ("/ 2", "hint")])
def test_an_edit_has_one_place_and_two_texts(edit):
    with pytest.raises(ValueError, match=r"stands \d times in halve, expected once|come in pairs"):
        mistakes(halve, {is_half: [edit]})


# ---- the frame ---------------------------------------------------------------------------------------------------


def keeps_shape(answer):
    """The result has the shape of x."""
    expect_tensor(answer(torch.zeros(2, 3)), (2, 3), torch.float32)


def doubles(answer):
    """Every number is doubled."""
    expect_close(answer(torch.tensor([1.0, -2.0])), torch.tensor([2.0, -4.0]), "twice [1, -2]")


def passes_gradient(answer):
    """The gradient is 2."""
    x = torch.ones(3, requires_grad=True)
    answer(x).sum().backward()
    expect_close(x.grad, torch.full((3,), 2.0), "the gradient at x")


def _flat(x):
    return 2 * x.flatten()


def _square(x):
    return x * x


def _triple(x):
    return 3 * x


def _cut(x):
    return (2 * x).detach().requires_grad_()


def _double_precision(x):
    return 2 * x.double()


DOUBLE = Exercise(
    "double",
    reference=lambda x: 2 * x,
    properties=(keeps_shape, doubles, passes_gradient),
    wrong=(
        Wrong(_flat, "keeps_shape", "flatten is not needed here"),
        Wrong(_double_precision, "keeps_shape", "double() is a dtype, not a factor"),
        Wrong(_square, "doubles", "that is the square"),
        Wrong(_triple, "doubles", "that is three times"),
        Wrong(_cut, "passes_gradient", "detach stops the gradient"),
    ),
    right=(lambda x: x + x, lambda x: torch.einsum("...,->...", x, torch.tensor(2.0))),
    examples=lambda generator: [(torch.randn(2, 2, generator=generator).requires_grad_(),)],
)


def stub(x):
    raise NotImplementedError()


def test_a_right_answer_is_told_its_properties_and_goes_on(capsys):
    def answer(x):
        return x / 0.5

    assert DOUBLE(answer) is answer
    assert capsys.readouterr().out.splitlines() == [
        "double: all 3 properties hold.",
        "  - The result has the shape of x.",
        "  - Every number is doubled.",
        "  - The gradient is 2.",
    ]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda x: x**2, ["property 2 of 3", "Every number is doubled", "[2, -4], not [1, 4]", "Hint: that is the sq"]),
        (lambda x: (x + x).reshape(-1), ["property 1 of 3", "shape [2, 3], not [6]", "Hint: flatten is not needed"]),
        (lambda x: x.detach() * 2, ["property 3 of 3", "The gradient is 2", "does not require grad"]),
        (lambda x: 5 * x, ["property 2 of 3", "expected [2, -4], not [5, -10] (largest difference 6, at 1)"]),
        (lambda x: None, ["property 1 of 3", "it returns nothing: is the `return` missing?"]),
        (lambda x: x @ x, ["property 1 of 3", "your line `(lambda x: x @ x", "raises RuntimeError"]),
        (lambda x: 3.0, ["property 1 of 3", "the result must be a tensor, not float"]),
        (lambda: 1, ["property 1 of 3", "TypeError"]),
    ],
)
def test_a_wrong_answer_is_told_the_property_and_a_hint(answer, told):
    with pytest.raises(CheckFailed) as caught:
        DOUBLE(answer)
    for part in told:
        assert part in str(caught.value)
    assert caught.value._render_traceback_() == [f"CheckFailed: {caught.value}"]


def test_a_mistake_is_known_by_the_property_that_it_breaks():
    def answer(x):
        return (x * x).flatten() if x.shape == (2, 3) else x * x  # on the examples that of another property

    with pytest.raises(CheckFailed, match=r"property 1 of 3") as caught:
        DOUBLE(answer)
    assert "Hint" not in str(caught.value)


def test_a_mistake_that_does_not_come_alone_is_still_known():
    def answer(x):
        if x.numel() == 0:
            raise RuntimeError("nothing to square")
        return x * x

    def examples(generator):
        return [(torch.randn(size, generator=generator).requires_grad_(),) for size in (0, 2)]

    with pytest.raises(CheckFailed, match="Hint: that is the square"):
        replace(DOUBLE, examples=examples)(answer)


def test_an_error_gets_no_hint_that_belongs_to_a_value():
    """The answer fails in `doubles` by an error of its own; on the examples it gives the square, which is on record."""

    def answer(x):
        if x.shape == (2,):
            raise RuntimeError("two numbers are too few")
        return x * x if x.shape == (2, 2) else 2 * x

    failure = DOUBLE.examine(answer)
    assert failure.breaks == "doubles"
    assert "two numbers are too few" in failure.seen
    assert failure.hint is None


def test_what_an_answer_refuses_itself_is_told_as_that():
    def answer(x):
        if x.ndim == 2:
            raise ValueError("x must be a vector")
        return 2 * x

    seen = DOUBLE.examine(answer).seen
    assert seen.startswith('your own `raise ValueError("x must be a vector")` refuses what is in order here')


def test_what_a_cell_has_set_in_torch_changes_no_verdict():
    def answer(x):
        return x + x

    def creates(x):
        return torch.full_like(x, 2.0) * x + torch.zeros(())

    torch.set_grad_enabled(False)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.autocast("cpu", torch.bfloat16):
            assert DOUBLE.examine(answer) is None
            assert DOUBLE.examine(creates) is None
            assert not torch.is_grad_enabled()
        assert torch.get_default_dtype() == torch.float64
        with torch.inference_mode():
            assert DOUBLE.examine(answer) is None
    finally:
        torch.set_grad_enabled(True)
        torch.set_default_dtype(torch.float32)


def test_a_warning_or_a_progress_bar_is_no_mistake(capsys, recwarn):
    """nbgrader gives no points for a cell that writes to stderr."""

    def answer(x):
        print("half way", file=sys.stderr)
        return x + x

    assert DOUBLE(answer) is answer
    said = capsys.readouterr()
    assert said.err == ""
    assert "half way" in said.out


def test_what_is_no_function_is_refused():
    with pytest.raises(CheckFailed, match="hand over the function itself, not Tensor"):
        DOUBLE(torch.zeros(2))


def test_an_answer_may_not_change_its_inputs():
    def in_place(x):
        with torch.no_grad():
            return x.mul_(2)

    def out_of_a_list(x, y):
        return y.pop()

    x = torch.ones(2)
    with pytest.raises(CheckFailed, match=r"changes its inputs: work on a copy, x\.clone\(\)$"):
        guarded(in_place)(x)
    with pytest.raises(CheckFailed, match=r"changes its inputs: work on a copy, list\(x\)$"):
        guarded(out_of_a_list)(np.zeros(2), [1, 2])
    with pytest.raises(CheckFailed, match=r"changes its inputs: work on a copy, x\.copy\(\)$"):
        guarded(lambda x: np.negative(x, out=x))(np.ones(2))
    with pytest.raises(CheckFailed, match=r"changes its inputs: work on a copy, x\.clone\(\) of each$"):
        guarded(lambda x: x[0].add_(1))([torch.ones(2)])
    assert DOUBLE.examine(lambda x: x.detach().add_(x.detach())).seen.startswith("it changes its inputs")


class Tagged(torch.Tensor):
    """A tensor of a type of its own."""


Pair = namedtuple("Pair", "codebook counts")

GIVEN = {  # kinds of input, each with a change in place
    "parameter": (lambda: torch.nn.Parameter(torch.ones(2)), lambda x: x.data.add_(1)),
    "parameter that is frozen": (lambda: torch.nn.Parameter(torch.ones(2), False), lambda x: x.add_(1)),
    "parameter of whole numbers": (lambda: torch.nn.Parameter(torch.tensor([1, 2]), False), lambda x: x.add_(1)),
    "parameters": (lambda: list(torch.nn.Linear(2, 3).parameters()), lambda x: x[1].data.add_(1)),
    "named parameters": (lambda: dict(torch.nn.Linear(2, 3).named_parameters()), lambda x: x["bias"].data.add_(1)),
    "buffer": (lambda: torch.nn.Buffer(torch.ones(2)), lambda x: x.add_(1)),
    "subclass of a tensor": (lambda: torch.ones(2).as_subclass(Tagged), lambda x: x.add_(1)),
    "leaf": (lambda: torch.ones(2, requires_grad=True), lambda x: x.data.add_(1)),
    "no leaf": (lambda: torch.ones(2, requires_grad=True) * 2, lambda x: x.data.add_(1)),
    "complex": (lambda: torch.ones(2, dtype=torch.complex64), lambda x: x.add_(1)),
    "empty": (lambda: torch.zeros(0, 2), lambda x: x.resize_(1, 2)),
    "named tuple": (lambda: Pair(torch.ones(2), 3), lambda x: x.codebook.add_(1)),
    "state": (lambda: torch.nn.Linear(2, 3).state_dict(), lambda x: x["bias"].add_(1)),
    "dictionary with a default": (lambda: defaultdict(list, a=[1]), lambda x: x["a"].append(2)),
    "array": (lambda: np.ones(2), lambda x: np.add(x, 1, out=x)),
    "masked array": (lambda: np.ma.masked_array([1.0, 2.0], [False, True]), lambda x: np.add(x, 1, out=x)),
}


@pytest.mark.parametrize("kind", GIVEN)
def test_only_an_input_that_was_changed_is_called_so(kind):
    given, change = GIVEN[kind]
    assert guarded(lambda x: 1)(given()) == 1
    with pytest.raises(CheckFailed, match="it changes its inputs"):
        guarded(lambda x: change(x) is None)(given())


def test_a_stub_goes_on_with_the_library_when_studying(capsys):
    assert DOUBLE(stub) is DOUBLE.reference
    assert "not attempted yet. The notebook goes on with the library's version" in capsys.readouterr().out
    # Checked a second time, the library's version is not passed off as the student's.
    assert DOUBLE(DOUBLE.reference) is DOUBLE.reference
    assert "nothing checked" in capsys.readouterr().out


def test_a_stub_raises_when_grading(monkeypatch, capsys):
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(NotImplementedError, match="double: the stub is as it was handed out"):
        DOUBLE(stub)
    with pytest.raises(CheckFailed, match="this is the library's version; hand in your own"):
        DOUBLE(DOUBLE.reference)

    def answer(x):
        return x + x

    assert DOUBLE(answer) is answer


def test_an_error_that_torch_raises_for_what_it_lacks_is_no_stub():
    def answer(x):
        raise NotImplementedError("'cumsum' is not implemented for 'Half'")

    with pytest.raises(CheckFailed, match="raises NotImplementedError: 'cumsum'"):
        DOUBLE(answer)


def test_unsetting_the_variable_does_not_end_the_grading():
    code = (
        "import os; del os.environ['NBGRADER_EXECUTION']\n"
        "from musicgen_edu.checks.exercise import grading; print(grading())"
    )
    import os

    environment = {**os.environ, "NBGRADER_EXECUTION": "autograde"}
    said = subprocess.check_output([sys.executable, "-c", code], env=environment, text=True)
    assert said.strip() == str(sys.platform == "linux")


def test_a_check_that_was_tampered_with_gives_no_points(monkeypatch):
    def answer(x):
        return 7 * x

    monkeypatch.setattr(torch, "allclose", lambda *a, **b: True)
    assert DOUBLE.examine(answer) is None, "the trick works as long as nobody looks"
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(CheckFailed, match="something has changed the check itself"):
        DOUBLE(answer)


def test_checking_leaves_the_random_numbers_of_the_notebook_alone():
    def draws():
        return torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random()

    def noisy(x):
        torch.rand(3), np.random.rand(3), random.random()
        return x + x

    for library in (torch.manual_seed, np.random.seed, random.seed):
        library(5)
    expected = draws()
    for library in (torch.manual_seed, np.random.seed, random.seed):
        library(5)
    DOUBLE(noisy)
    assert draws() == expected


def test_answers_with_random_numbers_are_told_apart_by_the_same_ones():
    def noise(x):
        return x + torch.rand_like(x) + float(np.random.rand())

    assert DOUBLE.behaviour(noise)[0][0] is not None
    assert checks.exercise.same(DOUBLE.behaviour(noise), DOUBLE.behaviour(lambda x: noise(x)))
    assert not checks.exercise.same(DOUBLE.behaviour(noise), DOUBLE.behaviour(lambda x: noise(x) + 0.01))


@pytest.mark.parametrize(
    ("a", "b", "equal"),
    [
        (1, 1.00000001, True),
        (1, 1.01, False),
        (float("nan"), float("nan"), True),
        (torch.ones(2), torch.ones(2), True),
        (torch.ones(2), torch.ones(2).double(), False),
        (torch.ones(2), torch.ones(1, 2), False),
        (torch.ones(2), torch.ones(2, requires_grad=True), False),
        (torch.tensor([True, False]), torch.tensor([True, False]), True),
        (torch.tensor([1j]), torch.tensor([1j]), True),
        ([torch.ones(2), "a"], [torch.ones(2), "a"], True),
        ([torch.ones(2), "a"], (torch.ones(2), "a"), True),
        ([torch.ones(2), "a"], [torch.ones(2), "b"], False),
        ({"a": np.ones(2)}, {"a": np.ones(2)}, True),
        ({"a": np.ones(2)}, {"b": np.ones(2)}, False),
        (np.ones(2), np.zeros(2), False),
        (np.array(["a"]), np.array(["a"]), True),
        (ValueError, TypeError, False),
        (Wrong(stub, "a", "b"), Wrong(stub, "a", "b"), True),
        (Wrong(stub, "a", "b"), Wrong(stub, "a", "c"), False),
        (None, None, True),
    ],
)
def test_what_counts_as_the_same(a, b, equal):
    assert checks.exercise.same(a, b) is equal


def test_any_sequence_and_any_whole_number_will_do():
    for value in ([1, 2], (1, 2), range(1, 3), np.array([1, 2]), torch.tensor([1, 2]), [np.int64(1), torch.tensor(2)]):
        expect_equal(value, (1, 2), "delays")
    expect_equal(np.int64(3), 3, "a count")
    assert plain([np.array([1.5]), ("a", None)]) == ((1.5,), ("a", None))


def test_an_array_that_is_read_backwards_is_compared_as_any_other():
    expect_close(np.arange(3.0)[::-1], [2.0, 1.0, 0.0], "a row")
    with pytest.raises(CheckFailed, match="a row: expected"):
        expect_close(np.arange(3.0)[::-1], [0.0, 1.0, 2.0], "a row")


def test_modules_are_compared_by_their_state():
    first, second = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    assert not checks.exercise.same(first, second)
    second.load_state_dict(first.state_dict())
    assert checks.exercise.same(first, second)


def test_expectations_say_what_they_saw():
    for wrong, said in (
        (lambda: expect(torch.tensor(False), "a sentence"), "a sentence"),
        (lambda: expect_tensor([1], (1,)), "must be a tensor, not list"),
        (lambda: expect_tensor(torch.ones(2), (3,), name="codes"), r"codes must have shape \[3\], not \[2\]"),
        (lambda: expect_tensor(torch.ones(2), (2,), torch.int64), "dtype torch.int64, not torch.float32"),
        (lambda: expect_close(1.0, 2.0, "one"), r"one: expected 2, not 1 \(largest difference 1\)"),
        (lambda: expect_close(torch.ones(2), 1.0, "one"), r"one: shape \[\] is expected, not \[2\]"),
        (lambda: expect_close(float("nan"), 0.0, "a mean"), "expected 0, not nan"),
        (lambda: expect_close(1.000031, 1.0, "one"), r"expected 1, not 1\.00003 "),
        (
            lambda: expect_close(torch.arange(12.0).view(3, 4), torch.arange(12.0).view(3, 4).clamp(max=10), "a table"),
            r"a table: expected 10, not 11 \(largest difference 1, at \[2, 3\]\)",
        ),
        (lambda: expect_equal([1, 2], (1, 3), "delays"), r"delays: expected \[1, 3\], not \[1, 2\]"),
        (lambda: expect_equal((1, 2), (1, 2, 3), "delays"), "delays: 3 of them are expected, not 2: expected"),
        (lambda: expect_equal(list(range(40)), [*range(39), 7], "a row"), "a row, at 39: expected 7, not 39"),
        (lambda: expect_equal([[1, 2]], [(1, 3)], "codes"), r"codes: expected \[\[1, 3\]\], not \[\[1, 2\]\]"),
        (lambda: expect_equal(True, 1, "a count"), "a count: expected 1, not True"),
    ):
        with pytest.raises(CheckFailed, match=said):
            wrong()


def test_a_picture_of_target_against_yours_is_shown_on_failure(monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", shown.append)

    def picture(target, yours, arguments):
        (x,) = arguments
        return target.tolist(), yours.tolist(), x.tolist()

    def drawn(answer):
        shown.clear()
        with pytest.raises(CheckFailed):
            Exercise(**{**vars(DOUBLE), "picture": picture})(answer)
        return list(shown)

    x = DOUBLE.examples(torch.Generator().manual_seed(0))[0][0]
    assert drawn(lambda x: 5 * x) == [((2 * x).tolist(), (5 * x).tolist(), x.tolist())]
    assert drawn(lambda x: None) == [], "what cannot be drawn is left out"


@pytest.mark.parametrize("name", [name for name, exercise in CATALOGUE.items() if exercise.picture])
def test_pictures_can_be_drawn_for_every_wrong_answer_of_a_fitting_shape(name, monkeypatch):
    import IPython.display

    exercise, shown = CATALOGUE[name], []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    for i, wrong in enumerate(exercise.wrong):
        exercise._show(wrong.answer)
        if shown and i >= 2:  # the rest is plotted, but not turned into PNG: that takes most of the time
            monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda self, buffer, **options: buffer.write(b"."))
    assert len(shown) >= len(exercise.wrong) // 2
    assert all("src=" in picture._repr_html_() for picture in shown)


def test_a_sealed_module_can_be_reloaded_but_not_overwritten():
    import musicgen_edu.checks.exercise as module

    with pytest.raises(AttributeError, match="cannot change its `expect`"):
        module.expect = lambda *a: None
    with pytest.raises(AttributeError, match="cannot change its `expect`"):
        del module.expect
    with pytest.raises(AttributeError, match="cannot change its `vector_quantization`"):
        checks.vector_quantization = SimpleNamespace()
    assert importlib.import_module("musicgen_edu.checks.vector_quantization") is checks.vector_quantization
