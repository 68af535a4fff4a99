"""Every file of a data set as a row of a table: its class, its split, or why it is not used.

Nothing is opened here: pixels are looked at later, once.
"""

import os
import re
import stat
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from imgclf_lib.errors import InputError
from imgclf_lib.files import CONTENT_PROBLEMS, image_suffixes
from imgclf_lib.storage import atomic, digest, safe_cell, stamp_of

SPLITS = ("train", "val", "test")
SPLIT_FOLDERS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
COLUMNS = [
    *("path", "label", "split", "group", "width", "height", "mode"),
    *("hash", "pixel_hash", "perceptual_hash", "brightness", "sharpness", "problem", "detail"),
]
TEXTS = [name for name in COLUMNS if name not in ("width", "height", "brightness", "sharpness")]
PROBLEMS = {
    **CONTENT_PROBLEMS,
    "hidden": "The file or one of its folders is hidden: its name begins with a dot.",
    "no class": "The file is not inside a class folder, or the list gives it no label.",
    "link": "A link to a folder leads in a circle.",
    "bad name": "The name of the file is not valid text. Rename it.",
    "unsafe": "A member of an archive that was not unpacked, because that could do harm.",
    "missing": "The list names a file that is not there.",
    "repeated": "The list names this file a second time.",
    "excluded": "The fix list leaves this file out.",
}
LIST_SUFFIXES = (".csv", ".parquet")
NAMES = {  # what the columns of a list may be called, in lower case
    "path": ("path", "file", "filename", "file_name", "filepath", "image", "image_path"),
    "label": ("label", "class", "category", "class_name"),
    "split": ("split", "subset", "fold"),
    "group": ("group",),
}
ACTIONS = ("keep", "exclude", "relabel")
FIX_COLUMNS = ("path", "action", "label", "group", "problem", "detail")


class Listing(NamedTuple):
    """The files of a data set, none of them opened yet.

    Args:
        root: The folder that the paths are relative to.
        table: A row a file, sorted by path, with the columns ``path``, ``label``, ``split``,
            ``group``, ``problem`` and ``detail``.
        key: A text that changes with the name, size or times of any file.
    """

    root: Path
    table: pd.DataFrame
    key: str


class _Files:
    """What a walk through folders has found so far, one list a column."""

    def __init__(self) -> None:
        self.path: list[str] = []
        self.stamp: list[str] = []
        self.problem: list[str] = []
        self.detail: list[str] = []

    def add(self, path: str, stamp: str, problem: str, detail: str = "") -> None:
        self.path.append(path)
        self.stamp.append(stamp)
        self.problem.append(problem)
        self.detail.append(detail)


def list_folder(folder: Path, class_folders: str = "top") -> Listing:
    """List every file below a folder, without opening any::

        folder/cat/1.jpg                folder/train/cat/1.jpg
        folder/dog/2.png        or      folder/val/dog/2.png
                                        folder/test/cat/3.jpg

    A single folder around all the others, as archives often have, is looked through.
    """
    files, suffixes = _Files(), image_suffixes()
    _walk(str(folder), "", (), files)
    parents = [path.rpartition("/")[0] for path in files.path]
    named = [f".{path.rpartition('.')[2].lower()}" in suffixes for path in files.path]
    likely = {
        parent
        for parent, image, problem in zip(parents, named, files.problem, strict=True)
        if image and not problem
    }
    around, given = _layout([parent.split("/") if parent else [] for parent in likely])
    meanings = {each: _meaning(each, around, given, class_folders) for each in set(parents)}
    splits, labels = (
        zip(*(meanings[each] for each in parents), strict=True) if parents else ((), ())
    )
    problems = [
        problem or ("" if label else "no class" if image else "unknown extension")
        for problem, label, image in zip(files.problem, labels, named, strict=True)
    ]
    columns = {
        "path": files.path,
        "label": labels,
        "split": splits,
        "group": [""] * len(parents),
        "problem": problems,
        "detail": files.detail,
    }
    table = pd.DataFrame({name: pd.array(each, dtype="str") for name, each in columns.items()})
    return Listing(folder, table, digest(*map("\0".join, (files.path, problems, files.stamp))))


