"""Pairs, classes and images behind a confusion matrix, by hand."""

import numpy as np
import pandas as pd

from imgclf_lib.confusions import classes_to_show, confused_pairs, images_in_cell

COUNTS = np.array([[9, 2, 0, 0], [5, 7, 0, 0], [0, 0, 8, 1], [0, 0, 0, 6]])


def test_pairs_are_those_of_the_largest_counts():
    assert confused_pairs(COUNTS) == [(1, 0, 5), (0, 1, 2), (2, 3, 1)]
    assert confused_pairs(COUNTS, 1) == [(1, 0, 5)]
    assert confused_pairs(np.eye(3)) == []
    assert COUNTS[0, 0] == 9, "the matrix stays as it is"


def test_the_most_confused_classes_are_shown():
    assert classes_to_show(COUNTS, 4) == [0, 1, 2, 3]
    assert classes_to_show(COUNTS, 2) == [0, 1]
    assert classes_to_show(COUNTS, 3) == [0, 1, 2]
    assert classes_to_show(COUNTS, 2, (3, 1)) == [1, 3]
    assert classes_to_show(np.eye(200), 12) == list(range(12))


def test_images_of_a_cell_begin_with_the_most_confident():
    table = pd.DataFrame(
        {
            "label": ["a", "a", "a", "b"],
            "predicted": ["b", "a", "b", "b"],
            "probability": [0.6, 0.9, 0.8, 0.7],
        }
    )
    assert images_in_cell(table, "a", "b").index.tolist() == [2, 0]
    assert images_in_cell(table, "b", "a").empty
