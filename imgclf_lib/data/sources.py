"""What ``data`` may be: a known name, a folder, a list of files, or an archive of these."""

import gzip
import hashlib
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from imgclf_lib.data.listing import Listing, assign_groups, list_folder, split_of
from imgclf_lib.data.lists import LIST_SUFFIXES, is_list, list_table
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.files import is_archive, unpack
from imgclf_lib.storage import (
    atomic,
    cache_folder,
    data_folder,
    digest,
    fetch,
    file_digest,
    locked,
    stamp_of,
)

IDX_FILES = (
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
)


@dataclass(frozen=True)
class KnownData:
    """Where a known data set comes from.

    Args:
        title: Its usual name.
        address: The web folder of its files.
        checksums: MD5 checksum by file name, as published by the authors.
        classes: Class names in label order; empty if they are inside the archive.
        page: Where authors and licence are stated.
    """

    title: str
    address: str
    checksums: dict[str, str]
    classes: tuple[str, ...]
    page: str

    @property
    def fingerprint(self) -> str:
        """A short text that changes when any file of the data set changes."""
        joined = "".join(f"{name}{self.checksums[name]}" for name in sorted(self.checksums))
        return hashlib.sha256(joined.encode()).hexdigest()[:16]


class Arrays(NamedTuple):
    """A data set as arrays.

    Args:
        train_images: ``uint8`` array of shape ``(n, height, width, channels)``, 0 to 255.
        train_labels: ``int64`` array of shape ``(n,)``, indices into the classes.
        test_images: As the training images.
        test_labels: As the training labels.
        classes: Class names in label order.
    """

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    classes: tuple[str, ...]


def _idx(*checksums: str) -> dict[str, str]:
    return dict(zip(IDX_FILES, checksums, strict=True))


