"""Fix lists: written, edited by a person, read and applied."""

import pandas as pd
import pytest

from imgclf_lib.errors import InputError
from imgclf_lib.fixes import COLUMNS, apply_fixes, read_fixes, write_fixes


@pytest.fixture
def suggestions():
    rows = [
        ("cat/1.jpg", "exclude", "", "", "exact copy", "of cat/2.jpg"),
        ('猫/a "b", c.jpg', "keep", "", "", "label error", "looks like dog"),
        ("dog/3.jpg", "relabel", "cat", "g", "label error", ""),
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.fixture
def table():
    paths = ["cat/1.jpg", "cat/2.jpg", "dog/3.jpg", "dog/4.jpg", '猫/a "b", c.jpg']
    labels = ["cat", "cat", "dog", "dog", "猫"]
    columns = {"path": paths, "label": labels, "group": "", "problem": "", "detail": ""}
    return pd.DataFrame(columns, dtype="str")


def test_what_is_written_is_read(suggestions, tmp_path):
    write_fixes(suggestions, tmp_path / "new" / "fixes.csv", tmp_path / "photos")
    found = read_fixes(tmp_path / "new" / "fixes.csv")
    assert found.equals(suggestions[["path", "action", "label", "group"]].astype("str"))


def test_the_folder_and_earlier_lists_are_safe(suggestions, tmp_path):
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match="inside the folder"):
        write_fixes(suggestions, tmp_path / "photos" / "fixes.csv", tmp_path / "photos")
    assert list((tmp_path / "photos").iterdir()) == []
    (tmp_path / "fixes.csv").write_text("mine")
    with pytest.raises(InputError, match="there already"):
        write_fixes(suggestions, tmp_path / "fixes.csv", tmp_path / "photos")
    assert (tmp_path / "fixes.csv").read_text() == "mine"


def test_fixes_are_applied_to_a_copy(suggestions, table, capsys):
    before = table.copy()
    after = apply_fixes(table, suggestions, "fixes.csv")
    assert table.equals(before)
    assert after["label"].tolist() == ["cat", "cat", "cat", "dog", "猫"]
    assert after["group"].tolist() == ["", "", "g", "", ""]
    assert after["problem"].tolist() == ["excluded", "", "", "", ""]
    assert after["detail"].tolist() == ["by fixes.csv", "", "", "", ""]
    assert capsys.readouterr().err == ""


def test_files_that_are_gone_are_named(table, capsys):
    fixes = pd.DataFrame([("gone.jpg", "exclude", "", "")], columns=list(COLUMNS[:4]))
    assert apply_fixes(table, fixes, "fixes.csv").equals(table)
    assert "1 of its files are not in the data: 'gone.jpg'" in capsys.readouterr().err


def test_a_file_that_could_not_be_used_is_settled_by_excluding_it(table):
    table.loc[0, ["problem", "detail"]] = ["damaged", "half of it"]
    table.loc[1, "problem"] = "empty"
    fixes = pd.DataFrame([("cat/1.jpg", "exclude", "", "")], columns=list(COLUMNS[:4]))
    after = apply_fixes(table, fixes, "f")
    assert after["problem"].tolist() == ["excluded", "empty", "", "", ""]
    assert after["detail"][0] == "by f; it was not used before: damaged"


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_spreadsheets_write_it_in_many_ways(mark, tmp_path):
    lines = ["path,action,label", "a/1.jpg, Exclude ,", "a/2.jpg,,", "a/3.jpg,RELABEL, b "]
    text = "\r\n".join(lines).replace(",", mark)
    (tmp_path / "fixes.csv").write_text("\ufeff" + text, encoding="utf-8")
    found = read_fixes(tmp_path / "fixes.csv")
    assert found["action"].tolist() == ["exclude", "keep", "relabel"]
    assert found["label"].tolist() == ["", "", "b"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,action\na,delete\n", "Line 2 .*'a': there is no such action.*keep, exclude"),
        ("path,action,label\na,keep,\nb,relabel,\n", "Line 3 .*needs the new class"),
        ("path,action\na,keep\na,exclude\n", "two different things about 'a'"),
        ("file,action\na,keep\n", "no column 'path'"),
        ("path,label\na,b\n", "no column 'action'"),
        ("", "cannot be read"),
    ],
)
def test_lists_that_make_no_sense(text, said, tmp_path):
    (tmp_path / "fixes.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        read_fixes(tmp_path / "fixes.csv")


def test_no_such_list(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_fixes(tmp_path / "none.csv")
