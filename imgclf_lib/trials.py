"""Trials: training runs in a background thread, which can be watched and stopped."""

import shlex
import threading
import time
from typing import Any, NamedTuple

import pandas as pd

from imgclf_lib.backend import load_keras
from imgclf_lib.experiment import Experiment
from imgclf_lib.runs import Run
from imgclf_lib.train import train

POINTS_AN_EPOCH = 20  # how finely the training curve is drawn


class Point(NamedTuple):
    """Training loss and accuracy over the last few steps.

    Args:
        epoch: Epochs gone by, with the fraction of the present one.
        loss: Mean loss since the point before.
        accuracy: Share of right answers since the point before.
    """

    epoch: float
    loss: float
    accuracy: float


class Trial:
    """One experiment, trained in the background.

    ``status`` is ``waiting``, ``running``, ``completed``, ``stopped`` or ``failed``. ``points``
    holds the training curve, ``history`` the finished epochs as in ``Run.history``, ``run`` the
    finished run, ``error`` what went wrong, ``seconds`` how long it took so far.

    Args:
        experiment: What to train. A finished run of it is loaded, a stopped one continued.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.status = "waiting"
        self.points: list[Point] = []
        self.history = pd.DataFrame()
        self.run: Run | None = None
        self.error: Exception | None = None
        self._stop, self._started, self._ended = threading.Event(), 0.0, 0.0
        # A daemon thread ends with the kernel.
        self._thread = threading.Thread(target=self._work, daemon=True, name="imgclf-trial")

    @property
    def seconds(self) -> float:
        """Seconds since the start, up to the end."""
        if not self._started:
            return 0.0
        return (self._ended or time.perf_counter()) - self._started

    @property
    def best(self) -> float:
        """The best validation accuracy so far; not a number before the end of an epoch."""
        return float("nan") if self.history.empty else float(self.history["val_accuracy"].max())

    def start(self) -> None:
        """Begin to train; this returns at once."""
        self.status, self._started = "running", time.perf_counter()
        self._thread.start()

    def stop(self) -> None:
        """End the training after the present step; what is complete is kept."""
        self._stop.set()
        if self.status in ("waiting", "running"):
            self.status = "stopped"
            self._ended = time.perf_counter()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the thread has ended.

        Args:
            seconds: At most so long; for ever if None.
        """
        if self._started:
            self._thread.join(seconds)

    def _work(self) -> None:
        try:
            callback = _watcher(self)
            self.run = train(self.experiment, resume=True, progress="none", callbacks=[callback])
            self.history = self.run.history
            status = "completed"
        except KeyboardInterrupt:
            status = "stopped"
        except Exception as error:  # shown where the trial is watched
            self.error, status = error, "failed"
        if self.status == "running":
            self.status, self._ended = status, time.perf_counter()


def _watcher(trial: Trial) -> Any:
    """A Keras callback that fills the trial, and ends the training when it is told to."""
    keras = load_keras(trial.experiment.backend)

    class Watcher(keras.callbacks.Callback):  # type: ignore[name-defined]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.epoch, self.before = epoch, (0, 0.0, 0.0)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            _obey(trial)
            steps, done = self.params["steps"], batch + 1
            if done % max(1, steps // POINTS_AN_EPOCH) and done != steps:
                return
            # Keras reports means since the start of the epoch; the curve shows the last steps.
            loss, accuracy = (float(logs[name]) * done for name in ("loss", "accuracy"))
            since, old_loss, old_accuracy = self.before
            self.before = (done, loss, accuracy)
            trial.points.append(
                Point(
                    self.epoch + done / steps,
                    (loss - old_loss) / (done - since),
                    (accuracy - old_accuracy) / (done - since),
                )
            )

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            _obey(trial)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            row = {"epoch": epoch + 1, **{name: float(logs[name]) for name in logs}}
            trial.history = pd.concat([trial.history, pd.DataFrame([row])], ignore_index=True)

    return Watcher()


def _obey(trial: Trial) -> None:
    if trial._stop.is_set():
        raise KeyboardInterrupt


def command_line(experiment: Experiment) -> str:
    """The command that trains an experiment.

    Args:
        experiment: The experiment.

    Returns:
        A line for a terminal, with the values that differ from the defaults.
    """
    words = ["imgclf", "train"]
    for name, value in experiment.changes().items():
        words += [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]
    return shlex.join(words)


def notebook_parameters(experiment: Experiment, notebook: str) -> str:
    """The command that runs a notebook with the values of an experiment.

    Args:
        experiment: The experiment.
        notebook: Such as ``04_train``; it must declare these parameters.

    Returns:
        A line for a terminal, with papermill parameters.
    """
    words = ["imgclf", "run", notebook]
    for name, value in experiment.changes().items():
        text = str(list(value)) if isinstance(value, tuple) else str(value)
        words += ["-p", name, text]
    return shlex.join(words)
