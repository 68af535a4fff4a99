"""The exercises of notebook 04: right answers pass, each typical mistake has its own message."""

from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.backend import load_keras
from imgclf_lib.course.exercises import train as exercises
from imgclf_lib.course.exercises.exercise import Exercise, Mistake, Unanswered
from imgclf_lib.data import load_data
from imgclf_lib.experiment import Experiment
from imgclf_lib.training import train


@pytest.fixture(scope="module")
def shared(images):
    return Experiment(data=str(images), batch_size=10, epochs=3, validation_fraction=0.2)


@pytest.fixture(scope="module")
def dataset(shared):
    return load_data(shared)


def judge(exercise: Exercise, *facts: object) -> str:
    return exercise.judge(*facts)


def softmax(scores):
    powers = np.exp(scores)
    return powers / powers.sum(axis=1, keepdims=True)


def true_of(scores, labels):
    return softmax(scores)[np.arange(len(labels)), labels]


class TestCrossEntropy:
    def test_the_solution_passes_without_a_warning(self):
        said = judge(exercises.cross_entropy, exercises.write_cross_entropy())
        assert "no overflow anywhere" in said

    def test_other_forms_pass(self):
        keras = load_keras()

        def with_keras(scores, labels):
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            return loss(labels, scores.astype("float32"))

        def with_loop(scores, labels):
            total = 0.0
            for row, label in zip(scores, labels, strict=True):
                row = row - row.max()
                total += np.log(sum(np.exp(row))) - row[label]
            return [total / len(labels)]

        for function in (with_keras, with_loop):
            assert "no overflow" in judge(exercises.cross_entropy, function)

    def test_one_that_only_shifts_passes_and_learns_more(self):
        def shifted(scores, labels):
            return -np.log(true_of(scores - scores.max(1, keepdims=True), labels)).mean()

        assert "for experts" in judge(exercises.cross_entropy, shifted)

    @pytest.mark.parametrize(
        ("function", "message"),
        [
            (lambda s, y: -np.log(true_of(s, y)).mean(), "too large for the computer"),
            (lambda s, y: -np.log(true_of(s, y) + 1e-9).mean(), "too large for the computer"),
            (lambda s, y: -np.log(true_of(s, y)).sum(), "sum over the images"),
            (lambda s, y: np.log(true_of(s, y)).mean(), "sign"),
            (lambda s, y: -np.log(true_of(s, y)), "loss of each image"),
            (lambda s, y: -np.log2(true_of(s, y)).mean(), "base 2"),
            (lambda s, y: -np.log10(true_of(s, y)).mean(), "base 10"),
            (lambda s, y: -np.log(true_of(s.T, y).mean()), "raised|is .*; yours is"),
            (
                lambda s, y: -np.log((np.exp(s) / np.exp(s).sum(0))[np.arange(len(y)), y]).mean(),
                "axis 1",
            ),
            (lambda s, y: -np.log(softmax(s)).mean(), "all classes"),
            (lambda s, y: -np.log(softmax(s).max(1)).mean(), "most probable class"),
            (lambda s, y: true_of(s, y).mean(), "logarithm is missing"),
            (lambda s, y: -true_of(s, y).mean(), "logarithm is missing"),
            (lambda s, y: 1 - true_of(s, y).mean(), "One minus"),
            (lambda s, y: -np.log(true_of(s, y).mean()), "First the logarithm"),
            (lambda s, y: -s[np.arange(len(y)), y].mean(), "raw scores"),
            (lambda s, y: -np.log(true_of(s, y)[:3]).mean(), "Does it use anything besides"),
            (lambda s, y: 0.5, "yours is 0.5"),
            (lambda s, y: "many", "[Nn]umber"),
            (0.5, "A function is wanted"),
        ],
    )
    def test_each_mistake_has_its_message(self, function, message):
        with pytest.raises((Mistake, IndexError, ValueError)) as caught:
            judge(exercises.cross_entropy, function)
        if isinstance(caught.value, Mistake):
            assert caught.match(message)

    def test_scores_stay_as_they_are(self):
        def greedy(scores, labels):
            scores -= scores.max(axis=1, keepdims=True)
            return -np.log(true_of(scores, labels)).mean()

        with pytest.raises(Mistake, match="changes `scores` itself"):
            judge(exercises.cross_entropy, greedy)

    def test_three_dots_are_no_answer(self):
        with pytest.raises(Unanswered):
            judge(exercises.cross_entropy, lambda scores, labels: ...)


def walk(slope, start, rate, steps, sign=-1.0):
    for _ in range(steps):
        start = start + sign * rate * slope(start)
    return start


