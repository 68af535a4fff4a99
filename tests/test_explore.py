"""Knowing the images, against NumPy."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.data import Split, load_data
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.explore import (
    ORDERS,
    captions,
    class_statistics,
    find_copies,
    picture,
    random_examples,
    sort_images,
    typical_to_unusual,
)


@pytest.fixture(scope="module")
def split() -> Split:
    """3,000 images of 4 classes; the third has two images, the fourth none."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, 3000)
    labels[[5, 2000]] = 2
    images = generator.integers(0, 255, (3000, 3, 4, 1), "uint8")
    return Split("train", images, labels, np.arange(3000).astype(object))


def test_statistics_are_those_of_numpy(split):
    means, deviations = class_statistics(split, 4)
    assert means.shape == deviations.shape == (4, 3, 4, 1)
    for label in range(3):
        chosen = split.images[split.labels == label]
        np.testing.assert_allclose(means[label], chosen.mean(0))
        np.testing.assert_allclose(deviations[label], chosen.std(0), atol=1e-6)
    assert (means[3] == 0).all()
    assert (deviations[3] == 0).all()


def test_random_examples_are_of_their_class(split):
    found = random_examples(split, np.array([2, 0]), 5, seed=1).reshape(2, 5, 3, 4, 1)
    of_class = {split.images[row].tobytes(): split.labels[row] for row in range(3000)}
    assert [of_class.get(image.tobytes()) for image in found[0]] == [2, 2, None, None, None]
    assert (found[0, 2:] == 255).all()
    assert [of_class[image.tobytes()] for image in found[1]] == [0] * 5
    assert len({image.tobytes() for image in found[1]}) == 5
    again = random_examples(split, np.array([2, 0]), 5, seed=1)
    np.testing.assert_array_equal(again, found.reshape(again.shape))
    assert (random_examples(split, np.array([0]), 5, seed=2) != found[1]).any()


def test_typical_to_unusual_is_ordered_by_distance(split):
    means, _ = class_statistics(split, 4)
    found = typical_to_unusual(split, np.array([1, 3]), 6, means).reshape(2, 6, 3, 4, 1)
    distances = np.square(found[0] - means[1]).sum((1, 2, 3))
    every = np.square(split.images[split.labels == 1] - means[1]).sum((1, 2, 3))
    assert (np.diff(distances) >= 0).all()
    assert (distances[0], distances[-1]) == (every.min(), every.max())
    assert (found[1] == 255).all()


def test_copies():
    table = pd.DataFrame(
        {
            "path": ["a", "b", "c", "d", "e"],
            "label": ["y", "x", "x", "x", "x"],
            "split": ["train", "test", "train", "train", "train"],
            "hash": ["1", "1", "2", "3", "3"],
            "problem": ["", "", "", "", "cannot be decoded"],
        }
    )
    found = find_copies(table)
    assert found.index.tolist() == ["1"]
    assert found.loc["1"].to_dict() == {
        "files": 2,
        "splits": ("test", "train"),
        "labels": ("x", "y"),
        "paths": ["a", "b"],
    }
    assert find_copies(table.iloc[2:]).empty


def test_picture_never_opens_the_test_split(images):
    data = load_data(Experiment(data=str(images)))
    wanted = data.val.paths[0]
    np.testing.assert_array_equal(picture(data, [data.test.paths[0], wanted]), data.val.images[0])
    with pytest.raises(ValueError, match="None of these"):
        picture(data, [data.test.paths[0]])


@pytest.fixture(scope="module")
def source(images):
    return load_data(Experiment(data=str(images), validation_fraction=0.2))


@pytest.mark.parametrize("split", ["train", "val"])
@pytest.mark.parametrize("label", [None, 1])
@pytest.mark.parametrize("by", ORDERS)
@pytest.mark.parametrize("piece", [1, 5000, 4_000_000])
def test_sorted_images_against_numpy(source, split, label, by, piece, monkeypatch):
    monkeypatch.setattr("imgclf_lib.explore.PIECE", piece)
    part = getattr(source, split)
    found = sort_images(source, split, label, by)
    rows = found["row"].to_numpy()
    wanted = np.arange(len(part)) if label is None else np.flatnonzero(part.labels == label)
    assert sorted(rows) == wanted.tolist()
    assert found["path"].tolist() == part.paths[rows].tolist()
    assert found["label"].tolist() == [source.class_names[each] for each in part.labels[rows]]
    train = source.train
    means = [train.images[train.labels == each].mean(0) for each in range(3)]
    values = {
        "chance": rows,
        "brightness": part.images[rows].mean((1, 2, 3)),
        "size": np.full(len(rows), 24 * 24),
        "distance": [
            np.sqrt(np.square(part.images[row] - means[part.labels[row]]).sum()) for row in rows
        ],
    }
    np.testing.assert_allclose(found["value"], values[by])
    if by == "chance":
        assert (np.diff(rows) < 0).any()
        pd.testing.assert_frame_equal(found, sort_images(source, split, label, by))
    else:
        assert (np.diff(found["value"]) >= 0).all()


def test_sorting_by_size_reads_the_table(source):
    table = source.table.copy()
    table["width"] = np.arange(len(table)) + 1
    found = sort_images(dataclasses.replace(source, table=table), by="size")
    widths = table.set_index("path")["width"]
    assert found["value"].tolist() == sorted(widths[source.train.paths] * 24)
    assert (found["value"] == widths[found["path"]].to_numpy() * 24).all()


def test_sorting_respects_the_limit_and_never_opens_the_test_split(source):
    limited = dataclasses.replace(source, limit=9)
    assert len(sort_images(limited, by="distance")) == 9
    with pytest.raises(InputError, match="train, val"):
        sort_images(source, "test")
    with pytest.raises(InputError, match="no such order"):
        sort_images(source, by="beauty")


def test_captions_are_two_lines():
    table = pd.DataFrame({"label": ["cat", "a\nlong\t name"], "value": [1234, 5]})
    assert captions(table) == ["cat\n1,234", "a long name\n5"]
    assert captions(table.assign(value=[1234.56, 0.04])) == ["cat\n1,234.6", "a long name\n0.0"]
    assert captions(table.iloc[:0]) == []
