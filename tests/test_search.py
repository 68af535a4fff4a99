"""A search covers its ranges, never ends at a failed trial, and does not call luck an effect."""

import threading

import numpy as np
import pandas as pd
import pytest

from imgclf_lib import trials
from imgclf_lib.errors import InputError, TrainingError
from imgclf_lib.experiment import Experiment
from imgclf_lib.search import (
    best_trial,
    knob_effects,
    propose,
    search,
    trial_table,
    varied,
)
from imgclf_lib.trials import Trial

BASE = Experiment()
RANGES = {
    "learning_rate": (0.0001, 0.1),
    "batch_size": (10, 300),
    "dropout": (0.0, 0.5),
    "epochs": (1, 4),
    "optimizer": ["adam", "sgd"],
    "filters": [(8,), (8, 16), ()],
}


def column(experiments, name):
    return [getattr(each, name) for each in experiments]


class TestPropose:
    def test_stays_inside_the_ranges_and_uses_all_of_them(self):
        found = propose(BASE, RANGES, 200)
        assert len(found) == len(set(found)) == 200
        rates = column(found, "learning_rate")
        assert 0.0001 <= min(rates) < 0.0002 < 0.05 < max(rates) <= 0.1
        assert set(column(found, "batch_size")) == {16, 32, 64, 128, 256}
        assert set(column(found, "epochs")) == {1, 2, 3, 4}
        assert set(column(found, "optimizer")) == {"adam", "sgd"}
        assert set(column(found, "filters")) == {(8,), (8, 16), ()}

    def test_learning_rates_are_even_in_their_logarithm(self):
        rates = column(propose(BASE, {"learning_rate": (0.0001, 0.1)}, 300), "learning_rate")
        counts, _ = np.histogram(np.log10(rates), bins=[-4, -3, -2, -1])
        assert (abs(counts - 100) < 10).all()

    def test_dropout_is_even_as_it_is(self):
        values = column(propose(BASE, {"dropout": (0.0, 0.6)}, 300), "dropout")
        counts, _ = np.histogram(values, bins=[0, 0.2, 0.4, 0.6])
        assert (abs(counts - 100) < 10).all()

    def test_a_seed_gives_the_same_and_more_trials_begin_with_the_same(self):
        few = propose(BASE, RANGES, 5, seed=1)
        assert few == propose(BASE, RANGES, 9, seed=1)[:5]
        assert few != propose(BASE, RANGES, 5, seed=2)

    def test_gives_no_experiment_twice(self):
        assert len(propose(BASE, {"optimizer": ["adam", "sgd"]}, 10)) == 2
        assert propose(BASE, {}, 10) == [BASE]

    def test_numbers_are_short_enough_to_be_typed(self):
        rates = column(propose(BASE, {"learning_rate": (0.0001, 0.1)}, 50), "learning_rate")
        assert all(len(f"{rate:g}") <= 8 for rate in rates)

    @pytest.mark.parametrize(
        ("ranges", "message"),
        [
            ({"learning_rat": (1, 2)}, "learning_rat"),
            ({"learning_rate": (0.1, 0.01)}, "low"),
            ({"learning_rate": (0.1,)}, "pair"),
            ({"learning_rate": []}, "list of choices"),
            ({"weight_decay": (0.0, 0.1)}, "0 < low"),
            ({"batch_size": (33, 60)}, "power of two"),
            ({"dropout": (0.0, 2.0)}, "dropout"),
            ({"optimizer": ("adam", "sgd")}, "list of choices"),
            ({"optimizer": ["adam", "magic"]}, "optimizer"),
            ({"filters": (8, 16)}, "list of choices"),
        ],
    )
    def test_says_what_is_wrong_with_a_range(self, ranges, message):
        with pytest.raises(InputError, match=message):
            propose(BASE, ranges, 3)