def in_place(slope, start, rate, steps):
    for _ in range(steps):
        start -= rate * slope(start)
    return start


def from_the_start(slope, start, rate, steps):
    return start - steps * rate * slope(start)


def as_a_number(slope, start, rate, steps):
    return float(walk(slope, np.ravel(start)[0], rate, steps).ravel()[0])


class TestDescend:
    def test_the_solution_and_other_forms_pass(self):
        def with_keras(slope, start, rate, steps):
            return load_keras().ops.convert_to_tensor(walk(slope, start, rate, steps))

        for function in (exercises.write_descent(), walk, with_keras):
            assert "Look" in judge(exercises.descend, function)

    @pytest.mark.parametrize(
        ("function", "message"),
        [
            (lambda f, x, r, n: walk(f, x, r, n, 1.0), "climbs"),
            (from_the_start, "slope of the start"),
            (lambda f, x, r, n: walk(f, x, r, 1), "one step, whatever"),
            (lambda f, x, r, n: walk(f, x, r, n - 1), "too few"),
            (lambda f, x, r, n: walk(f, x, r, n + 1), "too many"),
            (lambda f, x, r, n: walk(f, x, 1.0, n), "leaves the rate out"),
            (lambda f, x, r, n: x, "stays at the start"),
            (lambda f, x, r, n: walk(lambda _: 1.0, x, r, n), "by the rate"),
            (lambda f, x, r, n: 77, "Yours end at 77"),
            (in_place, "changes the array"),
            (as_a_number, "not for an array"),
            (lambda f, x, r, n: walk(f, x, r, max(n, 1)), "no steps at all"),
            (3, "A function is wanted"),
        ],
    )
    def test_each_mistake_has_its_message(self, function, message):
        with pytest.raises(Mistake, match=message):
            judge(exercises.descend, function)


