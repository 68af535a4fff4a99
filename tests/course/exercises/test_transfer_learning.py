"""Exercises of notebook 09: right answers of any form pass, every typical mistake is named."""

import numpy as np
import pytest

from imgclf_lib.course.exercises import transfer_learning
from imgclf_lib.course.exercises.exercise import Exercise, Mistake
from imgclf_lib.experiment import Experiment

RUN = Experiment(epochs=10)
FACTS = {
    "average": [()],
    "head_weights": [(1280, 10, 3_425_834), (1280, 2, 3_415_586), (512, 200, 20_000_000)],
    "head": [()],
    "passes": [(RUN, 800, 400), (Experiment(epochs=1), 20, 5), (Experiment(epochs=2), 30, 3)],
}


def test_every_exercise_is_tried():
    found = {each.name for each in vars(transfer_learning).values() if isinstance(each, Exercise)}
    assert found == set(FACTS)


@pytest.mark.parametrize("name", FACTS)
def test_the_solution_is_right_on_any_data(name, capsys):
    exercise = getattr(transfer_learning, name)
    for facts in FACTS[name]:
        assert exercise.judge(exercise.solve(*facts), *facts)
        exercise.check(..., *facts)
    assert "Not answered yet" in capsys.readouterr().out


def said(exercise, answer, *facts):
    with pytest.raises(Mistake) as caught:
        exercise.judge(answer, *facts)
    return str(caught.value)


def test_average_takes_other_ways():
    for way in (
        lambda maps: maps.reshape(len(maps), -1, maps.shape[-1]).mean(1),
        lambda maps: maps.mean(1).mean(1).tolist(),
        lambda maps: np.einsum("nhwc->nc", maps) / (maps.shape[1] * maps.shape[2]),
    ):
        assert transfer_learning.average.judge(way)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda maps: maps.mean(3), "over the channels"),
        (lambda maps: maps.sum((1, 2)), "do not divide"),
        (lambda maps: maps.max((1, 2)), "max pooling"),
        (lambda maps: maps.mean((0, 1, 2)), "over the images"),
        (lambda maps: maps.mean((1, 2, 3)), "into one number"),
        (lambda maps: maps.mean(1), "one axis only"),
        (lambda maps: maps.mean(2), "the height must go"),
        (lambda maps: maps.mean((1, 2), keepdims=True), "keepdims"),
        (lambda maps: maps.mean((1, 2)).T, "exchanged"),
        (lambda maps: maps.reshape(3, -1), "in a row"),
        (lambda maps: maps[:, 0, 0], "Average over the axes"),
        (5, "A function is wanted"),
    ],
)
def test_average_names_the_mistake(answer, message):
    assert message in said(transfer_learning.average, answer)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (12_800, "each class also has a bias"),
        (12_800 + 1280, "belong to the classes"),
        (12_801, "not one bias"),
        (3_425_834, "whole network"),
        (3_425_834 - 12_810, "does not learn"),
        (1290, "multiply"),
        (1280, "How many classes"),
        (7, "turns 1,280 features"),
    ],
)
def test_head_weights_names_the_mistake(answer, message):
    assert message in said(transfer_learning.head_weights, answer, 1280, 10, 3_425_834)


def softmax(scores):
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def test_head_takes_other_ways():
    def by_softmax(features, weights, biases):
        return softmax(features @ weights + biases).argmax(1).tolist()

    assert transfer_learning.head.judge(by_softmax)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda f, w, b: f @ w + b, "row of scores"),
        (lambda f, w, b: softmax(f @ w + b), "row of scores"),
        (lambda f, w, b: (f @ w).argmax(1), "biases are missing"),
        (lambda f, w, b: (f @ w - b).argmax(1), "add them"),
        (lambda f, w, b: (f @ w + b).argmin(1), "least probable"),
        (lambda f, w, b: (f @ w + b).argmax(0), "axis is wrong"),
        (lambda f, w, b: (f @ w + b).max(1), "not its place"),
        (lambda f, w, b: (f @ w + b).argmax(), "without an axis"),
        (lambda f, w, b: np.zeros(40), "40 whole numbers"),
    ],
)
def test_head_names_the_mistake(answer, message):
    assert message in said(transfer_learning.head, answer)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (12_000, "must be paid"),
        (1200, "How many are saved"),
        (7200, "validation images pass"),
        (8000, "count too"),
        (9, "for one image"),
        (3, "Count for one image first"),
    ],
)
def test_passes_names_the_mistake(answer, message):
    assert message in said(transfer_learning.passes, answer, RUN, 800, 400)
