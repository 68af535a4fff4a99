"""The one vocabulary: every value that describes an experiment, defined once.

Command-line flags, widget sliders and papermill parameters are all made from these fields.
"""

import dataclasses
import functools
import json
import types
import typing
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, Self

from imgclf_lib.errors import InputError

if TYPE_CHECKING:
    pass

RENAMED = {"erase": "random_erasing", "averaging": "ema"}  # fields: the first name, and today's
# Fields that came later: while they have their default, runs are named as they were without them.
LATER = ("near_duplicates",)
LITE0 = "efficientnetlite0"
# Side of the images that each network was trained on; the names are those of keras.applications.
BACKBONES = {
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


# How far apart two values of a field are: by their difference; by their ratio (from 0.001 to 0.01
# is as far as from 0.01 to 0.1); or by their ratio, and powers of two are enough.
Scale = Literal["linear", "log", "powers"]


def _field(
    default: Any,
    help: str,
    minimum: float | None = None,
    maximum: float | None = None,
    scale: Scale = "linear",
):
    """A dataclass field that carries its help text, its allowed range, and its scale."""
    span = "" if minimum is None else f"; {minimum:g} to {maximum:g}"
    facts = {"help": help + span, "minimum": minimum, "maximum": maximum, "scale": scale}
    return field(default=default, metadata=facts)


@dataclass(frozen=True)
class Experiment:
    # Data
    data: str = _field("fashion_mnist", "known data set, or a folder of images")
    limit: int = _field(0, "use at most this many training images; 0 uses all", 0, 10_000_000)
    image_size: int = _field(
        0, "height and width in pixels; 0 chooses from the data", 0, 1024, "powers"
    )
    color: Literal["auto", "grey", "color"] = _field(
        "auto", "colour channels: grey has 1, color has 3, auto looks at the images"
    )
    resize: Literal["pad", "crop", "squash"] = _field(
        "pad", "how an image that is not square becomes square"
    )
    validation_fraction: float = _field(
        0.1, "share of the training images kept for validation, where none are given", 0.01, 0.5
    )
    test_fraction: float = _field(
        0.15, "share of the images kept for the final test, where none are given", 0.01, 0.5
    )
    split_seed: int = _field(0, "seed of the splits", 0, 2**31 - 1)
    fixes: str = _field("", "CSV of corrections to a folder, from imgclf audit --fix-list")
    group: str = _field(
        "", "regular expression: files whose paths match alike stay together in one split"
    )
    near_duplicates: Literal["together", "split"] = _field(
        "together",
        "nearly equal images of a class stay in one split where that is possible, or not",
    )
    class_folders: Literal["top", "nested", "plain"] = _field(
        "top",
        "top: the first folder names the class; nested: every folder with images does; plain: as"
        " top, but train and test are classes too",
    )
    # Preprocessing and augmentation
    scaling: Literal["unit", "standardize", "none"] = _field(
        "unit", "pixels to 0..1, to mean 0 and deviation 1 a channel, or left as 0..255"
    )
    flip: Literal["none", "horizontal", "both", "alternate"] = _field(
        "none", "mirror images: at random, or alternate, every image in every other epoch"
    )
    shift: float = _field(0.0, "random shift, at most this fraction of the size", 0.0, 0.5)
    rotate: float = _field(0.0, "random rotation, at most this many degrees", 0.0, 180.0)
    zoom: float = _field(0.0, "random zoom, at most this fraction in or out", 0.0, 0.5)
    brightness: float = _field(0.0, "random brightness, at most this fraction of white", 0.0, 1.0)
    contrast: float = _field(0.0, "random contrast, at most this fraction", 0.0, 1.0)
    random_erasing: float = _field(0.0, "random erased square, its side as a fraction", 0.0, 0.5)
    # Architecture
    stem: Literal["none", "whitened"] = _field(
        "none",
        "whitened: a fixed first layer that makes 2 x 2 patches uncorrelated (scaling standardize)",
    )
    filters: tuple[int, ...] = _field((32, 64), "filters of each convolution block", 1, 4096)
    convolutions: int = _field(1, "convolutions in each block", 1, 8)
    kernel_size: int = _field(3, "height and width of each kernel, in pixels", 1, 15)
    pooling: Literal["max", "average", "stride"] = _field("max", "how each block halves the image")
    pooling_place: Literal["last", "first"] = _field(
        "last", "a block halves the image after its last or, cheaper, after its first convolution"
    )
    normalization: Literal["none", "batch", "layer", "group"] = _field(
        "none", "normalisation after each convolution"
    )
    head: Literal["flatten", "average", "max"] = _field(
        "flatten", "last feature map to vector: every value, or average or maximum of each channel"
    )
    dense_units: tuple[int, ...] = _field((128,), "units of each hidden dense layer", 1, 16384)
    dropout: float = _field(0.3, "share of values dropped before each dense layer", 0.0, 0.95)
    activation: Literal["relu", "leaky_relu", "elu", "silu", "gelu", "tanh", "sigmoid"] = _field(
        "relu", "activation function"
    )
    initialization: Literal["glorot", "he", "identity"] = _field(
        "glorot",
        "first weights of convolutions; identity begins by handing its inputs on unchanged",
    )
    # Transfer learning
    backbone: str = _field(
        "",
        "pretrained network in place of filters: efficientnet_lite0, or a keras.applications name",
    )
    backbone_weights: str = _field("imagenet", "imagenet, random, or a file of weights")
    fine_tune_epochs: int = _field(0, "further epochs in which the backbone learns too", 0, 10_000)
    fine_tune_learning_rate: float = _field(
        1e-4, "learning rate of those epochs", 1e-7, 10.0, "log"
    )
    # Training
    optimizer: Literal["adam", "adamw", "sgd", "rmsprop", "muon"] = _field("adam", "optimiser")
    learning_rate: float = _field(
        0.001, "learning rate, or the peak of the schedule", 1e-7, 10.0, "log"
    )
    schedule: Literal["constant", "cosine", "one_cycle"] = _field(
        "constant", "how the learning rate changes: not, down, or up and then down"
    )
    weight_decay: float = _field(0.0, "decoupled weight decay", 0.0, 1.0, scale="log")
    label_smoothing: float = _field(0.0, "share of each label spread over all classes", 0.0, 0.5)
    ema: float = _field(
        0.0,
        "exponential moving average of the weights, keeping this share of it each step; 0: none",
        0,
        0.9999,
    )
    class_weights: Literal["none", "balanced"] = _field(
        "none", "balanced gives every class the same total weight in the loss"
    )
    sampling: Literal["shuffle", "balanced"] = _field(
        "shuffle", "balanced shows every class equally often in an epoch, rare images repeatedly"
    )
    epochs: int = _field(5, "passes over the training images", 1, 10_000)
    batch_size: int = _field(128, "images in one training step", 1, 65_536, scale="powers")
    early_stopping: int = _field(
        0, "stop after this many epochs without a better validation accuracy; 0 never", 0, 1000
    )
    test_time_flip: Literal["no", "yes"] = _field(
        "no", "yes: the finished model averages its answers to an image and to its mirror image"
    )
    seed: int = _field(0, "seed of weights, shuffling, dropout and augmentation", 0, 2**31 - 1)
    precision: Literal["auto", "fastest", "float32", "bfloat16", "float16"] = _field(
        "auto",
        "number format of the computation: auto is bfloat16 on a GPU, else float32; fastest is"
        " bfloat16 also on a processor that multiplies it; weights stay float32",
    )
    backend: Literal["auto", "tensorflow", "torch", "jax"] = _field(
        "auto", "Keras backend; auto takes the first one installed"
    )

    def __post_init__(self) -> None:
        kinds = field_types()
        for each in fields(self):
            object.__setattr__(self, each.name, _checked(each, kinds[each.name], self))
        if self.backbone and backbone_key(self.backbone) not in BACKBONES:
            allowed = ", ".join(BACKBONES)
            raise InputError("There is no such backbone", allowed=allowed, received=self.backbone)

    def replace(self, /, **changes: Any) -> Self:
        """A copy with some fields changed.

        Args:
            **changes: New values by field name.

        Returns:
            The changed experiment; this one stays as it is.

        Raises:
            InputError: If a name is not a field or a value is not allowed.
        """
        known = [each.name for each in fields(self)]
        for name in changes:
            if name not in known:
                raise InputError(f"Unknown experiment field {name!r}", allowed=", ".join(known))
        return dataclasses.replace(self, **changes)

    def changes(self) -> dict[str, Any]:
        """The fields that differ from the defaults, as a dictionary."""
        return {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if getattr(self, each.name) != each.default
        }

    def to_json(self) -> str:
        """All fields as JSON text, in the order of their definition."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    def key_text(self) -> str:
        """What tells this experiment from others: ``to_json`` with the first name of each field.

        The folders of runs are named after it, so a field that is renamed, or came later and has
        its default, leaves them as they are.
        """
        first = {today: name for name, today in RENAMED.items()}
        changed = self.changes()
        values = {
            first.get(name, name): value
            for name, value in dataclasses.asdict(self).items()
            if name not in LATER or name in changed
        }
        return json.dumps(values, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The experiment that ``to_json`` wrote.

        Args:
            text: JSON text: one object whose names are fields, also by names they once had.

        Returns:
            The experiment.

        Raises:
            InputError: If the text is not such an object.
        """
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:  # also thousands of digits, or of brackets
            raise InputError(f"This is not an experiment in JSON: {error}") from error
        if not isinstance(values, dict):
            raise InputError("An experiment in JSON is one object", received=values)
        for name in RENAMED.keys() & values.keys():
            values[RENAMED[name]] = values.pop(name)
        return cls().replace(**values)


def in_words(value: Any) -> str:
    """The value of a field for people.

    Args:
        value: Any value; of a tuple, such as ``(32, 64)``, the parts.

    Returns:
        Such as ``0.001``, ``adam``, ``32, 64``, or ``none`` for no layers.
    """
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


def backbone_key(name: str) -> str:
    """One spelling of a backbone's name.

    Args:
        name: In any spelling, such as ``MobileNet_V2``.

    Returns:
        In lower case and without signs, as in ``BACKBONES``.
    """
    return name.lower().replace("_", "").replace("-", "")


def input_size(name: str) -> int:
    """The side of the images that a backbone was trained on, in pixels; needs no Keras.

    Args:
        name: As in ``Experiment.backbone``, in any spelling: ``MobileNetV2`` or ``mobilenet_v2``.

    Returns:
        Pixels.
    """
    return BACKBONES[backbone_key(name)]


@functools.cache
def field_types() -> dict[str, Any]:
    """The type of each field, by name; looked up once, because that takes a millisecond."""
    return typing.get_type_hints(Experiment)


def scale_of(name: str) -> Scale:
    """The scale of a field: ``linear``, ``log`` or ``powers`` of two.

    Args:
        name: A field of ``Experiment``.

    Returns:
        How sliders, searches and axes spread its values.
    """
    return Experiment.__dataclass_fields__[name].metadata["scale"]


def _checked(each: dataclasses.Field, kind: Any, experiment: Experiment) -> Any:
    """The value of one field, brought to its type; raises InputError if it is not allowed."""
    value = getattr(experiment, each.name)
    lower, upper = each.metadata["minimum"], each.metadata["maximum"]
    where = f"Experiment field {each.name!r} cannot take this value"
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        if value not in choices:
            raise InputError(where, allowed=", ".join(choices), received=value)
        return value
    if kind is str:
        if not isinstance(value, str) or not (value or each.default == ""):
            raise InputError(where, allowed="a text that is not empty", received=value)
        return value
    several = isinstance(kind, types.GenericAlias)
    number = typing.get_args(kind)[0] if several else kind
    word = "whole number" if number is int else "number"
    allowed = f"a {word} from {lower:g} to {upper:g}"
    if several:
        allowed = f"a list, each {allowed}"
        if not isinstance(value, list | tuple):
            raise InputError(where, allowed=allowed, received=value)
    for one in value if several else (value,):
        right = isinstance(one, int) or (number is float and isinstance(one, float))
        if isinstance(one, bool) or not right or not lower <= one <= upper:
            raise InputError(where, allowed=allowed, received=value)
    return tuple(value) if several else number(value)


def _docstring() -> str:
    args = [f"    {each.name}: {each.metadata['help']}." for each in fields(Experiment)]
    first = ["One experiment: plain values that say everything about a training run.", "", "Args:"]
    return "\n".join([*first, *args, "", "Raises:", "    InputError: If a value is not allowed."])


Experiment.__doc__ = _docstring()

# The most accuracy for the least time, on small pictures: notebook 10 tells why. It mirrors images,
# so it is not for digits, letters, or whatever else has a left and a right.
FAST: dict[str, Any] = {
    "scaling": "standardize",
    "stem": "whitened",
    "filters": (32, 64, 128, 128),
    "pooling_place": "first",
    "normalization": "batch",
    "head": "max",
    "dense_units": (),
    "dropout": 0.0,
    "flip": "alternate",
    "shift": 0.06,
    "optimizer": "muon",
    "learning_rate": 0.02,
    "schedule": "one_cycle",
    "label_smoothing": 0.1,
    "batch_size": 256,
    "epochs": 4,
    "test_time_flip": "yes",
    "precision": "fastest",
}

PRESETS: dict[str, dict[str, Any]] = {
    # The classic: convolution, pooling, dense layer, Adam.
    "simple": {},
    # Softmax regression: the smallest network there is, and a baseline.
    "linear": {"filters": (), "dense_units": (), "dropout": 0.0},
    # Small photographs in colour: deeper, normalised, augmented, one learning-rate cycle.
    "deep": {
        "filters": (32, 64, 128),
        "convolutions": 2,
        "normalization": "batch",
        "head": "average",
        "dense_units": (),
        "dropout": 0.2,
        "scaling": "standardize",
        "flip": "horizontal",
        "shift": 0.1,
        "optimizer": "adamw",
        "learning_rate": 0.005,
        "weight_decay": 0.02,
        "schedule": "one_cycle",
        "label_smoothing": 0.05,
        "batch_size": 128,
        "epochs": 12,
    },
    "fast": FAST,
    # The same recipe with a larger network, about that of Jordan (2024), and more patience. Such a
    # network learns its images by heart if they are not changed more.
    "best": {
        **FAST,
        "filters": (64, 256, 256),
        "convolutions": 2,
        "shift": 0.1,
        "random_erasing": 0.3,
        "weight_decay": 0.1,
        "epochs": 16,  # half an hour on two cores with bfloat16
    },
    # A head on frozen ImageNet features: few photographs, seconds of training.
    "transfer": {"backbone": "efficientnet_lite0", "dense_units": (), "epochs": 15},
}


def preset(name: str) -> Experiment:
    """The experiment of a preset; change it with ``replace``.

    Args:
        name: ``simple``, ``linear``, ``deep``, ``fast``, ``best`` or ``transfer``.

    Returns:
        The experiment.

    Raises:
        InputError: If there is no such preset.
    """
    if name not in PRESETS:
        raise InputError("There is no such preset", allowed=", ".join(PRESETS), received=name)
    return Experiment(**PRESETS[name])
