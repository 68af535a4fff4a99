"""Training: compile, fit, checkpoint, resume; everything lands in a run folder."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from imgclf_lib.backend import (
    backend_name,
    free_memory,
    lacks_memory,
    list_devices,
    load_keras,
)
from imgclf_lib.data import ImageData, Split, load_data, with_whole_paths
from imgclf_lib.errors import InputError, TrainingError
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import (
    add_test_time_flip,
    build_model,
    check_backbone,
    fit_to_memory,
    pixel_statistics,
    plan_network,
    predict_probabilities,
    weights_key,
)
from imgclf_lib.storage import atomic, clear_left, locked, write_json
from imgclf_lib.training.loop import Job, fit_phase
from imgclf_lib.training.runs import FILES, Run, environment, load_model, run_folder
from imgclf_lib.training.transfer import (
    CHECKPOINTS,
    LARGEST_BATCH,
    is_head,
    resumed_history,
    train_backbone,
)

if TYPE_CHECKING:
    import keras

LEAST_SHARE = 0.8  # of its estimate that a training took, see ``training_memory``
LARGEST_TRAIN_SAMPLE = 10_000  # images on which the training accuracy is measured at the end


def train(
    experiment: Experiment,
    out: str | Path | None = None,
    resume: bool = False,
    progress: str = "epochs",
    callbacks: Iterable[Any] = (),
) -> Run:
    """Train the network of an experiment, or load it if this very run is finished.

    Args:
        experiment: What to train.
        out: The run folder; chosen from experiment and data if not given.
        resume: Continue an unfinished run after its last complete epoch.
        progress: ``bar`` for a progress bar on standard error, ``epochs`` for a line an epoch
            on standard output, ``none``.
        callbacks: More ``keras.callbacks.Callback`` objects; looked at only if it must train.

    Returns:
        The finished run. Its model is the epoch with the best validation accuracy.

    Raises:
        InputError: If the data cannot be used, ``out`` holds another experiment, or the network is
            far larger than the memory that is free.
        TrainingError: If the loss became not a number, or the memory was not enough.
        KeyboardInterrupt: If the user stopped it; ``resume`` continues then.
    """
    backend_name(experiment.backend)  # a finished run is loaded without waiting for Keras
    if experiment.backbone:
        check_backbone(experiment)
    data = load_data(experiment)
    experiment = with_whole_paths(experiment)  # it can be evaluated from any other folder then
    if experiment.backbone and experiment.backbone_weights not in ("imagenet", "random"):
        path = Path(experiment.backbone_weights).expanduser().resolve()
        experiment = experiment.replace(backbone_weights=str(path))
    run = Run(Path(out) if out is not None else run_folder(experiment, data))
    _refuse_strangers(run.folder)
    run.folder.mkdir(parents=True, exist_ok=True)
    with locked(run.folder / ".lock") as waited:
        _check_folder(run, experiment, data)
        if not run.completed:
            _check_memory(experiment, data)
            # What the other process did before it was stopped is not lost.
            _train(run, experiment, data, resume or waited, progress, callbacks)
    return run


def _check_memory(experiment: Experiment, data: ImageData) -> None:
    """Refuse what cannot fit into the memory, before the system ends the process for it."""
    load_keras(experiment.backend)
    if list_devices("gpu"):  # which has its own memory, and says when it is full
        return
    plan = plan_network(experiment, data.image_shape, len(data.class_names))
    most, free = len(data.train), free_memory()
    if experiment.backbone and not experiment.fine_tune_epochs:
        most = LARGEST_BATCH  # only the head sees larger ones
    real = experiment.replace(batch_size=min(experiment.batch_size, most))
    if fit_to_memory(plan, real, int(free / LEAST_SHARE))[0] == "too big":
        raise InputError(fit_to_memory(plan, real, free)[1])


def _visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*") if not path.name.startswith("."))


def _refuse_strangers(folder: Path) -> None:
    names = _visible(folder)
    if names and "experiment.json" not in names:
        raise InputError(
            f"{str(folder)!r} holds files that are not a run",
            received=names[:3],
            do="Choose an empty or new folder with --out",
        )


def _check_folder(run: Run, experiment: Experiment, data: ImageData) -> None:
    if _visible(run.folder) in ([], ["experiment.json"]):
        return  # new, or left by a process killed at its very start
    same_data = run.environment.get("data_fingerprint") == data.fingerprint
    if experiment.backbone and run.environment.get("backbone_weights") != weights_key(experiment):
        raise InputError(
            f"{str(run.folder)!r} holds a run that began with other weights of its backbone",
            do="Choose another folder with --out; this one is left as it is",
        )
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
    callbacks: Iterable[Any],
) -> None:
    last = run.folder / "last.keras"
    clear_left(run.folder, (*FILES, *CHECKPOINTS))
    history = run.history if resume and last.is_file() else pd.DataFrame()
    if history.empty:
        for name in ("history.csv", "metrics.json", "model.keras", *CHECKPOINTS):
            (run.folder / name).unlink(missing_ok=True)
        write_json(run.folder / "experiment.json", dataclasses.asdict(experiment))
        write_json(run.folder / "environment.json", environment(experiment, data))
        checkpoint = None
    else:
        checkpoint = load_model(last, experiment.backend)
        history = resumed_history(last, checkpoint, experiment, data, history)
    job = Job(run, experiment, data, progress, tuple(callbacks))
    if checkpoint is None or is_head(checkpoint):
        statistics = None if experiment.backbone else pixel_statistics(data.train.images)
        model = build_model(experiment, data.image_shape, len(data.class_names), statistics)
    else:
        model = checkpoint
    status, train_accuracy = "interrupted", None
    try:
        if experiment.backbone:
            recorder, train_accuracy = train_backbone(job, model, checkpoint, history)
        else:
            recorder = fit_phase(job, model, history, (data.train, data.val))
        status = recorder.status
    except Exception as error:
        if lacks_memory(error):
            raise TrainingError(
                "There was not enough memory to train",
                do=f"Lower batch_size (now {experiment.batch_size}) or image_size (now"
                f" {data.image_shape[0]}), or choose a smaller network",
            ) from error
        raise
    finally:
        if status != "completed":
            _finish(run, model, status)
    if status == "failed":
        rate = recorder.experiment.learning_rate
        name = "fine_tune_learning_rate" if recorder.phase == "fine_tune" else "learning_rate"
        raise TrainingError(
            f"The loss became not a number in epoch {len(recorder.history) + 1}",
            do=f"Lower {name} (now {rate:g}); precision float32 may help too",
        )
    if experiment.test_time_flip == "yes" or experiment.optimizer == "muon":
        _make_portable(run)
    val_accuracy = float(recorder.history["val_accuracy"].max())
    if experiment.test_time_flip == "yes":
        val_accuracy = _accuracy(run.model, data.val)
    if train_accuracy is None or experiment.test_time_flip == "yes":
        train_accuracy = _accuracy(run.model, data.train.sample(LARGEST_TRAIN_SAMPLE))
    new = recorder.history.iloc[len(history) :]
    speed = len(new) * len(data.train) / max(new["seconds"].sum(), 1e-9)
    _finish(
        run,
        model,
        status,
        train_accuracy=train_accuracy,
        val_accuracy=val_accuracy,
        images_per_second=float(round(speed, 1)),
    )
    for name in CHECKPOINTS:
        (run.folder / name).unlink(missing_ok=True)


def _accuracy(model: "keras.Model", split: Split) -> float:
    predicted = predict_probabilities(model, split.images).argmax(1)
    return float((predicted == split.labels).mean())


def _make_portable(run: Run) -> None:
    """Let the saved model answer twice if it shall, and take away an optimiser of our own.

    Keras loads the file then wherever this library is not installed.
    """
    model = load_model(run.folder / "model.keras", run.experiment.backend)
    if model.name == "mirrored":  # the process was killed just behind this
        return
    plain = load_keras().Model(model.input, model.output, name=model.name)
    if run.experiment.test_time_flip == "yes":
        plain = add_test_time_flip(plain)
    with atomic(run.folder / "model.keras") as beside:
        plain.save(beside)


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
