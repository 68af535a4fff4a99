"""Run folders: one trained model with everything that is known about it.

A run folder holds ``experiment.json``, ``environment.json``, ``model.keras``, ``history.csv`` and
``metrics.json``; evaluation adds ``evaluation.json`` and ``predictions.csv``. Every file is
written beside its place first and then moved there in one step, so that a process killed at any
moment leaves the file before or the file after, never half a file.
"""

import importlib.metadata
import json
import os
import platform
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from imgclf_lib import __version__
from imgclf_lib.backend import backend_name, compute_dtype, list_devices, load_keras
from imgclf_lib.data import ImageData
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import weights_key
from imgclf_lib.storage import digest, models_folder
from imgclf_lib.training.optimizer import muon_class

if TYPE_CHECKING:
    import keras

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
        return Experiment.from_json(path.read_text(encoding="utf-8"))

    @property
    def metrics(self) -> dict[str, Any]:
        """What training reported; empty before its end."""
        return _read_json(self.folder / "metrics.json")

    @property
    def environment(self) -> dict[str, Any]:
        """Versions, device, backend, and the class names and fingerprint of the data."""
        return _read_json(self.folder / "environment.json")

    @property
    def history(self) -> pd.DataFrame:
        """One row an epoch: loss, accuracy, learning rate, seconds."""
        path = self.folder / "history.csv"
        return pd.read_csv(path) if path.is_file() else pd.DataFrame()

    @property
    def completed(self) -> bool:
        """Whether training reached its end and the model is there."""
        return self.metrics.get("status") == "completed" and (self.folder / "model.keras").is_file()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Class names in the order of the model's outputs."""
        return tuple(self.environment["class_names"])

    @cached_property
    def model(self) -> "keras.Model":
        """The trained model: the epoch with the best validation accuracy."""
        return load_model(self.folder / "model.keras", self.experiment.backend)


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
        return keras.saving.load_model(path, safe_mode=True)
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


def _read_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
