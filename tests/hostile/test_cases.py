"""Layouts, lists and archives as the world has them, made by the generators beside the checkout.

They are not part of the project; the kinds that they are examples of have tests of their own in
``tests/data`` and ``tests/files``.
"""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from imgclf_lib.data.listing import check_listing
from imgclf_lib.data.sources import open_source
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment

CASES = Path(__file__).parent.parent.parent.parent / "shared" / "cases"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not there"),
]


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    """The function that gives the folder of a generator, which has run once."""
    top = tmp_path_factory.mktemp("cases")

    def make(name: str) -> Path:
        out = top / name
        if not out.is_dir():
            subprocess.run([sys.executable, CASES / f"gen_{name}.py", out], check=True)
        return out

    return make


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLF_CACHE", str(tmp_path / "cache"))


def used(place: Path, **settings) -> dict[str, int]:
    """How many images each class has in each split; and that training would take them."""
    source = open_source(Experiment(data=str(place), **settings))
    check_listing(source.name, source.listing)
    rows = source.table[source.table["problem"] == ""]
    return Counter(f"{row.split}/{row.label}".lstrip("/") for row in rows.itertuples())


def lost(place: Path) -> dict[str, int]:
    """How many files are not used for each reason."""
    table = open_source(Experiment(data=str(place))).table
    return Counter(table.loc[table["problem"] != "", "problem"])


def splits(classes: str, count: int, names: str = "train val test") -> dict[str, int]:
    return {f"{split}/{label}": count for split in names.split() for label in classes.split()}


@pytest.mark.parametrize(
    ("name", "expected", "beside"),
    [
        ("split_siblings/udemy", splits("cats dogs", 15, "train test"), {"not in a split": 2}),
        (
            "split_siblings/intel",
            splits("buildings forest", 15, "train test"),
            {"not in a split": 6},
        ),
        ("split_siblings/xray", splits("NORMAL PNEUMONIA", 15), {"not in a split": 90}),
        (
            "split_siblings/signs",
            splits("0 1 10 2", 15, "train"),
            {"no class": 10, "not in a split": 4},
        ),
        ("split_siblings/figures", splits("cat dog", 15), {"not in a split": 1}),
        ("loose/splits", splits("cat dog", 12), {"not in a split": 1}),
        ("loose/around", {"cat": 12, "dog": 12}, {"no class": 1}),
        ("loose/fruit", splits("Apple Banana", 12, "train test"), {"not in a split": 4}),
        (
            "loose/other_names",
            splits("cat dog", 12, "train test") | splits("cat dog", 24, "val"),
            {},
        ),
        ("lists/whole", {"beagle": 15, "collie": 15}, {"not listed": 8}),
        ("lists/hub_csv", {"beagle": 15, "collie": 15}, {}),
        ("lists/hub_jsonl", {"beagle": 15, "collie": 15}, {}),
        ("hidden/photos", {"cat": 12, "dog": 12}, {"hidden": 1}),
        ("folders/unlabelled", splits("cat dog", 12, "train"), {"no class": 6}),
        ("folders/bare", {"cat": 12, "dog": 12}, {}),
        ("archives/mac.zip", {"cat": 12, "dog": 12}, {"hidden": 25}),
        ("archives/backslash.zip", {"cat": 12, "dog": 12}, {}),
        ("archives/japanese.zip", {"猫": 12, "表示": 12}, {}),
        ("archives/list.zip", {"cat": 12, "dog": 12}, {}),
        ("archives/two_lists.zip", splits("cat dog", 6, "train test"), {}),
    ],
)
def test_layouts(name, expected, beside, cases):
    place = cases(name.split("/")[0]) / name.split("/")[1]
    assert used(place) == expected
    assert lost(place) == beside


@pytest.mark.parametrize(
    "name",
    [
        *("labels", "labels_named", "with_ending", "with_ending_named", "semicolon", "tab"),
        *("backslash", "bom_index", "absolute", "fold", "nfc"),
    ],
)
def test_lists(name, cases):
    assert used(cases("lists") / f"ids/{name}.csv") == {"beagle": 15, "collie": 15}


@pytest.mark.parametrize("name", ["floats.csv", "floats.parquet"])
def test_numbers_with_a_gap(name, cases):
    assert used(cases("lists") / "ids" / name) == {"0": 15, "1": 14}


def test_other_writing_of_names(cases):
    ids = cases("lists") / "ids"
    text = (ids / "bom_index.csv").read_text(encoding="utf-8-sig")
    (ids / "capitals.csv").write_text(text.replace(".jpg,", ".JPG,"))
    assert used(ids / "capitals.csv") == {"beagle": 15, "collie": 15}


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lists/flat_train", "two ways.*'train' and 'test1'.*--class_folders plain"),
        ("lists/ids/inside.parquet", "'image'.*nested values.*Export"),
        ("lists/ids/cp1252.csv", "cannot be read.*UTF-8"),
        ("archives/nested.zip", "stay closed: test1.zip, train.zip.*Unpack"),
        ("archives/page.zip", "is no archive"),
        ("archives/photos.7z", "holds no data set"),
    ],
)
def test_what_is_refused_with_a_reason(name, said, cases):
    first, _, rest = name.partition("/")
    with pytest.raises(InputError, match=said):
        used(cases(first) / rest)


def test_the_flag_chooses_the_other_reading(cases):
    place = cases("lists") / "flat_train"
    assert used(place, class_folders="plain") == {"train": 30, "test1": 8}
