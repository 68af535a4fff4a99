"""A search in words: for people, escaped, and not more exact than it is."""

import math

import pandas as pd
import pytest

from imgclf_lib.search import trial_table
from imgclf_lib.search_words import about, progress_line, sorted_table, table_html
from imgclf_lib.trials import Point, Trial

KNOBS = ["learning_rate", "filters"]


@pytest.fixture
def trials(tiny):
    made = []
    for rate, filters, status, best in (
        (0.1, (), "completed", 0.5),
        (0.01, (8, 16), "completed", 0.8),
        (0.001, (8,), "failed", None),
    ):
        trial = Trial(tiny.replace(learning_rate=rate, filters=filters))
        trial.status = status
        if best is not None:
            trial.history = pd.DataFrame({"epoch": [1], "val_accuracy": [best]})
        else:
            trial.error = ValueError("<b>& $x$")
        made.append(trial)
    return made


def test_the_best_trial_stands_on_top(trials):
    shown = sorted_table(trial_table(trials, KNOBS), KNOBS)
    assert shown["trial"].tolist() == [1, 0, 2]
    assert shown["filters"].tolist() == ["8, 16", "none", "8"]
    assert shown["learning rate"].tolist() == ["0.01", "0.1", "0.001"]
    assert shown["status"].tolist() == ["completed", "completed", "failed: ValueError: <b>& $x$"]


def test_everything_in_the_html_is_escaped(trials):
    text = table_html(trial_table(trials, KNOBS), KNOBS)
    assert "<b>" not in text
    assert "&lt;b&gt;&amp; $x$" in text
    assert "0.800" in text
    assert "nan" not in text.lower()
    assert "NA" not in text
    assert "None" not in text
    assert "trial" in table_html(trial_table([], KNOBS), KNOBS)


def test_a_long_problem_is_told_whole(trials):
    trials[2].error = ValueError("why " * 40 + "end")
    assert "why end" in table_html(trial_table(trials, KNOBS), KNOBS)


def test_says_what_was_found(trials):
    table = trial_table(trials, KNOBS)
    text = progress_line(trials, 3, table)
    assert text.startswith("Done: 3 of 3")
    assert "Best: trial 1, validation accuracy 0.800. Trial 0, your settings: 0.500." in text
    assert "None was completed" in progress_line(trials[2:], 1, trial_table(trials[2:], KNOBS))
    assert "These are yours" in progress_line(trials[:1], 1, trial_table(trials[:1], KNOBS))
    trials[2].status = "stopped"
    assert progress_line(trials, 9, table).startswith("Stopped: 3 of 9")


def test_says_where_it_is(trials):
    trials[2].status = "running"
    table = trial_table(trials, KNOBS)
    assert progress_line(trials, 9, table).startswith("Trial 2 of 8: getting ready")
    trials[2].points.append(Point(1.25, 0.5, 0.75))
    text = progress_line(trials, 9, table)
    assert "epoch 1.2 of 4, training accuracy 0.750" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "5 seconds"), (42, "40 seconds"), (99, "100 seconds"), (150, "2 minutes")],
)
def test_durations_are_rough(seconds, words):
    assert about(seconds) == f"about {words}"
    assert not math.isnan(seconds)
