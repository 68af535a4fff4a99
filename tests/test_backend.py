"""Choosing and loading the Keras backend."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from imgclf_lib import backend
from imgclf_lib.backend import BACKENDS, check_weights, list_devices, load_keras
from imgclf_lib.errors import InputError

LOADED = load_keras().backend.backend()


@pytest.fixture
def fresh(monkeypatch):
    """As if Keras were not imported yet; a function that says what is installed."""
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.setenv("KERAS_BACKEND", "auto")

    def install(*names):
        monkeypatch.setattr(
            backend.importlib.util, "find_spec", lambda name: name if name in names else None
        )

    return install


def test_keras_is_loaded_once():
    assert load_keras() is load_keras("auto") is load_keras(LOADED) is sys.modules["keras"]
    assert LOADED in BACKENDS
    assert os.environ["KERAS_BACKEND"] == LOADED


@pytest.mark.parametrize("name", [name for name in BACKENDS if name != LOADED])
def test_one_backend_a_process(name):
    with pytest.raises(InputError, match=f"already runs on '{LOADED}'.*KERAS_BACKEND={name}"):
        load_keras(name)


def test_devices():
    every = list_devices()
    assert "cpu:0" in [name.lower() for name in every]
    assert sorted([*list_devices("cpu"), *list_devices("gpu")]) == sorted(every)


def test_no_backend(fresh):
    fresh()
    with pytest.raises(InputError, match=r"No Keras backend is installed.*\[cpu\]"):
        load_keras()


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_that_is_not_installed(name, fresh):
    others = [other for other in BACKENDS if other != name]
    fresh(*others)
    with pytest.raises(InputError) as caught:
        load_keras(name)
    assert f"Allowed: {', '.join(others)}. Received: {name!r}." in str(caught.value)
    assert f".[{BACKENDS[name]}]" in str(caught.value)


def test_the_variable_is_checked_too(fresh, monkeypatch):
    fresh("torch")
    monkeypatch.setenv("KERAS_BACKEND", "theano")
    with pytest.raises(InputError, match=r"Allowed: torch. Received: 'theano'."):
        load_keras()


@pytest.mark.parametrize(
    ("installed", "variable", "asked", "chosen"),
    [
        (["jax", "torch", "tensorflow"], "auto", "auto", "tensorflow"),
        (["jax", "torch"], "auto", "auto", "torch"),
        (["jax", "torch"], "jax", "auto", "jax"),
        (["jax", "torch"], "jax", "torch", "torch"),
    ],
)
def test_the_choice(installed, variable, asked, chosen, fresh, monkeypatch):
    fresh(*installed)
    monkeypatch.setenv("KERAS_BACKEND", variable)
    assert backend._choose(asked) == chosen


@pytest.mark.parametrize(("free", "fits"), [(0, False), (5_999, False), (6_000, True)])
def test_images_go_to_the_gpu_where_they_take_at_most_half_of_its_memory(free, fits, monkeypatch):
    monkeypatch.setattr(backend, "_free_on_gpu", lambda: free)
    images = np.arange(3_000, dtype="uint16").astype("uint8")
    images.flags.writeable = False  # as a mapped file
    placed = backend.place_on_gpu(images)
    if LOADED == "tensorflow" or not fits:
        assert placed is images
    else:
        assert load_keras().ops.is_tensor(placed)
        assert backend.place_on_gpu(placed) is placed
        np.testing.assert_array_equal(load_keras().ops.convert_to_numpy(placed), images)


def test_without_a_gpu_there_is_no_memory_on_it():
    if list_devices("gpu"):
        pytest.skip("this machine has a GPU")
    if LOADED != "tensorflow":
        assert backend._free_on_gpu() == 0


def test_loading_is_quiet():
    """No start-up lines of any framework, yet later errors are seen."""
    code = (
        "import sys; from imgclf_lib.backend import load_keras; keras = load_keras();"
        "print(keras.backend.backend()); print('later', file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"{LOADED}\n", "later\n")


def test_number_formats_that_are_named_stay(monkeypatch):
    monkeypatch.setattr(backend, "_gpu_multiplies_bfloat16", lambda: True)
    for name in ("float32", "bfloat16", "float16"):
        assert backend.compute_dtype(name) == name


@pytest.mark.parametrize(
    ("gpu", "flags", "auto", "fastest"),
    [
        (False, "avx2 avx512f avx512_vnni", "float32", "float32"),
        (False, "avx2 avx512f avx512_bf16", "float32", "bfloat16"),
        (False, "avx2 amx_bf16 amx_int8", "float32", "bfloat16"),
        (False, None, "float32", "float32"),
        (True, "avx2", "bfloat16", "bfloat16"),
    ],
)
def test_the_number_format_of_a_machine(gpu, flags, auto, fastest, tmp_path, monkeypatch):
    if flags is not None:
        (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags\t: fpu {flags}\n")
    monkeypatch.setattr(backend, "PROCESSOR", tmp_path / "cpuinfo")
    monkeypatch.setattr(backend, "_gpu_multiplies_bfloat16", lambda: gpu)
    backend._cpu_multiplies_bfloat16.cache_clear()
    try:
        assert backend.compute_dtype("auto") == auto
        assert backend.compute_dtype("fastest") == fastest
    finally:
        backend._cpu_multiplies_bfloat16.cache_clear()


def test_without_a_gpu_layers_compute_in_float32():
    if list_devices("gpu"):
        pytest.skip("this machine has a GPU")
    assert backend.dtype_policy("auto").compute_dtype == "float32"
    assert backend.dtype_policy("float16").compute_dtype == "float16"


@pytest.mark.parametrize("kind", ["link", "external", "virtual", "huge", "good"])
def test_weights_that_reach_elsewhere_are_refused(kind, tmp_path):
    path = tmp_path / "weights.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("layer")
        if kind == "link":
            group["kernel"] = h5py.ExternalLink("/etc/hostname", "/")
        elif kind == "external":
            group.create_dataset("kernel", (4,), "u1", external=[("/etc/hostname", 0, 4)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((4,), "f4")
            layout[:] = h5py.VirtualSource("other.h5", "kernel", (4,))
            group.create_virtual_dataset("kernel", layout)
        elif kind == "huge":
            group.create_dataset("kernel", (10**6, 10**6), "f4", chunks=(100, 100))
        else:
            group.create_dataset("kernel", (100, 100), "f4", compression="gzip")
            group["again"] = h5py.SoftLink("/layer/kernel")
    if kind == "good":
        check_weights(path)
        return
    with pytest.raises(InputError, match="4,000.0 GB" if kind == "huge" else "another file"):
        check_weights(path)
