"""The practice folder: all that is planted is there, is found, and the test split stays closed."""

import numpy as np
import pytest

from imgclf_lib.audit import audit
from imgclf_lib.course import write_practice
from imgclf_lib.data import PROBLEMS, ImageData, load_data
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment

COUNT = 45


@pytest.fixture(scope="module")
def source(images) -> ImageData:
    return load_data(Experiment(data=str(images), validation_fraction=0.2))


@pytest.fixture(scope="module")
def made(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("practice") / "photos"
    return folder, write_practice(folder, source, COUNT, seed=1)


@pytest.fixture(scope="module")
def found(made):
    return audit(Experiment(data=str(made[0])))


def test_every_file_comes_out_as_planned(made, found):
    _, planted = made
    assert not planted["path"].duplicated().any()
    table = found.table.set_index("path")
    assert set(table.index) == set(planted["path"])
    assert table["problem"].reindex(planted["path"]).tolist() == planted["problem"].tolist()


def test_each_reason_why_a_file_is_not_used_is_there(made):
    _, planted = made
    # Those of lists, of archives, and of folders that a person would not make by mistake here.
    elsewhere = {"excluded", "repeated", "missing", "not listed", "unsafe", "archive"}
    elsewhere |= {"not in a split"}
    assert set(PROBLEMS) - elsewhere == set(planted["problem"]) - {""}


def test_copies_leak(made, found):
    _, planted = made
    leaked = planted[planted["kind"].str.startswith("leaked")]
    assert set(leaked["kind"]) == {"leaked copy", "leaked JPEG"}
    assert leaked["path"].str.startswith("test/").all()
    told = found.findings[found.findings["problem"].str.startswith("duplicate")]
    assert set(leaked.loc[leaked["kind"] == "leaked copy", "path"]) <= set(told["path"])


def test_wrong_labels_are_wrong_and_others_right(made, source):
    _, planted = made
    folder = planted["path"].str.split("/").str[1]
    wrong = planted["kind"] == "wrong label"
    assert wrong.sum() == 2
    assert (folder[wrong] != planted.loc[wrong, "label"]).all()
    good = planted["kind"] == "good"
    assert (folder[good] == planted.loc[good, "label"]).all()
    assert set(planted.loc[good, "label"]) == set(source.class_names)


def test_the_last_class_is_rare(made, source):
    _, planted = made
    training = planted[planted["path"].str.startswith("train/") & (planted["kind"] == "good")]
    counts = training["label"].value_counts()
    assert counts[source.class_names[-1]] <= 4 < counts[source.class_names[0]]


def test_test_images_are_those_of_validation(made, source):
    _, planted = made
    names = source.val.sample(11).labels
    honest = planted[planted["path"].str.startswith("test/") & (planted["kind"] == "good")]
    assert honest["label"].tolist() == [source.class_names[label] for label in names]
    assert "test" not in vars(source)


def test_the_seed_decides(made, source, tmp_path):
    _, planted = made
    again = write_practice(tmp_path / "again", source, COUNT, seed=1)
    other = write_practice(tmp_path / "other", source, COUNT, seed=2)
    assert again.equals(planted)
    assert not other.equals(planted)
    with pytest.raises(InputError, match="not empty"):
        write_practice(tmp_path / "other", source, COUNT)


def test_names_of_classes_become_names_of_folders(source, tmp_path):
    odd = ImageData("odd", ("T-shirt/top", "..", "猫"), source.table, "", source.folder)
    vars(odd)["train"], vars(odd)["val"] = source.train, source.val
    planted = write_practice(tmp_path / "odd", odd, COUNT)
    assert {"T-shirt or top", "class 1", "猫"} == set(planted["label"]) - {""}
    assert np.isin(planted["path"].str.split("/").str[0], ["train", "test"]).all()
