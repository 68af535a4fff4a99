"""The exercises of notebook 09: averaging maps, the size of a head, a head, what a cache saves."""

from imgclf_lib.exercises.exercise import Exercise
from imgclf_lib.exercises.transfer_judge import (
    judge_average,
    judge_head,
    judge_head_weights,
    judge_passes,
)


def write_average():
    """Height and width are the axes 1 and 2."""

    def average(maps):
        return maps.mean(axis=(1, 2))

    return average


average = Exercise(
    "average",
    "From feature maps to features",
    ["global average pooling", "axes of an array of images"],
    judge_average,
    write_average,
    "The axes are images, height, width, channels: the second and the third go.",
    [
        "Which axes of (images, height, width, channels) should be gone at the end?",
        "NumPy's mean takes several axes at once, as a pair.",
        "maps.mean(axis=(1, 2))",
    ],
)


def count_head_weights(features, classes, parameters):
    """A weight for every pair of feature and class, and a bias for every class.

    Args:
        features: Features of an image.
        classes: Number of classes.
        parameters: Weights of the whole network; not needed.
    """
    return features * classes + classes


head_weights = Exercise(
    "head_weights",
    "How many weights learn?",
    ["size of a dense layer", "frozen and trained weights"],
    judge_head_weights,
    count_head_weights,
    "A dense layer has a weight for every pair of input and output, and a bias for every output.",
    [
        "The head is one dense layer. Notebook 03 counted the weights of such a layer.",
        "Each class has one weight for each feature, and one bias.",
        "features * classes + classes",
    ],
)


def write_head():
    """Scores by one matrix product; the largest one is the answer."""

    def answer(features, weights, biases):
        scores = features @ weights + biases
        return scores.argmax(axis=1)

    return answer


head = Exercise(
    "head",
    "A head by hand",
    ["linear classifier on features", "argmax over classes"],
    judge_head,
    write_head,
    "Softmax does not change which score is the largest, so it is not needed for the answer.",
    [
        "features has the shape (images, features), weights (features, classes).",
        "scores = features @ weights + biases has the shape (images, classes).",
        "scores.argmax(axis=1) gives the class of each image.",
    ],
)


def count_passes(experiment, train, val):
    """Without a cache every image passes in every epoch; with it, once.

    Args:
        experiment: Its epochs.
        train: Number of training images.
        val: Number of validation images.
    """
    return (train + val) * (experiment.epochs - 1)


passes = Exercise(
    "passes",
    "What does the cache save?",
    ["cost of a frozen backbone", "training and validation images"],
    judge_passes,
    count_passes,
    "A frozen backbone says the same of an image in every epoch: all but the first time is saved.",
    [
        "In each epoch the network sees every training image, and then every validation image.",
        "Without the cache that is images times epochs; with it, each image passes once.",
        "(train + val) * (epochs - 1)",
    ],
)
