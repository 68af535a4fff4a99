"""Pictures that are there more than once: the same, or nearly; across splits, across classes."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from imgclf_lib.findings import MOST_RELATED, make_findings
from imgclf_lib.similar import components

# What is measured on outranks what is learned from: its copies leave, it stays.
RANKS = {"": 0, "train": 0, "val": 1, "test": 2}
NAMED = 3  # files that a detail names


def number_pictures(table: pd.DataFrame) -> np.ndarray:
    """Number the images so that files with the same pixels have the same number.

    Args:
        table: A row a file, with the columns ``hash``, ``pixel_hash`` and ``problem``.

    Returns:
        ``int64`` array of shape ``(n,)``; -1 for a file that is not used.
    """
    known = table["pixel_hash"].where(table["pixel_hash"] != "", table["hash"])
    codes = pd.factorize(known)[0].astype("int64")
    return np.where((table["problem"] == "") & (known != ""), codes, -1)


def group_twins(table: pd.DataFrame, pairs: np.ndarray) -> np.ndarray:
    """Number the files so that copies and near-duplicates have the same number.

    Args:
        table: A row a file, with the columns ``hash``, ``pixel_hash`` and ``problem``.
        pairs: ``int64`` array of shape ``(p, 2)``: rows of the table that are near-duplicates.

    Returns:
        ``int64`` array of shape ``(n,)``; what hangs together over several steps is one group.
    """
    picture = number_pictures(table)
    used = np.flatnonzero(picture >= 0)
    _, first, inverse = np.unique(picture[used], return_index=True, return_inverse=True)
    copies = np.column_stack([used, used[first][inverse]])
    return components(len(table), np.concatenate([pairs[(picture[pairs] >= 0).all(1)], copies]))


def twin_findings(table: pd.DataFrame, pairs: np.ndarray) -> pd.DataFrame:
    """Copies and near-duplicates: one finding of each for every file that has any.

    A twin with another label is reported as such, before one in another split, and that before
    one beside it; the detail tells all. Suggested is ``exclude`` for all but the first copy in a
    split, and for training images that are, or nearly are, validation or test images too; never
    for a test image, and never where labels conflict: there a person has to decide.

    Args:
        table: A row a file, with the columns of ``catalog.COLUMNS``.
        pairs: ``int64`` array of shape ``(p, 2)``: rows of the table that are near-duplicates, as
            from ``similar.similar_pairs``; they may hold copies too.

    Returns:
        A table as from ``findings.make_findings``.
    """
    picture = number_pictures(table)
    everything = table[["path", "label", "split", "hash"]].assign(picture=picture)
    used = everything[picture >= 0]
    copies = used.assign(group=used["picture"], item=used.index)
    copies = copies[copies.duplicated("picture", keep=False)]
    rank = copies["split"].map(RANKS)
    again = copies.duplicated(["group", "split"]) & (rank < 2)
    differ = copies.groupby("group")["hash"].transform("nunique") > 1
    words = np.where(differ, "same pixels as", "same bytes as")

    group = group_twins(table, pairs)
    alike = used.assign(group=group[used.index], item=used["picture"])
    alike = alike[alike.groupby("group")["item"].transform("nunique") > 1]
    nearly = np.full(len(alike), "nearly the same as")
    return pd.concat(
        [
            _report("duplicate", copies, words, again.to_numpy()),
            _report("near-duplicate", alike, nearly, np.zeros(len(alike), bool)),
        ]
    )


def _report(kind: str, rows: pd.DataFrame, words: np.ndarray, again: np.ndarray) -> pd.DataFrame:
    """Put groups in words; different items of a group are each other's twins."""
    if rows.empty:
        return make_findings("", [], [])
    codes = pd.factorize(rows["group"])[0]
    labels, splits = (_different(codes, rows[name]) for name in ("label", "split"))
    # Of large groups a few are named: first one of each label and split.
    items = rows.drop_duplicates(["group", "item"])
    turn = items.groupby(["group", "label", "split"]).cumcount()
    items = items.assign(turn=turn).sort_values(["group", "turn"], kind="stable")
    sizes = items["group"].value_counts()
    few = items.groupby("group", sort=False).head(MOST_RELATED + 1)
    named: dict[int, list[tuple[int, str, tuple[str, str]]]] = {}
    for number, item, path, label, split in few[
        ["group", "item", "path", "label", "split"]
    ].itertuples(index=False):
        named.setdefault(number, []).append((item, path, (label, split)))
    problems, details, related = [], [], []
    own = zip(rows["label"], rows["split"], strict=True)
    for code, number, item, count, same, place in zip(
        codes, rows["group"], rows["item"], rows["group"].map(sizes) - 1, words, own, strict=True
    ):
        twins = [twin for twin in named[number] if twin[0] != item]
        twins.sort(key=lambda twin: twin[2] == place)  # what differs comes first
        others = tuple(path for _, path, _ in twins[:MOST_RELATED])
        problem = f"{kind} across splits" if len(splits[code]) > 1 else kind
        text = f"{same} {', '.join(others[:NAMED])}"
        text += f" and {count - NAMED:,} more" if count > NAMED else ""
        if len(labels[code]) > 1:
            problem = f"{kind} with conflicting labels"
            text += f"; labels {', '.join(labels[code][:5])}{', …' * (len(labels[code]) > 5)}"
        if len(splits[code]) > 1:
            text += f"; splits {', '.join(splits[code])}"
        problems.append(problem)
        details.append(text)
        related.append(others)
    rank = rows["split"].map(RANKS)
    leaves = rank < rank.groupby(rows["group"]).transform("max")
    conflict = np.array([len(labels[code]) > 1 for code in codes])
    action = np.where(~conflict & (leaves | again), "exclude", "keep")
    return make_findings(problems, rows["path"], details, related, action)


def _different(codes: np.ndarray, values: pd.Series) -> Sequence[list[str]]:
    """The different values of each group, sorted; groups are numbered from 0."""
    pairs = pd.DataFrame({"code": codes, "value": values.to_numpy()}).drop_duplicates()
    found: list[list[str]] = [[] for _ in range(codes.max() + 1)]
    for code, value in pairs.sort_values("value").itertuples(index=False):
        found[code].append(value)
    return found
