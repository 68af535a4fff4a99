"""The pictures of training hold every trial; the axes stay where they were."""

import math

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.plots import (
    against_knobs,
    bench_points,
    few_images,
    knob_bars,
    learning_curves,
    png,
    trial_curves,
)
from imgclf_lib.training import trial_table

TABLE = pd.DataFrame(
    {"from scratch": [0.2, 0.5], "frozen": [0.6, 0.7], "fine-tuned": [0.6, 0.8]},
    index=[10.0, 50.0],
)


def history(*accuracies: float) -> pd.DataFrame:
    values = np.array(accuracies)
    columns = {
        "accuracy": values,
        "loss": 1 - values,
        "val_loss": 1.1 - values,
        "val_accuracy": values,
    }
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


def test_learning_curves_show_both_quantities():
    table = history(0.1, 0.2, 0.4, 0.3)
    figure = learning_curves({"run": table}, "Curves")
    for axes, quantity in zip(figure.axes, ("loss", "accuracy"), strict=True):
        training, validation = axes.lines
        assert training.get_ydata().tolist() == table[quantity].tolist()
        assert validation.get_ydata().tolist() == table[f"val_{quantity}"].tolist()
        assert axes.get_xlabel() == "epoch"
        assert quantity in axes.get_ylabel()
    assert png(learning_curves({"run": history(0.1)}))


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
    points, rings, triangles, crosses, star = first.collections
    assert points.get_offsets().tolist() == [[0.001, 0.5], [0.01, 0.7]]
    assert rings.get_offsets().tolist() == [[0.1, 0.9]], "stopped: it takes no part"
    assert not triangles.get_offsets().tolist()
    assert crosses.get_offsets().tolist() == [[1.0, 0.5]]
    assert star.get_offsets().tolist() == [[0.01, 0.7]]
    assert (first.get_xscale(), second.get_xscale(), fourth.get_xscale()) == (
        "log",
        "linear",
        "log",
    )
    assert [each.get_text() for each in second.get_xticklabels()] == ["adam", "sgd"]
    assert [each.get_text() for each in third.get_xticklabels()] == ["none", "8", "8, 16"]
    assert not [axes for axes in unused if axes.get_visible()]
    png(figure)


@pytest.mark.parametrize("worst", [0.1, math.nan])
def test_one_bad_trial_does_not_squash_the_others(worst):
    accuracy = [*np.linspace(0.7, 0.8, 11), worst]
    status = ["completed"] * 11 + ["failed" if math.isnan(worst) else "completed"]
    table = pd.DataFrame({"dropout": np.arange(12) / 20, "val_accuracy": accuracy})
    figure = against_knobs(table.assign(status=status), ["dropout"], "A search")
    low, high = figure.axes[0].get_ylim()
    assert 0.5 < low < 0.7
    assert 0.8 < high < 0.9
    _, _, triangles, crosses, _ = figure.axes[0].collections
    [[_, place]] = (crosses if math.isnan(worst) else triangles).get_offsets().tolist()
    assert low < place <= 0.7, "it is seen, at the bottom"
    assert ("triangle" in figure.get_suptitle()) == (worst == 0.1)


def test_the_empty_frame_is_that_of_an_accuracy():
    low, high = against_knobs(trial_table([], KNOBS), KNOBS).axes[0].get_ylim()
    assert -0.1 < low <= 0
    assert 1 <= high < 1.1


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


def test_a_line_for_each_way():
    axes = few_images(TABLE, 0.1, "Three ways")
    *curves, chance = axes.get_lines()
    assert [each.get_label() for each in curves] == list(TABLE)
    for line, name in zip(curves, TABLE, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), TABLE[name])
        np.testing.assert_array_equal(line.get_xdata(), [10, 50])
    assert set(chance.get_ydata()) == {0.1}
    assert axes.get_ylim() == pytest.approx((0.18, 0.82))
    axes.figure.canvas.draw()
    assert [each.get_text() for each in axes.get_xticklabels()] == ["10", "50"]
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel()
    assert axes.get_ylabel()


def test_one_number_of_images_is_enough():
    assert png(few_images(TABLE.head(1), 0.1, "One"))
    only_last = TABLE.assign(tuned=[float("nan"), 0.78])
    assert few_images(only_last, 0.1, "One point").get_ylim() == pytest.approx((0.18, 0.82))


def test_small_differences_are_seen_and_points_hide_nothing():
    rows = [(10.0, "features", 0.72), (10.0, "pixels", 0.72), (50.0, "features", 0.74)]
    axes = bench_points(rows, 0.1, "Bench")
    assert axes.get_ylim() == pytest.approx((0.68, 0.82))
    assert "most frequent class: 0.10" in [each.get_label() for each in axes.get_lines()]
    assert axes.get_lines()[1].get_markerfacecolor() == "none"


def test_the_last_point_is_ringed_and_an_empty_picture_is_drawn():
    rows = [(10.0, "features", 0.6), (10.0, "pixels", 0.3), (50.0, "features", 0.7)]
    axes = bench_points(rows, 0.1, "Bench")
    features, pixels, ring, _ = axes.get_lines()
    assert features.get_ydata().tolist() == [0.6, 0.7]
    assert pixels.get_xdata().tolist() == [10.0]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (50.0, 0.7)
    assert png(bench_points([], 0.1, "Empty")) != png(axes)
