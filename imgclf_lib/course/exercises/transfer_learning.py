"""The exercises of notebook 09: averaging maps, the size of a head, a head, what a cache saves."""

import math
from typing import Any

import numpy as np

from imgclf_lib.course.exercises.exercise import judge_function, judge_number, question
from imgclf_lib.experiment import Experiment


def write_average():
    def average(maps):
        return maps.mean(axis=(1, 2))

    return average


def _why_average(found: np.ndarray, right: np.ndarray, maps: np.ndarray) -> str:
    return (
        f"Maps of shape {maps.shape} should become {right.shape}; yours have shape {found.shape}."
        " Average over the axes of height and width."
    )


@question(
    "From feature maps to features",
    tests=["global average pooling", "axes of an array of images"],
    hints=[
        "Which axes of (images, height, width, channels) should be gone at the end?",
        "NumPy's mean takes several axes at once, as a pair.",
        "maps.mean(axis=(1, 2))",
    ],
    solve=write_average,
    explanation="The axes are images, height, width, channels: the second and the third go.",
)
def average(answer: Any) -> str:
    return judge_function(
        answer,
        write_average(),
        [(np.random.default_rng(0).random((3, 4, 5, 6)) ** 2,)],
        "One number for each channel: how much of its pattern there is, wherever it is.",
        lambda maps: {
            "You average over the channels. Which axes are height and width?": maps.mean(3),
            "You add up, and do not divide by the area.": maps.sum((1, 2)),
            "That is the largest value of each map: a max pooling, not the average.": (
                maps.max((1, 2))
            ),
            "You also average over the images: each image must keep its own row.": (
                maps.mean((0, 1, 2))
            ),
            "You average everything of an image into one number.": maps.mean((1, 2, 3)),
            "You average over one axis only: height and width must both go.": maps.mean(1),
            "You average over the width only: the height must go too.": maps.mean(2),
            "The axes of length 1 must go: leave keepdims out.": maps.mean((1, 2), keepdims=True),
            "Rows and columns are exchanged: images first, channels second.": maps.mean((1, 2)).T,
            "You lay the map out in a row. Its average over height and width is wanted.": (
                maps.reshape(len(maps), -1)
            ),
        },
        _why_average,
        shape=_why_average,
        changed="",
    )


def count_head_weights(width, classes, parameters):
    return width * classes + classes


@question(
    "How many weights learn?",
    tests=["size of a dense layer", "frozen and trained weights"],
    hints=[
        "The head is one dense layer. Notebook 03 counted the weights of such a layer.",
        "Each class has one weight for each feature, and one bias.",
        "width * classes + classes",
    ],
    solve=count_head_weights,
    explanation="A dense layer has a weight for every pair of input and output, and a bias for"
    " every output. The weights of the whole network are not needed.",
)
def head_weights(answer: Any, features: int, classes: int, parameters: int) -> str:
    right = count_head_weights(features, classes, parameters)
    return judge_number(
        answer,
        right,
        f"{features:,} × {classes} weights and {classes} biases: {right:,} of {parameters:,}, or"
        f" {right / parameters:.2%}. All others stay as they are.",
        {
            "Nearly: each class also has a bias.": features * classes,
            "The biases belong to the classes: one for each class.": features * (classes + 1),
            "There is not one bias, but one for each class.": features * classes + 1,
            "That is the whole network. How many of its weights are in the last layer?": parameters,
            "That is the part that does not learn.": parameters - right,
            "Every feature has a weight for every class: multiply.": features + classes,
            "That is one weight for each feature. How many classes need such a row?": features,
        },
        f"The layer turns {features:,} features into {classes} scores.",
    )


def write_head():
    def head(features, weights, biases):
        scores = features @ weights + biases
        return scores.argmax(axis=1)

    return head


def _why_head(found: np.ndarray, *_: Any) -> str:
    return (
        "For 40 images of 8 features and 5 classes, 40 whole numbers from 0 to 4 are wanted:"
        f" scores are features @ weights + biases. Yours have shape {found.shape}."
    )


@question(
    "A head by hand",
    tests=["linear classifier on features", "argmax over classes"],
    hints=[
        "features has the shape (images, features), weights (features, classes).",
        "scores = features @ weights + biases has the shape (images, classes).",
        "scores.argmax(axis=1) gives the class of each image.",
    ],
    solve=write_head,
    explanation="Scores come from one matrix product; the largest one is the answer. Softmax does"
    " not change which score is the largest, so it is not needed.",
)
def head(answer: Any) -> str:
    generator = np.random.default_rng(1)
    features, weights = generator.normal(size=(40, 8)), generator.normal(size=(8, 5))
    return judge_function(
        answer,
        write_head(),
        [(features, weights, 4 * generator.normal(size=5))],
        "That is the whole head: everything else was done by the backbone.",
        lambda f, w, b: {
            "You return a row of scores or probabilities for each image. Which class has the"
            " largest one?": np.full((len(f), len(b)), math.nan),
            "The biases are missing: add them to the scores.": (f @ w).argmax(1),
            "You subtract the biases: add them.": (f @ w - b).argmax(1),
            "That is the least probable class: argmax, not argmin.": (f @ w + b).argmin(1),
            "The axis is wrong: you name an image for each class.": (f @ w + b).argmax(0),
            "That is the largest score, not its place: argmax, not max.": (f @ w + b).max(1),
            "argmax without an axis counts through the whole table: say which axis.": (
                (f @ w + b).argmax()
            ),
        },
        _why_head,
        shape=_why_head,
        changed="",
    )


def count_passes(shared, train_count, val_count):
    return (train_count + val_count) * (shared.epochs - 1)


@question(
    "What does the cache save?",
    tests=["cost of a frozen backbone", "training and validation images"],
    hints=[
        "In each epoch the network sees every training image, and then every validation image.",
        "Without the cache that is images times epochs; with it, each image passes once.",
        "(train_count + val_count) * (shared.epochs - 1)",
    ],
    solve=count_passes,
    explanation="A frozen backbone says the same of an image in every epoch: all but the first time"
    " is saved.",
)
def passes(answer: Any, experiment: Experiment, train: int, val: int) -> str:
    right, epochs, images = count_passes(experiment, train, val), experiment.epochs, train + val
    return judge_number(
        answer,
        right,
        f"Without the cache {images:,} images would go through it in each of {epochs} epochs;"
        f" with it they go once. {right:,} are saved, and the next head costs none at all.",
        {
            "That is all of them. But the first time must be paid: once each.": images * epochs,
            "That is what is still computed: each image once. How many are saved?": images,
            "The validation images pass through it after each epoch, too.": train * (epochs - 1),
            "The validation images count too, and the first time must be paid.": train * epochs,
            "That is for one image. How many images are there?": epochs - 1,
        },
        "Count for one image first: how often does it pass without the cache, and how often with"
        " it?",
    )
