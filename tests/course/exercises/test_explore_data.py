"""Notebook 01: right answers of every form pass, and each typical mistake has its own message."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.course.exercises import explore_data as exercises
from imgclf_lib.course.exercises.exercise import Mistake, Unanswered
from imgclf_lib.data import class_statistics, load_data
from imgclf_lib.experiment import Experiment


@pytest.fixture(scope="module", params=["grey", "color", "uneven"])
def source(request, images, split_images, make_images, tmp_path_factory):
    if request.param == "uneven":
        folder = tmp_path_factory.mktemp("uneven") / "shapes"
        images = make_images(folder, {"blob": 40, "columns": 12, "rows": 8})
    return load_data(Experiment(data=str(split_images if request.param == "color" else images)))


@pytest.fixture(scope="module")
def uneven(make_images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uneven") / "shapes"
    return load_data(
        Experiment(data=str(make_images(folder, {"blob": 40, "columns": 12, "rows": 8})))
    )


def means_of(source):
    return class_statistics(source.train, len(source.class_names))[0]


def mistake(exercise, answer, *facts) -> str:
    with pytest.raises(Mistake) as caught:
        exercise.judge(answer, *facts)
    return str(caught.value)


def test_the_share_in_every_form(source):
    right = exercises.largest_share.solve(source)
    labels = source.train.labels
    assert right == np.bincount(labels).max() / len(labels)
    for answer in (right, np.float32(right), [right], f"{right:.3f}", f"{100 * right:.2f} %"):
        assert f"{right:.3f}" in exercises.largest_share.judge(answer, source)


def test_the_share_counts_all_training_images(uneven):
    limited = dataclasses.replace(uneven, limit=10)
    right = exercises.largest_share.solve(uneven)
    total = (uneven.table["split"].eq("train") & uneven.table["problem"].eq("")).sum()
    assert f"of {total:,} training images" in exercises.largest_share.judge(right, limited)


def test_share_mistakes(uneven):
    used = uneven.table[uneven.table["problem"] == ""]
    sizes = used.loc[used["split"] == "train", "label"].value_counts()
    right = sizes.max() / sizes.sum()
    for answer, why in {
        100 * right: "In percent, yes",
        sizes.max(): "number of its images",
        sizes.max() / len(used): "all splits",
        sizes.max() / sizes.min(): "largest class with the smallest",
        sizes.min() / sizes.sum(): "smallest class",
        1 - right: "all the other classes",
        0.01: "divided by all training images",
        "much": "A number is wanted",
    }.items():
        assert why in mistake(exercises.largest_share, answer, uneven)


def test_distances_of_other_forms():
    exercises.distances.judge(exercises.distances.solve())

    def with_a_loop(images, image):
        return [float(np.linalg.norm(each.astype(int) - image.astype(int))) for each in images]

    def single_precision(images, image):
        pixels = images.reshape(len(images), -1).astype("float32")
        return np.linalg.norm(pixels - image.reshape(-1).astype("float32"), axis=1)

    def as_series(images, image):
        return pd.Series(with_a_loop(images, image))

    for answer in (with_a_loop, single_precision, as_series):
        assert "One number for each image" in exercises.distances.judge(answer)


PIXELS = (1, 2, 3)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda a, b: np.sqrt(((a - b) ** 2).sum(PIXELS)), "Mind uint8"),
        (lambda a, b: np.linalg.norm((a - b).reshape(len(a), -1), axis=1), "Mind uint8"),
        (lambda a, b: ((a - b) ** 2).sum(PIXELS), "Mind uint8"),
        (lambda a, b: ((a - b.astype(float)) ** 2).sum(PIXELS), "Take the root"),
        (lambda a, b: np.sqrt(((a - b.astype(float)) ** 2).mean(PIXELS)), "took the mean"),
        (lambda a, b: np.abs(a - b.astype(float)).sum(PIXELS), "without squaring"),
        (lambda a, b: (a - b.astype(float)).sum(PIXELS), "both signs cancel"),
        (lambda a, b: np.sqrt(((a - b.astype(float)) ** 2).sum()), "shape ()"),
        (lambda a, b: np.sqrt(((a - b.astype(float)) ** 2).sum(0)), "Sum over the axes 1, 2"),
        (lambda a, b: np.sqrt(((a - b.astype(float)) ** 2).sum((1, 2))), "shape (5, 3)"),
        (lambda a, b: np.arange(len(a)), "but not its distance"),
        (lambda a, b: "far", "Numbers are wanted"),
        (7, "A function is wanted"),
    ],
)
def test_distances_mistakes(answer, why):
    assert why in mistake(exercises.distances, answer)


def test_distances_may_not_change_the_images():
    def careless(images, image):
        images[0] = 0
        return np.zeros(len(images))

    assert "changes the images" in mistake(exercises.distances, careless)
    with pytest.raises(Unanswered):
        exercises.distances.judge(lambda images, image: ...)


def test_every_clear_misfit_and_nothing_else_passes(source):
    means, train = means_of(source), source.train
    away = np.stack([np.square(train.images - mean).sum((1, 2, 3)) for mean in means], axis=1)
    misfits = np.flatnonzero(away.argmin(1) != train.labels)
    times = np.sqrt(away[np.arange(len(train)), train.labels] / away.min(1))
    solved = exercises.misfit.solve(source, means)
    assert solved == (times.argmax() if len(misfits) else "none")
    exercises.misfit.judge(solved, source, means)
    for row in range(len(train)):
        if times[row] >= min(1.5, times.max()) and row in misfits:
            assert "would be wrong here" in exercises.misfit.judge(np.int64(row), source, means)
        elif row not in misfits:
            assert "No other mean is nearer" in mistake(exercises.misfit, str(row), source, means)
        elif times[row] < 0.99 * times.max():
            assert "but narrowly" in mistake(exercises.misfit, row, source, means)
    if len(misfits):
        assert "at least one" in mistake(exercises.misfit, "None.", source, means)


def test_a_narrow_misfit_is_no_answer(uneven):
    train = uneven.train
    images = np.repeat(np.array([0, 100, 200], "uint8")[train.labels], 4).reshape(-1, 2, 2, 1)
    (narrow, clear), means = np.flatnonzero(train.labels == 0)[:2], np.zeros((3, 2, 2, 1))
    means += np.array([0, 100, 200]).reshape(3, 1, 1, 1)
    images[narrow], images[clear] = 55, 90  # 55 is 1.2 times as far from 0 as from 100
    flat = dataclasses.replace(uneven)
    vars(flat)["train"] = dataclasses.replace(train, images=images)
    assert "but narrowly" in mistake(exercises.misfit, narrow, flat, means)
    assert "would be wrong here" in exercises.misfit.judge(clear, flat, means)
    assert exercises.misfit.solve(flat, means) == clear


def test_misfit_where_there_is_none(uneven):
    train = uneven.train
    plain = np.repeat(np.array([0, 100, 200], "uint8")[train.labels], 4).reshape(-1, 2, 2, 1)
    flat = dataclasses.replace(uneven)
    vars(flat)["train"] = dataclasses.replace(train, images=plain)
    means = means_of(flat)
    assert exercises.misfit.solve(flat, means) == "none"
    assert "So it is" in exercises.misfit.judge("none", flat, means)
    assert "No other mean" in mistake(exercises.misfit, 0, flat, means)


def test_misfit_mistakes(uneven):
    means = means_of(uneven)
    for answer in (-1, 0.5, len(uneven.train)):
        assert "A row of train.images" in mistake(exercises.misfit, answer, uneven, means)
    assert "A number is wanted" in mistake(exercises.misfit, "blob", uneven, means)
    assert "One number is wanted" in mistake(exercises.misfit, [1, 2], uneven, means)


@pytest.mark.parametrize("honest", [0.8, 0.31, 1.0, 0.0])
def test_remembered(honest):
    scores = {0: honest, 1: 1.0}
    right = exercises.remembered.solve(scores)
    for answer in (right, np.float64(right), round(right, 2), f"{right:.1%}", [right]):
        assert "is honest" in exercises.remembered.judge(answer, scores)


def test_remembered_mistakes():
    scores = {0: 0.7}
    for answer, why in {
        82: "In percent, yes",
        1.1: "added the two",
        0.42: "gets all of those right",
        0.28: "gets all of those right",
        0.7: "score without a leak",
        0.4: "These are remembered",
        0.55: "not equally large",
        0.1: "Two parts",
    }.items():
        assert why in mistake(exercises.remembered, answer, scores)
