"""The exercises of notebook 06: probabilities, thresholds, and pictures made from nothing."""

from typing import Any

import numpy as np

from imgclf_lib.exercises.exercise import Exercise, Mistake, number
from imgclf_lib.exercises.prediction_judge import (
    judge_kept_accuracy,
    judge_nonsense,
    judge_softmax,
)
from imgclf_lib.model import predict_probabilities
from imgclf_lib.runs import Run

ROUNDING = 0.0021  # somebody adds up three numbers of three decimals


def _judge_left_over(answer: Any, probabilities: np.ndarray) -> str:
    shown = np.sort(probabilities[probabilities.max(1).argmin()])[::-1][:3].astype(float)
    together = shown.sum()
    right = 1 - together
    found = number(answer)
    if abs(found - right) < ROUNDING:
        return (
            f"1 - {together:.3f} = {abs(right):.3f}. All classes together have 1,"
            " so whatever the shown ones do not have, the others share."
        )
    if abs(found - together) < ROUNDING:
        raise Mistake("That is what the three bars have together. How much is missing to 1?")
    if abs(found - (1 - shown[0])) < ROUNDING:
        raise Mistake("You have subtracted the first bar alone. Subtract all bars of this image.")
    if found > 1 and abs(found / 100 - right) < ROUNDING:
        raise Mistake("In percent, yes. Give a fraction between 0 and 1, as the bars do.")
    if found < 0 or found > 1:
        raise Mistake(f"A probability lies between 0 and 1, and {found:g} does not.")
    raise Mistake(
        "Add up the numbers beside the bars of the last image. All classes together have 1."
    )


def add_up_what_is_left(probabilities):
    """Take the image with the lowest best answer, and add up all but its three best classes.

    Args:
        probabilities: Array of shape ``(n, classes)``.
    """
    least_sure = probabilities[probabilities.max(axis=1).argmin()]
    return sum(sorted(least_sure)[:-3])


left_over = Exercise(
    "left_over",
    "What is left for the others?",
    ["probabilities add up to one", "reading a picture of predictions"],
    _judge_left_over,
    add_up_what_is_left,
    "The probabilities of all classes of one image add up to 1. What the three best do not take is"
    " left for the rest. With three classes or fewer nothing is left.",
    [
        "What do the probabilities of all classes of one image add up to?",
        "Add the numbers beside the three bars of the last image, and subtract the sum from 1.",
    ],
)


def _judge_first_change(answer: Any, run: Run, photo: np.ndarray) -> str:
    right = find_first_change(run, photo)
    found = number(answer)
    width = photo.shape[1]
    if found == right:
        if not right:
            return "No shift changes the answer about this image. Try another one."
        return (
            f"Moved by {right} of {width} pixels, the picture gets another name. To a"
            " person it still shows the same thing. Training with shifted images may help."
        )
    if right and found == right - 1:
        raise Mistake(
            f"With {right - 1} the answer is still the old one. Which is the first shift with"
            " another answer?"
        )
    left = _change(run, photo, -1, 1)
    if left and found in (left, -left):
        raise Mistake("You have moved it to the left. np.roll moves to the right by +1, +2, …")
    if right != found == _change(run, photo, 1, 0):
        raise Mistake("You have moved it down: axis 0 counts the rows. Across is axis 1.")
    if not 0 <= found < width or found != round(found):
        raise Mistake(f"A whole number of pixels from 1 to {width - 1} is wanted, or 0 for never.")
    if not found:
        raise Mistake("The answer does change. Compare the class with the highest probability.")
    moved = np.roll(photo, int(found), axis=1)
    same = np.ptp(predict_probabilities(run.model, np.stack([photo, moved])).argmax(1)) == 0
    raise Mistake(
        f"Moved by {found:g}, it still gets the old answer."
        if same
        else f"Moved by {found:g} it gets another answer, but so it does after a smaller shift."
    )


def _change(run: Run, photo: np.ndarray, sign: int, axis: int) -> int:
    """The first shift in a direction that changes the answer; 0 if none does."""
    shifts = range(photo.shape[axis])
    moved = np.stack([np.roll(photo, sign * shift, axis) for shift in shifts])
    answers = predict_probabilities(run.model, moved).argmax(1)
    return int((answers != answers[0]).argmax())


