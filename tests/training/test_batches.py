"""Batches: their order, and what Keras reads of them."""

import math
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from imgclf_lib.backend import load_keras
from imgclf_lib.data import Split, load_data
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import move_pixels
from imgclf_lib.training import Batches, class_weights, compile_model, fit_batches
from imgclf_lib.training.batches import feed

keras = load_keras()


def numbered_split(count: int) -> Split:
    images = np.arange(count, dtype="uint8").reshape(count, 1, 1, 1)
    return Split("train", images, np.arange(count) % 3, np.arange(count).astype(object))


def drawn(batches) -> list[int]:
    return np.concatenate([batches[at][0].ravel() for at in range(len(batches))]).tolist()


@pytest.mark.parametrize("count", [1, 9, 10, 11])
def test_batches_hold_every_image_once(count):
    batches = Batches(numbered_split(count), Experiment(batch_size=5), 3, training=True)
    assert len(batches) == math.ceil(count / 5)
    assert sorted(drawn(batches)) == list(range(count))
    for at in range(len(batches)):
        images, labels = batches[at]
        assert images.dtype == np.uint8
        np.testing.assert_array_equal(labels, images.ravel() % 3)


def test_batches_without_shuffling_keep_the_order():
    batches = Batches(numbered_split(12), Experiment(batch_size=5), 3, training=False)
    batches.begin(1)
    assert drawn(batches) == list(range(12))


def test_the_order_follows_seed_and_epoch_only():
    def order(seed: int, epoch: int) -> list[int]:
        experiment = Experiment(batch_size=5, seed=seed)
        batches = Batches(numbered_split(40), experiment, 3, training=True)
        batches.begin(epoch)
        return drawn(batches)

    assert order(0, 0) == order(0, 0)
    assert order(0, 0) != order(1, 0)
    assert order(0, 0) != order(0, 1)
    batches = Batches(numbered_split(40), Experiment(batch_size=5), 3, training=True)
    assert drawn(batches) == order(0, 0)


def test_training_alone_augments():
    """And the same images come in each epoch, wherever it is begun."""
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 1), "uint8")
    split = Split("train", images, np.arange(12) % 3, np.arange(12).astype(object))
    experiment = Experiment(batch_size=5, shift=0.3, random_erasing=0.3, flip="horizontal")
    still = Batches(split, experiment, 3, training=False)
    np.testing.assert_array_equal(np.concatenate([still[at][0] for at in range(3)]), images)
    batches, again = (Batches(split, experiment, 3, training=True) for _ in range(2))
    for epoch in (1, 0, 1):
        batches.begin(epoch)
    again.begin(1)
    for at in range(3):
        np.testing.assert_array_equal(batches[at][0], again[at][0])
        rows = again.order[5 * at : 5 * at + 5]
        expected = move_pixels(images[rows], experiment, rows, epoch=1, batch=at)
        np.testing.assert_array_equal(batches[at][0], expected)
        assert (batches[at][0] != images[rows]).any((1, 2, 3)).all()


def test_images_on_a_gpu_make_the_same_batches():
    images = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), "uint8")
    split = Split("train", images, np.arange(12) % 3, np.arange(12).astype(object))
    experiment = Experiment(batch_size=5, shift=0.3, random_erasing=0.3, flip="alternate")
    here, there = (Batches(split, experiment, 3, training=True) for _ in range(2))
    there.images = keras.ops.convert_to_tensor(images)
    for number in range(len(here)):
        moved, labels = there[number]
        assert keras.ops.is_tensor(moved)
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(moved), here[number][0])
        np.testing.assert_array_equal(labels, here[number][1])


def test_smoothing_needs_whole_distributions():
    experiment = Experiment(batch_size=5, label_smoothing=0.1)
    _, labels = Batches(numbered_split(5), experiment, 4, training=False)[0]
    np.testing.assert_array_equal(labels, np.eye(4)[[0, 1, 2, 0, 1]])


