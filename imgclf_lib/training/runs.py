"""Run folders: one trained model with everything that is known about it.

A run folder holds ``experiment.json``, ``environment.json``, ``model.keras``, ``history.csv`` and
``metrics.json``; evaluation adds ``evaluation.json`` and ``predictions.csv``. Every file is
written beside its place first and then moved there in one step, so that a process killed at any
moment leaves the file before or the file after, never half a file.
"""

import importlib.metadata
import io
import json
import math
import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from imgclf_lib import __version__
from imgclf_lib.backend import (
    backend_name,
    check_weights,
    compute_dtype,
    list_devices,
    load_keras,
)
from imgclf_lib.data import ImageData
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import weights_key
from imgclf_lib.storage import digest, models_folder
from imgclf_lib.training.optimizer import muon_class

if TYPE_CHECKING:
    import keras

LARGEST_TEXT = 50_000_000  # bytes of a JSON or CSV of ours
LARGEST_SIDE = 10_000  # pixels
NUMBERS = {  # columns of a history
    "epoch": "int64",
    **dict.fromkeys(("loss", "accuracy", "val_loss", "val_accuracy"), "float64"),
    **dict.fromkeys(("learning_rate", "seconds"), "float64"),
}
FILES = (  # of a run, the last two by evaluation
    *("experiment.json", "environment.json", "model.keras", "history.csv", "metrics.json"),
    *("evaluation.json", "predictions.csv"),
)
RESTORE = "Restore it from a copy, or train again into another folder"
PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "torch", "jax", "numpy", "pillow")


@dataclass(frozen=True)
class Run:
    """A run folder, read when asked.

    Args:
        folder: The run folder.
    """

    folder: Path

    @cached_property
    def experiment(self) -> Experiment:
        """The experiment of this run."""
        path = self.folder / "experiment.json"
        if not path.is_file():
            raise InputError(
                f"{str(self.folder)!r} is not a run folder: it has no experiment.json",
                do="Train one first: imgclf train --out " + str(self.folder),
            )
        with _damaged(path):
            return Experiment.from_json(_read_text(path))

    @property
    def metrics(self) -> dict[str, Any]:
        """What training reported; empty before its end."""
        return _read_json(self.folder / "metrics.json", _check_metrics)

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, device, backend, and the class names and fingerprint of the data."""
        path = self.folder / "environment.json"
        found = _read_json(path, _check_environment)
        if not found and (self.folder / "model.keras").is_file():
            raise InputError(f"{str(path)!r} is missing", do=RESTORE)
        return found

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch: loss, accuracy, learning rate, seconds."""
        path = self.folder / "history.csv"
        if not path.is_file():
            return pd.DataFrame()
        with _damaged(path):
            table = pd.read_csv(io.StringIO(_read_text(path)))
            missing = [name for name in NUMBERS if name not in table]
            if missing:
                raise ValueError(f"it has no column {missing[0]!r}")
            return table.astype(NUMBERS)

    @property
    def completed(self) -> bool:
        """Whether training reached its end and the model is there."""
        return self.metrics.get("status") == "completed" and (self.folder / "model.keras").is_file()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the model's outputs."""
        return tuple(self.environment["class_names"])

    @property
    def bits(self) -> int:
        """How many bits count where grey values are stored in 16, see ``files.decode``."""
        return self.environment.get("bits", 16)

    @cached_property
    def model(self) -> "keras.Model":
        """The trained model: the epoch with the best validation accuracy."""
        model = load_model(self.folder / "model.keras", self.experiment.backend)
        wanted = (tuple(self.environment["image_shape"]), (len(self.class_names),))
        if (model.input_shape[1:], model.output_shape[1:]) != wanted:
            raise InputError(
                f"In {str(self.folder)!r} model.keras and environment.json do not belong together",
                allowed=f"images of shape {wanted[0]} and {wanted[1][0]} classes",
                received=(model.input_shape[1:], model.output_shape[1:]),
                do=RESTORE,
            )
        return model


