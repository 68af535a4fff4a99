"""Choose and load the Keras backend, once, quietly."""

import importlib.util
import logging
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
import psutil

from imgclf_lib.errors import InputError

BACKENDS = {"tensorflow": "cpu", "torch": "torch", "jax": "jax"}  # module: extra to install
FREE = 100_000_000  # bytes that a file may always unfold to
MOST = 20  # times its own size that a larger one may unfold to; weights hardly shrink
LARGEST_TEXT = 50_000_000  # bytes of the description of a model
CONTAINER = Path("/sys/fs/cgroup/memory.max")  # of Linux, as the next
NO_MEMORY = re.compile(  # TensorFlow; PyTorch, its accelerators; JAX
    "OOM when allocating|can't allocate memory|out of memory|RESOURCE_EXHAUSTED: Out of memory"
)
PROCESSOR = Path("/proc/cpuinfo")  # of Linux; elsewhere nothing is known


def load_keras(backend: str = "auto") -> ModuleType:
    """Import Keras on a backend; the one place where the library loads a framework.

    The choice is ``KERAS_BACKEND`` if that is set, else the first one installed of TensorFlow,
    PyTorch and JAX. Keras can use one backend in a process, so a later call must agree.

    Args:
        backend: ``auto``, ``tensorflow``, ``torch`` or ``jax``.

    Returns:
        The module ``keras``.

    Raises:
        InputError: If the backend is not installed, or another one is already loaded.
    """
    if "keras" not in sys.modules:
        os.environ["KERAS_BACKEND"] = _choose(backend)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        # TensorFlow turns its fast convolutions on by itself only on processors with AVX-512; on
        # one with AVX2 alone they train about twice as fast as the others (bench/onednn.py).
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
        with _quiet_standard_error():
            import keras
        # Each new model makes TensorFlow warn of "retracing"; in a notebook that is no mistake.
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    import keras

    backend_name(backend)
    return keras


def check_weights(path: Path) -> None:
    """See that a ``.keras`` or HDF5 file is no larger inside than it may be, and whole in itself.

    Keras takes the room that a file asks for, and a few bytes can ask for all of the memory; the
    links of HDF5 can name any other file.

    Args:
        path: The file.

    Raises:
        InputError: If the file is refused. Damaged ones raise errors of many kinds.
    """
    bound = FREE + MOST * path.stat().st_size
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as file:
            sizes = {each.filename: each.file_size for each in file.infolist()}
        texts = sum(size for name, size in sizes.items() if name.endswith(".json"))
        if texts > LARGEST_TEXT or sum(sizes.values()) > bound:
            _refuse(path, f"it would unfold to {sum(sizes.values()) / 1e9:,.1f} GB")
        return
    import h5py

    if not h5py.is_hdf5(path):
        return
    with h5py.File(path, "r") as file:
        if file.visititems_links(lambda _, link: isinstance(link, h5py.ExternalLink) or None):
            _refuse(path, "it refers to another file")
        sizes = {}

        def note(name: str, thing: Any) -> None:
            if isinstance(thing, h5py.Dataset):
                if thing.external or thing.is_virtual:
                    _refuse(path, "it refers to another file")
                sizes[name] = thing.size * thing.dtype.itemsize if thing.shape else 0

        file.visititems(note)
    if sum(sizes.values()) > bound:
        _refuse(path, f"it would unfold to {sum(sizes.values()) / 1e9:,.1f} GB")


def _refuse(path: Path, reason: str) -> NoReturn:
    raise InputError(
        f"{str(path)!r} was not opened: {reason}", do="Ask its maker for the weights alone"
    )


def backend_name(backend: str = "auto") -> str:
    """The backend that ``load_keras`` would give, without loading it.

    Args:
        backend: ``auto``, ``tensorflow``, ``torch`` or ``jax``.

    Returns:
        ``tensorflow``, ``torch`` or ``jax``.

    Raises:
        InputError: As ``load_keras``.
    """
    if "keras" not in sys.modules:
        return _choose(backend)
    loaded = sys.modules["keras"].backend.backend()
    if backend not in ("auto", loaded):
        raise InputError(
            f"Keras already runs on {loaded!r} in this process",
            received=backend,
            do=f"Restart the kernel, or set KERAS_BACKEND={backend} before starting",
        )
    return loaded


def list_devices(kind: str = "") -> list[str]:
    """The processors and accelerators that the loaded backend can use.

    Args:
        kind: ``cpu`` or ``gpu``; both if empty.

    Returns:
        Names such as ``cpu:0`` and ``gpu:0``.
    """
    keras = load_keras()
    if keras.backend.backend() != "torch":
        try:
            return [str(device) for device in keras.distribution.list_devices(kind or None)]
        except RuntimeError:  # JAX, asked for a kind that this machine does not have
            return []
    torch = sys.modules["torch"]  # Keras cannot list the devices of PyTorch
    count = torch.cuda.device_count() or int(torch.backends.mps.is_available())
    devices = ["cpu:0", *(f"gpu:{number}" for number in range(count))]
    return [device for device in devices if device.startswith(kind)]


