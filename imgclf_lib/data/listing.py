"""Every file of a data set as a row of a table: its class, its split, or why it is not used.

Nothing is opened here: pixels are looked at later, once.
"""

import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from imgclf_lib.errors import InputError, tell
from imgclf_lib.files import ARCHIVE_SUFFIXES, CONTENT_PROBLEMS, image_suffixes
from imgclf_lib.storage import atomic, digest, safe_cell, stamp_of

SPLITS = ("train", "val", "test")
SPLIT_WORDS = {
    **dict.fromkeys(("training", "train"), "train"),
    **dict.fromkeys(("validation", "validate", "valid", "val", "development", "dev"), "val"),
    **dict.fromkeys(("testing", "test", "evaluation", "eval", "holdout", "heldout"), "test"),
}
# What names of splits have around that word: seg_train, Test Data, images_val2017.
AROUND_SPLIT = "(?:data|dataset|set|sets|images|image|imgs|img|seg|split|folder|photos|pictures)*"
SPLIT_NAME = re.compile(
    f"(.*?){AROUND_SPLIT}({'|'.join(SPLIT_WORDS)}){AROUND_SPLIT}"
    f"|({'|'.join(SPLIT_WORDS)}){AROUND_SPLIT}(.*)"
)
COLUMNS = [
    *("path", "label", "split", "group", "width", "height", "mode"),
    *("hash", "pixel_hash", "perceptual_hash", "brightness", "sharpness", "problem", "detail"),
]
TEXTS = [name for name in COLUMNS if name not in ("width", "height", "brightness", "sharpness")]
PROBLEMS = {
    **CONTENT_PROBLEMS,
    "hidden": "The file or one of its folders is hidden: its name begins with a dot.",
    "no class": "The file is not inside a class folder, or the list gives it no label.",
    "not in a split": "The file lies beside the folders of training, validation and test.",
    "link": "A link to a folder leads in a circle.",
    "bad name": "The name of the file is not valid text. Rename it.",
    "unsafe": "A member of an archive that was not unpacked, because that could do harm.",
    "archive": "An archive inside the data is not opened. Unpack it first.",
    "not listed": "The list does not name this file.",
    "missing": "The list names a file that is not there.",
    "repeated": "The list names this file a second time.",
    "excluded": "The fix list leaves this file out.",
}
PACKED = (*ARCHIVE_SUFFIXES, ".7z", ".rar")
PIECE = 1 << 20  # characters of a first line
ACTIONS = ("keep", "exclude", "relabel")
FIX_COLUMNS = ("path", "action", "label", "group", "problem", "detail")


