"""A folder as a table: every file a row, with its class or its reason."""

import os
import re
import socket
from pathlib import Path

import pandas as pd
import pytest

from imgclf_lib.data import FIX_COLUMNS, PROBLEMS, assign_groups, read_fixes, write_fixes
from imgclf_lib.data.listing import (
    apply_fixes,
    check_listing,
    list_folder,
    split_of,
)
from imgclf_lib.errors import InputError
from imgclf_lib.storage import digest


def touch(folder: Path, *paths: str) -> Path:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"")
    return folder


def listed(folder: Path, class_folders: str = "top") -> dict[str, tuple[str, str, str]]:
    table = list_folder(folder, class_folders).table
    assert table["path"].tolist() == sorted(table["path"])
    assert set(table["problem"]) <= {"", *PROBLEMS}
    return {row.path: (row.split, row.label, row.problem) for row in table.itertuples()}


def test_class_folders(tmp_path):
    touch(tmp_path, "dog/2.PNG", "cat/1.jpg", "cat/deeper/3.webp")
    assert listed(tmp_path) == {
        "cat/1.jpg": ("", "cat", ""),
        "cat/deeper/3.webp": ("", "cat", ""),
        "dog/2.PNG": ("", "dog", ""),
    }


def test_nested_class_folders(tmp_path):
    touch(tmp_path, "animals/cat/1.jpg", "animals/dog/1.jpg", "cars/1.jpg")
    labels = [label for _, label, _ in listed(tmp_path, "nested").values()]
    assert labels == ["animals/cat", "animals/dog", "cars"]
    assert [label for _, label, _ in listed(tmp_path).values()] == ["animals", "animals", "cars"]


def test_nested_class_folders_inside_splits(tmp_path):
    touch(tmp_path, "train/animals/cat/1.jpg", "train/cars/1.jpg", "test/animals/cat/2.jpg")
    found = listed(tmp_path, "nested")
    assert found["test/animals/cat/2.jpg"] == ("test", "animals/cat", "")
    assert found["train/cars/1.jpg"] == ("train", "cars", "")


@pytest.mark.parametrize("around", ["", "photos/"])
@pytest.mark.parametrize("names", [("train", "test"), ("training_set", "validation", "Test")])
def test_splits_inside_of_classes(names, around, tmp_path):
    paths = [f"{label}/{name}/1.jpg" for label in ("cat", "dog") for name in names]
    touch(tmp_path, *(around + path for path in paths))
    found = listed(tmp_path)
    for path in paths:
        label, name, _ = path.split("/")
        assert found[around + path] == (split_of(name)[0], label, "")
    assert not list_folder(tmp_path).remarks
    touch(tmp_path, f"{around}cat/9.jpg")
    assert listed(tmp_path)[f"{around}cat/9.jpg"] == ("", "", "not in a split")


def test_sites_with_splits_and_classes_of_their_own_are_not_guessed(tmp_path):
    for site in ("north", "south"):
        touch(tmp_path, *(f"{site}/{split}/cat/1.jpg" for split in ("train", "test")))
    (remark,) = list_folder(tmp_path).remarks
    assert remark[0] == "unclear layout"


def test_inner_folders_that_are_not_splits_of_every_class(tmp_path):
    touch(tmp_path / "a", "cat/train/1.jpg", "cat/test/1.jpg", "dog/1.jpg")
    touch(tmp_path / "b", "cat/train/1.jpg", "cat/side/1.jpg", "dog/train/1.jpg", "dog/test/1.jpg")
    touch(tmp_path / "c", "bus/test/1.jpg", "train/test/1.jpg")
    for name, labels in (("a", {"cat", "dog"}), ("b", {"cat", "dog"}), ("c", {"bus", "train"})):
        assert {(split, label) for split, label, _ in listed(tmp_path / name).values()} == {
            ("", label) for label in labels
        }


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("train", "val", "test"), ("train", "val", "test")),
        (("Training", "Validation", "Testing"), ("train", "val", "test")),
        (("train", "valid", "test"), ("train", "val", "test")),
        (("train", "test"), ("train", "test")),
    ],
)
def test_split_folders(names, splits, tmp_path):
    for name in names:
        touch(tmp_path, f"{name}/cat/1.jpg", f"{name}/dog/2.jpg")
    touch(tmp_path, "README.txt", "docs/how.txt")
    found = listed(tmp_path)
    used = {(split, label) for split, label, problem in found.values() if not problem}
    assert used == {(split, label) for split in splits for label in ("cat", "dog")}
    assert found["README.txt"][2] == "unknown extension"
    assert found["docs/how.txt"][2] == "unknown extension"


