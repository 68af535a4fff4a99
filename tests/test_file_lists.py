"""Lists of paths and labels, as CSV and as Parquet."""

import pandas as pd
import pytest

from imgclf_lib.errors import InputError
from imgclf_lib.file_lists import is_list, list_table


@pytest.fixture
def folder(tmp_path):
    for name in ("b.jpg", "a.jpg", "sub/ü, x.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def rows(listing):
    columns = ["path", "label", "split", "group", "problem"]
    return [tuple(row) for row in listing.table[columns].itertuples(index=False)]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_list_with_everything(suffix, folder):
    table = pd.DataFrame(
        {
            "Image_Path": ["b.jpg", "a.jpg", "sub/ü, x.jpg", "gone.jpg", "a.jpg"],
            "class": ["dog", "1", 'say "hi"\n', "dog", "dog"],
            "split": ["train", "valid", "Testing", "", ""],
            "group": ["g", None, "g", "", ""],
            "more": range(5),
        }
    )
    path = folder / f"list{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    listing = list_table(path)
    assert listing.root == folder
    assert rows(listing) == [
        ("a.jpg", "1", "val", "", ""),
        ("a.jpg", "dog", "", "", "repeated"),
        ("b.jpg", "dog", "train", "g", ""),
        ("gone.jpg", "dog", "", "", "missing"),
        ("sub/ü, x.jpg", 'say "hi"', "test", "g", ""),
    ]
    (folder / "a.jpg").write_bytes(b"longer")
    assert list_table(path).key != listing.key


def test_absolute_paths_numbers_and_missing_labels(folder):
    path = folder / "list.csv"
    path.write_text(f"\ufefffile,label\n{folder}/a.jpg,007\nb.jpg,\n.,x\n", encoding="utf-8")
    assert rows(list_table(path)) == [
        (".", "x", "", "", "special file"),
        (f"{folder}/a.jpg", "007", "", "", ""),
        ("b.jpg", "", "", "", "no class"),
    ]


def test_a_list_from_an_archive_cannot_look_outside(folder):
    (folder / "outside.jpg").write_bytes(b"x")
    path = folder / "sub" / "list.csv"
    path.write_text(f'path,label\n../outside.jpg,a\n{folder}/a.jpg,a\n"ü, x.jpg",b\n')
    found = rows(list_table(path, inside=folder / "sub"))
    assert [problem for *_, problem in found] == ["unsafe", "unsafe", ""]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,label\na.jpg,x\n", "no column 'path'.*Allowed: path, file"),
        ("path,colour\na.jpg,x\n", "no column 'label'"),
        ("path,label,split\na.jpg,x,future\n", "unknown names.*future"),
        ("path,action,label\na.jpg,keep,x\n", "is a fix list.*--fixes"),
        ("", "cannot be read"),
        (b"\xff\xfe\x00path", "cannot be read"),
        ('path,label\n"a.jpg,x\n', "cannot be read"),
    ],
)
def test_lists_that_cannot_be_used(text, said, folder):
    path = folder / "list.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    assert not is_list(path)
    with pytest.raises(InputError, match=said):
        list_table(path)


def test_what_is_a_list(folder):
    (folder / "list.csv").write_text("path,label\na.jpg,x\n")
    assert is_list(folder / "list.csv")
    assert not is_list(folder / "a.jpg")
    (folder / "bad.parquet").write_bytes(b"PAR1")
    assert not is_list(folder / "bad.parquet")
