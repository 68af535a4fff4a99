"""Use a trained run on image files, and on drawings that look like the images of its data set."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw
from scipy.ndimage import binary_fill_holes, center_of_mass

from imgclf_lib.data import list_folder
from imgclf_lib.errors import InputError
from imgclf_lib.files import BadImage, decode, image_suffixes
from imgclf_lib.network import predict_probabilities
from imgclf_lib.storage import progress_bar
from imgclf_lib.training import Run

UNOPENED = ("link", "unreadable", "special file", "bad name")  # known before a file is opened
PIECE = 512  # images decoded before the model sees them; bounds memory
LONGEST_VIEW = 300  # pixels of an image as it is shown to people
DRAWING = 280  # height and width of a drawing before the pixel path makes it small
INK = 32  # a pixel that differs more than this from the background is part of the thing


class Predictions(NamedTuple):
    """What a run says about files.

    Args:
        table: A row for each file and rank with the columns ``path``, ``rank`` (1 is the most
            probable), ``class`` and ``probability``.
        problems: A row for each file that could not be decoded: ``path`` and ``problem``, in the
            words of the audit. A file in a folder that is an image neither by name nor by
            content has an ``unknown extension``.
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
        decoded = decode(source, size, channels, run.experiment.resize, run.bits)
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
        images: Files, and folders, of which all files are taken but hidden ones.
        top: How many classes to name for each file.

    Returns:
        The predictions, and the files that could not be decoded.

    Raises:
        InputError: If a path does not exist, no image is found, or ``top`` is below 1.
    """
    if top < 1:
        raise InputError("top is too small", allowed="1 or more", received=top)
    files, problems = _files(images)
    size, _, channels = run.environment["image_shape"]
    how, chosen = (size, channels, run.experiment.resize, run.bits), set(map(Path, images))
    names = np.array(run.class_names, dtype=object)
    rows = []
    model = run.model
    bar = progress_bar(None, "Predicting", len(files), "image")
    for start in range(0, len(files), PIECE):
        paths, pixels = [], []
        for path in files[start : start + PIECE]:
            bar.update()
            try:
                pixels.append(decode(path, *how).pixels)
                paths.append(_readable(path))
            except BadImage as error:
                stranger = error.problem == "not an image" and path not in chosen
                stranger &= path.suffix.lower() not in image_suffixes()
                words = f"unknown extension: {error.detail}" if stranger else str(error)
                problems.append((_readable(path), words))
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


def _files(images: Sequence[str | Path]) -> tuple[list[Path], list[tuple[str, str]]]:
    """The files to decode, and those that cannot be, with their reasons."""
    files: list[Path] = []
    problems = []
    for each in map(Path, images):
        if each.is_dir():
            table = list_folder(each).table
            for row in table[table["problem"] != "hidden"].itertuples():
                if row.problem in UNOPENED:
                    problems.append((str(each / row.path), f"{row.problem}: {row.detail}"))
                else:  # a class is not needed, and the content decides
                    files.append(each / row.path)
        elif each.is_file():
            files.append(each)
        else:
            raise InputError(f"There is no file or folder {_readable(each)!r}")
    if not files and not problems:
        raise InputError(
            "There is no image to predict",
            received=[_readable(Path(each)) for each in images],
            do="Files whose names begin with a dot are left out of a folder",
        )
    return files, problems


def _readable(path: Path) -> str:
    """The path as text, also where its bytes are none."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


class Manner(NamedTuple):
    """How the things on the images of a data set look, so that a drawing can look like them.

    Args:
        light_on_dark: Whether they are lighter than their background.
        extent: How much of the frame their longer side takes, 0 to 1.
        filled: Whether they are areas rather than lines.
    """

    light_on_dark: bool
    extent: float
    filled: bool


def manner_of(images: np.ndarray) -> Manner:
    """Find out how things are shown on images: read from their borders and their ink.

    Args:
        images: ``uint8`` array of shape ``(n, height, width, channels)``; some hundred are enough.

    Returns:
        The manner of most of them.
    """
    grey = images.mean(-1)
    border = np.concatenate([grey[:, [0, -1]].ravel(), grey[:, :, [0, -1]].ravel()])
    background = np.median(border)
    ink = abs(grey - background) > INK
    ink = ink[ink.any((1, 2))]
    if not len(ink):  # every image is as its border
        return Manner(bool(background < 128), 1.0, False)
    sides = [ink.any(3 - axis).sum(1) / ink.shape[axis] for axis in (1, 2)]
    share = ink.mean((1, 2)) / (sides[0] * sides[1])
    extent = float(np.median(np.maximum(*sides)))
    return Manner(bool(background < 128), extent, bool(np.median(share) > 0.5))


def draw_strokes(
    strokes: Sequence[Sequence[Sequence[float]]],
    manner: Manner,
    brush: float = 0.06,
) -> Image.Image:
    """Turn strokes of a pen into a picture like those that a network was trained on.

    The recipe of MNIST: the drawing is enlarged or reduced to the usual size, and its centre of
    mass is moved to the middle.

    Args:
        strokes: Each a list of points ``(x, y)``, 0 to 1 from the left and from the top.
        manner: How the pictures look.
        brush: Thickness of a line, as a fraction of the frame.

    Returns:
        Grey Pillow image, 280 pixels high and wide.
    """
    ground, ink = (0, 255) if manner.light_on_dark else (255, 0)
    lines = [np.asarray(stroke, float).reshape(-1, 2) for stroke in strokes if len(stroke)]
    if not lines:
        return Image.new("L", (DRAWING, DRAWING), ground)
    every = np.concatenate(lines)
    low, high = every.min(0), every.max(0)
    span = max((high - low).max(), 0.05)  # a dot stays a dot
    scale = max(manner.extent - brush, 0.1) / span
    placed = [(each - (low + high) / 2) * scale + 0.5 for each in lines]
    drawn = _draw(placed, brush, manner.filled)
    down, across = center_of_mass(drawn)
    # No further than the frame: nothing may be cut off.
    room = np.maximum(0.5 - (high - low) * scale / 2 - brush / 2, 0)
    step = np.clip(0.5 - (np.array([across, down]) + 0.5) / DRAWING, -room, room)
    drawn = _draw([each + step for each in placed], brush, manner.filled)
    return Image.fromarray(np.where(drawn, ink, ground).astype("uint8"))


def _draw(lines: Sequence[np.ndarray], brush: float, filled: bool) -> np.ndarray:
    """Where ink is: bool array of shape ``(DRAWING, DRAWING)``."""
    image = Image.new("1", (DRAWING, DRAWING))
    pen, width = ImageDraw.Draw(image), max(1, round(brush * DRAWING))
    for line in lines:
        points = [tuple(point) for point in line * DRAWING]
        if filled and len(points) > 2:
            pen.polygon(points, fill=1)
        pen.line(points, fill=1, width=width, joint="curve")
        for x, y in (points[0], points[-1]):  # round ends; a single point is a dot
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=1)
    drawn = np.asarray(image)
    return binary_fill_holes(drawn) if filled else drawn
