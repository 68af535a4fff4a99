"""From a table to arrays that are read from a cache, and what they show before training.

Each split is one ``uint8`` array on disk that the operating system pages in, so memory stays
flat however large the folder is.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imgclf_lib.data.cache import (
    DiskImages,
    inspect_data,
    prepare,
    read_table,
    report_rejected,
)
from imgclf_lib.data.sources import KNOWN
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment

PIECE = 4_000_000  # numbers held as floats at a time; memory stays flat however many there are
ORDERS = ("chance", "brightness", "size", "distance")


@dataclass(frozen=True)
class Split:
    """One part of the data.

    Args:
        name: ``train``, ``val`` or ``test``.
        images: ``uint8`` array of shape ``(n, height, width, channels)``, 0 to 255.
        labels: ``int64`` array of shape ``(n,)``, indices into the class names.
        paths: Array of ``n`` texts: where each image comes from.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    paths: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> "Split":
        """Some of the images.

        Args:
            rows: Integer array: which rows, in which order.

        Returns:
            A split of those rows, in memory.
        """
        return Split(self.name, self.images[rows], self.labels[rows], self.paths[rows])

    def sample(self, count: int, seed: int = 0) -> "Split":
        """At most ``count`` images, each class as frequent as before.

        Args:
            count: How many images; 0 or more than there are gives all.
            seed: Seed of the choice.

        Returns:
            A split in memory, or this one if all its images are wanted.
        """
        if not 0 < count < len(self):
            return self
        order = np.random.default_rng(seed).permutation(len(self))
        ranks = pd.Series(self.labels[order]).groupby(self.labels[order]).cumcount().to_numpy()
        sizes = np.bincount(self.labels)[self.labels[order]]
        return self.take(np.sort(order[np.argsort((ranks + 0.5) / sizes, kind="stable")[:count]]))


@dataclass(frozen=True)
class ImageData:
    """A data set, ready for training: three splits and the table behind them.

    Args:
        name: Known name, or the name of the folder.
        class_names: Class names; a label is an index into them.
        table: A row a file, sorted by path, with the columns ``path`` (relative, with ``/``),
            ``label`` (class name), ``split`` (``train``, ``val``, ``test``; empty if not used),
            ``group`` (of the user), ``width``, ``height`` and ``mode`` (of the file), ``hash`` (of
            its bytes), ``pixel_hash``, ``perceptual_hash``, ``brightness`` (0 to 255),
            ``sharpness``, ``problem`` (empty, or why the file is not used) and ``detail``.
        fingerprint: Text that changes with any pixel, label or split.
        folder: Where the arrays are.
        limit: Largest number of training images; 0 for all.
        limit_seed: Seed of the choice of those images.
        bits: How many bits count where grey values are stored in 16, see ``files.decode``.
    """

    name: str
    class_names: tuple[str, ...]
    table: pd.DataFrame
    fingerprint: str
    folder: Path
    limit: int = 0
    limit_seed: int = 0
    bits: int = 16

    @cached_property
    def train(self) -> Split:
        """The training images."""
        return self._read("train").sample(self.limit, self.limit_seed)

    @cached_property
    def val(self) -> Split:
        """The validation images: for every choice made during development."""
        return self._read("val")

    @cached_property
    def test(self) -> Split:
        """The test images: for the final evaluation only."""
        return self._read("test")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        height, width, channels = np.load(self.folder / "val.npy", mmap_mode="r").shape[1:]
        return height, width, channels

    def _read(self, name: str) -> Split:
        rows = self.table[self.table["split"] == name]
        codes = pd.Categorical(rows["label"], categories=self.class_names).codes
        images = np.load(self.folder / f"{name}.npy", mmap_mode="r")
        return Split(name, images, codes.astype("int64"), rows["path"].to_numpy(dtype=object))


def load_data(experiment: Experiment) -> ImageData:
    """Load the data of an experiment; decode and cache it if this is the first time.

    Args:
        experiment: The fields under "Data" say what to load.

    Returns:
        The data set; its arrays are memory-mapped.

    Raises:
        InputError: If the data does not exist or cannot be used.
    """
    cached = prepare(experiment)
    return ImageData(
        cached.name,
        cached.class_names,
        read_table(cached.folder / "table.parquet"),
        cached.fingerprint,
        cached.folder,
        experiment.limit,
        experiment.split_seed,
        cached.bits,
    )


def load_other(
    experiment: Experiment, class_names: tuple[str, ...], split: str = "test", bits: int = 16
) -> tuple[str, Split, np.ndarray]:
    """Load images that a trained network is measured on, and that nobody trains on.

    So nothing is kept back: where the data has no test images of its own, all of it is taken.

    Args:
        experiment: The fields under "Data" say what to load.
        class_names: The classes of the network. Images are matched to them by name; some may
            have none.
        split: Which part, where the data is divided by itself.
        bits: As it was for the network, see ``ImageData``.

    Returns:
        The name of the data; the images, whose split is called ``all`` if it is all of them; and
        an array of ``n`` texts, equal for equal files, as the column ``hash`` of ``ImageData``.

    Raises:
        InputError: If the data does not exist, has no usable image, has other classes or no such
            split.
    """
    if experiment.data in KNOWN:
        known = load_data(experiment)
        _check_known(known.name, set(known.class_names), class_names)
        found = getattr(known, split)
        codes = pd.Index(class_names).get_indexer(np.array(known.class_names)[found.labels])
        hashes = known.table.set_index("path")["hash"].loc[found.paths].to_numpy(object)
        return known.name, Split(split, found.images, codes.astype("int64"), found.paths), hashes
    inspected = inspect_data(experiment, bits)
    report_rejected(inspected)
    table = inspected.table
    there = (table["problem"] == "").to_numpy()
    _check_known(inspected.name, set(table.loc[there, "label"]), class_names)
    given = there & (table["split"] == split).to_numpy()
    if given.any():
        there = given
    elif split == "test":
        split = "all"
    else:
        raise InputError(
            f"{inspected.name} is not divided by itself, so it has no split {split!r}",
            do="Leave --split out: all its images are measured",
        )
    labels = pd.Index(class_names).get_indexer(table["label"][there]).astype("int64")
    images: Any = DiskImages(inspected.file, inspected.places[there])
    paths, hashes = (table[name][there].to_numpy(object) for name in ("path", "hash"))
    return inspected.name, Split(split, images, labels, paths), hashes


