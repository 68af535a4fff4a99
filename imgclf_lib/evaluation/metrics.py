"""Predict once, then measure: accuracy with its interval, calibration, coverage, mistakes."""

from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import norm
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

from imgclf_lib.data import Split, load_data, load_other
from imgclf_lib.errors import InputError, tell
from imgclf_lib.network import predict_probabilities
from imgclf_lib.storage import write_json, write_table
from imgclf_lib.training import Run

CALIBRATION_BINS = 15
DEVIATIONS = float(norm.ppf(0.975))  # 95 % of a normal distribution lies within so many


class Evaluation(NamedTuple):
    """The result of evaluating a run.

    Args:
        metrics: What ``evaluation.json`` holds.
        predictions: What ``predictions.csv`` holds: a row an image.
        probabilities: ``float32`` array of shape ``(n, classes)``.
        split: The images that were predicted.
        class_names: Class names in the order of the model's outputs.
    """

    metrics: dict[str, Any]
    predictions: pd.DataFrame
    probabilities: np.ndarray
    split: Split
    class_names: tuple[str, ...]


def evaluate(run: Run, data: str = "", split: str = "test") -> Evaluation:
    """Evaluate a run and write ``evaluation.json`` and ``predictions.csv``.

    Other data is measured whole, or its own test split if it has one, and by the names of the
    classes, of which some may have no images there. The run's own data in another place is
    recognised by its content, and divided as it was for the training.

    Args:
        run: A run with a trained model.
        data: Other data than the run's own: a known name, folder, list or archive.
        split: ``train``, ``val`` or ``test``.

    Returns:
        The metrics, predictions and images. Beside those of ``measure``, the metrics say ``data``,
        ``split`` (``all``, where other data was measured whole), ``absent_classes``, and of other
        data ``copies_of_training``: how many of its files the run was trained on, or None where
        the run's own data is gone. A line on standard error says so too.

    Raises:
        InputError: If there is no such split, or the data has classes that the model does not know.
    """
    if split not in ("train", "val", "test"):
        raise InputError("There is no such split", allowed="train, val, test", received=split)
    name, images, hashes = _images_of(run, data, split)
    copies = None if hashes is None else _count_copies(run, name, hashes)
    probabilities = predict_probabilities(run.model, images.images)
    metrics = {
        "data": name,
        "split": images.name,
        **measure(probabilities, images.labels, run.class_names),
    }
    metrics["absent_classes"] = [
        each["class"] for each in metrics["per_class"] if not each["support"]
    ]
    if hashes is not None:
        metrics["copies_of_training"] = copies
    table = prediction_table(probabilities, images, run.class_names)
    # The plain names are for the run's own test split; anything else says what it is.
    other = f"-{name}-{images.name}" if data or split != "test" else ""
    write_json(run.folder / f"evaluation{other}.json", metrics)
    write_table(run.folder / f"predictions{other}.csv", table)
    return Evaluation(metrics, table, probabilities, images, run.class_names)


def _count_copies(run: Run, name: str, hashes: np.ndarray) -> int | None:
    """How many files of other data the run was trained on; None if that cannot be told."""
    try:
        own = load_data(run.experiment)
    except InputError as error:
        tell(f"Whether {name} holds images that the run was trained on is not known: {error}")
        return None
    trained = own.table.set_index("path")["hash"].loc[own.train.paths]
    copies = int(np.isin(hashes, trained).sum())
    if copies:
        tell(
            f"{copies:,} of the {len(hashes):,} images of {name} are exact copies of images that"
            " the run was trained on: for those the figures say what it remembers, not what it can."
        )
    return copies


def _images_of(run: Run, data: str, split: str) -> tuple[str, Split, np.ndarray | None]:
    """The name of the data, and the images to measure; of other data the hashes of their files."""
    environment = run.environment
    if not data:
        own = load_data(run.experiment)
        if own.class_names != run.class_names:
            raise InputError(
                f"The classes of {own.name} are no longer those that the model was trained on",
                allowed=", ".join(run.class_names),
                received=", ".join(own.class_names),
            )
        return own.name, getattr(own, split), None
    height, _, channels = environment["image_shape"]
    wanted = run.experiment.replace(
        data=data, image_size=height, color="grey" if channels == 1 else "color"
    )
    if wanted.fixes and not Path(wanted.fixes).expanduser().is_file():
        tell(
            f"The fix list of the run, {wanted.fixes}, is gone: if {data} is the run's own data,"
            " images that it was trained on are measured too"
        )
    with suppress(InputError):  # other data need not be fit for training
        own = load_data(wanted)
        if own.fingerprint == environment.get("data_fingerprint"):
            return own.name, getattr(own, split), None
    # Corrections and groups belong to the run's own data.
    return load_other(wanted.replace(fixes="", group=""), run.class_names, split, run.bits)


