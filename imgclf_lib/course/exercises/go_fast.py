"""The exercises of notebook 10: the work of a layer, one cycle, even directions, mirror in turn."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from imgclf_lib.course.exercises.exercise import array, call, judge_function, number, question


def write_work():
    def work(height, width, channels, filters, kernel):
        return height * width * filters * kernel * kernel * channels

    return work


@question(
    "The work of a convolution",
    tests=["multiply-adds of a convolution", "why pooling early saves work"],
    hints=[
        "How many values does the layer hand on? One for each place and each filter.",
        "Each value is a sum over a window of kernel × kernel pixels, in every input channel.",
        "height * width * filters * kernel * kernel * channels",
    ],
    solve=write_work,
    explanation="Places times filters gives the number of values; each of them costs a whole"
    " window, in all input channels.",
)
def work(answer: Any) -> str:
    return judge_function(
        answer,
        write_work(),
        [(7, 5, 3, 11, 2), (14, 14, 32, 64, 3), (28, 28, 1, 8, 5)],
        "Height and width both count: with half of each, the same layer costs a quarter. That is"
        " why pooling early is worth so much.",
        lambda h, w, c, f, k: {
            "That is the number of weights. Each of them is used at every place of the image.": (
                f * c * k**2
            ),
            "The window has kernel × kernel pixels: multiply by kernel twice.": h * w * f * c * k,
            "Each window reaches through all input channels: multiply by them.": h * w * f * k**2,
            "There is one value for every filter: multiply by their number.": h * w * c * k**2,
            "A multiply-add is one step here: do not count the addition again.": (
                2 * h * w * f * c * k**2
            ),
        },
        lambda found, right, h, w, c, f, k: (
            f"A map of {h} x {w} pixels from {c} channels, {f} filters of {k} x {k}: {right:,} are"
            f" right, yours says {found:,.10g}. How many values are there, and what does one of"
            " them cost?"
        ),
    )


def write_rate():
    import math

    def rate(step, steps, peak):
        rising = 0.3 * steps
        if step < rising:
            return peak / 25 + (peak - peak / 25) * step / rising
        fallen = (step - rising) / (steps - rising)
        return peak * (1 + math.cos(math.pi * fallen)) / 2

    return rate


PLACES = np.array([0, 10, 20, 30, 47, 65, 90, 100])  # in percent of all steps
RISEN, FALLEN = PLACES / 30, (PLACES - 30) / 70


def _at_places(rate: Any) -> Callable[..., list[float]]:
    return lambda steps, peak: [
        number(call(rate, place * steps // 100, steps, peak)) for place in PLACES.tolist()
    ]


def _up(values: Any) -> np.ndarray:
    return np.where(RISEN < 1, values, math.nan)


def _down(values: Any) -> np.ndarray:
    return np.where(RISEN < 1, math.nan, values)


def _why_rate(found: np.ndarray, right: np.ndarray, steps: int, peak: float) -> str:
    if steps == 200:
        return "It is right for 100 steps, but not for 200: the 30 % depend on steps."
    return (
        f"With {steps} steps and a peak of {peak}: step 0 has {right[0]:.3g}, step 30 has {peak},"
        f" step 100 has 0. Yours: {found[0]:.3g}, {found[3]:.3g}, {found[-1]:.3g}."
    )


@question(
    "One cycle as a formula",
    tests=["learning rate schedule", "warm-up and decay"],
    hints=[
        "Two cases: before 30 % of the steps, and after.",
        "Before: start + (peak - start) * step / rising, with start = peak / 25, rising = 0.3 *"
        " steps.",
        "After: peak * (1 + cos(pi * fallen)) / 2, where fallen goes from 0 to 1.",
    ],
    solve=write_rate,
    explanation="Up along a straight line, down along half a cosine. The two parts meet at the"
    " peak: the line ends there, and the cosine begins there.",
)
def rate(answer: Any) -> str:
    right = _at_places(write_rate())
    return judge_function(
        _at_places(answer),
        right,
        [(100, 0.5), (200, 1.0)],
        "Slow while the weights are raw, fast in the middle, and fine at the end.",
        lambda steps, peak: {
            "You begin at 0. Begin at peak / 25.": _up(peak * RISEN),
            "Your way down is a straight line. It should be half a cosine.": (
                _down(peak * (1 - FALLEN))
            ),
            "That is a quarter of a cosine. Half of one goes from 1 to -1: add 1, and halve.": (
                _down(peak * np.cos(math.pi * FALLEN / 2))
            ),
            "The way up is right. Look at the way down, which starts after 30 %.": (
                _up(right(steps, peak))
            ),
            "The way down is right. Look at the first 30 %: a line up to the peak.": (
                _down(right(steps, peak))
            ),
        },
        _why_rate,
        relative=1e-3,
    )


def write_even():
    import numpy as np

    def even(step):
        left, _, right = np.linalg.svd(step, full_matrices=False)
        return left @ right

    return even


def _turned(step: np.ndarray) -> np.ndarray:
    left, _, right = np.linalg.svd(step, full_matrices=False)
    return left @ right.T


def _why_uneven(found: np.ndarray, *_: Any) -> str:
    lengths = np.linalg.svd(found, compute_uv=False)
    return (
        f"The singular values of your result go from {lengths.min():.3g} to {lengths.max():.3g};"
        " all should be 1, and the directions those of the step."
    )


@question(
    "All directions alike",
    tests=["singular values", "what Muon does to a step"],
    hints=[
        "np.linalg.svd(step, full_matrices=False) gives three things: left, lengths, right.",
        "The step itself is left @ np.diag(lengths) @ right. Which lengths should there be?",
        "left @ right",
    ],
    solve=write_even,
    explanation="A matrix is left @ diag(lengths) @ right. With all lengths 1, only the directions"
    " are left.",
)
def even(answer: Any) -> str:
    return judge_function(
        answer,
        write_even(),
        [(np.random.default_rng(0).normal(size=(6, 4)) @ np.diag([8.0, 2.0, 0.5, 0.1]),)],
        "The directions of the step stay, and each of them counts alike.",
        lambda step: {
            "That is the step itself: its lengths are still in it.": step,
            "You divided by the largest length. The others are still shorter than 1.": (
                step / np.linalg.norm(step, 2)
            ),
            "You divided by the length of the whole matrix. The directions still differ.": (
                step / np.linalg.norm(step)
            ),
            "svd gives the right side turned already: do not transpose it again.": _turned(step),
            "These are the lengths. Put the matrix together again, with all of them 1.": (
                np.linalg.svd(step, compute_uv=False)
            ),
            "That is the sign of each number."
            " The directions of the whole matrix are meant.": np.sign(step),
        },
        _why_uneven,
        shape=lambda found, right, step: (
            f"A step of shape {step.shape} should keep its shape; yours is {found.shape}. Did you"
            " leave out full_matrices=False?"
        ),
    )


def write_mirror():
    def mirror(first, epoch):
        return (first + epoch) % 2 == 1

    return mirror


def _in_epochs(mirror: Any) -> Callable[..., list[np.ndarray]]:
    return lambda first: [array(call(mirror, first, epoch)) for epoch in range(4)]


@question(
    "Mirror in turn",
    tests=["alternating augmentation", "boolean arrays"],
    hints=[
        "In epoch 0 the answer is first itself. What is it in epoch 1, and in epoch 2?",
        "Even epochs repeat first, odd epochs turn it round: is first + epoch even or odd?",
        "(first + epoch) % 2 == 1",
    ],
    solve=write_mirror,
    explanation="Adding the epoch turns every answer round from one epoch to the next; the"
    " remainder of a division by 2 says whether a number is odd.",
)
def mirror(answer: Any) -> str:
    right = _in_epochs(write_mirror())
    return judge_function(
        _in_epochs(answer),
        right,
        [(np.array([0, 1, 1, 0, 1]),)],
        "Two epochs show every image both ways: nothing is left to luck.",
        lambda first: {
            "That is the same in every epoch. The epoch must turn it round.": np.tile(
                first, (4, 1)
            ),
            "Exactly the wrong way round: in epoch 0 the answer is first itself.": (
                1 - array(right(first))
            ),
        },
        lambda found, *_: (
            "Epoch 0 is first, epoch 1 turns it round, epoch 2 is first again, and so on."
            if np.isin(found, (0, 1)).all()
            else "Only two answers are possible for each image: True or False (or 1 and 0)."
        ),
        shape=lambda found, right, first: (
            f"One answer for each image is wanted: {len(first)}, in an array."
        ),
    )
