"""Decode every image once, into arrays on disk that all later runs read.

A cache folder holds what does not depend on labels: ``images.npy``, ``files.parquet`` (what is
known about each file) and ``pairs.npy`` (near-duplicates). In it lies a folder for each way to
split: ``train.npy``, ``val.npy``, ``test.npy`` and ``table.parquet``. Both are named after their
content and settings, and are there only when they are complete.
"""

import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import PIL
from filelock import FileLock
from PIL import Image

from imgclf_lib.backbones import input_size
from imgclf_lib.cache_folders import (
    MARK,
    building,
    copy_images,
    need_room,
    read_facts,
    write_facts,
)
from imgclf_lib.catalog import COLUMNS, SPLITS
from imgclf_lib.datasets import load_known
from imgclf_lib.decoding import FACTS, KINDS, decode_arrays, decode_files, measure_images
from imgclf_lib.experiment import Experiment
from imgclf_lib.fixes import apply_fixes, read_fixes
from imgclf_lib.formats import READ
from imgclf_lib.paths import cache_folder
from imgclf_lib.similar import similar_pairs
from imgclf_lib.sources import Source, digest, known_table, open_source
from imgclf_lib.splits import make_splits

FORMAT = 3  # changes when the same settings would give other pixels or facts
LARGEST_AUTOMATIC_SIZE = 64


class Prepared(NamedTuple):
    """Decoded images, divided into splits.

    Args:
        name: Name of the data set, or of its folder, list or archive.
        folder: Where the arrays of the splits are.
        class_names: Class names in label order.
        fingerprint: Text that changes with any pixel, label or split.
    """

    name: str
    folder: Path
    class_names: tuple[str, ...]
    fingerprint: str


class Inspection(NamedTuple):
    """Every file of a data set, decoded and measured; splits are those that were given.

    Args:
        name: As in ``Prepared``.
        place: The known name, or the whole path of folder, list or archive.
        table: A row a file, with the columns ``catalog.COLUMNS``.
        images: Memory-mapped ``uint8`` array of shape ``(m, size, size, channels)``.
        places: ``int64`` array of shape ``(n,)``: the image of each row of the table; -1 if none.
        pairs: ``int64`` array of shape ``(p, 2)``: rows of the table that are near-duplicates.
    """

    name: str
    place: str
    table: pd.DataFrame
    images: np.ndarray
    places: np.ndarray
    pairs: np.ndarray


def prepare(experiment: Experiment) -> Prepared:
    """Find the decoded images of an experiment, or decode them now.

    Args:
        experiment: Its data fields say which images, at which size, in which splits.

    Returns:
        The finished folder of splits.

    Raises:
        InputError: If the data does not exist or cannot be used, or the disk is full.
    """
    source = open_source(experiment)
    names = ("validation_fraction", "test_fraction", "split_seed")
    settings = [f"{name}={getattr(experiment, name)}" for name in names]
    fixes = read_fixes(experiment.fixes).to_csv() if experiment.fixes else ""
    base = _base(source, experiment)
    folder = base / f"splits-{digest(source.labels_key, fixes, *settings)}"
    with FileLock(f"{base}.lock"):
        if not (folder / MARK).is_file():
            _decode(source, experiment, base)
            _build_splits(_inspection(source, experiment, base), experiment, base, folder)
    read_facts(base)
    facts = read_facts(folder)
    return Prepared(source.name, folder, tuple(facts["class_names"]), facts["fingerprint"])


def inspect_data(experiment: Experiment) -> Inspection:
    """Decode and measure every file, also where no splits could be made.

    Args:
        experiment: Its data fields; fractions and seed of the splits do not count.

    Returns:
        All files with what is known about them.

    Raises:
        InputError: If the data does not exist, or the disk is full.
    """
    source = open_source(experiment)
    base = _base(source, experiment)
    with FileLock(f"{base}.lock"):
        _decode(source, experiment, base)
        if source.listing is None:
            _measure_known(base)
        return _inspection(source, experiment, base)


def _base(source: Source, experiment: Experiment) -> Path:
    """The cache folder of the decoded files of a source."""
    size = experiment.image_size or f"at most {_largest(experiment)}"
    settings = (FORMAT, PIL.__version__, size, experiment.color, experiment.resize)
    key = digest(source.files_key, *map(str, settings))
    folder = cache_folder() / f"{source.name}-{key}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def _largest(experiment: Experiment) -> int:
    """The largest size that is chosen by itself: that of a pretrained network, or a small one."""
    return input_size(experiment.backbone) if experiment.backbone else LARGEST_AUTOMATIC_SIZE


def _decode(source: Source, experiment: Experiment, base: Path) -> None:
    """Make the folder of decoded files if it is not there."""
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


