"""Training, validation and test: stratified by class, seeded, and free of leaks."""

import numpy as np
import pandas as pd

from imgclf_lib.data.duplicates import components
from imgclf_lib.data.listing import SPLITS
from imgclf_lib.errors import InputError


def group_images(table: pd.DataFrame, pairs: np.ndarray | None = None) -> np.ndarray:
    """Number the images so that those that belong together have the same number.

    Together belong files with the same bytes, with the same pixels, nearly the same picture, and
    the same group of the user (the same patient, burst, or track); and what hangs together over
    several such steps.

    Args:
        table: A row an image, with the columns ``hash``, and if there ``pixel_hash`` and
            ``group``; empty texts connect nothing.
        pairs: ``int64`` array of shape ``(m, 2)``: positions in the table of near-duplicates.

    Returns:
        ``int64`` array of shape ``(n,)``: the number of each row's group.
    """
    links = [np.empty((0, 2), "int64") if pairs is None else pairs]
    for name in ("hash", "pixel_hash", "group"):
        if name in table:
            codes, values = pd.factorize(table[name])
            first = np.full(len(values), -1)
            first[codes[::-1]] = np.arange(len(table))[::-1]  # the first row with each value
            there = (table[name] != "").to_numpy()
            links.append(np.column_stack([first[codes], np.arange(len(table))])[there])
    return components(len(table), np.concatenate(links))


def make_splits(
    table: pd.DataFrame,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
    pairs: np.ndarray | None = None,
) -> pd.DataFrame:
    """Fill in the splits that are missing: stratified by class, seeded, free of leaks.

    Images that ``group_images`` puts together always stay in the same split. Splits that are
    given stay as they are; a missing test split is taken first, then a missing validation split,
    both from the training images.

    Args:
        table: A row a file, with the columns ``label``, ``split``, ``hash`` and ``problem``.
        validation_fraction: Share of the training images of each class for validation.
        test_fraction: Share of all images of each class for the test.
        seed: Seed of the choice.
        pairs: Near-duplicates, as positions in the table.

    Returns:
        A copy with ``split`` filled in for every usable row.

    Raises:
        InputError: If there are fewer than two classes, or classes have too few images; it names
            them all with their counts.
    """
    table = table.copy()
    usable = table["problem"] == ""
    table.loc[usable & (table["split"] == ""), "split"] = "train"
    check_classes(table[usable])
    groups = group_images(table, pairs)
    missing = [
        (split, fraction)
        for split, fraction in (("test", test_fraction), ("val", validation_fraction))
        if not (table.loc[usable, "split"] == split).any()
    ]
    training = (usable & (table["split"] == "train")).to_numpy()
    _check_counts(table["label"][training], groups[training], [split for split, _ in missing])
    for turn, (split, fraction) in enumerate(missing):
        generator = np.random.default_rng([seed, SPLITS.index(split)])
        training = (usable & (table["split"] == "train")).to_numpy()
        left = len(missing) - turn  # groups that a class must keep for training and validation
        moved = _choose(table["label"][training], groups[training], fraction, left, generator)
        table.loc[training & np.isin(groups, moved), "split"] = split
    check_classes(table[usable])  # an image under two labels may have left both classes
    return table


def check_classes(usable: pd.DataFrame) -> None:
    """See that there are two classes at least, and that each can be learned."""
    counts = usable["label"].value_counts()
    if not len(counts):
        raise InputError(
            "There is no image that can be used",
            allowed="images in one folder for each class, such as cat/1.jpg and dog/2.jpg, or a"
            " list of files and labels",
            do="imgclf audit tells the reason of every file",
        )
    if len(counts) < 2:
        raise InputError(
            "Classification needs at least two classes",
            allowed="two or more class folders with images, or labels in a list",
            received=counts.to_dict(),
        )
    trained = set(usable.loc[usable["split"].isin(["", "train"]), "label"])
    unseen = sorted(set(counts.index) - trained)
    if unseen:
        raise InputError(
            f"These classes have no training image: {', '.join(unseen)}",
            do="Add training images of them, or leave them out",
        )


def _check_counts(labels: pd.Series, groups: np.ndarray, missing: list[str]) -> None:
    """Refuse classes that have too few different images, all of them at once."""
    needed = 1 + len(missing)
    counts = pd.Series(groups, labels.index).groupby(labels).nunique()
    few = counts[counts < needed]
    if len(few):
        images = labels.value_counts()
        listed = ", ".join(
            f"{label!r} has {images[label]} {'images' if images[label] > 1 else 'image'}"
            + (f" of which {count} differ" if count < images[label] else "")
            for label, count in few.head(10).items()
        )
        kinds = " and ".join(["training", *missing])
        raise InputError(
            f"{len(few)} {'classes have' if len(few) > 1 else 'class has'} too few images:"
            f" {listed}{' and others' if len(few) > 10 else ''}",
            allowed=f"at least {needed} different images a class: one each for {kinds}. Copies,"
            " near-duplicates and images of one group count once",
            do="Add images, or remove the folder or exclude it with a fix list",
        )


def _choose(
    labels: pd.Series,
    groups: np.ndarray,
    fraction: float,
    left: int,
    generator: np.random.Generator,
) -> list[int]:
    """The groups that leave training for another split: about a fraction of every class."""
    chosen: set[int] = set()
    for _, rows in labels.groupby(labels, sort=True):
        positions = labels.index.get_indexer(rows.index)
        numbers, sizes = _counted(groups[positions])
        wanted = max(1, round(fraction * sizes.sum()))
        taken = sum(size for each, size in zip(numbers, sizes, strict=True) if each in chosen)
        free = sum(each not in chosen for each in numbers)
        for place in generator.permutation(len(numbers)):
            # A group that would overshoot by more than half is left for a smaller one.
            fits = taken + sizes[place] / 2 <= wanted
            if taken < wanted and fits and free > left and numbers[place] not in chosen:
                chosen.add(int(numbers[place]))
                taken, free = taken + int(sizes[place]), free - 1
        if not taken and free > left:
            chosen.add(int(numbers[sizes.argmin()]))
    return sorted(chosen)


def _counted(groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different groups in order of appearance, and their sizes."""
    codes, numbers = pd.factorize(groups)
    return numbers, np.bincount(codes)
