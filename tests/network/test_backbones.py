"""Backbones: names, sizes, preprocessing and weights of every network of keras.applications."""

import hashlib
import http.server
import io
import shutil
import socket
import threading
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from imgclf_lib.backend import load_keras
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import BACKBONES, LITE0, Experiment, input_size
from imgclf_lib.network import backbones, build_model, check_backbone, weights_digest, weights_key
from imgclf_lib.network.backbones import SMALLEST_SIDE, fetch_weights, weights_folder
from imgclf_lib.network.efficientnet_lite import CENTRE, SPREAD, imagenet_file

keras = load_keras()
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("float32")
BUILDERS = {
    name.lower(): build
    for name, build in vars(keras.applications).items()
    if name[0].isupper() and callable(build)
}


def test_every_network_of_keras_is_known():
    assert set(BACKBONES) == {LITE0, *BUILDERS}


@pytest.mark.parametrize("name", ["mobilenet", "xception", "mobilenetv2", "efficientnetv2b1"])
def test_sizes_are_those_of_keras(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert BUILDERS[name](weights=None).input.shape[1:3] == (input_size(name),) * 2


@pytest.mark.parametrize("name", ["MobileNetV2", "mobilenet_v2", "MOBILENET-V2", "mobilenetv2"])
def test_any_spelling_is_the_same_network(name):
    assert input_size(name) == 224


@pytest.mark.parametrize("name", ["mobilnet", "../mobilenet", "preprocess_input"])
def test_unknown_names_are_refused_with_the_list(name):
    with pytest.raises(InputError, match=r"no such backbone.*efficientnetlite0.*vgg19"):
        Experiment(backbone=name)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_preprocessing_is_that_of_keras(name, tmp_path):
    preprocess = backbones._preprocessing(keras, name)
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, backbones._scaled(keras, preprocess, inputs))
    np.testing.assert_allclose(
        model.predict(PIXELS, verbose=0), preprocess(PIXELS.copy()), atol=1e-4
    )


def test_turned_channels_survive_saving(tmp_path):
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(
        inputs, backbones._scaled(keras, backbones._preprocessing(keras, "vgg16"), inputs)
    )
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(
        loaded.predict(PIXELS, verbose=0), model.predict(PIXELS, verbose=0)
    )


@pytest.fixture(scope="module")
def lite0():
    return build_model(Experiment(backbone="efficientnet_lite0", dropout=0.0), (24, 24, 1), 3)


def test_small_grey_images_are_enlarged_and_repeated(lite0):
    """By hand: enlarge with Keras, repeat, scale; then the backbone and the average."""
    images = PIXELS[:, :, :, :1].repeat(3, 1).repeat(3, 2)
    large = keras.ops.image.resize(images, (SMALLEST_SIDE, SMALLEST_SIDE), "bilinear")
    ready = (np.repeat(keras.ops.convert_to_numpy(large), 3, axis=3) - CENTRE) / SPREAD
    maps = lite0.get_layer("backbone").predict(ready, verbose=0)
    features = keras.Model(lite0.input, lite0.get_layer("average").output)
    assert maps.shape == (2, 3, 3, 1280)
    np.testing.assert_allclose(
        features.predict(images, verbose=0), maps.mean((1, 2)), atol=1e-4, rtol=1e-3
    )


def test_large_images_keep_their_size():
    model = build_model(Experiment(backbone="efficientnet_lite0"), (130, 97, 3), 3)
    assert "enlarge" not in [layer.name for layer in model.layers]
    assert model.get_layer("backbone").inputs[0].shape == (None, 130, 97, 3)


@pytest.mark.parametrize("saved", [False, True])
def test_normalisation_stays_frozen_while_weights_learn(saved, tmp_path):
    model = build_model(Experiment(backbone="efficientnet_lite0"), (24, 24, 1), 3)
    if saved:
        model.save(tmp_path / "model.keras")
        model = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    model.compile("sgd", "sparse_categorical_crossentropy")
    network = model.get_layer("backbone")
    before = network.get_weights()
    images = np.random.default_rng(1).integers(0, 256, (6, 24, 24, 1))
    model.fit(images, np.arange(6) % 3, verbose=0)
    changed = {
        weight.path: bool((one != two).any())
        for weight, one, two in zip(network.weights, before, network.get_weights(), strict=True)
    }
    assert not [path for path, each in changed.items() if "normalization" in path and each]
    kernels = [each for path, each in changed.items() if "normalization" not in path]
    assert np.mean(kernels) > 0.9


@pytest.mark.parametrize("precision", ["bfloat16", "float32"])
def test_precision_reaches_the_backbone_and_nothing_else(precision):
    before = keras.config.dtype_policy().name
    model = build_model(
        Experiment(backbone="efficientnet_lite0", precision=precision), (24, 24, 3), 3
    )
    layer = model.get_layer("backbone").get_layer("stem_convolution")
    assert (layer.compute_dtype, layer.variable_dtype) == (precision, "float32")
    assert model.get_layer("average").compute_dtype == "float32"
    assert keras.config.dtype_policy().name == before