def _measure_known(base: Path) -> None:
    """Fill in what the audit wants to know, and training does not."""
    table = pd.read_parquet(base / "files.parquet")
    if table["perceptual_hash"].eq("").any():
        measures = measure_images(base / "images.npy", table["path"])
        table[measures.columns] = measures
        np.save(base / "pairs.npy", _near_duplicates(table, base / "images.npy"))
        table.to_parquet(base / "files.parquet", index=False)


def _near_duplicates(table: pd.DataFrame, images: Path) -> np.ndarray:
    good = (table["problem"] == "").to_numpy()
    hashes = np.array([int(each or "0", 16) for each in table["perceptual_hash"]], "uint64")
    pairs = similar_pairs(hashes, np.load(images, mmap_mode="r"))
    return pairs[good[pairs].all(1)]


def _look(root: Path, paths: list[str], experiment: Experiment) -> tuple[int, int]:
    """Size and channels, from the headers of about 500 files."""
    sides, modes = [], set()
    for path in paths[:: max(1, len(paths) // 500)]:
        # A file that cannot be opened is reported with its reason when it is decoded.
        with suppress(Exception), Image.open(root / path, formats=READ) as image:
            sides.append(min(image.size))
            modes.add(image.mode)
    largest = _largest(experiment)
    automatic = min(int(np.median(sides or [largest])), largest)
    grey = modes <= {"1", "L", "LA", "I", "I;16", "F"}
    depth = {"auto": 1 if grey else 3, "grey": 1, "color": 3}[experiment.color]
    return experiment.image_size or max(1, automatic), depth


def _inspection(source: Source, experiment: Experiment, base: Path) -> Inspection:
    """All that is known about the files, with the user's corrections."""
    table = pd.read_parquet(base / "files.parquet").astype(KINDS)
    decoded = np.arange(len(table))
    if source.listing is None:
        table["group"] = ""
    else:
        files = source.table.reset_index(drop=True)
        decoded = np.flatnonzero(files["problem"] == "")
        facts = table[FACTS].set_axis(decoded).reindex(files.index)
        empty = {name: "" if kind == "str" else 0 for name, kind in KINDS.items()}
        empty["brightness"] = empty["sharpness"] = np.nan
        facts = facts.fillna(empty).astype(KINDS)
        for name in ("problem", "detail"):
            facts[name] = facts[name].where(files["problem"] == "", files[name])
        table = pd.concat([files[["path", "label", "split", "group"]], facts], axis=1)
    table = table[COLUMNS]
    places = np.full(len(table), -1)
    places[decoded] = np.arange(len(decoded))
    if experiment.fixes:
        name = Path(experiment.fixes).name
        table = apply_fixes(table, read_fixes(experiment.fixes), name)
    places[(table["problem"] != "").to_numpy()] = -1
    images = np.load(base / "images.npy", mmap_mode="r")
    pairs = decoded[np.load(base / "pairs.npy")]
    return Inspection(source.name, source.place, table, images, places, pairs)


def _build_splits(found: Inspection, experiment: Experiment, base: Path, folder: Path) -> None:
    """Write the images of each split into an array of its own."""
    _report(found)
    fractions = (experiment.validation_fraction, experiment.test_fraction)
    table = make_splits(found.table, *fractions, experiment.split_seed, found.pairs)
    table.loc[table["problem"] != "", "split"] = ""
    with building(folder) as new:
        for split in SPLITS:
            rows = found.places[(table["split"] == split).to_numpy()]
            copy_images(base / "images.npy", rows, new / f"{split}.npy")
        table.to_parquet(new / "table.parquet", index=False)
        used = table[table["problem"] == ""]
        there = set(used["label"])
        names = [name for name in read_facts(base)["class_order"] or sorted(there) if name in there]
        content = (*names, str(found.images.shape[1:]), experiment.resize)
        fingerprint = digest(*content, *used["label"], *used["split"], *used["hash"])
        write_facts(new, class_names=names, fingerprint=fingerprint)


def _report(found: Inspection) -> None:
    rejected = found.table[found.table["problem"] != ""]
    if len(rejected):
        first = "; ".join(
            f"{row.path}: {row.problem}{f' ({row.detail})' if row.detail else ''}"
            for row in rejected.head(3).itertuples()
        )
        counts = f"{len(found.table) - len(rejected)} files used, {len(rejected)} not used"
        why = f"({first}{f'; and {len(rejected) - 3} more' if len(rejected) > 3 else ''})"
        tell = f"imgclf audit {found.place} tells the reason of each."
        print(f"{found.name}: {counts} {why}. {tell}", file=sys.stderr)
