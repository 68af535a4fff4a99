"""Simple classifiers that a network has to beat."""

from collections.abc import Callable

import numpy as np
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from imgclf_lib.data import Split

COMPONENTS = 64  # principal components that stand for the pixels; keeps the work small
MOST_IMAGES = 10_000  # training images used at most
PIECE = 4_000_000  # numbers held as floats at a time; memory stays flat however many there are


def predict_most_frequent(train: Split, images: np.ndarray) -> np.ndarray:
    """Always answer the most frequent class of the training images.

    Args:
        train: Training images and labels.
        images: ``uint8`` array of shape ``(n, height, width, channels)``.

    Returns:
        ``int64`` array of shape ``(n,)``: predicted labels.
    """
    return np.full(len(images), np.bincount(train.labels).argmax())


def predict_nearest(train: Split, images: np.ndarray, neighbours: int = 5) -> np.ndarray:
    """Answer what the most similar training images are.

    Args:
        train: Training images and labels; at most 10,000 are used.
        images: ``uint8`` array of shape ``(n, height, width, channels)``.
        neighbours: How many training images vote.

    Returns:
        ``int64`` array of shape ``(n,)``: predicted labels.
    """
    return _fit_predict(KNeighborsClassifier(min(neighbours, len(train))), train, images)


def predict_linear(train: Split, images: np.ndarray) -> np.ndarray:
    """Answer with softmax regression: one weighted sum of the pixels for each class.

    Args:
        train: Training images and labels; at most 10,000 are used.
        images: ``uint8`` array of shape ``(n, height, width, channels)``.

    Returns:
        ``int64`` array of shape ``(n,)``: predicted labels.
    """
    # The nearest neighbours need the components as they are; the linear model equal scales.
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    return _fit_predict(model, train, images)


def principal_components(
    inputs: np.ndarray, rows: np.ndarray | None = None, seed: int = 0, piece: int = PIECE
) -> Callable[..., np.ndarray]:
    """Learn from some inputs how to say them in few numbers: their principal components.

    Args:
        inputs: ``uint8`` images of shape ``(n, height, width, channels)``, or features of shape
            ``(n, d)``; they may be memory-mapped, and are read in pieces.
        rows: Integer array: which of them; all by default. At most 10,000 are looked at.
        seed: Seed of that choice.
        piece: Numbers held as floats at a time; memory stays flat however many there are.

    Returns:
        A function that takes inputs and rows likewise, and gives a ``float32`` array of shape
        ``(rows, components)``. Of at most 64 components those that are rounding errors are left
        out: they must not be blown up by whoever gives them equal scales.
    """
    rows = np.arange(len(inputs)) if rows is None else rows
    flat = _flat(inputs, np.sort(np.random.default_rng(seed).permutation(rows)[:MOST_IMAGES]))
    reduction = PCA(min(COMPONENTS, *flat.shape), random_state=seed).fit(flat)
    spread = np.sqrt(reduction.explained_variance_)
    kept = spread >= 1e-4 * spread.max()
    length = max(1, piece // max(1, flat.shape[1]))

    def reduce(others: np.ndarray, some: np.ndarray | None = None) -> np.ndarray:
        some = np.arange(len(others)) if some is None else some
        pieces = [some[start : start + length] for start in range(0, len(some), length)]
        parts = [reduction.transform(_flat(others, each))[:, kept] for each in pieces]
        return np.concatenate(parts)

    return reduce


def _fit_predict(classifier, train: Split, images: np.ndarray) -> np.ndarray:
    """Fit on the principal components of the pixels and predict."""
    known = train.sample(MOST_IMAGES)
    reduce = principal_components(known.images)
    return classifier.fit(reduce(known.images), known.labels).predict(reduce(images))


def _flat(inputs: np.ndarray, rows: np.ndarray) -> np.ndarray:
    values = inputs[rows].reshape(len(rows), -1).astype("float32")
    return values / 255 if inputs.dtype == np.uint8 else values