def _walk(folder: str, prefix: str, above: tuple[tuple[int, int], ...], files: _Files) -> None:
    """Add all files below a folder, in the order of their paths."""
    try:
        here = os.stat(folder)  # noqa: PTH116  a Path for each of 600,000 files takes seconds
        if (here.st_dev, here.st_ino) in above:
            files.add(_text(prefix[:-1]), "", "link", "the link leads to a folder above it")
            return
        with os.scandir(folder) as listed:
            entries = {entry.name + "/" * entry.is_dir(): entry for entry in listed}
    except OSError as error:
        reason = f"the folder cannot be opened ({error.strerror})"
        files.add(_text(prefix[:-1]), "", "unreadable", reason)
        return
    hidden_here = prefix.startswith(".") or "/." in prefix
    for name, entry in sorted(entries.items()):
        if name.endswith("/"):
            _walk(entry.path, prefix + name, (*above, (here.st_dev, here.st_ino)), files)
            continue
        path, hidden = prefix + name, hidden_here or name.startswith(".")
        if not path.isascii() and _text(path) != path:
            files.add(_text(path), "", "bad name", "its bytes are not UTF-8")
            continue
        try:
            state = entry.stat()
        except OSError as error:
            reason = "a link to nothing" if entry.is_symlink() else str(error.strerror)
            files.add(path, "", "hidden" if hidden else "unreadable", reason)
            continue
        problem = "" if stat.S_ISREG(state.st_mode) else "special file"
        files.add(path, stamp_of(state), "hidden" if hidden else problem)


