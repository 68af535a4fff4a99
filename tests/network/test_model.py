"""Networks from experiments: every field builds, and the plan is what is built."""

import math
import typing
from dataclasses import fields
from typing import Literal

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.backend import load_keras
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import PRESETS, Experiment, preset
from imgclf_lib.network import (
    add_test_time_flip,
    build_model,
    fit_to_memory,
    gigabytes,
    layer_table,
    measuring_batch,
    pixel_statistics,
    plan_network,
    training_memory,
    whitening_filters,
)
from imgclf_lib.network.preprocessing import PixelStatistics
from imgclf_lib.plots import network
from imgclf_lib.training import compile_model

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
        {
            "seed": 2**31 - 1,
            "flip": "both",
            "random_erasing": 0.5,
            "brightness": 1.0,
            "contrast": 1.0,
        },
        {"shift": 0.5, "rotate": 180.0, "zoom": 0.5, "random_erasing": 0.001},
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


def random_design(seed: int) -> tuple[Experiment, tuple[int, int, int], int]:
    generator = np.random.default_rng(seed)

    def pick(*choices):
        return choices[generator.integers(len(choices))]

    experiment = Experiment(
        filters=tuple(generator.integers(1, 13, generator.integers(0, 5)).tolist()),
        convolutions=pick(1, 2, 3),
        kernel_size=pick(1, 2, 3, 5),
        pooling=pick("max", "average", "stride"),
        normalization=pick("none", "batch", "layer", "group"),
        head=pick("flatten", "average", "max"),
        stem=pick("none", "whitened"),
        pooling_place=pick("last", "first"),
        dense_units=tuple(generator.integers(1, 20, generator.integers(0, 4)).tolist()),
        dropout=pick(0.0, 0.3),
        activation=pick("relu", "gelu"),
        scaling=pick("unit", "standardize"),
    )
    return experiment, (pick(8, 15, 28), pick(8, 13, 28), pick(1, 3)), pick(2, 10, 200)


def same(planned: pd.DataFrame, built: pd.DataFrame) -> None:
    built = built[~built["kind"].str.startswith("Random")].reset_index(drop=True)
    pd.testing.assert_frame_equal(planned.drop(columns="part"), built, check_dtype=False)


@pytest.mark.parametrize("seed", range(25))
def test_the_plan_is_what_is_built(seed):
    experiment, shape, classes = random_design(seed)
    same(
        plan_network(experiment, shape, classes),
        layer_table(build_model(experiment, shape, classes)),
    )


@pytest.mark.parametrize("name", [name for name in PRESETS if not preset(name).backbone])
def test_presets_are_planned_right(name):
    experiment = preset(name)
    built = layer_table(build_model(experiment, (28, 28, 3), 10))
    same(plan_network(experiment, (28, 28, 3), 10), built)


def test_small_maps_are_not_halved_in_the_plan_either():
    experiment = Experiment(filters=(2,) * 6)
    same(plan_network(experiment, (8, 8, 1), 2), layer_table(build_model(experiment, (8, 8, 1), 2)))


def test_memory_by_hand():
    experiment = Experiment(
        filters=(2,), dense_units=(), dropout=0.0, normalization="batch", batch_size=10
    )
    plan = plan_network(experiment, (4, 4, 1), 3)
    learnt = 9 * 2 + 2 * 2 + (2 * 2 * 2 + 1) * 3
    memory = training_memory(plan, experiment)
    assert memory.weights == 4 * (learnt + 2 * 2)
    assert memory.gradients == 4 * learnt
    assert memory.moments == 2 * 4 * learnt
    # pixels, scaling; convolution, normalisation, activation; pooling; probabilities
    assert memory.activations == 4 * 10 * (2 * 16 + 3 * 32 + 8 + 3)
    assert memory.total == sum(memory)
    half = training_memory(plan, experiment.replace(precision="bfloat16", optimizer="sgd"))
    assert half.activations == memory.activations / 2
    assert half.moments == memory.moments / 2


