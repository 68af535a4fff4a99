"""Decode every image once, into arrays on disk that all later runs read.

In the folder of decoded files lies a folder for each way to split them: ``train.npy``,
``val.npy``, ``test.npy`` and ``table.parquet``. Both are named after their content and settings,
and are there only when they are complete.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock

from imgclf_lib.cache_folders import MARK, building, copy_images, read_facts, write_facts
from imgclf_lib.catalog import COLUMNS, SPLITS, digest
from imgclf_lib.decoded_files import decode_source, files_folder, measure_known
from imgclf_lib.decoding import FACTS, KINDS
from imgclf_lib.experiment import Experiment
from imgclf_lib.fixes import apply_fixes, read_fixes
from imgclf_lib.sources import Source, open_source
from imgclf_lib.splits import check_classes, make_splits


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
    if not (source.listing is None or experiment.fixes):
        check_classes(source.table[source.table["problem"] == ""])  # before anything is written
    names = ("validation_fraction", "test_fraction", "split_seed")
    settings = [f"{name}={getattr(experiment, name)}" for name in names]
    fixes = read_fixes(experiment.fixes).to_csv() if experiment.fixes else ""
    base = files_folder(source, experiment)
    folder = base / f"splits-{digest(source.labels_key, fixes, *settings)}"
    with FileLock(f"{base}.lock"):
        if not (folder / MARK).is_file():
            decode_source(source, experiment, base)
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
    base = files_folder(source, experiment)
    with FileLock(f"{base}.lock"):
        decode_source(source, experiment, base)
        if source.listing is None:
            measure_known(base)
        return _inspection(source, experiment, base)


def read_table(path: Path) -> pd.DataFrame:
    """Read a table of the cache, also one of an earlier version.

    Args:
        path: The Parquet file.

    Returns:
        A row a file; its problems have the names of today.
    """
    return pd.read_parquet(path).replace({"problem": {"truncated": "damaged"}})


def _inspection(source: Source, experiment: Experiment, base: Path) -> Inspection:
    """All that is known about the files, with the user's corrections."""
    table = read_table(base / "files.parquet").astype(KINDS)
    decoded = np.arange(len(table))
    if source.listing is None:
        table["group"] = ""
    else:
        files = source.table.reset_index(drop=True)
        decoded = np.flatnonzero(files["problem"] == "")
        facts = table[FACTS].set_axis(decoded).reindex(files.index)
        empty: dict[str, str | float] = {
            name: "" if kind == "str" else 0 for name, kind in KINDS.items()
        }
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
