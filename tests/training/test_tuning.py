"""Trials can be watched and stopped; a search covers its ranges and calls no luck an effect."""

import math
import shlex
import threading
import time
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from imgclf_lib import cli
from imgclf_lib.errors import InputError, TrainingError
from imgclf_lib.experiment import PRESETS, Experiment, preset
from imgclf_lib.training import (
    Run,
    Trial,
    about,
    best_trial,
    command_line,
    compare_trials,
    describe_change,
    importance,
    progress_line,
    propose,
    search,
    table_html,
    train,
    trial_table,
)
from imgclf_lib.training import tuning as module
from imgclf_lib.training.tuning import _Point, _sorted_table, varied

LONG = 120  # seconds; a busy machine is no failure
BASE = Experiment()
RANGES = {
    "learning_rate": (0.0001, 0.1),
    "batch_size": (10, 300),
    "dropout": (0.0, 0.5),
    "epochs": (1, 4),
    "optimizer": ["adam", "sgd"],
    "filters": [(8,), (8, 16), ()],
}
CHANGES = [
    {},
    {"filters": (), "dense_units": ()},
    {"filters": (7,), "dense_units": (5, 6), "epochs": 9},
    {"learning_rate": 1e-5, "flip": "both", "shift": 0.15, "optimizer": "sgd", "limit": 0},
    {"batch_size": 128, "dropout": 0.0, "limit": 2000, "backend": "tensorflow"},
]
KNOBS = ["learning_rate", "filters"]


@pytest.fixture
def plain(tiny: Experiment, tmp_path, monkeypatch) -> Experiment:
    """A small experiment that has never been trained."""
    monkeypatch.setenv("IMGCLF_MODELS", str(tmp_path / "models"))
    return tiny.replace(epochs=3)


def wait_for(something: Callable[[], object], seconds: float = LONG) -> None:
    end = time.monotonic() + seconds
    while not something():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def finished(trial: Trial) -> Trial:
    trial.start()
    assert trial.wait(LONG)
    return trial


def test_a_trial_is_the_same_run_as_train(plain, capfd):
    trial = Trial(plain)
    assert (trial.status, trial.seconds, trial.wait(0)) == ("waiting", 0, True)
    trial.start()
    assert trial.status == "running"
    assert trial.wait(LONG)
    assert (trial.status, trial.error, trial.loaded) == ("completed", None, False)
    run = train(plain, progress="none")
    pd.testing.assert_frame_equal(trial.history, run.history)
    assert trial.run.folder == run.folder
    assert trial.best == run.metrics["val_accuracy"] == run.history["val_accuracy"].max()
    assert capfd.readouterr() == ("", "")


