"""Features of frozen backbones: right, computed once, safe when killed."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from imgclf_lib import features as module
from imgclf_lib.backend import load_keras
from imgclf_lib.data import ImageData, load_data
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.features import cached_features
from imgclf_lib.model import build_model
from imgclf_lib.paths import cache_folder

keras = load_keras()


@pytest.fixture(scope="module")
def shapes(images):
    return Experiment(data=str(images), backbone="efficientnet_lite0", validation_fraction=0.2)


@pytest.fixture(scope="module")
def network(shapes):
    return build_model(shapes, (24, 24, 1), 3)


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("IMGCLF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "LARGEST_BATCH", 4)
    monkeypatch.setattr(module, "SAVE_EVERY", 2)


@pytest.fixture
def counted(monkeypatch):
    """How many images the backbone has been asked about."""
    asked = []
    extract = module._extract

    def count(extractor, images, batch):
        asked.append(len(images))
        return extract(extractor, images, batch)

    monkeypatch.setattr(module, "_extract", count)
    return asked


def folder():
    [found] = cache_folder().glob("features-*/")
    return found


def test_they_are_what_the_network_says(network, shapes):
    data = load_data(shapes)
    extractor = keras.Model(network.input, network.get_layer("average").output)
    found = cached_features(network, shapes, data)
    for name in ("train", "val"):
        split = getattr(data, name)
        wanted = extractor.predict(split.images, verbose=0)
        np.testing.assert_allclose(found[name].images, wanted, atol=1e-4, rtol=1e-3)
        np.testing.assert_array_equal(found[name].labels, split.labels)
        np.testing.assert_array_equal(found[name].paths, split.paths)
        assert isinstance(found[name].images, np.memmap)
        assert found[name].images.dtype == "float32"


def test_they_are_computed_once_and_the_test_split_stays_closed(
    network, shapes, counted, monkeypatch
):
    def opened(self):
        raise AssertionError("the test split was opened")

    monkeypatch.setattr(ImageData, "test", property(opened))
    data = load_data(shapes)
    first = cached_features(network, shapes, data)
    assert sum(counted) == len(data.train) + len(data.val)
    counted.clear()
    again = cached_features(network, shapes, data)
    assert counted == []
    np.testing.assert_array_equal(first["train"].images, again["train"].images)
    assert not list(folder().glob("test*"))


def test_a_limit_computes_only_what_is_new(network, shapes, counted):
    whole = load_data(shapes)
    for limit, new in ((10, 10), (20, 10), (10, 0), (0, len(whole.train) - 20)):
        counted.clear()
        data = load_data(shapes.replace(limit=limit))
        found = cached_features(network, shapes, data, ("train",))["train"]
        assert sum(counted) == new
        assert len(found) == len(data.train)
        np.testing.assert_array_equal(found.paths, data.train.paths)
    order = {path: place for place, path in enumerate(whole.train.paths)}
    few = load_data(shapes.replace(limit=10))
    rows = [order[path] for path in few.train.paths]
    some = cached_features(network, shapes, few, ("train",))["train"]
    np.testing.assert_array_equal(some.images, found.images[rows])


@pytest.mark.parametrize("change", ["weights", "precision", "images"])
def test_anything_that_counts_makes_new_features(
    change, network, shapes, counted, tmp_path, make_images
):
    cached_features(network, shapes, load_data(shapes), ("val",))
    counted.clear()
    model, experiment = network, shapes
    if change == "weights":
        experiment = shapes.replace(backbone_weights="random")
        model = build_model(experiment, (24, 24, 1), 3)
    elif change == "precision":
        experiment = shapes.replace(precision="bfloat16")
        model = build_model(experiment, (24, 24, 1), 3)
    else:
        experiment = shapes.replace(data=str(make_images(tmp_path / "shapes", 24, seed=5)))
    cached_features(model, experiment, load_data(experiment), ("val",))
    assert counted


def test_an_interruption_keeps_what_is_done(network, shapes, counted, monkeypatch):
    data = load_data(shapes)
    wanted = np.array(cached_features(network, shapes, data, ("train",))["train"].images)
    for file in folder().glob("train*"):
        file.unlink()
    counted.clear()
    count = module._extract

    def stop(extractor, images, batch):
        if sum(counted) >= 20:
            raise KeyboardInterrupt
        return count(extractor, images, batch)

    with monkeypatch.context() as patch:
        patch.setattr(module, "_extract", stop)
        with pytest.raises(KeyboardInterrupt):
            cached_features(network, shapes, data, ("train",))
    counted.clear()
    found = cached_features(network, shapes, data, ("train",))["train"]
    assert sum(counted) == len(data.train) - 16, "two pieces of eight images were kept"
    np.testing.assert_array_equal(found.images, wanted)


KILLED = """
import os, signal, sys
from imgclf_lib import features
from imgclf_lib.data import load_data
from imgclf_lib.experiment import Experiment
from imgclf_lib.model import build_model
features.LARGEST_BATCH, features.SAVE_EVERY = 4, 2
write, asked = features._write, []
def dies(path, places, rows):
    asked.append(1)
    if len(asked) == 3:
        write(path, places[:3], rows[:3] + 1000)  # in the middle of writing a piece
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, places, rows)
features._write = dies
shapes = Experiment(data=sys.argv[1], backbone="efficientnet_lite0", validation_fraction=0.2)
features.cached_features(build_model(shapes, (24, 24, 1), 3), shapes, load_data(shapes))
"""


def test_a_killed_process_spoils_nothing(network, shapes, counted):
    """Half a piece of nonsense is on disk, not marked: it is computed again."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), shapes.data],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    data = load_data(shapes)
    found = cached_features(network, shapes, data, ("train",))["train"]
    assert sum(counted) == len(data.train) - 16
    extractor = keras.Model(network.input, network.get_layer("average").output)
    wanted = extractor.predict(data.train.images, verbose=0)
    np.testing.assert_allclose(found.images, wanted, atol=1e-3, rtol=1e-3)


def test_features_that_are_no_numbers_are_refused(shapes):
    model = build_model(shapes, (24, 24, 1), 3)
    network = model.get_layer("backbone")
    network.set_weights([weight * np.nan for weight in network.get_weights()])
    with pytest.raises(InputError, match="not a number"):
        cached_features(model, shapes, load_data(shapes), ("val",))


def test_the_bar_is_for_those_who_want_it(network, shapes, capfd, monkeypatch):
    monkeypatch.setattr("imgclf_lib.features.progress_bar", impatient)
    cached_features(network, shapes, load_data(shapes), ("val",), progress="none")
    assert capfd.readouterr().err == ""
    (folder() / "val-done.npy").unlink()
    cached_features(network, shapes, load_data(shapes), ("val",), progress="bar")
    assert "Features of val" in capfd.readouterr().err


def impatient(items, description, total=None, unit="step"):
    from tqdm import tqdm

    return tqdm(items, description, total, unit=unit)
