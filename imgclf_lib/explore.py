"""Know the images before training: examples, class statistics, exact copies."""

import numpy as np
import pandas as pd

from imgclf_lib.data import ImageData, Split

PIECE = 1024  # images held as floats at a time; memory stays flat however many there are


def random_examples(split: Split, labels: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    """Images of some classes, chosen by chance; white where a class has too few.

    Args:
        split: Images and labels.
        labels: Integer array: which classes.
        count: Images of each class.
        seed: Seed of the choice.

    Returns:
        ``uint8`` array of shape ``(len(labels) * count, height, width, channels)``, one class
        after the other.
    """
    generator = np.random.default_rng(seed)
    rows = [generator.permutation(np.flatnonzero(split.labels == each)) for each in labels]
    return _lined_up(split, [each[:count] for each in rows], count)


def class_statistics(split: Split, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each pixel, class by class.

    Args:
        split: Images and labels.
        classes: Number of classes.

    Returns:
        Two ``float64`` arrays of shape ``(classes, height, width, channels)``, 0 to 255: means
        and standard deviations; 0 for a class without an image.
    """
    shape = (classes, *split.images.shape[1:])
    sums, squares = np.zeros(shape), np.zeros(shape)
    for start in range(0, len(split), PIECE):
        labels = split.labels[start : start + PIECE]
        pixels = split.images[start : start + PIECE].astype("float64")
        for label in np.unique(labels):
            chosen = pixels[labels == label]
            sums[label] += chosen.sum(0)
            squares[label] += (chosen**2).sum(0)
    counts = np.bincount(split.labels, minlength=classes).clip(1).reshape(-1, 1, 1, 1)
    means = sums / counts
    return means, np.sqrt((squares / counts - means**2).clip(0))


def typical_to_unusual(
    split: Split, labels: np.ndarray, count: int, means: np.ndarray
) -> np.ndarray:
    """Images of some classes, from the nearest to the mean image to the farthest from it.

    Args:
        split: Images and labels.
        labels: Integer array: which classes.
        count: Images of each class, at equal steps of rank, both ends included.
        means: Mean image of every class, as from ``class_statistics``.

    Returns:
        ``uint8`` array of shape ``(len(labels) * count, height, width, channels)``, one class
        after the other; white where a class has too few.
    """
    chosen = []
    for label in labels:
        rows = np.flatnonzero(split.labels == label)
        distances = [
            np.square(split.images[rows[start : start + PIECE]] - means[label]).sum((1, 2, 3))
            for start in range(0, len(rows), PIECE)
        ]
        ranked = rows[np.argsort(np.concatenate([[], *distances]), kind="stable")]
        steps = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int)
        chosen.append(ranked[steps])
    return _lined_up(split, chosen, count)


def find_copies(table: pd.DataFrame) -> pd.DataFrame:
    """Images that occur more than once, to the last byte.

    Args:
        table: A row a file, as in ``ImageData.table``.

    Returns:
        A row for each image with copies, indexed by ``hash``, with the columns ``files`` (how
        many), ``splits`` and ``labels`` (tuples of those in which it occurs, sorted) and
        ``paths`` (a list).
    """
    used = table[table["problem"] == ""]
    copies = used[used.duplicated("hash", keep=False)]
    return copies.groupby("hash", sort=False).agg(
        files=("path", "size"),
        splits=("split", _occurring),
        labels=("label", _occurring),
        paths=("path", list),
    )


def picture(data: ImageData, paths: list[str]) -> np.ndarray:
    """The first training or validation image of some paths; the test split stays closed.

    Args:
        data: A data set without a limit.
        paths: Paths as in its table.

    Returns:
        ``uint8`` array of shape ``(height, width, channels)``.

    Raises:
        ValueError: If none of the paths is a training or validation image.
    """
    for part in (data.train, data.val):
        found = np.flatnonzero(np.isin(part.paths, paths))
        if len(found):
            return part.images[found[0]]
    raise ValueError(f"None of these is a training or validation image: {paths}")


def _lined_up(split: Split, chosen: list[np.ndarray], count: int) -> np.ndarray:
    shape = split.images.shape[1:]
    images = np.full((len(chosen), count, *shape), 255, "uint8")
    for place, rows in enumerate(chosen):
        images[place, : len(rows)] = split.images[rows]
    return images.reshape(-1, *shape)


def _occurring(values: pd.Series) -> tuple[str, ...]:
    return tuple(sorted(values.unique()))
