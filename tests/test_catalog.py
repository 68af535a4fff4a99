"""A folder as a table, and splits that are stratified, seeded and free of leaks."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imgclf_lib.catalog import COLUMNS, image_suffixes, list_images, make_splits
from imgclf_lib.errors import InputError


def touch(folder, *paths):
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"")
    return folder


def made_up_table(counts: dict[str, int], hashes: list[str] | None = None) -> pd.DataFrame:
    """A table of decoded images, each different unless hashes are given."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    return pd.DataFrame(
        {
            "path": [f"{label}/{row}.png" for row, label in enumerate(labels)],
            "label": labels,
            "split": "",
            "width": 8,
            "height": 8,
            "mode": "L",
            "hash": hashes or [f"h{row}" for row in range(len(labels))],
            "problem": "",
        }
    )[COLUMNS]


def test_class_folders(tmp_path):
    touch(tmp_path, "dog/2.PNG", "cat/1.jpg", "cat/deeper/3.webp")
    table = list_images(tmp_path)
    assert list(table.columns) == COLUMNS
    assert table["path"].tolist() == ["cat/1.jpg", "cat/deeper/3.webp", "dog/2.PNG"]
    assert table["label"].tolist() == ["cat", "cat", "dog"]
    assert (table[["split", "mode", "hash", "problem"]] == "").all(axis=None)


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
    touch(tmp_path, "README.txt")
    table = list_images(tmp_path)
    used = table[table["problem"] == ""]
    found = used.groupby("split")["label"].apply(list).to_dict()
    assert found == {split: ["cat", "dog"] for split in splits}
    assert table.set_index("path").loc["README.txt", "problem"] == "not inside a class folder"


def test_split_names_beside_other_classes_are_classes(tmp_path):
    touch(tmp_path, "train/1.jpg", "bus/1.jpg", "train/old/2.jpg")
    table = list_images(tmp_path)
    assert sorted(table["label"].unique()) == ["bus", "train"]
    assert (table["split"] == "").all()


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("loose.jpg", "not inside a class folder"),
        ("cat/notes.txt", "extension '.txt' is not that of an image"),
        ("cat/none", "extension '' is not that of an image"),
        ("cat/.DS_Store", "hidden file or folder"),
        ("cat/._1.jpg", "hidden file or folder"),
        (".cache/1.jpg", "hidden file or folder"),
        ("cat/.old/1.jpg", "hidden file or folder"),
    ],
)
def test_files_that_are_not_used_say_why(path, problem, tmp_path):
    table = list_images(touch(tmp_path, "cat/1.jpg", "dog/2.jpg", path))
    assert len(table) == 3
    assert table.set_index("path")["problem"].to_dict() == {
        "cat/1.jpg": "",
        "dog/2.jpg": "",
        path: problem,
    }


def test_names_that_need_care(tmp_path):
    paths = ["NA/1.jpg", 'größe, mit "Komma"/ä ö.jpg', "$x_1$/<b>.png"]
    assert list_images(touch(tmp_path, *paths))["path"].tolist() == sorted(paths)


def test_no_such_folder(tmp_path):
    with pytest.raises(InputError, match="missing' does not exist"):
        list_images(tmp_path / "missing")
    with pytest.raises(InputError, match="does not exist"):
        list_images(touch(tmp_path, "file") / "file")


@pytest.mark.parametrize(
    ("paths", "files"), [((), 0), (("1.jpg",), 1), (("cat/1.txt", "dog/2.md"), 2)]
)
def test_no_image(paths, files, tmp_path):
    with pytest.raises(InputError, match=f"no image.*Allowed: .*Received: '{files} files"):
        list_images(touch(tmp_path, *paths))


def test_one_class(tmp_path):
    with pytest.raises(InputError, match=r"at least two classes.*'cat'"):
        list_images(touch(tmp_path, "cat/1.jpg", "cat/2.jpg", "dog/readme.txt"))


def test_a_class_without_training_images(tmp_path):
    touch(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "test/emu/1.jpg", "test/cat/2.jpg")
    with pytest.raises(InputError, match="no training image: emu"):
        list_images(tmp_path)


