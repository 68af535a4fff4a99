"""Muon against the singular value decomposition; batch normalisation against that of Keras."""

import numpy as np
import pytest

from imgclf_lib.backend import backend_name, load_keras
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import build_model
from imgclf_lib.training import compile_model, load_model
from imgclf_lib.training.optimizer import fuse_batch_normalization

keras = load_keras()
DESIGN = Experiment(filters=(6,), dense_units=(), dropout=0.0, optimizer="muon", learning_rate=0.1)


def step() -> np.ndarray:
    """What one training step adds to a kernel: a matrix with a column a filter."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (16, 8, 8, 3)).astype("uint8")
    model = build_model(DESIGN, (8, 8, 3), 3)
    compile_model(model, DESIGN, 10)
    before = model.get_layer("convolution1_1").get_weights()[0]
    model.train_on_batch(images, generator.integers(0, 3, 16))
    change = model.get_layer("convolution1_1").get_weights()[0] - before
    return change.reshape(-1, 6)


def test_all_directions_of_a_step_have_about_the_same_length():
    lengths = np.linalg.svd(step(), compute_uv=False)
    # 0.1 is the learning rate, 27 the longer side; the iteration ends between 0.7 and 1.2.
    even = lengths / (0.1 * 0.2 * np.sqrt(27))
    assert even.min() > 0.6, even
    assert even.max() < 1.3, even


def test_a_checkpoint_keeps_the_optimiser(tmp_path):
    model = build_model(DESIGN, (8, 8, 3), 3)
    compile_model(model, DESIGN, 10)
    images = np.random.default_rng(0).integers(0, 256, (16, 8, 8, 3)).astype("uint8")
    labels = np.arange(16) % 3
    model.train_on_batch(images, labels)
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is type(model.optimizer)
    for each in (model, loaded):
        each.train_on_batch(images, labels)
    for one, two in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def small_model(precision: str):
    keras.utils.set_random_seed(0)
    inputs = keras.Input((6, 6, 3))
    policy = keras.DTypePolicy(precision)
    layer = keras.layers.BatchNormalization(momentum=0.9, name="normalization", dtype=policy)
    values = keras.layers.GlobalMaxPooling2D()(layer(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2, "softmax", dtype="float32")(values))
    model.compile(keras.optimizers.SGD(0.5), "sparse_categorical_crossentropy")
    return model


@pytest.mark.parametrize(("precision", "tolerance"), [("float32", 1e-5), ("mixed_bfloat16", 0.02)])
def test_the_one_operation_computes_what_keras_does(precision, tolerance):
    generator = np.random.default_rng(0)
    images = generator.normal(3, 2, (5, 6, 6, 3)).astype("float32")
    labels = generator.integers(0, 2, 5)
    plain, fused = small_model(precision), small_model(precision)
    fuse_batch_normalization(fused)
    for model in (plain, fused):
        for _ in range(4):
            model.train_on_batch(images, labels)
    for one, other in zip(plain.weights, fused.weights, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=tolerance, err_msg=one.path)
    np.testing.assert_allclose(
        plain.predict_on_batch(images), fused.predict_on_batch(images), atol=tolerance
    )


@pytest.mark.skipif(backend_name() != "tensorflow", reason="about TensorFlow")
def test_what_is_saved_is_a_plain_layer_of_keras(tmp_path):
    model = small_model("float32")
    fuse_batch_normalization(model)
    used = []
    layer = model.get_layer("normalization")
    fused, layer.call = layer.call, lambda *given, **named: used.append(1) or fused(*given, **named)
    model.train_on_batch(np.ones((2, 6, 6, 3)), np.array([0, 1]))
    assert used
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    layer = loaded.get_layer("normalization")
    assert type(layer) is keras.layers.BatchNormalization
    assert "call" not in vars(layer)