def place_on_gpu(values: Any) -> Any:
    """Copy an array to the GPU, so that no step waits for pixels to travel there.

    Args:
        values: An array, or a tensor that is there already.

    Returns:
        A tensor on the GPU; the given array on TensorFlow, without a GPU, and where it takes more
        than half of the memory that is free there.
    """
    keras = load_keras()
    if keras.backend.backend() == "tensorflow" or not isinstance(values, np.ndarray):
        return values
    if values.nbytes > _free_on_gpu() / 2:
        return values
    return keras.ops.convert_to_tensor(np.array(values))  # a copy: a mapped file is read-only


def _free_on_gpu() -> int:
    """Bytes; 0 if there is no GPU whose memory can be asked for."""
    if load_keras().backend.backend() == "torch":
        cuda = sys.modules["torch"].cuda
        return int(cuda.mem_get_info()[0]) if cuda.is_available() else 0
    if not list_devices("gpu"):
        return 0
    told = sys.modules["jax"].devices("gpu")[0].memory_stats() or {}
    return int(told.get("bytes_limit", 0) - told.get("bytes_in_use", 0))


def free_memory() -> int:
    """The memory that this process may still take, in bytes.

    Returns:
        What is free on this machine, at most what its container (control group 2) may have.
    """
    free = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # not Linux, or "max"
        free = min(free, int(CONTAINER.read_text()))
    return free


def lacks_memory(error: BaseException) -> bool:
    """Whether an error says that there was no memory left; each backend has its own.

    Args:
        error: As it was raised.

    Returns:
        The answer.
    """
    return isinstance(error, MemoryError) or bool(NO_MEMORY.search(str(error)))


def compute_dtype(precision: str) -> str:
    """The number format that the field ``precision`` of an experiment means on this machine.

    Args:
        precision: ``auto`` (``bfloat16`` on a GPU that multiplies it, else ``float32``),
            ``fastest`` (the same, and ``bfloat16`` on a processor that multiplies it), or a
            number format.

    Returns:
        ``float32``, ``bfloat16`` or ``float16``.
    """
    if precision not in ("auto", "fastest"):
        return precision
    half = _gpu_multiplies_bfloat16() or (precision == "fastest" and _cpu_multiplies_bfloat16())
    return "bfloat16" if half else "float32"


def dtype_policy(precision: str) -> Any:
    """What tells layers to compute in a number format; their weights stay ``float32``.

    Args:
        precision: As for ``compute_dtype``.

    Returns:
        A ``keras.DTypePolicy``.
    """
    chosen = compute_dtype(precision)
    return load_keras().DTypePolicy(chosen if chosen == "float32" else f"mixed_{chosen}")


@cache
def _gpu_multiplies_bfloat16() -> bool:
    keras = load_keras()
    if not list_devices("gpu"):
        return False
    if keras.backend.backend() == "tensorflow":
        config = sys.modules["tensorflow"].config
        details = map(config.experimental.get_device_details, config.list_physical_devices("GPU"))
        return all(each.get("compute_capability", (0, 0)) >= (8, 0) for each in details)
    if keras.backend.backend() == "torch":
        cuda = sys.modules["torch"].cuda
        return bool(cuda.is_available() and cuda.is_bf16_supported(including_emulation=False))
    made = [getattr(each, "compute_capability", "") for each in sys.modules["jax"].devices("gpu")]
    return all(re.match(r"[89]\.|\d\d\.", str(each)) for each in made)  # 8.0 or newer, of NVIDIA


@cache
def _cpu_multiplies_bfloat16() -> bool:
    """Whether the processor has instructions for it; without them it is several times slower."""
    text = PROCESSOR.read_text(errors="replace") if PROCESSOR.is_file() else ""
    return bool(re.search(r"\b(avx512_bf16|amx_bf16)\b", text))


def _choose(backend: str) -> str:
    wanted = os.environ.get("KERAS_BACKEND", "auto") if backend == "auto" else backend
    installed = [name for name in BACKENDS if importlib.util.find_spec(name)]
    if wanted == "auto":
        if not installed:
            raise InputError(
                "No Keras backend is installed",
                do="Install one: make env, or pip install -e '.[cpu]' (or gpu, torch, jax)",
            )
        return installed[0]
    if wanted not in installed:
        extra = BACKENDS.get(wanted)
        raise InputError(
            "This Keras backend is not installed",
            allowed=", ".join(installed) or "nothing yet",
            received=wanted,
            do=f"Install it: pip install -e '.[{extra}]'" if extra else "",
        )
    return wanted


@contextmanager
def _quiet_standard_error() -> Iterator[None]:
    """Hide what native code writes while it loads.

    TensorFlow announces oneDNN on standard error, and no setting but switching oneDNN off (which
    halves the speed) silences it. Python exceptions still pass.
    """
    sys.stderr.flush()
    saved, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nothing)