def test_balanced_sampling_shows_every_class_equally_often(tiny, tmp_path, make_images):
    folder = make_images(tmp_path / "skewed", {"rows": 60, "columns": 20, "blob": 6})
    experiment = tiny.replace(data=str(folder), sampling="balanced", batch_size=7)
    data = load_data(experiment)
    batches = Batches(data.train, experiment, 3, training=True)
    orders = []
    for epoch in range(3):
        batches.begin(epoch)
        counts = np.bincount(np.concatenate([batches[n][1] for n in range(len(batches))]))
        assert counts.sum() == len(data.train)
        assert np.ptp(counts) <= 1
        rare = batches.order[data.train.labels[batches.order] == 0]
        times = np.unique(rare, return_counts=True)[1]
        assert len(times) == (data.train.labels == 0).sum()
        assert np.ptp(times) <= 1, "none twice more often than another"
        orders.append(batches.order.tolist())
    assert orders[0] != orders[1]
    again = Batches(data.train, experiment, 3, training=True)
    again.begin(2)
    assert again.order.tolist() == orders[2]
    plain = Batches(data.val, experiment, 3, training=False)
    assert plain.order.tolist() == list(range(len(data.val)))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_fit_reads_every_batch_in_order(smoothing):
    """What ``fit`` is fed in each epoch are the batches as they are, the last one short."""
    experiment = Experiment(batch_size=5, label_smoothing=smoothing, flip="alternate")
    batches = Batches(numbered_split(12), experiment, 3, training=True)
    seen = []

    class Listening(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, images):
            return self.dense(keras.ops.cast(images[:, 0, 0], "float32"))

        def train_step(self, *given):
            images, labels = given[-1]
            seen.append((np.asarray(images), np.asarray(labels)))
            return {"loss": 0.0}

    model = Listening()
    model(np.zeros((1, 1, 1, 1), "uint8"))
    model.compile(optimizer="sgd", loss="mse", run_eagerly=True)
    fit_batches(model, batches, epochs=3, initial_epoch=1)
    assert len(seen) == 2 * len(batches) == 6
    for number, (images, labels) in enumerate(seen):
        batches.begin(1 + number // 3)
        np.testing.assert_array_equal(images, batches[number % 3][0])
        np.testing.assert_array_equal(labels, batches[number % 3][1])
        assert images.dtype == np.uint8


def test_the_next_batch_is_made_beside_the_step():
    class Watched(Batches):
        def __getitem__(self, number: int):
            made.append((number, threading.current_thread() is threading.main_thread()))
            return super().__getitem__(number)

    made: list[tuple[int, bool]] = []
    batches = Watched(numbered_split(15), Experiment(batch_size=5), 3, training=True)
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(3, "softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    fit_batches(model, batches, epochs=2)
    later = [(number, main) for number, main in made if number]
    assert set(later) == {(1, False), (2, False)}


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="others trace no step")
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_step_is_traced_once(smoothing):
    """Twice, where variables are still missing: then learners wait for seconds more."""
    traced = []

    class Counting(keras.Model):
        def train_step(self, data):
            traced.append(1)
            return super().train_step(data)

    experiment = Experiment(batch_size=5, label_smoothing=smoothing, epochs=2)
    images = keras.Input((1, 1, 1), dtype="uint8")
    pixels = keras.layers.Flatten()(keras.ops.cast(images, "float32"))
    model = Counting(images, keras.layers.Dense(3, "softmax")(pixels))
    compile_model(model, experiment, 6)
    fit_batches(model, Batches(numbered_split(12), experiment, 3, training=True), epochs=2)
    assert len(traced) == 1


FITTED = """
import numpy as np
from imgclf_lib.backend import load_keras
keras = load_keras()
from imgclf_lib.training.batches import Batches, feed
from imgclf_lib.data import Split
from imgclf_lib.experiment import Experiment
images = np.zeros((8, 2, 2, 1), "uint8")
batches = Batches(Split("train", images, np.arange(8) % 2, images), Experiment(), 2, training=True)
model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
model.compile("sgd", "sparse_categorical_crossentropy")
model.fit({read}, shuffle=False, verbose=0)
"""


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about TensorFlow's pipelines")
def test_no_pipeline_of_ours_is_slow():
    """It does not tune itself, and TensorFlow does not say that it makes memory slow."""
    batches = Batches(numbered_split(12), Experiment(batch_size=5), 3, training=True)
    assert feed(batches).options().autotune.enabled is False
    generator = "(images[at : at + 4], images[at : at + 4, 0, 0, 0]) for at in (0, 4)"
    said = {}
    for name, read in {"ours": "feed(batches)", "theirs": f"({generator})"}.items():
        done = subprocess.run(
            [sys.executable, "-c", FITTED.format(read=read)],
            capture_output=True,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"},
        )
        assert done.returncode == 0, done.stderr
        said[name] = "M_TRIM_THRESHOLD" in done.stderr
    assert said == {"ours": False, "theirs": True}


@pytest.mark.parametrize(
    "labels", [[0, 0, 0, 1, 1, 2], [2, 1, 0], np.random.default_rng(0).integers(0, 5, 200)], ids=str
)
def test_class_weights_are_those_of_sklearn(labels):
    labels = np.asarray(labels)
    known = np.unique(labels)
    wanted = dict(
        zip(known, compute_class_weight("balanced", classes=known, y=labels), strict=True)
    )
    found = class_weights(labels, len(known))
    assert found == pytest.approx(wanted)
    totals = [found[label] * (labels == label).sum() for label in known]
    assert totals == pytest.approx([len(labels) / len(known)] * len(known))


def test_a_class_without_images_has_a_finite_weight():
    assert class_weights(np.array([0, 0, 2]), 3) == {0: 0.5, 1: 1.0, 2: 1.0}
