"""Files, classes and copies: what is odd is found; limits hold in both directions."""

import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.audit.checks import (
    _contrast,
    _number_pictures,
    _robust_score,
    class_findings,
    file_findings,
    second_look,
    twin_findings,
)

COUNT = 60
NO_PAIRS = np.empty((0, 2), "int64")


def table(**changes: dict[int, object]) -> pd.DataFrame:
    """Sixty usual images; ``width={3: 900}`` changes a cell."""
    generator = np.random.default_rng(0)
    files = pd.DataFrame(
        {
            "path": [f"cat/{number:02}.jpg" for number in range(COUNT)],
            "width": generator.integers(180, 220, COUNT),
            "height": generator.integers(150, 180, COUNT),
            "brightness": generator.normal(110, 25, COUNT),
            "sharpness": 10 ** generator.normal(3, 0.25, COUNT),
            "problem": "",
            "detail": "",
        }
    )
    for name, values in changes.items():
        files.loc[list(values), name] = list(values.values())
    return files


def pictures() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (COUNT, 16, 16, 3), "uint8")


def found(files: pd.DataFrame, images: np.ndarray | None = None, padded=True) -> dict:
    images = pictures() if images is None else images
    rows = file_findings(files, images, np.arange(len(files)), padded)
    return {(row.problem, int(row.path[4:6])): row for row in rows.itertuples()}


def test_a_good_folder_gives_nothing():
    assert found(table()) == {}


def test_every_rejected_file_has_its_reason():
    said = found(
        table(
            problem={1: "damaged", 2: "hidden", 3: "excluded", 4: "repeated"},
            detail={1: "broken data stream"},
        )
    )
    assert {key: row.action for key, row in said.items()} == {
        ("damaged", 1): "exclude",
        ("hidden", 2): "",
        ("excluded", 3): "exclude",
        ("repeated", 4): "",
    }
    assert said["damaged", 1].detail == "broken data stream"
    assert said["damaged", 1].severity == "error"


def test_remarks_are_mild_and_several_are_told_apart():
    said = found(
        table(
            detail={
                1: "content is GIF, the name has no ending; animation of 3: the first is used",
                2: "the colour profile is damaged",
            }
        )
    )
    assert set(said) == {("wrong extension", 1), ("animation", 1), ("note", 2)}
    assert {row.severity for row in said.values()} == {"remark"}
    assert said["animation", 1].detail == "animation of 3: the first is used"


def test_odd_sizes_and_shapes():
    said = found(table(width={1: 1800, 2: 20, 3: 900}, height={1: 1500, 2: 18, 3: 60}))
    kinds = {("odd size", 1), ("odd size", 2), ("odd shape", 3), ("little left", 3)}
    assert set(said) == kinds
    assert "1800 × 1500 pixels" in said["odd size", 1].detail
    same = table().assign(width=32, height=32)
    same.loc[5, ["width", "height"]] = [40, 32]  # differs, but not by much
    same.loc[6, ["width", "height"]] = [320, 320]
    assert set(found(same)) == {("odd size", 6)}


def test_dark_and_bright_need_both_limits():
    said = found(table(brightness={1: 3.0, 2: 252.0, 3: 30.0}))
    assert set(said) == {("very dark", 1), ("very bright", 2)}
    assert "mean grey 3 of 255" in said["very dark", 1].detail
    night = table().assign(brightness=np.random.default_rng(0).uniform(1, 12, COUNT))
    assert found(night) == {}


def test_blurred_is_little_detail_for_so_much_contrast():
    images = pictures()  # noise: a standard deviation of about 43 in grey
    images[5] = 100 + images[5] // 6  # little contrast, so little detail is no blur
    said = found(table(sharpness={4: 60.0, 5: 60.0, 6: 150.0}), images)
    assert set(said) == {("blurred", 4), ("odd light", 5)}
    smooth = table().assign(sharpness=np.random.default_rng(0).uniform(5, 60, COUNT))
    assert found(smooth) == {}


def test_a_constant_image_is_not_called_blurred_and_padding_does_not_hide_it():
    images = pictures()
    images[7] = 90
    images[8] = 255
    images[8, 4:12] = 3  # twice as wide as high, padded with white
    changes = {"width": {8: 320}, "height": {8: 160}, "sharpness": {7: 0.0, 8: 0.0}}
    said = found(table(**changes), images)
    assert set(said) == {("nearly constant", 7), ("nearly constant", 8)}
    said = found(table(**changes), images, padded=False)
    assert set(said) == {("nearly constant", 7), ("blurred", 8)}


