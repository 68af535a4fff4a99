"""Scaling against NumPy, weights of classes against scikit-learn."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from imgclf_lib.backend import load_keras
from imgclf_lib.experiment import Experiment
from imgclf_lib.preprocess import class_weights, pixel_statistics, scaling_layer


def random_images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(40, 200, shape, "uint8")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 4096, 5000])
def test_statistics_are_those_of_numpy(count, channels):
    images = random_images(count, 3, 2, channels)
    found = pixel_statistics(images)
    np.testing.assert_allclose(found.mean, images.mean((0, 1, 2)))
    np.testing.assert_allclose(found.deviation, images.std((0, 1, 2)))


def test_a_flat_channel_has_deviation_one():
    images = random_images(10, 4, 4, 3)
    images[..., 1] = 77
    found = pixel_statistics(images)
    assert found.mean[1] == 77
    assert found.deviation[1] == 1
    assert pixel_statistics(images[:0]).deviation.tolist() == [1, 1, 1]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scaling", ["unit", "standardize", "none"])
def test_scaling(scaling, channels):
    images = random_images(6, 5, 5, channels)
    layer = scaling_layer(Experiment(scaling=scaling), pixel_statistics(images))
    found = load_keras().ops.convert_to_numpy(layer(images.astype("float32")))
    wanted = {
        "unit": images / 255,
        "standardize": (images - images.mean((0, 1, 2))) / images.std((0, 1, 2)),
        "none": images,
    }[scaling]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.parametrize(
    "labels", [[0, 0, 0, 1, 1, 2], [2, 1, 0], np.random.default_rng(0).integers(0, 5, 200)], ids=str
)
def test_class_weights_are_those_of_sklearn(labels):
    labels = np.asarray(labels)
    known = np.unique(labels)
    wanted = dict(
        zip(known, compute_class_weight("balanced", classes=known, y=labels), strict=True)
    )
    found = class_weights(labels, len(known))
    assert found == pytest.approx(wanted)
    totals = [found[label] * (labels == label).sum() for label in known]
    assert totals == pytest.approx([len(labels) / len(known)] * len(known))


def test_a_class_without_images_has_a_finite_weight():
    assert class_weights(np.array([0, 0, 2]), 3) == {0: 0.5, 1: 1.0, 2: 1.0}
