"""Notebook 02: right answers of every form pass, and each typical mistake has its own message."""

import numpy as np
import pytest

from imgclf_lib.backend import load_keras
from imgclf_lib.course.exercises import preprocess as exercises
from imgclf_lib.course.exercises.exercise import Mistake, Unanswered

keras = load_keras()
CHANNELS = (0, 1, 2)


def mistake(exercise, answer, *facts) -> str:
    with pytest.raises(Mistake) as caught:
        exercise.judge(answer, *facts)
    return str(caught.value)


@pytest.mark.parametrize("statistics", [([70.0], [90.0]), ([120.0, 90, 40], [60.0, 50, 20])])
def test_white_pixel_in_every_form(statistics):
    mean, deviation = map(np.array, statistics)
    right = exercises.white_pixel.solve(mean, deviation)
    for answer in (right, round(right, 2), f"{right:.2f}", np.array([right]), [[right]]):
        assert f"= {right:.3f}" in exercises.white_pixel.judge(answer, mean, deviation)
    exercises.white_pixel.judge(keras.ops.convert_to_tensor(right), mean, deviation)


def test_white_pixel_mistakes():
    mean, deviation = np.array([70.0, 1, 2]), np.array([90.0, 3, 4])
    for answer, why in {
        1: "what unit makes",
        255 / 90: "Subtract the mean first",
        185: "Now divide",
        255 - 70 / 90: "mind the brackets",
        -185 / 90: "other way round",
        185 / 8100: "variance",
        -69 / 90: "white is 255",
        5: "White is 255",
        "white": "A number is wanted",
    }.items():
        assert why in mistake(exercises.white_pixel, answer, mean, deviation)


def by_training(training, validation, axes=CHANNELS):
    mean, deviation = training.mean(axes, keepdims=True), training.std(axes, keepdims=True)
    return (training - mean) / deviation, (validation - mean) / deviation


def test_standardise_in_other_forms():
    exercises.standardise.judge(exercises.standardise.solve())

    def as_list(training, validation):
        return [each.astype("float32") for each in by_training(training, validation)]

    def sample_deviation(training, validation):
        mean, deviation = training.mean(CHANNELS), training.std(CHANNELS, ddof=1)
        return (training - mean) / deviation, (validation - mean) / (deviation + 1e-7)

    def by_keras(training, validation):
        layer = keras.layers.Normalization(axis=-1)
        layer.adapt(training.astype("float32"))
        return layer(training.astype("float32")), layer(validation.astype("float32"))

    for answer in (by_training, as_list, sample_deviation, by_keras):
        assert "same ruler" in exercises.standardise.judge(answer)


def alone(images, axes=CHANNELS):
    return by_training(images, images, axes)[0]


def leaky(training, validation):
    both = np.concatenate([training, validation])
    mean, deviation = both.mean(CHANNELS), both.std(CHANNELS)
    return (training - mean) / deviation, (validation - mean) / deviation


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda t, v: (alone(t), alone(v)), "statistics of the validation images for themselves"),
        (lambda t, v: (alone(t), v / 255), "Training is right"),
        (leaky, "that is a leak"),
        (lambda t, v: by_training(t, v, (0, 1, 2, 3)), "One mean for all channels"),
        (lambda t, v: (alone(t, 0), alone(v, 0)), "One mean for each pixel"),
        (lambda t, v: (alone(t, (1, 2)), alone(v, (1, 2))), "Each image has got its own"),
        (lambda t, v: (alone(t, PIXELS), alone(v, PIXELS)), "Each image has got its own"),
        (lambda t, v: ((t - t.mean(CHANNELS)) / t.var(CHANNELS), v / 255), "variance"),
        (lambda t, v: (t - t.mean(CHANNELS), v - t.mean(CHANNELS)), "Now divide"),
        (lambda t, v: (t / t.std(CHANNELS), v / t.std(CHANNELS)), "Subtract the mean before"),
        (lambda t, v: (t / 255, v / 255), "That is unit"),
        (lambda t, v: by_training(t, v)[::-1], "In the other order"),
        (lambda t, v: by_training(t, v)[0], "Two arrays are wanted"),
        (lambda t, v: tuple(each.mean(3) for each in by_training(t, v)), "keep their shape"),
        (lambda t, v: tuple(each.astype(int) for each in by_training(t, v)), "return floats"),
        (lambda t, v: (t * 0.5, v * 0.5), "Yours have means"),
        (np.zeros(3), "A function is wanted"),
    ],
)
def test_standardise_mistakes(answer, why):
    assert why in mistake(exercises.standardise, answer)


PIXELS = (1, 2, 3)


def fill(images, right, value=0):
    moved = np.roll(images, right, axis=2)
    moved[:, :, :right] = value
    return moved


