"""Networks from experiments: every field builds, and the tables count right."""

import typing
from dataclasses import fields
from typing import Literal

import numpy as np
import pytest

from imgclf_lib.backend import load_keras
from imgclf_lib.experiment import Experiment
from imgclf_lib.model import build_model, layer_table, measuring_batch
from imgclf_lib.preprocess import PixelStatistics
from imgclf_lib.presets import PRESETS, preset

keras = load_keras()
SMALL = Experiment(filters=(4, 8), dense_units=(8,))
HINTS = typing.get_type_hints(Experiment)
CHOICES = [
    (each.name, choice)
    for each in fields(Experiment)
    if typing.get_origin(HINTS[each.name]) is Literal and each.name not in ("backend", "data")
    for choice in typing.get_args(HINTS[each.name])
]
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 12, 12, 3), "uint8")


def forward(model, images=PIXELS, training=False) -> np.ndarray:
    return keras.ops.convert_to_numpy(model(images.astype("float32"), training=training))


def check_probabilities(values: np.ndarray, shape: tuple[int, int]) -> None:
    assert values.shape == shape
    assert values.dtype == np.float32
    assert (values >= 0).all()
    np.testing.assert_allclose(values.sum(1), 1, atol=1e-5)


@pytest.mark.parametrize(("name", "choice"), CHOICES)
def test_every_choice_gives_probabilities(name, choice):
    model = build_model(SMALL.replace(**{name: choice}), (12, 12, 3), 7)
    for training in (False, True):
        check_probabilities(forward(model, training=training), (5, 7))


@pytest.mark.parametrize(
    "change",
    [
        {"filters": ()},
        {"filters": (1,)},
        {"filters": (3, 5, 7, 9, 11), "normalization": "group"},
        {"filters": (), "head": "average"},
        {"dense_units": ()},
        {"dense_units": (1, 1, 1)},
        {"dropout": 0.0},
        {"dropout": 0.95},
        {"convolutions": 3, "pooling": "stride"},
        {"kernel_size": 1},
        {"kernel_size": 15},
        {"filters": (), "dense_units": (), "dropout": 0.0},
        {"seed": 2**31 - 1, "flip": "both", "erase": 0.5, "brightness": 1.0, "contrast": 1.0},
        {"shift": 0.5, "rotate": 180.0, "zoom": 0.5, "erase": 0.001},
    ],
    ids=str,
)
def test_boundary_values_give_probabilities(change):
    model = build_model(SMALL.replace(**change), (12, 12, 3), 2)
    for training in (False, True):
        check_probabilities(forward(model, training=training), (5, 2))


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 2, 3), (3, 5, 1), (33, 20, 3)], ids=str)
@pytest.mark.parametrize("name", PRESETS)
def test_presets_take_images_of_any_size(name, shape):
    images = np.random.default_rng(0).integers(0, 256, (2, *shape), "uint8")
    check_probabilities(forward(build_model(preset(name), shape, 200), images), (2, 200))


def test_models_take_bytes():
    model = build_model(SMALL, (12, 12, 3), 4)
    np.testing.assert_allclose(model.predict(PIXELS, verbose=0), forward(model), atol=1e-5)


def test_parameters_by_hand():
    model = build_model(Experiment(filters=(4, 8), dense_units=(16,)), (12, 12, 3), 10)
    convolutions = (3 * 3 * 3 * 4 + 4) + (3 * 3 * 4 * 8 + 8)
    dense = (3 * 3 * 8 * 16 + 16) + (16 * 10 + 10)
    table = layer_table(model)
    assert table["parameters"].sum() == convolutions + dense
    table = table.set_index("layer")
    assert table["output"].to_dict() == {
        "pixels": (12, 12, 3),
        "scaling": (12, 12, 3),
        "convolution1_1": (12, 12, 4),
        "activation1_1": (12, 12, 4),
        "pooling1": (6, 6, 4),
        "convolution2_1": (6, 6, 8),
        "activation2_1": (6, 6, 8),
        "pooling2": (3, 3, 8),
        "flatten": (72,),
        "dropout1": (72,),
        "dense1": (16,),
        "dropout": (16,),
        "probabilities": (10,),
    }
    assert table.loc["convolution2_1", "multiply_adds"] == 6 * 6 * 8 * 3 * 3 * 4
    assert table.loc["dense1", "multiply_adds"] == 72 * 16
    assert table.loc["pooling1", "multiply_adds"] == 0


