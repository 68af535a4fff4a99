"""Baselines against brute force."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression

from imgclf_lib.data import Split, load_data
from imgclf_lib.evaluation import (
    predict_linear,
    predict_most_frequent,
    predict_nearest,
    principal_components,
)
from imgclf_lib.experiment import Experiment


def split_of(images: np.ndarray, labels: np.ndarray) -> Split:
    return Split("train", images, labels, np.arange(len(labels)).astype(object))


@pytest.fixture
def points() -> tuple[Split, np.ndarray, np.ndarray]:
    """Images of 36 pixels: fewer than components are kept, so none of them is lost."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 200)
    images = generator.normal(100, 30, (200, 6, 6, 1)) + 25 * labels.reshape(-1, 1, 1, 1)
    images = images.clip(0, 255).astype("uint8")
    return split_of(images[:150], labels[:150]), images[150:], labels[150:]


@pytest.mark.parametrize("kind", ["images", "features"])
def test_principal_components_are_those_of_sklearn_in_any_piece(kind):
    pixels = load_digits().data
    inputs = pixels.astype("uint8").reshape(-1, 8, 8, 1) if kind == "images" else pixels
    flat = (pixels / 255 if kind == "images" else pixels).astype("float32")
    rows = np.arange(5, 905)
    wanted = PCA(64).fit(flat[rows]).transform(flat)
    whole = principal_components(inputs, rows)(inputs)
    wanted = wanted[:, : whole.shape[1]]
    assert whole.shape[1] == 61, "three pixels of the digits never change"
    np.testing.assert_allclose(np.abs(whole), np.abs(wanted), atol=1e-3 * np.abs(wanted).max())
    pieces = principal_components(inputs, rows, piece=640)
    np.testing.assert_allclose(pieces(inputs), whole, atol=1e-4 * np.abs(whole).max())
    np.testing.assert_allclose(pieces(inputs, rows), whole[rows], atol=1e-4 * np.abs(whole).max())


def test_most_frequent():
    train = split_of(np.zeros((5, 2, 2, 1), "uint8"), np.array([2, 1, 1, 0, 1]))
    assert predict_most_frequent(train, np.zeros((3, 2, 2, 1), "uint8")).tolist() == [1, 1, 1]


@pytest.mark.parametrize("neighbours", [1, 5])
def test_nearest_by_brute_force(neighbours, points):
    train, images, _ = points
    flat, known = images.reshape(50, -1) / 255, train.images.reshape(150, -1) / 255
    wanted = []
    for each in flat:
        nearest = np.argsort(((known - each) ** 2).sum(1))[:neighbours]
        wanted.append(np.bincount(train.labels[nearest]).argmax())
    assert predict_nearest(train, images, neighbours).tolist() == wanted


def test_nearest_knows_its_training_images(points):
    train, *_ = points
    assert (predict_nearest(train, train.images, 1) == train.labels).all()


def test_nearest_with_fewer_images_than_neighbours():
    train = split_of(np.array([0, 10, 250], "uint8").reshape(3, 1, 1, 1), np.array([0, 0, 1]))
    assert predict_nearest(train, train.images).tolist() == [0, 0, 0]


def test_linear_is_as_good_as_softmax_on_the_pixels():
    """On scikit-learn's own digits, 8 x 8 pixels: all components are kept."""
    digits = load_digits()
    images = (digits.images * 15).astype("uint8")[..., np.newaxis]
    train = split_of(images[:1000], digits.target[:1000])
    plain = LogisticRegression(max_iter=2000).fit(digits.data[:1000] / 16, train.labels)
    wanted = (plain.predict(digits.data[1000:] / 16) == digits.target[1000:]).mean()
    found = (predict_linear(train, images[1000:]) == digits.target[1000:]).mean()
    assert found == pytest.approx(wanted, abs=0.03)


@pytest.mark.parametrize("count", [8, 12])
def test_linear_with_few_images_and_copies(count):
    """Fewer images than components: those without any spread must not count."""
    generator = np.random.default_rng(0)
    labels = np.arange(4 * count) % 2
    images = generator.integers(0, 60, (4 * count, 20, 20, 3)) + 150 * labels.reshape(-1, 1, 1, 1)
    images = images.astype("uint8")
    known = np.r_[: 2 * count, :3]  # three images twice
    train = split_of(images[known], labels[known])
    for part in (known, slice(2 * count, None)):
        assert (predict_linear(train, images[part]) == labels[part]).all()


def test_baselines_on_images(images):
    data = load_data(Experiment(data=str(images)))
    for predict in (predict_most_frequent, predict_nearest, predict_linear):
        found = predict(data.train, data.test.images)
        assert found.shape == data.test.labels.shape
        assert set(found) <= {0, 1, 2}
    assert (predict_linear(data.train, data.train.images) == data.train.labels).mean() > 0.9


def test_pieces_are_put_together_in_order(points):
    train, images, _ = points
    many = np.concatenate([images] * 100)
    found = predict_nearest(train, many)
    assert found.tolist() == predict_nearest(train, images).tolist() * 100
