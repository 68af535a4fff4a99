"""The one rule for "is this difference luck?": the same images, several seeds, the best of many.

Two kinds of luck move a score: *which images* were asked, and *which seed* trained. A difference
counts if luck alone makes one as large in fewer than 5 of 100 cases. Who looks at many differences
says how many: the chance of a single false finding among all of them stays at 5 of 100.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest, norm, t

LEVEL = 0.05  # of cases in which luck alone may be called a finding
DRAWS = 2_000  # of coins, and of images: the two thousandth part is seen
PIECE = 4_000_000  # numbers held at a time

# A measure is a function of the right answers, the images and the answers, each counted by class.
Measure = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


class Difference(NamedTuple):
    """How much higher the second of two scores is, and whether that may be luck.

    Args:
        value: The second score less the first.
        low: Low end of its 95 % interval; wider, if it is one of many.
        high: High end.
        p_value: How often luck alone makes a difference as large, 0 to 1; if it is one of many, how
            often the largest of so many is as large (at most: after Bonferroni).
        many: How many differences were looked at.
    """

    value: float
    low: float
    high: float
    p_value: float
    many: int = 1

    @property
    def verdict(self) -> str:
        """``higher``, ``lower`` or ``may be luck``."""
        if not self.p_value < LEVEL:
            return "may be luck"
        return "higher" if self.value > 0 else "lower"

    def __str__(self) -> str:
        many = f", one of {self.many}" if self.many > 1 else ""
        return f"{self.value:+.3f} ({self.low:+.3f} to {self.high:+.3f}{many}): {self.verdict}"


def compare_predictions(
    labels: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
    measure: str = "accuracy",
    many: int = 1,
) -> Difference:
    """Compare two classifiers that answered for the same images: which images is the luck.

    If both were equally good, every image on which they differ might as well have its two answers
    the other way round. So a coin exchanges them, image by image: that is how large a difference
    luck makes. For the accuracy all coins together have a formula, the exact test of McNemar
    (1947); for other measures 2,000 throws are made, and the interval is that of 2,000 other draws
    of the images (the bootstrap of Efron, 1979). The seeds of the training are not in it.

    Args:
        labels: Integer array of shape ``(n,)``: the true classes.
        before: Integer array of shape ``(n,)``: the answers of the first.
        after: Integer array of shape ``(n,)``: the answers of the second.
        measure: ``accuracy``, ``balanced_accuracy`` (mean recall of the classes that occur) or
            ``macro_f1``.
        many: How many differences are looked at, of which this is one.

    Returns:
        The difference, 1 at most.
    """
    labels, before, after = (np.asarray(each, dtype="int64") for each in (labels, before, after))
    if measure == "accuracy":
        return _compare_right(before == labels, after == labels, many)
    kinds, counts = np.unique(np.stack([labels, before, after]), axis=1, return_counts=True)
    tables = [_by_class(kinds[0], answers, int(kinds.max()) + 1) for answers in kinds[1:]]
    value = float(_gain(measure, tables, counts, 0 * counts))
    by_coin, by_images, random = [], [], np.random.default_rng(0)
    length = max(1, PIECE // tables[0].size)
    for rows in (min(length, DRAWS - start) for start in range(0, DRAWS, length)):
        turned = random.binomial(counts, 0.5, (rows, len(counts)))
        by_coin.append(_gain(measure, tables, counts - turned, turned))
        drawn = random.multinomial(len(labels), counts / len(labels), rows)
        by_images.append(_gain(measure, tables, drawn, 0 * drawn))
    as_large = (np.abs(np.concatenate(by_coin)) >= abs(value) - 1e-12).sum()
    p_value = min(1.0, many * float(1 + as_large) / (1 + DRAWS))
    tail = LEVEL / many / 2
    low, high = np.quantile(np.concatenate(by_images), [tail, 1 - tail])
    return Difference(value, float(low), float(high), p_value, many)


def compare_seeds(
    before: Iterable[float], after: Iterable[float], images: int = 0, many: int = 1
) -> Difference:
    """Compare two recipes by the scores of several trainings: which seed is the luck.

    The mean of *n* trainings moves less than one of them, by the square root of *n*; and the
    standard deviation of a few is itself uncertain, which the factor of Student (1908) pays for:
    with 2 degrees of freedom 4.3 standard errors, with 10 of them 2.2. Both recipes are taken to
    depend on the seed as much as each other. The choice of the images is not in it.

    Args:
        before: The scores of the first recipe, one a seed.
        after: Those of the second; together at least three.
        images: If the scores are shares of so many images: the seeds are taken to move a score by
            one image at least, because a few equal scores prove nothing. 0 does without that.
        many: How many differences are looked at, of which this is one.

    Returns:
        The difference of the means.
    """
    one, other = (np.fromiter(each, dtype="float64") for each in (before, after))
    freedom = len(one) + len(other) - 2
    value = float(other.mean() - one.mean())
    squares = ((one - one.mean()) ** 2).sum() + ((other - other.mean()) ** 2).sum()
    deviation = max(float(np.sqrt(squares / freedom)), 1 / images if images else 0.0)
    error = deviation * np.sqrt(1 / len(one) + 1 / len(other))
    half = error * float(t.ppf(1 - LEVEL / many / 2, freedom))
    if error:
        p_value = min(1.0, 2 * float(t.sf(abs(value) / error, freedom)) * many)
    else:
        p_value = float(value == 0)
    return Difference(value, value - half, value + half, p_value, many)


def mcnemar_test(first_correct: np.ndarray, second_correct: np.ndarray) -> dict[str, float]:
    """Whether two classifiers differ by more than luck, from the images they disagree about.

    Args:
        first_correct: Boolean array of shape ``(n,)``: the first classifier is right.
        second_correct: Boolean array of shape ``(n,)``: the second is right, for the same images.

    Returns:
        ``only_first`` and ``only_second`` (images that only one got right), and ``p_value`` of the
        exact test of McNemar (1947).
    """
    only_first = int((first_correct & ~second_correct).sum())
    only_second = int((second_correct & ~first_correct).sum())
    different = only_first + only_second
    p_value = float(binomtest(only_first, different).pvalue) if different else 1.0
    return {"only_first": only_first, "only_second": only_second, "p_value": p_value}


def _compare_right(before: np.ndarray, after: np.ndarray, many: int) -> Difference:
    """By the exact test; the interval also knows that other images would differ more often."""
    paired, count = mcnemar_test(before, after), len(before)
    won, different = paired["only_second"], paired["only_first"] + paired["only_second"]
    p_value = min(1.0, paired["p_value"] * many)
    if not different:
        return Difference(0.0, 0.0, 0.0, 1.0, many)
    value = (2 * won - different) / count
    half = norm.isf(LEVEL / many / 2) * np.sqrt(different - count * value**2) / count
    share = binomtest(int(won), int(different)).proportion_ci(1 - LEVEL / many, "exact")
    low, high = (different / count * (2 * each - 1) for each in (share.low, share.high))
    # The wider end, but none that says another thing than the test.
    low = min(low, value - half) if (low > 0) == (value - half > 0) else low
    high = max(high, value + half) if (high < 0) == (value + half < 0) else high
    return Difference(value, float(low), float(high), p_value, many)


def _by_class(labels: np.ndarray, answers: np.ndarray, classes: int) -> np.ndarray:
    """For each kind of image a 1 at the class where it is right, belongs, and is put."""
    one = np.eye(classes)
    return np.stack([one[labels] * (labels == answers)[:, None], one[labels], one[answers]])


def _gain(
    measure: str, tables: list[np.ndarray], kept: np.ndarray, turned: np.ndarray
) -> np.ndarray:
    """The second score less the first, if of each kind so many answers are kept and turned."""
    before, after = tables
    first, second = kept @ before + turned @ after, kept @ after + turned @ before
    return MEASURES[measure](*second) - MEASURES[measure](*first)


def _balanced_accuracy(right: np.ndarray, images: np.ndarray, _answers: np.ndarray) -> np.ndarray:
    return _mean_where(images > 0, right / np.maximum(images, 1))


def _macro_f1(right: np.ndarray, images: np.ndarray, answers: np.ndarray) -> np.ndarray:
    both = images + answers
    return _mean_where(both > 0, 2 * right / np.maximum(both, 1))


def _mean_where(occurs: np.ndarray, values: np.ndarray) -> np.ndarray:
    return np.asarray((values * occurs).sum(-1) / occurs.sum(-1))


MEASURES: dict[str, Measure] = {"balanced_accuracy": _balanced_accuracy, "macro_f1": _macro_f1}
