"""The exercises of notebook 10: the work of a layer, one cycle, even directions, mirror in turn."""

from imgclf_lib.exercises.exercise import Exercise
from imgclf_lib.exercises.speed_judge import (
    judge_even,
    judge_mirror,
    judge_rate,
    judge_work,
)


def write_work():
    """At each place of the output, each filter looks at a window of all input channels."""

    def work(height, width, channels, filters, kernel):
        return height * width * filters * kernel * kernel * channels

    return work


work = Exercise(
    "work",
    "The work of a convolution",
    ["multiply-adds of a convolution", "why pooling early saves work"],
    judge_work,
    write_work,
    "Places times filters gives the number of values; each of them costs a whole window.",
    [
        "How many values does the layer hand on? One for each place and each filter.",
        "Each value is a sum over a window of kernel × kernel pixels, in every input channel.",
        "height * width * filters * kernel * kernel * channels",
    ],
)


def write_rate():
    """Up along a straight line, down along half a cosine."""
    import math

    def rate(step, steps, peak):
        rising = 0.3 * steps
        if step < rising:
            return peak / 25 + (peak - peak / 25) * step / rising
        fallen = (step - rising) / (steps - rising)
        return peak * (1 + math.cos(math.pi * fallen)) / 2

    return rate


rate = Exercise(
    "rate",
    "One cycle as a formula",
    ["learning rate schedule", "warm-up and decay"],
    judge_rate,
    write_rate,
    "The two parts meet at the peak: the line ends there, and the cosine begins there.",
    [
        "Two cases: before 30 % of the steps, and after.",
        "Before: start + (peak - start) * step / rising, with start = peak / 25, rising = 0.3 *"
        " steps.",
        "After: peak * (1 + cos(pi * fallen)) / 2, where fallen goes from 0 to 1.",
    ],
)


def write_even():
    """The singular value decomposition without its singular values."""
    import numpy as np

    def even(step):
        left, _, right = np.linalg.svd(step, full_matrices=False)
        return left @ right

    return even


even = Exercise(
    "even",
    "All directions alike",
    ["singular values", "what Muon does to a step"],
    judge_even,
    write_even,
    "A matrix is left @ diag(lengths) @ right. With all lengths 1, only the directions are left.",
    [
        "np.linalg.svd(step, full_matrices=False) gives three things: left, lengths, right.",
        "The step itself is left @ np.diag(lengths) @ right. Which lengths should there be?",
        "left @ right",
    ],
)


def write_mirror():
    """Odd sums are mirrored: every epoch turns all answers round."""

    def mirror(first, epoch):
        return (first + epoch) % 2 == 1

    return mirror


mirror = Exercise(
    "mirror",
    "Mirror in turn",
    ["alternating augmentation", "boolean arrays"],
    judge_mirror,
    write_mirror,
    "Adding the epoch turns every answer round from one epoch to the next; the remainder of a"
    " division by 2 says whether a number is odd.",
    [
        "In epoch 0 the answer is first itself. What is it in epoch 1, and in epoch 2?",
        "Even epochs repeat first, odd epochs turn it round: is first + epoch even or odd?",
        "(first + epoch) % 2 == 1",
    ],
)
