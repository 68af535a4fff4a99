"""What ``data`` may be: a known name, a folder, a list of files, or an archive of these."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from filelock import FileLock

from imgclf_lib.archives import is_archive, unpack
from imgclf_lib.catalog import Listing, assign_groups, digest, list_folder
from imgclf_lib.datasets import KNOWN, Arrays
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.file_lists import LIST_SUFFIXES, is_list, list_table
from imgclf_lib.paths import cache_folder


class Source(NamedTuple):
    """Where the images of an experiment come from, before any is read.

    Args:
        name: The known name, or that of the folder, list or archive.
        place: The known name, or the whole path.
        listing: The files; None for a known name, whose images are arrays.
    """

    name: str
    place: str
    listing: Listing | None

    @property
    def files_key(self) -> str:
        """A text that changes with the content of the files."""
        if self.listing is None:
            return KNOWN[self.name].fingerprint
        return self.listing.key

    @property
    def labels_key(self) -> str:
        """A text that changes with classes, splits and groups."""
        if self.listing is None:
            return ""
        parts: list[str | bytes] = []
        for name in ("label", "split", "group"):
            codes, values = pd.factorize(self.table[name])
            parts += [codes.tobytes(), *values]
        return digest(*parts)

    @property
    def table(self) -> pd.DataFrame:
        """The files as a table.

        Raises:
            ValueError: For a known name.
        """
        if self.listing is None:
            raise ValueError(f"{self.name} has no files")
        return self.listing.table


def open_source(experiment: Experiment) -> Source:
    """Find the data of an experiment and list its files.

    Args:
        experiment: Its ``data``, ``class_folders`` and ``group``.

    Returns:
        The source.

    Raises:
        InputError: If there is no such data, or it cannot be read.
    """
    if experiment.data in KNOWN:
        return Source(experiment.data, experiment.data, None)
    place = Path(experiment.data).expanduser()
    try:
        there = place.exists()
    except (OSError, ValueError):  # such as a name that is too long
        there = False
    if not there:
        raise InputError(
            f"There is no data set, folder or file named {experiment.data!r}",
            allowed="a folder of images, a CSV or Parquet list, a zip or tar archive, or one of "
            + ", ".join(KNOWN),
            do="Check the spelling and the current folder",
        )
    place = place.resolve()
    name = place.name or "data"
    if place.is_dir():
        listing = list_folder(place, experiment.class_folders)
    elif place.suffix.lower() in LIST_SUFFIXES:
        name, listing = place.stem, list_table(place)
    elif is_archive(place):
        name = place.name.partition(".")[0] or place.name
        listing = _list_archive(place, name, experiment.class_folders)
    else:
        raise InputError(
            f"{str(place)!r} is a file that holds no data set",
            allowed="a folder of images, a CSV or Parquet list, or a zip or tar archive",
        )
    listing = listing._replace(table=assign_groups(listing.table, experiment.group))
    return Source(name, str(place), listing)


def with_whole_paths(experiment: Experiment) -> Experiment:
    """The same experiment, so written that it can be repeated from any other folder.

    Args:
        experiment: Its ``data`` and ``fixes`` may be relative to the current folder.

    Returns:
        A copy with whole paths; known names stay as they are.
    """
    changes = {}
    for name in ("data", "fixes"):
        value = getattr(experiment, name)
        if value and value not in KNOWN:
            changes[name] = str(Path(value).expanduser().resolve())
    return experiment.replace(**changes)


def _list_archive(place: Path, name: str, class_folders: str) -> Listing:
    """Unpack an archive once, below the cache, and list what came out."""
    state = place.stat()
    key = digest(str(place), str(state.st_size), str(state.st_mtime_ns), str(state.st_ctime_ns))
    folder = cache_folder() / f"unpacked-{name}-{key}"
    refused = folder.with_suffix(".refused.csv")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not (folder.is_dir() and refused.is_file()):
            unpack(place, folder).to_csv(refused, index=False)
    listing = list_folder(folder, class_folders)
    lists = [folder / path for path in listing.table["path"] if is_list(folder / path)]
    classes = listing.table.loc[listing.table["problem"] == "", "label"].nunique()
    if len(lists) == 1 and classes < 2:  # the folders name no classes: the list does
        listing = list_table(lists[0], inside=folder)
    rows = pd.read_csv(refused, dtype="str", keep_default_na=False)
    table = pd.concat([listing.table, rows.assign(label="", split="", group="")])
    table = table[listing.table.columns]
    order = np.argsort(table["path"].to_numpy(), kind="stable")
    return Listing(listing.root, table.iloc[order].reset_index(drop=True), listing.key)


def known_table(known: Arrays) -> pd.DataFrame:
    """The images of a known data set as a table.

    Args:
        known: Its arrays.

    Returns:
        A row an image, training images first, with the columns that a ``Listing`` has.
    """
    counts = [len(known.train_labels), len(known.test_labels)]
    splits = np.repeat(["train", "test"], counts)
    places = np.concatenate([np.arange(count) for count in counts])
    labels = np.concatenate([known.train_labels, known.test_labels])
    columns = {
        "path": [f"{split}/{place}" for split, place in zip(splits, places, strict=True)],
        "label": np.array(known.classes, dtype=object)[labels],
        "split": splits,
    }
    return pd.DataFrame(columns, dtype="str").assign(group="", problem="", detail="")
