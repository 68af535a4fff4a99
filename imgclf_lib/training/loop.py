"""One phase of ``train``: ``fit``, and what happens around each epoch of it."""

import math
import shutil
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from imgclf_lib.backend import load_keras
from imgclf_lib.data import ImageData, Split
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import measuring_batch
from imgclf_lib.storage import atomic, progress_bar, write_table
from imgclf_lib.training.batches import Batches, class_weights, feed, fit_batches
from imgclf_lib.training.optimizer import compile_model, fuse_batch_normalization
from imgclf_lib.training.runs import Run

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Job:
    """What one training is given.

    Args:
        run: Where to write.
        experiment: What to train.
        data: The images.
        progress: ``bar``, ``epochs`` or ``none``.
        callbacks: More callbacks of Keras.
    """

    run: Run
    experiment: Experiment
    data: ImageData
    progress: str
    callbacks: tuple[Any, ...]


class Recorder:
    """Writes history and checkpoints, reports progress, stops when it is time to.

    Args:
        run: Where to write.
        experiment: Epochs, early stopping and seed.
        model: The compiled model that is being trained.
        history: Rows of the epochs that are already done.
        progress: ``bar``, ``epochs`` or ``none``.
        steps: Training steps in an epoch.
        phase: ``head`` or ``fine_tune`` of a run with a backbone; it becomes a column.
        last_epoch: Number of the last epoch of this phase; ``experiment.epochs`` if 0.
    """

    def __init__(
        self,
        run: Run,
        experiment: Experiment,
        model: "keras.Model",
        history: pd.DataFrame,
        progress: str,
        steps: int,
        phase: str = "",
        last_epoch: int = 0,
    ) -> None:
        self.run, self.experiment, self.model = run, experiment, model
        self.history, self.progress = history, progress
        self.status, self.started = "completed", time.perf_counter()
        self.interrupts: list[int] = []
        self.phase, self.last_epoch = phase, last_epoch or experiment.epochs
        others = int((history["phase"] != phase).sum()) if phase and len(history) else 0
        self.first = others  # row with which this phase begins
        total = (self.last_epoch - len(history)) * steps
        self.bar = progress_bar(None, "Training", total) if progress == "bar" else None

    def callback(self) -> "keras.callbacks.Callback":
        """This recorder as a Keras callback."""
        return load_keras().callbacks.LambdaCallback(
            on_epoch_begin=self._begin, on_epoch_end=self._end, on_train_batch_end=self._step
        )

    def out_of_patience(self) -> bool:
        """Whether early stopping says that it is enough."""
        if not self.experiment.early_stopping or self.history.empty:
            return False
        best = max(int(self.history["val_accuracy"].argmax()), self.first - 1)
        since = len(self.history) - 1 - best
        return since >= self.experiment.early_stopping

    def close(self) -> None:
        """End the progress bar."""
        if self.bar is not None:
            self.bar.close()

    def _begin(self, epoch: int, logs: dict[str, Any]) -> None:
        self.started = time.perf_counter()
        # Keras does not save the random states of dropout and augmentation. Setting them from
        # seed and epoch makes a resumed run equal to one that was never interrupted.
        for number, state in enumerate(self.model.non_trainable_variables):
            if "seed_generator_state" in state.path:
                generator = np.random.default_rng([self.experiment.seed, epoch, number])
                state.assign(generator.integers(0, 2**31, 2).astype("uint32"))

    def _step(self, batch: int, logs: dict[str, Any]) -> None:
        if self.interrupts:  # one that was lost inside the framework
            raise KeyboardInterrupt
        if self.bar is not None:
            self.bar.update()

    def _end(self, epoch: int, logs: dict[str, Any]) -> None:
        # The last step of an epoch may break the weights: then only the validation loss tells.
        if not np.isfinite([logs["loss"], logs["val_loss"]]).all():
            self.status, self.model.stop_training = "failed", True
            return
        names = ("loss", "accuracy", "val_loss", "val_accuracy")
        row: dict[str, Any] = {
            "epoch": epoch + 1,
            **{name: round(float(logs[name]), 6) for name in names},
            "learning_rate": float(self.model.optimizer.learning_rate),
            "seconds": round(time.perf_counter() - self.started, 3),
            **({"phase": self.phase} if self.phase else {}),
        }
        best = self.history["val_accuracy"].max() if len(self.history) else -1.0
        self.history = pd.concat([self.history, pd.DataFrame([row])], ignore_index=True)
        write_table(self.run.folder / "history.csv", self.history)
        last, saved = self.run.folder / "last.keras", None
        if row["val_accuracy"] > best:
            saved = self.run.folder / ("head.keras" if self.phase == "head" else "model.keras")
            with atomic(saved) as beside:
                self.model.save(beside)
        with atomic(last) as beside:
            if saved is None:
                self.model.save(beside)
            else:  # writing a model takes far longer than copying it
                shutil.copyfile(saved, beside)
            # A crash may come between the row and this file, so the file itself says how many
            # epochs it has seen; the optimiser cannot: in float16 it leaves steps out.
            with zipfile.ZipFile(beside, "a") as file:
                file.comment = b"epochs %d" % len(self.history)
        self._tell(row)
        if self.out_of_patience():
            self.model.stop_training = True

    def _tell(self, row: dict[str, Any]) -> None:
        text = (
            f"epoch {row['epoch']:>3}/{self.last_epoch}"
            f"   loss {row['loss']:.4f}   accuracy {row['accuracy']:.3f}"
            f"   val_loss {row['val_loss']:.4f}   val_accuracy {row['val_accuracy']:.3f}"
            + ("   (fine-tuning)" if self.phase == "fine_tune" else "")
        )
        if self.bar is not None:
            self.bar.write(text, file=sys.stderr)
        elif self.progress == "epochs":
            print(text)


