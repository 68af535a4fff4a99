"""Judges of the exercises of notebook 04: steps downhill, counting, a better experiment."""

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from imgclf_lib.data import ImageData
from imgclf_lib.datasets import KNOWN
from imgclf_lib.exercises.exercise import Mistake, array, call, number
from imgclf_lib.experiment import Experiment
from imgclf_lib.train import train

SAME_DATA = ("image_size", "color", "resize", "validation_fraction", "test_fraction", "split_seed")
# What checking an answer may cost: no layer is larger than in the network of the course.
LARGEST = {"filters": 64, "dense_units": 256, "convolutions": 2}
MOST_LAYERS = 4


def judge_descent(function: Any) -> str:
    """Whether a function walks downhill.

    Args:
        function: The learner's function of slope, start, rate and steps.

    Returns:
        What to say about a right one.

    Raises:
        Mistake: If it is wrong; typical mistakes have their own message.
    """
    value = number(call(function, lambda place: 2 * place, 5.0, 0.1, 3))
    mistakes = {
        5 * 1.2**3: "It climbs. The slope points uphill: subtract it.",
        5 - 3 * 0.1 * 10: "It uses the slope of the start for every step. Ask for the slope again"
        " at each new place.",
        5 * 0.8: "It takes one step, whatever `steps` says.",
        5 * 0.8**2: "It takes one step too few.",
        5 * 0.8**4: "It takes one step too many.",
        -5.0: "It leaves the rate out. A step is rate times slope.",
        5.0: "It stays at the start. Keep the new place after each step.",
        5 - 3 * 0.1: "It goes down by the rate. A step is rate times slope.",
    }
    if not np.isclose(value, 5 * 0.8**3):
        for mistaken, message in mistakes.items():
            if np.isclose(value, mistaken):
                raise Mistake(message)
        raise Mistake(
            "On the hill place², whose slope is 2 * place, three steps with rate 0.1 lead from 5"
            f" to 4, 3.2 and 2.56. Yours end at {value:g}."
        )
    start = np.array([3.0, -2.0])
    found = array(call(function, lambda place: place * np.array([2.0, 8.0]), start, 0.1, 4))
    if not np.array_equal(start, [3.0, -2.0]):
        raise Mistake(
            "The result is right, but your function also changes the array `start` itself. Write"
            " place = place - … and not place -= …"
        )
    if found.shape != (2,) or not np.allclose(found, [3 * 0.8**4, -2 * 0.2**4]):
        raise Mistake(
            "It works for one number, but not for an array of weights. Training moves all weights"
            " at once."
        )
    if not np.isclose(number(call(function, lambda place: 2 * place, 5.0, 0.1, 0)), 5):
        raise Mistake("With no steps at all the place is the start.")
    return "Look, find the slope, take a small step, repeat. This is what an optimiser does."


def judge_steps(answer: Any, shared: Experiment, dataset: ImageData) -> str:
    """Whether this is the number of steps in an epoch.

    Args:
        answer: The learner's number.
        shared: The experiment.
        dataset: Its data.

    Returns:
        What to say about the right number.

    Raises:
        Mistake: If it is wrong; typical mistakes have their own message.
    """
    value, images, size = number(answer), len(dataset.train), shared.batch_size
    right, rest = math.ceil(images / size), images % size
    if value == right:
        last = (
            f"the last batch holds the {rest:,} that are left" if rest else "all batches are full"
        )
        return f"{images:,} images in batches of {size:,}: {right:,} steps, {last}."
    if value == images // size:
        raise Mistake(
            f"{images // size:,} full batches leave {rest:,} images over. They are trained on too,"
            " in a smaller batch."
        )
    if value in (images, size):
        raise Mistake(
            "A step is made for a whole batch. How many batches do the training images fill?"
        )
    if np.isclose(value, images / size):
        raise Mistake("There are no parts of a step. What happens to the images that are left?")
    if value == right * shared.epochs:
        raise Mistake("That is for all epochs. The question is about one.")
    raise Mistake(
        f"{value:,.10g} is not it. There are {images:,} training images, and {size:,} of them go"
        " into a batch."
    )


