"""Every file of a data set as a row of a table: its class, its split, or why it is not used.

Nothing is opened here: pixels are looked at later, once.
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from imgclf_lib.errors import InputError
from imgclf_lib.formats import image_suffixes
from imgclf_lib.inspection import CONTENT_PROBLEMS

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
        stamps: For each row, a text that changes with the size or the times of the file.
    """

    root: Path
    table: pd.DataFrame
    stamps: list[str]


class _Found(NamedTuple):
    path: str
    stamp: str
    problem: str = ""
    detail: str = ""


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
    found = list(_walk(folder, "", ((-1, -1),)))
    suffixes = image_suffixes()
    likely = [
        each.path.split("/")[:-1]
        for each in found
        if not each.problem and os.path.splitext(each.path)[1].lower() in suffixes  # noqa: PTH122
    ]
    depth, given = _layout(likely)
    first = depth + given
    rows = []
    for each in found:
        folders = each.path.split("/")[:-1]
        split, label, problem, detail = "", "", each.problem, each.detail
        inside = folders[:depth] == likely[0][:depth] if likely else False
        if inside and len(folders) > first:
            split = SPLIT_FOLDERS[folders[depth].lower()] if given else ""
            label = "/".join(folders[first:]) if class_folders == "nested" else folders[first]
        elif not problem:
            problem = "no class"
        rows.append((each.path, label, split, "", problem, detail))
    columns = ["path", "label", "split", "group", "problem", "detail"]
    table = pd.DataFrame(rows, columns=columns, dtype="str")
    return Listing(folder, table, [each.stamp for each in found])


def _walk(folder: Path | str, prefix: str, above: tuple[tuple[int, int], ...]) -> Iterator[_Found]:
    """All files below a folder, in the order of their paths."""
    try:
        here = os.stat(folder)  # noqa: PTH116  a Path for each of 600,000 files takes seconds
        if (here.st_dev, here.st_ino) in above:
            yield _Found(
                _text(prefix.rstrip("/")), "", "link", "the link leads to a folder above it"
            )
            return
        with os.scandir(folder) as listed:
            entries = [(entry.name + "/" * entry.is_dir(), entry) for entry in listed]
    except OSError as error:
        reason = f"the folder cannot be opened ({error.strerror})"
        yield _Found(_text(prefix.rstrip("/")), "", "unreadable", reason)
        return
    for name, entry in sorted(entries, key=lambda each: each[0]):
        if name.endswith("/"):
            yield from _walk(entry.path, prefix + name, (*above, (here.st_dev, here.st_ino)))
            continue
        path = prefix + name
        hidden = path.startswith(".") or "/." in path
        text = _text(path)
        if text != path:
            yield _Found(text, "", "bad name", "its bytes are not UTF-8")
            continue
        try:
            state = entry.stat()
        except OSError as error:
            reason = "a link to nothing" if entry.is_symlink() else str(error.strerror)
            yield _Found(path, "", "hidden" if hidden else "unreadable", reason)
            continue
        stamp = f"{state.st_size}:{state.st_mtime_ns}:{state.st_ctime_ns}"
        problem = "" if stat.S_ISREG(state.st_mode) else "special file"
        yield _Found(path, stamp, "hidden" if hidden else problem)


def _text(path: str) -> str:
    """The path itself, or readable text where it is no valid text."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return path


def _layout(likely: list[list[str]]) -> tuple[int, bool]:
    """How many folders stand around all images, and whether split folders come next."""
    depth = 0
    while True:
        nexts = {folders[depth].lower() if len(folders) > depth else "" for folders in likely}
        splits = {SPLIT_FOLDERS.get(each) for each in nexts}
        if "train" in splits and None not in splits:
            return depth, True
        # One folder around everything, with folders inside: look through it.
        if len(nexts) != 1 or nexts == {""} or min(map(len, likely)) < depth + 2:
            return depth, False
        depth += 1


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
