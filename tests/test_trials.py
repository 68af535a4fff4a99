"""Trials: they can be watched, stopped at any moment, continued, and they take turns."""

import threading
import time
from collections.abc import Callable

import pandas as pd
import pytest

from imgclf_lib import trials as module
from imgclf_lib.errors import TrainingError
from imgclf_lib.experiment import Experiment
from imgclf_lib.runs import Run
from imgclf_lib.train import train
from imgclf_lib.trials import Trial

LONG = 120  # seconds; a busy machine is no failure


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
    before = time.perf_counter()
    trial.start()
    assert time.perf_counter() - before < 1
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
    before = time.perf_counter()
    trial.stop()
    assert trial.status == "stopped"
    assert trial.wait(LONG)
    assert time.perf_counter() - before < 5
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