PETS = ("cat/1.jpg", "dog/1.jpg")


def inside(*folders: str) -> list[str]:
    return [f"{folder}/{pet}" for folder in folders for pet in PETS]


def given(folder: Path) -> dict[str, str]:
    """The split of each file that has a class; there is no doubt about the layout."""
    listing = list_folder(folder)
    assert listing.remarks == ()
    used = listing.table[listing.table["problem"] == ""]
    assert set(used["label"]) == {"cat", "dog"}
    return dict(zip(used["path"], used["split"], strict=True))


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("training_set", "test_set"), ("train", "test")),
        (("seg_train", "seg_test"), ("train", "test")),
        (("Train Data", "Validation Data", "Test Data"), ("train", "val", "test")),
        (("train_set", "validation_set", "dev", "eval"), ("train", "val", "val", "test")),
        (("train2017", "val2017", "holdout"), ("train", "val", "test")),
        (("Training Images", "test-images"), ("train", "test")),
        (("asl_alphabet_train", "asl_alphabet_test"), ("train", "test")),
        (("train_flowers", "valid_flowers"), ("train", "val")),
        (("val", "test"), ("val", "test")),
    ],
)
def test_names_of_splits(names, splits, tmp_path):
    touch(tmp_path, *inside(*names))
    pairs = zip(names, splits, strict=True)
    assert given(tmp_path) == {path: split for name, split in pairs for path in inside(name)}


@pytest.mark.parametrize("name", ["contest", "trainer", "device", "latest", "test-multiple", "7"])
def test_names_that_only_look_like_splits(name):
    split, rest = split_of(name)
    assert not split or rest


BESIDE = re.compile("docs|cover|chest_xray|Test|Meta|seg_pred")


@pytest.mark.parametrize(
    "paths",
    [
        [*inside("train", "val"), "docs/example.png"],
        [*inside("train", "test"), "cover.png"],
        [*inside("train", "test", "chest_xray/train", "chest_xray/test")],
        [*inside("train"), "Test/1.png", "Meta/cat.png"],
        [*inside("seg_train/seg_train", "seg_test/seg_test"), "seg_pred/seg_pred/1.png"],
        [*inside("pack/v2/train", "pack/v2/test"), "pack/v2/docs/1.png", "pack/cover.png"],
        [*inside("train"), "cover.png"],
        [*inside("train/images", "val/images"), "docs/1.png"],
        [path.removesuffix(".jpg") for path in inside("train", "test")],  # names without endings
    ],
)
def test_what_lies_beside_splits_changes_nothing(paths, tmp_path):
    splits = given(touch(tmp_path, *paths))
    assert set(splits) == {path for path in paths if not BESIDE.search(path)}
    assert "train" in splits.values()
    problems = [values[2] for path, values in listed(tmp_path).items() if path not in splits]
    assert set(problems) <= {"not in a split", "no class"}


@pytest.mark.parametrize(
    "paths",
    [
        [*inside("photos"), "docs/1.png"],
        inside("entrainement", "verification"),
        [*inside("train/images", "train/labels"), *inside("val/images")],
    ],
)
def test_classes_inside_classes_are_remarked(paths, tmp_path, capsys):
    listing = list_folder(touch(tmp_path, *paths))
    check_listing("photos", listing)
    assert "only in the folders cat, dog" in capsys.readouterr().err
    assert list_folder(tmp_path, "nested").remarks == ()
    series = list_folder(touch(tmp_path / "b", "cat/day1/1.jpg", "cat/day2/1.jpg", "dog/a/1.jpg"))
    assert series.remarks == ()


