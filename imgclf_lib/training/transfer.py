"""Training on top of a pretrained network: first a head on frozen features, then fine-tuning.

Donahue and others, "DeCAF" (2013), and Yosinski and others, "How transferable are features in
deep neural networks?" (2014). While the backbone is frozen it says the same of an image every
time, so its features are computed once and the head alone is trained on them, in seconds.

A folder of the cache holds, for each split, ``<split>.npy`` (a row of features for each image of
the whole split) and ``<split>-done.npy`` (the checksum of each row that is computed, 0 for others).
A row is marked only after it is on disk, so a process killed at any moment loses little and spoils
nothing; a row that is damaged later is computed again. With a ``limit`` only the rows that are
needed are computed; another limit adds to them.
"""

import dataclasses
import math
import os
import re
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from imgclf_lib.backend import compute_dtype, load_keras
from imgclf_lib.data import ImageData, Split
from imgclf_lib.errors import InputError, tell
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import (
    AUGMENTATIONS,
    build_head,
    measuring_batch,
    predict_probabilities,
    weights_digest,
)
from imgclf_lib.storage import (
    atomic,
    cache_folder,
    clear_left,
    digest,
    locked,
    progress_bar,
    write_json,
)
from imgclf_lib.training.loop import Job, Recorder, fit_phase
from imgclf_lib.training.runs import Run, load_model

if TYPE_CHECKING:
    import keras

# Files of a run in progress: its last epoch, and the best head while only the head learns.
CHECKPOINTS = ("last.keras", "head.keras")
FORMAT = 1  # changes when the same settings would give other features
LARGEST_BATCH = 64  # larger ones are no faster, and need more memory
SAVE_EVERY = 16  # batches between two marks of what is done
LIMITED_VALIDATION = 400  # validation images of an experiment with a limit
LARGEST_SAMPLE = 10_000  # images on which the training accuracy of a head is measured


def is_head(model: "keras.Model") -> bool:
    """Whether a model takes features and not pixels."""
    return len(model.inputs[0].shape) == 2


def resumed_history(
    path: Path,
    checkpoint: "keras.Model",
    experiment: Experiment,
    data: ImageData,
    history: pd.DataFrame,
) -> pd.DataFrame:
    """The rows of a history that the checkpoint in a file has really reached."""
    with zipfile.ZipFile(path) as file:
        mark = re.fullmatch(rb"epochs (\d{1,9})", file.comment)
    if mark:
        if len(history) < int(mark[1]):
            raise InputError(
                f"{str(path.with_name('history.csv'))!r} has fewer epochs than"
                f" {path.name} beside it: {len(history)} and {int(mark[1])}",
                do="Restore it from a copy, or train anew, without --resume",
            )
        return history.head(int(mark[1]))
    # By a version that left no mark. A counter that leaves steps out tells nothing.
    if hasattr(checkpoint.optimizer, "inner_optimizer"):
        return history
    before = 0
    if experiment.backbone and not is_head(checkpoint):
        before = int((history["phase"] == "head").sum())
    steps = math.ceil(len(data.train) / experiment.batch_size)
    return history.head(before + round(int(checkpoint.optimizer.iterations) / steps))


def train_backbone(
    job: Job, model: "keras.Model", checkpoint: "keras.Model | None", history: pd.DataFrame
) -> tuple[Recorder, float | None]:
    """Train the head on frozen features, then fine-tune the whole network if that is asked for."""
    experiment, accuracy = job.experiment, None
    if model is not checkpoint:
        recorder, accuracy = _train_head(job, model, checkpoint, history)
        if recorder.status == "failed" or not experiment.fine_tune_epochs:
            return recorder, accuracy
        history = recorder.history
    heads = int((history["phase"] == "head").sum())
    slower = dataclasses.replace(
        job, experiment=experiment.replace(learning_rate=experiment.fine_tune_learning_rate)
    )
    recorder = fit_phase(
        slower,
        model,
        history,
        (job.data.train, _validation_split(experiment, job.data)),
        "fine_tune",
        heads + experiment.fine_tune_epochs,
    )
    tuned = int(recorder.history["val_accuracy"].argmax()) >= heads
    return recorder, None if tuned else accuracy