def test_optimisers_keep_as_much_as_they_say():
    """Keras counts the optimiser's own numbers; two more are its steps and its rate."""
    from imgclf_lib.training import compile_model

    for optimizer in ("adam", "adamw", "sgd", "rmsprop"):
        experiment = Experiment(filters=(3,), dense_units=(4,), optimizer=optimizer)
        model = build_model(experiment, (8, 8, 1), 2)
        compile_model(model, experiment, 1)
        model.optimizer.build(model.trainable_variables)
        kept = sum(math.prod(each.shape) for each in model.optimizer.variables) - 2
        plan = plan_network(experiment, (8, 8, 1), 2)
        assert training_memory(plan, experiment).moments == 4 * kept


def test_a_gigantic_design_is_planned_at_once():
    experiment = Experiment(filters=(4096,) * 2, dense_units=(16_384,) * 4, batch_size=65_536)
    plan = plan_network(experiment, (1024, 1024, 3), 200)
    assert training_memory(plan, experiment).total > 10**12
    assert (plan[["parameters", "multiply_adds"]] >= 0).all(axis=None), "no number overflows"


@pytest.mark.parametrize(
    ("free", "kind", "words"),
    [(1e9, "too big", "only 1.0 GB"), (4e9, "tight", "twice as much"), (9e9, "fits", "9.0 GB")],
)
def test_free_memory_decides(free, kind, words):
    experiment = Experiment(dense_units=(65_536 // 4, 8192), batch_size=8)
    plan = plan_network(experiment, (28, 28, 1), 10)
    found, said = fit_to_memory(plan, experiment, int(free))
    assert found == kind
    assert words in said
    assert ("fewer units help" in said) == (kind != "fits")


def test_what_to_make_smaller():
    for change, words in [
        ({"dense_units": (16_384,)}, "the head “average” help"),
        ({"filters": (4096, 4096), "head": "average"}, "fewer filters or a smaller kernel"),
        ({"batch_size": 65_536}, "smaller batch size"),
    ]:
        experiment = Experiment(batch_size=1).replace(**change)
        said = fit_to_memory(plan_network(experiment, (28, 28, 1), 10), experiment, 10**6)[1]
        assert words in said


def test_bytes_in_words():
    assert [gigabytes(count) for count in (10, 2_340_000, 999_000_000, 4_321_000_000)] == [
        *("0.1 MB", "2.34 MB", "999 MB", "4.3 GB"),
    ]


@pytest.mark.parametrize("name", ["efficientnet_lite0", "MobileNetV2"])
def test_a_backbone_is_one_row_of_the_plan(name):
    experiment = Experiment(backbone=name, backbone_weights="random", dense_units=(7,))
    plan = plan_network(experiment, (28, 28, 1), 3).set_index("layer")
    model = build_model(experiment, (28, 28, 1), 3)
    assert plan["parameters"].sum() == model.count_params()
    assert plan.loc["backbone", "output"] == model.get_layer("average").output.shape[1:]
    with pytest.raises(InputError, match="no such backbone"):
        plan_network(Experiment(backbone="mobilnet"), (28, 28, 1), 3)


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        ({}, "image, block 1, block 2, dense 1, classes"),
        ({"head": "average"}, "image, block 1, block 2, average, dense 1, classes"),
        ({"head": "max", "dense_units": ()}, "image, block 1, block 2, maximum, classes"),
        ({"stem": "whitened", "filters": (3,)}, "image, stem, block 1, dense 1, classes"),
        ({"filters": (), "rotate": 5.0}, "image, dense 1, classes"),
        ({"backbone": "mobilenet"}, "image, backbone, dense 1, classes"),
    ],
    ids=str,
)
def test_the_picture_names_the_parts_of_the_plan(change, parts):
    axes = network(plan_network(Experiment(**change), (28, 28, 1), 10))
    written = [text.get_text() for text in axes.texts]
    assert [text for text in written if text in parts.split(", ")] == parts.split(", ")
    shapes = [text for text in written if text and text[0].isdigit()]
    assert len(shapes) == len(parts.split(", "))
    assert shapes[0] == "28 × 28 × 1"
    assert shapes[-1] == "10"
