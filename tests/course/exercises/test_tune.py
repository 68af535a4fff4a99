"""Exercises of notebook 07: right answers of any form pass, every typical mistake is named."""

import math

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.course.exercises import tune
from imgclf_lib.course.exercises.exercise import Exercise, Mistake

CHOICES = {"learning_rate": [1, 2, 3, 4, 5], "batch_size": [16, 64, 256], "dropout": [0, 0.5]}
RANGES = {"learning_rate": (0.0001, 0.1), "batch_size": (16, 256)}


def table_with(rate):
    return pd.DataFrame(
        {
            "learning_rate": [0.005, rate, 0.02],
            "val_accuracy": [0.5, 0.9, 0.7],
            "train_accuracy": [0.6, 0.8, 0.99],
            "status": "completed",
        }
    )


TABLE = table_with(0.002)
FACTS = {
    "grid_size": [(CHOICES,), ({"a": [1]},), ({"a": [1, 2], "b": [1, 2]},)],
    "log_uniform": [()],
    "winner": [(TABLE,), (table_with(0.1),)],
    "better_half": [()],
    "next_range": [(table_with(rate), RANGES) for rate in (0.002, 0.0001, 0.00015, 0.1, 1.0)],
}


def test_every_exercise_is_tried():
    found = {each.name for each in vars(tune).values() if isinstance(each, Exercise)}
    assert found == set(FACTS)


@pytest.mark.parametrize("name", FACTS)
def test_the_solution_is_right_on_any_data(name, capsys):
    exercise = getattr(tune, name)
    for facts in FACTS[name]:
        assert exercise.judge(exercise.solve(*facts), *facts)
        exercise.check(..., *facts)
    assert "Not answered yet" in capsys.readouterr().out


def said(exercise, answer, *facts):
    with pytest.raises(Mistake) as caught:
        exercise.judge(answer, *facts)
    return str(caught.value)


@pytest.mark.parametrize("answer", [30, "30", np.int64(30), [30], 30.0])
def test_grid_size_takes_any_form(answer):
    assert "5 × 3 × 2" in tune.grid_size.judge(answer, CHOICES)


@pytest.mark.parametrize(
    ("answer", "message"),
    [(10, "added"), (3, "number of knobs"), (6, "learning_rate"), (15, "dropout"), (31, "Begin")],
)
def test_grid_size_names_the_mistake(answer, message):
    assert message in said(tune.grid_size, answer, CHOICES)


def test_log_uniform_takes_other_ways():
    ways = [
        lambda low, high, count, rng: 10 ** rng.uniform(np.log10(low), np.log10(high), count),
        lambda low, high, count, rng: low * (high / low) ** rng.random(count),
        lambda low, high, count, rng: [
            math.exp(rng.uniform(math.log(low), math.log(high))) for _ in range(count)
        ],
    ]
    for way in ways:
        assert tune.log_uniform.judge(way)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda low, high, count, rng: rng.uniform(low, high, count), "even as they are"),
        (
            lambda low, high, count, rng: rng.uniform(np.log(low), np.log(high), count),
            "These are logarithms",
        ),
        (
            lambda low, high, count, rng: rng.uniform(np.log10(low), np.log10(high), count),
            "These are logarithms",
        ),
        (
            lambda low, high, count, rng: 10 ** rng.uniform(np.log(low), np.log(high), count),
            "outside of the range",
        ),
        (lambda low, high, count, rng: np.geomspace(low, high, count), "equal distances"),
        (
            lambda low, high, count, rng: rng.permutation(np.geomspace(low, high, count)),
            "equal distances",
        ),
        (lambda low, high, count, rng: np.exp(rng.uniform(np.log(low), np.log(high))), "shape ()"),
        (
            lambda low, high, count, rng: np.full(
                count, np.exp(rng.uniform(np.log(low), np.log(high)))
            ),
            "equal",
        ),
        (
            lambda low, high, count, rng: np.exp(
                np.random.default_rng().uniform(np.log(low), np.log(high), count)
            ),
            "Draw from rng",
        ),
        (
            lambda low, high, count, rng: np.exp(
                np.random.default_rng(0).uniform(np.log(low), np.log(high), count)
            ),
            "do not depend on rng",
        ),
        (
            lambda low, high, count, rng: low + (high - low) * rng.random(count) ** 3,
            "not even in their logarithm",
        ),
        (5, "A function is wanted"),
    ],
)
def test_log_uniform_names_the_mistake(answer, message):
    assert message in said(tune.log_uniform, answer)


