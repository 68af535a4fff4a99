"""Answering only when sure: what a confidence threshold costs, and what it brings."""

import numpy as np
import pandas as pd


def coverage_table(probabilities: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Coverage and accuracy for every threshold that makes a difference.

    Args:
        probabilities: Array of shape ``(n, classes)``.
        labels: ``int64`` array of shape ``(n,)``: the true classes.

    Returns:
        A table with the columns ``threshold`` (from high to low: every confidence that occurs),
        ``answered`` (images at least so sure), ``coverage`` (their share of all) and
        ``accuracy`` (share of right answers among them).
    """
    confidence = probabilities.max(1)
    right = probabilities.argmax(1) == labels
    order = np.argsort(-confidence, kind="stable")
    sure, hits = confidence[order], np.cumsum(right[order])
    last = np.flatnonzero(np.append(sure[1:] != sure[:-1], True))  # equally sure, equally treated
    answered = last + 1
    return pd.DataFrame(
        {
            "threshold": sure[last],
            "answered": answered,
            "coverage": answered / len(sure),
            "accuracy": hits[last] / answered,
        }
    )


def lowest_threshold(table: pd.DataFrame, wish: float) -> float:
    """The threshold that answers most and still is as accurate as wished.

    Args:
        table: As from ``coverage_table``; to choose by test images is to tune on them.
        wish: Accuracy among the answered images, 0 to 1.

    Returns:
        The threshold; infinity if none grants the wish.
    """
    granted = table.loc[table["accuracy"] >= wish, "threshold"]
    return float(granted.min()) if len(granted) else float("inf")
