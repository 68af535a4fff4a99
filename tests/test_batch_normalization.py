"""Batch normalisation in one operation, against that of Keras."""

import numpy as np
import pytest

from imgclf_lib.backend import backend_name, load_keras
from imgclf_lib.batch_normalization import fuse_batch_normalization


def small_model(precision: str):
    keras = load_keras()
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
    keras = load_keras()
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    layer = loaded.get_layer("normalization")
    assert type(layer) is keras.layers.BatchNormalization
    assert "call" not in vars(layer)