def test_image_suffixes_are_those_that_open():
    assert {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"} <= image_suffixes()
    assert not {"", ".txt", ".pdf", ".json", ".zip"} & image_suffixes()
    assert all(Image.registered_extensions()[suffix] in Image.OPEN for suffix in image_suffixes())


@pytest.mark.parametrize("seed", range(5))
def test_splits_are_stratified(seed):
    counts = {"a": 100, "b": 40, "c": 10}
    table = make_splits(made_up_table(counts), 0.1, 0.2, seed)
    found = table.groupby(["label", "split"]).size().to_dict()
    for label, count in counts.items():
        test = round(0.2 * count)
        val = max(1, round(0.1 * (count - test)))
        assert found[label, "test"] == test
        assert found[label, "val"] == val
        assert found[label, "train"] == count - test - val


def test_splits_follow_the_seed():
    table = made_up_table({"a": 30, "b": 30})
    first, again, other = (make_splits(table, 0.2, 0.2, seed)["split"] for seed in (1, 1, 2))
    assert first.equals(again)
    assert not first.equals(other)
    assert (table["split"] == "").all(), "the table that was given stays as it is"


def test_splits_do_not_depend_on_the_test_fraction_alone():
    """Validation and test draw from different streams: one is not a copy of the other."""
    table = make_splits(made_up_table({"a": 400, "b": 400}), 0.5, 0.5, 0)
    order = {split: np.flatnonzero(table["split"] == split) for split in ("val", "test")}
    assert np.corrcoef(order["val"][:200], order["test"][:200])[0, 1] < 0.999


@pytest.mark.parametrize("seed", range(10))
def test_equal_images_stay_together(seed):
    generator = np.random.default_rng(seed)
    hashes = [f"h{number}" for number in generator.integers(0, 40, 120)]
    table = make_splits(made_up_table({"a": 60, "b": 60}, hashes), 0.2, 0.2, seed)
    assert (table.groupby("hash")["split"].nunique() == 1).all()
    assert set(table["split"]) == {"train", "val", "test"}


def test_given_splits_stay():
    table = made_up_table({"a": 10, "b": 10})
    table["split"] = ["train", "train", "train", "test", "train"] * 4
    made = make_splits(table, 0.3, 0.4, 0)
    assert ((made["split"] == "test") == (table["split"] == "test")).all()
    assert made.groupby("label")["split"].apply(lambda part: (part == "val").sum()).tolist() == [
        2,
        2,
    ]
    table["split"] = ["train", "val", "train", "test", "train"] * 4
    assert make_splits(table, 0.3, 0.4, 0).equals(table)


def test_files_with_problems_get_no_part():
    table = made_up_table({"a": 10, "b": 10})
    table.loc[[0, 10], "problem"] = "cannot be decoded"
    made = make_splits(table, 0.2, 0.2, 0)
    assert (made.loc[[0, 10], "split"] == "").all()
    assert (made.drop([0, 10])["split"] != "").all()


def test_smallest_classes():
    made = make_splits(made_up_table({"a": 3, "b": 3}), 0.01, 0.01, 0)
    assert sorted(made["split"]) == ["test", "test", "train", "train", "val", "val"]


@pytest.mark.parametrize(
    ("table", "split"),
    [
        (made_up_table({"a": 30, "few": 1}), "test"),
        (made_up_table({"a": 30, "few": 2}), "val"),
        (made_up_table({"few": 3, "a": 3}, ["x", "x", "x", "u", "v", "w"]), "test"),
    ],
)
def test_too_few_images(table, split):
    with pytest.raises(InputError, match=f"'few' has too few different images .* for '{split}'"):
        make_splits(table, 0.2, 0.2, 0)


def test_too_few_classes():
    table = made_up_table({"a": 10, "b": 1})
    table.loc[10, "problem"] = "cannot be decoded"
    with pytest.raises(InputError, match="at least two classes"):
        make_splits(table, 0.2, 0.2, 0)


@pytest.mark.parametrize("seed", range(6))
def test_images_under_two_labels_never_empty_a_class(seed):
    """Where every image is in both classes, taking them out together may leave none to train."""
    table = made_up_table({"a": 3, "b": 3}, ["x", "y", "z"] * 2)
    message = ""
    try:
        made = make_splits(table, 0.3, 0.3, seed)
    except InputError as error:
        message = str(error)
    if message:
        assert "too few different images" in message or "no training image" in message
    else:
        assert set(made.loc[made["split"] == "train", "label"]) == {"a", "b"}