def _text(path: str) -> str:
    """The path itself, or readable text where it is no valid text."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return path


def _layout(likely: list[list[str]]) -> tuple[list[str], bool]:
    """The folders that stand around all images, and whether split folders come next."""
    around: list[str] = []
    while True:
        depth = len(around)
        nexts = {folders[depth] if len(folders) > depth else "" for folders in likely}
        splits = {SPLIT_FOLDERS.get(each.lower()) for each in nexts}
        if "train" in splits and None not in splits:
            return around, True
        # One folder around everything, with folders inside: look through it.
        if len(nexts) != 1 or nexts == {""} or min(map(len, likely)) < depth + 2:
            return around, False
        around += nexts


def _meaning(parent: str, around: list[str], given: bool, class_folders: str) -> tuple[str, str]:
    """Split and class of the files in one folder; both empty if it is in no class folder."""
    folders = parent.split("/")
    first = len(around) + given
    if folders[: len(around)] != around or len(folders) <= first or not parent:
        return "", ""
    split = SPLIT_FOLDERS.get(folders[first - 1].lower(), "") if given else ""
    if given and not split:
        return "", ""
    return split, "/".join(folders[first:]) if class_folders == "nested" else folders[first]


def assign_groups(table: pd.DataFrame, pattern: str) -> pd.DataFrame:
    """Give files whose paths match a pattern alike the same group.

    Args:
        table: With the columns ``path`` and ``group``.
        pattern: Regular expression, searched in each path. Its first parenthesised part is the
            group; the whole match if it has none. Empty changes nothing.

    Returns:
        A copy with ``group`` filled in where the pattern matches.

    Raises:
        InputError: If the pattern is no regular expression or matches no path.
    """
    if not pattern:
        return table
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(f"group is not a regular expression: {error}", received=pattern) from error
    matches = [expression.search(path) for path in table["path"]]
    if not any(matches):
        raise InputError(
            "group matches no path",
            received=pattern,
            do=f"Compare it with a path such as {next(iter(table['path']), '')!r}",
        )
    groups = [
        (match[1] or "" if expression.groups else match[0]) if match else before
        for match, before in zip(matches, table["group"], strict=True)
    ]
    return table.assign(group=pd.array(groups, dtype="str"))


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
    """List the files that a CSV or Parquet file names."""
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


def write_fixes(suggestions: pd.DataFrame, path: Path, folder: Path) -> None:
    """Write a fix list for a person to edit.

    Args:
        suggestions: A row a file, with the columns ``path``, ``action``, ``label``, ``group``,
            ``problem`` and ``detail``.
        path: Where to; never inside the data, and never over a file that is there.
        folder: The folder of images that it is about.

    Raises:
        InputError: If the file exists already, or would lie inside the folder of images.
    """
    if path.resolve().is_relative_to(folder.resolve()):
        raise InputError(
            f"The fix list {str(path)!r} would lie inside the folder of images",
            do="Choose a place outside: the folder stays as it is",
        )
    table = suggestions[list(FIX_COLUMNS)].copy()
    for name in ("path", "label", "group"):  # read again, so the apostrophe must be told apart
        table[name] = table[name].str.replace(r"^(?=['=+@-])", "'", regex=True)
    for name in ("problem", "detail"):
        table[name] = table[name].map(safe_cell)
    with atomic(path) as beside:
        # With a mark at its beginning, so that spreadsheets read every script right.
        table.to_csv(beside, index=False, encoding="utf-8-sig")
        if path.exists():  # asked at the last moment
            raise InputError(
                f"{str(path)!r} is there already, and may hold your own decisions",
                do="Choose another name, or move it away",
            )


def read_fixes(path: str | Path) -> pd.DataFrame:
    """Read a fix list.

    Args:
        path: The CSV; commas, semicolons or tabs, as spreadsheets write them.

    Returns:
        A row a file with the columns ``path``, ``action``, ``label`` and ``group``.

    Raises:
        InputError: If it cannot be read, or a row is not allowed.
    """
    place = Path(path).expanduser()
    try:
        with place.open(encoding="utf-8-sig") as file:
            head = file.readline()
        mark = max(",;\t", key=head.count)
        table = pd.read_csv(
            place, sep=mark, dtype="str", keep_default_na=False, encoding="utf-8-sig"
        )
    except (OSError, ValueError) as error:
        raise InputError(
            f"The fix list {str(path)!r} cannot be read ({type(error).__name__}: {error})",
            allowed="a CSV in UTF-8, as imgclf audit --fix-list writes it",
        ) from error
    missing = [name for name in ("path", "action") if name not in table]
    if missing:
        raise InputError(
            f"The fix list {str(path)!r} has no column {missing[0]!r}",
            allowed=", ".join(FIX_COLUMNS),
            received=list(table.columns),
        )
    table = table.reindex(columns=["path", "action", "label", "group"], fill_value="")
    for name in ("path", "label", "group"):
        table[name] = table[name].str.replace(r"^'(?=['=+@-])", "", regex=True)
    table["action"] = table["action"].str.strip().str.lower().replace("", "keep")
    for name in ("label", "group"):
        table[name] = table[name].str.strip()
    for number, row in enumerate(table.itertuples(index=False), 2):
        where = f"Line {number} of the fix list {str(path)!r}, file {row.path!r}:"
        if row.action not in ACTIONS:
            raise InputError(
                f"{where} there is no such action", allowed=", ".join(ACTIONS), received=row.action
            )
        if row.action == "relabel" and not row.label:
            raise InputError(f"{where} relabel needs the new class in the column 'label'")
    contradicting = table.drop_duplicates(["path", "action", "label"])["path"].duplicated()
    if contradicting.any():
        name = table.drop_duplicates(["path", "action", "label"]).loc[contradicting, "path"].iloc[0]
        raise InputError(f"The fix list {str(path)!r} says two different things about {name!r}")
    return table.drop_duplicates("path", ignore_index=True)


def apply_fixes(table: pd.DataFrame, fixes: pd.DataFrame, name: str) -> pd.DataFrame:
    """Leave files out, and change labels and groups, as a fix list says."""
    table = table.copy()
    wanted = fixes[(fixes["action"] != "keep") | (fixes["group"] != "")]
    unknown = wanted.loc[~wanted["path"].isin(table["path"]), "path"]
    if len(unknown):
        some = ", ".join(map(repr, unknown.head(3)))
        print(
            f"{name}: {len(unknown)} of its files are not in the data: {some}"
            f"{' and others' if len(unknown) > 3 else ''}",
            file=sys.stderr,
        )
    rows = pd.Series(table.index, index=table["path"])
    rows = rows[~rows.index.duplicated()]
    known = wanted[wanted["path"].isin(rows.index)]
    at = rows.loc[known["path"]].to_numpy()
    excluded = at[(known["action"] == "exclude").to_numpy()]
    before = table.loc[excluded, "problem"]  # a file that could not be used is settled too
    reasons = ("; it was not used before: " + before).where(before != "", "")
    table.loc[excluded, "detail"] = f"by {name}" + reasons
    table.loc[excluded, "problem"] = "excluded"
    for column, chosen in (
        ("label", known["action"] == "relabel"),
        ("group", known["group"] != ""),
    ):
        table.loc[at[chosen.to_numpy()], column] = known.loc[chosen, column].to_numpy()
    return table
