"""Trials: training runs in a background thread, which can be watched and stopped."""

import threading
import time
from typing import Any, NamedTuple

import pandas as pd

from imgclf_lib.backend import load_keras
from imgclf_lib.data import load_data
from imgclf_lib.experiment import Experiment
from imgclf_lib.runs import Run, run_folder
from imgclf_lib.train import train

POINTS_AN_EPOCH = 20  # how finely the training curve is drawn
# Keras seeds the whole process when it builds a network, so trials take turns.
_TURN = threading.Lock()


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
    finished run, ``error`` what went wrong, ``loaded`` whether it had been trained before.

    Args:
        experiment: What to train. A finished run of it is loaded, a stopped one continued.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.status, self.loaded = "waiting", False
        self.points: list[Point] = []
        self.history = pd.DataFrame()
        self.run: Run | None = None
        self.error: Exception | None = None
        self._stop, self._lock = threading.Event(), threading.Lock()
        self.spent = self._started = self._ended = 0.0
        # A daemon thread ends with the kernel.
        self._thread = threading.Thread(target=self._work, daemon=True, name="imgclf-trial")

    @property
    def seconds(self) -> float:
        """Seconds since the start, up to the end, and those that were ``spent`` before it."""
        if not self._started:
            return self.spent
        return self.spent + (self._ended or time.perf_counter()) - self._started

    @property
    def best(self) -> float:
        """The best validation accuracy so far; not a number before the end of an epoch."""
        history = self.history
        return float("nan") if history.empty else float(history["val_accuracy"].max())

    def start(self) -> None:
        """Begin to train; this returns at once. A trial begins only once."""
        with self._lock:
            if self.status != "waiting":
                return
            self.status, self._started = "running", time.perf_counter()
        self._thread.start()

    def stop(self) -> None:
        """End the training after the present step; what is complete is kept."""
        self._stop.set()
        self._end("stopped")

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the thread has ended.

        Args:
            seconds: At most so long; for ever if None.

        Returns:
            Whether it has ended.
        """
        if self._started:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            with _TURN:
                self._obey()
                run = Run(run_folder(self.experiment, load_data(self.experiment)))
                # A map makes the callback, which needs Keras, only when the training begins.
                callbacks = map(_watcher, [self], [run])
                self.run = train(self.experiment, None, True, "none", callbacks)
        except KeyboardInterrupt:
            self._end("stopped")
        except Exception as error:  # shown where the trial is watched
            self.error = error
            self._end("failed")
        else:
            self.loaded = not self.points
            self._remember(self.run.history)
            self._end("completed")

    def _obey(self) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt

    def _remember(self, history: pd.DataFrame) -> None:
        """Take over finished epochs; a curve that has no points yet gets one for each."""
        if not self.points and len(history):
            columns = history[["epoch", "loss", "accuracy"]]
            self.points = [Point(*map(float, row)) for row in columns.to_numpy()]
        self.history = history

    def _end(self, status: str) -> None:
        with self._lock:
            # Whoever stops it at the very end finds a finished run.
            if self.status in ("waiting", "running") or status == "completed":
                self.status, self._ended = status, self._ended or time.perf_counter()


def _watcher(trial: Trial, run: Run) -> Any:
    """A Keras callback that fills the trial, and ends the training when it is told to."""
    keras = load_keras(trial.experiment.backend)

    class Watcher(keras.callbacks.Callback):  # type: ignore[name-defined]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            trial._obey()
            # A run that is continued begins after its last complete epoch.
            trial.points = [point for point in trial.points if point.epoch <= epoch]
            trial._remember(run.history.head(epoch))
            self.epoch, self.before = epoch, (0, 0.0, 0.0)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            trial._obey()
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
            trial._obey()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            trial._remember(run.history)

    return Watcher()