def test_contrast_against_numpy():
    images = pictures()[:9]
    for shape, part in ((1, images), (2, images[:, 5:11]), (0.5, images[:, :, 5:11])):
        expected = part[:, 1:-1, :] if shape == 1 else part
        expected = expected[:, :, 1:-1] if shape == 1 else expected
        got = _contrast(images, np.arange(9), np.full(9, float(shape)))
        inside = expected.mean(-1)
        if shape == 2:
            inside = inside[:, :, 1:-1]
        if shape == 0.5:
            inside = inside[:, 1:-1]
        np.testing.assert_allclose(got, inside.std((1, 2)))
    assert len(_contrast(images, np.arange(0), np.ones(0))) == 0


def test_robust_score():
    values = np.array([1.0, 2, 3, 4, 5, 6, 7, 1000, np.nan])
    score = _robust_score(values)
    assert score[8] == 0
    assert score[7] == (1000 - 4.5) / (1.4826 * 2)
    assert (_robust_score(values[:5]) == 0).all()  # too few to say what is usual
    equal = np.array([5.0] * 8 + [6])
    assert _robust_score(equal).tolist() == [0.0] * 8 + [np.inf]


def test_no_file_and_no_usable_file():
    files = table()
    assert found(files.iloc[:0].reset_index(drop=True)) == {}
    broken = files.assign(problem="empty", width=0, height=0, brightness=np.nan, sharpness=np.nan)
    rows = file_findings(broken, np.zeros((0, 16, 16, 1), "uint8"), np.full(COUNT, -1))
    assert (rows["problem"] == "empty").all()
    assert len(rows) == COUNT


def classes(counts: dict[str, int], problem: str = "") -> pd.DataFrame:
    """So many files in each folder; ``train/cat`` is class ``cat`` of that split."""
    rows = []
    for place, count in counts.items():
        first, _, rest = place.partition("/")
        split = first if first in ("train", "val", "test") else ""
        label = (rest if split else place).split("/")[0]
        rows += [(f"{place}/{number}.jpg", label, split, problem) for number in range(count)]
    return pd.DataFrame(rows, columns=["path", "label", "split", "problem"], dtype="str")


def found_classes(files: pd.DataFrame, folder: Path | None = None) -> dict[tuple[str, str], str]:
    rows = class_findings(files, folder)
    return {(row.problem, row.path): row.detail for row in rows.itertuples()}


def test_good_classes_give_nothing():
    assert found_classes(classes({"cat": 20, "dog": 30})) == {}
    assert (
        found_classes(classes({f"{s}/{c}": 12 for s in ("train", "val", "test") for c in "xy"}))
        == {}
    )


def test_imbalance_says_counts_and_what_they_do():
    said = found_classes(classes({"cat": 12, "dog": 20, "owl": 48}))
    assert list(said) == [("class imbalance", "cat")]
    detail = said["class imbalance", "cat"]
    assert "'cat' has 12 images, 'owl' has 48: 4 times as many" in detail
    assert "right for 60%" in detail
    assert found_classes(classes({"cat": 20, "dog": 59})) == {}


