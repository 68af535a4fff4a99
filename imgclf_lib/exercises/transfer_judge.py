"""Judges of the exercises of notebook 09: averaging maps, a head by hand, what a cache saves."""

from typing import Any

import numpy as np

from imgclf_lib.exercises.exercise import Mistake, array, call, number
from imgclf_lib.experiment import Experiment


def judge_average(function: Any) -> str:
    """Whether a function averages each feature map over its area.

    Args:
        function: The learner's function of an array ``(images, height, width, channels)``.

    Returns:
        What to say about a right one.

    Raises:
        Mistake: If it is wrong; typical mistakes have their own message.
    """
    maps = np.random.default_rng(0).random((3, 4, 5, 6)) ** 2
    found = array(call(function, maps.copy()))
    right = maps.mean((1, 2))
    if found.shape == right.shape and np.allclose(found, right):
        return "One number for each channel: how much of its pattern there is, wherever it is."
    others = {
        "You average over the channels. Which axes are height and width?": maps.mean(3),
        "You add up, and do not divide by the area.": maps.sum((1, 2)),
        "That is the largest value of each map: a max pooling, not the average.": maps.max((1, 2)),
        "You also average over the images: each image must keep its own row.": maps.mean((0, 1, 2)),
        "You average everything of an image into one number.": maps.mean((1, 2, 3)),
        "You average over one axis only: height and width must both go.": maps.mean(1),
        "You average over the width only: the height must go too.": maps.mean(2),
        "The axes of length 1 must go: leave keepdims out.": maps.mean((1, 2), keepdims=True),
        "Rows and columns are exchanged: images first, channels second.": right.T,
        "You lay the map out in a row. Its average over height and width is wanted.": maps.reshape(
            3, -1
        ),
    }
    for message, values in others.items():
        if found.shape == values.shape and np.allclose(found, values):
            raise Mistake(message)
    raise Mistake(
        f"Maps of shape {maps.shape} should become {right.shape}; yours have shape {found.shape}."
        " Average over the axes of height and width."
    )


def judge_head_weights(answer: Any, features: int, classes: int, parameters: int) -> str:
    """Whether this is the number of weights of a head without hidden layers.

    Args:
        answer: The learner's number.
        features: Features of an image.
        classes: Number of classes.
        parameters: Weights of the whole network.

    Returns:
        What to say about the right number.

    Raises:
        Mistake: If it is wrong; typical mistakes have their own message.
    """
    value, right = number(answer), (features + 1) * classes
    if value == right:
        return (
            f"{features:,} × {classes} weights and {classes} biases: {right:,} of {parameters:,},"
            f" or {right / parameters:.2%}. All others stay as they are."
        )
    mistakes = {
        features * classes: "Nearly: each class also has a bias.",
        features * classes + features: "The biases belong to the classes: one for each class.",
        features * classes + 1: "There is not one bias, but one for each class.",
        parameters: "That is the whole network. How many of its weights are in the last layer?",
        parameters - right: "That is the part that does not learn.",
        features + classes: "Every feature has a weight for every class: multiply.",
        features: "That is one weight for each feature. How many classes need such a row?",
    }
    if value in mistakes:
        raise Mistake(mistakes[int(value)])
    raise Mistake(
        f"{value:,.10g} is not it. The layer turns {features:,} features into {classes} scores."
    )


def judge_head(function: Any) -> str:
    """Whether a function answers with the most probable class of each image.

    Args:
        function: The learner's function of features, weights and biases.

    Returns:
        What to say about a right one.

    Raises:
        Mistake: If it is wrong; typical mistakes have their own message.
    """
    generator = np.random.default_rng(1)
    features = generator.normal(size=(40, 8))
    weights, biases = generator.normal(size=(8, 5)), 4 * generator.normal(size=5)
    found = array(call(function, features.copy(), weights.copy(), biases.copy()))
    scores = features @ weights + biases
    right = scores.argmax(1)
    if found.shape == right.shape and np.array_equal(found, right):
        return "That is the whole head: everything else was done by the backbone."
    if found.shape == scores.shape:
        raise Mistake(
            "You return a row of scores or probabilities for each image. Which class has the"
            " largest one?"
        )
    others = {
        "The biases are missing: add them to the scores.": (features @ weights).argmax(1),
        "You subtract the biases: add them.": (features @ weights - biases).argmax(1),
        "That is the least probable class: argmax, not argmin.": scores.argmin(1),
        "The axis is wrong: you name an image for each class.": scores.argmax(0),
        "That is the largest score, not its place: argmax, not max.": scores.max(1),
        "argmax without an axis counts through the whole table: say which axis.": np.array(
            scores.argmax()
        ),
    }
    for message, values in others.items():
        if found.shape == values.shape and np.allclose(found, values):
            raise Mistake(message)
    raise Mistake(
        f"For 40 images of 8 features and 5 classes, 40 whole numbers from 0 to 4 are wanted:"
        f" scores are features @ weights + biases. Yours have shape {found.shape}."
    )


def judge_passes(answer: Any, experiment: Experiment, train: int, val: int) -> str:
    """Whether this is how many images the cache keeps from the backbone.

    Args:
        answer: The learner's number.
        experiment: Its ``epochs``.
        train: Number of training images.
        val: Number of validation images.

    Returns:
        What to say about the right number.

    Raises:
        Mistake: If it is wrong; typical mistakes have their own message.
    """
    value, epochs, images = number(answer), experiment.epochs, train + val
    right = images * (epochs - 1)
    if value == right:
        return (
            f"Without the cache {images:,} images would go through it in each of {epochs} epochs;"
            f" with it they go once. {right:,} are saved, and the next head costs none at all."
        )
    mistakes = {
        images * epochs: "That is all of them. But the first time must be paid: once each.",
        images: "That is what is still computed: each image once. How many are saved?",
        train * (epochs - 1): "The validation images pass through it after each epoch, too.",
        train * epochs: "The validation images count too, and the first time must be paid.",
        epochs - 1: "That is for one image. How many images are there?",
    }
    if value in mistakes:
        raise Mistake(mistakes[int(value)])
    raise Mistake(
        f"{value:,.10g} is not it. Count for one image first: how often does it pass without the"
        " cache, and how often with it?"
    )
