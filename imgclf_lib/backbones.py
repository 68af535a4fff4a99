"""Pretrained networks: their names, sizes, weights, and what they want to be given.

A backbone turns an image into features. It becomes part of the model, with all that it needs.
"""

import hashlib
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from imgclf_lib import efficientnet_lite
from imgclf_lib.backend import load_keras
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.weight_files import checked_downloads

if TYPE_CHECKING:
    import keras

LITE0 = "efficientnetlite0"
# Smaller images are enlarged inside the model. Linear head, 1,500 images of CIFAR-10, enlarged to
# 64, 96, 128, 160, 224: accuracy 0.62, 0.71, 0.73, 0.76, 0.76 at 334, 160, 162, 73, 37 images/s.
SMALLEST_SIDE = 96
# Side of the images that each network was trained on; the names are those of keras.applications.
SIZES = {
    LITE0: 224,
    **dict.fromkeys(("convnexttiny", "convnextsmall", "convnextbase"), 224),
    **dict.fromkeys(("convnextlarge", "convnextxlarge"), 224),
    **dict.fromkeys(("densenet121", "densenet169", "densenet201"), 224),
    **{
        f"efficientnetb{n}": side for n, side in enumerate((224, 240, 260, 300, 380, 456, 528, 600))
    },
    **{f"efficientnetv2b{n}": side for n, side in enumerate((224, 240, 260, 300))},
    **{"efficientnetv2s": 384, "efficientnetv2m": 480, "efficientnetv2l": 480},
    **dict.fromkeys(("inceptionv3", "inceptionresnetv2", "xception"), 299),
    **dict.fromkeys(("mobilenet", "mobilenetv2", "mobilenetv3small", "mobilenetv3large"), 224),
    **{"nasnetmobile": 224, "nasnetlarge": 331},
    **{f"resnet{depth}{kind}": 224 for depth in (50, 101, 152) for kind in ("", "v2")},
    **{"vgg16": 224, "vgg19": 224},
}


def input_size(name: str) -> int:
    """The side of the images that a backbone was trained on; needs no Keras.

    Args:
        name: As in ``Experiment.backbone``: ``efficientnet_lite0`` or a name of
            ``keras.applications``, in any spelling such as ``MobileNetV2`` or ``mobilenet_v2``.

    Returns:
        Pixels.

    Raises:
        InputError: If there is no such backbone.
    """
    if _key(name) not in SIZES:
        raise InputError("There is no such backbone", allowed=", ".join(SIZES), received=name)
    return SIZES[_key(name)]


def check_backbone(experiment: Experiment) -> None:
    """Refuse what cannot work before any image is decoded; nothing is downloaded.

    Args:
        experiment: Its ``backbone`` and ``backbone_weights``.

    Raises:
        InputError: If there is no such backbone, its package is missing, or there is no such file.
    """
    input_size(experiment.backbone)
    weights_key(experiment)
    if _key(experiment.backbone) == LITE0 and experiment.backbone_weights == "imagenet":
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
    with _file(chosen).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def add_backbone(experiment: Experiment, pixels: Any, policy: Any) -> Any:
    """The features of images, as part of a functional model.

    Small images are enlarged, grey ones repeated to three channels, and the pixels brought to the
    range that this backbone was trained on. Its batch normalisation stays as it came, also when
    the other weights learn.

    Args:
        experiment: Its ``backbone`` and ``backbone_weights``.
        pixels: Symbolic ``(batch, height, width, channels)``, 0 to 255.
        policy: The ``keras.DTypePolicy`` of the backbone.

    Returns:
        Symbolic ``(batch, features)``: the last feature map, averaged over its area.

    Raises:
        InputError: If there is no such backbone, or its weights cannot be had.
    """
    layers, name = load_keras(experiment.backend).layers, _key(experiment.backbone)
    input_size(name)
    values, (height, width) = pixels, pixels.shape[1:3]
    if min(height, width) < SMALLEST_SIDE:
        factor = SMALLEST_SIDE / min(height, width)
        height, width = round(height * factor), round(width * factor)
        values = layers.Resizing(height, width, "bilinear", name="enlarge")(values)
    if pixels.shape[-1] == 1:
        values = layers.Concatenate(name="three_channels")([values] * 3)
    values = _scaled(_preprocessing(name), values)
    network = _build(name, experiment.backbone_weights, (height, width, 3), policy)
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
    digest = hashlib.blake2b(digest_size=12)
    for weight in network.get_weights():
        digest.update(str(weight.shape).encode() + np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def _key(name: str) -> str:
    return name.lower().replace("_", "").replace("-", "")


def _file(name: str) -> Path:
    path = Path(name).expanduser()
    if not path.is_file():
        raise InputError(
            f"There is no file of weights at {name!r}",
            allowed="imagenet, random, or the path of a file",
            do="Check --backbone_weights and the current folder",
        )
    return path


def _application(name: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """The function of ``keras.applications`` that builds a network, and its preprocessing."""
    applications = load_keras().applications
    for found, build in vars(applications).items():
        if found.lower() == name and callable(build):
            module = build.__module__.rpartition(".")[2]
            return build, getattr(applications, module).preprocess_input
    raise InputError(f"This version of Keras has no {name}", do="Update it: make env")


def _preprocessing(name: str) -> Callable[[np.ndarray], np.ndarray]:
    if name == LITE0:
        return lambda pixels: (pixels - efficientnet_lite.CENTRE) / efficientnet_lite.SPREAD
    return _application(name)[1]


def _scaled(preprocess: Callable[[np.ndarray], np.ndarray], values: Any) -> Any:
    """Preprocessing as layers that can be saved, found by asking the function of Keras.

    All of them multiply and shift each channel; some also turn RGB into BGR.
    """
    keras = load_keras()

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


def _build(name: str, chosen: str, image_shape: tuple[int, int, int], policy: Any) -> "keras.Model":
    """The network with its weights, under the name ``backbone``."""
    keras = load_keras()
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)  # keras.applications takes it from nowhere else
    try:
        if name == LITE0:
            network = efficientnet_lite.build_efficientnet_lite0(image_shape)
            if chosen == "imagenet":
                efficientnet_lite.load_torch_weights(network, efficientnet_lite.imagenet_file())
        else:
            network = _build_application(name, image_shape, chosen == "imagenet")
    finally:
        keras.config.set_dtype_policy(before)
    if chosen not in ("imagenet", "random"):
        _load_file(network, _file(chosen), name)
    return keras.Model(network.input, network.output, name="backbone")


def _build_application(
    name: str, image_shape: tuple[int, int, int], imagenet: bool
) -> "keras.Model":
    build, weights = _application(name)[0], "imagenet" if imagenet else None
    with checked_downloads(), warnings.catch_warnings():
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
        network.load_weights(path)
    except Exception as error:  # h5py and Keras raise many kinds for damaged or other files
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"{str(path)!r} does not hold the weights of {name} without its top: {reason}",
            allowed="a file of Keras, *.weights.h5 or *.h5"
            + (", or of PyTorch, *.pth" if name == LITE0 else ""),
        ) from error
