"""Use a trained run on image files."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from imgclf_lib.catalog import image_suffixes
from imgclf_lib.errors import InputError
from imgclf_lib.evaluate import predict_probabilities
from imgclf_lib.pixels import decode
from imgclf_lib.progress import progress_bar
from imgclf_lib.runs import Run

PIECE = 512  # images decoded before the model sees them; bounds memory


class Predictions(NamedTuple):
    """What a run says about files.

    Args:
        table: A row for each file and rank with the columns ``path``, ``rank`` (1 is the most
            probable), ``class`` and ``probability``.
        problems: A row for each file that could not be decoded: ``path`` and ``problem``.
    """

    table: pd.DataFrame
    problems: pd.DataFrame


def predict_files(run: Run, images: Sequence[str | Path], top: int = 3) -> Predictions:
    """Predict image files, decoded in the very way that training decoded them.

    Args:
        run: A run with a trained model.
        images: Files, and folders whose image files are all taken.
        top: How many classes to name for each file.

    Returns:
        The predictions, and the files that could not be decoded.

    Raises:
        InputError: If a path does not exist, no image is found, or ``top`` is below 1.
    """
    if top < 1:
        raise InputError("top is too small", allowed="1 or more", received=top)
    files = _files(images)
    size, _, channels = run.environment["image_shape"]
    names = np.array(run.class_names, dtype=object)
    rows, problems = [], []
    model = run.model
    bar = progress_bar(None, "Predicting", len(files), "image")
    for start in range(0, len(files), PIECE):
        paths, pixels = [], []
        for path in files[start : start + PIECE]:
            bar.update()
            try:
                pixels.append(decode(path, size, channels, run.experiment.resize).pixels)
                paths.append(str(path))
            except Exception as error:  # one broken file must not end the program
                reason = str(error).replace(repr(str(path)), "").strip()  # the path has its column
                problems.append((str(path), f"{type(error).__name__}: {reason}"))
        if paths:
            probabilities = predict_probabilities(model, np.stack(pixels))
            for name, each in zip(paths, probabilities, strict=True):
                best = np.argsort(-each, kind="stable")[:top]
                rows += [
                    (name, rank, names[label], float(each[label]))
                    for rank, label in enumerate(best, 1)
                ]
    bar.close()
    return Predictions(
        pd.DataFrame(rows, columns=["path", "rank", "class", "probability"]),
        pd.DataFrame(problems, columns=["path", "problem"]),
    )


def _files(images: Sequence[str | Path]) -> list[Path]:
    files: list[Path] = []
    for each in map(Path, images):
        if each.is_dir():
            suffixes = image_suffixes()
            inside = (path for path in each.rglob("*") if path.suffix.lower() in suffixes)
            files += sorted(path for path in inside if path.is_file())
        elif each.is_file():
            files.append(each)
        else:
            raise InputError(f"There is no file or folder {str(each)!r}")
    if not files:
        raise InputError("There is no image to predict", received=[str(each) for each in images])
    return files
