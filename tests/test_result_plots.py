"""The curves of trials: the present one strong, the axes where they were."""

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.figures import png
from imgclf_lib.result_plots import trial_curves


def history(*accuracies: float) -> pd.DataFrame:
    values = np.array(accuracies)
    columns = {"loss": 1 - values, "val_loss": 1.1 - values, "val_accuracy": values}
    return pd.DataFrame({"epoch": range(1, len(values) + 1), **columns})


def boxes(figure) -> list:
    png(figure)
    return [axes.get_position().bounds for axes in figure.axes]


def test_the_present_trial_is_strong():
    figure = trial_curves(
        {"1: $a$": history(0.3, 0.5), "2: b": history(0.6)}, [(0.5, 2, 0.1)], 4, 10
    )
    old, new = figure.axes[1].lines
    assert old.get_linewidth() < new.get_linewidth()
    assert old.get_color() != new.get_color()
    assert old.get_linestyle() != new.get_linestyle()
    assert old.get_marker() != new.get_marker()
    assert old.get_ydata().tolist() == [0.3, 0.5]
    assert new.get_ydata().tolist() == [0.6]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert r"1: \$a\$" in names
    assert figure.axes[1].get_xlim()[1] >= 4
    assert png(figure)


def test_frames_stay_where_they_are():
    empty = trial_curves({}, epochs=3, classes=10)
    begun = trial_curves({"1": pd.DataFrame()}, [(0.1, 2.3, 0.1)], 3, 10)
    many = trial_curves({"n" * 90 + str(n): history(0.123, 0.9) for n in range(8)}, (), 3, 200)
    assert boxes(empty) == boxes(begun) == boxes(many)
    sizes = {tuple(each.get_size_inches()) for each in (empty, begun, many)}
    assert len(sizes) == 1


def test_colours_stay_when_old_trials_are_left_out():
    all_three = trial_curves({name: history(0.5) for name in "123"})
    two = trial_curves({name: history(0.5) for name in "23"}, skipped=1)
    colors = [[line.get_color() for line in each.axes[1].lines] for each in (all_three, two)]
    assert colors[0][1:] == colors[1]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_what_diverges_can_be_drawn(value):
    points = [(0.5, 2.0, 0.1), (1.0, value, 0.1)]
    figure = trial_curves({"1": history(0.1).assign(val_loss=value)}, points, 2, 10)
    assert figure.axes[0].get_ylim() == (0, pytest.approx(1.6 * np.log(10)))
    assert png(figure)
