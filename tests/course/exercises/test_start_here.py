"""Notebook 00: right answers of every form pass, and each typical mistake has its own message."""

import numpy as np
import pytest

from imgclf_lib.course.exercises import start_here as exercises
from imgclf_lib.course.exercises.exercise import Mistake
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment

MINE = Experiment(epochs=8, batch_size=32, learning_rate=0.002)
TITLES = [f"coat 90%\n{'✓ right' if n < 7 else '✗ wrong: bag'}" for n in range(10)]


def mistake(exercise, answer, *facts) -> str:
    with pytest.raises(Mistake) as caught:
        exercise.judge(answer, *facts)
    return str(caught.value)


@pytest.mark.parametrize("epochs", [1, 2, 5, 12])
def test_looks(epochs):
    assert exercises.looks.judge(exercises.looks.solve(epochs), epochs)
    for answer in (1000 * epochs, f"{1000 * epochs:,}", np.array([1000.0 * epochs])):
        assert "looks" in exercises.looks.judge(answer, epochs)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("1000 * epochs", "Take the quotes away"),
        (1005, "multiply"),
        (1000, "one epoch"),
        (5, "how often it looks at one picture"),
        (1000**5, "** is the power"),
        (200, "divided"),
        (7, "is not it"),
        ("many", "A number is wanted"),
        ([5000, 1], "One number is wanted"),
    ],
)
def test_looks_mistakes(answer, why):
    assert why in mistake(exercises.looks, answer, 5)


@pytest.mark.parametrize(
    "answer",
    [
        Experiment(epochs=16, batch_size=32, learning_rate=0.001),
        MINE.replace(epochs=16, learning_rate=1e-5),
        {"epochs": 16, "batch_size": 32, "learning_rate": 0.0019},
        exercises.own_experiment.solve(MINE),
    ],
)
def test_own_experiment(answer):
    assert "differ from the usual" in exercises.own_experiment.judge(answer, MINE)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("Experiment(epochs=16)", "without quotes"),
        (Experiment, "Write brackets"),
        (16, "An Experiment is wanted"),
        (MINE, "the same experiment"),
        (MINE.replace(epochs=4), "8 * 2 epochs"),
        (MINE.replace(learning_rate=0.004), "doubled the learning_rate"),
        (MINE.replace(epochs=16), "need a smaller number"),
        (MINE.replace(epochs=16, learning_rate=0.1), "need a smaller number"),
        (Experiment(epochs=16, learning_rate=0.001), "batch_size is 128, and in mine it is 32"),
        (MINE.replace(epochs=16, learning_rate=0.001, seed=3), "seed is 3"),
    ],
)
def test_own_experiment_mistakes(answer, why):
    assert why in mistake(exercises.own_experiment, answer, MINE)


@pytest.mark.parametrize(
    ("answer", "why"),
    [({"epochs": "8"}, "a whole number from"), ({"epoch": 8}, "epoch")],
)
def test_texts_for_numbers_and_wrong_names_are_refused(answer, why):
    with pytest.raises(InputError, match=why):
        exercises.own_experiment.judge(answer, MINE)


@pytest.mark.parametrize(
    "answer", [7, "7", [7], np.int64(7), exercises.right_answers.solve(TITLES)]
)
def test_right_answers(answer):
    assert "7 of 10 answers are right: that is 70%" in exercises.right_answers.judge(answer, TITLES)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (0.7, "a share"),
        ("70 %", "a share"),
        (70, "in percent"),
        (3, "are wrong"),
        (10, "all the pictures"),
        (8, "Count again"),
        ("seven", "A number is wanted"),
    ],
)
def test_right_answers_mistakes(answer, why):
    assert why in mistake(exercises.right_answers, answer, TITLES)


@pytest.mark.parametrize("right", [0, 5, 10])
def test_right_answers_of_other_models(right):
    titles = ["✓ right"] * right + ["✗ wrong"] * (10 - right)
    assert exercises.right_answers.judge(right, titles)
