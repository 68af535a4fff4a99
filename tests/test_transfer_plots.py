"""Figures of transfer learning show the numbers they are given."""

import numpy as np
import pandas as pd

from imgclf_lib.figures import png
from imgclf_lib.transfer_plots import bench_points, few_images

TABLE = pd.DataFrame(
    {"from scratch": [0.2, 0.5], "frozen": [0.6, 0.7], "fine-tuned": [0.6, 0.8]},
    index=[10.0, 50.0],
)


def test_a_line_for_each_way():
    axes = few_images(TABLE, 0.1, "Three ways")
    *curves, chance = axes.get_lines()
    assert [each.get_label() for each in curves] == list(TABLE)
    for line, name in zip(curves, TABLE, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), TABLE[name])
        np.testing.assert_array_equal(line.get_xdata(), [10, 50])
    assert set(chance.get_ydata()) == {0.1}
    axes.figure.canvas.draw()
    assert [each.get_text() for each in axes.get_xticklabels()] == ["10", "50"]
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel()
    assert axes.get_ylabel()


def test_one_number_of_images_is_enough():
    assert png(few_images(TABLE.head(1), 0.1, "One"))


def test_the_last_point_is_ringed_and_an_empty_picture_is_drawn():
    rows = [(10.0, "features", 0.6), (10.0, "pixels", 0.3), (50.0, "features", 0.7)]
    axes = bench_points(rows, 0.1, "Bench")
    features, pixels, ring, _ = axes.get_lines()
    assert features.get_ydata().tolist() == [0.6, 0.7]
    assert pixels.get_xdata().tolist() == [10.0]
    assert (ring.get_xdata()[0], ring.get_ydata()[0]) == (50.0, 0.7)
    assert png(bench_points([], 0.1, "Empty")) != png(axes)