def measure(
    probabilities: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]
) -> dict[str, Any]:
    """All metrics of an evaluation.

    Args:
        probabilities: Array of shape ``(n, classes)``.
        labels: ``int64`` array of shape ``(n,)``: the true classes.
        class_names: Class names in label order.

    Returns:
        ``accuracy``, ``accuracy_ci95`` (low, high), ``loss`` (mean cross-entropy in nats), ``n``,
        ``per_class`` (a dictionary a class), ``confusion_matrix`` (rows true, columns
        predicted), ``calibration_error``, ``balanced_accuracy`` (mean recall of the classes that
        occur) and ``macro_f1`` (mean F1 of the classes that occur or are predicted).
    """
    predicted, known = probabilities.argmax(1), range(len(class_names))
    correct = int((predicted == labels).sum())
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predicted, labels=known, zero_division=0
    )
    per_class = [
        {
            "class": name,
            "precision": float(precision[label]),
            "recall": float(recall[label]),
            "f1": float(f1[label]),
            "support": int(support[label]),
        }
        for label, name in enumerate(class_names)
    ]
    exact = probabilities.astype("float64")
    return {
        "accuracy": correct / len(labels),
        "accuracy_ci95": list(wilson_interval(correct, len(labels))),
        "balanced_accuracy": float(recall[support > 0].mean()),
        "macro_f1": float(f1[(support > 0) | np.isin(known, predicted)].mean()),
        "loss": float(log_loss(labels, exact / exact.sum(1, keepdims=True), labels=known)),
        "n": len(labels),
        "per_class": per_class,
        "confusion_matrix": confusion_matrix(labels, predicted, labels=known).tolist(),
        "calibration_error": _calibration_error(calibration_table(probabilities, labels)),
    }


def wilson_interval(correct: int, count: int) -> tuple[float, float]:
    """The 95 % confidence interval of an accuracy, after Wilson (1927).

    Args:
        correct: Number of right answers.
        count: Number of images, at least 1.

    Returns:
        Low and high end, 0 to 1.
    """
    low, high = _wilson(np.array(correct), np.array(count))
    return float(low), float(high)


def _wilson(correct: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both ends of many intervals at once."""
    whole = count + DEVIATIONS**2
    middle = (correct + DEVIATIONS**2 / 2) / whole
    half = DEVIATIONS / whole * np.sqrt(correct * (count - correct) / count + DEVIATIONS**2 / 4)
    share = correct / count  # inside, rounding or not
    return np.clip(middle - half, 0, share), np.clip(middle + half, share, 1)


def calibration_table(probabilities: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """How often the model is right when it is so sure.

    Args:
        probabilities: Array of shape ``(n, classes)``.
        labels: ``int64`` array of shape ``(n,)``.

    Returns:
        A row for each of 15 equal ranges of the highest probability that occurs, with the
        columns ``confidence`` (mean highest probability), ``accuracy`` and ``count``.
    """
    confidence = probabilities.max(1)
    correct = probabilities.argmax(1) == labels
    place = np.minimum((confidence * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    table = pd.DataFrame({"place": place, "confidence": confidence, "accuracy": correct})
    grouped = table.groupby("place").agg(
        confidence=("confidence", "mean"), accuracy=("accuracy", "mean"), count=("place", "size")
    )
    return grouped.reset_index(drop=True)


def _calibration_error(table: pd.DataFrame) -> float:
    """Mean gap between confidence and accuracy, weighted by count (Guo and others, 2017)."""
    gap = (table["confidence"] - table["accuracy"]).abs()
    return float((gap * table["count"]).sum() / table["count"].sum())


def prediction_table(
    probabilities: np.ndarray, split: Split, class_names: tuple[str, ...]
) -> pd.DataFrame:
    """One row an image: what it is, what the model says, how sure it is."""
    names = np.array(class_names, dtype=object)
    predicted = probabilities.argmax(1)
    return pd.DataFrame(
        {
            "path": split.paths,
            "label": names[split.labels],
            "predicted": names[predicted],
            "right": predicted == split.labels,
            "probability": probabilities.max(1),
            "label_probability": probabilities[np.arange(len(predicted)), split.labels],
        }
    )


def coverage_table(probabilities: np.ndarray, labels: np.ndarray) -> pd.DataFrame:
    """Coverage and accuracy for every threshold that makes a difference.

    Args:
        probabilities: Array of shape ``(n, classes)``.
        labels: ``int64`` array of shape ``(n,)``: the true classes.

    Returns:
        A table with the columns ``threshold`` (from high to low: every confidence that occurs),
        ``answered`` (images at least so sure), ``coverage`` (their share of all), ``accuracy``
        (share of right answers among them) and ``low`` (low end of its 95 % interval).
    """
    confidence = probabilities.max(1)
    correct = probabilities.argmax(1) == labels
    order = np.argsort(-confidence, kind="stable")
    sure, hits = confidence[order], np.cumsum(correct[order])
    last = np.flatnonzero(np.append(sure[1:] != sure[:-1], True))  # equally sure, equally treated
    answered = last + 1
    return pd.DataFrame(
        {
            "threshold": sure[last],
            "answered": answered,
            "coverage": answered / len(sure),
            "accuracy": hits[last] / answered,
            "low": _wilson(hits[last], answered)[0],
        }
    )


def lowest_threshold(table: pd.DataFrame, wish: float) -> float:
    """The threshold that answers most and can promise an accuracy for other images.

    The accuracy itself must not decide: the lowest threshold that just reaches the wish sits on a
    lucky ripple of the curve, and keeps its promise about every second time. So the low end of the
    95 % interval has to reach the wish.

    Args:
        table: As from ``coverage_table``; to choose by test images is to tune on them.
        wish: Accuracy among the answered images, 0 to 1.

    Returns:
        The threshold; infinity if these images can promise it with none.
    """
    granted = table.loc[table["low"] >= wish, "threshold"]
    return float(granted.min()) if len(granted) else float("inf")


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
        predictions: As from ``prediction_table``.
        label: The true class.
        predicted: The class that the model said.

    Returns:
        The rows of the table; their index says which image each is.
    """
    inside = (predictions["label"] == label) & (predictions["predicted"] == predicted)
    return predictions[inside].sort_values("probability", ascending=False, kind="stable")
