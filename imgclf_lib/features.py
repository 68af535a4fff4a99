"""What a frozen backbone makes of each image: computed once, kept beside the decoded images.

A folder of the cache holds, for each split, ``<split>.npy`` (a row of features for each image of
the whole split) and ``<split>-done.npy`` (which rows are computed). A row is marked only after it
is on disk, so a process killed at any moment loses little and spoils nothing. With a ``limit``
only the rows that are needed are computed; another limit adds to them.
"""

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from imgclf_lib.backbones import weights_digest
from imgclf_lib.backend import load_keras, number_format
from imgclf_lib.data import ImageData, Split
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.model import measuring_batch
from imgclf_lib.paths import cache_folder
from imgclf_lib.progress import progress_bar
from imgclf_lib.runs import atomic, write_json

if TYPE_CHECKING:
    import keras

FORMAT = 1  # changes when the same settings would give other features
LARGEST_BATCH = 64  # larger ones are no faster, and need more memory
SAVE_EVERY = 16  # batches between two marks of what is done
LIMITED_VALIDATION = 400  # validation images of an experiment with a limit


def validation_split(experiment: Experiment, data: ImageData) -> Split:
    """The images that validate a network with a backbone.

    Args:
        experiment: Its ``limit`` says whether somebody wants a quick look.
        data: The images.

    Returns:
        All validation images; with a ``limit`` at most 400 of them, each class as frequent as
        before, because a backbone needs longer for 10,000 of them than for the training.
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
        "precision": number_format(experiment.precision),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
    }
    digest = hashlib.blake2b(repr(facts).encode(), digest_size=12).hexdigest()
    folder = cache_folder() / f"features-{data.name}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder / "features.json").is_file():
            write_json(folder / "features.json", facts)
        found = {}
        for name in splits:
            split = validation_split(experiment, data) if name == "val" else getattr(data, name)
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
    if not path.is_file():
        marks.unlink(missing_ok=True)
        with atomic(path) as beside:
            np.lib.format.open_memmap(beside, "w+", "float32", (len(whole), width)).flush()
    done = np.load(marks) if marks.is_file() else np.zeros(len(whole), bool)
    todo = np.flatnonzero(~done[places])
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
                _write(path, places[piece], np.concatenate(rows))
                done[places[piece]] = True
                with atomic(marks) as beside:
                    np.save(beside, done)
        finally:
            if bar is not None:
                bar.close()
    features = np.load(path, mmap_mode="r")
    all_of_them = len(places) == len(whole) and (places == np.arange(len(whole))).all()
    return Split(name, features if all_of_them else features[places], split.labels, split.paths)


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