def fit_phase(
    job: Job,
    model: "keras.Model",
    history: pd.DataFrame,
    splits: tuple[Split, Split],
    phase: str = "",
    last_epoch: int = 0,
) -> Recorder:
    """Train a model, from its weights or from its checkpoint, and record every epoch."""
    experiment, classes = job.experiment, len(job.data.class_names)
    (train, val), many = splits, measuring_batch(job.data.image_shape)
    last_epoch, done = last_epoch or experiment.epochs, len(history)
    steps = math.ceil(len(train) / experiment.batch_size)
    checkpoint = model.compiled
    if checkpoint:
        fuse_batch_normalization(model)
    else:
        compile_model(model, experiment, steps * (last_epoch - done))
    recorder = Recorder(job.run, experiment, model, history, job.progress, steps, phase, last_epoch)
    balanced = experiment.class_weights == "balanced"
    # Where nothing is learned, larger batches give the same figures faster.
    measuring = experiment.replace(batch_size=max(experiment.batch_size, many))
    batches = Batches(train, experiment, classes, training=True)
    try:
        if done < last_epoch and not recorder.out_of_patience():
            with _noting_interrupts(recorder.interrupts):
                fit_batches(
                    model,
                    batches,
                    [*_averaging(model, checkpoint), recorder.callback(), *job.callbacks],
                    validation_data=feed(Batches(val, measuring, classes, training=False)),
                    epochs=last_epoch,
                    initial_epoch=done,
                    class_weight=class_weights(train.labels, classes) if balanced else None,
                )
    finally:
        recorder.close()
    return recorder


def _averaging(model: "keras.Model", checkpoint: bool) -> "list[keras.callbacks.Callback]":
    """What puts averaged weights into a model when it is measured and saved."""
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    if not optimizer.use_ema:
        return []
    swap = load_keras().callbacks.SwapEMAWeights(swap_on_epoch=True)
    swap._ema_weights_in_model = checkpoint  # it was saved with them
    return [swap]


@contextmanager
def _noting_interrupts(noted: list[int]) -> Iterator[None]:
    """Write down each Ctrl+C: one that comes while a framework calls Python back may be lost."""
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def note(number: int, frame: Any) -> None:
        noted.append(number)
        before(number, frame)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
