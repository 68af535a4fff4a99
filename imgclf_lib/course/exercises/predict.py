"""The exercises of notebook 06: probabilities, thresholds, and pictures made from nothing."""

from typing import Any

import numpy as np

from imgclf_lib.course.exercises.exercise import (
    Mistake,
    array,
    judge_function,
    judge_number,
    number,
    question,
)
from imgclf_lib.network import predict_probabilities
from imgclf_lib.training import Run


def add_up_what_is_left(probabilities):
    least_sure = probabilities[probabilities.max(axis=1).argmin()]
    return sum(sorted(least_sure)[:-3])


@question(
    "What is left for the others?",
    tests=["probabilities add up to one", "reading a picture of predictions"],
    hints=[
        "What do the probabilities of all classes of one image add up to?",
        "Add the numbers beside the three bars of the last image, and subtract the sum from 1.",
    ],
    solve=add_up_what_is_left,
    explanation="The probabilities of all classes of one image add up to 1. What the three best do"
    " not take is left for the rest. With three classes or fewer nothing is left.",
)
def left_over(answer: Any, probabilities: np.ndarray) -> str:
    shown = np.sort(probabilities[probabilities.max(1).argmin()])[::-1][:3].astype(float)
    together, found = shown.sum(), number(answer)
    return judge_number(
        answer,
        1 - together,
        f"1 - {together:.3f} = {abs(1 - together):.3f}. All classes together have 1,"
        " so whatever the shown ones do not have, the others share.",
        {
            "That is what the three bars have together. How much is missing to 1?": together,
            "You have subtracted the first bar alone. Subtract all bars of this image.": (
                1 - shown[0]
            ),
        },
        "Add up the numbers beside the bars of the last image. All classes together have 1."
        if 0 <= found <= 1
        else "A probability lies between 0 and 1.",
        share=True,
        close=0.0021,  # somebody adds up three numbers of three decimals
    )


def find_first_change(run, photo):
    import numpy as np

    from imgclf_lib.network import predict_probabilities

    moved = [np.roll(photo, shift, axis=1) for shift in range(photo.shape[1])]
    called = predict_probabilities(run.model, np.stack(moved)).argmax(axis=1)
    return int((called != called[0]).argmax())  # the first True; 0 if there is none


def _change(run: Run, photo: np.ndarray, sign: int, axis: int) -> int:
    """The first shift in a direction that changes the answer; 0 if none does."""
    shifts = range(photo.shape[axis])
    moved = np.stack([np.roll(photo, sign * shift, axis) for shift in shifts])
    answers = predict_probabilities(run.model, moved).argmax(1)
    return int((answers != answers[0]).argmax())


@question(
    "How far can you push it?",
    tests=["robustness of a prediction", "predicting a batch of images"],
    hints=[
        "np.roll(photo, 3, axis=1) moves the picture by three pixels to the right.",
        "Make a list of shifted pictures with shifts 0, 1, 2, …, np.stack it, and give it to"
        " predict_probabilities(run.model, …).argmax(1).",
        "Compare each answer with answer number 0. The first difference is what you look for.",
    ],
    given="photo = known.images[0]",
    solve=find_first_change,
    explanation="All shifted versions go through the model as one batch. Number 0 is the picture"
    " itself, and argmax of the comparison finds the first answer that differs from its answer.",
)
def first_change(answer: Any, run: Run, photo: np.ndarray) -> str:
    right, found, width = _change(run, photo, 1, 1), number(answer), photo.shape[1]
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


def write_softmax():
    import numpy as np

    def softmax(scores):
        scores = np.asarray(scores, dtype=float)
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    return softmax


def _why_softmax(found: np.ndarray, right: np.ndarray, scores: np.ndarray) -> str:
    if scores.max() > 1000:
        return (
            f"For the scores 1001, 1000, 998 the answer is {found.tolist()}: exp(1001) is too large"
            " for a computer. Only differences count, so subtract the largest score first."
        )
    if scores.ndim == 1 and not np.isclose(found.sum(), 1):
        return f"The probabilities of {scores.tolist()} add up to {found.sum():.4g}, not to 1."
    if scores.ndim == 1:
        return (
            f"For {scores.tolist()} the answer should be {right.round(3).tolist()}; yours is"
            f" {found.round(3).tolist()}."
        )
    if scores.min() > -1000 and not np.allclose(found.sum(1), 1, atol=1e-4):
        return (
            "With two images, one a row, each row must add up to 1. Sum along the last axis:"
            " .sum(axis=-1, keepdims=True)."
        )
    return "One row is right alone, and wrong beside another. Take the max of each row."