class TestSearch:
    def test_trains_each_and_says_what_came_out(self, tiny):
        experiments = [tiny.replace(epochs=1), tiny.replace(epochs=1, filters=(4,))]
        begun = []
        table = search(experiments, on_trial=begun.append)
        assert [each.experiment for each in begun] == experiments
        assert table["filters"].tolist() == [(8,), (4,)]
        assert table.columns[0] == "filters"
        assert "optimizer" not in table
        assert table["status"].tolist() == ["completed"] * 2
        assert table["val_accuracy"].tolist() == [
            each.run.metrics["val_accuracy"] for each in begun
        ]
        assert table["parameters"].tolist() == [each.run.metrics["parameters"] for each in begun]
        assert table["parameters"].nunique() == 2
        again = search(experiments)
        pd.testing.assert_frame_equal(again, table)

    def test_a_failed_trial_is_a_row_with_its_reason(self, tiny, monkeypatch):
        real = trials.train

        def breaks(experiment, *options):
            if experiment.dropout == 0.5:
                raise TrainingError("The loss became not a number in epoch 1")
            if experiment.dropout == 0.6:
                raise ValueError("odd")
            return real(experiment, *options)

        monkeypatch.setattr(trials, "train", breaks)
        experiments = [tiny.replace(epochs=1, dropout=each) for each in (0.5, 0.6, 0.2)]
        table = search(experiments)
        assert table["status"].tolist() == ["failed", "failed", "completed"]
        assert "not a number" in table.loc[0, "problem"]
        assert table.loc[1, "problem"] == "ValueError: odd"
        assert best_trial(table) == 2

    def test_stops_in_the_middle_of_a_trial(self, tiny):
        stop = threading.Event()
        slow = [tiny.replace(epochs=10_000, seed=seed) for seed in (1, 2)]
        begun = []

        def begin(trial):
            begun.append(trial)
            threading.Timer(1.0, stop.set).start()

        table = search(slow, begin, stop)
        assert len(table) == 1
        assert table.loc[0, "status"] == "stopped"
        assert begun[0].seconds < 3
        begun[0].wait(60)
        with pytest.raises(InputError, match="No trial was completed"):
            best_trial(table)

    def test_an_interrupt_ends_the_trial_too(self, tiny, monkeypatch):
        def interrupt(self, seconds=None):
            raise KeyboardInterrupt

        begun = []
        real = Trial.wait
        monkeypatch.setattr(Trial, "wait", interrupt)
        with pytest.raises(KeyboardInterrupt):
            search([tiny.replace(epochs=10_000, seed=3)], begun.append)
        assert begun[0].status == "stopped"
        real(begun[0], 60)


def test_varied_names_the_fields_that_differ():
    assert varied([BASE, BASE.replace(dropout=0.1, optimizer="sgd")]) == ["dropout", "optimizer"]
    assert varied([BASE]) == []


def test_a_table_without_trials():
    table = trial_table([], ["dropout"])
    assert table.empty
    assert "dropout" in table
    assert knob_effects(table).empty


def made_up(count, accuracy, seed=0):
    """A table of trials whose accuracy a function of the experiment decides."""
    ranges = {name: RANGES[name] for name in ("learning_rate", "dropout", "optimizer", "filters")}
    rows = []
    for each in propose(BASE, ranges, count, seed):
        knobs = {name: getattr(each, name) for name in ranges}
        value = accuracy(each)
        status = "completed" if value == value else "failed"
        rows.append({**knobs, "val_accuracy": value, "epochs_run": 3, "status": status})
    return pd.DataFrame(rows)


class TestKnobEffects:
    def test_finds_the_knob_that_matters_also_if_the_middle_is_best(self):
        table = made_up(24, lambda each: 1 - abs(np.log10(each.learning_rate) + 2.5))
        effects = knob_effects(table)
        assert effects.index[0] == "learning_rate"
        assert effects["share"].iloc[0] > 0.6
        assert effects["verdict"].tolist() == ["clear", *["may be luck"] * 3]

    def test_finds_a_choice(self):
        effects = knob_effects(made_up(16, lambda each: float(each.optimizer == "adam")))
        assert effects.index[0] == "optimizer"
        assert effects.loc["optimizer", "share"] == pytest.approx(1)

    def test_failed_trials_count_as_the_worst(self):
        def fails(each):
            return float("nan") if each.learning_rate > 0.02 else 0.5

        effects = knob_effects(made_up(24, fails))
        assert effects.loc["learning_rate", "verdict"] == "clear"

    def test_seldom_calls_luck_clear(self):
        generator = np.random.default_rng(0)
        clear = sum(
            (
                knob_effects(made_up(12, lambda _: generator.random(), seed))["verdict"] == "clear"
            ).sum()
            for seed in range(25)
        )
        assert clear <= 12  # of 100; 5 are to be expected

    def test_equal_accuracies_show_nothing(self):
        effects = knob_effects(made_up(12, lambda _: 0.5))
        assert effects["share"].abs().max() < 1e-6
        assert set(effects["verdict"]) == {"may be luck"}

    def test_says_nothing_of_five_trials(self):
        assert knob_effects(made_up(5, lambda each: each.dropout)).empty
