"""What leakage does: the score on held-out images with and without those that training saw."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from imgclf_lib.evaluate import accuracy_interval

COMPONENTS = 64  # principal components that stand for the pixels
SAMPLE = 10_000  # training images from which the components are found
MOST_TRAIN = 60_000  # more training images are sampled; those of a leaked image may then be missing
PIECE = 4_000_000  # numbers held as floats at a time; memory stays flat however many there are


class LeakageEffect(NamedTuple):
    """Scores of a classifier that finds the most similar training image and repeats its label.

    Args:
        n: Held-out images.
        leaked: How many of them have a twin in the training images.
        score_with: Accuracy on all held-out images; NaN if there are none.
        score_without: Accuracy on those without a twin; NaN if there are none.
        score_leaked: Accuracy on those with a twin; NaN if there are none.
        interval_with: 95 % confidence interval of ``score_with``.
        interval_without: The same of ``score_without``.
        interval_leaked: The same of ``score_leaked``.
    """

    n: int
    leaked: int
    score_with: float
    score_without: float
    score_leaked: float
    interval_with: tuple[float, float]
    interval_without: tuple[float, float]
    interval_leaked: tuple[float, float]

    @property
    def figures(self) -> dict[str, Any]:
        """The figures as JSON can hold them: None in place of NaN."""
        figures = self._asdict()
        for name, value in figures.items():
            if isinstance(value, tuple):
                figures[name] = [None if np.isnan(end) else end for end in value]
            elif np.isnan(value):
                figures[name] = None
        return figures

    @property
    def sentence(self) -> str:
        """What was measured, in words, and what can be said from so many images."""
        if not self.leaked:
            return f"None of the {self.n:,} held-out images has a twin in the training images."
        share = f"{self.leaked:,} of {self.n:,} held-out images have a twin in the training images."
        if self.leaked == self.n:
            return f"{share} No score can be trusted: no held-out image is new."
        scores = (
            f"A nearest-neighbour classifier on pixels scores {self.score_with:.1%} with them and"
            f" {self.score_without:.1%} without ({_range(self.interval_without)}); on the twins"
            f" alone {self.score_leaked:.1%} ({_range(self.interval_leaked)})."
        )
        low, high = self.interval_leaked[0], self.interval_without[1]
        if low > high:
            verdict = "Images that training has seen raise the score."
        else:
            verdict = "That is too small a difference, or from too few images, to tell the effect."
        return f"{share} {scores} {verdict}"


def leakage_effect(
    train_images: np.ndarray,
    train_labels: np.ndarray,
    held_images: np.ndarray,
    held_labels: np.ndarray,
    leaked: np.ndarray,
    seed: int = 0,
) -> LeakageEffect:
    """Measure what leaked images do to the score of a simple classifier.

    One nearest neighbour on principal components of the pixels (Cover and Hart 1967) remembers
    every training image, as a large network may, so it shows how large the effect can become.

    Args:
        train_images: ``uint8`` array of shape ``(m, height, width, channels)``; it may be
            memory-mapped, as all arrays here. Of more than 60,000 a sample is used.
        train_labels: ``int64`` array of shape ``(m,)``.
        held_images: ``uint8`` array of shape ``(n, height, width, channels)``: validation or test.
        held_labels: ``int64`` array of shape ``(n,)``.
        leaked: Boolean array of shape ``(n,)``: which of them have a twin in training.
        seed: Seed of the sample.

    Returns:
        The scores with their intervals.
    """
    leaked = np.asarray(leaked, bool)
    right = np.zeros(len(held_labels), bool)
    if len(train_labels) == 1:
        right = held_labels == train_labels[0]
    elif len(held_labels) and len(train_labels):
        generator = np.random.default_rng(seed)
        rows = np.sort(generator.permutation(len(train_labels))[:MOST_TRAIN])
        sample = np.sort(generator.permutation(rows)[:SAMPLE])
        flat = _flat(train_images, sample)
        components = min(COMPONENTS, *flat.shape)
        reduction = PCA(components, svd_solver="randomized", random_state=seed).fit(flat)
        known = np.concatenate([reduction.transform(each) for each in _pieces(train_images, rows)])
        classifier = KNeighborsClassifier(1, algorithm="brute").fit(known, train_labels[rows])
        asked = _pieces(held_images, np.arange(len(held_labels)))
        answers = [classifier.predict(reduction.transform(each)) for each in asked]
        right = np.concatenate(answers) == held_labels
    everyone, others, twins = (_score(some) for some in (right, right[~leaked], right[leaked]))
    scores = everyone[0], others[0], twins[0]
    return LeakageEffect(len(right), int(leaked.sum()), *scores, everyone[1], others[1], twins[1])


def _score(right: np.ndarray) -> tuple[float, tuple[float, float]]:
    if not len(right):
        return float("nan"), (float("nan"), float("nan"))
    return float(right.mean()), accuracy_interval(int(right.sum()), len(right))


def _pieces(images: np.ndarray, rows: np.ndarray):
    length = max(1, PIECE // max(1, int(np.prod(images.shape[1:]))))
    for start in range(0, len(rows), length):
        yield _flat(images, rows[start : start + length])


def _flat(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    return images[rows].reshape(len(rows), -1).astype("float32") / 255


def _range(interval: tuple[float, float]) -> str:
    return f"95 % interval {interval[0]:.1%} to {interval[1]:.1%}"