def test_a_loose_picture_beside_the_folder_around_changes_nothing(tmp_path):
    found = listed(touch(tmp_path, *inside("photos"), "cover.png"))
    assert found["photos/cat/1.jpg"] == ("", "cat", "")
    assert found["cover.png"] == ("", "", "no class")


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (("train/cat.0.jpg", "test1/1.jpg"), "'train' and 'test1' would be classes"),
        (("train/1.jpg", "bus/1.jpg", "train/old/2.jpg"), "'train' would be a class"),
        (("Test Data/1.jpg", "bus/1.jpg"), "'Test Data' would be a class"),
        (("asl_train/1.jpg", "asl_test/1.jpg"), "'asl_train' and 'asl_test' would be classes"),
        ((*inside("a/train", "a/test"), "docs/1.jpg"), "'a' has folders of training and test"),
        (inside("a/train", "a/test", "b/train", "b/test"), "'a' and 'b' have folders"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(paths, said, tmp_path):
    listing = list_folder(touch(tmp_path, *paths))
    [(kind, _)] = listing.remarks
    assert kind == "unclear layout"
    with pytest.raises(InputError, match=f"two ways.*{said}.*--class_folders plain"):
        check_listing("photos", listing)
    plain = list_folder(tmp_path, "plain")
    check_listing("photos", plain)
    assert set(plain.table["label"]) == {path.split("/")[0] for path in paths}
    assert set(plain.table["split"]) == {""}


def test_a_single_folder_around_everything_is_looked_through(tmp_path):
    touch(tmp_path, "photos v2/all/cat/1.jpg", "photos v2/all/dog/1.jpg", "photos v2/note.txt")
    found = listed(tmp_path)
    assert found["photos v2/all/cat/1.jpg"] == ("", "cat", "")
    assert found["photos v2/note.txt"] == ("", "", "unknown extension")
    touch(tmp_path / "b", "data/train/cat/1.jpg", "data/train/dog/1.jpg", "data/test/cat/1.jpg")
    assert listed(tmp_path / "b")["data/test/cat/1.jpg"] == ("test", "cat", "")


def test_one_class_is_not_looked_through(tmp_path):
    assert listed(touch(tmp_path, "cat/1.jpg", "cat/old/2.jpg"))["cat/old/2.jpg"][1] == "cat"


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("loose.jpg", "no class"),
        ("README.md", "unknown extension"),
        ("cat/.DS_Store", "hidden"),
        ("cat/._1.jpg", "hidden"),
        (".cache/1.jpg", "hidden"),
        ("cat/.old/1.jpg", "hidden"),
        ("cat/notes.txt", ""),  # only its content can tell
    ],
)
def test_files_that_are_not_used_say_why(path, problem, tmp_path):
    found = listed(touch(tmp_path, "cat/1.jpg", "dog/2.jpg", path))
    assert {each: values[2] for each, values in found.items()} == {
        "cat/1.jpg": "",
        "dog/2.jpg": "",
        path: problem,
    }


def test_what_is_no_file(tmp_path):
    touch(tmp_path, "cat/1.jpg", "dog/2.jpg")
    os.mkfifo(tmp_path / "cat" / "pipe.jpg")
    (tmp_path / "cat" / "broken.jpg").symlink_to(tmp_path / "nowhere")
    (tmp_path / "cat" / "linked.jpg").symlink_to(tmp_path / "dog" / "2.jpg")
    (tmp_path / "dog" / "round").symlink_to(tmp_path)
    (tmp_path / "emu").symlink_to(tmp_path / "cat")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(tmp_path / "dog" / "socket.jpg"))
        found = listed(tmp_path)
    assert {path: values[2] for path, values in found.items() if values[2]} == {
        "cat/broken.jpg": "unreadable",
        "cat/pipe.jpg": "special file",
        "dog/round": "link",
        "dog/socket.jpg": "special file",
        "emu/broken.jpg": "unreadable",
        "emu/pipe.jpg": "special file",
    }
    assert found["cat/linked.jpg"] == ("", "cat", "")
    assert found["emu/1.jpg"] == ("", "emu", "")


def test_a_name_that_is_no_text(tmp_path):
    touch(tmp_path, "cat/1.jpg")
    (Path(os.fsdecode(os.fsencode(tmp_path) + b"/cat/caf\xe9.jpg"))).write_bytes(b"")
    assert listed(tmp_path)["cat/caf\\xe9.jpg"] == ("", "cat", "bad name")


