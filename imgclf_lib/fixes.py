"""Corrections to a folder, in a CSV that a person can edit; the folder itself stays as it is.

The columns are ``path``, ``action`` (``keep``, ``exclude`` or ``relabel``), ``label`` (the new
class, for ``relabel``) and ``group`` (images that must stay in one split). Other columns are for
the reader.
"""

import sys
from pathlib import Path

import pandas as pd

from imgclf_lib.errors import InputError

ACTIONS = ("keep", "exclude", "relabel")
COLUMNS = ("path", "action", "label", "group", "problem", "detail")


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
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # With a mark at its beginning, so that spreadsheets read every script right.
        suggestions[list(COLUMNS)].to_csv(path, index=False, mode="x", encoding="utf-8-sig")
    except FileExistsError:
        raise InputError(
            f"{str(path)!r} is there already, and may hold your own decisions",
            do="Choose another name, or move it away",
        ) from None


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
            allowed=", ".join(COLUMNS),
            received=list(table.columns),
        )
    table = table.reindex(columns=["path", "action", "label", "group"], fill_value="")
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
    """Leave files out, and change labels and groups, as a fix list says.

    Args:
        table: A row a file with the columns ``path``, ``label``, ``group``, ``problem`` and
            ``detail``.
        fixes: As from ``read_fixes``.
        name: What the list is called in the table.

    Returns:
        A corrected copy. Files of the list that are not in the table are named on standard error.
    """
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
