"""The judges of three exercises of notebook 05: best k, a threshold, a comparison."""

from typing import Any

import numpy as np
import pandas as pd

from imgclf_lib.baselines import compare_paired
from imgclf_lib.evaluate import coverage_table, lowest_threshold
from imgclf_lib.exercises.exercise import Mistake, array, call, number

CANNOT_TELL = "cannot tell"


def judge_top_k(answer: Any) -> str:
    """Whether a function counts the images whose true class is among the k most probable.

    Args:
        answer: The learner's function.

    Returns:
        What to say about a right answer.

    Raises:
        Mistake: If it counts anything else.
    """
    generator = np.random.default_rng(0)
    for count, classes, k in ((97, 7, 3), (50, 4, 1), (30, 6, 5), (60, 9, 4)):
        labels = generator.integers(0, classes, count)
        chances = generator.dirichlet(np.ones(classes), count)
        chances[np.arange(count), labels] += 0.1
        chances /= chances.sum(1, keepdims=True)
        found = number(call(answer, chances, labels, k))
        _compare_top(found, chances, labels, k)
    return "The place of the true class decides: it counts if it is among the first k."


def _compare_top(found: float, chances: np.ndarray, labels: np.ndarray, k: int) -> None:
    place = (chances > chances[np.arange(len(labels)), labels][:, np.newaxis]).sum(1)
    wanted = (place < k).mean()
    if abs(found - wanted) < 1e-6:
        return
    classes = chances.shape[1]
    what = f"For {len(labels)} images, {classes} classes and k = {k}"
    for wrong, why in (
        ((place < k).sum(), "you gave a count. Divide it by the number of images."),
        (100 * wanted, "you gave percent. A share between 0 and 1 is wanted."),
        (1 - wanted, "you gave the share of images that are missed."),
        (
            (place >= classes - k).mean(),
            "you took the k classes of the lowest probability: argsort sorts from small to large.",
        ),
        (
            (place == k - 1).mean(),
            "you counted the images whose true class is exactly at place k."
            " The places before count too.",
        ),
        ((place <= k).mean(), "you looked at k + 1 classes. Places are counted from 0."),
        ((place < k - 1).mean(), "you looked at k - 1 classes only."),
        ((place == 0).mean(), "you gave the plain accuracy. What does k do?"),
        (wanted / k, "you divided by k too. An image counts once, wherever its class is found."),
    ):
        if abs(found - wrong) < 1e-6:
            raise Mistake(f"{what}, {why}")
    raise Mistake(
        f"{what}, your function gives {found:.4g} instead of {wanted:.4g}. Check one image by hand:"
        " is its true class among the k most probable?"
    )


def judge_threshold(
    answer: Any, val_probabilities: Any, val_labels: Any, probabilities: Any, labels: Any
) -> str:
    """Whether a threshold leaves a quarter of the mistakes, and answers as much as possible.

    Args:
        answer: The threshold.
        val_probabilities: Of the validation images, which it must be chosen on.
        val_labels: Their true classes.
        probabilities: Of the test images, to notice a choice that was made on them.
        labels: Their true classes.

    Returns:
        What to say about a right answer.

    Raises:
        Mistake: If it is too low, too high, or chosen on the test images.
    """
    value = number(answer)
    table = coverage_table(array(val_probabilities), array(val_labels))
    wish = _quarter(table)
    best = lowest_threshold(table, wish)
    sure = table[table["threshold"] >= value - 1e-9]
    count, images = (int(sure["answered"].max()) if len(sure) else 0), len(val_labels)
    if not np.isfinite(best):
        if count:
            raise Mistake("No threshold grants this wish here. Then nothing may be answered.")
        return "No threshold grants the wish on these images; so nothing is answered."
    reached = float(sure["accuracy"].iloc[-1]) if count else 0.0
    wanted = int(table.loc[table["threshold"] == best, "answered"].iloc[0])
    said = f"On the {images:,} validation images it answers {count:,}"
    if abs(count - wanted) <= max(0.002 * images, 0) and (count == 0 or reached >= wish - 5e-4):
        return f"{said}, {reached:.1%} of them right; wished were {wish:.1%}."
    elsewhere = coverage_table(array(probabilities), array(labels))
    for other in (
        lowest_threshold(elsewhere, wish),
        lowest_threshold(elsewhere, _quarter(elsewhere)),
    ):
        if abs(value - other) < 5e-4:
            raise Mistake(
                "This threshold was chosen on the test images: then they cannot tell any more how"
                " good the choice is. Choose with val_probabilities and val_labels."
            )
    if 1 < value <= 100:
        raise Mistake("A confidence lies between 0 and 1; this looks like percent.")
    if not count:
        raise Mistake(f"At {value:.4g} nothing at all is answered. A lower threshold can do it.")
    if reached < wish:
        raise Mistake(
            f"{said}, but only {reached:.1%} of them are right, and {wish:.1%} are wished. A higher"
            " threshold answers less, and usually better."
        )
    raise Mistake(
        f"{said}, {reached:.1%} of them right. That is good enough, but it is not the lowest such"
        f" threshold: {wanted:,} images can be answered."
    )


def _quarter(table: pd.DataFrame) -> float:
    """The accuracy with a quarter of the mistakes of answering everything."""
    return float(1 - (1 - table["accuracy"].iloc[-1]) / 4)


def judge_comparison(answer: Any, all_right: dict[str, np.ndarray]) -> str:
    """Whether the exact McNemar test was read right.

    Args:
        answer: The name of the better baseline, or ``cannot tell``.
        all_right: By name of a classifier, for each test image whether it was right.

    Returns:
        What to say about a right answer.

    Raises:
        Mistake: If the images say something else.
    """
    first, second = "nearest neighbours", "linear model"
    paired = compare_paired(np.asarray(all_right[first]), np.asarray(all_right[second]))
    won, lost, p_value = paired["only_first"], paired["only_second"], paired["p_value"]
    better, worse = (first, second) if won > lost else (second, first)
    figures = (
        f"{won:,} images only the nearest neighbours get right, {lost:,} only the linear model;"
        f" p-value {p_value:.4f}"
    )
    truth = better if p_value < 0.05 else CANNOT_TELL
    words = str(answer).strip().lower().replace("-", " ")
    known = {first: first, "nearest neighbour": first, "nearest": first, second: second}
    known |= {"linear": second, CANNOT_TELL: CANNOT_TELL, "can't tell": CANNOT_TELL}
    if words not in known:
        raise Mistake(f"One of three texts is wanted: {first!r}, {second!r} or {CANNOT_TELL!r}.")
    said = known[words]
    if said == truth:
        return f"{figures}."
    if truth == CANNOT_TELL:
        raise Mistake(
            f"Luck alone explains a difference like this easily ({figures}). A higher accuracy on"
            " these images is not enough."
        )
    if said == CANNOT_TELL:
        raise Mistake(f"They can: so uneven a split is hardly luck ({figures}).")
    raise Mistake(f"The other way round: the {worse} is the worse one ({figures}).")
