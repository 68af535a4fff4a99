"""A search in words: its table as HTML, where it is, what it found, how long it takes."""

from collections.abc import Sequence

import pandas as pd

from imgclf_lib.search import best_trial
from imgclf_lib.trials import Trial


def sorted_table(table: pd.DataFrame, knobs: Sequence[str]) -> pd.DataFrame:
    """The trials for people to read, the best first.

    Args:
        table: As from ``search.trial_table``.
        knobs: Its columns that were varied.

    Returns:
        The same trials with their numbers as a column, layer sizes as text, and what went wrong
        beside the status.
    """
    shown = table.sort_values("val_accuracy", ascending=False, kind="stable").reset_index()
    for name in knobs:
        shown[name] = shown[name].map(_written).astype(str)
    shown["status"] += shown["problem"].map(lambda text: text and f": {text}")
    shown = shown.drop(columns=["train_accuracy", "problem"])
    return shown.rename(columns=lambda name: name.replace("_", " "))


def table_html(table: pd.DataFrame, knobs: Sequence[str]) -> str:
    """The trials as an HTML table, the best first; all text in it is escaped.

    Args:
        table: As from ``search.trial_table``.
        knobs: Its columns that were varied.

    Returns:
        HTML of a constant height, which scrolls by mouse and keyboard.
    """
    shown = sorted_table(table, knobs)
    forms = {"val accuracy": "{:.3f}", "seconds": "{:.0f}", "parameters": "{:,}"}
    for name, form in forms.items():
        shown[name] = ["–" if pd.isna(each) else form.format(each) for each in shown[name]]
    with pd.option_context("display.max_colwidth", None):  # a problem is told whole
        text = shown.to_html(index=False, border=0, justify="left")
    style = "height: 13em; overflow: auto; border: 1px solid #ccc; overflow-wrap: anywhere"
    label = "Trials, the best first"
    return f'<div style="{style}" tabindex="0" role="region" aria-label="{label}">{text}</div>'


def progress_line(trials: Sequence[Trial], planned: int, table: pd.DataFrame) -> str:
    """Where a search is, or what it found.

    Args:
        trials: The trials so far, at least one.
        planned: How many there will be.
        table: Their table, as from ``search.trial_table``.

    Returns:
        One or two sentences. Trial 0 is taken for the settings that the search has to beat.
    """
    last, number = trials[-1], len(trials) - 1
    seconds = sum(trial.seconds for trial in trials)
    if last.status == "running" or (last.status != "stopped" and len(trials) < planned):
        points, where = last.points, "getting ready"
        if points:
            where = f"epoch {points[-1].epoch:.1f} of {last.experiment.epochs}"
            where += f", training accuracy {points[-1].accuracy:.3f}"
        return f"Trial {number} of {planned - 1}: {where} ({seconds:.0f} s so far)."
    verb = "Stopped" if last.status == "stopped" else "Done"
    text = f"{verb}: {len(trials)} of {planned} trials in {seconds:.0f} s."
    if not (table["status"] == "completed").any():
        return f"{text} None was completed."
    best, reached = best_trial(table), table["val_accuracy"]
    text += f" Best: trial {best}, validation accuracy {reached[best]:.3f}."
    return text + (f" Trial 0, your settings: {reached[0]:.3f}." if best else " These are yours.")


def about(seconds: float) -> str:
    """A duration in words, no more exact than an estimate is.

    Args:
        seconds: The duration.

    Returns:
        Such as ``about 40 seconds`` or ``about 3 minutes``.
    """
    if seconds < 100:
        return f"about {max(5, 5 * round(seconds / 5))} seconds"
    return f"about {round(seconds / 60)} minutes"


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    return str(value)
