"""How the larger answers of notebook 06 are judged."""

from typing import Any

import numpy as np

from imgclf_lib.exercises.exercise import Mistake, array, call, number
from imgclf_lib.model import predict_probabilities
from imgclf_lib.runs import Run


def judge_softmax(softmax: Any) -> str:
    """Judge a softmax by what it gives.

    Args:
        softmax: A function.

    Returns:
        What to say about a right answer.

    Raises:
        Mistake: If it is wrong.
    """
    scores = np.array([2.0, 1.0, -1.0])
    wanted = np.exp(scores) / np.exp(scores).sum()
    given = scores.copy()
    found = array(call(softmax, given))
    if not np.array_equal(given, scores):
        raise Mistake("Your function changes the scores of its caller. Make a new array instead.")
    if found.shape != scores.shape:
        raise Mistake(f"For {len(scores)} scores there must be {len(scores)} probabilities.")
    if np.allclose(found, np.exp(scores)):
        raise Mistake("exp is done. Now divide by the sum, so that they add up to 1.")
    if np.allclose(found, scores / scores.sum()):
        raise Mistake(
            "You divide the scores themselves. Take exp of them first: none is negative then."
        )
    if not np.isclose(found.sum(), 1):
        raise Mistake(
            f"The probabilities of {scores.tolist()} add up to {found.sum():.4g}, not to 1."
        )
    if not np.allclose(found, wanted, atol=1e-4):
        raise Mistake(
            f"For {scores.tolist()} the answer should be {wanted.round(3).tolist()}; yours is"
            f" {found.round(3).tolist()}."
        )
    with np.errstate(all="ignore"):
        large = array(call(softmax, np.array([1001.0, 1000.0, 998.0])))
    if not np.allclose(large, np.exp([0.0, -1, -3]) / np.exp([0.0, -1, -3]).sum(), atol=1e-4):
        raise Mistake(
            f"For the scores 1001, 1000, 998 the answer is {large.tolist()}: exp(1001) is too large"
            " for a computer. Only differences count, so subtract the largest score first."
        )
    several = np.array([[2.0, 1.0, -1.0], [0.0, 0.0, 3.0]])
    rows = array(call(softmax, several.copy()))
    if rows.shape != several.shape:
        raise Mistake(f"Two rows of scores must give two rows; yours have shape {rows.shape}.")
    if np.allclose(rows.sum(0), 1) or not np.allclose(rows.sum(1), 1, atol=1e-4):
        raise Mistake(
            "With two images, one a row, each row must add up to 1. Sum along the last axis:"
            " .sum(axis=-1, keepdims=True)."
        )
    each = np.exp(several) / np.exp(several).sum(1, keepdims=True)
    far = array(call(softmax, np.array([[0.0, -1.0], [-2000.0, -2001.0]])))
    if not np.allclose(rows, each, atol=1e-4) or not np.allclose(far[0], far[1], atol=1e-4):
        raise Mistake("One row is right alone, and wrong beside another. Take the max of each row.")
    return "Your softmax adds up to 1, stays calm with large scores, and takes whole batches."


def judge_kept_accuracy(
    answer: Any, probabilities: np.ndarray, labels: np.ndarray, threshold: float
) -> str:
    """Judge the accuracy among the answers that a threshold lets through.

    Args:
        answer: A fraction.
        probabilities: Array of shape ``(n, classes)``.
        labels: Array of shape ``(n,)``: the true classes.
        threshold: Answers with a lower probability are refused.

    Returns:
        What to say about a right answer.

    Raises:
        Mistake: If it is wrong.
    """
    kept = probabilities.max(1) >= threshold
    right = probabilities.argmax(1) == labels
    found = number(answer)
    if not kept.any():
        if np.isnan(found) or found == 0:
            return f"No image reaches {threshold:.0%}: there is nothing to be right about."
        raise Mistake(f"No image has a confidence of {threshold:.0%} or more. Then answer 0.")
    wanted = right[kept].mean()
    if abs(found - wanted) < 0.0006:
        return (
            f"{wanted:.1%} of the given answers are right, against {right.mean():.1%} of all."
            f" The price: {1 - kept.mean():.1%} of the real images get no answer."
        )
    if found > 1 and abs(found / 100 - wanted) < 0.0006:
        raise Mistake("In percent, yes. Give a fraction between 0 and 1.")
    others = [
        (kept.mean(), "That is how many images get an answer. How many of those are right?"),
        (right.mean(), "That is the accuracy on all images. Leave out those that are refused."),
        (
            (right & kept).mean(),
            "You have divided by the number of all images. Divide by how many get an answer.",
        ),
        (
            right[~kept].mean() if not kept.all() else -1,
            "These are the refused ones: you kept those below the threshold.",
        ),
        (1 - wanted, "That share of the given answers is wrong. How many are right?"),
        ((right & kept).sum(), "That is a number of images. Divide it by how many get an answer."),
    ]
    for value, message in others:
        if abs(found - value) < 0.0006:
            raise Mistake(message)
    raise Mistake(
        f"Among the {kept.sum():,} images with a confidence of {threshold} or more, what share has"
        f" the right answer? {found:g} it is not."
    )


def judge_nonsense(picture: Any, run: Run, real: np.ndarray) -> str:
    """Judge a picture that shows nothing, and about which the model should be sure.

    Args:
        picture: Array like an image of the run.
        run: A trained run.
        real: ``uint8`` array of real images, of shape ``(n, height, width, channels)``.

    Returns:
        What to say about a right answer.

    Raises:
        Mistake: If it is wrong.
    """
    shape = tuple(run.environment["image_shape"])
    pixels = array(picture)
    if pixels.ndim == 2 and shape[2] == 1:
        pixels = pixels[..., np.newaxis]
    if pixels.shape == (1, *shape):
        pixels = pixels[0]
    if pixels.shape != shape:
        raise Mistake(f"The network takes one image of shape {shape}. Yours has {pixels.shape}.")
    if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 255:
        raise Mistake("A pixel is a number from 0 to 255; some of yours are outside.")
    if pixels.dtype.kind == "f" and 0 < pixels.max() <= 1:
        raise Mistake(
            "Your pixels lie between 0 and 1, nearly black for a network that takes 0 to 255."
            " Multiply by 255."
        )
    pixels = pixels.astype("uint8")
    if (abs(real.astype("int16") - pixels).mean((1, 2, 3)) < 4).any():
        raise Mistake("This is one of the real images. Make a picture from nothing.")
    wanted = _confidence_wanted(run, real)
    probabilities = predict_probabilities(run.model, pixels[np.newaxis])[0]
    name, highest = run.class_names[probabilities.argmax()], probabilities.max()
    if highest <= wanted:
        raise Mistake(
            f"The model takes it for {name}, with {highest:.1%}. More than {wanted:.1%} is wanted."
            " Try other shapes, sizes and places, or let a loop try many."
        )
    return (
        f"The model takes it for {name}, with {highest:.1%}. Nobody else would. So a high"
        " confidence is no proof that there is anything to recognise."
    )


def _confidence_wanted(run: Run, real: np.ndarray) -> float:
    """Above 0.9, or what a model that is seldom sure says about half of the real images."""
    return min(0.9, float(np.median(predict_probabilities(run.model, real).max(1))))
