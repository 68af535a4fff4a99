"""The exercises of notebook 04: the loss, the way down, counting steps, a better experiment."""

from imgclf_lib.exercises import training_judge as judges
from imgclf_lib.exercises.exercise import Exercise
from imgclf_lib.exercises.loss_judge import judge_cross_entropy


def write_cross_entropy():
    """Take the logarithm of the softmax without any overflow."""
    import numpy as np

    def cross_entropy(scores, labels):
        scores = scores - scores.max(axis=1, keepdims=True)  # the probabilities stay the same
        logarithms = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return -logarithms[np.arange(len(labels)), labels].mean()

    return cross_entropy


cross_entropy = Exercise(
    "cross_entropy",
    "The loss as a function",
    ["softmax along the classes", "mean of the logarithms at the true class", "no overflow"],
    judge_cross_entropy,
    write_cross_entropy,
    "Taking the largest score of an image away from all its scores changes no probability, and"
    " then no power is larger than 1.",
    [
        "First the softmax: powers of e, divided by their sum over the classes of the same image.",
        "probabilities[np.arange(len(labels)), labels] picks the true class of each image.",
        "Minus the mean of the logarithms. And before np.exp: subtract the largest score of each"
        " image, scores.max(axis=1, keepdims=True).",
    ],
)


def write_descent():
    """Ask for the slope at every place, and go against it."""

    def descend(slope, start, rate, steps):
        place = start
        for _ in range(steps):
            place = place - rate * slope(place)
        return place

    return descend


descend = Exercise(
    "descend",
    "Walk downhill",
    ["the update rule", "a new slope at each place", "nothing else is changed"],
    judges.judge_descent,
    write_descent,
    "Each step is the rate times the slope at the present place, against the slope.",
    [
        "Begin with place = start, and repeat something `steps` times.",
        "One step: the new place is the old place minus the rate times slope(place).",
        "place = place - rate * slope(place), inside for _ in range(steps).",
    ],
)


def count_steps(shared, dataset):
    """Divide the training images among batches; the last one may be smaller."""
    import math

    return math.ceil(len(dataset.train) / shared.batch_size)


steps = Exercise(
    "steps",
    "How many steps has an epoch?",
    ["a batch is a step", "the last batch may be smaller"],
    judges.judge_steps,
    count_steps,
    "Each batch is one step, and the images that are left make a last, smaller batch.",
    [
        "len(dataset.train) images, shared.batch_size in each batch.",
        "If they do not divide evenly, the images that are left make one more batch.",
        "math.ceil rounds up.",
    ],
)


def count_updates(shared, dataset):
    """Steps of one epoch, times the epochs."""
    import math

    return math.ceil(len(dataset.train) / shared.batch_size) * shared.epochs


updates = Exercise(
    "updates",
    "How often does each weight change?",
    ["one update a step", "each epoch ends with its own last batch"],
    judges.judge_updates,
    count_updates,
    "Each step changes each weight once, and each epoch has the same number of steps.",
    [
        "How often does each weight change in one step?",
        "Multiply the steps of one epoch by shared.epochs.",
    ],
)


def choose_rival(trial, noise):
    """Try a few experiments that take more or larger steps, and keep the best."""
    from imgclf_lib.train import train

    smaller = trial.replace(batch_size=max(1, trial.batch_size // 4))
    faster = trial.replace(learning_rate=min(2 * trial.learning_rate, 1.0))
    bolder = smaller.replace(dropout=trial.dropout / 2)

    def measure(experiment):
        history = train(experiment, progress="none").history
        return history["val_accuracy"].max(), -history["val_loss"].min()

    return max((smaller, faster, bolder), key=measure)


rival = Exercise(
    "rival",
    "Beat the trial",
    ["choosing knobs", "fair comparison on the validation images", "difference against noise"],
    judges.judge_rival,
    choose_rival,
    "In so few epochs the trial has taken few steps. Smaller batches give it more of them, a"
    " higher rate makes them larger.",
    [
        "The tables of this notebook hold several experiments that you may compare with the trial.",
        "In so few epochs, what helps is mostly more steps, or larger ones.",
        "trial.replace(batch_size=…) with a smaller batch; then look at the learning rate.",
    ],
)
