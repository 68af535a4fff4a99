"""A list that names files and their labels, whatever its columns and its files are called."""

import os
import stat
import unicodedata
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from imgclf_lib.data.listing import SPLIT_WORDS, Listing, read_csv, split_of
from imgclf_lib.errors import InputError
from imgclf_lib.files import image_suffixes
from imgclf_lib.storage import digest, stamp_of

LIST_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
NAMES = {  # what the columns of a list may be called, in lower case, letters and digits only
    "path": (
        *("path", "file", "filename", "filepath", "image", "imagepath", "imagename", "imagefile"),
        *("img", "imgpath", "imgname", "images", "photo", "picture", "imageid", "imgid", "id"),
    ),
    "label": (
        *("label", "class", "category", "classname", "labels", "target", "targets", "labelname"),
        *("categoryname", "classes", "classid", "labelid", "species", "breed"),
    ),
    "split": ("split", "subset", "fold"),
    "group": ("group",),
}
NESTED = (bytes, dict, list, tuple, np.ndarray)  # values that are no text


def is_list(path: Path) -> bool:
    """Whether a file names paths and labels."""
    if path.suffix.lower() not in LIST_SUFFIXES:
        return False
    try:
        _read_table(path)
    except InputError:
        return False
    return True


def list_table(path: Path, inside: Path | None = None) -> Listing:
    """List the files that a CSV, JSON Lines or Parquet file names.

    A file that does not bear its name exactly is looked for: in another writing, without the
    ending, or in one of the folders beside the list.
    """
    given = _read_table(path)
    root = path.parent
    files = {name: (name, *_look_up(root, name, inside)) for name in given["path"].unique()}
    lost = [name for name, (_, problem, *_) in files.items() if problem == "missing"]
    for name, found in _near_names(root, path.stem, lost).items():
        if len(found) == 1:
            files[name] = (found[0], *_look_up(root, found[0], inside))
        else:
            some = f"{', '.join(found[:3])}{', …' if len(found) > 3 else ''}"
            files[name] = (name, "missing", f"several files may be meant: {some}", "")
    rows = []
    seen: set[str] = set()
    for row in given.sort_values("path", kind="stable").itertuples(index=False):
        name, problem, detail, stamp = files[row.path]
        if name in seen:
            problem, detail, stamp = "repeated", f"here with the label {row.label!r}", ""
        elif not row.label and problem not in ("missing", "unsafe"):
            problem = "no class"
        seen.add(name)
        rows.append((name, row.label, row.split, row.group, problem, detail, stamp))
    rows.sort(key=lambda row: row[0])
    columns = ["path", "label", "split", "group", "problem", "detail", "stamp"]
    table = pd.DataFrame(rows, columns=columns, dtype="str")
    key = digest(*(each for name, *_, problem, _, stamp in rows for each in (name, problem, stamp)))
    return Listing(root, table.drop(columns="stamp"), key, given.attrs["remarks"], path.name)


def _look_up(root: Path, name: str, inside: Path | None) -> tuple[str, str, str]:
    """Problem, detail and stamp of a file that a list names."""
    place = root / name
    try:
        if inside is not None and not place.resolve().is_relative_to(inside.resolve()):
            return "unsafe", "the path leaves the folder of the list", ""
        state = place.stat()  # a circle of links is a RuntimeError above
    except (OSError, ValueError, RuntimeError) as error:
        return "missing", getattr(error, "strerror", "") or str(error), ""
    return "" if stat.S_ISREG(state.st_mode) else "special file", "", stamp_of(state)