def test_few_images_and_splits_without_a_class():
    said = found_classes(
        classes(
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
    assert set(found_classes(classes({"cat": 20}))) == {("one class", "cat")}
    broken = classes({"cat": 2, "dog": 1}, "damaged")
    assert found_classes(broken) == {
        ("no usable image", ""): "3 files",
        ("empty class", "cat"): "2 files, none of them usable",
        ("empty class", "dog"): "1 file, none of them usable",
    }
    assert found_classes(broken.iloc[:0]) == {("no usable image", ""): "0 files"}


def test_folders_of_hidden_files_are_no_classes():
    hidden = classes({".ipynb_checkpoints": 2, "__MACOSX": 24}, "hidden")
    files = pd.concat([classes({"cat": 12, "dog": 12}), hidden], ignore_index=True)
    assert found_classes(files) == {}


def test_names_that_people_take_for_one():
    cyrillic, composed, decomposed = "саt", "caf\u00e9", "cafe\u0301"
    names = ["cat", cyrillic, "Sea Lion", "sea_lion", composed, decomposed, "dog", "猫", "犬"]
    said = found_classes(classes(dict.fromkeys(names, 12)))
    details = list(said.values())
    assert len(details) == 3
    assert "'Sea Lion', 'sea_lion' differ in case or spacing only" in details
    assert any("'\\u0441\\u0430t'" in each and "look alike" in each for each in details)
    assert any("'cafe\\u0301', 'caf\\xe9' look alike" in each for each in details)


def test_inner_folders_count_to_their_class():
    said = found_classes(classes({"cat": 12, "cat/2021": 3, "dog": 12}))
    assert said == {("inner folder", "cat/2021"): "3 images of class 'cat'"}


def test_nested_classes_are_noticed_and_series_are_not():
    said = found_classes(classes({"pet/cat": 12, "pet/dog": 12, "wild/owl": 12, "wild/emu": 12}))
    assert said["nested class folders", "pet"] == "inner folders cat, dog"
    assert ("nested class folders", "wild") in said
    series = found_classes(
        classes({"cat/day1": 12, "cat/day2": 12, "dog/day3": 12, "dog/day4": 12})
    )
    assert not [key for key in series if key[0] == "nested class folders"]
    single = found_classes(classes({"cat/photos": 12, "dog/photos": 12}))
    assert not [key for key in single if key[0] == "nested class folders"]


def test_a_list_of_files_names_classes_where_no_folder_does():
    files = pd.DataFrame(
        {"path": [f"images/{n}.jpg" for n in range(14)], "split": "", "problem": ""}
    ).assign(label=["a"] * 2 + ["b"] * 12)
    assert ("few images", "a") in found_classes(files)


def test_empty_folders_are_seen_beside_those_of_classes(tmp_path):
    for place in ("train/cat", "train/dog", "train/.thumbs", "train/cat/old", "train/Empty one"):
        (tmp_path / place).mkdir(parents=True)
    files = classes({"train/cat": 12, "train/dog": 12})
    assert found_classes(files, tmp_path) == {("empty class", "train/Empty one"): "no file"}
    assert found_classes(files.iloc[:0], tmp_path) == {("no usable image", ""): "0 files"} | {
        ("empty class", "train"): "no file"
    }


def copies(*rows: tuple[str, str, str, str, str]) -> pd.DataFrame:
    """Rows of path, label, split, hash and pixel hash."""
    columns = ["path", "label", "split", "hash", "pixel_hash"]
    return pd.DataFrame(rows, columns=columns, dtype="str").assign(problem="")


def by_path(findings: pd.DataFrame, kind: str) -> pd.DataFrame:
    return findings[findings["problem"].str.startswith(kind)].set_index("path")


def test_copies_within_a_split_keep_the_first():
    files = copies(
        ("a/1", "a", "", "h1", "p1"),
        ("a/2", "a", "", "h1", "p1"),
        ("a/3", "a", "", "h2", "p1"),
        ("a/4", "a", "", "h3", "p3"),
        ("b/5", "b", "", "h4", "p4"),
        ("b/6", "b", "", "h4", "p4"),
    )
    found = by_path(twin_findings(files, NO_PAIRS), "duplicate")
    assert found["problem"].unique().tolist() == ["duplicate"]
    assert found["action"].to_dict() == {
        **{"a/1": "keep", "a/2": "exclude", "a/3": "exclude"},
        **{"b/5": "keep", "b/6": "exclude"},
    }
    assert found.loc["a/2", "related"] == ("a/1", "a/3")
    assert found.loc["a/2", "detail"] == "same pixels as a/1, a/3"
    assert found.loc["b/5", "detail"] == "same bytes as b/6"


def test_leaks_leave_training_and_never_the_test():
    files = copies(
        ("test/a/1", "a", "test", "h1", "p1"),
        ("test/a/2", "a", "test", "h1", "p1"),
        ("train/a/3", "a", "train", "h1", "p1"),
        ("train/a/4", "a", "train", "h2", "p2"),
        ("val/a/5", "a", "val", "h1", "p1"),
        ("val/a/6", "a", "val", "h2", "p2"),
    )
    found = twin_findings(files, NO_PAIRS).set_index("path")
    assert found["problem"].unique().tolist() == ["duplicate across splits"]
    assert found["action"].to_dict() == {
        **{"test/a/1": "keep", "test/a/2": "keep", "train/a/3": "exclude"},
        **{"train/a/4": "exclude", "val/a/5": "exclude", "val/a/6": "keep"},
    }
    assert found.loc["train/a/4", "detail"] == "same bytes as val/a/6; splits train, val"


def test_conflicting_labels_are_left_to_a_person():
    files = copies(
        ("test/b/1", "b", "test", "h1", "p1"),
        ("train/a/2", "a", "train", "h1", "p1"),
        ("train/a/3", "a", "train", "h1", "p1"),
    )
    found = twin_findings(files, NO_PAIRS).set_index("path")
    assert found["problem"].unique().tolist() == ["duplicate with conflicting labels"]
    assert found["action"].unique().tolist() == ["keep"]
    said = found.loc["train/a/3", "detail"]
    assert said.endswith("labels a, b; splits test, train")
    assert found["severity"].unique().tolist() == ["error"]


def test_near_duplicates_hang_together():
    files = copies(
        ("test/a/0", "a", "test", "h0", "p0"),
        ("train/a/1", "a", "train", "h1", "p1"),
        ("train/a/2", "a", "train", "h2", "p2"),
        ("train/b/3", "b", "train", "h3", "p3"),
        ("train/a/4", "a", "train", "h4", "p4"),
        ("train/a/5", "a", "train", "h5", "p5"),
        ("train/a/6", "a", "train", "h6", "p6"),
    )
    found = twin_findings(files, np.array([[0, 1], [1, 2], [3, 4], [5, 6]])).set_index("path")
    assert found["problem"].to_dict() == {
        "test/a/0": "near-duplicate across splits",
        "train/a/1": "near-duplicate across splits",
        "train/a/2": "near-duplicate across splits",
        "train/b/3": "near-duplicate with conflicting labels",
        "train/a/4": "near-duplicate with conflicting labels",
        "train/a/5": "near-duplicate",
        "train/a/6": "near-duplicate",
    }
    assert found["action"].tolist() == [
        "keep",
        "exclude",
        "exclude",
        "keep",
        "keep",
        "keep",
        "keep",
    ]
    assert found.loc["train/a/2", "related"] == ("test/a/0", "train/a/1")


def test_copies_among_near_duplicates_are_told_once_as_each():
    files = copies(
        ("a/1", "a", "", "h1", "p1"),
        ("a/2", "a", "", "h1", "p1"),
        ("a/3", "a", "", "h3", "p3"),
    )
    found = twin_findings(files, np.array([[0, 1], [0, 2]]))  # exact pairs may be among them
    assert by_path(found, "duplicate").index.tolist() == ["a/1", "a/2"]
    near = by_path(found, "near")
    assert near["detail"].to_dict() == {
        "a/1": "nearly the same as a/3",
        "a/2": "nearly the same as a/3",
        "a/3": "nearly the same as a/1",
    }


def test_rejected_files_and_empty_hashes_have_no_twins():
    files = copies(
        ("a/1", "a", "", "h1", "p1"),
        ("a/2", "a", "", "h1", "p1"),
        ("a/3", "a", "", "", ""),
        ("a/4", "a", "", "", ""),
        ("a/5", "a", "", "h5", ""),
        ("a/6", "a", "", "h5", ""),
    )
    files.loc[1, "problem"] = "excluded"
    assert _number_pictures(files)[[1, 2, 3]].tolist() == [-1, -1, -1]
    found = twin_findings(files, np.array([[0, 1]]))
    assert found["path"].tolist() == ["a/5", "a/6"]
    assert twin_findings(files.iloc[:0], NO_PAIRS).empty


@pytest.mark.slow
@pytest.mark.parametrize("copies", [2, 60_000])
def test_a_large_folder_takes_seconds(copies):
    """Pairs everywhere, or one picture sixty thousand times."""
    numbers = np.arange(60_000)
    files = pd.DataFrame(
        {
            "path": [f"train/a/{number:05}.jpg" for number in numbers],
            "label": np.where(numbers % 7 == 0, "b", "a"),
            "split": np.where(numbers % 5 == 0, "test", "train"),
            "hash": [f"h{number // copies}" for number in numbers],
            "pixel_hash": [f"p{number // copies}" for number in numbers],
            "problem": "",
        }
    )
    pairs = np.column_stack([numbers[:-copies:2], numbers[copies::2]])
    started = time.process_time()
    found = twin_findings(files, pairs)
    assert time.process_time() - started < 10
    assert (found["problem"].str.startswith("duplicate")).sum() == 60_000
    assert found["related"].map(len).max() <= 20
    assert found["detail"].str.len().max() < 400


def test_a_scene_is_one_finding_and_no_conflict():
    """A camera that stands still: all 12 pictures hang together, and all labels are right."""
    names = [f"{label}/{number}" for label in "ab" for number in range(6)]
    rows = [(name, name[0], "", f"h{name}", f"p{name}") for name in names]
    pairs = np.column_stack([np.arange(11), np.arange(1, 12)])
    found = twin_findings(copies(*rows), pairs)
    assert (found["problem"] == "near-duplicate").sum() == 12
    scene = found[found["problem"] == "one scene"]
    assert scene["detail"].tolist() == ["12 pictures of 'a', 'b' look nearly the same"]
    assert scene["path"].tolist() == ["a/0"]
    assert len(scene["related"].iloc[0]) == 11
    few = twin_findings(copies(*rows[:8]), pairs[:7])
    assert few["problem"].unique().tolist() == ["near-duplicate with conflicting labels"]


def noisy(light: np.ndarray, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 4, light.shape)
    return (light + noise).clip(0, 255).astype("uint8")


def test_the_same_light_is_not_the_same_picture():
    """In bad light all correlate in what the lamp does; 508 of 508 such conflicts were false."""
    y, x = np.mgrid[:64, :64]
    lamp = (20 + 30 * np.exp(-((y - 20) ** 2 + (x - 30) ** 2) / 400))[..., None]
    shape = 40.0 * (((y - 30) ** 2 + (x - 20) ** 2 < 90) | (x > 55))[..., None]
    pictures = [lamp, lamp, lamp + shape, (lamp + shape) * 1.2 + 10, np.full((64, 64, 1), 9.0)]
    pictures += [pictures[-1]]
    images = np.stack([noisy(each, seed) for seed, each in enumerate(pictures)])
    images[4:] = 9
    files = pd.DataFrame({"label": list("abababa"), "problem": ""})
    places = np.array([0, 1, 2, 3, 4, 5, -1])
    pairs = np.array([[0, 1], [0, 2], [2, 3], [4, 5], [0, 6]])
    assert second_look(files, pairs, images, places).tolist() == [[0, 2], [2, 3], [0, 6]]


def test_long_narrow_pictures_of_which_little_is_left():
    sizes = {0: (480, 24), 1: (24, 480), 2: (200, 60), 3: (3000, 1), 4: (600, 60)}
    files = table(
        width={at: width for at, (width, _) in sizes.items()},
        height={at: height for at, (_, height) in sizes.items()},
    )
    said = {at: row.detail for (kind, at), row in found(files).items() if kind == "little left"}
    assert said == {
        0: "of 24 rows 1 is left",
        1: "of 24 columns 1 is left",
        4: "of 60 rows 2 are left",
    }
    assert not any(kind == "little left" for kind, _ in found(files, padded=False))


def test_few_of_16_bits_is_a_finding_of_its_own():
    words = "16-bit values of which 2.0% of the range is used; 3 pictures: the first is used"
    assert set(found(table(detail={7: words}))) == {("few of 16 bits", 7), ("animation", 7)}


def photos(count: int) -> np.ndarray:
    """Pictures of different light and contrast, as photographs have."""
    generator = np.random.default_rng(5)
    spread = generator.normal(1, 0.25, (count, 1, 1, 1)).clip(0.5) * 50
    pixels = generator.normal(0, 1, (count, 32, 32, 1)) * spread * np.ones(3)
    return (pixels + generator.normal(110, 35, (count, 1, 1, 1))).clip(0, 255).astype("uint8")


def test_a_placeholder_among_photos_is_found():
    """Almost white with words, or grey: neither very bright nor constant, and of another kind."""
    images = photos(COUNT)
    for at, paper, ink in ((7, 235, 200), (8, 128, 100)):
        images[at] = paper
        images[at, 14:18, 6:26:2] = ink
    files = table(brightness=dict(enumerate(images.mean((1, 2, 3)))))
    files["mode"] = "RGB"
    files.loc[7, "mode"] = "P"
    files.loc[9, "path"] = "cat/09.gif"
    said = found(files, images)
    assert set(said) == {("odd light", 7), ("odd light", 8), ("odd kind", 7), ("odd kind", 9)}
    assert said["odd light", 7].detail.startswith("mean grey 23")
    assert said["odd kind", 7].detail == "P, and RGB is usual"
    assert said["odd kind", 9].detail == "GIF, and JPEG is usual"


def test_two_kinds_of_files_are_usual():
    files = table()
    files["mode"] = ["L", "RGB"] * (COUNT // 2)
    assert found(files) == {}
    few = files.iloc[:12].assign(mode=["P"] + ["RGB"] * 11)
    assert found(few, pictures()[:12]) == {}
