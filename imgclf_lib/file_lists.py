"""A data set given as a list: a CSV or Parquet file that names paths and labels."""

import stat
from pathlib import Path
from typing import Any

import pandas as pd

from imgclf_lib.catalog import SPLIT_FOLDERS, Listing, digest, stamp_of
from imgclf_lib.errors import InputError

LIST_SUFFIXES = (".csv", ".parquet")
NAMES = {  # what the columns of a list may be called, in lower case
    "path": ("path", "file", "filename", "file_name", "filepath", "image", "image_path"),
    "label": ("label", "class", "category", "class_name"),
    "split": ("split", "subset", "fold"),
    "group": ("group",),
}


def is_list(path: Path) -> bool:
    """Whether a file names paths and labels.

    Args:
        path: Any file.

    Returns:
        Whether it is a CSV or Parquet file with the two columns that are needed.
    """
    if path.suffix.lower() not in LIST_SUFFIXES:
        return False
    try:
        _read_table(path)
    except InputError:
        return False
    return True


def list_table(path: Path, inside: Path | None = None) -> Listing:
    """List the files that a CSV or Parquet file names.

    Args:
        path: The file. Columns: ``path`` (relative to its folder, or absolute) and ``label``;
            if there, ``split`` (train, val, test) and ``group`` (images that belong together).
        inside: A folder that no path may leave, for lists that come out of an archive.

    Returns:
        The listing.

    Raises:
        InputError: If the file cannot be read, has no such columns, or names no known split.
    """
    given = _read_table(path)
    root = path.parent
    rows, stamps = [], []
    seen: set[str] = set()
    for row in given.sort_values("path", kind="stable").itertuples(index=False):
        name, detail, stamp = str(row.path), "", ""
        place = root / name
        problem = "" if row.label else "no class"
        if name in seen:
            problem, detail = "repeated", f"here with the label {row.label!r}"
        elif inside is not None and not place.resolve().is_relative_to(inside.resolve()):
            problem, detail = "unsafe", "the path leaves the archive"
        else:
            try:
                state = place.stat()
                stamp = stamp_of(state)
                problem = problem or ("" if stat.S_ISREG(state.st_mode) else "special file")
            except (OSError, ValueError) as error:
                problem, detail = "missing", getattr(error, "strerror", "") or str(error)
        seen.add(name)
        rows.append((name, row.label, row.split, row.group, problem, detail))
        stamps += [name, problem, stamp]
    columns = ["path", "label", "split", "group", "problem", "detail"]
    return Listing(root, pd.DataFrame(rows, columns=columns, dtype="str"), digest(*stamps))


def _read_table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() == ".parquet":
            table = pd.read_parquet(path)
        else:
            table = pd.read_csv(path, dtype="str", keep_default_na=False, encoding="utf-8-sig")
    except Exception as error:  # pandas and pyarrow raise many kinds for damaged files
        raise InputError(
            f"The list {str(path)!r} cannot be read ({type(error).__name__}: {error})",
            allowed="a CSV in UTF-8 with commas, or a Parquet file",
        ) from error
    names = {str(name).strip().lower(): name for name in table.columns}
    if "action" in names:
        raise InputError(
            f"{str(path)!r} is a fix list, not a data set",
            do=f"Name the folder with --data and this file with --fixes {path}",
        )
    chosen: dict[str, Any] = {}
    for column, choices in NAMES.items():
        name = next((names[choice] for choice in choices if choice in names), None)
        if name is None and column in ("path", "label"):
            raise InputError(
                f"The list {str(path)!r} has no column {column!r}",
                allowed=", ".join(choices),
                received=list(map(str, table.columns)),
            )
        values = table[name] if name is not None else pd.Series("", table.index)
        chosen[column] = values.astype("str").where(values.notna(), "").str.strip()
    chosen["split"] = chosen["split"].str.lower()
    strange = sorted(set(chosen["split"]) - {"", *SPLIT_FOLDERS})
    if strange:
        raise InputError(
            f"The column of splits in {str(path)!r} has unknown names",
            allowed=", ".join(SPLIT_FOLDERS) + ", or empty",
            received=strange[:5],
        )
    chosen["split"] = chosen["split"].replace(SPLIT_FOLDERS)
    return pd.DataFrame(chosen)
