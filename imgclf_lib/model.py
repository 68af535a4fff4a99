"""Networks built from an experiment, and tables that describe them."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from imgclf_lib.augmentation import augmentation_layers
from imgclf_lib.backbones import add_backbone
from imgclf_lib.backend import dtype_policy, load_keras
from imgclf_lib.convolutions import add_block, add_stem, begin_with_identity
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.preprocess import PATCH, PixelStatistics, scaling_layer

if TYPE_CHECKING:
    import keras


def build_model(
    experiment: Experiment,
    image_shape: tuple[int, int, int],
    classes: int,
    statistics: PixelStatistics | None = None,
) -> "keras.Model":
    """Build the network of an experiment, not yet compiled.

    The layers follow the fields: augmentation, scaling, then for each entry of ``filters`` a
    block of convolutions and one halving, then ``head``, dense layers and a softmax. A backbone
    takes the place of scaling, ``filters`` and ``head``.

    Args:
        experiment: Architecture, augmentation, scaling, precision and seed.
        image_shape: Height, width and channels.
        classes: Number of classes, at least 2.
        statistics: Of the training images, for ``scaling="standardize"`` and
            ``stem="whitened"``; zero mean and deviation 1 if not given.

    Returns:
        A functional model: ``(batch, height, width, channels)`` pixels of 0..255 in,
        ``(batch, classes)`` probabilities of ``float32`` out.

    Raises:
        InputError: If there is no such backbone, or its weights cannot be had.
    """
    keras = load_keras(experiment.backend)
    layers = keras.layers
    if statistics is None:
        statistics = PixelStatistics(np.zeros(image_shape[-1]), np.ones(image_shape[-1]))
    keras.utils.set_random_seed(experiment.seed)
    policy = dtype_policy(experiment.precision)

    inputs = values = keras.Input(image_shape, name="pixels")
    for layer in augmentation_layers(experiment):
        values = layer(values)
    if experiment.backbone:
        values = add_backbone(experiment, values, policy)
        return keras.Model(inputs, _add_head(experiment, values, classes), name="imgclf")
    values = scaling_layer(experiment, statistics)(values)
    if experiment.stem == "whitened" and min(image_shape[:2]) >= PATCH:
        values = add_stem(experiment, values, statistics)
    for number, filters in enumerate(experiment.filters, 1):
        values = add_block(experiment, values, number, filters)
    if experiment.head != "flatten" and experiment.filters:
        average = experiment.head == "average"
        pool = layers.GlobalAveragePooling2D if average else layers.GlobalMaxPooling2D
        values = pool(name=experiment.head, dtype=policy)(values)
    else:
        values = layers.Flatten(name="flatten", dtype=policy)(values)
    model = keras.Model(inputs, _add_head(experiment, values, classes), name="imgclf")
    if experiment.initialization == "identity":
        begin_with_identity(model)
    return model


def add_test_time_flip(model: "keras.Model") -> "keras.Model":
    """A model that averages the answers of another to an image and to its mirror image.

    Args:
        model: A trained model as from ``build_model``, not compiled.

    Returns:
        An uncompiled model with the same inputs and outputs; it takes twice the time. The given
        one, with the same weights, is its layer ``imgclf``.
    """
    keras = load_keras()
    inputs = keras.Input(model.input_shape[1:], name="pixels")
    answers = [model(inputs), model(keras.ops.flip(inputs, axis=2))]
    return keras.Model(inputs, keras.layers.Average(name="probabilities")(answers), name="mirrored")


def build_head(experiment: Experiment, features: int, classes: int) -> "keras.Model":
    """The part of a network behind its backbone, as a model of its own.

    Args:
        experiment: Dense layers, dropout, activation, precision and seed.
        features: How many numbers the backbone makes of an image.
        classes: Number of classes, at least 2.

    Returns:
        A functional model: ``(batch, features)`` in, ``(batch, classes)`` probabilities out; its
        layers have the names that they have in the whole network.
    """
    keras = load_keras(experiment.backend)
    keras.utils.set_random_seed(experiment.seed)
    inputs = keras.Input((features,), name="features")
    return keras.Model(inputs, _add_head(experiment, inputs, classes), name="head")


def _add_head(experiment: Experiment, values, classes: int):
    """Hidden dense layers, dropout, and the softmax."""
    keras = load_keras()
    layers, policy = keras.layers, dtype_policy(experiment.precision)
    for number, units in enumerate(experiment.dense_units, 1):
        if experiment.dropout:
            values = layers.Dropout(
                experiment.dropout,
                seed=(experiment.seed + 100 + number) % 2**31,
                name=f"dropout{number}",
            )(values)
        values = layers.Dense(units, experiment.activation, dtype=policy, name=f"dense{number}")(
            values
        )
    if experiment.dropout:
        values = layers.Dropout(
            experiment.dropout, seed=(experiment.seed + 200) % 2**31, name="dropout"
        )(values)
    # The last layer computes in float32 whatever the precision: softmax needs the digits.
    return layers.Dense(classes, "softmax", dtype="float32", name="probabilities")(values)


def measuring_batch(image_shape: tuple[int, ...]) -> int:
    """How many images to predict at a time: many are faster, large images need memory.

    Args:
        image_shape: Height, width and channels; or a number of features.

    Returns:
        512 up to 64 x 64 pixels, then fewer, at least 8.
    """
    return int(np.clip(2**21 // math.prod(image_shape[:2]), 8, 512))


def predict_probabilities(model: Any, images: np.ndarray) -> np.ndarray:
    """Class probabilities of images.

    Args:
        model: A Keras model, or anything else whose ``predict`` takes images.
        images: ``uint8`` array of shape ``(n, height, width, channels)``, 0 to 255.

    Returns:
        Array of shape ``(n, classes)``; rows add up to 1.

    Raises:
        InputError: If the model gives values that are not numbers.
    """
    # The pipeline that the ``predict`` of Keras makes costs more than it gives: see ``feed``.
    answer = getattr(model, "predict_on_batch", model.predict)
    many = measuring_batch(images.shape[1:])  # read at a time, so that memory stays flat
    parts = []
    for start in range(0, len(images), many):
        some = images[start : start + many]
        missing = many - len(some) if start else 0  # filled up: Keras compiles for one shape only
        filled = np.concatenate([some, np.repeat(some[-1:], missing, axis=0)])
        parts.append(np.asarray(answer(filled))[: len(some)])
    probabilities = np.concatenate(parts)
    if not np.isfinite(probabilities).all():
        raise InputError(
            "The model's probabilities are not numbers: its weights are damaged",
            do="Train it again with a lower learning_rate",
        )
    return probabilities


def layer_table(model: "keras.Model") -> pd.DataFrame:
    """What each layer makes of an image, what it holds and what it costs.

    Args:
        model: A functional model without branches, such as from ``build_model``.

    Returns:
        A table with a row a layer and the columns ``layer``, ``kind``, ``output`` (shape without
        the batch), ``parameters``, ``multiply_adds`` (for one image) and ``receptive_field``
        (side of the square of input pixels that one output value can see, in pixels).
        Multiply-adds count convolutions and dense layers, which are nearly all of the work.
    """
    rows = []
    side = max(model.inputs[0].shape[1:3])
    field, step = 1, 1  # receptive field, and input pixels between neighbouring outputs
    for layer in model.layers:
        shape = tuple(layer.output.shape[1:])
        kind = type(layer).__name__
        weights = [tuple(weight.shape) for weight in layer.weights]
        multiply_adds = 0
        if kind == "Dense":
            multiply_adds = int(np.prod(weights[0]))
        elif kind == "Conv2D":
            multiply_adds = int(np.prod(weights[0]) * np.prod(shape[:2]))
        window = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
        if window:
            field += (window[0] - 1) * step
            step *= layer.strides[0]
        elif kind.startswith(("Global", "Dense")):
            field = side
        seen = min(field, side)
        rows.append((layer.name, kind, shape, layer.count_params(), multiply_adds, seen))
    columns = ["layer", "kind", "output", "parameters", "multiply_adds", "receptive_field"]
    return pd.DataFrame(rows, columns=columns)
