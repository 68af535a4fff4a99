"""Downloads of weights: real bytes from a real server on loopback, and everything that can fail."""

import hashlib
import http.server
import socket
import threading
from pathlib import Path

import numpy as np
import pytest

from imgclf_lib.backend import load_keras
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.model import build_model
from imgclf_lib.weight_files import fetch_weights, weights_folder

keras = load_keras()
MOBILENET = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_96_no_top.h5"
ORIGIN = "https://example.invalid/weights.h5"
SOME = bytes(range(256)) * 500


class Server:
    """A server of files on loopback that counts, and can die in the middle of one."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.dies = False
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                outer.asked.append(self.path)
                if name not in outer.files:
                    self.send_error(404)
                    return
                content = outer.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if outer.dies else content)

            def log_message(self, *words) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.address = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def server(tmp_path, monkeypatch):
    running = Server()
    monkeypatch.setenv("IMGCLF_MIRROR", running.address)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture(scope="module")
def mobilenet(tmp_path_factory) -> tuple[bytes, list[np.ndarray]]:
    """A file of MobileNetV2 as Keras publishes it, with random weights, and these weights."""
    network = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(96, 96, 3)
    )
    path = tmp_path_factory.mktemp("published") / "network.h5"
    network.save(path)  # the older format, in which Keras publishes them
    return path.read_bytes(), network.get_weights()


def left() -> list[str]:
    return sorted(path.name for path in weights_folder().glob("[!.]*"))


def test_a_file_is_fetched_once_and_remembered(server, capfd):
    server.files["a.h5"] = SOME
    for _ in range(2):
        assert Path(fetch_weights("a.h5", ORIGIN)).read_bytes() == SOME
    assert server.asked == ["/weights/a.h5"]
    assert left() == ["a.h5", "a.h5.sha256"]
    note = (weights_folder() / "a.h5.sha256").read_text().strip()
    assert note == hashlib.sha256(SOME).hexdigest()
    assert capfd.readouterr().out == "", "standard output belongs to JSON"


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_a_published_checksum_decides(algorithm, server):
    server.files["a.h5"] = SOME
    right = hashlib.new(algorithm, SOME).hexdigest()
    with pytest.raises(InputError, match="not the file that was published"):
        fetch_weights(
            "a.h5", ORIGIN, file_hash=right.replace(right[0], "0" if right[0] != "0" else "1")
        )
    assert left() == []
    fetch_weights("a.h5", ORIGIN, "models", right)
    assert left() == ["a.h5"]


@pytest.mark.parametrize("published", [True, False])
def test_a_copy_that_changed_is_refused_ever_after(published, server):
    server.files["a.h5"] = SOME
    known = hashlib.md5(SOME).hexdigest() if published else None
    path = Path(fetch_weights("a.h5", ORIGIN, file_hash=known))
    path.write_bytes(SOME[:-1])
    with pytest.raises(InputError, match="Move the file away"):
        fetch_weights("a.h5", ORIGIN, file_hash=known)
    assert path.read_bytes() == SOME[:-1], "nothing is deleted"
    path.unlink()
    assert Path(fetch_weights("a.h5", ORIGIN, file_hash=known)).read_bytes() == SOME


def test_a_server_that_dies_midway_leaves_nothing(server):
    server.files["a.h5"], server.dies = SOME, True
    with pytest.raises(InputError, match="could not be downloaded"):
        fetch_weights("a.h5", ORIGIN)
    assert left() == []
    server.dies = False
    assert Path(fetch_weights("a.h5", ORIGIN)).read_bytes() == SOME


def test_offline_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("IMGCLF_MIRROR", f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(
        InputError, match=r"ConnectionError.*network.*--backbone_weights FILE.*efficientnet_lite0"
    ):
        fetch_weights("a.h5", ORIGIN)
    assert left() == []


def test_a_backbone_is_downloaded_through_the_server(server, mobilenet):
    server.files[MOBILENET] = mobilenet[0]
    for _ in range(2):
        model = build_model(Experiment(backbone="MobileNetV2"), (40, 40, 1), 3)
        found = model.get_layer("backbone").get_weights()
        for one, two in zip(found, mobilenet[1], strict=True):
            np.testing.assert_array_equal(one, two)
    assert server.asked == [f"/weights/{MOBILENET}"]
    assert keras.utils.get_file.__module__.startswith("keras."), "Keras is as it was"
    (weights_folder() / MOBILENET).write_bytes(mobilenet[0][:-100])
    with pytest.raises(InputError, match="not that of its first download"):
        build_model(Experiment(backbone="mobilenet_v2"), (40, 40, 1), 3)
