"""Scaling against NumPy; what each kind of augmentation does, and that chance follows the seed."""

import numpy as np
import pytest

from imgclf_lib.backend import load_keras
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import (
    AUGMENTATIONS,
    augment,
    move_pixels,
    pixel_statistics,
    preprocessing,
    scaling_layer,
)
from imgclf_lib.network.preprocessing import COMPUTED, GREY, augmentation_layers


def random_images(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(40, 200, shape, "uint8")


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


STRENGTHS = {
    "flip": "horizontal",
    "shift": 0.25,
    "random_erasing": 0.25,
    "rotate": 30.0,
    "zoom": 0.3,
    "brightness": 0.2,
    "contrast": 0.5,
}
ALL_KINDS = Experiment(**{**STRENGTHS, "flip": "both"})


def moved(images: np.ndarray, epoch: int = 0, batch: int = 0, **fields: object) -> np.ndarray:
    return move_pixels(images, Experiment(**fields), np.arange(len(images)), epoch, batch)


def computed(images: np.ndarray, training: bool = True, **fields: object) -> np.ndarray:
    values = images.astype("float32")
    for layer in augmentation_layers(Experiment(**fields)):
        values = layer(values, training=training)
    return load_keras().ops.convert_to_numpy(values)


def test_every_kind_has_a_strength_here():
    assert tuple(STRENGTHS) == AUGMENTATIONS


def test_nothing_asked_for_is_nothing_done():
    images = random_images(4, 9, 9, 1)
    assert augmentation_layers(Experiment()) == []
    assert moved(images) is images
    unchanged = augment(images, Experiment())
    np.testing.assert_array_equal(unchanged, images)
    assert not np.shares_memory(unchanged, images)
    names = [layer.name for layer in augmentation_layers(ALL_KINDS)]
    assert names == list(COMPUTED)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", STRENGTHS)
def test_each_image_has_its_own_change_and_the_seed_says_which(name, channels):
    images = random_images(16, 12, 10, channels)
    before = images.copy()
    first, again, other = (
        augment(images, Experiment(seed=seed, **{name: STRENGTHS[name]})) for seed in (3, 3, 4)
    )
    assert (first.shape, first.dtype) == (images.shape, np.uint8)
    np.testing.assert_array_equal(images, before)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    changes = {(first[row].astype(int) - images[row]).tobytes() for row in range(16)}
    assert len(changes) > 1


@pytest.mark.parametrize("name", COMPUTED)
def test_layers_do_nothing_when_the_network_predicts(name):
    images = random_images(16, 12, 12, 3)
    strength = {name: STRENGTHS[name]}
    np.testing.assert_array_equal(computed(images, training=False, **strength), images)
    changed = computed(images, **strength)
    assert (changed != images).any()
    assert 0 <= changed.min() <= changed.max() <= 255


def test_every_layer_has_its_own_stream():
    states = [
        tuple(load_keras().ops.convert_to_numpy(layer.generator.state).tolist())
        for layer in augmentation_layers(ALL_KINDS)
    ]
    assert len(set(states)) == len(COMPUTED)


def test_epochs_and_batches_move_pixels_differently():
    images = random_images(20, 8, 8, 1)
    fields = {"shift": 0.25, "random_erasing": 0.3}
    first = moved(images, **fields)
    np.testing.assert_array_equal(first, moved(images, **fields))
    assert (first != moved(images, epoch=1, **fields)).any()
    assert (first != moved(images, batch=1, **fields)).any()


def test_a_strength_does_not_change_the_luck_of_the_others():
    images = random_images(30, 8, 8, 1)
    flipped = moved(images, flip="horizontal")
    both = moved(images, flip="horizontal", shift=0.01)  # less than half a pixel
    np.testing.assert_array_equal(flipped, both)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("flip", ["none", "alternate", "both"])
@pytest.mark.parametrize("erase", [0.0, 0.3])
def test_a_tensor_is_moved_as_an_array_is(flip, erase, channels):
    images = random_images(6, 8, 10, channels)
    keras = load_keras()
    tensor = keras.ops.convert_to_tensor(images)
    changes = {"flip": flip, "random_erasing": erase, "shift": 0.3}
    answer = moved(tensor, 1, 2, **changes)
    assert keras.ops.is_tensor(answer)
    assert keras.backend.standardize_dtype(answer.dtype) == "uint8"
    expected = moved(images, 1, 2, **changes)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(answer), expected)
    assert (expected != images).any()