def _train_head(
    job: Job, model: "keras.Model", checkpoint: "keras.Model | None", history: pd.DataFrame
) -> tuple[Recorder, float | None]:
    experiment, run = job.experiment, job.run
    features = cached_features(model, experiment, job.data, progress=job.progress)
    asked = [name for name in AUGMENTATIONS if getattr(experiment, name) not in (0, "none")]
    if asked and not experiment.fine_tune_epochs and job.progress != "none":
        tell(
            f"Frozen features see no augmentation: {', '.join(asked)} would act in fine-tuning"
            " only (fine_tune_epochs)"
        )
    classes, width = len(job.data.class_names), features["train"].images.shape[1]
    head = checkpoint or build_head(experiment, width, classes)
    try:
        recorder = fit_phase(job, head, history, (features["train"], features["val"]), "head")
    finally:
        best = _put_together(run, model)
    if best is None:
        return recorder, None
    sample = features["train"].sample(LARGEST_SAMPLE)
    predicted = predict_probabilities(best, sample.images).argmax(1)
    return recorder, float((predicted == sample.labels).mean())


def _put_together(run: Run, model: "keras.Model") -> "keras.Model | None":
    """Write ``model.keras``: the whole network with the best head so far, if there is one."""
    if not (run.folder / "head.keras").is_file():
        return None
    head = load_model(run.folder / "head.keras")
    for layer in head.layers:
        if layer.weights:
            model.get_layer(layer.name).set_weights(layer.get_weights())
    with atomic(run.folder / "model.keras") as beside:
        model.save(beside)
    return head


def _validation_split(experiment: Experiment, data: ImageData) -> Split:
    """All validation images; with a ``limit``, a quick look, at most 400 of them.

    A backbone needs longer for 10,000 of them than for the training. Each class stays as frequent.
    """
    return data.val.sample(LIMITED_VALIDATION if experiment.limit else 0, experiment.split_seed)


def cached_features(
    model: "keras.Model",
    experiment: Experiment,
    data: ImageData,
    splits: tuple[str, ...] = ("train", "val"),
    progress: str = "none",
) -> dict[str, Split]:
    """The features of the images of some splits, computed where the cache does not have them.

    Args:
        model: As from ``build_model`` with a backbone, whose weights are still untouched.
        experiment: Its ``backbone`` and ``precision``.
        data: The images.
        splits: Which ones; training needs ``train`` and ``val``.
        progress: ``bar`` shows a progress bar on standard error.

    Returns:
        By name, splits whose ``images`` are a ``float32`` array of shape ``(n, features)``;
        memory-mapped, or in memory where ``limit`` takes only some of the images.

    Raises:
        InputError: If a backbone makes something of an image that is not a number.
    """
    keras = load_keras()
    extractor = keras.Model(model.input, model.get_layer("average").output)
    facts = {
        "format": FORMAT,
        "data": data.name,
        "data_fingerprint": data.fingerprint,
        "backbone": experiment.backbone,
        "weights": weights_digest(model.get_layer("backbone")),
        "precision": compute_dtype(experiment.precision),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
    }
    folder = cache_folder() / f"features-{data.name}-{digest(repr(facts), end=b'')}"
    folder.mkdir(parents=True, exist_ok=True)
    with locked(Path(f"{folder}.lock")):
        if not (folder / "features.json").is_file():
            write_json(folder / "features.json", facts)
        clear_left(
            folder, [each for name in splits for each in (f"{name}.npy", f"{name}-done.npy")]
        )
        found = {}
        for name in splits:
            split = _validation_split(experiment, data) if name == "val" else getattr(data, name)
            found[name] = _of_split(extractor, data, split, folder, progress)
        return found