def judge_updates(answer: Any, shared: Experiment, dataset: ImageData) -> str:
    """Whether this is how often each weight changes in the whole training.

    Args:
        answer: The learner's number.
        shared: The experiment.
        dataset: Its data.

    Returns:
        What to say about the right number.

    Raises:
        Mistake: If it is wrong; typical mistakes have their own message.
    """
    value, images, size = number(answer), len(dataset.train), shared.batch_size
    steps, epochs = math.ceil(images / size), shared.epochs
    if value == steps * epochs:
        return (
            f"{steps:,} steps in each of {epochs:,} epochs, and each step moves every weight once."
        )
    mistakes = {
        images * epochs: "A weight does not change after each image, but after each batch.",
        steps: "That is one epoch.",
        epochs: "A weight does not change once an epoch, but at each step.",
        images // size * epochs: "Each epoch has one more step, for the images that do not fill a"
        " batch.",
        math.ceil(images * epochs / size): "A batch never holds images of two epochs: each epoch"
        " ends with its own last batch. Round up first, then multiply.",
    }
    if value in mistakes:
        raise Mistake(mistakes[int(value)])
    raise Mistake(f"{value:,.10g} is not it. Multiply the steps of one epoch by what?")


def judge_rival(answer: Any, trial: Experiment, noise: float) -> str:
    """Whether an experiment reaches a higher validation accuracy than another one.

    Args:
        answer: The learner's experiment, or a dictionary of what it changes.
        trial: The experiment to beat.
        noise: Largest difference in accuracy that may be luck.

    Returns:
        What to say about a better one.

    Raises:
        Mistake: If it is not better, or not comparable.
    """
    rival = trial.replace(**answer) if isinstance(answer, dict) else answer
    rival = getattr(rival, "experiment", rival)  # a run, or a trial
    if not isinstance(rival, Experiment):
        raise Mistake("An experiment is wanted here, such as trial.replace(dropout=0.1).")
    changed = _refuse_unfair(rival, trial)
    own, other = (train(each, progress="none").history for each in (rival, trial))
    reached, old = own["val_accuracy"].max(), other["val_accuracy"].max()
    lower = own["val_loss"].min() < other["val_loss"].min()
    said = f"Validation accuracy {reached:.4f}; the trial reached {old:.4f}."
    if reached < old:
        raise Mistake(f"{said} That is worse. What does its learning curve lack: steps, or care?")
    if reached == old and not lower:
        raise Mistake(f"{said} That is no better, and the validation loss is no lower.")
    said += " The validation loss decides: it is lower." if reached == old else ""
    if reached - old > noise:
        return f"{said} You changed {changed}. The difference is larger than the noise."
    return (
        f"{said} You changed {changed}. But a difference up to {noise:.4f} may be luck: try it with"
        " another seed before you tell anybody."
    )


def _refuse_unfair(rival: Experiment, trial: Experiment) -> str:
    """The fields that differ, in words; raises Mistake if the two cannot be compared."""
    changed = [
        each.name
        for each in fields(trial)
        if getattr(rival, each.name) != getattr(trial, each.name)
        and not (each.name == "data" and _place(rival) == _place(trial))
    ]
    if not changed:
        raise Mistake("This is the trial itself. Change at least one knob with replace.")
    if changed == ["seed"]:
        raise Mistake("Another seed is only luck. Change a knob that means something.")
    if "data" in changed or set(changed) & set(SAME_DATA):
        raise Mistake(
            "Both must learn from and be measured on the very same images: leave"
            f" {', '.join(name for name in changed if name in ('data', *SAME_DATA))} alone."
        )
    if rival.epochs > trial.epochs:
        raise Mistake(f"No more than {trial.epochs} epochs: with more time anybody can win.")
    if (rival.limit or math.inf) > (trial.limit or math.inf):
        raise Mistake(f"No more than {trial.limit:,} training images, please.")
    for name, largest in LARGEST.items():
        value = getattr(rival, name)
        sizes = value if isinstance(value, tuple) else (value,)
        if max(sizes, default=0) > largest or len(sizes) > MOST_LAYERS:
            raise Mistake(
                f"Keep {name} small, so that checking stays short: {largest} at most"
                + (f", and {MOST_LAYERS} layers." if isinstance(value, tuple) else ".")
            )
    return ", ".join(name.replace("_", " ") for name in changed)


def _place(experiment: Experiment) -> str:
    if experiment.data in KNOWN:
        return experiment.data
    return str(Path(experiment.data).expanduser().resolve())
