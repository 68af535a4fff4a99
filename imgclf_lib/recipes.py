"""What trials have in common with each other and with the command line, in words."""

import shlex
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import pandas as pd

from imgclf_lib.experiment import Experiment
from imgclf_lib.sources import with_whole_paths
from imgclf_lib.trials import Trial


def describe_change(before: Experiment, after: Experiment) -> str:
    """What differs between two experiments, in words.

    Args:
        before: The first one.
        after: The second one.

    Returns:
        Such as ``learning rate 0.001 → 0.01``; empty if they are equal.
    """
    pairs = {
        each.name: (getattr(before, each.name), getattr(after, each.name)) for each in fields(after)
    }
    return ", ".join(
        f"{name.replace('_', ' ')} {_words(old)} → {_words(new)}"
        for name, (old, new) in pairs.items()
        if old != new
    )


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return " + ".join(map(str, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def compare_trials(trials: Sequence[Trial]) -> pd.DataFrame:
    """What each trial changed, and what came of it.

    Args:
        trials: In the order in which they were made.

    Returns:
        A row a trial. ``change`` and ``difference`` compare it with the trial before.
    """
    rows = []
    for number, trial in enumerate(trials, 1):
        before = trials[number - 2] if number > 1 else trial
        change = describe_change(before.experiment, trial.experiment)
        rows.append(
            {
                "trial": number,
                "change": change or ("nothing" if number > 1 else "the first"),
                "epochs": f"{len(trial.history)} of {trial.experiment.epochs}",
                "best val. accuracy": trial.best,
                "difference": trial.best - before.best if number > 1 else float("nan"),
                "seconds": trial.seconds,
                "status": "loaded" if trial.loaded else trial.status,
            }
        )
    return pd.DataFrame(rows)


def command_line(experiment: Experiment) -> str:
    """The command that trains an experiment.

    Args:
        experiment: The experiment.

    Returns:
        A line for a terminal, with the values that differ from the defaults.
    """
    words = ["imgclf", "train"]
    # Whole paths: the command may be typed in another folder.
    for name, value in with_whole_paths(experiment).changes().items():
        words += [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]
    return shlex.join(words)
