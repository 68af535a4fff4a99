"""Notebook 05: right answers of every form pass, and each typical mistake has its own message."""

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score

from imgclf_lib.backend import load_keras
from imgclf_lib.course.exercises import evaluate as exercises
from imgclf_lib.course.exercises.exercise import Exercise, Mistake, Unanswered
from imgclf_lib.evaluation import coverage_table, wilson_interval

keras = load_keras()


def mistake(exercise: Exercise, answer, *facts) -> str:
    with pytest.raises(Mistake) as caught:
        exercise.judge(answer, *facts)
    return str(caught.value)


@pytest.mark.parametrize("answer", [0.75, "0.75", "75 %", [0.75], np.float32(0.75), 60 / 80])
def test_precision_in_every_form(answer):
    assert "60 of the 80" in exercises.precision_of_a_class.judge(answer)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (0.6, "That is the recall: of the cats"),
        (0.8, "the accuracy"),
        (0.818, "precision of dog"),
        (0.9, "recall of dog"),
        (0.25, "false alarms"),
        (0.667, "F1"),
        (0.2, "divided by all photos"),
        (75, "In percent"),
        (60, "another share. That is the recall"),
        (0.1, "Take the column"),
        ("much", "A number is wanted"),
    ],
)
def test_precision_mistakes(answer, why):
    assert why in mistake(exercises.precision_of_a_class, answer)


@pytest.mark.parametrize("count", [5, 200, 10_000])
def test_images_for_a_third(count):
    right = np.full(count, True)
    for answer in (9 * count, f"{9 * count:,}", [9.0 * count], exercises.count_images(right)):
        assert "nine times" in exercises.images_for_a_third.judge(answer, right)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (9, "how many times as many"),
        (3000, "by the root of 3"),
        (4000, "half the width"),
        (6000, "square root"),
        (8000, "in addition"),
        (1732, "The other way round"),
        (27_000, "its cube"),
        (111, "Fewer images"),
        (333, "Fewer images"),
        (12_345, "what is the rule"),
    ],
)
def test_mistakes_with_images(answer, why):
    assert why in mistake(exercises.images_for_a_third, answer, np.full(1000, True))


def top(probabilities, labels, k):
    return exercises.top_k_accuracy.solve()(probabilities, labels, k)


def places(probabilities, labels):
    own = probabilities[np.arange(len(labels)), labels]
    return (probabilities > own[:, np.newaxis]).sum(1)


@pytest.mark.parametrize(
    "answer",
    [
        top,
        lambda chances, labels, k: [top(chances, labels, k)],
        lambda chances, labels, k: keras.ops.convert_to_tensor(top(chances, labels, k)),
        lambda chances, labels, k: top_k_accuracy_score(
            labels, chances, k=k, labels=range(chances.shape[1])
        ),
    ],
)
def test_top_k_in_every_form(answer):
    assert "first k" in exercises.top_k_accuracy.judge(answer)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda p, y, k: (places(p, y) < k).sum(), "a count"),
        (lambda p, y, k: 100 * top(p, y, k), "percent"),
        (lambda p, y, k: 1 - top(p, y, k), "are missed"),
        (lambda p, y, k: (np.argsort(p)[:, :k] == y[:, None]).any(1).mean(), "lowest probability"),
        (lambda p, y, k: (places(p, y) == k - 1).mean(), "exactly at place k"),
        (lambda p, y, k: top(p, y, k + 1), "k + 1 classes"),
        (lambda p, y, k: (places(p, y) < k - 1).mean(), "k - 1 classes only"),
        (lambda p, y, k: (p.argmax(1) == y).mean(), "plain accuracy"),
        (lambda p, y, k: top(p, y, k) / k, "divided by k"),
        (lambda p, y, k: 0.123, "Check one image by hand"),
        (lambda p, y, k: p, "One number is wanted"),
        (0.9, "A function is wanted"),
    ],
)
def test_top_k_mistakes(answer, why):
    assert why in mistake(exercises.top_k_accuracy, answer)


def test_an_empty_function():
    with pytest.raises(Unanswered):
        exercises.top_k_accuracy.judge(lambda probabilities, labels, k: ...)


