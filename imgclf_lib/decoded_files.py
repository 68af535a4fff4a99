"""The decoded files of a data set, whatever their labels: the first floor of the cache.

The folder holds ``images.npy``, ``files.parquet`` (what is known about each file) and
``pairs.npy`` (near-duplicates).
"""

from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import PIL
from PIL import Image

from imgclf_lib.backbones import input_size
from imgclf_lib.cache_folders import MARK, DiskImages, building, need_room, write_facts
from imgclf_lib.catalog import digest
from imgclf_lib.datasets import load_known
from imgclf_lib.decoding import decode_arrays, decode_files, measure_images
from imgclf_lib.experiment import Experiment
from imgclf_lib.image_files import collect_warnings, read_formats
from imgclf_lib.paths import cache_folder
from imgclf_lib.similar import similar_pairs
from imgclf_lib.sources import Source, known_table

FORMAT = 3  # changes when the same settings would give other pixels or facts
LARGEST_AUTOMATIC_SIZE = 64


def files_folder(source: Source, experiment: Experiment) -> Path:
    """Where the decoded files of a source are, or will be.

    Args:
        source: The data.
        experiment: Size, colours and way of resizing.

    Returns:
        A folder below the cache, named after the content and the settings.
    """
    size = experiment.image_size or f"at most {_largest(experiment)}"
    settings = (FORMAT, PIL.__version__, size, experiment.color, experiment.resize)
    key = digest(source.files_key, *map(str, settings))
    folder = cache_folder() / f"{source.name}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def _largest(experiment: Experiment) -> int:
    """The largest size that is chosen by itself: that of a pretrained network, or a small one."""
    return input_size(experiment.backbone) if experiment.backbone else LARGEST_AUTOMATIC_SIZE


def decode_source(source: Source, experiment: Experiment, base: Path) -> None:
    """Make the folder of decoded files if it is not there.

    Args:
        source: The data.
        experiment: Size, colours and way of resizing.
        base: As from ``files_folder``; its lock is held.

    Raises:
        InputError: If the data cannot be read, or the disk is full.
    """
    if (base / MARK).is_file():
        return
    with building(base) as new:
        out = new / "images.npy"
        if source.listing is None:
            table, classes = _decode_known(source.name, experiment, out)
            pairs = np.empty((0, 2), "int64")
        else:
            root, files, classes = source.listing.root, source.table, ()
            paths = files.loc[files["problem"] == "", "path"].tolist()
            size, channels = _look(root, paths, experiment)
            need_room(new, 2 * len(paths) * size * size * channels)  # again in their splits
            table = decode_files(root, paths, size, channels, experiment.resize, out, source.name)
            table.insert(0, "path", pd.array(paths, dtype="str"))
            pairs = _near_duplicates(table, out)
        table.to_parquet(new / "files.parquet", index=False)
        np.save(new / "pairs.npy", pairs)
        write_facts(new, name=source.name, place=source.place, class_order=classes)


def _decode_known(
    name: str, experiment: Experiment, out: Path
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    known = load_known(name)
    images = [*known.train_images, *known.test_images]
    height, width, channels = images[0].shape
    size = experiment.image_size or max(height, width)
    channels = {"auto": channels, "grey": 1, "color": 3}[experiment.color]
    need_room(out.parent, 2 * len(images) * size * size * channels)
    facts = decode_arrays(images, size, channels, experiment.resize, out, name)
    names = known_table(known)[["path", "label", "split"]]
    return pd.concat([names, facts], axis=1), known.classes


def measure_known(base: Path) -> None:
    """Fill in what the audit wants to know of a known data set, and training does not.

    Args:
        base: Its folder of decoded files.
    """
    table = pd.read_parquet(base / "files.parquet")
    if table["perceptual_hash"].eq("").any():
        measures = measure_images(base / "images.npy", table["path"])
        table[measures.columns] = measures
        np.save(base / "pairs.npy", _near_duplicates(table, base / "images.npy"))
        table.to_parquet(base / "files.parquet", index=False)


def _near_duplicates(table: pd.DataFrame, images: Path) -> np.ndarray:
    good = (table["problem"] == "").to_numpy()
    if good.sum() < 2:
        return np.empty((0, 2), "int64")
    hashes = np.array([int(each or "0", 16) for each in table["perceptual_hash"]], "uint64")
    pairs = similar_pairs(hashes, DiskImages(images))
    return pairs[good[pairs].all(1)]


def _look(root: Path, paths: list[str], experiment: Experiment) -> tuple[int, int]:
    """Size and channels, from the headers of about 500 files."""
    sides, modes = [], set()
    for path in paths[:: max(1, len(paths) // 500)]:
        # A file that cannot be opened is reported with its reason when it is decoded.
        with (
            collect_warnings(),
            suppress(Exception),
            Image.open(root / path, formats=read_formats()) as image,
        ):
            sides.append(min(image.size))
            modes.add(image.mode)
    largest = _largest(experiment)
    automatic = min(int(np.median(sides or [largest])), largest)
    grey = modes <= {"1", "L", "LA", "I", "I;16", "F"}
    depth = {"auto": 1 if grey else 3, "grey": 1, "color": 3}[experiment.color]
    return experiment.image_size or max(1, automatic), depth