@pytest.mark.parametrize("flip", ["horizontal", "both"])
def test_flips_are_mirror_images(flip):
    images = random_images(40, 6, 7, 3)
    found = moved(images, flip=flip)
    ways = [lambda image: image, lambda image: image[:, ::-1]]
    if flip == "both":
        ways += [lambda image: image[::-1], lambda image: image[::-1, ::-1]]
    seen = set()
    for image, result in zip(images, found, strict=True):
        matching = [number for number, way in enumerate(ways) if (way(image) == result).all()]
        assert len(matching) == 1
        seen |= set(matching)
    assert seen == set(range(len(ways)))


def test_alternate_mirroring_shows_each_image_both_ways_in_two_epochs():
    images = random_images(40, 4, 6, 3)
    rows = np.random.default_rng(1).permutation(40)
    experiment = Experiment(flip="alternate", seed=5)
    first, second, third = (
        move_pixels(images[rows], experiment, rows, epoch, batch=epoch) for epoch in range(3)
    )
    plain = np.array([np.array_equal(*pair) for pair in zip(first, images[rows], strict=True)])
    assert 8 < plain.sum() < 32
    np.testing.assert_array_equal(first[:, :, ::-1], second)
    np.testing.assert_array_equal(first, third)
    # An image begins alike wherever it stands in a batch.
    again = move_pixels(images[:7], experiment, np.arange(7), epoch=0, batch=3)
    for row, image in enumerate(again):
        np.testing.assert_array_equal(first[rows.tolist().index(row)], image)


def test_a_shift_stays_within_its_range_and_repeats_the_edge():
    images = random_images(60, 20, 20, 1)
    ways = set()
    for image, result in zip(images, moved(images, shift=0.25), strict=True):
        padded = np.pad(image, ((5, 5), (5, 5), (0, 0)), mode="edge")
        found = [
            (down, right)
            for down in range(-5, 6)
            for right in range(-5, 6)
            if (padded[5 - down : 25 - down, 5 - right : 25 - right] == result).all()
        ]
        assert len(found) == 1
        ways |= set(found)
    assert len(ways) > 20
    assert {-1, 1} <= {np.sign(down) for down, _ in ways} & {np.sign(right) for _, right in ways}
    assert max(max(map(abs, way)) for way in ways) >= 4


def test_erasing_paints_a_grey_square():
    images = random_images(200, 20, 20, 1) // 2  # darker than the square
    changed = moved(images, random_erasing=0.25) != images
    assert (moved(images, random_erasing=0.25)[changed] == GREY).all()
    places = set()
    for each in changed[..., 0]:
        rows, columns = np.flatnonzero(each.any(1)), np.flatnonzero(each.any(0))
        assert len(rows) == len(columns) == np.ptp(rows) + 1 == np.ptp(columns) + 1 == 5
        assert each.sum() == 25
        places |= {("top", rows[0]), ("left", columns[0])}
    assert {("top", 0), ("top", 15), ("left", 0), ("left", 15)} <= places, "also at the edges"


def test_brightness_adds_one_number_to_an_image():
    images = random_images(40, 6, 6, 3).astype("float32")
    added = computed(images, brightness=0.1) - images
    np.testing.assert_allclose(added, np.broadcast_to(added[:, :1, :1, :1], added.shape), atol=1e-3)
    assert 0.06 * 255 < np.abs(added).max() <= 0.1 * 255 + 1e-3


def test_contrast_stretches_around_the_mean():
    images = np.random.default_rng(0).uniform(100, 150, (40, 6, 6, 1)).astype("float32")
    found = computed(images, contrast=0.5)
    centre = images.mean((1, 2), keepdims=True)
    factors = ((found - centre) / (images - centre)).reshape(40, -1)
    middles = np.median(factors, 1, keepdims=True).repeat(36, 1)
    np.testing.assert_allclose(factors, middles, atol=0.05)
    assert 0.49 < middles.min() < 0.8
    assert 1.2 < middles.max() < 1.51


def test_augment_shows_all_kinds_at_once():
    images = random_images(8, 12, 12, 1)
    first, again, other = (augment(images, ALL_KINDS.replace(seed=seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any((1, 2, 3)).all()
    assert (first != images).any((1, 2, 3)).all()


def test_augment_again_and_again_keeps_no_new_layers():
    images = random_images(2, 8, 8, 1)
    augment(images, ALL_KINDS)
    before = preprocessing._layers_of.cache_info().currsize
    for seed in range(20):
        augment(images, ALL_KINDS.replace(seed=seed))
    assert preprocessing._layers_of.cache_info().currsize == before
