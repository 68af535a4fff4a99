"""The convolutional part of a network: a whitened first layer, and blocks."""

from typing import TYPE_CHECKING

import numpy as np

from imgclf_lib.backend import dtype_policy, load_keras
from imgclf_lib.experiment import Experiment
from imgclf_lib.preprocess import PATCH, PixelStatistics

if TYPE_CHECKING:
    import keras

SMALLEST_MAP = 2  # a feature map of fewer pixels a side is not halved again
SMALLEST_VARIANCE = 5e-4  # added, so that directions without variation are not blown up
# Share of the averages of batch normalisation that a step keeps. Keras's own 0.99 still remembers
# the untrained network after a hundred steps, which is all that a short training has.
BATCH_MOMENTUM = 0.9


def whitening_filters(statistics: PixelStatistics) -> np.ndarray:
    """Convolution filters whose answers have variance 1 and are not correlated.

    The eigenvectors of the covariance of patches, each divided by its standard deviation: first
    used so by Page, "How to Train Your ResNet" (2018), in this form by Jordan, "94% on CIFAR-10
    in 3.29 Seconds" (2024). Each comes twice, the second time with its sign turned, because the
    activation behind it would cut away half of the answers.

    Args:
        statistics: Those of the training images.

    Returns:
        ``float32`` array of shape ``(2, 2, channels, 8 * channels)``.
    """
    channels = len(statistics.mean)
    count = PATCH * PATCH * channels
    covariance = np.eye(count) if statistics.covariance is None else statistics.covariance
    variances, directions = np.linalg.eigh(covariance)
    filters = directions / np.sqrt(variances + SMALLEST_VARIANCE)
    both = np.concatenate([filters, -filters], axis=1)
    return both.reshape(PATCH, PATCH, channels, 2 * count).astype("float32")


def add_stem(
    experiment: Experiment, values: "keras.KerasTensor", statistics: PixelStatistics
) -> "keras.KerasTensor":
    """The fixed first layer, whose answers are not correlated.

    Args:
        experiment: Activation and precision.
        values: Scaled pixels: ``(batch, height, width, channels)``.
        statistics: Those of the training images.

    Returns:
        ``(batch, height - 1, width - 1, 8 * channels)``.
    """
    keras = load_keras()
    policy = dtype_policy(experiment.precision)
    filters = whitening_filters(statistics)
    stem = keras.layers.Conv2D(
        filters.shape[-1], PATCH, use_bias=False, trainable=False, name="whitening", dtype=policy
    )
    values = stem(values)
    stem.set_weights([filters])
    return keras.layers.Activation(experiment.activation, name="activation0", dtype=policy)(values)


def add_block(
    experiment: Experiment, values: "keras.KerasTensor", number: int, filters: int
) -> "keras.KerasTensor":
    """Convolutions of one width, and one halving of height and width.

    Args:
        experiment: What the convolutions are like, and where and how the image is halved.
        values: Feature maps: ``(batch, height, width, channels)``.
        number: Of the block, counted from 1; it becomes part of the names.
        filters: Of each convolution.

    Returns:
        ``(batch, height // 2, width // 2, filters)``; maps too small to be halved stay as they
        are.
    """
    keras = load_keras()
    layers, policy = keras.layers, dtype_policy(experiment.precision)
    halve = min(values.shape[1:3]) >= 2 * SMALLEST_MAP
    halving = 1 if experiment.pooling_place == "first" else experiment.convolutions
    kinds = {"max": layers.MaxPooling2D, "average": layers.AveragePooling2D}
    pool = kinds.get(experiment.pooling) if halve else None
    for turn in range(1, experiment.convolutions + 1):
        stride = halve and experiment.pooling == "stride" and turn == halving
        values = layers.Conv2D(
            filters,
            experiment.kernel_size,
            strides=2 if stride else 1,
            padding="same",
            use_bias=experiment.normalization in ("none", "group"),
            kernel_initializer={"he": "he_normal"}.get(experiment.initialization, "glorot_uniform"),
            dtype=policy,
            name=f"convolution{number}_{turn}",
        )(values)
        if pool and turn == halving and experiment.pooling_place == "first":
            values = pool(2, name=f"pooling{number}", dtype=policy)(values)
        if experiment.normalization != "none":
            values = _normalization(experiment, f"normalization{number}_{turn}", filters)(values)
        values = layers.Activation(
            experiment.activation, name=f"activation{number}_{turn}", dtype=policy
        )(values)
    if pool and experiment.pooling_place == "last":
        values = pool(2, name=f"pooling{number}", dtype=policy)(values)
    return values


def _normalization(experiment: Experiment, name: str, filters: int) -> "keras.Layer":
    keras = load_keras()
    options = {"name": name, "dtype": dtype_policy(experiment.precision)}
    if experiment.normalization == "batch":
        return keras.layers.BatchNormalization(momentum=BATCH_MOMENTUM, **options)
    if experiment.normalization == "layer":
        return keras.layers.LayerNormalization(**options)
    return keras.layers.GroupNormalization(int(np.gcd(8, filters)), **options)


def begin_with_identity(model: "keras.Model") -> None:
    """Let each convolution hand on its inputs in its first filters; the others stay random.

    From Jordan, "94% on CIFAR-10 in 3.29 Seconds" (2024).

    Args:
        model: A new model as from ``build_model``; its weights are changed.
    """
    for layer in model.layers:
        if layer.name.startswith("convolution"):
            kernel, *rest = layer.get_weights()
            same, middle = np.arange(min(kernel.shape[2:])), (kernel.shape[0] - 1) // 2
            kernel[..., same] = 0
            kernel[middle, middle, same, same] = 1
            layer.set_weights([kernel, *rest])
