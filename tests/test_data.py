"""Splits and data sets as arrays."""

import dataclasses
import gzip
import hashlib
import struct

import numpy as np
import pytest
from PIL import Image

from imgclf_lib.data import Split, load_data
from imgclf_lib.datasets import IDX_FILES, KNOWN
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
