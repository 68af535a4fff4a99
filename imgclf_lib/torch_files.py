"""Read the weights in a PyTorch file without PyTorch, and without trusting the file.

``torch.save`` writes pickles, and a pickle may name any function of any module to be called. The
reader here knows three names (an ordered dictionary, a tensor, a storage) and refuses all others,
so that nothing of the file is ever run.
"""

import math
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from imgclf_lib.errors import InputError

MAGIC = 0x1950A86A20F9469CFC6C  # what every file of torch.save began with before version 1.6
PROTOCOL = 1001
STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ByteStorage": "|u1",
}


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
    """Read a dictionary of tensors in the older format of ``torch.save``.

    Args:
        path: A ``.pth`` or ``.pt`` file that holds a state dictionary.

    Returns:
        The tensors by name, in their order, as arrays in memory.

    Raises:
        InputError: If the file is missing, cut short or damaged, holds anything but tensors, or
            is in the newer format, which is a zip file.
    """
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
    return {name: _array(name, tensor, rows) for name, tensor in tensors.items()}


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
