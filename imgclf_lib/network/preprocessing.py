"""What happens to pixels before a network learns from them: scaling, and random changes.

Scaling is a Keras layer that becomes part of the model. Because it is inside the saved model,
training, evaluation and prediction cannot differ in it: every model takes ``uint8`` pixels, 0 to
255.

Augmentation changes training images at random, whole batches at a time. What moves whole pixels
(mirror, shift, erase) is chosen by NumPy and done on ``uint8``, while batches are made and so
beside the training step. What computes new values (rotation, zoom, brightness, contrast) is done
by Keras layers at the beginning of the network, which do nothing when it predicts.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from imgclf_lib.backend import load_keras
from imgclf_lib.experiment import Experiment

if TYPE_CHECKING:
    import keras

PATCH = 2  # height and width of the patches that a whitened stem looks at, in pixels
MOST_PATCHES = 400_000
MOVED = ("flip", "shift", "random_erasing")
COMPUTED = ("rotate", "zoom", "brightness", "contrast")
AUGMENTATIONS = (*MOVED, *COMPUTED)
GREY = 127  # of an erased square


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


def scaling_settings(experiment: Experiment, statistics: PixelStatistics) -> dict[str, Any]:
    """The arguments of ``scaling_layer``, as plain data."""
    if experiment.scaling != "standardize":
        return {"scale": 1 / 255 if experiment.scaling == "unit" else 1.0, "offset": 0.0}
    scale, offset = 1 / statistics.deviation, -statistics.mean / statistics.deviation
    # One channel: plain numbers. Several: a list, one number for each channel.
    if len(scale) == 1:
        return {"scale": float(scale[0]), "offset": float(offset[0])}
    return {"scale": scale.tolist(), "offset": offset.tolist()}


def scaling_layer(experiment: Experiment, statistics: PixelStatistics) -> "keras.Layer":
    """The layer that brings pixels of 0..255 to the range a network learns well from.

    Args:
        experiment: Its ``scaling`` chooses ``unit``, ``standardize`` or ``none``.
        statistics: Those of the training images; only ``standardize`` uses them.

    Returns:
        A ``keras.layers.Rescaling`` layer: ``output = input * scale + offset``.
    """
    settings = scaling_settings(experiment, statistics)
    return load_keras().layers.Rescaling(**settings, name="scaling")


def move_pixels(
    images: Any, experiment: Experiment, rows: np.ndarray, epoch: int, batch: int
) -> Any:
    """Mirror, shift and erase, each image by its own chance.

    The same seed, epoch and batch give the same images, on every backend. With ``alternate`` an
    image is mirrored in every other epoch, so that two epochs show it both ways, from Jordan,
    "94% on CIFAR-10 in 3.29 Seconds" (2024); in which epoch it begins is random. A shift repeats
    the edge of the image in the gap. Erasing paints a grey square, as DeVries and Taylor,
    "Improved Regularization of Convolutional Neural Networks with Cutout" (2017).

    Args:
        images: ``uint8`` array of shape ``(n, height, width, channels)``; or such a tensor of the
            backend, which is changed where it is, in the memory of a GPU.
        experiment: Its ``flip``, ``shift``, ``random_erasing`` and ``seed``.
        rows: ``int64`` array of shape ``(n,)``: numbers of the images in their data set.
        epoch: Counted from 0.
        batch: Number of the batch in the epoch, counted from 0.

    Returns:
        The same kind, shape and dtype; the given one if nothing is asked for.
    """
    if experiment.flip == "none" and not experiment.shift and not experiment.random_erasing:
        return images
    count, height, width, channels = images.shape
    generator = np.random.default_rng([experiment.seed, epoch, batch])
    # One throw for each change, whether it is asked for or not: a slider that moves changes a
    # strength, and not the luck of the others.
    mirror, turn, down, right, top, left = generator.random((6, count, 1))
    if experiment.flip == "alternate":
        first = np.random.default_rng([experiment.seed, 1]).integers(0, 2, max(rows) + 1)
        mirrored = ((first[rows] + epoch) % 2 == 1)[:, np.newaxis]
    else:
        mirrored = (mirror < 0.5) & (experiment.flip != "none")
    turned = (turn < 0.5) & (experiment.flip == "both")
    # Where each pixel of the result comes from, counted over all images: line times width + column.
    lines = _sources(height, down, experiment.shift, turned)
    lines += np.arange(count)[:, np.newaxis] * height
    columns = _sources(width, right, experiment.shift, mirrored)
    erased = (
        _within(height, top, experiment.random_erasing),
        _within(width, left, experiment.random_erasing),
    )
    if isinstance(images, np.ndarray):
        # Pixels are copied as a whole, not channel by channel: that is several times as fast.
        whole = np.ascontiguousarray(images).view(f"V{channels}").reshape(-1)
        moved = whole[lines[:, :, None] * width + columns[:, None, :]].view("uint8")
        moved = moved.reshape(images.shape)
        if experiment.random_erasing:
            moved[erased[0][:, :, None] & erased[1][:, None, :]] = GREY
        return moved
    ops = load_keras().ops
    lines, columns, *erase = map(ops.convert_to_tensor, (lines, columns, *erased))
    whole = ops.reshape(images, (-1, channels))
    moved = ops.take(whole, lines[:, :, None] * width + columns[:, None, :], axis=0)
    if experiment.random_erasing:
        inside = erase[0][:, :, None, None] & erase[1][:, None, :, None]
        moved = ops.where(inside, ops.cast(GREY, "uint8"), moved)
    return moved


def _sources(side: int, chance: np.ndarray, shift: float, reversed_: np.ndarray) -> np.ndarray:
    """For each line of the result its line in the image: ``(n, side)``."""
    moved = np.arange(side) - np.rint((2 * chance - 1) * shift * side).astype("int64")
    moved = moved.clip(0, side - 1)
    return np.where(reversed_, side - 1 - moved, moved)


def _within(side: int, chance: np.ndarray, share: float) -> np.ndarray:
    """Which lines the erased square covers: ``(n, side)``, true or false."""
    size = max(1, round(share * side))
    first = np.floor(chance * (side - size + 1))
    return (np.arange(side) >= first) & (np.arange(side) < first + size)


def augmentation_settings(experiment: Experiment) -> list[tuple[str, dict[str, Any]]]:
    """The layers of ``augmentation_layers``, as plain data."""
    chosen: list[tuple[str, dict[str, Any]]] = []
    if experiment.rotate:
        settings = {"factor": experiment.rotate / 360, "fill_mode": "nearest", "name": "rotate"}
        chosen.append(("RandomRotation", settings))
    if experiment.zoom:
        settings = {"height_factor": experiment.zoom, "fill_mode": "nearest", "name": "zoom"}
        chosen.append(("RandomZoom", settings))
    if experiment.brightness:
        settings = {"factor": experiment.brightness, "name": "brightness"}
        chosen.append(("RandomBrightness", settings))
    if experiment.contrast:
        both = (experiment.contrast, experiment.contrast)  # one number would only raise it
        settings = {"factor": both, "value_range": (0, 255), "name": "contrast"}
        chosen.append(("RandomContrast", settings))
    for number, (_, settings) in enumerate(chosen, 1):
        settings["seed"] = (experiment.seed + number) % 2**31  # PyTorch takes 31 bits
    return chosen


def augmentation_layers(experiment: Experiment) -> "list[keras.Layer]":
    """The layers that change images at random while training, and do nothing afterwards."""
    layers = load_keras().layers
    return [getattr(layers, kind)(**each) for kind, each in augmentation_settings(experiment)]


def augment(images: np.ndarray, experiment: Experiment) -> np.ndarray:
    """Images as the network may see them in training.

    Args:
        images: ``uint8`` array of shape ``(n, height, width, channels)``.
        experiment: Its fields say which augmentation, its ``seed`` which throw of the dice.

    Returns:
        ``uint8`` array of the same shape, through ``move_pixels`` and ``augmentation_layers``.
    """
    moved = move_pixels(images, experiment, np.arange(len(images)), epoch=0, batch=0)
    computed = {name: getattr(experiment, name) for name in COMPUTED if getattr(experiment, name)}
    if not computed:
        return np.array(moved)
    keras = load_keras(experiment.backend)
    pixels = moved.astype("float32")
    for name, strength in computed.items():
        generator = np.random.default_rng([experiment.seed, COMPUTED.index(name)])
        for layer in _layers_of(name, strength):
            for state in layer.variables:  # the random state is all there is
                state.assign(generator.integers(0, 2**31, 2).astype("uint32"))
            pixels = layer(pixels, training=True)
    return keras.ops.convert_to_numpy(pixels).round().clip(0, 255).astype("uint8")


# TensorFlow never frees all memory of a Keras variable. A slider has few positions; their layers
# are kept and used again.
@lru_cache(maxsize=1024)
def _layers_of(name: str, value: float) -> "list[keras.Layer]":
    return augmentation_layers(Experiment().replace(**{name: value}))
