"""Judges of the exercises of notebook 10: work, a schedule, mirroring, and even directions."""

import math
from typing import Any

import numpy as np

from imgclf_lib.exercises.exercise import Mistake, array, call, number


def judge_work(function: Any) -> str:
    """Whether a function counts the multiply-adds of a convolution.

    Args:
        function: The learner's function of height, width, channels, filters and kernel.

    Returns:
        What to say about a right one.

    Raises:
        Mistake: If it is wrong; typical mistakes have their own message.
    """
    found, right = [], []
    for shape in ((7, 5, 3, 11, 2), (14, 14, 32, 64, 3), (28, 28, 1, 8, 5)):
        height, width, channels, filters, kernel = shape
        found.append(number(call(function, *shape)))
        right.append(height * width * channels * filters * kernel**2)
    if found == right:
        return (
            "Height and width both count: with half of each, the same layer costs a quarter. That"
            " is why pooling early is worth so much."
        )
    mistakes = {
        "That is the number of weights. Each of them is used at every place of the image.": [
            3 * 11 * 4,
            32 * 64 * 9,
            8 * 25,
        ],
        "The window has kernel × kernel pixels: multiply by kernel twice.": [
            value // shape for value, shape in zip(right, (2, 3, 5), strict=True)
        ],
        "Each window reaches through all input channels: multiply by them.": [
            value // shape for value, shape in zip(right, (3, 32, 1), strict=True)
        ],
        "There is one value for every filter: multiply by their number.": [
            value // shape for value, shape in zip(right, (11, 64, 8), strict=True)
        ],
        "A multiply-add is one step here: do not count the addition again.": [
            2 * value for value in right
        ],
    }
    for message, values in mistakes.items():
        if found == values:
            raise Mistake(message)
    raise Mistake(
        f"A map of 7 x 5 pixels from 3 channels, 11 filters of 2 x 2: {right[0]:,} are right,"
        f" yours says {found[0]:,.10g}. How many values are there, and what does one of them cost?"
    )


def judge_rate(function: Any) -> str:
    """Whether a function gives the learning rate of one cycle.

    Args:
        function: The learner's function of step, number of steps and peak.

    Returns:
        What to say about a right one.

    Raises:
        Mistake: If it is wrong; typical mistakes have their own message.
    """
    steps, peak = 100, 0.5
    places = [0, 10, 20, 30, 47, 65, 90, 100]
    found = np.array([number(call(function, step, steps, peak)) for step in places])
    line = peak / 25 + (peak - peak / 25) * np.array(places) / 30
    fallen = (np.array(places) - 30) / 70
    down = peak * (1 + np.cos(math.pi * fallen)) / 2
    rising = np.array(places) < 30
    right = np.where(rising, line, down)
    if np.allclose(found, right, rtol=1e-3, atol=1e-6):
        other = number(call(function, 30, 200, 1.0))
        if math.isclose(other, 0.04 + 0.96 * 0.5, rel_tol=1e-3):
            return "Slow while the weights are raw, fast in the middle, and fine at the end."
        raise Mistake("It is right for 100 steps, but not for 200: the 30 % depend on steps.")
    if np.allclose(found[rising], peak * np.array(places)[rising] / 30):
        raise Mistake("You begin at 0. Begin at peak / 25.")
    if np.allclose(found[~rising], peak * (1 - fallen[~rising]), atol=1e-6):
        raise Mistake("Your way down is a straight line. It should be half a cosine.")
    if np.allclose(found[~rising], peak * np.cos(math.pi * fallen[~rising] / 2), atol=1e-6):
        raise Mistake(
            "That is a quarter of a cosine. Half of one goes from 1 to -1: add 1, and halve."
        )
    if np.allclose(found[rising], line[rising]):
        raise Mistake("The way up is right. Look at the way down, which starts after 30 %.")
    if np.allclose(found[~rising], down[~rising], atol=1e-6):
        raise Mistake("The way down is right. Look at the first 30 %: a line up to the peak.")
    raise Mistake(
        f"With 100 steps and a peak of 0.5: step 0 has {right[0]:.3g}, step 30 has 0.5, step 100"
        f" has 0. Yours: {found[0]:.3g}, {found[3]:.3g}, {found[-1]:.3g}."
    )


def judge_mirror(function: Any) -> str:
    """Whether a function says which images are mirrored in an epoch.

    Args:
        function: The learner's function of an array of 0 and 1, and the epoch.

    Returns:
        What to say about a right one.

    Raises:
        Mistake: If it is wrong; typical mistakes have their own message.
    """
    first = np.array([0, 1, 1, 0, 1])
    found = [array(call(function, first.copy(), epoch)).astype(int) for epoch in range(4)]
    if any(each.shape != first.shape for each in found):
        raise Mistake(f"One answer for each image is wanted: {len(first)}, in an array.")
    right = [(first + epoch) % 2 for epoch in range(4)]
    if all(np.array_equal(*pair) for pair in zip(found, right, strict=True)):
        return "Two epochs show every image both ways: nothing is left to luck."
    if all(np.array_equal(each, first) for each in found):
        raise Mistake("That is the same in every epoch. The epoch must turn it round.")
    if all(np.array_equal(each, 1 - answer) for each, answer in zip(found, right, strict=True)):
        raise Mistake("Exactly the wrong way round: in epoch 0 the answer is first itself.")
    if all(np.isin(each, (0, 1)).all() for each in found):
        raise Mistake(
            "Epoch 0 is first, epoch 1 turns it round, epoch 2 is first again, and so on."
        )
    raise Mistake("Only two answers are possible for each image: True or False (or 1 and 0).")


def judge_even(function: Any) -> str:
    """Whether a function makes all singular values of a matrix 1.

    Args:
        function: The learner's function of a matrix.

    Returns:
        What to say about a right one.

    Raises:
        Mistake: If it is wrong; typical mistakes have their own message.
    """
    step = np.random.default_rng(0).normal(size=(6, 4)) @ np.diag([8.0, 2.0, 0.5, 0.1])
    found = array(call(function, step.copy()))
    left, lengths, right = np.linalg.svd(step, full_matrices=False)
    wanted = left @ right
    if found.shape == wanted.shape and np.allclose(found, wanted, atol=1e-6):
        return "The directions of the step stay, and each of them counts alike."
    if found.shape != wanted.shape:
        raise Mistake(
            f"A step of shape {step.shape} should keep its shape; yours is {found.shape}. Did you"
            " leave out full_matrices=False?"
        )
    mistakes = {
        "That is the step itself: its lengths are still in it.": step,
        "You divided by the largest length. The others are still shorter than 1.": step
        / lengths.max(),
        "You divided by the length of the whole matrix. The directions still differ.": step
        / np.linalg.norm(step),
        "svd gives the right side turned already: do not transpose it again.": left @ right.T,
        "That is the sign of each number. The directions of the whole matrix are meant.": np.sign(
            step
        ),
    }
    for message, values in mistakes.items():
        if np.allclose(found, values, atol=1e-6):
            raise Mistake(message)
    spread = np.linalg.svd(found, compute_uv=False)
    raise Mistake(
        f"The singular values of your result go from {spread.min():.3g} to {spread.max():.3g}; all"
        " should be 1, and the directions those of the step."
    )
