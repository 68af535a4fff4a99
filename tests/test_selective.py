"""Thresholds against a plain loop and by hand."""

import numpy as np
import pytest

from imgclf_lib.selective import coverage_table, lowest_threshold

SURE = np.array([0.9, 0.6, 0.9, 0.7, 0.6])
PROBABILITIES = np.stack([SURE, 1 - SURE], 1)
LABELS = np.array([0, 1, 1, 0, 0])  # right: yes, no, no, yes, yes


def test_coverage_by_hand():
    table = coverage_table(PROBABILITIES, LABELS)
    assert table["threshold"].tolist() == [0.9, 0.7, 0.6]
    assert table["answered"].tolist() == [2, 3, 5]
    assert table["coverage"].tolist() == [0.4, 0.6, 1.0]
    assert table["accuracy"].tolist() == pytest.approx([1 / 2, 2 / 3, 3 / 5])


@pytest.mark.parametrize("seed", range(3))
def test_coverage_against_a_plain_loop(seed):
    generator = np.random.default_rng(seed)
    probabilities = generator.dirichlet(np.ones(3), 60).round(1)  # many are equally sure
    labels = generator.integers(0, 3, 60)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    table = coverage_table(probabilities, labels)
    assert table["threshold"].tolist() == sorted(set(confidence), reverse=True)
    for row in table.itertuples():
        sure = confidence >= row.threshold
        assert row.answered == sure.sum()
        assert row.coverage == pytest.approx(sure.mean())
        assert row.accuracy == pytest.approx(right[sure].mean())


def test_the_lowest_threshold_answers_most():
    table = coverage_table(PROBABILITIES, LABELS)
    assert lowest_threshold(table, 0.66) == 0.7
    assert lowest_threshold(table, 0.6) == 0.6
    assert lowest_threshold(table, 0.9) == float("inf")
