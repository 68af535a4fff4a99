"""Training, validation and test: stratified by class and seeded; copies stay together."""

import numpy as np
import pandas as pd

from imgclf_lib.data.duplicates import components
from imgclf_lib.data.listing import SPLITS
from imgclf_lib.errors import InputError, tell


def group_images(table: pd.DataFrame, pairs: np.ndarray | None = None) -> np.ndarray:
    """Number the images so that those that belong together have the same number.

    Together belong files with the same bytes, with the same pixels, nearly the same picture of one
    class, and the same group of the user (the same patient, burst, or track); and what hangs
    together over several such steps. Nearly the same pictures of different classes do not belong
    together: what makes the classes is what they differ in.

    Args:
        table: A row an image, with the columns ``hash``, and if there ``pixel_hash``, ``group``
            and ``label``; empty texts connect nothing.
        pairs: ``int64`` array of shape ``(m, 2)``: positions in the table of near-duplicates.

    Returns:
        ``int64`` array of shape ``(n,)``: the number of each row's group.
    """
    links = [np.empty((0, 2), "int64") if pairs is None else _of_one_class(table, pairs)]
    for name in ("hash", "pixel_hash", "group"):
        if name in table:
            codes, values = pd.factorize(table[name])
            first = np.full(len(values), -1)
            first[codes[::-1]] = np.arange(len(table))[::-1]  # the first row with each value
            there = (table[name] != "").to_numpy()
            links.append(np.column_stack([first[codes], np.arange(len(table))])[there])
    return components(len(table), np.concatenate(links))


def _of_one_class(table: pd.DataFrame, pairs: np.ndarray) -> np.ndarray:
    """Pairs that connect what ``pairs`` connects, over any steps, as far as it is of one class."""
    near = components(len(table), pairs)
    if "label" in table:
        near = near * len(table) + pd.factorize(table["label"])[0]
    _, first, inverse = np.unique(near, return_index=True, return_inverse=True)
    links = np.column_stack([first[inverse], np.arange(len(table))])
    return links[links[:, 0] != links[:, 1]]


def make_splits(
    table: pd.DataFrame,
    validation_fraction: float,
    test_fraction: float,
    seed: int,
    pairs: np.ndarray | None = None,
) -> pd.DataFrame:
    """Fill in the splits that are missing: stratified by class, seeded, copies kept together.

    Images that ``group_images`` puts together stay in the same split. Only where that would leave
    a class too few groups, as with a camera that stands still, are the near-duplicates of this
    class divided, and a warning is printed; copies and the groups of the user are not. Splits that
    are given stay as they are; a missing test split is taken first, then a missing validation
    split, both from the training images.

    Args:
        table: A row a file, with the columns ``label``, ``split``, ``hash`` and ``problem``.
        validation_fraction: Share of the training images of each class for validation.
        test_fraction: Share of all images of each class for the test.
        seed: Seed of the choice.
        pairs: Near-duplicates, as positions in the table; None if they may be divided.

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
    missing = [
        (split, fraction)
        for split, fraction in (("test", test_fraction), ("val", validation_fraction))
        if not (table.loc[usable, "split"] == split).any()
    ]
    training = (usable & (table["split"] == "train")).to_numpy()
    groups = group_images(table, pairs)
    if pairs is not None:
        counts = _group_counts(table["label"][training], groups[training])
        alike = sorted(counts.index[counts <= len(missing)]) if missing else []
        if alike:
            kept = ~table["label"].isin(alike).to_numpy()
            groups = group_images(table, pairs[kept[pairs].all(1)])
            after = _group_counts(table["label"][training], groups[training])
            _warn_of_division([each for each in alike if after[each] > counts[each]])
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
            do="Add training images of them, or move their folders away. What imgclf predict is to"
            " name, such as test/unknown, is no test: give it to predict",
        )


def _group_counts(labels: pd.Series, groups: np.ndarray) -> pd.Series:
    """How many groups each class has."""
    return pd.Series(groups, labels.index).groupby(labels).nunique()


def _warn_of_division(classes: list[str]) -> None:
    if classes:
        named = f"{', '.join(map(repr, classes[:10]))}{' and others' if len(classes) > 10 else ''}"
        tell(
            f"Nearly all images of {named} look alike, so near-duplicates had to be divided between"
            " training, validation and test: scores may be better than on new pictures. If they"
            " are of one scene, that is in order, and --near_duplicates split says so. Otherwise"
            " add images, or tell with --group which belong together."
        )


def _check_counts(labels: pd.Series, groups: np.ndarray, missing: list[str]) -> None:
    """Refuse classes that have too few different images, all of them at once."""
    needed = 1 + len(missing)
    counts = _group_counts(labels, groups)
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
            allowed=f"at least {needed} different images a class: one each for {kinds}. Copies"
            " and images of one group count once",
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