@pytest.mark.parametrize("kernel_size", [3, 4])
@pytest.mark.parametrize("pooling", ["max", "average", "stride"])
@pytest.mark.parametrize("convolutions", [1, 2])
def test_receptive_field_is_what_one_value_really_sees(pooling, convolutions, kernel_size):
    """Change one pixel at a time and count those that reach a value in the middle."""
    experiment = Experiment(
        filters=(1, 1),
        convolutions=convolutions,
        kernel_size=kernel_size,
        pooling=pooling,
        scaling="none",
    )
    side = 33
    model = build_model(experiment, (side, side, 1), 2)
    table = layer_table(model).set_index("layer")
    for layer in model.layers:
        if layer.name.startswith("convolution"):
            kernel, bias = layer.get_weights()
            layer.set_weights([np.ones_like(kernel), bias])
    name = [name for name in table.index if "2_" in name or name == "pooling2"][-1]
    upto = keras.Model(model.input, model.get_layer(name).output)
    across = np.zeros((side, side, side, 1), "float32")
    across[np.arange(side), side // 2, np.arange(side)] = 1  # one image for each column
    values = keras.ops.convert_to_numpy(upto(across))
    middle = values.shape[1] // 2
    seen = (values[:, :, middle] > 0).any((1, 2)).sum()
    assert seen == table.loc[name, "receptive_field"]
    assert table.loc["dense1", "receptive_field"] == side


def test_softmax_regression_by_hand():
    experiment = preset("linear").replace(scaling="standardize")
    statistics = PixelStatistics(np.array([100.0, 110.0, 120.0]), np.array([50.0, 60.0, 70.0]))
    model = build_model(experiment, (12, 12, 3), 4, statistics)
    weights, bias = model.get_layer("probabilities").get_weights()
    scores = ((PIXELS - statistics.mean) / statistics.deviation).reshape(5, -1) @ weights + bias
    powers = np.exp(scores - scores.max(1, keepdims=True))
    np.testing.assert_allclose(forward(model), powers / powers.sum(1, keepdims=True), atol=1e-5)


def test_seeds_choose_the_weights():
    first, again, other = (
        build_model(SMALL.replace(seed=seed), (12, 12, 3), 4).get_weights() for seed in (1, 1, 2)
    )
    assert all((one == two).all() for one, two in zip(first, again, strict=True))
    assert any((one != two).any() for one, two in zip(first, other, strict=True))


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_precision_is_that_of_the_work_not_of_the_weights(precision):
    model = build_model(SMALL.replace(precision=precision), (12, 12, 3), 4)
    assert {weight.dtype for weight in model.trainable_weights} == {"float32"}
    assert model.get_layer("convolution1_1").compute_dtype == precision
    assert model.get_layer("dense1").compute_dtype == precision
    assert model.get_layer("probabilities").compute_dtype == "float32"
    exact = build_model(SMALL, (12, 12, 3), 4)
    np.testing.assert_allclose(forward(model), forward(exact), atol=0.03)


def test_small_maps_are_not_halved_any_more():
    table = layer_table(build_model(Experiment(filters=(2,) * 6), (8, 8, 1), 2))
    assert table["kind"].tolist().count("MaxPooling2D") == 2
    stride = build_model(Experiment(filters=(2,) * 6, pooling="stride"), (8, 8, 1), 2)
    assert (
        min(layer.output.shape[1] for layer in stride.layers if len(layer.output.shape) == 4) == 2
    )


def test_augmentation_by_layers_is_no_part_of_prediction():
    model = build_model(SMALL.replace(rotate=30.0, zoom=0.3, dropout=0.0), (12, 12, 3), 4)
    np.testing.assert_array_equal(forward(model), forward(model))
    assert (forward(model, training=True) != forward(model)).any()
    names = [layer.name for layer in model.layers]
    assert names[:4] == ["pixels", "rotate", "zoom", "scaling"]


@pytest.mark.parametrize(
    ("shape", "batch"),
    [((28, 28, 1), 512), ((64, 64, 3), 512), ((128, 128, 3), 128), ((1024, 1024, 3), 8)],
)
def test_large_images_are_measured_in_small_batches(shape, batch):
    assert measuring_batch(shape) == batch
