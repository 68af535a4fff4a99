"""The pictures of a search hold every trial, whatever happened to it."""

import math

import pandas as pd
import pytest

from imgclf_lib.figures import png
from imgclf_lib.search import trial_table
from imgclf_lib.search_plots import against_knobs, knob_bars


@pytest.fixture
def table():
    return pd.DataFrame(
        {
            "learning_rate": [0.001, 0.01, 0.1, 1.0],
            "optimizer": ["adam", "sgd", "sgd", "adam"],
            "filters": [(8,), (8, 16), (), (8,)],
            "batch_size": [32, 64, 32, 128],
            "val_accuracy": [0.5, 0.7, 0.9, math.nan],
            "status": ["completed", "completed", "stopped", "failed"],
        }
    )


KNOBS = ["learning_rate", "optimizer", "filters", "batch_size"]


def test_every_trial_is_a_point_and_the_best_completed_one_a_star(table):
    figure = against_knobs(table, KNOBS, "A search of $x$")
    first, second, third, fourth, *unused = figure.axes
    points, crosses, star = first.collections
    assert points.get_offsets().tolist() == [[0.001, 0.5], [0.01, 0.7], [0.1, 0.9]]
    assert crosses.get_offsets().tolist() == [[1.0, 0.5]]
    assert star.get_offsets().tolist() == [[0.01, 0.7]]
    assert (first.get_xscale(), second.get_xscale(), fourth.get_xscale()) == (
        "log",
        "linear",
        "log",
    )
    assert [each.get_text() for each in second.get_xticklabels()] == ["adam", "sgd"]
    assert [each.get_text() for each in third.get_xticklabels()] == ["none", "8", "8 16"]
    assert not [axes for axes in unused if axes.get_visible()]
    png(figure)


def test_the_size_stays_as_trials_come_in(table):
    empty = trial_table([], KNOBS)
    sizes = {tuple(against_knobs(each, KNOBS).get_size_inches()) for each in (empty, table)}
    assert len(sizes) == 1
    png(against_knobs(empty, KNOBS))
    png(against_knobs(empty, []))


def test_bars_stand_beside_luck():
    effects = pd.DataFrame(
        {"share": [0.8, 0.1], "by_luck": [0.2, 0.1]}, index=["learning_rate", "dropout"]
    )
    axes = knob_bars(effects, "Which knob mattered?")
    assert [bar.get_width() for bar in axes.patches] == [0.8, 0.1]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["learning rate", "dropout"]
    assert [segment[0][0] for segment in axes.collections[0].get_segments()] == [0.2, 0.1]
    png(axes)
