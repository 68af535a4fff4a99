"""Normalisation, as a Keras layer that becomes part of the model, and weights of classes.

Because the layer is inside the saved model, training, evaluation and prediction cannot differ in
it: every model takes ``uint8`` pixels, 0 to 255.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from imgclf_lib.backend import load_keras
from imgclf_lib.experiment import Experiment

if TYPE_CHECKING:
    import keras

PATCH = 2  # height and width of the patches that a whitened stem looks at, in pixels
MOST_PATCHES = 400_000


class PixelStatistics(NamedTuple):
    """What the pixels of the training images are like.

    Args:
        mean: Of each channel, in 0..255: ``float64`` array of shape ``(channels,)``.
        deviation: Standard deviation of each channel, never zero, of the same shape.
        covariance: Between the pixels of small patches, each channel with mean 0 and deviation
            1: ``float64`` array of shape ``(n, n)``, where ``n`` is 4 times the channels. The
            unit matrix if not given, as if neighbours had nothing in common.
    """

    mean: np.ndarray
    deviation: np.ndarray
    covariance: np.ndarray | None = None


def pixel_statistics(images: np.ndarray) -> PixelStatistics:
    """Mean and standard deviation of each channel; use the training images only.

    Args:
        images: ``uint8`` array of shape ``(n, height, width, channels)``.

    Returns:
        The statistics, gathered in pieces so that memory stays flat.
    """
    total = square = np.zeros(images.shape[-1])
    count = max(1, images[..., 0].size)
    for start in range(0, len(images), 4096):
        piece = images[start : start + 4096].astype("float64")
        total = total + piece.sum((0, 1, 2))
        square = square + (piece**2).sum((0, 1, 2))
    mean = total / count
    deviation = np.sqrt(np.maximum(square / count - mean**2, 0))
    deviation = np.where(deviation > 0, deviation, 1.0)
    return PixelStatistics(mean, deviation, _covariance(images, mean, deviation))


def _covariance(images: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray | None:
    """Covariance of the standardised values of patches; of images spread over all of them."""
    if not len(images) or min(images.shape[1:3]) < PATCH:
        return None
    some = max(1, MOST_PATCHES // images[0, ..., 0].size)
    chosen = images[np.linspace(0, len(images) - 1, min(some, len(images))).astype("int64")]
    pixels = ((chosen - mean) / deviation).astype("float32")
    patches = np.lib.stride_tricks.sliding_window_view(pixels, (PATCH, PATCH), axis=(1, 2))
    values = patches.transpose(0, 1, 2, 4, 5, 3).reshape(-1, PATCH * PATCH * pixels.shape[-1])
    return (values.T @ values / len(values)).astype("float64")


def scaling_layer(experiment: Experiment, statistics: PixelStatistics) -> "keras.Layer":
    """The layer that brings pixels of 0..255 to the range a network learns well from.

    Args:
        experiment: Its ``scaling`` chooses ``unit``, ``standardize`` or ``none``.
        statistics: Those of the training images; only ``standardize`` uses them.

    Returns:
        A ``keras.layers.Rescaling`` layer: ``output = input * scale + offset``.
    """
    keras = load_keras()
    if experiment.scaling == "standardize":
        scale = 1 / statistics.deviation
        offset = -statistics.mean / statistics.deviation
        # One channel: plain numbers. Several: a list, one number for each channel.
        if len(scale) == 1:
            return keras.layers.Rescaling(float(scale[0]), float(offset[0]), name="scaling")
        return keras.layers.Rescaling(scale.tolist(), offset.tolist(), name="scaling")
    scale_by = 1 / 255 if experiment.scaling == "unit" else 1.0
    return keras.layers.Rescaling(scale_by, name="scaling")


def class_weights(labels: np.ndarray, classes: int) -> dict[int, float]:
    """Weights that give every class the same total weight: ``n / (classes * count)``.

    Args:
        labels: ``int64`` array of shape ``(n,)``.
        classes: Number of classes.

    Returns:
        Weight by label. Same formula as scikit-learn's ``compute_class_weight("balanced")``.
    """
    counts = np.bincount(labels, minlength=classes)
    return {label: len(labels) / (classes * max(1, count)) for label, count in enumerate(counts)}
