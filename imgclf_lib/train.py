"""Training: compile, fit, checkpoint, resume; everything lands in a run folder."""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from filelock import FileLock

from imgclf_lib.backend import load_keras
from imgclf_lib.data import ImageData, Split, load_data
from imgclf_lib.errors import InputError, TrainingError
from imgclf_lib.experiment import Experiment
from imgclf_lib.model import build_model, measuring_batch
from imgclf_lib.preprocess import class_weights, pixel_statistics
from imgclf_lib.recorder import Recorder
from imgclf_lib.runs import (
    Run,
    environment,
    load_model,
    run_folder,
    write_json,
)

if TYPE_CHECKING:
    import keras

LARGEST_TRAIN_SAMPLE = 10_000  # images on which the training accuracy is measured at the end
WARM_UP = 0.3  # share of one_cycle in which the learning rate rises


def train(
    experiment: Experiment,
    out: str | Path | None = None,
    resume: bool = False,
    progress: str = "epochs",
    callbacks: Sequence[Any] = (),
) -> Run:
    """Train the network of an experiment, or load it if this very run is finished.

    Args:
        experiment: What to train.
        out: The run folder; chosen from experiment and data if not given.
        resume: Continue an unfinished run after its last complete epoch.
        progress: ``bar`` for a progress bar on standard error, ``epochs`` for a line an epoch
            on standard output, ``none``.
        callbacks: More ``keras.callbacks.Callback`` objects.

    Returns:
        The finished run. Its model is the epoch with the best validation accuracy.

    Raises:
        InputError: If the data cannot be used or ``out`` holds another experiment.
        TrainingError: If the loss became not a number.
        KeyboardInterrupt: If the user stopped it; ``resume`` continues then.
    """
    load_keras(experiment.backend)
    data = load_data(experiment)
    run = Run(Path(out) if out is not None else run_folder(experiment, data))
    run.folder.mkdir(parents=True, exist_ok=True)
    with FileLock(run.folder / ".lock"):
        _check_folder(run, experiment, data)
        if not run.completed:
            _train(run, experiment, data, resume, progress, callbacks)
    return run


def compile_model(model: "keras.Model", experiment: Experiment, steps: int) -> None:
    """Give a model its optimiser, loss and metric.

    Args:
        model: An uncompiled model with softmax outputs.
        experiment: Optimiser, learning rate, schedule, weight decay and label smoothing.
        steps: Training steps of the whole run; the schedules need to know.
    """
    keras = load_keras(experiment.backend)
    rate: Any = experiment.learning_rate
    if experiment.schedule == "cosine":
        rate = keras.optimizers.schedules.CosineDecay(rate, steps)
    elif experiment.schedule == "one_cycle":
        rising = max(1, round(steps * WARM_UP))
        rate = keras.optimizers.schedules.CosineDecay(
            rate / 25, max(1, steps - rising), warmup_target=rate, warmup_steps=rising
        )
    kind = {
        "adam": keras.optimizers.Adam,
        "adamw": keras.optimizers.AdamW,
        "sgd": keras.optimizers.SGD,
        "rmsprop": keras.optimizers.RMSprop,
    }[experiment.optimizer]
    options = {"momentum": 0.9, "nesterov": True} if experiment.optimizer == "sgd" else {}
    optimizer = kind(rate, weight_decay=experiment.weight_decay, **options)
    if experiment.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    if experiment.precision == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    # Sparse labels are enough for plain cross-entropy; smoothing needs whole distributions.
    loss = (
        keras.losses.CategoricalCrossentropy(label_smoothing=experiment.label_smoothing)
        if experiment.label_smoothing
        else keras.losses.SparseCategoricalCrossentropy()
    )
    model.compile(optimizer, loss, metrics=["accuracy"])


def make_batches(
    split: Split, experiment: Experiment, classes: int, shuffle: bool, epoch: int = 0
) -> Any:
    """Batches that ``fit`` can read, taken from the array on disk as they are needed.

    Args:
        split: The images and labels.
        experiment: Batch size, seed and label smoothing.
        classes: Number of classes.
        shuffle: Whether each epoch has a new order, chosen by the seed and the epoch.
        epoch: First epoch, counted from 0.

    Returns:
        A ``keras.utils.PyDataset`` of ``(images, labels)``.
    """
    keras = load_keras(experiment.backend)
    identity = np.eye(classes, dtype="float32")

    class Batches(keras.utils.PyDataset):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.epoch = epoch - 1
            self.order = np.arange(len(split))
            self.on_epoch_end()

        def __len__(self) -> int:
            return math.ceil(len(split) / experiment.batch_size)

        def __getitem__(self, number: int) -> tuple[np.ndarray, np.ndarray]:
            start = number * experiment.batch_size
            rows = self.order[start : start + experiment.batch_size]
            labels = split.labels[rows]
            return split.images[rows], identity[labels] if experiment.label_smoothing else labels

        def on_epoch_end(self) -> None:
            self.epoch += 1
            if shuffle:
                generator = np.random.default_rng([experiment.seed, self.epoch])
                self.order = generator.permutation(len(split))

    return Batches()


