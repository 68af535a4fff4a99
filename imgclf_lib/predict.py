"""Use a trained run on image files."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from imgclf_lib.errors import InputError
from imgclf_lib.image_files import BadImage, image_suffixes
from imgclf_lib.model import predict_probabilities
from imgclf_lib.pixels import decode
from imgclf_lib.progress import progress_bar
from imgclf_lib.runs import Run

PIECE = 512  # images decoded before the model sees them; bounds memory
LONGEST_VIEW = 300  # pixels of an image as it is shown to people


class Predictions(NamedTuple):
    """What a run says about files.

    Args:
        table: A row for each file and rank with the columns ``path``, ``rank`` (1 is the most
            probable), ``class`` and ``probability``.
        problems: A row for each file that could not be decoded: ``path`` and ``problem``, in the
            words of the audit.
    """

    table: pd.DataFrame
    problems: pd.DataFrame


class ImagePrediction(NamedTuple):
    """What a run says about one image.

    Args:
        given: The image as it came, small enough to be shown: ``uint8`` array of shape
            ``(height, width)`` or ``(height, width, 3)``.
        seen: What the network sees: ``uint8`` array of shape ``(size, size, channels)``.
        probabilities: Probability by class name, the highest first.
    """

    given: np.ndarray
    seen: np.ndarray
    probabilities: pd.Series

    def __str__(self) -> str:
        """The most probable classes in one line; long names are cut."""
        best = self.probabilities.head(3).items()
        return ", ".join(f"{name:.24} {probability:.1%}" for name, probability in best)


def predict_image(
    run: Run, source: bytes | Path | Image.Image, name: str = "this image"
) -> ImagePrediction:
    """Predict one image, decoded in the very way that training decoded its images.

    Args:
        run: A run with a trained model.
        source: The bytes of a file, its path, or a Pillow image.
        name: How an error message calls it.

    Returns:
        The image as given, as the network sees it, and the probabilities.

    Raises:
        InputError: If it cannot be decoded.
    """
    size, _, channels = run.environment["image_shape"]
    try:
        decoded = decode(source, size, channels, run.experiment.resize)
    except BadImage as error:
        raise InputError(f"{name} cannot be decoded: {error}") from error
    seen, whole = decoded.pixels, decoded.whole.copy()
    whole.thumbnail((LONGEST_VIEW, LONGEST_VIEW))
    probabilities = predict_probabilities(run.model, seen[np.newaxis])[0]
    best = np.argsort(-probabilities, kind="stable")
    named = pd.Series(probabilities[best], [run.class_names[label] for label in best])
    return ImagePrediction(np.asarray(whole), seen, named)


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
            except BadImage as error:
                problems.append((str(path), str(error)))
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