class Listing(NamedTuple):
    """The files of a data set, none of them opened yet.

    Args:
        root: The folder that the paths are relative to.
        table: A row a file, sorted by path, with the columns ``path``, ``label``, ``split``,
            ``group``, ``problem`` and ``detail``.
        key: A text that changes with the name, size or times of any file.
        remarks: What is to be said about the whole: kind of finding, and detail.
        list_name: The file that names the others; empty if folders name the classes.
    """

    root: Path
    table: pd.DataFrame
    key: str
    remarks: tuple[tuple[str, str], ...] = ()
    list_name: str = ""


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

    The splits may also be inside the classes, if all classes have them: ``folder/cat/train/1.jpg``.
    A single folder around all the others, as archives often have, is looked through. With
    ``class_folders="plain"`` no folder is taken for a split, whatever its name.

    Args:
        folder: Links to other folders are followed, but never in a circle.
        class_folders: As the field of an experiment.

    Returns:
        Every file below the folder, also those that are not used, with their reasons.
    """
    files, suffixes = _Files(), image_suffixes()
    _walk(str(folder), "", (), files)
    parents = [path.rpartition("/")[0] for path in files.path]
    named = [f".{path.rpartition('.')[2].lower()}" in suffixes for path in files.path]
    good = [
        (parent, image)
        for parent, image, problem in zip(parents, named, files.problem, strict=True)
        if not problem
    ]
    # Where no name ends as those of images do, any file may be one.
    likely = {parent for parent, image in good if image} or {parent for parent, _ in good}
    layout, remarks = _layout(likely, class_folders)
    meanings = {each: _meaning(each, layout, class_folders) for each in set(parents)}
    splits, labels, lost = (
        zip(*(meanings[each] for each in parents), strict=True) if parents else ((), (), ())
    )
    problems = [
        problem or ("" if label else why if image else "unknown extension")
        for problem, label, image, why in zip(files.problem, labels, named, lost, strict=True)
    ]
    key = digest(*map("\0".join, (files.path, problems, files.stamp)))
    for row, path in enumerate(files.path):
        if problems[row] == "unknown extension" and path.lower().endswith(PACKED):
            problems[row] = "archive"
    columns = {
        "path": files.path,
        "label": labels,
        "split": splits,
        "group": [""] * len(parents),
        "problem": problems,
        "detail": files.detail,
    }
    table = pd.DataFrame({name: pd.array(each, dtype="str") for name, each in columns.items()})
    return Listing(folder, table, key, tuple(remarks))


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


def split_of(name: str) -> tuple[str, str]:
    """The split that a name stands for, and what else is in it: ``flowers_train`` has flowers."""
    match = SPLIT_NAME.fullmatch("".join(each for each in name.lower() if each.isalpha()))
    if not match:
        return "", name
    return SPLIT_WORDS[match[2] or match[3]], match[1] or match[4] or ""


def _split_names(names: Iterable[str]) -> dict[str, str]:
    """The names that stand for splits: by themselves, or as ``flowers_train, flowers_test``."""
    known = {name: split_of(name) for name in names}
    stems: dict[str, set[str]] = {}
    for split, rest in known.values():
        stems.setdefault(rest, set()).add(split)
    return {
        name: split
        for name, (split, rest) in known.items()
        if split and (not rest or ("train" in stems[rest] and len(stems[rest] - {""}) > 1))
    }


Tree = dict[tuple[str, ...], set[str]]  # the folders with images that are inside each folder


def _split_roots(here: tuple[str, ...], tree: Tree) -> dict[tuple[str, ...], str]:
    """The split folders inside a folder, as far as they hold class folders; empty if none do."""
    splits = _split_names(tree[here])
    roots: dict[tuple[str, ...], str] = {}
    for name, split in splits.items():
        root = (*here, name)
        while len(inner := [*tree.get(root, ())]) == 1 and (
            inner[0] == root[-1] or split_of(inner[0]) == (split, "")
        ):
            root += tuple(inner)  # some downloads have seg_train/seg_train
        roots[root] = split
    # One folder in each of them, as train/images/cat and val/images/cat, is looked through.
    while len(same := {name for root in roots for name in tree.get(root, ())}) == 1 and all(
        (*root, *same) in tree for root in roots
    ):
        roots = {(*root, *same): split for root, split in roots.items()}
    kinds = set(splits.values())
    trained = any(split == "train" and root in tree for root, split in roots.items())
    shared = set.intersection(*(tree.get(root, set()) for root in roots)) if roots else set()
    if trained if "train" in kinds else shared and len(kinds) > 1:
        return roots if len(kinds) > 1 or len(splits) == len(tree[here]) else {}
    return {}


def _inner_splits(here: tuple[str, ...], tree: Tree) -> dict[tuple[str, ...], str]:
    """The split folders of classes, as in cat/train and cat/test, if every class has them."""
    roots: dict[tuple[str, ...], str] = {}
    for name in tree[here]:
        splits = {each: split_of(each) for each in tree.get((*here, name), ())}
        kinds = {split for split, rest in splits.values() if not rest}
        if len(kinds) < len(splits) or "train" not in kinds:
            return {}
        roots |= {(*here, name, each): split for each, (split, _) in splits.items()}
    return roots if len(tree[here]) > 1 and len({*roots.values()}) > 1 else {}


def _layout(
    likely: set[str], class_folders: str
) -> tuple[dict[str, tuple[str, str]], list[tuple[str, str]]]:
    """The folders that hold class folders, each with its split; and why that may be wrong.

    Or, where the splits are inside the classes, their folders, each with its split and class.
    """
    plain = class_folders == "plain"
    tree: Tree = {(): set()}
    for parent in likely - {""}:
        folders = tuple(parent.split("/"))
        for depth, name in enumerate(folders):
            tree.setdefault(folders[:depth], set()).add(name)
    here: tuple[str, ...] = ()
    while True:
        roots = {} if plain else _split_roots(here, tree)
        if roots:
            doubt = ""
            break
        # One folder around everything, with folders inside: look through it.
        inner = (*here, *tree[here])
        loose = "/".join(inner) in likely and (plain or not _with_splits(inner, tree))
        if len(tree[here]) != 1 or inner not in tree or loose:
            roots, doubt = {here: ""}, "" if plain else _doubt(here, tree)
            break
        here = inner
    remarks = [("unclear layout", doubt)] if doubt else []
    inside = _inner_splits(here, tree) if class_folders == "top" and [*roots] == [here] else {}
    if inside and not doubt:
        return {"/".join((*root, "")): (split, root[-2]) for root, split in inside.items()}, []
    if class_folders == "top" and not doubt:
        remarks += _deeper_classes(roots, tree, likely)
    return {"/".join((*root, "")): (split, "") for root, split in roots.items()}, remarks


def _deeper_classes(
    roots: dict[tuple[str, ...], str], tree: Tree, likely: set[str]
) -> Iterator[tuple[str, str]]:
    """A word about folders that count as one class, and hold nothing but folders with names."""
    for root in roots:
        for name in sorted(tree.get(root, ())):
            path = "/".join((*root, name))
            named = sorted(
                each for each in tree.get((*root, name), ()) if not re.search(r"\d", each)
            )
            if len(named) > 1 and path not in likely:
                yield (
                    "classes inside a class",
                    f"{path!r} counts as one class, and has images only in the folders"
                    f" {', '.join(named[:5])}{', …' * (len(named) > 5)}. If those are the classes,"
                    " use --class_folders nested, or give --data the folder that holds them",
                )
                return


def _with_splits(here: tuple[str, ...], tree: Tree) -> list[str]:
    """The folders below a folder that are divided into training and test."""
    below = (each for each in sorted(tree) if each[: len(here)] == here)
    return ["/".join(each) for each in below if len({*_split_roots(each, tree).values()}) > 1]


def _doubt(here: tuple[str, ...], tree: Tree) -> str:
    """Both readings, where folders that are taken for classes may be splits."""
    classes = sorted(tree[here])
    listed = f"{', '.join(classes[:5])}{', …' if len(classes) > 5 else ''}"
    choice = f"If the classes are {listed}, use --class_folders plain"
    splits = _split_names(classes)
    named = sorted(splits, key=lambda name: SPLITS.index(splits[name]))
    if named:
        folders = " and ".join(map(repr, named[:3]))
        return (
            f"{folders} would be {'classes' if len(named) > 1 else 'a class'}. {choice}. If they"
            " are splits, put their images into a folder for each class, as in"
            f" {named[0]}/cat/1.jpg and {named[0]}/dog/2.jpg, and name all splits train, val or"
            " test"
        )
    inside = _with_splits(here, tree)
    if inside:
        folders = " and ".join(map(repr, inside[:3]))
        more = "have" if len(inside) > 1 else "has"
        return (
            f"{folders} {more} folders of training and test inside. {choice}. If not, give"
            f" --data the folder {inside[0]!r}"
        )
    return ""


def _meaning(
    parent: str, layout: dict[str, tuple[str, str]], class_folders: str
) -> tuple[str, str, str]:
    """Split and class of the files in one folder; why there is no class, if it has none."""
    for root, (split, label) in layout.items():
        if f"{parent}/".startswith(root):
            if label:
                return split, label, ""
            folders = f"{parent}/".removeprefix(root).rstrip("/")
            if not folders:
                return "", "", "no class"
            return split, folders if class_folders == "nested" else folders.split("/")[0], ""
    return "", "", "not in a split" if any(map(any, layout.values())) else "no class"


def check_listing(name: str, listing: Listing) -> None:
    """Refuse files whose classes would be guessed, and lists of nothing; say other remarks."""
    for kind, detail in listing.remarks:
        if kind != "unclear layout":
            tell(f"{name}: {detail}.")
    for kind, detail in listing.remarks:
        if kind == "unclear layout":
            raise InputError(f"{name!r} can be read in two ways: {detail}")
    table = listing.table
    if (table["problem"] == "").any():
        return
    packed = table.loc[table["problem"] == "archive", "path"]
    if len(packed):
        raise InputError(
            f"{name!r} holds no images, but archives that stay closed: {', '.join(packed.head(5))}",
            do="Unpack them into one folder, and give --data that folder",
        )
    if listing.list_name:
        first = next(table[table["problem"] != "not listed"].itertuples(), None)
        raise InputError(
            f"Not one file that the list {listing.list_name!r} names can be used",
            allowed="paths from the folder of the list, or names of files in one folder beside it",
            received=f"{first.path}: {first.problem}, {first.detail}" if first else "no rows",
            do="imgclf audit tells the reason of every row",
        )


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


def read_csv(path: Path) -> pd.DataFrame:
    """A table of texts with commas, semicolons or tabs, as spreadsheets write them."""
    with path.open(encoding="utf-8-sig") as file:
        head = file.readline(PIECE)
    mark = max(",;\t", key=head.count)
    return pd.read_csv(path, sep=mark, dtype="str", keep_default_na=False, encoding="utf-8-sig")


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
        table = read_csv(place)
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
        tell(
            f"{name}: {len(unknown)} of its files are not in the data: {some}"
            f"{' and others' if len(unknown) > 3 else ''}"
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
