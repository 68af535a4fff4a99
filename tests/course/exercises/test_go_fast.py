"""Exercises of notebook 10: right answers of any form pass, every typical mistake is named."""

import math

import numpy as np
import pytest

from imgclf_lib.course.exercises import go_fast
from imgclf_lib.course.exercises.exercise import Exercise, Mistake

NAMES = ("work", "rate", "mirror", "even")


def test_every_exercise_is_tried():
    found = {each.name for each in vars(go_fast).values() if isinstance(each, Exercise)}
    assert found == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_solution_is_right(name, capsys):
    exercise = getattr(go_fast, name)
    assert exercise.judge(exercise.solve())
    exercise.check(...)
    assert "Not answered yet" in capsys.readouterr().out


def said(exercise, answer):
    with pytest.raises(Mistake) as caught:
        exercise.judge(answer)
    return str(caught.value)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda h, w, c, f, k: c * f * k * k, "number of weights"),
        (lambda h, w, c, f, k: h * w * c * f * k, "kernel twice"),
        (lambda h, w, c, f, k: h * w * f * k * k, "all input channels"),
        (lambda h, w, c, f, k: h * w * c * k * k, "for every filter"),
        (lambda h, w, c, f, k: 2 * h * w * c * f * k * k, "do not count the addition"),
        (lambda h, w, c, f, k: h + w, "4,620 are right, yours says 12"),
        (5, "A function is wanted"),
    ],
)
def test_work_names_the_mistake(answer, message):
    assert message in said(go_fast.work, answer)


def cosine(step, steps, peak):
    return peak * (1 + math.cos(math.pi * (step / steps - 0.3) / 0.7)) / 2


def up(step, steps, peak):
    return peak / 25 + (peak - peak / 25) * step / (0.3 * steps)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda s, n, p: p * s / (0.3 * n) if s < 0.3 * n else cosine(s, n, p), "begin at 0"),
        (
            lambda s, n, p: up(s, n, p) if s < 0.3 * n else p * (1 - (s / n - 0.3) / 0.7),
            "straight line",
        ),
        (
            lambda s, n, p: (
                up(s, n, p) if s < 0.3 * n else p * math.cos(math.pi * (s / n - 0.3) / 1.4)
            ),
            "quarter of a cosine",
        ),
        (lambda s, n, p: up(s, n, p) if s < 0.3 * n else p, "The way up is right"),
        (lambda s, n, p: p if s < 0.3 * n else cosine(s, n, p), "The way down is right"),
        (lambda s, n, p: up(s, 100, p) if s < 30 else cosine(s, 100, p), "not for 200"),
        (lambda s, n, p: p, "step 0 has 0.02"),
    ],
)
def test_rate_names_the_mistake(answer, message):
    assert message in said(go_fast.rate, answer)


def test_mirror_takes_other_ways():
    for way in (
        lambda first, epoch: first if epoch % 2 == 0 else 1 - first,
        lambda first, epoch: [bool(each) ^ bool(epoch % 2) for each in first],
    ):
        assert go_fast.mirror.judge(way)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda first, epoch: first, "same in every epoch"),
        (lambda first, epoch: (first + epoch) % 2 == 0, "wrong way round"),
        (lambda first, epoch: first if epoch == 0 else 1 - first, "epoch 2 is first again"),
        (lambda first, epoch: first + epoch, "Only two answers"),
        (lambda first, epoch: first.sum() > epoch, "One answer for each image"),
    ],
)
def test_mirror_names_the_mistake(answer, message):
    assert message in said(go_fast.mirror, answer)


def without_lengths(step, turned=False):
    left, _, right = np.linalg.svd(step, full_matrices=False)
    return left @ (right.T if turned else right)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda step: step, "the step itself"),
        (lambda step: step / np.linalg.norm(step, 2), "largest length"),
        (lambda step: step / np.linalg.norm(step), "whole matrix"),
        (lambda step: without_lengths(step, True), "do not transpose"),
        (lambda step: np.linalg.svd(step)[1], "These are the lengths"),
        (np.sign, "sign of each number"),
        (lambda step: np.linalg.svd(step)[0], "keep its shape"),
        (lambda step: 2 * without_lengths(step), "from 2 to 2"),
    ],
)
def test_even_names_the_mistake(answer, message):
    assert message in said(go_fast.even, answer)


def test_even_takes_other_ways():
    def by_eigenvalues(step):
        values, vectors = np.linalg.eigh(step.T @ step)
        return step @ vectors @ np.diag(values**-0.5) @ vectors.T

    assert go_fast.even.judge(by_eigenvalues)
