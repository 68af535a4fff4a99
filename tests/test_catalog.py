"""A folder as a table: every file a row, with its class or its reason."""

import os
import socket
from pathlib import Path

import pytest

from imgclf_lib.catalog import PROBLEMS, assign_groups, digest, list_folder
from imgclf_lib.errors import InputError


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


def test_split_names_beside_other_classes_are_classes(tmp_path):
    found = listed(touch(tmp_path, "train/1.jpg", "bus/1.jpg", "train/old/2.jpg"))
    assert {(split, label) for split, label, _ in found.values()} == {("", "bus"), ("", "train")}


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