def test_a_function_without_a_result_is_told_so():
    with pytest.raises(Mistake, match="returned nothing"):
        tune.log_uniform.judge(lambda low, high, count, rng: None)


def completed(table):
    return table[table["status"] == "completed"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda table: completed(table)["train_accuracy"].idxmax(), "training images best"),
        (lambda table: table["val_accuracy"].idxmax(), "failed"),
        (lambda table: completed(table)["val_accuracy"].idxmin(), "worst"),
        (lambda table: completed(table)["val_accuracy"].max(), "its accuracy"),
        (lambda table: completed(table)["val_accuracy"].argmax(), "place"),
        (lambda table: completed(table), "number of one trial"),
        (lambda table: 1, "trial 7 is the winner"),
        (lambda table: table["missing"], "missing"),
    ],
)
def test_winner_names_the_mistake(answer, message, capsys):
    tune.winner.check(answer, TABLE)
    assert message in capsys.readouterr().out


def test_winner_takes_other_ways():
    def by_sorting(table):
        return str(completed(table).sort_values("val_accuracy").index[-1])

    assert "trial 1" in tune.winner.judge(by_sorting, TABLE)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda each: np.argsort(each)[: (len(each) + 1) // 2], "worse half"),
        (lambda each: np.sort(each)[::-1][: (len(each) + 1) // 2], "You return accuracies"),
        (lambda each: np.argsort(-each)[: len(each) // 2], "Round up"),
        (lambda each: np.argsort(each)[::-1][: (len(each) + 1) // 2], "not a number"),
        (lambda each: np.argsort(-each)[:1], "2 should go on"),
        (lambda each: [0, 1], "should go on"),
    ],
)
def test_better_half_names_the_mistake(answer, message):
    assert message in said(tune.better_half, answer)


def test_better_half_takes_other_forms():
    def as_list(accuracies):
        known = [each if each == each else -1 for each in accuracies]
        order = sorted(range(len(known)), key=lambda place: known[place])
        return order[len(known) // 2 :]

    def as_mask(accuracies):
        order = np.argsort(-accuracies)[: (len(accuracies) + 1) // 2]
        return np.isin(np.arange(len(accuracies)), order)

    assert tune.better_half.judge(as_list)
    assert tune.better_half.judge(as_mask)


@pytest.mark.parametrize("answer", [(0.001, 0.01), [0.0005, 0.005], np.array([0.001, 0.02])])
def test_next_range_takes_any_form(answer):
    assert "Other answers" in tune.next_range.judge(answer, TABLE, RANGES)


@pytest.mark.parametrize(
    ("answer", "rate", "message"),
    [
        (0.01, 0.002, "two numbers"),
        ((0.01, 0.001), 0.002, "0 < low < high"),
        ((0, 0.01), 0.002, "0 < low < high"),
        ((0.01, 0.1), 0.002, "leaves out"),
        ((0.0001, 0.1), 0.002, "as wide as the first"),
        ((0.0019, 0.0021), 0.002, "very narrow"),
        ((0.01, 0.1), 0.09, "high end"),
        ((0.0001, 0.001), 0.00012, "low end"),
        ((1, 20), 2.0, "above 10"),
        (["a", "b"], 0.002, "Numbers are wanted"),
    ],
)
def test_next_range_names_the_mistake(answer, rate, message):
    assert message in said(tune.next_range, answer, table_with(rate), RANGES)
