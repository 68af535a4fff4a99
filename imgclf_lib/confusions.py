"""What lies behind a confusion matrix: its mixed-up pairs, and the images of its cells."""

import numpy as np
import pandas as pd


def confused_pairs(counts: np.ndarray, most: int = 20) -> list[tuple[int, int, int]]:
    """The most frequent confusions.

    Args:
        counts: Array of shape ``(classes, classes)``: rows true, columns predicted.
        most: How many at most.

    Returns:
        True class, predicted class and number of images, the most frequent first; empty if
        there are no mistakes.
    """
    mistakes = np.array(counts)
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:most]
    rows, columns = np.unravel_index(order, mistakes.shape)
    return [
        (int(row), int(column), int(mistakes[row, column]))
        for row, column in zip(rows, columns, strict=True)
        if mistakes[row, column]
    ]


def classes_to_show(counts: np.ndarray, most: int, also: tuple[int, ...] = ()) -> list[int]:
    """The classes that a small confusion matrix should show.

    Args:
        counts: Array of shape ``(classes, classes)``: rows true, columns predicted.
        most: How many at most.
        also: Classes that must be among them.

    Returns:
        All classes if they are no more than ``most``; else ``also`` and those that are mixed up
        most, in label order.
    """
    classes = len(counts)
    if classes <= most:
        return list(range(classes))
    pairs = [
        each for row, column, _ in confused_pairs(counts, classes**2) for each in (row, column)
    ]
    chosen = list(dict.fromkeys([*also, *pairs, *range(classes)]))
    return sorted(chosen[:most])


def images_in_cell(predictions: pd.DataFrame, label: str, predicted: str) -> pd.DataFrame:
    """The images of one cell of a confusion matrix, the most confident first.

    Args:
        predictions: As from ``evaluate.prediction_table``.
        label: The true class.
        predicted: The class that the model said.

    Returns:
        The rows of the table; their index says which image each is.
    """
    inside = (predictions["label"] == label) & (predictions["predicted"] == predicted)
    return predictions[inside].sort_values("probability", ascending=False, kind="stable")