def test_names_that_need_care(tmp_path):
    paths = ["NA/1.jpg", 'größe, mit "Komma"/ä ö.jpg', "$x_1$/<b>.png", "猫/line\nbreak.png"]
    found = listed(touch(tmp_path, *paths))
    assert set(found) == set(paths)
    assert found["猫/line\nbreak.png"][1] == "猫"


def test_order_is_that_of_the_paths(tmp_path):
    touch(tmp_path, "a b/1.jpg", "a/1.jpg", "a-b/1.jpg", "a/b/1.jpg", "a/b.jpg", "A/1.jpg")
    listed(tmp_path)


def test_the_key_changes_with_the_content(tmp_path):
    touch(tmp_path, "a/1.jpg", "b/1.jpg")
    first = list_folder(tmp_path).key
    assert list_folder(tmp_path).key == first
    state = (tmp_path / "a" / "1.jpg").stat()
    (tmp_path / "a" / "1.jpg").write_bytes(b"x")
    (tmp_path / "a" / "1.jpg").write_bytes(b"")
    os.utime(tmp_path / "a" / "1.jpg", ns=(state.st_atime_ns, state.st_mtime_ns))
    assert list_folder(tmp_path).key != first, "same size, same time of writing"


def test_digests_tell_parts_apart():
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("a") == digest(b"a")


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        ("", ["", "old", ""]),
        (r"p\d+", ["p1", "p1", ""]),
        (r"/(p\d)_(\d)", ["p1", "p1", ""]),
        (r"^[^/]+", ["a", "a", "b"]),
    ],
)
def test_groups_by_pattern(pattern, groups, tmp_path):
    table = list_folder(touch(tmp_path, "a/p1_1.jpg", "a/p1_2.jpg", "b/x.jpg")).table
    table.loc[1, "group"] = "old"
    assert assign_groups(table, pattern)["group"].tolist() == groups


@pytest.mark.parametrize(
    ("pattern", "said"), [("(", "no.*regular expression"), ("zebra", "matches no path.*a/1.jpg")]
)
def test_patterns_that_help_nobody(pattern, said, tmp_path):
    with pytest.raises(InputError, match=said.replace("no.*", "not a ")):
        assign_groups(list_folder(touch(tmp_path, "a/1.jpg")).table, pattern)


@pytest.fixture
def suggestions():
    rows = [
        ("cat/1.jpg", "exclude", "", "", "exact copy", "of cat/2.jpg"),
        ('猫/a "b", c.jpg', "keep", "", "", "label error", "looks like dog"),
        ("dog/3.jpg", "relabel", "cat", "g", "label error", ""),
    ]
    return pd.DataFrame(rows, columns=FIX_COLUMNS)


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


def test_a_fix_list_holds_no_formulas_and_names_the_same_files(suggestions, tmp_path):
    paths = ["=cmd|' /C calc'!A1.png", "-x.png", "'=y.png", "'z'.png", "@cat/+1.png"]
    hostile = suggestions.iloc[[0] * len(paths)].assign(path=paths, label="=cat", detail="=1\x1b")
    write_fixes(hostile, tmp_path / "fixes.csv", tmp_path / "photos")
    written = pd.read_csv(tmp_path / "fixes.csv", dtype="str", keep_default_na=False)
    for name in FIX_COLUMNS:
        assert not written[name].str.match(r"[=+@-]").any()
    assert written["detail"][0] == r"'=1\x1b"
    found = read_fixes(tmp_path / "fixes.csv")
    assert found["path"].tolist() == paths
    assert set(found["label"]) == {"=cat"}


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
    fixes = pd.DataFrame([("gone.jpg", "exclude", "", "")], columns=list(FIX_COLUMNS[:4]))
    assert apply_fixes(table, fixes, "fixes.csv").equals(table)
    assert "1 of its files are not in the data: 'gone.jpg'" in capsys.readouterr().err


def test_a_file_that_could_not_be_used_is_settled_by_excluding_it(table):
    table.loc[0, ["problem", "detail"]] = ["damaged", "half of it"]
    table.loc[1, "problem"] = "empty"
    fixes = pd.DataFrame([("cat/1.jpg", "exclude", "", "")], columns=list(FIX_COLUMNS[:4]))
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
