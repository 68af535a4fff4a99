"""Simple classifiers that a network has to beat, and a test of whether it does."""

import numpy as np
from scipy.stats import binomtest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier

from imgclf_lib.data import Split

COMPONENTS = 64  # principal components that stand for the pixels; keeps the work small
MOST_IMAGES = 10_000  # training images used at most


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
    return _fit_predict(LogisticRegression(C=0.1, max_iter=1000), train, images)


def compare_paired(first_right: np.ndarray, second_right: np.ndarray) -> dict[str, float]:
    """Whether two classifiers differ on the same images: the exact McNemar test.

    From McNemar (1947). Only the images that exactly one of the two gets right tell anything.

    Args:
        first_right: Boolean array of shape ``(n,)``: where the first classifier is right.
        second_right: The same for the second, for the same images.

    Returns:
        ``only_first`` and ``only_second`` (counts) and ``p_value``.
    """
    only_first = int((first_right & ~second_right).sum())
    only_second = int((second_right & ~first_right).sum())
    different = only_first + only_second
    p_value = float(binomtest(only_first, different).pvalue) if different else 1.0
    return {"only_first": only_first, "only_second": only_second, "p_value": p_value}


def _fit_predict(classifier, train: Split, images: np.ndarray) -> np.ndarray:
    """Fit on the principal components of the pixels and predict, in pieces that bound memory."""
    known = train.sample(MOST_IMAGES)
    pixels = _flat(known.images)
    reduction = PCA(min(COMPONENTS, *pixels.shape), random_state=0).fit(pixels)
    # The nearest neighbours need the components as they are; the linear model equal scales.
    scale = np.ones(reduction.n_components_)
    if isinstance(classifier, LogisticRegression):
        spread = np.sqrt(reduction.explained_variance_)
        # In few images the last components are rounding errors, which must not be blown up.
        scale = np.where(spread > 1e-4 * spread.max(), 1 / np.maximum(spread, 1e-12), 0)
    classifier.fit(reduction.transform(pixels) * scale, known.labels)
    answers = []
    for at in range(0, len(images), 4096):
        components = reduction.transform(_flat(images[at : at + 4096]))
        answers.append(classifier.predict(components * scale))
    return np.concatenate(answers)


def _flat(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1).astype("float32") / 255