def _of_split(
    extractor: "keras.Model", data: ImageData, split: Split, folder: Path, progress: str
) -> Split:
    name = split.name
    whole = data.table.loc[data.table["split"] == name, "path"]
    place_of = {path: place for place, path in enumerate(whole)}
    places = np.array([place_of[path] for path in split.paths], "int64")
    width = extractor.output.shape[-1]
    path, marks = folder / f"{name}.npy", folder / f"{name}-done.npy"
    sums = _checked(path, marks, (len(whole), width), places)
    todo = np.flatnonzero(sums[places] == 0)
    if len(todo):
        batch = min(LARGEST_BATCH, measuring_batch(data.image_shape))
        wanted = progress == "bar"
        bar = progress_bar(None, f"Features of {name}", len(todo), "image") if wanted else None
        try:
            for start in range(0, len(todo), SAVE_EVERY * batch):
                piece = todo[start : start + SAVE_EVERY * batch]
                rows = []
                for at in range(0, len(piece), batch):
                    rows.append(_extract(extractor, split.images[piece[at : at + batch]], batch))
                    if bar is not None:
                        bar.update(len(rows[-1]))
                new = np.concatenate(rows)
                _write(path, places[piece], new)
                sums[places[piece]] = [zlib.crc32(row) for row in new]
                with atomic(marks) as beside:
                    np.save(beside, sums)
        finally:
            if bar is not None:
                bar.close()
    features = np.load(path, mmap_mode="r")
    all_of_them = len(places) == len(whole) and (places == np.arange(len(whole))).all()
    return Split(name, features if all_of_them else features[places], split.labels, split.paths)


def _checked(path: Path, marks: Path, shape: tuple[int, int], places: np.ndarray) -> np.ndarray:
    """The checksums of the rows that are computed; what is damaged is to be computed again."""
    said = f"{path} is damaged: its features are computed again"
    try:
        rows, sums = np.load(path, mmap_mode="r"), np.load(marks)
        if (rows.shape, rows.dtype, sums.shape) != (shape, np.float32, shape[:1]):
            raise ValueError("of another size")
    except (OSError, EOFError, ValueError):
        if path.is_file() and marks.is_file():
            tell(said)
        marks.unlink(missing_ok=True)
        with atomic(path) as beside:
            np.lib.format.open_memmap(beside, "w+", "float32", shape).flush()
        return np.zeros(shape[0], "uint32")
    if sums.dtype == bool:  # of an earlier version, which only knew what is computed
        sums = np.array([zlib.crc32(rows[at]) if sums[at] else 0 for at in range(shape[0])])
        return sums.astype("uint32")
    wrong = [at for at in places if sums[at] and zlib.crc32(rows[at]) != sums[at]]
    if wrong:
        tell(said)
        sums[wrong] = 0
    return sums


def _extract(extractor: "keras.Model", images: np.ndarray, batch: int) -> np.ndarray:
    """Features of at most one batch; it is filled up, so that Keras compiles for one shape only."""
    padded = np.concatenate([images, np.repeat(images[-1:], batch - len(images), axis=0)])
    features = np.asarray(extractor.predict_on_batch(padded))[: len(images)]
    if not np.isfinite(features).all():
        raise InputError(
            "The backbone makes something of an image that is not a number",
            do="Use precision float32, and check the file of weights",
        )
    return features.astype("float32")


def _write(path: Path, places: np.ndarray, rows: np.ndarray) -> None:
    """Write rows into an array file; a full disk raises an error here, and not in a memory map."""
    array = np.load(path, mmap_mode="r")
    start, length = array.offset, array.strides[0]
    del array
    with path.open("rb+") as file:
        for place, row in zip(places, rows, strict=True):
            file.seek(start + int(place) * length)
            file.write(row.tobytes())
        file.flush()
        os.fsync(file.fileno())
