"""The pictures beside the figures of an evaluation."""

import numpy as np
import pytest
from PIL import Image

from imgclf_lib.data import Split
from imgclf_lib.evaluate import Evaluation, measure, prediction_table
from imgclf_lib.evaluation_figures import save_evaluation_figures

NAMES = ("$x_1$", "<b>", "c")


def evaluation(right: bool) -> Evaluation:
    labels = np.arange(60) % 3
    probabilities = np.full((60, 3), 0.2)
    probabilities[np.arange(60), (labels + (not right)) % 3] = 0.6
    images = np.zeros((60, 5, 5, 3), "uint8")
    split = Split("test", images, labels, np.arange(60).astype(object))
    table = prediction_table(probabilities, split, NAMES)
    return Evaluation(measure(probabilities, labels, NAMES), table, probabilities, split, NAMES)


@pytest.mark.parametrize("right", [True, False])
def test_pictures_are_written(right, tmp_path):
    names = ["confusion_matrix.png", "calibration.png"] + ["mistakes.png"] * (not right)
    paths = save_evaluation_figures(evaluation(right), tmp_path)
    assert paths == [tmp_path / name for name in names]
    for path in paths:
        with Image.open(path) as picture:
            assert min(picture.size) > 200
