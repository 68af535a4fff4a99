"""Search for good settings: propose experiments, try them all, ask which setting mattered.

Points are spread by a low-discrepancy sequence: like random search (Bergstra and Bengio, "Random
Search for Hyper-Parameter Optimization", 2012) each trial tries a new value of every knob, and
the points leave no large holes.
"""

import math
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import qmc, rankdata

from imgclf_lib.errors import ImgclfError, InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.trials import Trial

LOGARITHMIC = ("learning_rate", "weight_decay")  # from 0.001 to 0.01 is as far as from 0.01 to 0.1
POWERS = ("batch_size",)  # powers of two
FEWEST_TRIALS = 6  # with fewer, nothing can be said about single knobs
SHUFFLES = 2000
RARE = 0.05


def propose(
    base: Experiment, ranges: Mapping[str, Sequence[Any]], count: int, seed: int = 0
) -> list[Experiment]:
    """Experiments that are spread evenly over ranges.

    Args:
        base: The experiment; fields without a range stay as they are.
        ranges: By field: a pair ``(low, high)`` for all values between, both included; or a list
            of choices. Learning rate and weight decay are spread by their logarithm, batch sizes
            are powers of two.
        count: How many experiments.
        seed: Other seeds give other experiments. The first ones of a longer list are those of a
            shorter one.

    Returns:
        Different experiments; fewer than ``count`` where the ranges hold no more.

    Raises:
        InputError: If a field is unknown, or a range is empty or not allowed.
    """
    for name, span in ranges.items():
        _check(base, name, span)
    if not ranges:
        return [base]
    points = qmc.Halton(len(ranges), rng=seed).random(20 * count)
    proposed: dict[Experiment, None] = {}
    for point in points:
        values = {
            name: _value(name, span, share)
            for (name, span), share in zip(ranges.items(), point, strict=True)
        }
        proposed.setdefault(base.replace(**values))
        if len(proposed) == count:
            break
    return list(proposed)


def search(
    experiments: Sequence[Experiment],
    on_trial: Callable[[Trial], Any] | None = None,
    stop: Event | None = None,
) -> pd.DataFrame:
    """Train experiments one after the other. One that fails does not end the search.

    Args:
        experiments: What to try. Those that are finished already are only loaded.
        on_trial: Called with each trial just before it starts.
        stop: Ends the search when it is set, in the middle of a trial too.

    Returns:
        As from ``trial_table``; trials that were not begun are missing.
    """
    trials: list[Trial] = []
    for experiment in experiments:
        if stop is not None and stop.is_set():
            break
        trial = Trial(experiment)
        trials.append(trial)
        if on_trial is not None:
            on_trial(trial)
        trial.start()
        try:
            while trial.status == "running" and not (stop is not None and stop.is_set()):
                trial.wait(0.1)
        finally:
            trial.stop()  # says nothing to a trial that has ended
    return trial_table(trials, varied(experiments))


def varied(experiments: Sequence[Experiment]) -> list[str]:
    """The fields in which experiments differ.

    Args:
        experiments: Any experiments.

    Returns:
        Names of fields, in the order of their definition.
    """
    names = (each.name for each in fields(Experiment))
    return [name for name in names if len({getattr(each, name) for each in experiments}) > 1]


def trial_table(trials: Sequence[Trial], names: Sequence[str]) -> pd.DataFrame:
    """What came out of trials, finished or not.

    Args:
        trials: The trials.
        names: The fields to show: the knobs.

    Returns:
        A row a trial, counted from 0, in the order of the trials: a column for each knob, then
        ``val_accuracy`` (best epoch), ``train_accuracy``, ``epochs_run``, ``seconds``,
        ``parameters``, ``status`` as in ``Trial`` and ``problem``: what went wrong.
    """
    results = ["val_accuracy", "train_accuracy", "epochs_run", "seconds", "parameters"]
    rows = []
    for trial in trials:
        found = trial.run.metrics if trial.run else {}
        knobs = {name: getattr(trial.experiment, name) for name in names}
        figures = {
            "val_accuracy": trial.best,
            "train_accuracy": found.get("train_accuracy", math.nan),
            "epochs_run": len(trial.history),
            "seconds": round(found.get("train_seconds", trial.seconds), 1),
            "parameters": found.get("parameters"),
        }
        kind = "" if isinstance(trial.error, ImgclfError) else f"{type(trial.error).__name__}: "
        problem = f"{kind}{trial.error}" if trial.error else ""
        rows.append({**knobs, **figures, "status": trial.status, "problem": problem})
    table = pd.DataFrame(rows, columns=[*names, *results, "status", "problem"])
    return table.astype({"parameters": "Int64"}).rename_axis("trial")


