"""Every file of a data set as a row of a table: its class, its split, or why it is not used.

Nothing is opened here: pixels are looked at later, once.
"""

import hashlib
import os
import re
import stat
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from imgclf_lib.errors import InputError
from imgclf_lib.image_files import image_suffixes
from imgclf_lib.pixels import CONTENT_PROBLEMS

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

    Args:
        folder: The folder.
        class_folders: ``top``: the first folder names the class, whatever lies deeper;
            ``nested``: every folder that holds images is a class, such as ``animals/cat``.

    Returns:
        The listing. Links are followed, unless they lead in a circle.
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


def stamp_of(state: os.stat_result) -> str:
    """A text that changes whenever a file is written.

    Args:
        state: What the file system says about the file.

    Returns:
        Its size, and when its content and its entry changed.
    """
    return f"{state.st_size}:{state.st_mtime_ns}:{state.st_ctime_ns}"


def digest(*parts: str | bytes, end: bytes = b"\0", size: int = 12) -> str:
    """A short text that changes with any of the parts: BLAKE2b of ``size`` bytes, in hexadecimal.

    Names of runs and of cached folders are made here: another ``end`` of each part makes others.
    """
    made = hashlib.blake2b(digest_size=size)
    for part in parts:
        made.update(part if isinstance(part, bytes) else part.encode(errors="surrogatepass"))
        made.update(end)
    return made.hexdigest()


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
