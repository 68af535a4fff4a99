"""The judge of a loss written by a learner."""

import math
from typing import Any

import numpy as np

from imgclf_lib.exercises.exercise import Mistake, array, call, number


def judge_cross_entropy(function: Any) -> str:
    """Whether a function gives the mean cross-entropy of scores and labels.

    Args:
        function: The learner's function of scores and labels.

    Returns:
        What to say about a right one.

    Raises:
        Mistake: If it is wrong; typical mistakes have their own message.
    """
    scores = np.array([[2.0, -1.0, 0.5, 0.3], [0.1, 0.2, 3.0, -2.0], [1.5, 1.0, -0.5, 2.5]])
    labels = np.array([0, 3, 1])
    with np.errstate(all="ignore"):  # a learner's overflow gets its own message below
        before = scores.copy()
        result = array(call(function, scores, labels))
        if not np.array_equal(scores, before):
            raise Mistake("Your function changes `scores` itself. Make a new array instead.")
        _compare_losses(result, scores, labels)
        for one, two in (([[0.5, -0.5]], [1]), (np.linspace(-3, 3, 120).reshape(6, 20), range(6))):
            more, right = np.asarray(one), np.asarray(two)
            if not np.isclose(number(function(more, right)), _loss(more, right), rtol=1e-4):
                raise Mistake(
                    f"It is right for 3 images of 4 classes, but not for {len(more)} of"
                    f" {more.shape[1]}. Does it use anything besides its two arguments?"
                )
        large = number(function(scores + 1000, labels))
        if not np.isclose(large, _loss(scores, labels), rtol=1e-3):
            raise Mistake(
                f"It is right for small scores. But add 1,000 to all of them, and it gives"
                f" {large:g}: exp(1000) is too large for the computer. The same number can be"
                " taken from all scores of an image without changing its softmax: which one helps?"
            )
        far = number(function(np.array([[0.0, 2000.0]]), np.array([0])))
    if np.isclose(far, 2000, rtol=1e-3):
        return "The average, the logarithm, the true class, and no overflow anywhere."
    return (
        "The average, the logarithm, the true class, and no overflow. (One refinement for experts:"
        f" where the true class is 2,000 below another one it gives {far:g}, not 2000. Write the"
        " logarithm of the softmax as score - log(sum(exp(scores))) and nothing gets lost.)"
    )


def _loss(scores: np.ndarray, labels: np.ndarray) -> float:
    shifted = scores - scores.max(axis=1, keepdims=True)
    logarithms = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return float(-logarithms[np.arange(len(labels)), labels].mean())


def _compare_losses(result: np.ndarray, scores: np.ndarray, labels: np.ndarray) -> None:
    rows, right = np.arange(len(labels)), _loss(scores, labels)
    powers = np.exp(scores)
    chances = powers / powers.sum(axis=1, keepdims=True)
    true = chances[rows, labels]
    wrong_axis = (powers / powers.sum(axis=0))[rows, labels]
    if result.size == len(labels) and np.allclose(result.ravel(), -np.log(true), rtol=1e-4):
        raise Mistake("That is the loss of each image. Return one number: their average.")
    mistakes = {
        -right: "The sign: logarithms of probabilities are negative, and a loss is not.",
        right * len(labels): "That is the sum over the images. Return the average.",
        right / math.log(2): "That is the logarithm to base 2. The natural one is np.log.",
        right / math.log(10): "That is the logarithm to base 10. The natural one is np.log.",
        float(-np.log(wrong_axis).mean()): "Your softmax adds up over the images. The"
        " probabilities of one image must add up to 1: sum along axis 1.",
        float(-np.log(chances).mean()): "You average over all classes. Only the probability of"
        " the true class counts.",
        float(-np.log(chances.max(axis=1)).mean()): "You take the most probable class. Take the"
        " true one, which `labels` names.",
        float(true.mean()): "That is the average probability. Its logarithm is missing.",
        float(-true.mean()): "That is minus the average probability. Its logarithm is missing.",
        float(1 - true.mean()): "One minus the probability is no cross-entropy. Take minus its"
        " logarithm.",
        float(-np.log(true.mean())): "First the logarithm of each image, then the average.",
        float(-scores[rows, labels].mean()): "These are the raw scores. Softmax makes them"
        " probabilities first.",
    }
    value = number(result)
    if not np.isclose(value, right, rtol=1e-4):
        for mistaken, message in mistakes.items():
            if np.isclose(value, mistaken, rtol=1e-4):
                raise Mistake(message)
        raise Mistake(
            f"For the scores {scores.tolist()} and the labels {labels.tolist()} the loss is"
            f" {right:.4f}; yours is {value:.4f}."
        )
