"""What leakage does: the score on held-out images with and without those that training saw."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.neighbors import KNeighborsClassifier

from imgclf_lib.evaluation import principal_components, wilson_interval

MOST_TRAIN = 60_000  # more training images are sampled; those of a leaked image may then be missing
MOST_BYTES = 800_000_000  # of images that are held in memory


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
    def metrics(self) -> dict[str, Any]:
        """The metrics as JSON can hold them: None in place of NaN."""
        metrics = self._asdict()
        for name, value in metrics.items():
            if isinstance(value, tuple):
                metrics[name] = [None if np.isnan(end) else end for end in value]
            elif np.isnan(value):
                metrics[name] = None
        return metrics

    @property
    def sentence(self) -> str:
        """What was measured, in words, and what can be said from so many images."""
        if not self.leaked:
            return f"No twin of the {self.n:,} held-out images was found in the training images."
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


def _leakage_effect(
    train_images: np.ndarray,
    train_labels: np.ndarray,
    held_images: np.ndarray,
    held_labels: np.ndarray,
    leaked: np.ndarray,
    seed: int = 0,
) -> LeakageEffect:
    """Scores on held-out images of one nearest neighbour on principal components of the pixels.

    It remembers every training image (Cover and Hart 1967), as a large network may, so it shows
    how large the effect can become.
    """
    leaked = np.asarray(leaked, bool)
    correct = np.zeros(len(held_labels), bool)
    if len(train_labels) == 1:
        correct = held_labels == train_labels[0]
    elif len(held_labels) and len(train_labels):
        rows = np.random.default_rng(seed).permutation(len(train_labels))[:MOST_TRAIN]
        rows = np.sort(rows)
        reduce = principal_components(train_images, rows, seed)
        classifier = KNeighborsClassifier(1, algorithm="brute")
        classifier.fit(reduce(train_images, rows), train_labels[rows])
        correct = classifier.predict(reduce(held_images)) == held_labels
    parts = (correct, correct[~leaked], correct[leaked])
    everyone, others, twins = map(_score, parts)
    scores = everyone[0], others[0], twins[0]
    return LeakageEffect(len(correct), int(leaked.sum()), *scores, everyone[1], others[1], twins[1])


def _score(correct: np.ndarray) -> tuple[float, tuple[float, float]]:
    if not len(correct):
        return float("nan"), (float("nan"), float("nan"))
    return float(correct.mean()), wilson_interval(int(correct.sum()), len(correct))


def _range(interval: tuple[float, float]) -> str:
    return f"95 % interval {interval[0]:.1%} to {interval[1]:.1%}"


class Leaks(NamedTuple):
    """What was measured about leaked images.

    Args:
        split: The split that was measured: ``val`` if it leaks, else ``test``; empty if none does.
        effect: The scores with and without the leaked images; None if none leaks.
    """

    split: str
    effect: LeakageEffect | None

    @property
    def sentence(self) -> str:
        """What was measured, in words."""
        if self.effect is None:
            return "No image of training was found in another split that was given."
        name = {"val": "validation", "test": "test"}[self.split]
        return f"Leakage into the {name} split: {self.effect.sentence}"

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics as JSON can hold them."""
        return {"split": self.split} | ({} if self.effect is None else self.effect.metrics)


def measure_leaks(
    table: pd.DataFrame,
    images: np.ndarray,
    places: np.ndarray,
    groups: np.ndarray,
    most_bytes: int = MOST_BYTES,
) -> Leaks:
    """Measure what leaked images do, on the validation split where it leaks, else on the test."""
    splits = table["split"].where(table["problem"] == "", "").to_numpy()
    train = np.flatnonzero(splits == "train")
    twins = np.isin(groups, groups[train])
    for split in ("val", "test"):
        held = np.flatnonzero(splits == split)
        if twins[held].any():
            break
    else:
        return Leaks("", None)
    most = max(1, most_bytes // max(1, images[:1].nbytes))
    if len(train) > most:  # those that leak stay, and as many others as there is room for
        needed = np.isin(groups[train], groups[held])
        order = np.random.default_rng(0).permutation(len(train))
        train = np.sort(train[order[np.argsort(~needed[order], kind="stable")[:most]]])
    labels = pd.factorize(table["label"], sort=True)[0]
    return Leaks(
        split,
        _leakage_effect(
            images[places[train]],
            labels[train],
            images[places[held]],
            labels[held],
            twins[held],
        ),
    )
