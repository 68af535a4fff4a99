"""Normalisation and augmentation, as Keras layers that become part of the model.

Because the layers are inside the saved model, training, evaluation and prediction cannot differ
in them: every model takes ``uint8`` pixels, 0 to 255.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from imgclf_lib.backend import load_keras
from imgclf_lib.experiment import Experiment

if TYPE_CHECKING:
    import keras

AUGMENTATIONS = ("flip", "shift", "rotate", "zoom", "brightness", "contrast", "erase")


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


def augmentation_layers(experiment: Experiment) -> "list[keras.Layer]":
    """The layers that change images at random while training, and do nothing afterwards.

    Args:
        experiment: Its ``flip``, ``shift``, ``rotate``, ``zoom``, ``brightness``, ``contrast``
            and ``erase`` say which, and how strongly; its ``seed`` makes them repeatable.

    Returns:
        Keras layers for pixels of 0..255; an empty list if nothing is asked for. Alternate
        mirroring is not among them: it needs to know the epoch, and is done with the batches.
    """
    layers = load_keras().layers
    # PyTorch takes seeds of 31 bits.
    seeds = ((experiment.seed + number) % 2**31 for number in range(1, 9))
    chosen = []
    if experiment.flip in ("horizontal", "both"):
        chosen.append(layers.RandomFlip("horizontal", seed=next(seeds), name="flip"))
    if experiment.flip == "both":  # a layer of its own: Keras would always flip both ways at once
        chosen.append(layers.RandomFlip("vertical", seed=next(seeds), name="flip_vertical"))
    if experiment.shift:
        chosen.append(
            layers.RandomTranslation(
                experiment.shift,
                experiment.shift,
                fill_mode="nearest",
                interpolation="nearest",  # by whole pixels: nothing is blurred
                seed=next(seeds),
                name="shift",
            )
        )
    if experiment.rotate:
        turn = experiment.rotate / 360
        chosen.append(
            layers.RandomRotation(turn, fill_mode="nearest", seed=next(seeds), name="rotate")
        )
    if experiment.zoom:
        chosen.append(
            layers.RandomZoom(experiment.zoom, fill_mode="nearest", seed=next(seeds), name="zoom")
        )
    if experiment.brightness:
        chosen.append(
            layers.RandomBrightness(experiment.brightness, seed=next(seeds), name="brightness")
        )
    if experiment.contrast:
        chosen.append(
            layers.RandomContrast(
                (experiment.contrast, experiment.contrast),  # one number would only raise it
                value_range=(0, 255),
                seed=next(seeds),
                name="contrast",
            )
        )
    if experiment.erase:
        side = experiment.erase**2
        chosen.append(
            layers.RandomErasing(
                factor=(1.0, 1.0),  # one number would spare half of the images
                scale=(side, side),
                fill_value=127.0,
                value_range=(0, 255),
                seed=next(seeds),
                name="erase",
            )
        )
    return chosen


def augment(images: np.ndarray, experiment: Experiment) -> np.ndarray:
    """Images as the network may see them in training.

    Args:
        images: ``uint8`` array of shape ``(n, height, width, channels)``.
        experiment: Its fields say which augmentation, its ``seed`` which throw of the dice.

    Returns:
        ``uint8`` array of the same shape, through layers made by ``augmentation_layers``.
    """
    keras = load_keras(experiment.backend)
    if experiment.flip == "alternate":
        images = mirror_alternately(images, np.arange(len(images)), experiment.seed, epoch=0)
    pixels = images.astype("float32")
    for place, name in enumerate(AUGMENTATIONS):
        for number, layer in enumerate(_layers_of(name, getattr(experiment, name))):
            generator = np.random.default_rng([experiment.seed, place, number])
            for state in layer.variables:  # the random state is all there is
                state.assign(generator.integers(0, 2**31, 2).astype("uint32"))
            pixels = layer(pixels, training=True)
    return keras.ops.convert_to_numpy(pixels).round().clip(0, 255).astype("uint8")


def mirror_alternately(images: np.ndarray, rows: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """Mirror each image in every other epoch: each is seen both ways in two epochs.

    From Jordan, "94% on CIFAR-10 in 3.29 Seconds" (2024). In which epoch an image begins is
    random.

    Args:
        images: Array of shape ``(n, height, width, channels)``.
        rows: ``int64`` array of shape ``(n,)``: numbers of the images in their data set.
        seed: Source of chance.
        epoch: Counted from 0.

    Returns:
        An array of the same shape.
    """
    chance = np.random.default_rng([seed, len(AUGMENTATIONS)]).integers(0, 2, max(rows) + 1)
    mirrored = (chance[rows] + epoch) % 2 == 1
    return np.where(mirrored[:, None, None, None], images[:, :, ::-1], images)


# TensorFlow never frees all memory of a Keras variable. A slider has few positions; their layers
# are kept and used again.
@lru_cache(maxsize=1024)
def _layers_of(name: str, value: str | float) -> "list[keras.Layer]":
    return augmentation_layers(Experiment().replace(**{name: value}))


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
