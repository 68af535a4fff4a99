"""From a table to arrays: every image decoded and resized once, then read from a cache.

Each split is one ``uint8`` array on disk that the operating system pages in, so memory stays
flat however large the folder is.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from imgclf_lib.cache import prepare, read_table
from imgclf_lib.experiment import Experiment


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
    """

    name: str
    class_names: tuple[str, ...]
    table: pd.DataFrame
    fingerprint: str
    folder: Path
    limit: int = 0
    limit_seed: int = 0

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
    )