class TestCounting:
    """58 training images in batches of 10."""

    def test_the_numbers_of_this_test(self, dataset):
        assert len(dataset.train) % 10

    @pytest.mark.parametrize("form", [int, float, str, np.int64, lambda n: [n], "{:,}".format])
    def test_solutions_pass_in_any_form(self, shared, dataset, form):
        for exercise in (exercises.steps, exercises.updates):
            right = exercise.solve(shared, dataset)
            assert judge(exercise, form(right), shared, dataset)

    @pytest.mark.parametrize("size", [1, 7, 29, 58, 64, 1000])
    def test_solutions_pass_on_any_batch_size(self, shared, dataset, size):
        other = shared.replace(batch_size=size)
        for exercise in (exercises.steps, exercises.updates):
            assert judge(exercise, exercise.solve(other, dataset), other, dataset)

    def test_many_classes_and_few_images(self, split_images):
        few = Experiment(data=str(split_images), limit=5, batch_size=2, epochs=1)
        assert exercises.steps.solve(few, load_data(few)) == 3
        assert judge(exercises.steps, "3", few, load_data(few))

    def test_mistakes_with_steps(self, shared, dataset):
        n = len(dataset.train)
        for answer, message in {
            n // 10: "over",
            n / 10: "no parts",
            n: "whole batch",
            10: "whole batch",
            -(-n // 10) * 3: "all epochs",
            12345: "is not it",
        }.items():
            with pytest.raises(Mistake, match=message):
                judge(exercises.steps, answer, shared, dataset)

    def test_mistakes_with_updates(self, shared, dataset):
        n = len(dataset.train)
        for answer, message in {
            n * 3: "after each image",
            -(-n // 10): "one epoch",
            3: "once an epoch",
            n // 10 * 3: "one more step",
            12345: "is not it",
        }.items():
            with pytest.raises(Mistake, match=message):
                judge(exercises.updates, answer, shared, dataset)
        long = shared.replace(epochs=10, batch_size=11)
        with pytest.raises(Mistake, match="two epochs"):
            judge(exercises.updates, -(-n * 10 // 11), long, dataset)


@pytest.fixture(scope="module")
def slow(tiny) -> Experiment:
    """A trial that is easy to beat."""
    plain = tiny.replace(normalization="none", dropout=0.0, shift=0.0, flip="none")
    return plain.replace(learning_rate=1e-5, epochs=2)


def invent(monkeypatch, accuracy, loss=lambda experiment: 1.0) -> list[str]:
    """Runs that nobody trained, as a function of their experiment; their names are collected."""
    asked = []

    def instead(experiments):
        asked.extend(experiments)
        histories = {
            name: pd.DataFrame({"val_accuracy": [0.1, accuracy(each)], "val_loss": [9, loss(each)]})
            for name, each in experiments.items()
        }
        return {name: SimpleNamespace(history=each) for name, each in histories.items()}

    monkeypatch.setattr(exercises, "train_all", instead)
    return asked


@pytest.fixture
def many_images(monkeypatch):
    """As if there were 6,000 validation images."""
    monkeypatch.setattr(exercises, "load_data", lambda _: SimpleNamespace(val=range(6000)))


class TestRival:
    def test_better_ones_pass_in_any_form(self, slow):
        better = slow.replace(learning_rate=0.005)
        for answer in (better, {"learning_rate": 0.005}, train(better, progress="none")):
            said = judge(exercises.rival, answer, slow)
            assert "You changed learning rate" in said
            assert "With 3 seeds each" in said

    @pytest.mark.parametrize(
        ("gains", "said"),
        [
            ((0.03, 0.05, 0.04), "You changed"),
            ((0.01, 0.03, -0.01), "Find a larger change"),
            ((-0.01, -0.03, 0.01), "no better"),
            ((0.0, 0.0, 0.0), "Find a larger change"),
        ],
    )
    def test_what_luck_explains_does_not_pass(self, slow, gains, said, monkeypatch, many_images):
        """Whatever seed the learner chose, both experiments get the same three."""

        def accuracy(each):
            return 0.6 + 0.004 * each.seed + (gains[each.seed] if each.dropout else 0)

        asked = invent(monkeypatch, accuracy)
        try:
            told = judge(exercises.rival, slow.replace(seed=7, dropout=0.29), slow)
        except Mistake as mistake:
            told = str(mistake)
        assert said in told
        assert told.startswith("With 3 seeds each")
        seeds = [int(name.split()[-1]) for name in asked]
        assert seeds == [0, 1, 2] * 2

    def test_another_seed_and_a_hair_of_dropout_hardly_ever_pass(
        self, slow, monkeypatch, many_images
    ):
        generator, passed = np.random.default_rng(0), 0
        invent(monkeypatch, lambda _: generator.normal(0.75, 0.007))
        for _ in range(300):
            with suppress(Mistake):
                passed += bool(judge(exercises.rival, slow.replace(seed=1, dropout=1e-3), slow))
        assert passed / 300 < 0.06

    @pytest.mark.parametrize("count", [3, 12])
    def test_where_images_are_too_few_the_loss_decides(self, slow, monkeypatch, count):
        monkeypatch.setattr(exercises, "load_data", lambda _: SimpleNamespace(val=range(count)))
        answer = slow.replace(dropout=0.2)
        for gain, passes in ((0.1, True), (0.001, False)):

            def loss(each, gain=gain):
                return 1 + 0.01 * each.seed - gain * bool(each.dropout)

            invent(monkeypatch, lambda each: 2 / 3, loss)
            if passes:
                assert "validation loss decides" in judge(exercises.rival, answer, slow)
            else:
                with pytest.raises(Mistake, match="has to be lower"):
                    judge(exercises.rival, answer, slow)

    def test_the_solution_passes(self, slow):
        easy = slow.replace(learning_rate=0.0003)
        assert judge(exercises.rival, exercises.choose_rival(easy), easy)

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({}, "the trial itself"),
            ({"seed": 5}, "only luck"),
            ({"epochs": 3}, "No more than 2 epochs"),
            ({"validation_fraction": 0.3}, "leave validation_fraction alone"),
            ({"split_seed": 1}, "leave split_seed alone"),
            ({"data": "fashion_mnist"}, "leave data alone"),
            ({"filters": (512,)}, "Keep filters small"),
            ({"filters": (8,) * 5}, "4 layers"),
            ({"dense_units": (4096,)}, "Keep dense_units small"),
            ({"convolutions": 8}, "Keep convolutions small"),
            ({"learning_rate": 1e-7}, "no better|has to be lower"),
        ],
    )
    def test_unfair_and_worse_ones_do_not(self, slow, changes, message):
        with pytest.raises(Mistake, match=message):
            judge(exercises.rival, slow.replace(**changes), slow)

    def test_more_images_are_refused(self, slow):
        few = slow.replace(limit=20)
        for limit in (21, 0):
            with pytest.raises(Mistake, match="No more than 20 training images"):
                judge(exercises.rival, few.replace(limit=limit, dropout=0.1), few)

    def test_a_number_is_no_experiment(self, slow):
        with pytest.raises(Mistake, match="An experiment is wanted"):
            judge(exercises.rival, 0.01, slow)

    def test_a_bad_field_is_said_by_check(self, slow, capsys):
        exercises.rival.check({"learning_speed": 1}, slow)
        assert "learning_speed" in capsys.readouterr().out
