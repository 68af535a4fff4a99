"""Judges of functions that learners write for a search: by what they do on tables made up here."""

import math
from typing import Any

import numpy as np
import pandas as pd

from imgclf_lib.exercises.exercise import Mistake, array, call, number
from imgclf_lib.search import best_trial

_TRIALS = pd.DataFrame(
    {
        "val_accuracy": [0.80, 0.85, 0.90, 0.95, 0.70, math.nan],
        "train_accuracy": [0.93, 0.99, 0.92, 0.90, 0.94, math.nan],
        "status": ["completed"] * 3 + ["failed", "completed", "failed"],
    },
    index=pd.Index([4, 6, 7, 5, 9, 1], name="trial"),
)


def judge_log_uniform(answer: Any) -> str:
    """Judge a function ``log_uniform(low, high, count, rng)``.

    Args:
        answer: The function.

    Returns:
        What to say about a right one.

    Raises:
        Mistake: If it is not right.
    """
    for low, high, count in ((0.0001, 1.0, 4000), (0.02, 20.0, 3000)):
        found = array(call(answer, low, high, count, np.random.default_rng(1)))
        _check_numbers(found, low, high, count)
    first, second = (
        array(call(answer, 0.001, 0.1, 20, np.random.default_rng(seed))) for seed in (5, 5)
    )
    if not np.array_equal(first, second):
        raise Mistake(
            "With an equal rng your function gives other numbers each time. Draw from rng, so that"
            " a search can be repeated."
        )
    if np.array_equal(first, array(call(answer, 0.001, 0.1, 20, np.random.default_rng(6)))):
        raise Mistake("Your numbers do not depend on rng at all. Draw them from it.")
    return "Every factor of ten gets its fair share, whatever the range."


def _check_numbers(found: np.ndarray, low: float, high: float, count: int) -> None:
    what = f"log_uniform({low:g}, {high:g}, {count}, rng)"
    if found.shape != (count,):
        raise Mistake(f"{what} gave an array of shape {found.shape}; {count} numbers are wanted.")
    edges = (np.log([low, high]), np.log10([low, high]), np.log2([low, high]))
    outside = (found < low * (1 - 1e-9)) | (found > high * (1 + 1e-9))
    if outside.any():
        for below, above in edges:
            if found.min() >= below - 1e-9 and found.max() <= above + 1e-9:
                raise Mistake("These are logarithms. Turn them back into rates at the very end.")
        raise Mistake(
            f"{what} gave {found[outside][0]:.3g}, which lies outside of the range. If you take"
            " np.log, turn back with np.exp; if np.log10, with 10**…"
        )
    if np.unique(found).size < count / 2:
        raise Mistake("Many of your numbers are equal. Draw each one for itself, from rng.")
    parts = np.histogram(np.log(found), bins=10, range=tuple(np.log([low, high])))[0]
    straight = np.histogram(found, bins=10, range=(low, high))[0]
    steps = np.diff(np.sort(np.log(found)))
    if np.ptp(steps) < 1e-6:
        raise Mistake("Your numbers stand at equal distances. Draw them at random, from rng.")
    tolerance = 6 * math.sqrt(count / 10)
    if (abs(parts - count / 10) > tolerance).any():
        if (abs(straight - count / 10) < tolerance).all():
            share = float((found < math.sqrt(low * high)).mean())
            raise Mistake(
                "Your numbers are even as they are, not in their logarithm: only"
                f" {share:.1%} of them lie below {math.sqrt(low * high):.3g}, the middle of the"
                " logarithms. Draw the logarithm evenly instead."
            )
        raise Mistake(
            "Your numbers are not even in their logarithm: of ten equally wide parts one holds"
            f" {parts.max()} of {count} numbers, another {parts.min()}."
        )


def judge_winner(answer: Any, table: pd.DataFrame) -> str:
    """Judge a function ``winner(table)``.

    Args:
        answer: The function.
        table: The learner's own search, as from ``search.trial_table``.

    Returns:
        What to say about a right one.

    Raises:
        Mistake: If it is not right.
    """
    for name, trials in (("a table made up for this check", _TRIALS), ("your search", table)):
        right = best_trial(trials)
        given = call(answer, trials.copy())
        try:
            found = number(given)
        except Mistake:
            raise Mistake(
                "Return the number of one trial, as it stands in the index of the table."
            ) from None
        if found == right:
            continue
        done = trials[trials["status"] == "completed"]
        if found == done["train_accuracy"].idxmax() or found == trials["train_accuracy"].idxmax():
            raise Mistake(
                "You took the trial that knows its training images best. The judge is the"
                " validation accuracy."
            )
        if found == trials["val_accuracy"].idxmax():
            raise Mistake(
                "You took a trial that failed: its first epochs looked good, then its loss became"
                " not a number. Look at the column status first."
            )
        if found == done["val_accuracy"].idxmin():
            raise Mistake("You took the worst trial. Which accuracy do you want, high or low?")
        if found == done["val_accuracy"].max():
            raise Mistake("That is its accuracy. Which trial is it? idxmax tells the number.")
        places = (trials.index.get_loc(right), done.index.get_loc(right))
        if found in places:
            raise Mistake(
                "You return the row's place, counted from above. Return its number in the index:"
                " the rows may stand in any order."
            )
        raise Mistake(f"In {name} trial {right} is the winner; your function says {found:g}.")
    return f"In your search trial {right} wins, by the judge that did not take part in training."


def judge_halving(answer: Any) -> str:
    """Judge a function ``better_half(accuracies)``.

    Args:
        answer: The function.

    Returns:
        What to say about a right one.

    Raises:
        Mistake: If it is not right.
    """
    generator = np.random.default_rng(3)
    cases = [np.array([0.3, 0.9, 0.5, 0.7]), generator.random(8), generator.random(7)]
    cases.append(np.array([0.2, math.nan, 0.8, 0.4, math.nan, 0.6]))
    for accuracies in cases:
        given = array(call(answer, accuracies.copy())).ravel()
        keep = math.ceil(len(accuracies) / 2)
        ranked = np.argsort(-np.nan_to_num(accuracies, nan=-1), kind="stable")
        what = f"Of the accuracies {', '.join(f'{each:.2f}' for each in accuracies)}"
        if given.dtype.kind == "b" and given.shape == accuracies.shape:
            given = np.flatnonzero(given)
        found = sorted(map(float, given))
        if found == sorted(ranked[:keep]):
            continue
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
        if found == sorted(ranked[-keep:]) or found == sorted(ranked[keep:]):
            raise Mistake(f"{what} you keep the worse half.")
        if len(found) != keep:
            why = " Round up, so that nobody is lost by rounding." if len(accuracies) % 2 else ""
            raise Mistake(f"{what} you keep {len(found)}; {keep} should go on.{why}")
        raise Mistake(f"{what} the places {sorted(map(int, ranked[:keep]))} should go on.")
    return "Apply it after every round, and the best trial gets most of the epochs."
