"""The whitened stem, the place of the halving, and first weights."""

import numpy as np
import pytest

from imgclf_lib.backend import load_keras
from imgclf_lib.convolutions import whitening_filters
from imgclf_lib.experiment import Experiment
from imgclf_lib.fitting import compile_model
from imgclf_lib.model import add_test_time_flip, build_model
from imgclf_lib.preprocess import pixel_statistics

keras = load_keras()
PLAIN = Experiment(filters=(6, 8), dense_units=(), dropout=0.0, scaling="standardize")


def photos(count: int = 60, channels: int = 3) -> np.ndarray:
    """Images whose neighbouring pixels and channels are alike, as in photographs."""
    generator = np.random.default_rng(1)
    coarse = generator.integers(20, 236, (count, 8, 8, 1)).repeat(2, axis=1).repeat(2, axis=2)
    noise = generator.integers(-20, 20, (count, 16, 16, channels))
    return (coarse + noise).astype("uint8")


@pytest.mark.parametrize("channels", [1, 3])
def test_whitened_answers_are_not_correlated(channels):
    images = photos(channels=channels)
    statistics = pixel_statistics(images)
    model = build_model(PLAIN.replace(stem="whitened"), (16, 16, channels), 3, statistics)
    stem = model.get_layer("whitening")
    answers = keras.Model(model.inputs, stem.output).predict(images, verbose=0)
    half = answers.shape[-1] // 2
    assert half == 4 * channels
    values = answers.reshape(-1, 2 * half)
    np.testing.assert_allclose(values[:, :half], -values[:, half:], atol=1e-5)
    found = values[:, :half].T @ values[:, :half] / len(values)
    np.testing.assert_allclose(found, np.eye(half), atol=0.05)
    scaled = images / statistics.deviation
    assert abs(np.corrcoef(scaled[:, :, 1:, 0].ravel(), scaled[:, :, :-1, 0].ravel())[0, 1]) > 0.3


def test_filters_without_statistics_and_of_constant_images_are_numbers():
    for images in (photos()[:0], np.full((4, 8, 8, 3), 7, "uint8"), photos()[:, :1, :1]):
        assert np.isfinite(whitening_filters(pixel_statistics(images))).all()


def test_the_stem_is_not_trained():
    images, experiment = photos(), PLAIN.replace(stem="whitened", learning_rate=0.1)
    model = build_model(experiment, (16, 16, 3), 3, pixel_statistics(images))
    compile_model(model, experiment, 10)
    before = model.get_weights()
    model.train_on_batch(images, np.arange(len(images)) % 3)
    changed = [not np.array_equal(*pair) for pair in zip(before, model.get_weights(), strict=True)]
    assert changed == [False] + [True] * (len(changed) - 1)


@pytest.mark.parametrize("convolutions", [1, 2])
def test_the_halving_may_come_first(convolutions):
    first = PLAIN.replace(pooling_place="first", convolutions=convolutions, normalization="batch")
    names = [each.name for each in build_model(first, (16, 16, 3), 3).layers]
    start = names.index("convolution1_1")
    assert names[start + 1 : start + 4] == ["pooling1", "normalization1_1", "activation1_1"]
    assert sum(name.startswith("pooling") for name in names) == 2
    # Activations that never fall give the same maximum, whether before or after.
    last = PLAIN.replace(convolutions=1)
    models = [
        build_model(last.replace(pooling_place=place), (16, 16, 3), 3)
        for place in ("last", "first")
    ]
    answers = [each.predict(photos(4), verbose=0) for each in models]
    np.testing.assert_allclose(*answers, atol=1e-5)


def test_identity_hands_its_inputs_on():
    experiment = PLAIN.replace(
        filters=(3, 5), initialization="identity", normalization="batch", pooling="average"
    )
    model = build_model(experiment, (16, 16, 3), 3)
    first = model.get_layer("convolution1_1")
    outputs = keras.Model(model.inputs, [model.get_layer("scaling").output, first.output])
    scaled, found = outputs.predict(photos(3), verbose=0)
    np.testing.assert_allclose(scaled, found, atol=1e-5)
    kernel = model.get_layer("convolution2_1").get_weights()[0]
    assert kernel[1, 1, :, :3].tolist() == np.eye(3).tolist()
    assert np.abs(kernel[..., 3:]).min() > 0


def test_he_begins_with_larger_weights_than_glorot():
    deviations = [
        build_model(PLAIN.replace(initialization=name, filters=(64, 64)), (16, 16, 3), 3)
        .get_layer("convolution2_1")
        .get_weights()[0]
        .std()
        for name in ("glorot", "he")
    ]
    assert deviations == pytest.approx([np.sqrt(2 / (9 * 128)), np.sqrt(2 / (9 * 64))], rel=0.05)


def test_test_time_flip_averages_both_answers():
    images = photos(5)
    model = build_model(PLAIN, (16, 16, 3), 3, pixel_statistics(images))
    once = [model.predict(each, verbose=0) for each in (images, images[:, :, ::-1])]
    both = add_test_time_flip(model).predict(images, verbose=0)
    np.testing.assert_allclose(both, np.mean(once, axis=0), atol=1e-6)
    assert np.abs(once[0] - once[1]).max() > 1e-3