def learning_rate_range_test(
    experiment: Experiment, lowest: float = 1e-5, highest: float = 1.0, steps: int = 100
) -> pd.DataFrame:
    """Raise the learning rate a little after every step and watch the loss.

    From Smith, "Cyclical Learning Rates for Training Neural Networks" (2017).

    Args:
        experiment: What to train; its own learning rate is not used.
        lowest: First learning rate.
        highest: Last learning rate.
        steps: Number of steps; the rate grows by the same factor each time.

    Returns:
        A table with the columns ``learning_rate`` and ``loss``. It ends early where the loss
        is more than four times its best value.
    """
    keras = load_keras(experiment.backend)
    data = load_data(experiment)
    plain = experiment.replace(schedule="constant", learning_rate=lowest)
    model = build_model(
        plain, data.image_shape, len(data.class_names), pixel_statistics(data.train.images)
    )
    compile_model(model, plain, steps)
    batches = make_batches(data.train, plain, len(data.class_names), shuffle=True)
    rows = []
    for step, rate in enumerate(np.geomspace(lowest, highest, steps)):
        model.optimizer.learning_rate = rate
        if step and step % len(batches) == 0:
            batches.on_epoch_end()
        result = model.train_on_batch(*batches[step % len(batches)], return_dict=True)
        model.reset_metrics()
        rows.append((rate, float(result["loss"])))
        if not rows[-1][1] <= 4 * min(loss for _, loss in rows):
            break
    return pd.DataFrame(rows, columns=["learning_rate", "loss"])


def _check_folder(run: Run, experiment: Experiment, data: ImageData) -> None:
    names = sorted(path.name for path in run.folder.iterdir() if not path.name.startswith("."))
    if names in ([], ["experiment.json"]):  # new, or left by a process killed at its very start
        return
    if "experiment.json" not in names:
        raise InputError(
            f"{str(run.folder)!r} holds files that are not a run",
            received=names[:3],
            do="Choose an empty or new folder with --out",
        )
    same_data = run.environment.get("data_fingerprint") == data.fingerprint
    wanted = experiment.replace(data=run.experiment.data, backend=run.experiment.backend)
    if run.experiment != wanted or not same_data:
        what = sorted(
            each.name
            for each in dataclasses.fields(experiment)
            if getattr(run.experiment, each.name) != getattr(wanted, each.name)
        )
        raise InputError(
            f"{str(run.folder)!r} holds the run of another experiment; the difference is in"
            f" {', '.join(what) or 'the images'}",
            do="Choose another folder with --out; this one is left as it is",
        )


def _train(
    run: Run,
    experiment: Experiment,
    data: ImageData,
    resume: bool,
    progress: str,
    callbacks: Sequence[Any],
) -> None:
    classes, last = len(data.class_names), run.folder / "last.keras"
    steps = math.ceil(len(data.train) / experiment.batch_size)
    history = run.history if resume and last.is_file() else pd.DataFrame()
    if history.empty:
        for name in ("history.csv", "metrics.json", "last.keras", "model.keras"):
            (run.folder / name).unlink(missing_ok=True)
        write_json(run.folder / "experiment.json", dataclasses.asdict(experiment))
        write_json(run.folder / "environment.json", environment(experiment, data))
        statistics = pixel_statistics(data.train.images)
        model = build_model(experiment, data.image_shape, classes, statistics)
        compile_model(model, experiment, steps * experiment.epochs)
    else:
        model = load_model(last, experiment.backend)
        # The checkpoint knows how far it is; a row written just before a crash may be ahead.
        history = history.head(round(int(model.optimizer.iterations) / steps))
    done = len(history)
    recorder = Recorder(run, experiment, model, history, progress, steps)
    balanced = experiment.class_weights == "balanced"
    # Where nothing is learned, larger batches give the same figures faster.
    many = measuring_batch(data.image_shape)
    measuring = experiment.replace(batch_size=max(experiment.batch_size, many))
    status = "interrupted"
    try:
        if done < experiment.epochs and not recorder.out_of_patience():
            model.fit(
                make_batches(data.train, experiment, classes, shuffle=True, epoch=done),
                validation_data=make_batches(data.val, measuring, classes, shuffle=False),
                epochs=experiment.epochs,
                initial_epoch=done,
                class_weight=class_weights(data.train.labels, classes) if balanced else None,
                shuffle=False,
                verbose=0,
                callbacks=[recorder.callback(), *callbacks],
            )
        status = recorder.status
    finally:
        recorder.close()
        if status != "completed":
            _finish(run, model, status)
    if status == "failed":
        raise TrainingError(
            f"The loss became not a number in epoch {len(recorder.history) + 1}",
            do=f"Lower learning_rate (now {experiment.learning_rate:g}); precision float32 may"
            " help too",
        )
    sample = data.train.sample(LARGEST_TRAIN_SAMPLE)
    predicted = run.model.predict(sample.images, batch_size=many, verbose=0).argmax(1)
    seconds = recorder.history["seconds"].iloc[done:].sum()
    _finish(
        run,
        model,
        status,
        train_accuracy=float((predicted == sample.labels).mean()),
        val_accuracy=float(recorder.history["val_accuracy"].max()),
        images_per_second=float(
            round((len(recorder.history) - done) * len(data.train) / max(seconds, 1e-9), 1)
        ),
    )
    last.unlink(missing_ok=True)


def _finish(run: Run, model: "keras.Model", status: str, **figures: float) -> None:
    history = run.history
    write_json(
        run.folder / "metrics.json",
        {
            "status": status,
            "epochs_run": len(history),
            "train_accuracy": None,
            "val_accuracy": None,
            "train_seconds": float(history["seconds"].sum()) if len(history) else 0.0,
            "images_per_second": None,
            "parameters": model.count_params(),
            "backend": load_keras().backend.backend(),
            **figures,
        },
    )