KNOWN = {
    "fashion_mnist": KnownData(
        "Fashion-MNIST",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        _idx(
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ),
        (
            *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
            *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
        ),
        "https://github.com/zalandoresearch/fashion-mnist",
    ),
    "mnist": KnownData(
        "MNIST",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        _idx(
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ),
        tuple("0123456789"),
        "http://yann.lecun.com/exdb/mnist/",
    ),
    "kmnist": KnownData(
        "Kuzushiji-MNIST",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/",
        _idx(
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ),
        ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        "http://codh.rois.ac.jp/kmnist/",
    ),
    "cifar10": KnownData(
        "CIFAR-10",
        "https://www.cs.toronto.edu/~kriz/",
        {"cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530"},
        (),
        "https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
    "cifar100": KnownData(
        "CIFAR-100",
        "https://www.cs.toronto.edu/~kriz/",
        {"cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8"},
        (),
        "https://www.cs.toronto.edu/~kriz/cifar.html",
    ),
}


def load_known(name: str) -> Arrays:
    """Read a known data set; download it first if its files are not there."""
    source = KNOWN[name]
    folder = data_folder() / name
    for file in source.checksums:
        if not (folder / file).is_file():
            do = f"Connect to the network, or put {', '.join(source.checksums)} into {folder}"
            address, known_hash = source.address + file, source.checksums[file]
            fetch(address, folder / file, known_hash, name, f"{source.title} is", do)
        _verify(source, folder / file)
    if set(source.checksums) == set(IDX_FILES):
        arrays = [_read_idx(folder / file) for file in IDX_FILES]
        return Arrays(
            arrays[0][..., np.newaxis],
            arrays[1].astype("int64"),
            arrays[2][..., np.newaxis],
            arrays[3].astype("int64"),
            source.classes,
        )
    return _read_cifar(folder / next(iter(source.checksums)))


def checksum_problems(name: str) -> list[str]:
    """Compare the files of a known data set with their published checksums.

    Args:
        name: A key of ``KNOWN``.

    Returns:
        One message for each file that is missing or differs; empty if all is well.
    """
    problems = []
    for file in KNOWN[name].checksums:
        path = data_folder() / name / file
        if not path.is_file():
            problems.append(f"{path} is missing.")
            continue
        try:
            _verify(KNOWN[name], path)
        except InputError as error:
            problems.append(str(error))
    return problems


def _verify(source: KnownData, path: Path) -> None:
    found = file_digest(path, "md5")
    if found != source.checksums[path.name]:
        raise InputError(
            f"{path} is damaged or is another file: its MD5 checksum differs",
            allowed=source.checksums[path.name],
            received=found,
            do="Move the file away; it is then fetched again",
        )


def _read_idx(path: Path) -> np.ndarray:
    """Read one file in the IDX format of MNIST (a magic number, big-endian sizes, then bytes)."""
    with gzip.open(path, "rb") as file:
        raw = file.read()
    dimensions = raw[3]
    shape = np.frombuffer(raw, ">i4", dimensions, offset=4)
    return np.frombuffer(raw, "uint8", offset=4 + 4 * dimensions).reshape(shape)


def _read_cifar(path: Path) -> Arrays:
    """Read CIFAR's binary archive: label bytes, then 3,072 bytes of red, green and blue planes."""
    fine = "100" in path.name
    with tarfile.open(path, "r:gz") as archive:
        members = {Path(member.name).name: member for member in archive if member.isfile()}

        def read(name: str) -> bytes:
            file = archive.extractfile(members[name])
            assert file is not None
            return file.read()

        train = ["train.bin"] if fine else [f"data_batch_{number}.bin" for number in range(1, 6)]
        names = read("fine_label_names.txt" if fine else "batches.meta.txt").decode().split()
        arrays = []
        for files in (train, ["test.bin" if fine else "test_batch.bin"]):
            rows = np.frombuffer(b"".join(read(each) for each in files), "uint8")
            rows = rows.reshape(-1, 3074 if fine else 3073)
            images = rows[:, -3072:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
            arrays += [np.ascontiguousarray(images), rows[:, -3073].astype("int64")]
    return Arrays(arrays[0], arrays[1], arrays[2], arrays[3], tuple(names))


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
        table = self.table[self.table["problem"] != "not listed"]
        for name in ("label", "split", "group"):
            codes, values = pd.factorize(table[name])
            parts += [codes.tobytes(), *values]
        return digest(*parts)

    @property
    def table(self) -> pd.DataFrame:
        """The files as a table."""
        if self.listing is None:
            raise ValueError(f"{self.name} has no files")
        return self.listing.table


def open_source(experiment: Experiment) -> Source:
    """Find the data of an experiment and list its files."""
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
            allowed="a folder of images, a list (CSV, JSON Lines, Parquet), a zip or tar archive,"
            f" or one of {', '.join(KNOWN)}",
            do="Check the spelling and the current folder. If it was moved after a training, give"
            " its new place with --data",
        )
    place = place.resolve()
    name = place.name or "data"
    if place.is_dir():
        listing = _or_list(list_folder(place, experiment.class_folders))
    elif place.suffix.lower() in LIST_SUFFIXES:
        name, listing = place.stem, list_table(place)
    elif is_archive(place):
        name = place.name.partition(".")[0] or place.name
        listing = _list_archive(place, name, experiment.class_folders)
    else:
        raise InputError(
            f"{str(place)!r} is a file that holds no data set",
            allowed="a folder of images, a list (CSV, JSON Lines, Parquet), a zip or tar archive",
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
    with locked(Path(f"{folder}.lock")):
        if not (folder.is_dir() and refused.is_file()):
            with atomic(refused) as beside:
                unpack(place, folder).to_csv(beside, index=False)
                if stamp_of(place.stat()) != stamp_of(state):
                    raise InputError(
                        f"{str(place)!r} was changed while it was unpacked",
                        do="Wait until it is complete, then give the same command again",
                    )
    listing = _or_list(list_folder(folder, class_folders))
    rows = pd.read_csv(refused, dtype="str", keep_default_na=False)
    guessed = rows["problem"] == "names guessed"
    remarks = (*listing.remarks, *(("names guessed", each) for each in rows.loc[guessed, "detail"]))
    rows = rows[~guessed]
    table = pd.concat([listing.table, rows.assign(label="", split="", group="")])
    table = table[listing.table.columns]
    order = np.argsort(table["path"].to_numpy(), kind="stable")
    return listing._replace(table=table.iloc[order].reset_index(drop=True), remarks=remarks)


def _or_list(listing: Listing) -> Listing:
    """What a list inside a folder says, where its folders name no classes."""
    folder, table = listing.root, listing.table
    unclear = any(kind == "unclear layout" for kind, _ in listing.remarks)
    if table.loc[table["problem"] == "", "label"].nunique() > 1 and not unclear:
        return listing
    lists = [path for path in table["path"] if is_list(folder / path)]
    splits = {path: split_of(Path(path).stem)[0] for path in lists}
    chosen = lists
    if len(lists) > 1:  # train.csv and test.csv
        chosen = [path for path in lists if splits[path]] if "train" in splits.values() else []
    found = [list_table(folder / path, inside=folder) for path in chosen]
    if len({each.root for each in found}) != 1 or all(
        (each.table["problem"] != "").all() for each in found
    ):
        if not lists:
            return listing
        said = f"{', '.join(lists[:5])} may name the classes: give --data the list that does"
        return listing._replace(remarks=(*listing.remarks, ("list not used", said)))
    parts = [
        each.table.assign(split=each.table["split"].where(each.table["split"] != "", splits[path]))
        if len(chosen) > 1
        else each.table
        for path, each in zip(chosen, found, strict=True)
    ]
    rows = pd.concat(parts)
    again = rows.duplicated("path") & (rows["problem"] == "")
    rows["problem"] = rows["problem"].mask(again, "repeated")
    root = found[0].root
    paths = [os.path.relpath(folder / path, root).replace(os.sep, "/") for path in table["path"]]
    others = table.assign(path=paths, label="", split="", problem="not listed")
    known = [os.path.relpath(root / path, root) for path in rows["path"]]
    others = others[~others["path"].isin(known) & ~table["path"].isin(chosen)]
    rows = pd.concat([rows, others]).sort_values("path", kind="stable", ignore_index=True)
    key = found[0].key if len(found) == 1 else digest(*(each.key for each in found))
    remarks = tuple(remark for each in found for remark in each.remarks)
    return Listing(root, rows, key, remarks, ", ".join(chosen))


def known_table(known: Arrays) -> pd.DataFrame:
    """The images of a known data set as a table."""
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