def test_shift_in_other_forms():
    exercises.shift.judge(exercises.shift.solve())

    def padded(images, right):
        gap = ((0, 0), (0, 0), (right, 0), (0, 0))
        return np.pad(images, gap)[:, :, : images.shape[2]]

    def with_loops(images, right):
        moved = np.zeros_like(images)
        for column in range(right, images.shape[2]):
            moved[:, :, column] = images[:, :, column - right]
        return moved

    def tensors(images, right):
        return keras.ops.convert_to_tensor(fill(images, right))

    def lists(images, right):
        return list(fill(images, right))

    for answer in (fill, padded, with_loops, tensors, lists):
        assert "nothing comes back" in exercises.shift.judge(answer)


def empty_at_zero(images, right):
    moved = np.zeros_like(images)
    moved[:, :, right:] = images[:, :, :-right]
    return moved


def joined(images, right):
    gap = np.zeros_like(images[:, :, :right])
    return np.concatenate([gap, images[:, :, :-right]], axis=2)


def in_place(images, right):
    images[:, :, right:] = images[:, :, : images.shape[2] - right].copy()
    images[:, :, :right] = 0
    return images


def down(images, right):
    moved = np.zeros_like(images)
    moved[:, right:] = images[:, : max(0, images.shape[1] - right)]
    return moved


def left(images, right):
    moved = np.zeros_like(images)
    moved[:, :, : images.shape[2] - right] = images[:, :, right:]
    return moved


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda x, right: np.roll(x, right, axis=2), "np.roll does that"),
        (lambda x, right: np.roll(x, right, axis=1), "moved down"),
        (down, "moved down"),
        (lambda x, right: np.roll(x, right, axis=0), "Axis 0 counts the images"),
        (lambda x, right: np.roll(x, right, axis=3), "Axis 0 counts the images"),
        (lambda x, right: np.roll(x, right), "Axis 0 counts the images"),
        (lambda x, right: np.roll(x, -right, axis=2), "to the left"),
        (left, "to the left"),
        (lambda x, right: fill(x, right, 255), "the gap is not filled with 0"),
        (lambda x, right: fill(x, right, x[:, :, :1]), "the gap is not filled with 0"),
        (lambda x, right: x.copy(), "Nothing has moved"),
        (lambda x, right: fill(x, right).astype(float), "Keep the dtype"),
        (lambda x, right: x[:, :, right:], "keep their shape"),
        (lambda x, right: fill(x, right)[0], "keep their shape"),
        (joined, "x[:-0] is empty"),
        (in_place, "changes the images"),
        (lambda x, right: x // 2, "column 2 should hold what column 0 held"),
        (lambda x, right: x if right > 6 else fill(x, right), "all zeros"),
        (lambda x, right: fill(x, right or 1), "shift by 0"),
        ("right", "A function is wanted"),
    ],
)
def test_shift_mistakes(answer, why):
    assert why in mistake(exercises.shift, answer)


def test_code_that_fails_is_told_so(capsys):
    exercises.shift.check(empty_at_zero)
    assert "Your answer raised ValueError: could not broadcast" in capsys.readouterr().out
    with pytest.raises(Unanswered):
        exercises.shift.judge(lambda images, right: ...)


def test_split_in_other_forms():
    exercises.split.judge(exercises.split.solve())

    def by_hand(groups, share):
        held, count = set(), 0
        for group in dict.fromkeys(groups.tolist()):
            if count < share * len(groups):
                held.add(group)
                count += (groups == group).sum()
        return [group in held for group in groups.tolist()]

    def numbers(groups, share):
        return np.array(by_hand(groups, share)).astype(int)

    def sklearn(groups, share):
        from sklearn.model_selection import GroupShuffleSplit

        splitter = GroupShuffleSplit(1, test_size=share, random_state=1)
        _, rows = next(splitter.split(groups, groups=groups))
        return np.isin(np.arange(len(groups)), rows)

    for answer in (by_hand, numbers, sklearn):
        assert "can be believed" in exercises.split.judge(answer)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda g, share: np.random.default_rng(0).random(len(g)) < share, "that is the leak"),
        (lambda g, share: np.arange(len(g)) < share * len(g), "that is the leak"),
        (lambda g, share: np.zeros(len(g), bool), "two parts is empty"),
        (lambda g, share: np.ones(len(g), bool), "two parts is empty"),
        (lambda g, share: ~exercises.split.solve()(g, share), "marked the training images"),
        (lambda g, share: np.isin(g, np.unique(g)[: len(g) // 4]), "how many of them do you take"),
        (lambda g, share: np.arange(20), "truth values is wanted"),
        (lambda g, share: np.arange(len(g)), "Truth values are wanted"),
        (lambda g, share: g, "Truth values are wanted"),
        (0.2, "A function is wanted"),
    ],
)
def test_split_mistakes(answer, why):
    assert why in mistake(exercises.split, answer)
