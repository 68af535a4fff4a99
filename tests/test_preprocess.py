"""Scaling and augmentation against NumPy."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from imgclf_lib import preprocess
from imgclf_lib.backend import load_keras
from imgclf_lib.experiment import Experiment
from imgclf_lib.preprocess import (
    AUGMENTATIONS,
    augment,
    augmentation_layers,
    class_weights,
    mirror_alternately,
    pixel_statistics,
    scaling_layer,
)

STRENGTHS = {
    "flip": "horizontal",
    "shift": 0.25,
    "rotate": 30.0,
    "zoom": 0.3,
    "brightness": 0.2,
    "contrast": 0.5,
    "erase": 0.25,
}


def random_images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(40, 200, shape, "uint8")


def augmented(images: np.ndarray, training: bool = True, **fields: object) -> np.ndarray:
    values = images.astype("float32")
    for layer in augmentation_layers(Experiment(**fields)):
        values = layer(values, training=training)
    return load_keras().ops.convert_to_numpy(values)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 4096, 5000])
def test_statistics_are_those_of_numpy(count, channels):
    images = random_images(count, 3, 2, channels)
    found = pixel_statistics(images)
    np.testing.assert_allclose(found.mean, images.mean((0, 1, 2)))
    np.testing.assert_allclose(found.deviation, images.std((0, 1, 2)))


def test_a_flat_channel_has_deviation_one():
    images = random_images(10, 4, 4, 3)
    images[..., 1] = 77
    found = pixel_statistics(images)
    assert found.mean[1] == 77
    assert found.deviation[1] == 1
    assert pixel_statistics(images[:0]).deviation.tolist() == [1, 1, 1]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("scaling", ["unit", "standardize", "none"])
def test_scaling(scaling, channels):
    images = random_images(6, 5, 5, channels)
    layer = scaling_layer(Experiment(scaling=scaling), pixel_statistics(images))
    found = load_keras().ops.convert_to_numpy(layer(images.astype("float32")))
    wanted = {
        "unit": images / 255,
        "standardize": (images - images.mean((0, 1, 2))) / images.std((0, 1, 2)),
        "none": images,
    }[scaling]
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_nothing_asked_for_is_nothing_done():
    assert augmentation_layers(Experiment()) == []
    names = [layer.name for layer in augmentation_layers(Experiment(**STRENGTHS))]
    assert names == list(STRENGTHS)


@pytest.mark.parametrize("name", STRENGTHS)
def test_augmentation_works_in_training_alone(name):
    images = random_images(16, 12, 12, 3)
    strength = {name: STRENGTHS[name]}
    np.testing.assert_array_equal(augmented(images, training=False, **strength), images)
    changed = augmented(images, **strength)
    assert changed.shape == images.shape
    assert (changed != images).any()
    assert changed.min() >= 0
    assert changed.max() <= 255
    differing = [(changed[row] - images[row]).round(3).tobytes() for row in range(16)]
    assert len(set(differing)) > 1, "each image has its own change"


@pytest.mark.parametrize("name", STRENGTHS)
def test_augmentation_follows_the_seed(name):
    images = random_images(16, 12, 12, 1)
    first, again, other = (
        augmented(images, seed=seed, **{name: STRENGTHS[name]}) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_every_augmentation_has_its_own_stream():
    layers = augmentation_layers(Experiment(**STRENGTHS))
    states = [
        tuple(load_keras().ops.convert_to_numpy(layer.generator.state).tolist()) for layer in layers
    ]
    assert len(set(states)) == len(STRENGTHS)


@pytest.mark.parametrize("flip", ["horizontal", "both"])
def test_flips_are_mirror_images(flip):
    images = random_images(40, 6, 6, 1).astype("float32")
    found = augmented(images, flip=flip)
    ways = [lambda image: image, lambda image: image[:, ::-1]]
    if flip == "both":
        ways += [lambda image: image[::-1], lambda image: image[::-1, ::-1]]
    seen = set()
    for image, result in zip(images, found, strict=True):
        matching = [number for number, way in enumerate(ways) if (way(image) == result).all()]
        assert len(matching) == 1
        seen |= set(matching)
    assert seen == set(range(len(ways)))


def test_a_shift_stays_within_its_range():
    """A vertical and a horizontal ramp show how far each image went."""
    ramp = np.tile(np.arange(20, dtype="float32") * 10, (20, 1))
    images = np.repeat(np.stack([ramp, ramp.T], -1)[np.newaxis], 40, 0)
    found = augmented(images, shift=0.25)
    moved = (found - images)[:, 10, 10] / -10
    assert np.abs(moved).max() <= 0.25 * 20 + 1e-3
    assert np.abs(moved).max() > 0.15 * 20
    assert (moved < 0).any()
    assert (moved > 0).any()


def test_brightness_adds_one_number_to_an_image():
    images = random_images(40, 6, 6, 3).astype("float32")
    added = augmented(images, brightness=0.1) - images
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1, :1], added.shape), atol=1e-3)
    assert 0.06 * 255 < np.abs(added).max() <= 0.1 * 255 + 1e-3


def test_contrast_stretches_around_the_mean():
    images = np.random.default_rng(0).uniform(100, 150, (40, 6, 6, 1)).astype("float32")
    found = augmented(images, contrast=0.5)
    centre = images.mean((1, 2), keepdims=True)
    factors = ((found - centre) / (images - centre)).reshape(40, -1)
    middles = np.median(factors, 1, keepdims=True).repeat(36, 1)
    np.testing.assert_allclose(factors, middles, atol=0.05)
    assert 0.49 < middles.min() < 0.8
    assert 1.2 < middles.max() < 1.51


def test_erasing_paints_a_grey_square():
    images = random_images(40, 20, 20, 1).astype("float32")
    found = augmented(images, erase=0.25)
    changed = found != images
    assert (found[changed] == 127).all()
    for each in changed[..., 0]:
        rows, columns = np.flatnonzero(each.any(1)), np.flatnonzero(each.any(0))
        assert 0 < np.ptp(rows) + 1 <= 6
        assert 0 < np.ptp(columns) + 1 <= 6


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


ALL_KINDS = Experiment(
    flip="both", shift=0.2, rotate=30.0, zoom=0.3, brightness=0.4, contrast=0.5, erase=0.4
)


def test_augment_runs_the_layers_of_training_in_their_order():
    seen = []
    for name in AUGMENTATIONS:
        seen += [layer.name for layer in preprocess._layers_of(name, getattr(ALL_KINDS, name))]
    assert seen == [layer.name for layer in augmentation_layers(ALL_KINDS)]
    images = random_images(6, 12, 10, 3)
    found = augment(images, ALL_KINDS)
    assert (found.shape, found.dtype) == (images.shape, np.uint8)
    assert (found != images).any((1, 2, 3)).all()


def test_augment_without_augmentation_changes_nothing():
    images = random_images(4, 9, 9, 1)
    np.testing.assert_array_equal(augment(images, Experiment()), images)


def test_augment_throws_the_dice_by_the_seed():
    images = random_images(8, 12, 12, 1)
    first, again, other = (augment(images, ALL_KINDS.replace(seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any((1, 2, 3)).all()


def test_augment_again_and_again_keeps_no_new_layers():
    images = random_images(2, 8, 8, 1)
    augment(images, ALL_KINDS)
    before = preprocess._layers_of.cache_info().currsize
    for seed in range(20):
        augment(images, ALL_KINDS.replace(seed=seed))
    assert preprocess._layers_of.cache_info().currsize == before


def test_alternate_mirroring_shows_each_image_both_ways_in_two_epochs():
    images = np.random.default_rng(0).integers(0, 256, (40, 4, 6, 3)).astype("uint8")
    rows = np.random.default_rng(1).permutation(40)
    first, second, third = (
        mirror_alternately(images[rows], rows, seed=5, epoch=epoch) for epoch in range(3)
    )
    plain = np.array([np.array_equal(*pair) for pair in zip(first, images[rows], strict=True)])
    assert 8 < plain.sum() < 32
    np.testing.assert_array_equal(first[:, :, ::-1], second)
    np.testing.assert_array_equal(first, third)
    # An image begins alike wherever it stands in a batch.
    again = mirror_alternately(images[:7], np.arange(7), seed=5, epoch=0)
    for row, image in enumerate(again):
        np.testing.assert_array_equal(first[rows.tolist().index(row)], image)
    shown = augment(images, Experiment(flip="alternate"))
    assert not np.array_equal(shown, images)
