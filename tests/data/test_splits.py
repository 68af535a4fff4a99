"""Splits that are stratified and seeded, and keep together what belongs together."""

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.data import group_images, make_splits
from imgclf_lib.errors import InputError


def made_up_table(counts: dict[str, int], hashes: list[str] | None = None) -> pd.DataFrame:
    """A table of decoded images, each different unless hashes are given."""
    labels = [label for label, count in counts.items() for _ in range(count)]
    return pd.DataFrame(
        {
            "path": [f"{label}/{row}.png" for row, label in enumerate(labels)],
            "label": labels,
            "split": "",
            "hash": hashes or [f"h{row}" for row in range(len(labels))],
            "problem": "",
        }
    )


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
    ("counts", "hashes", "said"),
    [
        ({"a": 30, "few": 1}, None, "1 class has too few images: 'few' has 1 image."),
        ({"a": 30, "few": 2}, None, "'few' has 2 images."),
        ({"few": 3, "a": 3}, list("xxxuvw"), "'few' has 3 images of which 1 differ."),
        ({"b": 1, "a": 2, "c": 9}, None, "2 classes have .*'a' has 2 images, 'b' has 1 image."),
    ],
)
def test_too_few_images(counts, hashes, said):
    with pytest.raises(InputError, match=f"{said}.*at least 3 different images a class"):
        make_splits(made_up_table(counts, hashes), 0.2, 0.2, 0)


def test_two_images_are_enough_where_the_test_images_are_given():
    table = made_up_table({"a": 3, "b": 3})
    table["split"] = ["", "", "test"] * 2
    made = make_splits(table, 0.2, 0.2, 0)
    assert made.groupby("label")["split"].apply(sorted).tolist() == [["test", "train", "val"]] * 2


@pytest.mark.parametrize("seed", range(5))
def test_groups_of_the_user_stay_together(seed):
    """Ten patients with five images each: none is both learned from and tested on."""
    table = made_up_table({"ill": 25, "well": 25})
    table["group"] = [f"patient {row // 5}" for row in range(50)]
    made = make_splits(table, 0.2, 0.2, seed)
    assert (made.groupby("group")["split"].nunique() == 1).all()
    assert made.groupby(["label", "split"]).size().tolist() == [5, 15, 5] * 2


def test_a_class_in_one_group_is_refused():
    table = made_up_table({"a": 9, "b": 9})
    table["group"] = ["burst"] * 9 + [""] * 9
    with pytest.raises(InputError, match=r"'a' has 9 images of which 1 differ.*images of one gr"):
        make_splits(table, 0.2, 0.2, 0)


@pytest.mark.parametrize("seed", range(5))
def test_near_duplicates_stay_together(seed):
    table = made_up_table({"a": 40, "b": 40})
    pairs = np.column_stack([np.arange(0, 80, 2), np.arange(1, 80, 2)])
    made = make_splits(table, 0.2, 0.2, seed, pairs)
    assert (made["split"][::2].to_numpy() == made["split"][1::2].to_numpy()).all()
    assert (made.groupby(["label", "split"]).size() >= 6).all()


def chain(count: int) -> np.ndarray:
    return np.column_stack([np.arange(count - 1), np.arange(1, count)])


def test_pictures_of_one_scene_are_divided_with_a_warning(capsys):
    """A camera that stands still: all images of both classes are near-duplicates."""
    table = made_up_table({"car": 40, "empty": 40, "other": 40})
    table.loc[[1, 2], "hash"] = "h0"  # three copies
    table.loc[3:4, "group"] = "burst"
    table["group"] = table["group"].fillna("")
    for seed in range(5):
        made = make_splits(table, 0.2, 0.2, seed, chain(80))
        said = capsys.readouterr().err
        assert "'car', 'empty'" in said
        assert "other" not in said
        assert "--near_duplicates split" in said
        assert made["split"][:3].nunique() == 1
        assert made["split"][3:5].nunique() == 1
        assert (made.groupby(["label", "split"]).size() >= 5).all()


def test_only_the_class_that_needs_it_is_divided(capsys):
    table = made_up_table({"a": 40, "b": 40})
    pairs = np.concatenate([chain(40), np.column_stack([np.arange(40, 80, 2), range(41, 80, 2)])])
    made = make_splits(table, 0.2, 0.2, 0, pairs)
    assert "'a' look alike" in capsys.readouterr().err
    assert (made["split"][40::2].to_numpy() == made["split"][41::2].to_numpy()).all()
    assert made["split"][:40].nunique() == 3


def test_copies_are_refused_as_before_where_dividing_does_not_help(capsys):
    table = made_up_table({"a": 9, "b": 9}, ["x"] * 9 + [f"h{row}" for row in range(9)])
    with pytest.raises(InputError, match=r"'a' has 9 images of which 1 differ.*Copies and images"):
        make_splits(table, 0.2, 0.2, 0, chain(9))
    assert capsys.readouterr().err == ""


def test_near_duplicates_of_different_classes_do_not_belong_together():
    table = pd.DataFrame({"hash": list("abcde"), "label": ["x", "y", "x", "y", "y"]})
    assert group_images(table, chain(4)).tolist() == [0, 1, 0, 1, 2]


def test_what_belongs_together():
    table = pd.DataFrame(
        {
            "hash": ["1", "1", "2", "3", "4", "5", "6"],
            "pixel_hash": ["p", "p", "p", "q", "r", "", ""],
            "group": ["", "", "", "g", "g", "", ""],
        }
    )
    assert group_images(table).tolist() == [0, 0, 0, 1, 1, 2, 3]
    assert group_images(table, np.array([[2, 4]])).tolist() == [0, 0, 0, 0, 0, 1, 2]


def test_a_large_group_does_not_take_the_place_of_many_small_ones():
    table = made_up_table({"a": 100, "b": 100})
    table["group"] = ["burst"] * 60 + [""] * 140
    for seed in range(10):
        made = make_splits(table, 0.1, 0.1, seed)
        counts = made[made["label"] == "a"]["split"].value_counts()
        assert counts["test"] == 10
        assert counts["val"] == 9
        assert (made["split"][:60] == "train").all()


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
        assert "too few images" in message or "no training image" in message
    else:
        assert set(made.loc[made["split"] == "train", "label"]) == {"a", "b"}
