"""The rule for luck: exact where there is a formula, and wrong no more often than it says."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_ind
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from imgclf_lib.evaluation.luck import (
    LEVEL,
    Difference,
    compare_predictions,
    compare_seeds,
    mcnemar_test,
)

MEASURES = {
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
    "macro_f1": lambda labels, predicted: f1_score(labels, predicted, average="macro"),
}


def answers(random: np.random.Generator, labels: np.ndarray, accuracy: float) -> np.ndarray:
    """Right so often, otherwise any class."""
    right = random.random(len(labels)) < accuracy
    return np.where(right, labels, random.integers(0, labels.max() + 1, len(labels)))


def at_most(false: int, of: int, share: float = LEVEL) -> bool:
    """Whether a rule that errs in this share of cases could have erred so often."""
    return binomtest(false, of, share, alternative="greater").pvalue > 0.001


@pytest.mark.parametrize(("first", "second"), [(0, 5), (0, 6), (8, 2), (0, 0), (1, 1)])
def test_mcnemar_by_hand(first, second):
    one = np.array([True] * first + [False] * second + [True] * 7 + [False] * 3)
    two = np.array([False] * first + [True] * second + [True] * 7 + [False] * 3)
    count, few = first + second, min(first, second)
    tail = sum(math.comb(count, k) for k in range(few + 1)) / 2**count
    found = mcnemar_test(one, two)
    assert (found["only_first"], found["only_second"]) == (first, second)
    assert found["p_value"] == pytest.approx(min(1.0, 2 * tail))
    compared = compare_predictions(np.ones(len(one), int), one, two)
    assert compared.p_value == found["p_value"]
    assert compared.value == pytest.approx((second - first) / len(one))
    # The interval and the test never contradict each other.
    assert (compared.low <= 0 <= compared.high) == (compared.verdict == "may be luck")


@pytest.mark.parametrize("measure", MEASURES)
def test_the_value_is_that_of_scikit_learn(measure):
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    before, after = answers(random, labels, 0.5), answers(random, labels, 0.9)
    found = compare_predictions(labels, before, after, measure)
    scores = [MEASURES[measure](labels, each) for each in (before, after)]
    assert found.value == pytest.approx(scores[1] - scores[0])
    assert found.low < found.value < found.high
    assert found.verdict == "higher"
    turned = compare_predictions(labels, after, before, measure)
    assert turned.value == pytest.approx(-found.value)
    assert turned.verdict == "lower"


def test_coins_agree_with_the_formula():
    """With as many images in each class the balanced accuracy is the accuracy."""
    random = np.random.default_rng(2)
    labels = np.repeat(np.arange(4), 25)
    before, after = answers(random, labels, 0.6), answers(random, labels, 0.75)
    exact = compare_predictions(labels, before, after)
    by_coins = compare_predictions(labels, before, after, "balanced_accuracy")
    assert by_coins.p_value == pytest.approx(exact.p_value, abs=0.03)
    assert by_coins.low == pytest.approx(exact.low, abs=0.04)
    assert by_coins.high == pytest.approx(exact.high, abs=0.04)


def test_few_images_of_a_rare_class_are_no_finding():
    """Two of two images against none of two move the balanced accuracy by a half."""
    labels = np.array([0] * 100 + [1] * 2)
    never, found = np.zeros(102, int), labels.copy()
    compared = compare_predictions(labels, never, found, "balanced_accuracy")
    assert compared.value == 0.5
    assert compared.verdict == "may be luck"


def test_the_same_answers_do_not_differ():
    labels = np.arange(10) % 3
    for measure in MEASURES:
        assert compare_predictions(labels, labels, labels, measure)[:4] == (0, 0, 0, 1)


def test_seeds_are_compared_by_students_test():
    before, after = [0.70, 0.72, 0.71], [0.75, 0.74, 0.78, 0.76]
    found = compare_seeds(before, after)
    wanted = ttest_ind(after, before)
    assert found.p_value == pytest.approx(wanted.pvalue)
    interval = wanted.confidence_interval()
    assert found[1:3] == pytest.approx((interval.low, interval.high))
    assert found.verdict == "higher"
    single = compare_seeds(before, [0.73])
    assert single.high - single.value == pytest.approx(4.303 * 0.01 * math.sqrt(4 / 3), rel=1e-3)


def test_equal_scores_of_few_images_prove_nothing():
    assert compare_seeds([0.5] * 3, [2 / 3] * 3, images=6).verdict == "may be luck"
    assert compare_seeds([0.5] * 3, [0.5] * 3).verdict == "may be luck"
    assert compare_seeds([0.5] * 3, [0.6] * 3).verdict == "higher"


def test_one_of_many_needs_more():
    before, after = [0.70, 0.72, 0.71], [0.74, 0.73, 0.75]
    alone, among = compare_seeds(before, after), compare_seeds(before, after, many=11)
    assert alone.verdict == "higher"
    assert among.verdict == "may be luck"
    assert among.p_value == pytest.approx(11 * alone.p_value)
    assert among.low < alone.low
    assert str(among).endswith(", one of 11): may be luck")
    assert str(Difference(-0.1, -0.2, -0.05, 0.01)) == "-0.100 (-0.200 to -0.050): lower"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_interval_holds_the_truth(share):
    """Also where all images that differ go one way: other images would differ more, or less."""
    random, held = np.random.default_rng(6), 0
    for _ in range(300):
        found = compare_predictions(np.ones(100, int), np.zeros(100), random.random(100) < share)
        held += found.low <= share <= found.high
    assert held > 270


@pytest.mark.parametrize(("measure", "times"), [("accuracy", 500), ("balanced_accuracy", 300)])
@pytest.mark.parametrize("sizes", [(100, 100), (80, 20, 8)])
def test_false_findings_among_equal_classifiers(measure, times, sizes):
    """Equally good by construction: whatever is found is false."""
    random = np.random.default_rng(3)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    false = 0
    for _ in range(times):
        pair = answers(random, labels, 0.7), answers(random, labels, 0.7)
        false += compare_predictions(labels, *pair, measure).verdict != "may be luck"
    assert at_most(false, times)


@pytest.mark.parametrize("runs", [(3, 3), (3, 1), (6, 2)])
def test_false_findings_among_equal_recipes(runs):
    random = np.random.default_rng(4)
    drawn = [random.normal(0.8, 0.01, (4000, each)) for each in runs]
    false = sum(compare_seeds(*each).verdict != "may be luck" for each in zip(*drawn, strict=True))
    assert at_most(false, 4000)
    assert not at_most(4000 - 4000 // 12, 4000)  # the test can fail


def test_false_findings_of_a_whole_notebook():
    """Eleven verdicts against the same three seeds: hardly ever a single false one."""
    random = np.random.default_rng(5)
    lessons = 400
    false = {1: 0, 11: 0}
    for _ in range(lessons):
        seeds, others = random.normal(0.8, 0.01, 3), random.normal(0.8, 0.01, (11, 3))
        for many in false:
            found = [compare_seeds(seeds, each, many=many).verdict for each in others]
            false[many] += any(each != "may be luck" for each in found)
    assert at_most(false[11], lessons)
    assert not at_most(false[1], lessons)  # without saying how many, it is wrong far too often