def invent(seed: int, count: int, classes: int, skill: float) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, classes, count)
    powers = np.exp(2 * generator.normal(size=(count, classes)) + skill * np.eye(classes)[labels])
    return (powers / powers.sum(1, keepdims=True)).astype("float32"), labels


FACTS = invent(1, 1000, 10, 6.0)


def careful(probabilities, labels):
    return exercises.careful_threshold.solve()(probabilities, labels)


def by_loop(probabilities, labels, part=4, low=True):
    """Every confidence that occurs is tried."""
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    wish, found = 1 - (1 - right.mean()) / part, np.inf
    for threshold in confidence:
        sure = confidence >= threshold
        reached = wilson_interval(int(right[sure].sum()), int(sure.sum()))[0]
        if (reached if low else right[sure].mean()) >= wish:
            found = min(found, threshold)
    return found


@pytest.mark.parametrize(
    "answer",
    [careful, by_loop, lambda *facts: [careful(*facts)], lambda *facts: str(careful(*facts))],
)
def test_a_careful_threshold_in_every_form(answer):
    said = exercises.careful_threshold.judge(answer, *FACTS)
    assert "On your 1,000 images" in said


@pytest.mark.parametrize(
    ("count", "classes", "skill"),
    [(1000, 10, 6.0), (30, 2, 4.0), (400, 200, 7.0), (20, 2, 50.0), (60, 3, 0.0), (1, 2, -50.0)],
)
def test_thresholds_on_many_kinds_of_data(count, classes, skill):
    assert "images" in exercises.careful_threshold.judge(careful, *invent(1, count, classes, skill))


def table_of(probabilities, labels):
    table = coverage_table(probabilities, labels)
    return table, 1 - (1 - table["accuracy"].iloc[-1]) / 4


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda *facts: by_loop(*facts, low=False), "That is the plain rule"),
        (lambda *facts: by_loop(*facts, part=2), "half the mistakes"),
        (lambda *facts: by_loop(*facts, part=2, low=False), "half the mistakes"),
        (lambda *facts: by_loop(*facts, part=5), "a fifth"),
        (lambda *facts: table_of(*facts)[1], "an accuracy. Which threshold"),
        (lambda *facts: by_loop(*facts) + 1e-4, "instead of"),
        (lambda *facts: by_loop(*facts) if len(facts[1]) > 60 else 0.6, "instead of"),
        (lambda p, y: p.max(1)[p.max(1) > careful(p, y)].min(initial=np.inf), "One step too high"),
        (lambda p, y: (p.max(1) >= careful(p, y)).mean(), "share of images that are answered"),
        (lambda *facts: 0.5, "instead of"),
        (0.9, "A function is wanted"),
    ],
)
def test_threshold_mistakes(answer, why):
    assert why in mistake(exercises.careful_threshold, answer, *FACTS)


def test_a_threshold_that_is_left_open():
    with pytest.raises(Unanswered):
        exercises.careful_threshold.judge(lambda probabilities, labels: ..., *FACTS)


def exam(first: int, second: int) -> dict[str, np.ndarray]:
    only_first = [True] * first + [False] * second + [True] * 5
    only_second = [False] * first + [True] * second + [True] * 5
    return {"nearest neighbours": np.array(only_first), "linear model": np.array(only_second)}


@pytest.mark.parametrize(
    ("first", "second", "truth"),
    [
        (30, 5, "nearest neighbours"),
        (5, 30, "linear model"),
        (10, 8, "cannot tell"),
        (0, 0, "cannot tell"),
    ],
)
def test_comparisons(first, second, truth):
    all_right = exam(first, second)
    assert exercises.compare_baselines(all_right) == truth
    for said in (f" {truth.capitalize()} ", f"{truth.capitalize()}."):
        assert exercises.better_baseline.judge(said, all_right)
    for other in {"nearest neighbours", "linear model", "cannot tell"} - {truth}:
        found = mistake(exercises.better_baseline, other, all_right)
        if truth == "cannot tell":
            assert "Luck alone" in found
        elif other == "cannot tell":
            assert "They can" in found
        else:
            assert "The other way round" in found
    assert "One of three texts" in mistake(exercises.better_baseline, 0.03, all_right)
