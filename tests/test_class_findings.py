"""Classes: counts, balance, names, empty and nested folders."""

from pathlib import Path

import pandas as pd

from imgclf_lib.class_findings import class_findings


def table(counts: dict[str, int], problem: str = "") -> pd.DataFrame:
    """So many files in each folder; ``train/cat`` is class ``cat`` of that split."""
    rows = []
    for place, count in counts.items():
        first, _, rest = place.partition("/")
        split = first if first in ("train", "val", "test") else ""
        label = (rest if split else place).split("/")[0]
        rows += [(f"{place}/{number}.jpg", label, split, problem) for number in range(count)]
    return pd.DataFrame(rows, columns=["path", "label", "split", "problem"], dtype="str")


def found(files: pd.DataFrame, folder: Path | None = None) -> dict[tuple[str, str], str]:
    rows = class_findings(files, folder)
    return {(row.problem, row.path): row.detail for row in rows.itertuples()}


def test_a_good_folder_gives_nothing():
    assert found(table({"cat": 20, "dog": 30})) == {}
    assert found(table({f"{s}/{c}": 12 for s in ("train", "val", "test") for c in "xy"})) == {}


def test_imbalance_says_counts_and_what_they_do():
    said = found(table({"cat": 12, "dog": 20, "owl": 48}))
    assert list(said) == [("class imbalance", "cat")]
    detail = said["class imbalance", "cat"]
    assert "'cat' has 12 images, 'owl' has 48: 4 times as many" in detail
    assert "right for 60%" in detail
    assert found(table({"cat": 20, "dog": 59})) == {}


def test_few_images_and_splits_without_a_class():
    said = found(
        table(
            {
                **{"train/cat": 40, "train/dog": 1, "train/owl": 40},
                **{"test/cat": 9, "test/dog": 9, "test/emu": 9},
            }
        )
    )
    assert said["few images", "train/dog"] == "class 'dog' has 1 training image"
    assert said["class missing from a split", "train/owl"] == "class 'owl' has no image in test"
    assert said["class without training images", "test/emu"] == "class 'emu'"
    assert ("class imbalance", "train/dog") in said
    assert len(said) == 4


def test_one_class_and_none():
    assert set(found(table({"cat": 20}))) == {("one class", "cat")}
    broken = table({"cat": 2, "dog": 1}, "damaged")
    assert found(broken) == {
        ("no usable image", ""): "3 files",
        ("empty class", "cat"): "2 files, none of them usable",
        ("empty class", "dog"): "1 file, none of them usable",
    }
    assert found(broken.iloc[:0]) == {("no usable image", ""): "0 files"}


def test_names_that_people_take_for_one():
    cyrillic, composed, decomposed = "саt", "caf\u00e9", "cafe\u0301"
    names = ["cat", cyrillic, "Sea Lion", "sea_lion", composed, decomposed, "dog", "猫", "犬"]
    said = found(table(dict.fromkeys(names, 12)))
    details = list(said.values())
    assert len(details) == 3
    assert "'Sea Lion', 'sea_lion' differ in case or spacing only" in details
    assert any("'\\u0441\\u0430t'" in each and "look alike" in each for each in details)
    assert any("'cafe\\u0301', 'caf\\xe9' look alike" in each for each in details)


def test_inner_folders_count_to_their_class():
    said = found(table({"cat": 12, "cat/2021": 3, "dog": 12}))
    assert said == {("inner folder", "cat/2021"): "3 images of class 'cat'"}


def test_nested_classes_are_noticed_and_series_are_not():
    said = found(table({"pet/cat": 12, "pet/dog": 12, "wild/owl": 12, "wild/emu": 12}))
    assert said["nested class folders", "pet"] == "inner folders cat, dog"
    assert ("nested class folders", "wild") in said
    series = found(table({"cat/day1": 12, "cat/day2": 12, "dog/day3": 12, "dog/day4": 12}))
    assert not [key for key in series if key[0] == "nested class folders"]
    single = found(table({"cat/photos": 12, "dog/photos": 12}))
    assert not [key for key in single if key[0] == "nested class folders"]


def test_a_list_of_files_names_classes_where_no_folder_does():
    files = pd.DataFrame(
        {"path": [f"images/{n}.jpg" for n in range(14)], "split": "", "problem": ""}
    ).assign(label=["a"] * 2 + ["b"] * 12)
    assert ("few images", "a") in found(files)


def test_empty_folders_are_seen_beside_those_of_classes(tmp_path):
    for place in ("train/cat", "train/dog", "train/.thumbs", "train/cat/old", "train/Empty one"):
        (tmp_path / place).mkdir(parents=True)
    files = table({"train/cat": 12, "train/dog": 12})
    assert found(files, tmp_path) == {("empty class", "train/Empty one"): "no file"}
    assert found(files.iloc[:0], tmp_path) == {("no usable image", ""): "0 files"} | {
        ("empty class", "train"): "no file"
    }
