"""Lists of files: every usual form is read, and every file that is meant is found."""

import unicodedata
from pathlib import Path

import pandas as pd
import pytest

from imgclf_lib.data.listing import check_listing
from imgclf_lib.data.lists import is_list, list_table
from imgclf_lib.errors import InputError


def touch(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"")
    return folder


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


def write_list(path: Path, names: list[str], columns: str = "path,label", mark: str = ",") -> Path:
    lines = [columns, *(f"{name},{'ab'[at % 2]}" for at, name in enumerate(names))]
    path.write_text("\n".join(lines).replace(",", mark), encoding="utf-8")
    return path


FILES = [f"train/{number:03}.jpg" for number in range(6)]


@pytest.mark.parametrize(
    ("names", "columns", "mark"),
    [
        (FILES, "path;label", ";"),
        (FILES, "path,label", "\t"),
        (FILES, "File Name,Target", ","),
        ([name.replace("/", "\\") for name in FILES], "image_path,class", ","),
        ([f"Train/{name[6:].upper()}" for name in FILES], "file,label", ","),
        ([f"./{name[:-4]}" for name in FILES], "file,label", ","),
        ([name[6:] for name in FILES], "image_id,label", ","),
        ([name[6:-4] for name in FILES], "id,breed", ","),
        ([name[:-4] for name in FILES], "img,labels", ","),
    ],
)
def test_files_that_a_list_names_in_another_way_are_found(names, columns, mark, tmp_path):
    touch(tmp_path, *FILES, "test/000.jpg", "test/001.jpg")
    path = write_list(tmp_path / "labels.csv", names, columns, mark)
    expected = [(name, "ab"[at % 2], "", "", "") for at, name in enumerate(FILES)]
    assert rows(list_table(path)) == expected


def test_unicode_forms_of_names(tmp_path):
    composed, apart = (unicodedata.normalize(form, "höhe/é.jpg") for form in ("NFC", "NFD"))
    touch(tmp_path, apart)
    assert rows(list_table(write_list(tmp_path / "a.csv", [composed])))[0][0] == apart


def test_what_may_be_several_files_is_not_guessed(tmp_path):
    touch(tmp_path, "images/1.jpg", "masks/1.jpg", "2.jpg", "2.png", "A.jpg", "a.JPG")
    found = list_table(write_list(tmp_path / "a.csv", ["1", "2", "a.jpg", "../x"])).table
    assert found["problem"].tolist() == ["missing"] * 4
    assert found["detail"].str.partition(": ")[2].tolist() == [
        *("", "images/1.jpg, masks/1.jpg", "2.jpg, 2.png", "A.jpg, a.JPG")
    ]


def test_a_file_under_two_names_is_repeated(tmp_path):
    touch(tmp_path, "images/1.jpg")
    found = rows(list_table(write_list(tmp_path / "a.csv", ["1", "images/1.jpg"])))
    assert [(name, problem) for name, *_, problem in found] == [
        ("images/1.jpg", ""),
        ("images/1.jpg", "repeated"),
    ]


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([0.0, 1.0, None], ["0", "1", ""]),
        (["1.0", "2.0", "10.0"], ["1", "2", "10"]),
        (["1.0", "2.5", "3.0"], ["1.0", "2.5", "3.0"]),
        (["007", "1.0", "x"], ["007", "1.0", "x"]),
    ],
)
def test_whole_numbers_with_a_gap(labels, found, tmp_path):
    table = pd.DataFrame({"path": FILES[:3], "label": labels})
    table.to_parquet(tmp_path / "a.parquet")
    assert list_table(tmp_path / "a.parquet").table["label"].tolist() == found


@pytest.mark.parametrize("value", [b"\xff\xd8", {"bytes": b"\xff\xd8", "path": "a.jpg"}, [1, 2]])
@pytest.mark.parametrize("column", ["image", "label"])
def test_columns_that_hold_no_texts(column, value, tmp_path):
    pd.DataFrame({"image": ["a.jpg"], "label": ["x"], column: [value]}).to_parquet(
        tmp_path / "a.parquet"
    )
    said = (
        f"column '{column}'.*nested values.*{'Export the images' if column == 'image' else 'text'}"
    )
    with pytest.raises(InputError, match=said):
        list_table(tmp_path / "a.parquet")


def test_numbered_folds_are_no_splits(tmp_path, capsys):
    touch(tmp_path, *FILES)
    path = tmp_path / "a.csv"
    path.write_text(
        "path,label,fold\n" + "\n".join(f"{each},a,{i}" for i, each in enumerate(FILES))
    )
    listing = list_table(path)
    assert set(listing.table["split"]) == {""}
    check_listing("photos", listing)
    assert "the column 'fold' of 'a.csv' holds numbers" in capsys.readouterr().err
    path.write_text("path,label,fold\ntrain/000.jpg,a,train_set\ntrain/001.jpg,a,Dev\n")
    assert list_table(path).table["split"].tolist() == ["train", "val"]


def test_a_list_of_nothing_speaks_of_lists(tmp_path):
    with pytest.raises(InputError, match=r"the list 'a.csv' names.*x.jpg: missing"):
        check_listing("photos", list_table(write_list(tmp_path / "a.csv", ["x.jpg", "y.jpg"])))