def test_the_curve_agrees_with_the_history(plain):
    trial = finished(Trial(plain))
    points = pd.DataFrame(trial.points)
    assert points["epoch"].is_monotonic_increasing
    assert points["epoch"].iloc[-1] == 3
    steps = len(points) / 3
    assert steps == int(steps) > 2
    # Batches are of almost equal size, so the mean of the points is the loss of the epoch.
    mean = points["loss"].groupby((points["epoch"] - 1e-9) // 1).mean()
    assert mean.tolist() == pytest.approx(trial.history["loss"].tolist(), rel=0.1)
    assert points["accuracy"].between(0, 1.0001).all()


def test_the_clock_stops_at_the_end(plain):
    trial = finished(Trial(plain))
    seconds = trial.seconds
    time.sleep(0.05)
    assert trial.seconds == seconds > 0


def test_a_finished_run_is_loaded_without_keras(plain, monkeypatch):
    run = train(plain, progress="none")
    monkeypatch.setattr(module, "load_keras", None)
    trial = finished(Trial(plain))
    assert (trial.status, trial.loaded) == ("completed", True)
    assert [point.epoch for point in trial.points] == [1, 2, 3]
    assert [point.loss for point in trial.points] == run.history["loss"].tolist()


def test_it_stops_in_the_middle_of_an_epoch(plain):
    trial = Trial(plain.replace(epochs=1000))
    trial.start()
    wait_for(lambda: len(trial.history) >= 1 and len(trial.points) > 5)
    trial.stop()
    assert trial.status == "stopped"
    assert trial.wait(LONG)
    assert (trial.status, trial.error, trial.run) == ("stopped", None, None)
    assert 1 <= len(trial.history) < 1000


def test_a_stopped_trial_is_continued(plain):
    long = plain.replace(epochs=12)
    first = Trial(long)
    first.start()
    wait_for(lambda: len(first.history) >= 2)
    first.stop()
    assert first.wait(LONG)
    kept = len(first.history)
    second = Trial(long)
    second.start()
    wait_for(lambda: second.points)
    # The epochs from before are there from the beginning.
    assert len(second.history) >= kept
    assert [point.epoch for point in second.points[:kept]] == list(range(1, kept + 1))
    assert second.wait(LONG)
    assert second.history["epoch"].tolist() == list(range(1, 13))
    assert second.history["loss"].head(kept).tolist() == first.history["loss"].tolist()
    assert not second.loaded
    epochs = [point.epoch for point in second.points]
    assert epochs == sorted(epochs)


def test_points_of_an_incomplete_epoch_are_not_drawn_twice(plain):
    long = plain.replace(epochs=8)
    first = Trial(long)
    first.start()
    wait_for(lambda: len(first.history) >= 1 and first.points[-1].epoch % 1)
    first.stop()
    assert first.wait(LONG)
    second = Trial(long)
    second.history, second.points = first.history, list(first.points)
    finished(second)
    epochs = [point.epoch for point in second.points]
    assert epochs == sorted(set(epochs))


def test_it_stops_before_it_has_begun(plain):
    trial = Trial(plain)
    trial.stop()
    assert trial.status == "stopped"
    trial.start()
    assert trial.status == "stopped"
    assert trial.wait(0)
    assert not trial.points


def hold(monkeypatch, name: str) -> tuple[threading.Event, threading.Event]:
    """Make a function of the module wait; two events: it was reached, it may go on."""
    reached, go = threading.Event(), threading.Event()
    function = getattr(module, name)

    def waiting(*arguments):
        reached.set()
        assert go.wait(LONG)
        return function(*arguments)

    monkeypatch.setattr(module, name, waiting)
    return reached, go


@pytest.mark.parametrize("name", ["load_data", "_watcher"])
def test_it_stops_while_it_gets_ready(plain, monkeypatch, name):
    reached, go = hold(monkeypatch, name)
    trial = Trial(plain)
    trial.start()
    assert reached.wait(LONG)
    trial.stop()
    assert trial.status == "stopped"
    assert not trial.wait(0)
    go.set()
    assert trial.wait(LONG)
    assert (trial.status, trial.error) == ("stopped", None)
    assert not trial.points


def test_it_stops_while_it_validates(plain, monkeypatch):
    trial = Trial(plain)
    make = module._watcher

    def watcher(*arguments):
        made = make(*arguments)
        made.on_test_begin = lambda logs=None: trial.stop()
        return made

    monkeypatch.setattr(module, "_watcher", watcher)
    finished(trial)
    assert trial.status == "stopped"
    assert trial.history.empty
    assert trial.points[-1].epoch == 1


def test_stopping_after_the_end_changes_nothing(plain):
    trial = finished(Trial(plain))
    seconds = trial.seconds
    trial.stop()
    assert (trial.status, trial.seconds) == ("completed", seconds)


def test_whoever_stops_too_late_gets_the_finished_run(plain, monkeypatch):
    trial = Trial(plain)
    function = module.train

    def late(*arguments):
        run = function(*arguments)
        trial.stop()
        return run

    monkeypatch.setattr(module, "train", late)
    finished(trial)
    assert trial.status == "completed"
    assert isinstance(trial.run, Run)


def test_a_loss_that_is_no_number_fails_with_a_message(plain):
    # Each step multiplies the weights by -9, on any backend.
    wild = plain.replace(optimizer="sgd", learning_rate=10.0, weight_decay=1.0, epochs=10)
    trial = finished(Trial(wild))
    assert trial.status == "failed"
    assert isinstance(trial.error, TrainingError)
    assert "not a number" in str(trial.error)
    assert trial.run is None


def test_any_other_error_is_kept_too(plain):
    trial = finished(Trial(plain.replace(data="no such folder")))
    assert trial.status == "failed"
    assert "no such folder" in str(trial.error)


def test_two_trials_take_turns(plain, monkeypatch):
    inside: list[int] = []
    most: list[int] = []
    function = module.train

    def counted(*arguments):
        inside.append(1)
        most.append(len(inside))
        try:
            return function(*arguments)
        finally:
            inside.pop()

    monkeypatch.setattr(module, "train", counted)
    both = [Trial(plain.replace(epochs=1, seed=seed)) for seed in (1, 2)]
    for trial in both:
        trial.start()
    for trial in both:
        assert trial.wait(LONG)
        assert trial.status == "completed"
    assert most == [1, 1]


def test_a_trial_begins_once(plain):
    trial = Trial(plain.replace(epochs=1))
    trial.start()
    trial.start()
    assert trial.wait(LONG)
    trial.start()
    assert trial.status == "completed"


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
        real = module.train

        def breaks(experiment, *options):
            if experiment.dropout == 0.5:
                raise TrainingError("The loss became not a number in epoch 1")
            if experiment.dropout == 0.6:
                raise ValueError("odd")
            return real(experiment, *options)

        monkeypatch.setattr(module, "train", breaks)
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
        assert begun[0].wait(LONG)
        assert len(begun[0].history) < 10_000
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
    assert importance(table).empty


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


class TestImportance:
    def test_finds_the_knob_that_matters_also_if_the_middle_is_best(self):
        table = made_up(24, lambda each: 1 - abs(np.log10(each.learning_rate) + 2.5))
        effects = importance(table)
        assert effects.index[0] == "learning_rate"
        assert effects["share"].iloc[0] > 0.6
        assert effects["verdict"].tolist() == ["clear", *["may be luck"] * 3]

    def test_finds_a_choice(self):
        effects = importance(made_up(16, lambda each: float(each.optimizer == "adam")))
        assert effects.index[0] == "optimizer"
        assert effects.loc["optimizer", "share"] == pytest.approx(1)

    def test_failed_trials_count_as_the_worst(self):
        def fails(each):
            return float("nan") if each.learning_rate > 0.02 else 0.5

        effects = importance(made_up(24, fails))
        assert effects.loc["learning_rate", "verdict"] == "clear"

    def test_seldom_calls_luck_clear_whichever_knob(self):
        """Of four knobs without effect one would be called clear in a fifth of all searches."""
        generator = np.random.default_rng(0)
        tables = [made_up(12, lambda _: generator.random(), seed) for seed in range(60)]
        verdicts = [importance(each)["verdict"] for each in tables]
        assert sum((each == "clear").any() for each in verdicts) <= 6  # 3 are to be expected

    def test_the_chance_counts_the_knobs(self):
        table = made_up(12, lambda each: 1 - abs(np.log10(each.learning_rate) + 2.5))
        alone = importance(table.drop(columns=["dropout", "optimizer", "filters"]))
        among = importance(table)
        assert among.loc["learning_rate", "p_value"] == pytest.approx(
            min(1, 4 * alone.loc["learning_rate", "p_value"])
        )
        assert among["p_value"].max() <= 1

    def test_equal_accuracies_show_nothing(self):
        effects = importance(made_up(12, lambda _: 0.5))
        assert effects["share"].abs().max() < 1e-6
        assert set(effects["verdict"]) == {"may be luck"}

    def test_says_nothing_of_five_trials(self):
        assert importance(made_up(5, lambda each: each.dropout)).empty


def parsed(line: str, monkeypatch) -> Experiment:
    """The experiment that the command line would train."""
    found = []

    class Stop(Exception):
        pass

    def instead(experiment, *rest, **options):
        found.append(experiment)
        raise Stop

    monkeypatch.setattr("imgclf_lib.training.train", instead)
    words = shlex.split(line)
    assert words[:2] == ["imgclf", "train"]
    with pytest.raises(Stop):
        cli.main(words[1:])
    return found[0]


@pytest.mark.parametrize("changes", [*CHANGES, *PRESETS.values()])
def test_the_command_line_gives_the_equal_experiment(changes, monkeypatch):
    experiment = Experiment(**changes)
    assert parsed(command_line(experiment), monkeypatch) == experiment


@pytest.mark.parametrize("name", ["my photos", "it's; rm -rf $HOME", "<b>", "--epochs", "ü & 漢"])
def test_any_path_survives(name, tmp_path, monkeypatch):
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.chdir(tmp_path)
    for data in (str(folder), f"./{name}"):
        line = command_line(Experiment(data=data, filters=()))
        assert "\n" not in line
        assert parsed(line, monkeypatch) == Experiment(data=str(folder.resolve()), filters=())


def test_changes_in_words():
    base = Experiment()
    assert describe_change(base, base) == ""
    changed = base.replace(learning_rate=0.01, filters=(), dense_units=(4, 5), flip="both")
    assert describe_change(base, changed) == (
        "flip none → both, filters 32 + 64 → none, dense units 128 → 4 + 5,"
        " learning rate 0.001 → 0.01"
    )


def test_trials_are_compared_with_the_one_before():
    trials = [Trial(Experiment()), Trial(Experiment(epochs=2)), Trial(preset("simple"))]
    results = ((0.5, "stopped"), (0.75, "completed"), (None, "failed"))
    for trial, (best, status) in zip(trials, results, strict=True):
        trial.status = status
        if best:
            trial.history = pd.DataFrame({"epoch": [1, 2], "val_accuracy": [best, best / 2]})
    trials[1].loaded = True
    table = compare_trials(trials)
    assert table["trial"].tolist() == [1, 2, 3]
    assert table["change"].tolist() == ["the first", "epochs 5 → 2", "epochs 2 → 5"]
    assert table["epochs"].tolist() == ["2 of 5", "2 of 2", "0 of 5"]
    assert table["best val. accuracy"].tolist()[:2] == [0.5, 0.75]
    assert table["difference"].isna().tolist() == [True, False, True]
    assert table["difference"][1] == 0.25
    assert table["status"].tolist() == ["stopped", "loaded", "failed"]
    assert compare_trials([]).empty


@pytest.fixture
def three(tiny):
    made = []
    for rate, filters, status, best in (
        (0.1, (), "completed", 0.5),
        (0.01, (8, 16), "completed", 0.8),
        (0.001, (8,), "failed", None),
    ):
        trial = Trial(tiny.replace(learning_rate=rate, filters=filters))
        trial.status = status
        if best is not None:
            trial.history = pd.DataFrame({"epoch": [1], "val_accuracy": [best]})
        else:
            trial.error = ValueError("<b>& $x$")
        made.append(trial)
    return made


def test_the_best_trial_stands_on_top(three):
    shown = _sorted_table(trial_table(three, KNOBS), KNOBS)
    assert shown["trial"].tolist() == [1, 0, 2]
    assert shown["filters"].tolist() == ["8, 16", "none", "8"]
    assert shown["learning rate"].tolist() == ["0.01", "0.1", "0.001"]
    assert shown["status"].tolist() == ["completed", "completed", "failed: ValueError: <b>& $x$"]


def test_everything_in_the_html_is_escaped(three):
    text = table_html(trial_table(three, KNOBS), KNOBS)
    assert "<b>" not in text
    assert "&lt;b&gt;&amp; $x$" in text
    assert "0.800" in text
    assert "nan" not in text.lower()
    assert "NA" not in text
    assert "None" not in text
    assert "trial" in table_html(trial_table([], KNOBS), KNOBS)


def test_a_long_problem_is_told_whole(three):
    three[2].error = ValueError("why " * 40 + "end")
    assert "why end" in table_html(trial_table(three, KNOBS), KNOBS)


def test_says_what_was_found(three):
    table = trial_table(three, KNOBS)
    text = progress_line(three, 3, table)
    assert text.startswith("Done: 3 of 3")
    assert "Best: trial 1, validation accuracy 0.800. Trial 0, your settings: 0.500." in text
    assert "None was completed" in progress_line(three[2:], 1, trial_table(three[2:], KNOBS))
    assert "These are yours" in progress_line(three[:1], 1, trial_table(three[:1], KNOBS))
    three[2].status = "stopped"
    assert progress_line(three, 9, table).startswith("Stopped: 3 of 9")


def test_says_where_it_is(three):
    three[2].status = "running"
    table = trial_table(three, KNOBS)
    assert progress_line(three, 9, table).startswith("Trial 2 of 8: getting ready")
    three[2].points.append(_Point(1.25, 0.5, 0.75))
    text = progress_line(three, 9, table)
    assert "epoch 1.2 of 4, training accuracy 0.750" in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "5 seconds"), (42, "40 seconds"), (99, "100 seconds"), (150, "2 minutes")],
)
def test_durations_are_rough(seconds, words):
    assert about(seconds) == f"about {words}"
    assert not math.isnan(seconds)