def find_first_change(run, photo):
    """Shift a picture to the right, pixel by pixel, until the answer changes.

    Args:
        run: A trained run.
        photo: Array of shape ``(height, width, channels)``.
    """
    import numpy as np

    from imgclf_lib.model import predict_probabilities

    moved = [np.roll(photo, shift, axis=1) for shift in range(photo.shape[1])]
    answers = predict_probabilities(run.model, np.stack(moved)).argmax(axis=1)
    return int((answers != answers[0]).argmax())  # the first True; 0 if there is none


first_change = Exercise(
    "first_change",
    "How far can you push it?",
    ["robustness of a prediction", "predicting a batch of images"],
    _judge_first_change,
    find_first_change,
    "All shifted versions go through the model as one batch. Number 0 is the picture itself, and"
    " argmax of the comparison finds the first answer that differs from its answer.",
    [
        "np.roll(photo, 3, axis=1) moves the picture by three pixels to the right.",
        "Make a list of shifted pictures with shifts 0, 1, 2, …, np.stack it, and give it to"
        " predict_probabilities(run.model, …).argmax(1).",
        "Compare each answer with answer number 0. The first difference is what you look for.",
    ],
)


def write_softmax():
    """Positive numbers that add up to 1 in each row, whatever the scores are."""
    import numpy as np

    def softmax(scores):
        scores = np.asarray(scores, dtype=float)
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    return softmax


softmax = Exercise(
    "softmax",
    "Write the softmax",
    ["softmax", "numerical stability", "axes of an array"],
    judge_softmax,
    write_softmax,
    "Subtracting the largest score changes no difference, and so no probability, but now the"
    " largest number under exp is 0. axis=-1 is the axis of the classes; keepdims keeps its place,"
    " so that the division fits.",
    [
        "np.exp(scores) gives positive numbers. What must you divide them by?",
        "Several images are several rows: .sum(axis=-1, keepdims=True) gives one sum a row.",
        "np.exp(1001) is inf. Subtract scores.max(axis=-1, keepdims=True) first.",
    ],
)


def measure_kept_accuracy(probabilities, labels, threshold):
    """Share of right answers among those that are given.

    Args:
        probabilities: Array of shape ``(n, classes)``.
        labels: Array of shape ``(n,)``.
        threshold: Answers with a lower probability are refused.
    """
    kept = probabilities.max(axis=1) >= threshold
    right = probabilities.argmax(axis=1) == labels
    return right[kept].mean() if kept.any() else 0.0


kept_accuracy = Exercise(
    "kept_accuracy",
    "What do you get for the price?",
    ["confidence threshold", "accuracy among the accepted"],
    judge_kept_accuracy,
    measure_kept_accuracy,
    "kept says which images get an answer, right says which answers are right. right[kept] looks at"
    " the first among the second.",
    [
        "highest['validation'] >= threshold says, image by image, who gets an answer.",
        "right says, image by image, which answer is right. right[mask] keeps some of it.",
        "The mean of True and False is the share of True.",
    ],
)


def draw_nonsense(run, real):
    """Add rectangles at random places, and keep what makes the model surer.

    Args:
        run: A trained run.
        real: Images that it must not be; not looked at here.
    """
    import numpy as np

    from imgclf_lib.model import predict_probabilities

    height, width, channels = run.environment["image_shape"]
    rng, best, surest = np.random.default_rng(0), np.zeros((height, width, channels), "uint8"), 0
    for _ in range(20):  # each time, 200 copies of the best picture get one rectangle more
        pictures = np.repeat(best[np.newaxis], 200, axis=0)
        for picture in pictures:
            top, left = rng.integers(0, height), rng.integers(0, width)
            tall, wide = rng.integers(1, height + 1), rng.integers(1, width + 1)
            picture[top : top + tall, left : left + wide] = rng.integers(0, 256, channels)
        confidence = predict_probabilities(run.model, pictures).max(axis=1)
        if confidence.max() > surest:
            best, surest = pictures[confidence.argmax()], confidence.max()
        if surest > 0.95:
            break
    return best


nonsense = Exercise(
    "nonsense",
    "A picture of nothing",
    ["confidence is no proof", "shape, type and range of an image"],
    judge_nonsense,
    draw_nonsense,
    "The loop draws rectangles at random places, and keeps whatever makes the model surer. It knows"
    " nothing about the classes, and still it ends with a picture that the model is sure about.",
    [
        "np.zeros((height, width, channels), 'uint8') is a black picture. Set some part of it to"
        " 255: picture[5:20, 8:20] = 255.",
        "predict_probabilities(run.model, picture[np.newaxis]).max() says how sure the model is.",
        "Let a loop draw random rectangles, and keep the picture with the highest confidence.",
    ],
)