def load_model(path: str | Path, backend: str = "auto") -> "keras.Model":
    """Load a ``.keras`` file; code inside the file is never run.

    Args:
        path: The file.
        backend: As for ``load_keras``.

    Returns:
        The model.

    Raises:
        InputError: If the file is missing, empty, cut short, not a Keras model, or holds code.
    """
    keras = load_keras(backend)
    if not Path(path).is_file():
        raise InputError(f"There is no model at {str(path)!r}", do="Train one: imgclf train")
    muon_class()  # registers itself: a checkpoint holds its optimiser
    try:
        check_weights(Path(path))
        return keras.saving.load_model(path, safe_mode=True)
    except InputError:
        raise
    except Exception as error:  # Keras raises many kinds for damaged files
        if "safe_mode" in str(error):
            raise InputError(
                f"{str(path)!r} was not opened: it holds Python code",
                do="Ask its maker for a model without Lambda layers",
            ) from error
        raise InputError(
            f"{str(path)!r} is not a complete Keras model ({type(error).__name__})",
            do="Train it again, or restore the file from a copy",
        ) from error


def run_folder(experiment: Experiment, data: ImageData) -> Path:
    """The folder of an experiment: equal experiments on equal data share it.

    Args:
        experiment: The experiment.
        data: Its data.

    Returns:
        A folder below ``models/``, named after the data and a digest of everything that counts.
    """
    backend = backend_name(experiment.backend)
    if experiment.backbone:  # a file of weights counts by its content
        experiment = experiment.replace(backbone_weights=weights_key(experiment))
    # Where the data and its fix list lie does not count: the fingerprint tells their content.
    plain = experiment.replace(backend=backend, data=data.name, fixes="")
    content = "\0".join([plain.key_text(), data.fingerprint, __version__])
    return models_folder() / f"{data.name}-{digest(content, end=b'', size=5)}"


def environment(experiment: Experiment, data: ImageData) -> dict[str, Any]:
    """Where and with what a run is made."""
    keras = load_keras(experiment.backend)
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "imgclf": __version__,
        "python": platform.python_version(),
        "packages": versions,
        "backend": keras.backend.backend(),
        "devices": list_devices(),
        "precision": compute_dtype(experiment.precision),
        "platform": platform.platform(),
        "processors": os.cpu_count(),
        "git_commit": _git_commit(),
        "data": data.name,
        "data_fingerprint": data.fingerprint,
        "class_names": list(data.class_names),
        "image_shape": list(data.image_shape),
        **({"bits": data.bits} if data.bits != 16 else {}),
        **({"backbone_weights": weights_key(experiment)} if experiment.backbone else {}),
    }


def _git_commit() -> str:
    command = ["git", "rev-parse", "HEAD"]
    here = Path(__file__).parent
    try:
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
    except OSError:  # no git on this machine
        return ""
    return done.stdout.strip()


@contextmanager
def _damaged(path: Path) -> Iterator[None]:
    """Whatever the reading of a file meets: the file and what to do."""
    try:
        yield
    # pandas and json raise the first two, numbers of thousands of digits the third.
    except (ValueError, RecursionError, ArithmeticError, InputError) as error:
        raise InputError(
            f"{str(path)!r} is damaged, or was changed by hand: {str(error).rstrip('.')}",
            do=RESTORE,
        ) from error


def _read_text(path: Path) -> str:
    if path.stat().st_size > LARGEST_TEXT:
        raise ValueError(f"it is larger than {LARGEST_TEXT / 1e6:.0f} MB")
    return path.read_text(encoding="utf-8")


def _read_json(path: Path, check: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """One object, or an empty one where there is no file."""
    if not path.is_file():
        return {}
    with _damaged(path):
        found = json.loads(_read_text(path))
        if not isinstance(found, dict) or not check(found):
            raise ValueError("it does not hold what training wrote")
    return found


def _check_metrics(found: dict[str, Any]) -> bool:
    status = found.get("status")
    names = ("epochs_run", "train_accuracy", "val_accuracy", "train_seconds")
    numbers: list[Any] = [found.get(name) for name in names]
    return status in ("interrupted", "failed") or (
        status == "completed"
        and all(type(each) in (int, float) and math.isfinite(each) for each in numbers)
    )


def _check_environment(found: dict[str, Any]) -> bool:
    names, shape = found.get("class_names"), found.get("image_shape")
    return (
        isinstance(names, list)
        and len(names) > 0
        and all(isinstance(name, str) for name in names)
        and isinstance(shape, list)
        and len(shape) == 3
        and all(type(side) is int and 0 < side <= LARGEST_SIDE for side in shape)
        and found.get("bits", 16) in (10, 12, 14, 16)
    )