def _same(name: str) -> str:
    """The same text for names that differ in case or in Unicode form only."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _near_names(root: Path, stem: str, lost: list[str]) -> dict[str, list[str]]:
    """Files that may be meant by names that no file bears; names without any are left out."""
    if not lost:
        return {}
    suffixes = image_suffixes()
    listed: dict[str, dict[str, list[str]]] = {}

    def names(folder: str) -> dict[str, list[str]]:
        """What lies in a folder, also under its name without ending."""
        if folder not in listed:
            inside = listed[folder] = {}
            with suppress(OSError), os.scandir(root / folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    inside.setdefault(_same(entry.name), []).append(entry.name)
                    bare, suffix = os.path.splitext(entry.name)  # noqa: PTH122  names, no paths
                    if suffix.lower() in suffixes:
                        inside.setdefault(_same(bare), []).append(entry.name)
        return listed[folder]

    folders = [each for some in names("").values() for each in some if (root / each).is_dir()]
    holding: dict[str, list[str]] = {}  # the folders that have something of a name
    for base in ["", *(each for each in folders if not each.startswith("."))]:
        for each in names(base):
            holding.setdefault(each, []).append(base)
    found: dict[str, dict[str, list[str]]] = {}
    for name in lost:
        parts = [part for part in name.replace("\\", "/").split("/") if part != "."]
        for base in holding.get(_same(parts[0]), []) if parts else []:
            some = [base]
            for part in parts:
                some = [
                    f"{one}/{each}".lstrip("/")
                    for one in some
                    for each in names(one).get(_same(part), [])
                ]
            some = [each for each in some if (root / each).is_file()]
            if some:
                found.setdefault(name, {})[base] = some
    counts = Counter(base for bases in found.values() for base in bases)
    ranks = {
        base: (base == "", split == split_of(stem)[0] != "", count, split == "train")
        for base, count in counts.items()
        for split in [split_of(base)[0]]
    }
    return {
        name: [
            each
            for base, some in bases.items()
            for each in some
            if ranks[base] == max(map(ranks.__getitem__, bases))
        ]
        for name, bases in found.items()
    }


def _read_table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
        elif path.suffix.lower() == ".jsonl":
            table = pd.read_json(path, lines=True, dtype=False)
        else:
            table = read_csv(path)
    except Exception as error:  # pandas and pyarrow raise many kinds for damaged files
        raise InputError(
            f"The list {str(path)!r} cannot be read ({type(error).__name__}: {error})",
            allowed="a CSV in UTF-8 with commas, semicolons or tabs, JSON Lines, or Parquet",
        ) from error
    names: dict[str, Any] = {}
    for name in table.columns:
        names.setdefault("".join(filter(str.isalnum, str(name).lower())), name)
    if "action" in names:
        raise InputError(
            f"{str(path)!r} is a fix list, not a data set",
            do=f"Name the folder with --data and this file with --fixes {path}",
        )
    chosen: dict[str, Any] = {}
    remarks: tuple[tuple[str, str], ...] = ()
    for column, choices in NAMES.items():
        name = next((names[choice] for choice in choices if choice in names), None)
        if name is None and column in ("path", "label"):
            raise InputError(
                f"The list {str(path)!r} has no column {column!r}",
                allowed=", ".join(choices),
                received=list(map(str, table.columns)),
                do="Name the columns in the first line of the list",
            )
        values = table[name] if name is not None else pd.Series("", table.index)
        nested = next((value for value in values if isinstance(value, NESTED)), None)
        if nested is not None:
            raise InputError(
                f"The column {name!r} of the list {str(path)!r} holds nested values"
                f" ({type(nested).__name__}), and not one text a row",
                do="Export the images as files, and name their paths in the list"
                if column == "path"
                else "Give each row one text",
            )
        texts = values.astype("str").where(values.notna(), "").str.strip()
        whole = texts.str.fullmatch(r"-?\d+(\.0+)?") | (texts == "")
        if column in ("path", "label") and whole.all():  # numbers with a gap became 1.0
            texts = texts.str.replace(r"\.0+$", "", regex=True)
        if column == "split" and str(name).lower() == "fold" and whole.all():
            said = f"the column {name!r} of {path.name!r} holds numbers, which are no splits"
            texts, remarks = texts.where(texts == "", ""), (("column not used", said),)
        chosen[column] = texts
    splits = {name: split_of(name) for name in chosen["split"].unique() if name}
    strange = sorted(name for name, (split, rest) in splits.items() if rest or not split)
    if strange:
        raise InputError(
            f"The column of splits in {str(path)!r} has unknown names",
            allowed=", ".join(SPLIT_WORDS) + ", or empty",
            received=strange[:5],
        )
    chosen["split"] = chosen["split"].map({"": "", **{each: splits[each][0] for each in splits}})
    found = pd.DataFrame(chosen)
    found.attrs["remarks"] = remarks
    return found