def test_random_weights_follow_the_seed():
    first, again, other = (
        weights_digest(
            build_model(
                Experiment(backbone="mobilenet", backbone_weights="random", seed=seed),
                (24, 24, 3),
                2,
            ).get_layer("backbone")
        )
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_weights_from_a_file(tmp_path, lite0):
    """Both kinds: PyTorch for efficientnet_lite0, Keras for all."""
    shutil.copy(imagenet_file(), tmp_path / "mine.pth")
    lite0.get_layer("backbone").save_weights(tmp_path / "mine.weights.h5")
    for name in ("mine.pth", "mine.weights.h5"):
        chosen = Experiment(backbone="efficientnet_lite0", backbone_weights=str(tmp_path / name))
        model = build_model(chosen, (24, 24, 1), 3)
        assert weights_digest(model.get_layer("backbone")) == weights_digest(
            lite0.get_layer("backbone")
        )
        assert len(weights_key(chosen)) == 64


def test_the_key_of_a_file_is_read_once_and_again_when_it_changes(tmp_path, monkeypatch):
    read = []
    digest = backbones.file_digest
    monkeypatch.setattr(
        backbones, "file_digest", lambda *given: read.append(given) or digest(*given)
    )
    path = tmp_path / "w.weights.h5"
    path.write_bytes(b"some")
    chosen = Experiment(backbone="mobilenet", backbone_weights=str(path))
    first = weights_key(chosen)
    assert weights_key(chosen) == first == hashlib.sha256(b"some").hexdigest()
    assert len(read) == 1
    monkeypatch.chdir(tmp_path)
    assert weights_key(chosen.replace(backbone_weights=path.name)) == first
    path.write_bytes(b"else")
    assert weights_key(chosen) == hashlib.sha256(b"else").hexdigest()
    assert len(read) == 2


def test_wrong_files_are_refused(tmp_path):
    chosen = Experiment(backbone="mobilenet", backbone_weights=str(tmp_path / "w.weights.h5"))
    with pytest.raises(InputError, match="no file of weights"):
        check_backbone(chosen)
    (tmp_path / "w.weights.h5").write_bytes(b"not this")
    with pytest.raises(InputError, match="does not hold the weights of mobilenet"):
        build_model(chosen, (24, 24, 3), 2)
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    network.save_weights(tmp_path / "w.weights.h5")
    with pytest.raises(InputError, match="does not hold the weights of mobilenet"):
        build_model(chosen, (24, 24, 3), 2)


class Harm:
    """What a pickle of it does when it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.fixture(params=["pickle", "bomb", "shape", "header"])
def hostile(request, tmp_path) -> bytes:
    """Files of weights that run code, or ask for all memory with few bytes."""
    made = io.BytesIO()
    if request.param == "pickle":
        np.savez(made, stem=np.array([Harm(tmp_path / "harmed")], dtype=object))
    elif request.param == "bomb":
        np.savez_compressed(made, stem=np.zeros(150_000_000, "uint8"))
    elif request.param == "shape":
        with zipfile.ZipFile(made, "w") as file, file.open("stem.npy", "w") as member:
            header = {"descr": "<f4", "fortran_order": False, "shape": (10**13,)}
            np.lib.format.write_array_header_1_0(member, header)
    else:
        text = (
            b'{"stem":{"dtype":"F32","shape":[10000000000000],"data_offsets":[0,40000000000000]}}'
        )
        made.write(len(text).to_bytes(8, "little") + text)
    return made.getvalue()


@pytest.mark.parametrize("name", ["a.npz", "a.safetensors", "a.weights.json", "a"])
def test_kinds_of_weights_that_are_not_read_are_refused_unopened(name, hostile, tmp_path):
    path = tmp_path / name
    path.write_bytes(hostile)
    with pytest.raises(InputError, match=r"no kind of file that weights are read from.*\*\.h5"):
        check_backbone(Experiment(backbone="resnet50", backbone_weights=str(path)))
    assert not (tmp_path / "harmed").exists()


@pytest.mark.parametrize("name", ["a.h5", "a.weights.h5", "a.keras", "a.pth"])
def test_hostile_weights_under_another_name_are_refused(name, hostile, tmp_path):
    path = tmp_path / name
    path.write_bytes(hostile)
    network = keras.Sequential([keras.layers.Input((3,)), keras.layers.Dense(2)])
    with pytest.raises(InputError, match=r"does not hold|unfold to|was not opened|not a file"):
        backbones._load_file(network, path, LITE0)
    assert not (tmp_path / "harmed").exists()


def test_checks_before_any_image_is_decoded(monkeypatch):
    check_backbone(Experiment(backbone="efficientnet_lite0"))
    check_backbone(Experiment(backbone="resnet50"))
    monkeypatch.setattr("imgclf_lib.network.efficientnet_lite.PACKAGE", "no_such_package")
    with pytest.raises(InputError, match="are not installed"):
        check_backbone(Experiment(backbone="efficientnet_lite0"))
    check_backbone(Experiment(backbone="efficientnet_lite0", backbone_weights="random"))


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
