"""Splits and data sets as arrays; knowing the images, against NumPy."""

import dataclasses
import gzip
import hashlib
import struct

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imgclf_lib.data import (
    KNOWN,
    Split,
    captions,
    class_statistics,
    find_copies,
    load_data,
    picture,
    random_examples,
    sort_images,
    typical_to_unusual,
)
from imgclf_lib.data.dataset import ORDERS
from imgclf_lib.data.sources import IDX_FILES
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment


def made_up_split(counts: list[int], seed: int = 0) -> Split:
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = np.random.default_rng(seed).permutation(labels).astype("int64")
    images = np.arange(len(labels), dtype="uint8").reshape(-1, 1, 1, 1)
    return Split("train", images, labels, np.arange(len(labels)).astype(object))


def test_arrays_hold_the_pixels_of_the_files(images):
    data = load_data(Experiment(data=str(images)))
    assert data.name == "shapes"
    assert data.class_names == ("blob", "columns", "rows")
    assert data.image_shape == (24, 24, 1)
    for split in (data.train, data.val, data.test):
        assert split.images.shape == (len(split), 24, 24, 1)
        assert split.images.dtype == np.uint8
        assert split.labels.dtype == np.int64
        assert isinstance(split.images, np.memmap)
        for image, label, path in zip(split.images, split.labels, split.paths, strict=True):
            assert path.split("/")[0] == data.class_names[label]
            np.testing.assert_array_equal(image[..., 0], np.asarray(Image.open(images / path)))
    paths = [*data.train.paths, *data.val.paths, *data.test.paths]
    assert sorted(paths) == sorted(
        path.relative_to(images).as_posix() for path in images.rglob("*.png")
    )


def test_given_splits_and_color(split_images):
    data = load_data(Experiment(data=str(split_images)))
    assert [len(each) for each in (data.train, data.val, data.test)] == [30, 12, 15]
    for split in (data.train, data.val, data.test):
        assert all(path.startswith(f"{split.name}/") for path in split.paths)
        picture = Image.open(split_images / split.paths[-1])
        np.testing.assert_array_equal(split.images[-1], np.asarray(picture))


def test_the_table_covers_every_file(images):
    table = load_data(Experiment(data=str(images))).table
    assert len(table) == 72
    assert (table["problem"] == "").all()
    assert (table[["width", "height"]] == 24).all(axis=None)
    assert set(table["split"]) == {"train", "val", "test"}
    for path, found in zip(table["path"], table["hash"], strict=True):
        assert found == hashlib.blake2b((images / path).read_bytes(), digest_size=12).hexdigest()


def test_class_names_that_look_like_something_else(tmp_path, make_images):
    folder = make_images(tmp_path / "words", {"NA": 4, "1": 4, "true": 4})
    assert load_data(Experiment(data=str(folder))).class_names == ("1", "NA", "true")


def test_limit_keeps_the_balance_of_training_images_only(images):
    whole = load_data(Experiment(data=str(images)))
    part = load_data(Experiment(data=str(images), limit=9))
    assert np.bincount(part.train.labels).tolist() == [3, 3, 3]
    assert set(part.train.paths) <= set(whole.train.paths)
    assert part.val.paths.tolist() == whole.val.paths.tolist()
    assert part.fingerprint == whole.fingerprint


def test_fashion_mnist_splits():
    data = load_data(Experiment())
    # Copies stay together, so that a class may have an image more or less for validation.
    assert np.bincount(data.val.labels).tolist() == pytest.approx([600] * 10, abs=2)
    assert len(data.train) + len(data.val) == 60_000
    assert np.bincount(data.test.labels).tolist() == [1000] * 10
    used = data.table[data.table["split"] != "test"]
    assert (used.groupby("hash")["split"].nunique() == 1).all()
    assert (data.table.loc[60_000:, "split"] == "test").all()


def test_a_known_set_of_another_size_and_color(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLF_DATA", str(tmp_path))
    monkeypatch.setenv("IMGCLF_CACHE", str(tmp_path / "cache"))
    (tmp_path / "mnist").mkdir()
    generator, checksums = np.random.default_rng(0), {}
    for name in IDX_FILES:
        array = np.repeat(np.arange(10, dtype="uint8"), 4)
        if "images" in name:
            array = generator.integers(0, 256, (40, 28, 28), "uint8")
        head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}i", *array.shape)
        raw = gzip.compress(head + array.tobytes())
        (tmp_path / "mnist" / name).write_bytes(raw)
        checksums[name] = hashlib.md5(raw).hexdigest()
        if name == IDX_FILES[2]:
            test_images = array
    monkeypatch.setitem(KNOWN, "mnist", dataclasses.replace(KNOWN["mnist"], checksums=checksums))
    data = load_data(Experiment(data="mnist", image_size=14, color="color"))
    assert data.image_shape == (14, 14, 3)
    assert np.bincount(data.train.labels).tolist() == [3] * 10
    small = Image.fromarray(test_images[7]).convert("RGB").resize((14, 14), 3)
    np.testing.assert_array_equal(data.test.images[7], np.asarray(small))
    np.testing.assert_array_equal(data.test.labels, np.repeat(np.arange(10), 4))
    same = load_data(Experiment(data="mnist"))
    np.testing.assert_array_equal(same.test.images[..., 0], test_images)


def test_take_keeps_rows_together():
    split = made_up_split([5, 5])
    part = split.take(np.array([7, 2, 2]))
    assert part.images.ravel().tolist() == [7, 2, 2]
    assert part.labels.tolist() == split.labels[[7, 2, 2]].tolist()
    assert part.paths.tolist() == [7, 2, 2]
    assert part.name == "train"


@pytest.mark.parametrize("seed", range(8))
def test_sample_keeps_the_shares_of_the_classes(seed):
    generator = np.random.default_rng(seed)
    counts = generator.integers(1, 60, 4).tolist()
    split = made_up_split(counts, seed)
    for count in generator.integers(1, len(split), 5).tolist():
        part = split.sample(count, seed)
        assert len(part) == count
        assert len(set(part.paths)) == count
        shares = np.array(counts) * count / len(split)
        assert np.abs(np.bincount(part.labels, minlength=4) - shares).max() <= 1
        np.testing.assert_array_equal(part.labels, split.labels[part.paths.astype(int)])


def test_sample_follows_the_seed():
    split = made_up_split([30, 30])
    first, again, other = (split.sample(10, seed).paths.tolist() for seed in (1, 1, 2))
    assert first == again
    assert first != other


@pytest.mark.parametrize("count", [0, 20, 21, 1000])
def test_sample_of_everything_copies_nothing(count):
    split = made_up_split([10, 10])
    assert split.sample(count) is split


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
    monkeypatch.setattr("imgclf_lib.data.dataset.PIECE", piece)
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


def test_captions_are_three_lines():
    table = pd.DataFrame({"row": [7, 0], "label": ["cat", "a\nlong\t name"], "value": [1234, 5]})
    assert captions(table) == ["#7\ncat\n1,234", "#0\na long name\n5"]
    of_shares = captions(table.assign(value=[1234.56, 0.04]))
    assert of_shares == ["#7\ncat\n1,234.6", "#0\na long name\n0.0"]
    assert captions(table.iloc[:0]) == []
