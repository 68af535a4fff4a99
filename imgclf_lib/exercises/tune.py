"""The exercises of notebook 07: grids, logarithms, choosing a winner, halving, and what next."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from imgclf_lib.exercises.exercise import Exercise, Mistake, array, number
from imgclf_lib.exercises.search_judge import judge_halving, judge_log_uniform, judge_winner
from imgclf_lib.search import best_trial


def _judge_grid(answer: Any, choices: Mapping[str, Sequence[Any]]) -> str:
    value, lengths = number(answer), [len(each) for each in choices.values()]
    right = math.prod(lengths)
    if value == right:
        return " × ".join(map(str, lengths)) + f" = {right:,}. One more knob multiplies it again."
    if value == sum(lengths):
        raise Mistake(
            "You added. Every learning rate is tried with every batch size: what does that do to"
            " the number of trials?"
        )
    if value == len(lengths):
        raise Mistake("That is the number of knobs. How many ways are there to set them all?")
    for name, length in zip(choices, lengths, strict=True):
        if value == right / length:
            raise Mistake(f"Nearly: it seems that {name} (or a knob like it) is missing.")
    raise Mistake(
        f"{value:,.10g} is not it. Begin with two knobs: how many pairs of their values are there?"
    )


def count_grid(choices):
    """Every value of one knob meets every value of all the others.

    Args:
        choices: The values of each knob.
    """
    combinations = 1
    for values in choices.values():
        combinations *= len(values)
    return combinations


grid_size = Exercise(
    "grid_size",
    "How many trials has a grid?",
    ["a grid grows as a product"],
    _judge_grid,
    count_grid,
    "The numbers of values are multiplied: that is why a grid gets out of hand with each knob.",
    [
        "With one knob of 5 values there are 5 trials. Add a second knob of 3 values.",
        "Each of the 5 values can be tried with each of the 3: that makes 15, not 8.",
        "Multiply the numbers of values of all knobs.",
    ],
)


def write_log_uniform():
    """Draw the logarithm evenly, then turn it back."""
    import numpy as np

    def log_uniform(low, high, count, rng):
        logarithms = rng.uniform(np.log(low), np.log(high), count)
        return np.exp(logarithms)

    return log_uniform


log_uniform = Exercise(
    "log_uniform",
    "Learning rates by their logarithm",
    ["logarithmic scale", "random numbers from a given generator"],
    judge_log_uniform,
    write_log_uniform,
    "Even in the logarithm means: draw the logarithm with rng.uniform, then turn it back.",
    [
        "rng.uniform(low, high, count) is even on a straight scale. Which scale do you want?",
        "Draw evenly between the logarithm of low and the logarithm of high.",
        "np.exp turns np.log back: np.exp(rng.uniform(np.log(low), np.log(high), count)).",
    ],
)


def write_winner(table):
    """Leave only completed trials, then look for the highest validation accuracy.

    Args:
        table: Trials, as the function will get them.
    """

    def winner(table):
        done = table[table["status"] == "completed"]
        return done["val_accuracy"].idxmax()

    return winner


winner = Exercise(
    "winner",
    "Choose the winner",
    ["choosing by validation accuracy", "trials that failed"],
    judge_winner,
    write_winner,
    "Only completed trials count, and only validation images may judge.",
    [
        'table["status"] == "completed" is true for the trials that count.',
        "idxmax of a column gives the index of its highest value.",
        'done = table[table["status"] == "completed"], then done["val_accuracy"].idxmax().',
    ],
)


def write_better_half():
    """Rank by accuracy, the best first; a broken trial comes last."""
    import numpy as np

    def better_half(accuracies):
        order = np.argsort(-np.nan_to_num(accuracies, nan=-1))
        keep = (len(accuracies) + 1) // 2
        return order[:keep]

    return better_half


better_half = Exercise(
    "better_half",
    "One round of successive halving",
    ["successive halving", "trials that failed"],
    judge_halving,
    write_better_half,
    "Sort the places by accuracy, the highest first, and keep half of them, rounded up.",
    [
        "np.argsort(values) gives the places from the smallest to the largest value.",
        "np.argsort(-values) turns the order round, and still leaves nan at the end.",
        "np.argsort(-accuracies)[: (len(accuracies) + 1) // 2]",
    ],
)


def _judge_next_range(answer: Any, table: pd.DataFrame, ranges: Mapping[str, Any]) -> str:
    values = array(answer).ravel()
    if values.size != 2:
        raise Mistake("Give two numbers: the lowest and the highest rate of the next search.")
    low, high = map(float, values)
    if not 0 < low < high:
        raise Mistake(f"From {low:g} to {high:g} is no range of rates: 0 < low < high is wanted.")
    if high > 10:
        raise Mistake("Learning rates above 10 are not allowed in an Experiment.")
    first, last = ranges["learning_rate"]
    best = best_trial(table)
    rate = float(table.loc[best, "learning_rate"])
    if not low <= rate <= high:
        raise Mistake(
            f"The best trial so far used {rate:g}, which your range leaves out. A second search"
            " should be able to find what the first one found."
        )
    if math.log(high / low) >= math.log(last / first):
        raise Mistake(
            "This range is as wide as the first one, or wider. Let the table tell you what can be"
            " left out: where did the weak trials lie?"
        )
    border = (last / first) ** 0.1  # a tenth of the way, on the logarithmic scale
    for edge, beyond, word in (
        (rate <= first * border, low < first, "low"),
        (rate >= last / border, high > last, "high"),
    ):
        if edge and not beyond:
            raise Mistake(
                f"The winner's rate {rate:g} lies at the {word} end of the first range"
                f" ({first:g} to {last:g}). What lies beyond was never tried: go past that end."
            )
    if high / low < 1.5:
        raise Mistake(
            "That is very narrow: neighbouring rates differ less than other seeds do. Leave a"
            " factor of 2 or more."
        )
    return (
        f"From {low:g} to {high:g} holds the winner's {rate:g}, and has less room for bad trials."
        " Other answers are right too. Set it above, and see whether it pays."
    )


def choose_next_range(table, ranges):
    """A third of the first range, on the logarithmic scale, around the winner's rate.

    Args:
        table: The trials.
        ranges: The ranges of the first search.
    """
    done = table[table["status"] == "completed"]
    rate = done.loc[done["val_accuracy"].idxmax(), "learning_rate"]
    low, high = ranges["learning_rate"]
    factor = (high / low) ** (1 / 6)
    return (rate / factor, min(rate * factor, 10))


next_range = Exercise(
    "next_range",
    "Where would you search next?",
    ["reading a search", "a winner at the border of its range"],
    _judge_next_range,
    choose_next_range,
    "A second search is narrower, holds the winner, and goes past an end at which the winner lies.",
    [
        "Which learning rate has the best completed trial? Your range must hold it.",
        "Leave out the part where the trials were weak. On a logarithmic scale, a third of the"
        " first width is a good start.",
        "Does the winner lie close to an end of the first range? Then go past that end.",
    ],
)
