"""The pictures of an evaluation hold its numbers, whatever the classes are called."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imgclf_lib.data import Split
from imgclf_lib.evaluation import calibration_table, measure
from imgclf_lib.evaluation.metrics import prediction_table
from imgclf_lib.plots import calibration, confusion_matrix, save_evaluation_figures

NAMES = ("$x_1$", "<b>", "c")
BINS = pd.DataFrame({"confidence": [0.3, 0.9], "accuracy": [0.25, 0.95], "count": [10, 30]})


@pytest.mark.parametrize("right", [True, False])
def test_pictures_are_written(right, tmp_path):
    labels = np.arange(60) % 3
    probabilities = np.full((60, 3), 0.2)
    probabilities[np.arange(60), (labels + (not right)) % 3] = 0.6
    images = np.zeros((60, 5, 5, 3), "uint8")
    split = Split("test", images, labels, np.arange(60).astype(object))
    table = prediction_table(probabilities, split, NAMES)
    bins = calibration_table(probabilities, labels)
    counts = measure(probabilities, labels, NAMES)["confusion_matrix"]
    names = ["confusion_matrix.png", "calibration.png"] + ["mistakes.png"] * (not right)
    paths = save_evaluation_figures(tmp_path, counts, NAMES, bins, table, images)
    assert paths == [tmp_path / name for name in names]
    for path in paths:
        with Image.open(path) as picture:
            assert min(picture.size) > 200


def test_confusion_matrix_has_shares_and_counts():
    counts = [[8, 2, 0], [0, 0, 0], [1, 0, 1999]]
    axes = confusion_matrix(counts, "abc")
    wanted = [[0.8, 0.2, 0], [0, 0, 0], [0.0005, 0, 0.9995]]
    np.testing.assert_allclose(axes.images[0].get_array(), wanted)
    numbers = [text.get_text() for text in axes.texts]
    assert numbers == ["8", "2", "0", "0", "0", "0", "1", "0", "1,999"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["a", "b", "c"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    many = confusion_matrix(np.eye(60, dtype=int), [str(each) for each in range(60)])
    assert not many.texts
    assert many.get_xlabel() == "predicted class, by its number"


def test_calibration_draws_the_table():
    axes = calibration(BINS, "Calibration")
    assert axes.lines[1].get_xydata().tolist() == [[0.3, 0.25], [0.9, 0.95]]
    assert axes.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]
