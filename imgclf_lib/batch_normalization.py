"""Batch normalisation in one operation where TensorFlow trains."""

import sys
from functools import partial
from typing import TYPE_CHECKING, Any

from imgclf_lib.backend import backend_name, load_keras

if TYPE_CHECKING:
    import keras


def fuse_batch_normalization(model: "keras.Model") -> None:
    """Let a model's batch normalisation train in one operation, on TensorFlow.

    Keras composes it of a dozen, each of which reads and writes all feature maps: on two cores a
    seventh of a training step of ``fast`` (``bench/profile_step.py``). The layers stay those of
    Keras: they are saved, loaded and used to predict as before, and compute the same numbers, but
    for rounding.

    Args:
        model: Its own layers are changed; those inside of a backbone are not, and on other
            backends nothing is.
    """
    if backend_name() != "tensorflow":
        return
    for layer in model.layers:
        if isinstance(layer, load_keras().layers.BatchNormalization) and layer.axis in (-1, 3):
            layer.call = partial(_call, layer)


def _call(layer: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    if not training or not layer.trainable or len(inputs.shape) != 4:
        return type(layer).call(layer, inputs, training=training, mask=mask)
    ops = load_keras().ops
    tensorflow = sys.modules["tensorflow"]  # nothing in Keras serves
    outputs, mean, variance = tensorflow.compat.v1.nn.fused_batch_norm(
        inputs, layer.gamma, layer.beta, epsilon=layer.epsilon, is_training=True
    )
    count = ops.cast(ops.size(inputs) // layer.gamma.shape[0], "float32")
    biased = variance * (count - 1) / count  # TensorFlow gives that of a sample, Keras keeps this
    for average, new in ((layer.moving_mean, mean), (layer.moving_variance, biased)):
        average.assign(average * layer.momentum + new * (1 - layer.momentum))
    return outputs
