"""The exercises of notebook 04: the loss, the way down, counting steps, a better experiment."""

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from imgclf_lib.course import train_all
from imgclf_lib.course.exercises.exercise import (
    Mistake,
    judge_function,
    judge_number,
    number,
    question,
)
from imgclf_lib.data import KNOWN, ImageData, load_data
from imgclf_lib.experiment import Experiment

SAME_DATA = ("image_size", "color", "resize", "validation_fraction", "test_fraction", "split_seed")
# What checking an answer may cost: no layer is larger than in the network of the course.
LARGEST = {"filters": 64, "dense_units": 256, "convolutions": 2}
MOST_LAYERS = 4
SEEDS = 3  # of each side


def write_cross_entropy():
    import numpy as np

    def cross_entropy(scores, labels):
        scores = scores - scores.max(axis=1, keepdims=True)  # the probabilities stay the same
        logarithms = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
        return -logarithms[np.arange(len(labels)), labels].mean()

    return cross_entropy


def _chances(scores: np.ndarray, axis: int = 1) -> np.ndarray:
    powers = np.exp(scores - scores.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def _pick(values: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return values[np.arange(len(labels)), labels]


def _name_losses(scores: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    chances, across = _chances(scores), _chances(scores, axis=0)
    p, logs = _pick(chances, labels), -np.log(_pick(chances, labels))
    return {
        "That is the loss of each image. Return one number: their average.": [logs, logs[:, None]],
        "The sign: logarithms of probabilities are negative, and a loss is not.": -logs.mean(),
        "That is the sum over the images. Return the average.": logs.sum(),
        "That is the logarithm to base 2. The natural one is np.log.": logs.mean() / math.log(2),
        "That is the logarithm to base 10. The natural one is np.log.": logs.mean() / math.log(10),
        "Your softmax adds up over the images. The probabilities of one image must add up to 1: sum"
        " along axis 1.": -np.log(_pick(across, labels)).mean(),
        "You average over all classes. Only the probability of the true class counts.": (
            -np.log(chances).mean()
        ),
        "You take the most probable class. Take the true one, which `labels` names.": (
            -np.log(chances.max(1)).mean()
        ),
        "That is the average probability. Its logarithm is missing.": p.mean(),
        "That is minus the average probability. Its logarithm is missing.": -p.mean(),
        "One minus the probability is no cross-entropy. Take minus its logarithm.": 1 - p.mean(),
        "First the logarithm of each image, then the average.": -np.log(p.mean()),
        "These are the raw scores. Softmax makes them probabilities first.": (
            -_pick(scores, labels).mean()
        ),
    }


def _why_loss(found: np.ndarray, wanted: np.ndarray, scores: np.ndarray, labels: Any) -> str:
    if scores.max() > 500:
        return (
            f"It is right for small scores. But add 1,000 to all of them, and it gives {found:g}:"
            " exp(1000) is too large for the computer. The same number can be taken from all scores"
            " of an image without changing its softmax: which one helps?"
        )
    if scores.shape == (3, 4):
        return (
            f"For the scores {scores.tolist()} and the labels {labels.tolist()} the loss is"
            f" {wanted:.4f}; yours is {found:.4f}."
        )
    return (
        f"It is right for 3 images of 4 classes, but not for {len(scores)} of {scores.shape[1]}."
        " Does it use anything besides its two arguments?"
    )


@question(
    "The loss as a function",
    tests=["softmax along the classes", "mean of the logarithms at the true class", "no overflow"],
    hints=[
        "First the softmax: powers of e, divided by their sum over the classes of the same image.",
        "probabilities[np.arange(len(labels)), labels] picks the true class of each image.",
        "Minus the mean of the logarithms. And before np.exp: subtract the largest score of each"
        " image, scores.max(axis=1, keepdims=True).",
    ],
    solve=write_cross_entropy,
    explanation="Taking the largest score of an image away from all its scores changes no"
    " probability, and then no power is larger than 1: the logarithm of the softmax without any"
    " overflow.",
)
def cross_entropy(answer: Any) -> str:
    scores = np.array([[2.0, -1.0, 0.5, 0.3], [0.1, 0.2, 3.0, -2.0], [1.5, 1.0, -0.5, 2.5]])
    labels, one = np.array([0, 3, 1]), np.array([[0.5, -0.5]])
    many = np.linspace(-3, 3, 120).reshape(6, 20)
    said = judge_function(
        answer,
        write_cross_entropy(),
        [(scores, labels), (one, np.array([1])), (many, np.arange(6)), (scores + 1000, labels)],
        "The average, the logarithm, the true class, and no overflow",
        _name_losses,
        _why_loss,
        changed="Your function changes `scores` itself. Make a new array instead.",
        relative=1e-3,
    )
    with np.errstate(all="ignore"):
        far = number(answer(np.array([[0.0, 2000.0]]), np.array([0])))
    if np.isclose(far, 2000, rtol=1e-3):
        return f"{said} anywhere."
    return (
        f"{said}. (One refinement for experts: where the true class is 2,000 below another one it"
        f" gives {far:g}, not 2000. Write the logarithm of the softmax as"
        " score - log(sum(exp(scores))) and nothing gets lost.)"
    )


def write_descent():
    def descend(slope, start, rate, steps):
        place = start
        for _ in range(steps):
            place = place - rate * slope(place)
        return place

    return descend


@question(
    "Walk downhill",
    tests=["the update rule", "a new slope at each place", "nothing else is changed"],
    hints=[
        "Begin with place = start, and repeat something `steps` times.",
        "One step: the new place is the old place minus the rate times slope(place).",
        "place = place - rate * slope(place), inside for _ in range(steps).",
    ],
    solve=write_descent,
    explanation="Each step is the rate times the slope at the present place, against the slope.",
)
def descend(answer: Any) -> str:
    walk = write_descent()

    def slope(place: Any) -> Any:
        return 2 * place

    judge_function(
        answer,
        walk,
        [(slope, 5.0, 0.1, 3)],
        "",
        lambda slope, start, rate, steps: {
            "It climbs. The slope points uphill: subtract it.": walk(slope, start, -rate, steps),
            "It uses the slope of the start for every step. Ask for the slope again at each new"
            " place.": start - steps * rate * slope(start),
            "It takes one step, whatever `steps` says.": walk(slope, start, rate, 1),
            "It takes one step too few.": walk(slope, start, rate, steps - 1),
            "It takes one step too many.": walk(slope, start, rate, steps + 1),
            "It leaves the rate out. A step is rate times slope.": walk(slope, start, 1, steps),
            "It stays at the start. Keep the new place after each step.": start,
            "It goes down by the rate. A step is rate times slope.": start - steps * rate,
        },
        lambda found, *_: (
            "On the hill place², whose slope is 2 * place, three steps with rate 0.1 lead from 5 to"
            f" 4, 3.2 and 2.56. Yours end at {found:g}."
        ),
    )
    why = "It works for one number, but not for an array of weights. Training moves all weights at"
    return judge_function(
        answer,
        walk,
        [
            (lambda place: place * np.array([2.0, 8.0]), np.array([3.0, -2.0]), 0.1, 4),
            (slope, 5.0, 0.1, 0),
        ],
        "Look, find the slope, take a small step, repeat. This is what an optimiser does.",
        {},
        lambda found, right, slope, start, rate, steps: (
            f"{why} once." if steps else "With no steps at all the place is the start."
        ),
        shape=f"{why} once.",
        changed="The result is right, but your function also changes the array `start` itself."
        " Write place = place - … and not place -= …",
    )


def count_steps(shared, dataset):
    import math

    return math.ceil(len(dataset.train) / shared.batch_size)


@question(
    "How many steps does an epoch have?",
    tests=["a batch is a step", "the last batch may be smaller"],
    hints=[
        "len(dataset.train) images, shared.batch_size in each batch.",
        "If they do not divide evenly, the images that are left make one more batch.",
        "math.ceil rounds up.",
    ],
    solve=count_steps,
    explanation="Each batch is one step, and the images that are left make a last, smaller batch.",
)
def steps(answer: Any, shared: Experiment, dataset: ImageData) -> str:
    images, size, right = len(dataset.train), shared.batch_size, count_steps(shared, dataset)
    rest = images % size
    last = f"the last batch holds the {rest:,} that are left" if rest else "all batches are full"
    return judge_number(
        answer,
        right,
        f"{images:,} images in batches of {size:,}: {right:,} steps, {last}.",
        {
            f"{images // size:,} full batches leave {rest:,} images over. They are trained on too,"
            " in a smaller batch.": images // size,
            "A step is made for a whole batch. How many batches do the training images fill?": [
                images,
                size,
            ],
            "There are no parts of a step. What happens to the images that are left?": (
                images / size
            ),
            "That is for all epochs. The question is about one.": right * shared.epochs,
        },
        f"There are {images:,} training images, and {size:,} of them go into a batch.",
        relative=1e-6,
    )


def count_updates(shared, dataset):
    import math

    return math.ceil(len(dataset.train) / shared.batch_size) * shared.epochs


@question(
    "How often does each weight change?",
    tests=["one update a step", "each epoch ends with its own last batch"],
    hints=[
        "How often does each weight change in one step?",
        "Multiply the steps of one epoch by shared.epochs.",
    ],
    solve=count_updates,
    explanation="Each step changes each weight once, and each epoch has the same number of steps.",
)
def updates(answer: Any, shared: Experiment, dataset: ImageData) -> str:
    images, size, epochs = len(dataset.train), shared.batch_size, shared.epochs
    steps = count_steps(shared, dataset)
    return judge_number(
        answer,
        count_updates(shared, dataset),
        f"{steps:,} steps in each of {epochs:,} epochs, and each step moves every weight once.",
        {
            "A weight does not change after each image, but after each batch.": images * epochs,
            "That is one epoch.": steps,
            "A weight does not change once an epoch, but at each step.": epochs,
            "Each epoch has one more step, for the images that do not fill a batch.": (
                images // size * epochs
            ),
            "A batch never holds images of two epochs: each epoch ends with its own last batch."
            " Round up first, then multiply.": math.ceil(images * epochs / size),
        },
        "Multiply the steps of one epoch by what?",
    )


def choose_rival(trial):
    from imgclf_lib.training import train

    # Try a few experiments that take more or larger steps, and keep the best.
    smaller = trial.replace(batch_size=max(1, trial.batch_size // 4))
    faster = trial.replace(learning_rate=min(2 * trial.learning_rate, 1.0))
    bolder = smaller.replace(dropout=trial.dropout / 2)

    def measure(experiment):
        history = train(experiment, progress="none").history
        return history["val_accuracy"].max(), -history["val_loss"].min()

    return max((smaller, faster, bolder), key=measure)


@question(
    "Beat the trial",
    tests=[
        "choosing knobs",
        "fair comparison on the validation images",
        "a difference of several seeds against luck",
    ],
    hints=[
        "The tables of this notebook hold several experiments that you may compare with the trial.",
        "In so few epochs, what helps is mostly more steps, or larger ones.",
        "trial.replace(batch_size=…) with a smaller batch; then look at the learning rate.",
    ],
    solve=choose_rival,
    explanation="In so few epochs the trial has taken few steps. Smaller batches give it more of"
    " them, a higher rate makes them larger.",
)
def rival(answer: Any, trial: Experiment) -> str:
    # SciPy's statistics need a second, which an unanswered exercise need not cost.
    from imgclf_lib.evaluation import compare_seeds

    rival = trial.replace(**answer) if isinstance(answer, dict) else answer
    rival = getattr(rival, "experiment", rival)  # a run, or a trial
    if not isinstance(rival, Experiment):
        raise Mistake("An experiment is wanted here, such as trial.replace(dropout=0.1).")
    changed = _refuse_unfair(rival, trial)
    images = len(load_data(trial).val)
    (before, after), (loss_before, loss_after) = _scores(trial, rival, trial.seed)
    gain = compare_seeds(before, after, images)
    own, other = float(np.mean(after)), float(np.mean(before))
    said = (
        f"With {SEEDS} seeds each: validation accuracy {own:.4f}, of the trial {other:.4f}."
        f" Difference {gain}."
    )
    if gain.verdict == "higher":
        return f"{said} You changed {changed}."
    if own < other:
        raise Mistake(f"{said} It is no better. What does its learning curve lack: steps, or care?")
    fewer = [each + (1 - each) / 4 for each in before]
    if compare_seeds(before, fewer, images).verdict == "higher":
        raise Mistake(f"{said} Luck alone makes one as large too often. Find a larger change.")
    loss = compare_seeds(loss_before, loss_after)
    said += (
        f' Here accuracy cannot decide: with a quarter fewer mistakes it would still say "may be'
        f' luck". So the lowest validation loss decides. Difference {loss}.'
    )
    if loss.verdict == "lower":
        return f"{said} You changed {changed}."
    raise Mistake(f"{said} It has to be lower.")


def _scores(
    trial: Experiment, rival: Experiment, first: int
) -> tuple[list[list[float]], list[list[float]]]:
    """Best accuracies and lowest losses on the validation images, of either with the same seeds."""
    seeds = range(first, first + SEEDS)
    sides = {"the trial": trial, "your experiment": rival}
    runs = train_all(
        {
            f"{name}, seed {seed}": each.replace(seed=seed)
            for name, each in sides.items()
            for seed in seeds
        }
    )
    histories = [[runs[f"{name}, seed {seed}"].history for seed in seeds] for name in sides]
    return (
        [[float(each["val_accuracy"].max()) for each in side] for side in histories],
        [[float(each["val_loss"].min()) for each in side] for side in histories],
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