def _check_known(name: str, found: set[str], class_names: tuple[str, ...]) -> None:
    if not found:
        raise InputError(
            f"{name} has no image that can be used", do="imgclf audit tells the reason of each file"
        )
    unknown = sorted(found - set(class_names))
    if unknown:
        raise InputError(
            f"{name} has classes that the model was not trained on: {', '.join(unknown[:10])}",
            allowed=", ".join(class_names),
            do="Give their folders the names of the model's classes, or move them away",
        )


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
    for rows in _pieces(split, np.arange(len(split))):
        labels, pixels = split.labels[rows], split.images[rows].astype("float64")
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
        ranked = rows[np.argsort(_distances(split, rows, means[label]), kind="stable")]
        steps = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int)
        chosen.append(ranked[steps])
    return _lined_up(split, chosen, count)


def sort_images(
    source: ImageData, split: str = "train", label: int | None = None, by: str = "chance"
) -> pd.DataFrame:
    """Training or validation images in an order that shows something about them.

    Args:
        source: The data set.
        split: ``train`` or ``val``; the test split stays closed.
        label: Which class; all of them if None.
        by: ``chance``; ``brightness``, the mean of all pixels; ``size``, the pixels of the file;
            or ``distance`` from the mean of the training images of the same class.

    Returns:
        A row an image, the smallest value first, with the columns ``row`` (its place in the
        split), ``label`` (the name of its class), ``value`` (what it is sorted by; the place
        again for ``chance``) and ``path``.

    Raises:
        InputError: If there is no such split or no such order.
    """
    if split not in ("train", "val"):
        raise InputError("Only these splits are looked at", allowed="train, val", received=split)
    if by not in ORDERS:
        raise InputError("There is no such order", allowed=", ".join(ORDERS), received=by)
    part: Split = getattr(source, split)
    rows = np.arange(len(part)) if label is None else np.flatnonzero(part.labels == label)
    values: np.ndarray = rows
    if by == "brightness":
        pieces = [part.images[some].mean((1, 2, 3)) for some in _pieces(part, rows)]
        values = np.concatenate([[], *pieces])
    elif by == "size":
        table = source.table[source.table["split"] == split].set_index("path")
        values = (table["width"] * table["height"]).loc[part.paths[rows]].to_numpy()
    elif by == "distance":
        values = np.zeros(len(rows))
        for each in np.unique(part.labels[rows]):
            mean = _mean(source.train, np.flatnonzero(source.train.labels == each))
            chosen = part.labels[rows] == each
            values[chosen] = _distances(part, rows[chosen], mean)
    shuffled = np.random.default_rng(0).permutation(len(rows))
    order = shuffled if by == "chance" else np.argsort(values, kind="stable")
    names = np.array(source.class_names, dtype=object)[part.labels[rows[order]]]
    columns = {"row": rows[order], "label": names, "value": values[order]}
    return pd.DataFrame({**columns, "path": part.paths[rows[order]]})


def captions(images: pd.DataFrame) -> list[str]:
    """Three lines for each image: its row, its class, and what it is sorted by.

    Args:
        images: Rows as from ``sort_images``.

    Returns:
        A text an image; ``plots.image_grid`` shortens names that are long.
    """
    form = ",d" if images["value"].dtype.kind == "i" else ",.1f"
    names = (" ".join(str(name).split()) for name in images["label"])
    shown = zip(images["row"], names, images["value"], strict=True)
    return [f"#{row}\n{name}\n{value:{form}}" for row, name, value in shown]


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


def _pieces(split: Split, rows: np.ndarray) -> list[np.ndarray]:
    """The rows in portions that are small enough to be held as floats."""
    length = max(1, PIECE // max(1, int(np.prod(split.images.shape[1:]))))
    return [rows[start : start + length] for start in range(0, len(rows), length)]


def _mean(split: Split, rows: np.ndarray) -> np.ndarray:
    pieces = _pieces(split, rows)
    total = sum(split.images[some].sum(0, dtype="float64") for some in pieces)
    return np.zeros(split.images.shape[1:]) + total / max(1, len(rows))


def _distances(split: Split, rows: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Root of the sum of the squared differences between each image and a mean image."""
    pieces = [np.square(split.images[some] - mean).sum((1, 2, 3)) for some in _pieces(split, rows)]
    return np.sqrt(np.concatenate([[], *pieces]))


def _lined_up(split: Split, chosen: list[np.ndarray], count: int) -> np.ndarray:
    shape = split.images.shape[1:]
    images = np.full((len(chosen), count, *shape), 255, "uint8")
    for place, rows in enumerate(chosen):
        images[place, : len(rows)] = split.images[rows]
    return images.reshape(-1, *shape)


def _occurring(values: pd.Series) -> tuple[str, ...]:
    return tuple(sorted(values.unique()))