def best_trial(table: pd.DataFrame) -> int:
    """The trial with the highest validation accuracy.

    Args:
        table: As from ``trial_table``.

    Returns:
        Its number; the first one of several equal ones.

    Raises:
        InputError: If no trial was completed.
    """
    done = table.loc[table["status"] == "completed", "val_accuracy"]
    if done.empty:
        raise InputError("No trial was completed", do="Run the search for longer, or read why")
    return int(done.idxmax())


def knob_effects(table: pd.DataFrame) -> pd.DataFrame:
    """How much of the order of the trials each knob explains, taken alone.

    The trials are put into groups by the knob (lowest, middle and highest third, or one group a
    choice) and ranked by validation accuracy; failed ones come last. The share is that part of
    the variation of ranks which lies between the groups: the statistic of Kruskal and Wallis
    (1952). In spirit this follows Hutter, Hoos and Leyton-Brown, "An Efficient Approach for
    Assessing Hyperparameter Importance" (2014). Groups differ by chance too, so the ranks are
    also shuffled among the trials many times. Effects of knobs on each other are not seen.

    Args:
        table: As from ``trial_table``.

    Returns:
        A row a knob, the largest share first, with the columns ``share`` (0 to 1), ``by_luck``
        (mean share after shuffling), ``p_value`` (how often shuffling gives as much) and
        ``verdict``. Empty with fewer than 6 trials.
    """
    done = table[table["status"].isin(["completed", "failed"])]
    columns, known = (
        ["share", "by_luck", "p_value", "verdict"],
        {e.name for e in fields(Experiment)},
    )
    if len(done) < FEWEST_TRIALS:
        return pd.DataFrame(columns=columns).rename_axis("knob")
    ranks = rankdata(done["val_accuracy"].where(done["status"] == "completed", -1.0))
    shuffled = np.random.default_rng(0).permuted(np.tile(ranks, (SHUFFLES, 1)), axis=1)
    rows = {}
    for name in [each for each in table.columns if each in known]:
        member = _groups(done[name])
        share, by_luck = _between(ranks[np.newaxis], member)[0], _between(shuffled, member)
        rare = (1 + (by_luck >= share - 1e-9).sum()) / (1 + SHUFFLES)
        verdict = "clear" if rare < RARE else "may be luck"
        rows[name] = (share, by_luck.mean(), rare, verdict)
    effects = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return effects.sort_values("share", ascending=False, kind="stable").rename_axis("knob")


def _check(base: Experiment, name: str, span: Any) -> None:
    kind = typing.get_type_hints(Experiment).get(name)
    where = f"The range of {name!r} cannot be used"
    ranged = kind in (int, float) and not isinstance(span, list)
    if not span or (kind is not None and not ranged and not isinstance(span, list)):
        raise InputError(where, allowed="a list of choices", received=span)
    if ranged and len(span) != 2:
        raise InputError(where, allowed="a pair (low, high), or a list of choices", received=span)
    for value in span:  # says so too where there is no such field
        base.replace(**{name: value})
    if not ranged:
        return
    low, high = span
    if low > high or (name in LOGARITHMIC and low <= 0):
        least = "0 < low <= high" if name in LOGARITHMIC else "low <= high"
        raise InputError(where, allowed=f"(low, high) with {least}", received=span)
    if name in POWERS and not _powers(low, high):
        raise InputError(where, allowed="a range that holds a power of two", received=span)


def _powers(low: float, high: float) -> list[int]:
    return [2**each for each in range(math.ceil(math.log2(low)), math.floor(math.log2(high)) + 1)]


def _value(name: str, span: Sequence[Any], share: float) -> Any:
    """The value that lies at a share, 0 to 1, of the way through a range."""
    choices = span if isinstance(span, list) else _powers(*span) if name in POWERS else []
    if choices:
        return choices[int(share * len(choices))]
    low, high = span
    if typing.get_type_hints(Experiment)[name] is int:
        return int(low + math.floor(share * (high - low + 1)))
    value = low * (high / low) ** share if name in LOGARITHMIC else low + share * (high - low)
    return min(max(float(f"{value:.3g}"), low), high)


def _groups(values: pd.Series) -> np.ndarray:
    """Which trial is in which group: array of shape ``(trials, groups)`` of 0 and 1."""
    if values.dtype.kind in "iuf" and values.nunique() > 3:
        values = pd.qcut(values, 3, labels=False, duplicates="drop")
    return pd.get_dummies(values.astype(str)).to_numpy(dtype=float)


def _between(ranks: np.ndarray, member: np.ndarray) -> np.ndarray:
    """Share of the variation of each row of ranks that lies between the groups."""
    centred = ranks - ranks.mean(1, keepdims=True)
    within = (centred @ member) ** 2 / member.sum(0)
    return within.sum(1) / np.maximum((centred**2).sum(1), 1e-12)
