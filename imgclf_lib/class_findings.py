"""What can be wrong with classes: too few images, too uneven, names and folders mixed up."""

import os
import unicodedata
from pathlib import Path

import pandas as pd

from imgclf_lib.findings import make_findings

FEW_IMAGES = 10  # a class with fewer training images is neither learned nor measured well
IMBALANCE = 3.0  # with two classes, three to one makes "always the larger" right in 75 % of cases
LAST = r"/?[^/]*$"  # the name of a file in a path, which may hold line breaks
# Letters of other scripts that look like Latin ones, in lower case.
_LOOK_ALIKE = str.maketrans("аеорсухіјѕԁԛԝһӏνοαικρτυχᴏıⅼ", "aeopcyxijsdqwhlvoaikptuxoil")


def class_findings(table: pd.DataFrame, folder: Path | None = None) -> pd.DataFrame:
    """Findings about classes rather than about single files.

    Args:
        table: A row a file, with the columns of ``catalog.COLUMNS``; ``split`` as the folder
            gives it, or empty.
        folder: The folder itself, if there is one, so that empty class folders are seen.

    Returns:
        A table as from ``findings.make_findings``. Its ``path`` is the folder of a class, or the
        name of the class where no folder bears it.
    """
    used = table[table["problem"] == ""]
    places = _class_folders(table)
    rows = [*_counts(table, used, places), *_alike(used, places), *_inner(used)]
    if folder is not None:
        rows += _empty(folder, table, places)
    if not rows:
        return make_findings("", [], [])
    problems, paths, details = zip(*rows, strict=True)
    return make_findings(problems, paths, details)


Row = tuple[str, str, str]  # problem, path, detail


def _class_folders(table: pd.DataFrame) -> dict[str, str]:
    """For each class its folder, of the training images if there are splits."""
    named = table[table["label"] != ""]
    order = named.assign(last=~named["split"].isin(["", "train"])).sort_values(
        "last", kind="stable"
    )
    firsts = order.drop_duplicates("label")
    return {
        label: _up_to(path, label) or label
        for label, path in zip(firsts["label"], firsts["path"], strict=True)
    }


def _up_to(path: str, label: str) -> str:
    """The beginning of a path, as far as the folder of its class; empty if there is none."""
    before, found, _ = f"/{path}".partition(f"/{label}/")
    return f"{before}/{label}".lstrip("/") if found else ""


def _counts(table: pd.DataFrame, used: pd.DataFrame, places: dict[str, str]) -> list[Row]:
    rows = []
    every = used["label"].value_counts()
    for label in sorted(set(table["label"]) - set(every.index) - {""}):
        found = (table["label"] == label).sum()
        detail = f"{_counted(found, 'file')}, none of them usable"
        rows.append(("empty class", places[label], detail))
    if every.empty:
        return [("no usable image", "", _counted(len(table), "file")), *rows]
    if len(every) == 1:
        rows.append(("one class", places[every.index[0]], f"every image is {every.index[0]!r}"))
    by_split = used.groupby(["label", "split"]).size().unstack(fill_value=0)
    given = [split for split in ("train", "val", "test") if split in by_split]
    training = by_split["train"] if given else every
    for label, count in training.sort_index().items():
        if count == 0:
            rows.append(("class without training images", places[label], f"class {label!r}"))
        elif count < FEW_IMAGES:
            what = _counted(count, "training image" if given else "image")
            detail = f"class {label!r} has {what}"
            rows.append(("few images", places[label], detail))
        for split in given:
            if count and by_split.loc[label, split] == 0:
                detail = f"class {label!r} has no image in {split}"
                rows.append(("class missing from a split", places[label], detail))
    learned = training[training > 0].sort_values(kind="stable")
    if len(learned) > 1 and learned.iloc[-1] >= IMBALANCE * learned.iloc[0]:
        (few, many), (small, large) = learned.iloc[[0, -1]], learned.index[[0, -1]]
        detail = (
            f"{small!r} has {_counted(few, 'image')}, {large!r} has {many:,}:"
            f" {many / few:.3g} times as many;"
            f" always answering {large!r} would be right for {many / learned.sum():.0%}"
        )
        rows.append(("class imbalance", places[small], detail))
    return rows


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def _alike(used: pd.DataFrame, places: dict[str, str]) -> list[Row]:
    names = pd.Series(sorted(used["label"].unique()), dtype="str")
    rows = []
    for _, group in names.groupby(names.map(_skeleton)):
        if len(group) > 1:
            listed = ", ".join(map(ascii if _same_looks(group) else repr, group))
            reason = "look alike" if _same_looks(group) else "differ in case or spacing only"
            rows.append(("class names alike", places[group.iloc[0]], f"{listed} {reason}"))
    return rows


def _plain(name: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKC", name).casefold() if c.isalnum())


def _skeleton(name: str) -> str:
    """What is left of a name when everything is gone that people overlook."""
    return _plain(name).translate(_LOOK_ALIKE) or name


def _same_looks(names: pd.Series) -> bool:
    """Whether other letters, or another Unicode form of them, make the difference."""
    simple = {name.casefold() for name in names}
    return len({_plain(name) for name in names}) > 1 or any(
        unicodedata.normalize("NFKC", name) != name for name in simple
    )


def _inner(used: pd.DataFrame) -> list[Row]:
    """Folders inside class folders; and classes that have nothing but such."""
    parents = used["path"].str.replace(LAST, "", regex=True)
    counts = used.groupby([used["label"], parents]).size()
    rows: list[Row] = []
    inner: dict[str, dict[str, int]] = {}
    for (label, parent), count in counts.items():
        place = _up_to(f"{parent}/", label)
        if place:
            inner.setdefault(place, {})[parent.removeprefix(place).lstrip("/")] = count
            if parent != place:
                detail = f"{_counted(count, 'image')} of class {label!r}"
                rows.append(("inner folder", parent, detail))
    for place, folders in inner.items():
        names = [name for name in folders if not any(c.isdigit() for c in name)]
        several = sum(folders.values()) >= 2 * len(folders)
        if "" not in folders and len(names) > max(1, len(folders) / 2) and several:
            listed = f"{', '.join(names[:5])}{', …' if len(names) > 5 else ''}"
            rows.append(("nested class folders", place, f"inner folders {listed}"))
    return rows


def _empty(folder: Path, table: pd.DataFrame, places: dict[str, str]) -> list[Row]:
    """Folders beside those of classes that hold no file at all."""
    holding = {""}
    for parent in table["path"].str.replace(LAST, "", regex=True).unique():
        parts = parent.split("/")
        holding.update("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))
    beside = {place.rpartition("/")[0] for place in places.values()} or {""}
    rows = []
    for where, inner, _ in os.walk(folder):
        here = Path(where).relative_to(folder).as_posix()
        here = "" if here == "." else here
        inner[:] = [name for name in inner if not name.startswith(".")]
        for name in sorted(inner):
            path = f"{here}/{name}".lstrip("/")
            if here in beside and path not in holding:
                text = path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
                rows.append(("empty class", text, "no file"))
    return rows
