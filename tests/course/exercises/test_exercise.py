"""An exercise answers every kind of answer, and says what is wrong about it."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from imgclf_lib.backend import load_keras
from imgclf_lib.course.exercises.exercise import (
    Exercise,
    Mistake,
    Unanswered,
    array,
    call,
    judge_function,
    judge_number,
    number,
    question,
    unanswered,
    words,
)
from imgclf_lib.errors import InputError


def judge(answer, values):
    if number(answer) == len(values):
        raise Mistake("You counted the <values>. Add them up.")
    if number(answer) != sum(values):
        raise InputError("Not the sum", received=answer)
    return "The sum it is."


def total(values):
    return sum(values)


@pytest.fixture
def exercise() -> Exercise:
    return Exercise("total", "Sum", ["sums"], judge, total, "Adding up.", ["First.", "Second."])


@pytest.fixture
def shown(monkeypatch):
    """What an exercise displays: a list of (plain text, HTML)."""
    seen = []
    monkeypatch.setattr(
        "IPython.display.display",
        lambda data, raw: seen.append((data["text/plain"], data["text/html"])),
    )
    return seen


VALUES = [1, 2, 4]


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (7, "✓ Right. The sum it is."),
        ("7", "✓ Right. The sum it is."),
        (np.array([7.0]), "✓ Right. The sum it is."),
        (3, "✗ Not yet. You counted the <values>. Add them up."),
        (8, "✗ Not yet. Not the sum. Received: 8."),
        (..., "Not answered yet. "),
        (None, "Not answered yet. "),
        ("  ", "Not answered yet. "),
        ("seven", "✗ Not yet. A number is wanted here, not the text 'seven'."),
        (print, "✗ Not yet. A number is wanted here, not a builtin_function_or_method."),
        ([1, 2], "✗ Not yet. One number is wanted here, not 2 of them."),
    ],
)
def test_every_answer_gets_its_verdict(exercise, shown, answer, verdict) -> None:
    exercise.check(answer, VALUES)
    assert len(shown) == 1
    assert shown[0][0].startswith(verdict)


def test_what_is_shown_is_escaped(exercise, shown) -> None:
    exercise.check(3, VALUES)
    assert "&lt;values&gt;" in shown[0][1]
    assert "<values>" not in shown[0][1]


def test_an_error_in_the_learners_code_is_shown(shown) -> None:
    crash = Exercise("crash", "", [], lambda answer: call(answer), lambda: None, "", [])
    crash.check(lambda: 1 / 0)
    assert shown[0][0] == "✗ Not yet. Your answer raised ZeroDivisionError: division by zero"


def test_a_function_that_returns_nothing_is_told_so() -> None:
    for nothing in (lambda: None, lambda: print("7")):
        with pytest.raises(Mistake, match="returned nothing"):
            call(nothing)
    with pytest.raises(Unanswered):
        call(lambda: ...)
    with pytest.raises(Mistake, match="A function is wanted here, not an int"):
        call(3)


def test_hints_come_one_after_the_other_and_begin_again(exercise, shown) -> None:
    for _ in range(3):
        exercise.hint()
    assert [plain for plain, _ in shown] == [
        "Hint 1 of 2. First.",
        "Hint 2 of 2. Second.",
        "Hint 1 of 2. First.",
    ]


def test_the_solution_is_shown_unless_it_is_hidden(exercise, shown, monkeypatch) -> None:
    exercise.solution()
    assert "Adding up." in shown[0][0]
    assert shown[0][0].endswith("\n\nanswer = sum(values)"), "the line that belongs in the cell"
    monkeypatch.setenv("IMGCLF_SOLUTIONS", "hidden")
    exercise.solution()
    assert "sum(values)" not in shown[1][0]


def several_ends(values):
    """Add up."""
    if not values:
        return 0
    return sum(values)


def steps_on_the_way(values):
    # The values first.
    first, *others = values
    return (
        first + sum(others)  # and the others
    )


def write_function():
    import math

    def added(values):
        return math.fsum(values)

    return added


@pytest.mark.parametrize("solve", [total, several_ends, steps_on_the_way, write_function])
def test_a_solution_can_be_pasted_into_its_cell(solve) -> None:
    solved = Exercise(
        "added", "", [], judge, solve, "", [], place="found", given="values = list(v)"
    )
    scope = {"v": (1, 2, 4)}
    exec(solved.source, scope)  # our own text above
    assert (scope["added"](scope["v"]) if solve is write_function else scope["found"]) == 7


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("1,024", 1024), ("50 %", 0.5), ("50%", 0.5), ("1e-3", 0.001), (" 7 ", 7), ("3/4", 0.75)],
        *[("0,85", 0.85), ("0,100", 0.1), ("1,99", 1.99), ("-1,5", -1.5), ("12,5 %", 0.125)],
        *[("1.024,5", 1024.5), ("12,345,678", 12345678), ("1,024.5", 1024.5), ("1_000", 1000)],
        *[(Fraction(3, 4), 0.75), (Decimal("0.1"), 0.1), ("1,5e-3", 0.0015), ("1 000", 1000)],
    ],
)
def test_numbers_may_be_written_in_words(text, value) -> None:
    assert number(text) == pytest.approx(value)


def test_how_a_comma_was_read_is_said(exercise, shown) -> None:
    exercise.check("7,0", VALUES)
    assert shown[0][0] == "✓ Right. The sum it is. (7,0 was read as 7; Python writes a point.)"
    exercise.check("0,5", VALUES)
    assert shown[1][0].endswith("(0,5 was read as 0.5; Python writes a point.)")
    with pytest.raises(Mistake, match="To Python a comma begins a second number"):
        number((0, 85))
    with pytest.raises(Mistake, match="A number is wanted here, not the text '1,2,3'"):
        number("1,2,3")
    assert array([Fraction(1, 2), 1]).tolist() == [0.5, 1]


def test_words_are_words_however_they_are_written() -> None:
    for text in ("Cannot tell.", " cannot  tell ", "'cannot-tell'"):
        assert words(text) == "cannot tell"
    assert words("Can’t tell!") == "can't tell"


def test_numbers_and_arrays_of_the_backend_are_taken() -> None:
    keras = load_keras()
    assert number(keras.ops.convert_to_tensor(3.0)) == 3
    variable = keras.Variable([[1.0, 2.0]])  # a PyTorch variable remembers its gradient
    np.testing.assert_array_equal(array(variable.value), [[1, 2]])
    with pytest.raises(Mistake, match="not a list"):
        array(["a"])
    with pytest.raises(Mistake, match="not a dict"):
        array({})


def test_an_array_is_never_taken_for_no_answer() -> None:
    assert not unanswered(np.zeros(3))
    assert not unanswered(0)
    assert not unanswered(False)


def test_a_question_takes_the_name_of_its_judge(shown) -> None:
    @question("Sum", tests=["sums"], hints=["First."], solve=total, explanation="Adding up.")
    def added(answer, values):
        return judge_number(answer, total(values), "The sum it is.", {}, "Add.")

    assert (added.name, added.solve([1, 2])) == ("added", 3)
    added.check(3, [1, 2])
    added.check(4, [1, 2])
    assert [plain for plain, _ in shown] == [
        "✓ Right. The sum it is.",
        "✗ Not yet. 4 is not it. Add.",
    ]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (75, 'In percent, yes. Write it as a share, 0.75, or as "75 %".'),
        (0.6, "The recall."),
        (0.25, "Missed."),
        (0.2, "Missed."),
        (60, "As a share between 0 and 1, please; and it is another share. The recall."),
        (0.5, "0.5 is not it. Look again."),
        (float("nan"), "nan is not it. Look again."),
    ],
)
def test_a_number_and_its_mistakes(answer, said) -> None:
    mistakes = {"The recall.": 0.6, "Missed.": [0.25, 0.2]}
    for right in (0.75, "75 %", 0.7501):
        told = judge_number(right, 0.75, "Yes.", mistakes, "Look again.", share=True, close=0.001)
        assert told == "Yes."
    with pytest.raises(Mistake) as caught:
        judge_number(answer, 0.75, "Yes.", mistakes, "Look again.", share=True, close=0.001)
    assert str(caught.value) == said


def turn(values):
    values[:] = values[::-1]
    return values


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: x.astype(float) * 2, "Yes."),
        (lambda x: (x * 2).tolist(), "Yes."),
        (lambda x: x, "Nothing happened."),
        (lambda x: x**2 if len(x) > 2 else x * 2, "Squared."),
        (lambda x: 3 * x, "Not [6 3], but [4 2]."),
        (lambda x: np.array([4, 9]), "The first is right."),
        (lambda x: x * np.nan, "Not [nan nan], but [4 2]."),
        (lambda x: x.sum(), "A result of shape (2,) is wanted; yours has ()."),
        (turn, "Your function changes what it is given. Work on a copy."),
        (lambda x: ["a"], "Numbers are wanted here, not a list."),
        (3, "A function is wanted here, not an int."),
    ],
)
def test_a_function_and_its_mistakes(answer, said) -> None:
    try:
        told = judge_function(
            answer,
            lambda x: x * 2,
            [(np.array([2, 1]),), (np.array([3, 4, 5]),)],
            "Yes.",
            {
                "Nothing happened.": lambda x: x,
                "Squared.": [lambda x: x**2, lambda x: x**2.0],
                "The first is right.": lambda x: np.append(2.0 * x[:1], x[1:] * np.nan),
            },
            lambda found, right, x: f"Not {found}, but {right}.",
        )
    except Mistake as mistake:
        told = str(mistake)
    assert told == said


def test_a_result_that_is_no_number_is_told_so() -> None:
    def judge(answer):
        return judge_function(answer, lambda x: x, [(2.0,)], "Yes.", {}, "The same, please.")

    assert judge(lambda x: [x]) == judge(lambda x: "2.0") == "Yes."
    for wrong, said in ((np.nan, "nan, not a number. The same"), ([1, 2], "One number is wanted")):
        with pytest.raises(Mistake, match=said):
            judge(lambda x, wrong=wrong: wrong)
