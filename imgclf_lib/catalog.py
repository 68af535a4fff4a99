"""A folder of images as a table: every file a row, accepted or with its reason, and its split."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from imgclf_lib.errors import InputError

SPLITS = ("train", "val", "test")
SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
COLUMNS = ["path", "label", "split", "width", "height", "mode", "hash", "problem"]


def list_images(folder: str | Path) -> pd.DataFrame:
    """List every file below a folder, without opening any::

        folder/cat/1.jpg                folder/train/cat/1.jpg
        folder/dog/2.png        or      folder/val/dog/2.png
                                        folder/test/cat/3.jpg

    Args:
        folder: The folder of class folders, or of ``train``, ``val`` and ``test`` folders.

    Returns:
        A table with a row a file and the columns ``path`` (relative to the folder, with ``/``),
        ``label`` (class name), ``split`` (``train``, ``val``, ``test``; empty if not given),
        ``width``, ``height``, ``mode``, ``hash`` (filled when the files are decoded) and
        ``problem`` (empty, or why the file is not used). Sorted by path.

    Raises:
        InputError: If the folder does not exist, or holds no image in a class folder, or only
            one class.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise InputError(
            f"The data folder {str(folder)!r} does not exist",
            do="Check the spelling, or give the name of a known data set",
        )
    paths = sorted(
        (Path(where) / file).relative_to(folder).as_posix()
        for where, _, files in os.walk(folder)
        for file in files
    )
    given = _has_split_folders(paths)
    rows = [_row(path, given) for path in paths]
    table = pd.DataFrame(rows, columns=["path", "label", "split", "problem"])
    table = table.assign(width=0, height=0, mode="", hash="")[COLUMNS]
    if not (table["problem"] == "").any():
        raise InputError(
            f"There is no image in {str(folder)!r}",
            allowed="images in one folder for each class, such as cat/1.jpg and dog/2.jpg",
            received=f"{len(table)} files, none of them an image in a class folder",
        )
    _check_classes(table[table["problem"] == ""])
    return table


def _has_split_folders(paths: list[str]) -> bool:
    tops = {path.split("/")[0] for path in paths if "/" in path and not path.startswith(".")}
    names = {SPLIT_FOLDERS.get(top.lower()) for top in tops}
    return "train" in names and None not in names


def _row(path: str, given: bool) -> tuple[str, str, str, str]:
    parts = path.split("/")
    split = SPLIT_FOLDERS[parts.pop(0).lower()] if given and len(parts) > 1 else ""
    label = parts[0] if len(parts) > 1 else ""
    problem = ""
    if any(part.startswith(".") for part in parts):
        problem = "hidden file or folder"
    elif not label:
        problem = "not inside a class folder"
    elif Path(path).suffix.lower() not in image_suffixes():
        problem = f"extension {Path(path).suffix!r} is not that of an image"
    return path, label, split, problem


def image_suffixes() -> set[str]:
    """The file name endings that Pillow can open, in lower case with the dot."""
    extensions = Image.registered_extensions()
    return {suffix for suffix, kind in extensions.items() if kind in Image.OPEN}


def make_splits(
    table: pd.DataFrame, validation_fraction: float, test_fraction: float, seed: int
) -> pd.DataFrame:
    """Fill in the splits that are missing: stratified by class, seeded, free of leaks.

    Images with the same ``hash`` always stay in the same split. Splits that are given stay as
    they are; a missing test split is taken first, then a missing validation split, both from
    the training images.

    Args:
        table: A table as from ``list_images``, with ``hash`` filled in.
        validation_fraction: Share of the training images of each class for validation.
        test_fraction: Share of all images of each class for the test.
        seed: Seed of the choice.

    Returns:
        A copy with ``split`` filled in for every usable row.

    Raises:
        InputError: If there are fewer than two classes, or a class has too few images.
    """
    table = table.copy()
    usable = table["problem"] == ""
    table.loc[usable & (table["split"] == ""), "split"] = "train"
    _check_classes(table[usable])
    for split, fraction in (("test", test_fraction), ("val", validation_fraction)):
        if not (table.loc[usable, "split"] == split).any():
            generator = np.random.default_rng([seed, SPLITS.index(split)])
            moved = _choose(table[usable & (table["split"] == "train")], split, fraction, generator)
            table.loc[usable & (table["split"] == "train") & table["hash"].isin(moved), "split"] = (
                split
            )
    _check_classes(table[usable])  # an image under two labels may have left both classes
    return table


def _check_classes(usable: pd.DataFrame) -> None:
    counts = usable["label"].value_counts()
    if len(counts) < 2:
        raise InputError(
            "Classification needs at least two classes",
            allowed="two or more class folders with images",
            received=dict(counts),
        )
    trained = set(usable.loc[usable["split"].isin(["", "train"]), "label"])
    unseen = sorted(set(counts.index) - trained)
    if unseen:
        raise InputError(
            f"These classes have no training image: {', '.join(unseen)}",
            do="Add training images of them, or move their folders away",
        )


def _choose(
    rows: pd.DataFrame, split: str, fraction: float, generator: np.random.Generator
) -> set[str]:
    """The hashes of the images that leave training for another split."""
    chosen: set[str] = set()
    for label, group in rows.groupby("label", sort=True):
        hashes = group["hash"].unique()
        if len(hashes) < 2:
            raise InputError(
                f"Class {label!r} has too few different images to put some aside for {split!r}",
                allowed="at least 2 for each split that has to be made, and 1 for training",
                received=len(hashes),
                do="Add images to this class, or remove its folder",
            )
        wanted = min(max(1, round(fraction * len(hashes))), len(hashes) - 1)
        chosen.update(generator.permutation(hashes)[:wanted])
    return chosen