@question(
    "Write the softmax",
    tests=["softmax", "numerical stability", "axes of an array"],
    hints=[
        "np.exp(scores) gives positive numbers. What must you divide them by?",
        "Several images are several rows: .sum(axis=-1, keepdims=True) gives one sum a row.",
        "np.exp(1001) is inf. Subtract scores.max(axis=-1, keepdims=True) first.",
    ],
    solve=write_softmax,
    explanation="Subtracting the largest score changes no difference, and so no probability, but"
    " now the largest number under exp is 0. axis=-1 is the axis of the classes; keepdims keeps its"
    " place, so that the division fits.",
)
def softmax(answer: Any) -> str:
    scores = [
        *([2.0, 1.0, -1.0], [1001.0, 1000.0, 998.0]),
        *([[2.0, 1.0, -1.0], [0.0, 0.0, 3.0]], [[0.0, -1.0], [-2000.0, -2001.0]]),
    ]
    try:
        return judge_function(
            answer,
            write_softmax(),
            [(np.array(each),) for each in scores],
            "Your softmax adds up to 1, stays calm with large scores, and takes whole batches.",
            lambda scores: {
                "exp is done. Now divide by the sum, so that they add up to 1.": np.exp(scores),
                "You divide the scores themselves. Take exp of them first: none is negative"
                " then.": (scores / scores.sum()),
            },
            _why_softmax,
            shape=lambda found, right, scores: (
                f"For {len(scores)} scores there must be {len(scores)} probabilities."
                if scores.ndim == 1
                else f"Two rows of scores must give two rows; yours have shape {found.shape}."
            ),
            changed="Your function changes the scores of its caller. Make a new array instead.",
            close=1e-4,
        )
    except np.exceptions.AxisError:
        raise Mistake("One row has one axis only; axis=-1 fits one row and several.") from None


def measure_kept_accuracy(chances, labels, threshold):
    kept = chances.max(axis=1) >= threshold
    hits = chances.argmax(axis=1) == labels
    return hits[kept].mean() if kept.any() else 0.0


@question(
    "What do you get for the price?",
    tests=["confidence threshold", "accuracy among the accepted"],
    hints=[
        "highest['validation'] >= threshold says, image by image, who gets an answer.",
        "right says, image by image, which answer is right. right[mask] keeps some of it.",
        "The mean of True and False is the share of True.",
    ],
    given='chances, labels = results["validation"], real.labels',
    solve=measure_kept_accuracy,
    explanation="kept says which images get an answer, hits says which answers are right."
    " hits[kept] looks at the first among the second.",
)
def kept_accuracy(
    answer: Any, probabilities: np.ndarray, labels: np.ndarray, threshold: float
) -> str:
    kept = probabilities.max(1) >= threshold
    right = probabilities.argmax(1) == labels
    if not kept.any():
        found = number(answer)
        if np.isnan(found) or found == 0:
            return f"No image reaches {threshold:.0%}: there is nothing to be right about."
        raise Mistake(f"No image has a confidence of {threshold:.0%} or more. Then answer 0.")
    wanted = right[kept].mean()
    return judge_number(
        answer,
        wanted,
        f"{wanted:.1%} of the given answers are right, against {right.mean():.1%} of all."
        f" The price: {1 - kept.mean():.1%} of the real images get no answer.",
        {
            "That is a number of images. Divide it by how many get an answer.": (
                right & kept
            ).sum(),
            "That is how many images get an answer. How many of those are right?": kept.mean(),
            "That is the accuracy on all images. Leave out those that are refused.": right.mean(),
            "You have divided by the number of all images. Divide by how many get an answer.": (
                right & kept
            ).mean(),
            "These are the refused ones: you kept those below the threshold.": (
                right[~kept].mean() if not kept.all() else -1
            ),
            "That share of the given answers is wrong. How many are right?": 1 - wanted,
        },
        f"Among the {kept.sum():,} images with a confidence of {threshold} or more, what share has"
        " the right answer?",
        share=True,
        close=0.0006,
    )


def draw_nonsense(run, real):
    """The real images are not looked at: the picture must be none of them."""
    import numpy as np

    from imgclf_lib.network import predict_probabilities

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


def _as_image(picture: Any, shape: tuple[int, ...]) -> np.ndarray:
    """What a learner drew as ``uint8`` of the shape of the run's images; raises ``Mistake``."""
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
    return pixels.astype("uint8")


@question(
    "A picture of nothing",
    tests=["confidence is no proof", "shape, type and range of an image"],
    hints=[
        "np.zeros((height, width, channels), 'uint8') is a black picture. Set some part of it to"
        " 255: picture[5:20, 8:20] = 255.",
        "predict_probabilities(run.model, picture[np.newaxis]).max() says how sure the model is.",
        "Let a loop draw random rectangles, and keep the picture with the highest confidence.",
    ],
    place="picture",
    solve=draw_nonsense,
    explanation="The loop draws rectangles at random places, and keeps whatever makes the model"
    " surer. It knows nothing about the classes, and still it ends with a picture that the model is"
    " sure about.",
)
def nonsense(answer: Any, run: Run, real: np.ndarray, *made: np.ndarray) -> str:
    pixels = _as_image(answer, tuple(run.environment["image_shape"]))

    def among(images: np.ndarray) -> bool:
        return bool((abs(images.astype("int16") - pixels).mean((1, 2, 3)) < 4).any())

    if among(real):
        raise Mistake("This is one of the real images. Make a picture from nothing.")
    if any(map(among, made)):
        raise Mistake("This notebook has made this picture already. Make one of your own.")
    # A model that is seldom sure need not be surer than it is about half of the real images.
    wanted = min(0.9, float(np.median(predict_probabilities(run.model, real).max(1))))
    probabilities = predict_probabilities(run.model, pixels[np.newaxis])[0]
    said = (
        f"The model takes it for {run.class_names[probabilities.argmax()]}, with"
        f" {probabilities.max():.1%}."
    )
    if probabilities.max() <= wanted:
        raise Mistake(
            f"{said} More than {wanted:.1%} is wanted. Try other shapes, sizes and places, or let a"
            " loop try many."
        )
    return (
        f"{said} Nobody else would. So a high confidence is no proof that there is anything to"
        " recognise."
    )
