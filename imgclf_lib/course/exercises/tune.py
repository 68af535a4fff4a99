"""The exercises of notebook 07: grids, logarithms, choosing a winner, halving, and what next."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from imgclf_lib.course.exercises.exercise import (
    Mistake,
    array,
    call,
    judge_function,
    judge_number,
    number,
    question,
)
from imgclf_lib.training import best_trial


def count_grid(choices):
    combinations = 1
    for options in choices.values():
        combinations *= len(options)
    return combinations


@question(
    "How many trials has a grid?",
    tests=["a grid grows as a product"],
    hints=[
        "With one knob of 5 values there are 5 trials. Add a second knob of 3 values.",
        "Each of the 5 values can be tried with each of the 3: that makes 15, not 8.",
        "Multiply the numbers of values of all knobs.",
    ],
    solve=count_grid,
    explanation="Every value of one knob meets every value of all the others, so the numbers of"
    " values are multiplied: that is why a grid gets out of hand with each knob.",
)
def grid_size(answer: Any, choices: Mapping[str, Sequence[Any]]) -> str:
    right, lengths = count_grid(choices), [len(each) for each in choices.values()]
    return judge_number(
        answer,
        right,
        " × ".join(map(str, lengths)) + f" = {right:,}. One more knob multiplies it again.",
        {
            "You added. Every learning rate is tried with every batch size: what does that do to"
            " the number of trials?": sum(lengths),
            "That is the number of knobs. How many ways are there to set them all?": len(lengths),
        }
        | {
            f"Nearly: it seems that {name} (or a knob like it) is missing.": right / length
            for name, length in zip(choices, lengths, strict=True)
        },
        "Begin with two knobs: how many pairs of their values are there?",
    )


def write_log_uniform():
    import numpy as np

    def log_uniform(low, high, count, rng):
        logarithms = rng.uniform(np.log(low), np.log(high), count)
        return np.exp(logarithms)

    return log_uniform


def _check_rates(found: np.ndarray, low: float, high: float, count: int) -> None:
    what = f"log_uniform({low:g}, {high:g}, {count}, rng)"
    if found.shape != (count,):
        raise Mistake(f"{what} gave an array of shape {found.shape}; {count} numbers are wanted.")
    outside = (found < low * (1 - 1e-9)) | (found > high * (1 + 1e-9))
    if outside.any():
        for below, above in (logarithm([low, high]) for logarithm in (np.log, np.log10, np.log2)):
            if found.min() >= below - 1e-9 and found.max() <= above + 1e-9:
                raise Mistake("These are logarithms. Turn them back into rates at the very end.")
        raise Mistake(
            f"{what} gave {found[outside][0]:.3g}, which lies outside of the range. If you take"
            " np.log, turn back with np.exp; if np.log10, with 10**…"
        )
    if np.unique(found).size < count / 2:
        raise Mistake("Many of your numbers are equal. Draw each one for itself, from rng.")
    if np.ptp(np.diff(np.sort(np.log(found)))) < 1e-6:
        raise Mistake("Your numbers stand at equal distances. Draw them at random, from rng.")
    parts = np.histogram(np.log(found), bins=10, range=tuple(np.log([low, high])))[0]
    straight = np.histogram(found, bins=10, range=(low, high))[0]
    tolerance = 6 * math.sqrt(count / 10)
    if (abs(parts - count / 10) <= tolerance).all():
        return
    if (abs(straight - count / 10) < tolerance).all():
        middle = math.sqrt(low * high)
        raise Mistake(
            "Your numbers are even as they are, not in their logarithm: only"
            f" {(found < middle).mean():.1%} of them lie below {middle:.3g}, the middle of the"
            " logarithms. Draw the logarithm evenly instead."
        )
    raise Mistake(
        "Your numbers are not even in their logarithm: of ten equally wide parts one holds"
        f" {parts.max()} of {count} numbers, another {parts.min()}."
    )


@question(
    "Learning rates by their logarithm",
    tests=["logarithmic scale", "random numbers from a given generator"],
    hints=[
        "rng.uniform(low, high, count) is even on a straight scale. Which scale do you want?",
        "Draw evenly between the logarithm of low and the logarithm of high.",
        "np.exp turns np.log back: np.exp(rng.uniform(np.log(low), np.log(high), count)).",
    ],
    solve=write_log_uniform,
    explanation="Even in the logarithm means: draw the logarithm with rng.uniform, then turn it"
    " back.",
)
def log_uniform(answer: Any) -> str:
    for low, high, count in ((0.0001, 1.0, 4000), (0.02, 20.0, 3000)):
        found = array(call(answer, low, high, count, np.random.default_rng(1)))
        _check_rates(found, low, high, count)
    first, second, other = (
        array(call(answer, 0.001, 0.1, 20, np.random.default_rng(seed))) for seed in (5, 5, 6)
    )
    if not np.array_equal(first, second):
        raise Mistake(
            "With an equal rng your function gives other numbers each time. Draw from rng, so that"
            " a search can be repeated."
        )
    if np.array_equal(first, other):
        raise Mistake("Your numbers do not depend on rng at all. Draw them from it.")
    return "Every factor of ten gets its fair share, whatever the range."


def write_winner(table):
    def winner(table):
        done = table[table["status"] == "completed"]
        return done["val_accuracy"].idxmax()

    return winner


_TRIALS = pd.DataFrame(
    {
        "val_accuracy": [0.80, 0.85, 0.90, 0.95, 0.70, math.nan],
        "train_accuracy": [0.93, 0.99, 0.92, 0.90, 0.94, math.nan],
        "status": ["completed"] * 3 + ["failed", "completed", "failed"],
    },
    index=pd.Index([4, 6, 7, 5, 9, 1], name="trial"),
)


def _wrong_trials(trials: pd.DataFrame) -> dict[str, Any]:
    done, right = trials[trials["status"] == "completed"], best_trial(trials)
    return {
        "You took the trial that knows its training images best. The judge is the validation"
        " accuracy.": [done["train_accuracy"].idxmax(), trials["train_accuracy"].idxmax()],
        "You took a trial that failed: its first epochs looked good, then its loss became not a"
        " number. Look at the column status first.": trials["val_accuracy"].idxmax(),
        "You took the worst trial. Which accuracy do you want, high or low?": (
            done["val_accuracy"].idxmin()
        ),
        "That is its accuracy. Which trial is it? idxmax tells the number.": (
            done["val_accuracy"].max()
        ),
        "You return the row's place, counted from above. Return its number in the index: the rows"
        " may stand in any order.": [trials.index.get_loc(right), done.index.get_loc(right)],
    }


def _trial_number(given: Any) -> np.ndarray:
    try:
        return np.asarray(number(given))
    except Mistake:
        raise Mistake(
            "Return the number of one trial, as it stands in the index of the table."
        ) from None


@question(
    "Choose the winner",
    tests=["choosing by validation accuracy", "trials that failed"],
    hints=[
        'table["status"] == "completed" is true for the trials that count.',
        "idxmax of a column gives the index of its highest value.",
        'done = table[table["status"] == "completed"], then done["val_accuracy"].idxmax().',
    ],
    solve=write_winner,
    explanation="Only completed trials count, and only validation images may judge.",
)
def winner(answer: Any, table: pd.DataFrame) -> str:
    return judge_function(
        answer,
        best_trial,
        [(_TRIALS,), (table,)],
        f"In your search trial {best_trial(table)} wins, by the judge that did not take part in"
        " training.",
        _wrong_trials,
        lambda found, right, trials: (
            f"In {'a table made up for this check' if trials is _TRIALS else 'your search'} trial"
            f" {right:g} is the winner; your function says {found:g}."
        ),
        changed="",
        read=_trial_number,
    )


def write_better_half():
    import numpy as np

    def better_half(accuracies):
        order = np.argsort(-np.nan_to_num(accuracies, nan=-1))
        keep = (len(accuracies) + 1) // 2
        return order[:keep]

    return better_half


@question(
    "One round of successive halving",
    tests=["successive halving", "trials that failed"],
    hints=[
        "np.argsort(values) gives the places from the smallest to the largest value.",
        "np.argsort(-values) turns the order round, and still leaves nan at the end.",
        "np.argsort(-accuracies)[: (len(accuracies) + 1) // 2]",
    ],
    solve=write_better_half,
    explanation="Sort the places by accuracy, the highest first, a broken trial last, and keep half"
    " of them, rounded up.",
)
def better_half(answer: Any) -> str:
    generator = np.random.default_rng(3)
    cases = [np.array([0.3, 0.9, 0.5, 0.7]), generator.random(8), generator.random(7)]
    cases.append(np.array([0.2, math.nan, 0.8, 0.4, math.nan, 0.6]))
    for accuracies in cases:
        given = array(call(answer, accuracies.copy())).ravel()
        if given.dtype.kind == "b" and given.shape == accuracies.shape:
            given = np.flatnonzero(given)
        found, keep = sorted(map(float, given)), math.ceil(len(accuracies) / 2)
        ranked = np.argsort(-np.nan_to_num(accuracies, nan=-1), kind="stable")
        if found == sorted(ranked[:keep]):
            continue
        what = f"Of the accuracies {', '.join(f'{each:.2f}' for each in accuracies)}"
        if any(each != round(each) for each in found if each == each):
            raise Mistake(
                "You return accuracies. Return the places of the trials, counted from 0: the next"
                " round has to know which trials go on."
            )
        if np.isnan(accuracies).any() and any(np.isnan(accuracies[int(each)]) for each in given):
            raise Mistake(
                f"{what} you keep one that is not a number (nan). A broken trial is the worst of"
                " all; np.argsort puts it last, so mind when you turn the order round."
            )
        if found in (sorted(ranked[-keep:]), sorted(ranked[keep:])):
            raise Mistake(f"{what} you keep the worse half.")
        if len(found) != keep:
            why = " Round up, so that nobody is lost by rounding." if len(accuracies) % 2 else ""
            raise Mistake(f"{what} you keep {len(found)}; {keep} should go on.{why}")
        raise Mistake(f"{what} the places {sorted(map(int, ranked[:keep]))} should go on.")
    return "Apply it after every round, and the best trial gets most of the epochs."


def choose_next_range(table, ranges):
    done = table[table["status"] == "completed"]
    rate = done.loc[done["val_accuracy"].idxmax(), "learning_rate"]
    low, high = ranges["learning_rate"]
    factor = (high / low) ** (1 / 6)
    return (rate / factor, min(rate * factor, 10))


@question(
    "Where would you search next?",
    tests=["reading a search", "a winner at the border of its range"],
    hints=[
        "Which learning rate has the best completed trial? Your range must hold it.",
        "Leave out the part where the trials were weak. On a logarithmic scale, a third of the"
        " first width is a good start.",
        "Does the winner lie close to an end of the first range? Then go past that end.",
    ],
    solve=choose_next_range,
    explanation="A second search is narrower, holds the winner, and goes past an end at which the"
    " winner lies: here a third of the first range, on the logarithmic scale, around its rate.",
)
def next_range(answer: Any, table: pd.DataFrame, ranges: Mapping[str, Any]) -> str:
    values = array(answer).ravel()
    if values.size != 2:
        raise Mistake("Give two numbers: the lowest and the highest rate of the next search.")
    low, high = map(float, values)
    if not 0 < low < high:
        raise Mistake(f"From {low:g} to {high:g} is no range of rates: 0 < low < high is wanted.")
    if high > 10:
        raise Mistake("Learning rates above 10 are not allowed in an Experiment.")
    first, last = ranges["learning_rate"]
    rate = float(table.loc[best_trial(table), "learning_rate"])
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
