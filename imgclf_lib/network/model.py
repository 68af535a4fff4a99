"""Networks: described as plain data, and from that built, planned, counted and drawn."""

import math
from types import ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from imgclf_lib.backend import dtype_policy, load_keras
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.network.backbones import add_backbone, backbone_facts
from imgclf_lib.network.preprocessing import (
    PATCH,
    PixelStatistics,
    augmentation_settings,
    scaling_settings,
)

if TYPE_CHECKING:
    import keras

SMALLEST_MAP = 2  # a feature map of fewer pixels a side is not halved again
SMALLEST_VARIANCE = 5e-4  # added, so that directions without variation are not blown up
# Share of the averages of batch normalisation that a step keeps. Keras's own 0.99 still remembers
# the untrained network after a hundred steps, which is all that a short training has.
BATCH_MOMENTUM = 0.9
# Numbers that a normalisation holds for each channel.
NORMALIZATIONS = {"BatchNormalization": 4, "LayerNormalization": 2, "GroupNormalization": 2}
COLUMNS = ["layer", "kind", "output", "parameters", "multiply_adds", "receptive_field"]
# Numbers that the optimiser keeps beside each weight; Muon keeps 2 outside of convolutions.
MOMENTS = {"adam": 2, "adamw": 2, "sgd": 1, "rmsprop": 1, "muon": 1}


class _Layer(NamedTuple):
    """One layer as plain data; the table of a plan has all of it but the settings."""

    layer: str  # its name
    kind: str  # class of keras.layers
    output: tuple[int, ...]  # shape, for one image
    parameters: int
    multiply_adds: int  # for one image
    receptive_field: int  # pixels
    part: str  # of the picture that it belongs to; nothing of the picture if empty
    settings: dict[str, Any]  # arguments of the class


class _Layers(list[_Layer]):
    """The layers so far, and what the next one needs to know of them."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self.shape, self.side = shape, max(shape[:2])
        self.field, self.step = 1, 1  # receptive field; input pixels between neighbouring outputs
        self.put("InputLayer", name, "image")

    def put(self, kind: str, name: str, part: str = "", **settings: Any) -> None:
        """Add a layer; what it makes and costs follows from its settings and from those before."""
        shape, parameters, multiply_adds, window, stride = self.shape, 0, 0, 1, 1
        if kind == "Conv2D":
            filters, window = settings["filters"], settings["kernel_size"]
            stride = settings["strides"]
            weights = window**2 * shape[-1] * filters
            lost = window - 1 if settings["padding"] == "valid" else 0
            shape = (*(-(-(side - lost) // stride) for side in shape[:2]), filters)
            parameters = weights + filters * settings["use_bias"]
            multiply_adds = weights * shape[0] * shape[1]
        elif kind.startswith(("Max", "Average")):
            window = stride = settings["pool_size"]
            shape = (shape[0] // stride, shape[1] // stride, shape[2])
        elif kind in NORMALIZATIONS:
            parameters = NORMALIZATIONS[kind] * shape[-1]
        elif kind == "Flatten":
            shape = (math.prod(shape),)
        elif kind.startswith("Global"):
            shape = shape[-1:]
        elif kind == "Dense":
            multiply_adds = shape[0] * settings["units"]
            shape, parameters = (settings["units"],), multiply_adds + settings["units"]
        elif kind == "Functional":  # a backbone
            shape, parameters = (settings["features"],), settings["parameters"]
        self.field += (window - 1) * self.step
        self.step *= stride
        if kind.startswith(("Global", "Dense", "Functional")):
            self.field = self.side
        self.shape, seen = shape, min(self.field, self.side)
        self.append(_Layer(name, kind, shape, parameters, multiply_adds, seen, part, settings))


def _describe(
    experiment: Experiment,
    image_shape: tuple[int, int, int],
    classes: int,
    statistics: PixelStatistics,
) -> list[_Layer]:
    """Every layer of the network of an experiment, from the pixels to the softmax."""
    layers = _Layers("pixels", image_shape)
    for kind, settings in augmentation_settings(experiment):
        layers.put(kind, part="augmentation", dtype="float32", **settings)
    if experiment.backbone:
        layers.put("Functional", "backbone", "backbone", **backbone_facts(experiment.backbone))
        return _describe_head(layers, experiment, classes)
    settings = scaling_settings(experiment, statistics)
    layers.put("Rescaling", "scaling", "image", dtype="float32", **settings)
    if experiment.stem == "whitened" and min(image_shape[:2]) >= PATCH:
        settings = {"filters": 2 * PATCH**2 * image_shape[-1], "kernel_size": PATCH, "strides": 1}
        settings |= {"padding": "valid", "use_bias": False, "trainable": False}
        layers.put("Conv2D", "whitening", "stem", **settings)
        layers.put("Activation", "activation0", "stem", activation=experiment.activation)
    for number, filters in enumerate(experiment.filters, 1):
        _describe_block(layers, experiment, number, filters)
    if experiment.head == "flatten" or not experiment.filters:
        layers.put("Flatten", "flatten")
    else:
        part = "maximum" if experiment.head == "max" else experiment.head
        layers.put(f"Global{experiment.head.title()}Pooling2D", experiment.head, part)
    return _describe_head(layers, experiment, classes)


def _describe_block(layers: _Layers, experiment: Experiment, number: int, filters: int) -> None:
    """Convolutions of one width, and one halving; maps too small to be halved stay as they are."""
    part, pooling, place = f"block {number}", experiment.pooling, experiment.pooling_place
    normalization = experiment.normalization
    halve = min(layers.shape[:2]) >= 2 * SMALLEST_MAP
    initializer = "he_normal" if experiment.initialization == "he" else "glorot_uniform"
    options: dict[str, Any] = {"batch": {"momentum": BATCH_MOMENTUM}}
    options["group"] = {"groups": math.gcd(8, filters)}
    for turn in range(1, experiment.convolutions + 1):
        halving = turn == (1 if place == "first" else experiment.convolutions)
        layers.put(
            "Conv2D",
            f"convolution{number}_{turn}",
            part,
            filters=filters,
            kernel_size=experiment.kernel_size,
            strides=2 if halve and halving and pooling == "stride" else 1,
            padding="same",
            use_bias=normalization in ("none", "group"),
            kernel_initializer=initializer,
        )
        pool = halve and halving and pooling != "stride"
        if pool and place == "first":
            layers.put(f"{pooling.title()}Pooling2D", f"pooling{number}", part, pool_size=2)
        if normalization != "none":
            name, kind = f"normalization{number}_{turn}", f"{normalization.title()}Normalization"
            layers.put(kind, name, part, **options.get(normalization, {}))
        name, activation = f"activation{number}_{turn}", experiment.activation
        layers.put("Activation", name, part, activation=activation)
        if pool and place == "last":
            layers.put(f"{pooling.title()}Pooling2D", f"pooling{number}", part, pool_size=2)


def _describe_head(layers: _Layers, experiment: Experiment, classes: int) -> list[_Layer]:
    """Hidden dense layers, dropout, and the softmax."""
    rate, activation = experiment.dropout, experiment.activation

    def drop(name: str, number: int) -> None:
        if rate:
            seed = (experiment.seed + number) % 2**31
            layers.put("Dropout", name, rate=rate, seed=seed, dtype="float32")

    for number, units in enumerate(experiment.dense_units, 1):
        drop(f"dropout{number}", 100 + number)
        name, part = f"dense{number}", f"dense {number}"
        layers.put("Dense", name, part, units=units, activation=activation)
    drop("dropout", 200)
    # The last layer computes in float32 whatever the precision: softmax needs the digits.
    last: dict[str, Any] = {"activation": "softmax", "dtype": "float32"}
    layers.put("Dense", "probabilities", "classes", units=classes, **last)
    return layers


def _build(
    keras: ModuleType, experiment: Experiment, layers: list[_Layer], name: str
) -> "keras.Model":
    """The described layers as a functional model."""
    keras.utils.set_random_seed(experiment.seed)
    policy = dtype_policy(experiment.precision)
    inputs = values = keras.Input(layers[0].output, name=layers[0].layer)
    for each in layers[1:]:
        if each.layer == "backbone":
            values = add_backbone(keras, experiment, values, policy)
            continue
        make = getattr(keras.layers, each.kind)
        values = make(name=each.layer, **{"dtype": policy, **each.settings})(values)
    return keras.Model(inputs, values, name=name)


def build_model(
    experiment: Experiment,
    image_shape: tuple[int, int, int],
    classes: int,
    statistics: PixelStatistics | None = None,
) -> "keras.Model":
    """Build the network of an experiment, not yet compiled.

    The layers follow the fields: augmentation, scaling, then for each entry of ``filters`` a
    block of convolutions and one halving, then ``head``, dense layers and a softmax. A backbone
    takes the place of scaling, ``filters`` and ``head``.

    Args:
        experiment: Architecture, augmentation, scaling, precision and seed.
        image_shape: Height, width and channels.
        classes: Number of classes, at least 2.
        statistics: Of the training images, for ``scaling="standardize"`` and
            ``stem="whitened"``; zero mean and deviation 1 if not given.

    Returns:
        A functional model: ``(batch, height, width, channels)`` pixels of 0..255 in,
        ``(batch, classes)`` probabilities of ``float32`` out.

    Raises:
        InputError: If there is no such backbone, or its weights cannot be had.
    """
    keras = load_keras(experiment.backend)
    if statistics is None:
        statistics = _no_statistics(image_shape)
    layers = _describe(experiment, image_shape, classes, statistics)
    model = _build(keras, experiment, layers, "imgclf")
    for layer in model.layers:
        if layer.name == "whitening":
            layer.set_weights([whitening_filters(statistics)])
        elif layer.name.startswith("convolution") and experiment.initialization == "identity":
            _begin_with_identity(layer)
    return model


def _no_statistics(image_shape: tuple[int, int, int]) -> PixelStatistics:
    return PixelStatistics(np.zeros(image_shape[-1]), np.ones(image_shape[-1]))


def _begin_with_identity(layer: "keras.Layer") -> None:
    """Let a convolution hand on its inputs in its first filters; the others stay random.

    From Jordan, "94% on CIFAR-10 in 3.29 Seconds" (2024).
    """
    kernel, *rest = layer.get_weights()
    same, middle = np.arange(min(kernel.shape[2:])), (kernel.shape[0] - 1) // 2
    kernel[..., same] = 0
    kernel[middle, middle, same, same] = 1
    layer.set_weights([kernel, *rest])


def whitening_filters(statistics: PixelStatistics) -> np.ndarray:
    """Convolution filters whose answers have variance 1 and are not correlated.

    The eigenvectors of the covariance of patches, each divided by its standard deviation: first
    used so by Page, "How to Train Your ResNet" (2018), in this form by Jordan, "94% on CIFAR-10
    in 3.29 Seconds" (2024). Each comes twice, the second time with its sign turned, because the
    activation behind it would cut away half of the answers.

    Args:
        statistics: Those of the training images.

    Returns:
        ``float32`` array of shape ``(2, 2, channels, 8 * channels)``.
    """
    channels = len(statistics.mean)
    count = PATCH * PATCH * channels
    covariance = np.eye(count) if statistics.covariance is None else statistics.covariance
    variances, directions = np.linalg.eigh(covariance)
    filters = directions / np.sqrt(variances + SMALLEST_VARIANCE)
    both = np.concatenate([filters, -filters], axis=1)
    return both.reshape(PATCH, PATCH, channels, 2 * count).astype("float32")


def build_head(experiment: Experiment, features: int, classes: int) -> "keras.Model":
    """The part of a network behind its backbone, as a model of its own.

    Args:
        experiment: Dense layers, dropout, activation, precision and seed.
        features: How many numbers the backbone makes of an image.
        classes: Number of classes, at least 2.

    Returns:
        A functional model: ``(batch, features)`` in, ``(batch, classes)`` probabilities out; its
        layers have the names that they have in the whole network.
    """
    layers = _describe_head(_Layers("features", (features,)), experiment, classes)
    return _build(load_keras(experiment.backend), experiment, layers, "head")


def add_test_time_flip(model: "keras.Model") -> "keras.Model":
    """A model that averages the answers of another to an image and to its mirror image.

    Args:
        model: A trained model as from ``build_model``, not compiled.

    Returns:
        An uncompiled model with the same inputs and outputs; it takes twice the time. The given
        one, with the same weights, is its layer ``imgclf``.
    """
    keras = load_keras()
    inputs = keras.Input(model.input_shape[1:], name="pixels")
    answers = [model(inputs), model(keras.ops.flip(inputs, axis=2))]
    return keras.Model(inputs, keras.layers.Average(name="probabilities")(answers), name="mirrored")


def plan_network(
    experiment: Experiment, image_shape: tuple[int, int, int], classes: int
) -> pd.DataFrame:
    """The layers that ``build_model`` would make, without making them.

    However large the design is, this takes a moment and no memory.

    Args:
        experiment: The architecture. Augmentation, which holds no weights, is left out; a
            backbone is one row, with its enlarging, scaling and average, and its multiply-adds
            are not counted.
        image_shape: Height, width and channels.
        classes: Number of classes.

    Returns:
        The same table as ``layer_table`` of the built model, and a column ``part``: the part of
        the picture that a layer belongs to, or nothing.

    Raises:
        InputError: If there is no such backbone.
    """
    layers = _describe(experiment, image_shape, classes, _no_statistics(image_shape))
    plan = pd.DataFrame(layers, columns=_Layer._fields)[[*COLUMNS, "part"]]
    return plan[plan["part"] != "augmentation"].reset_index(drop=True)


def layer_table(model: "keras.Model") -> pd.DataFrame:
    """What each layer makes of an image, what it holds and what it costs.

    Args:
        model: A functional model without branches, such as from ``build_model``.

    Returns:
        A table with a row a layer and the columns ``layer``, ``kind``, ``output`` (shape without
        the batch), ``parameters``, ``multiply_adds`` (for one image) and ``receptive_field``
        (side of the square of input pixels that one output value can see, in pixels).
        Multiply-adds count convolutions and dense layers, which are nearly all of the work.
    """
    rows = []
    side = max(model.inputs[0].shape[1:3])
    field, step = 1, 1  # receptive field, and input pixels between neighbouring outputs
    for layer in model.layers:
        shape = tuple(layer.output.shape[1:])
        kind = type(layer).__name__
        weights = [tuple(weight.shape) for weight in layer.weights]
        multiply_adds = 0
        if kind == "Dense":
            multiply_adds = int(np.prod(weights[0]))
        elif kind == "Conv2D":
            multiply_adds = int(np.prod(weights[0]) * np.prod(shape[:2]))
        window = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
        if window:
            field += (window[0] - 1) * step
            step *= layer.strides[0]
        elif kind.startswith(("Global", "Dense")):
            field = side
        seen = min(field, side)
        rows.append((layer.name, kind, shape, layer.count_params(), multiply_adds, seen))
    return pd.DataFrame(rows, columns=COLUMNS)


class Memory(NamedTuple):
    """Memory that training needs, in bytes.

    Counted are one copy of the weights, their gradients, what the optimiser keeps beside each
    weight, and the values that every layer hands on for one batch, because the way back needs
    them all. Not counted are the images, Python with its libraries (about half a gigabyte), the
    scratch space of single operations, and the values inside of a backbone. Four designs,
    trained, took 0.8 to 1.8 times the estimate.

    Args:
        weights: Of the weights.
        gradients: Of their gradients.
        moments: Of the optimiser.
        activations: Of the layers' values for one batch.
    """

    weights: int
    gradients: int
    moments: int
    activations: int

    @property
    def total(self) -> int:
        """All of it together."""
        return sum(self)


def training_memory(plan: pd.DataFrame, experiment: Experiment) -> Memory:
    """An estimate of the memory that training a network needs.

    Args:
        plan: As from ``plan_network`` or ``layer_table``.
        experiment: Batch size, optimiser and precision.

    Returns:
        Its parts, in bytes.
    """
    held = int(plan["parameters"].sum())
    collected = plan.loc[plan["kind"] == "BatchNormalization", "parameters"].sum() // 2
    frozen = ["whitening"] if experiment.fine_tune_epochs else ["whitening", "backbone"]
    fixed = plan.loc[plan["layer"].isin(frozen), "parameters"].sum()
    learnt = held - int(collected + fixed)  # averages are collected, a whitened stem is computed
    # Flatten only reads the same numbers in another shape.
    values = sum(math.prod(shape) for shape in plan.loc[plan["kind"] != "Flatten", "output"])
    width = 2 if experiment.precision in ("bfloat16", "float16") else 4  # at most
    return Memory(
        weights=4 * held,
        gradients=4 * learnt,
        moments=4 * learnt * MOMENTS[experiment.optimizer],
        activations=width * values * experiment.batch_size,
    )


def fit_to_memory(plan: pd.DataFrame, experiment: Experiment, free: int) -> tuple[str, str]:
    """Whether a design can be trained on a machine; if not, what to make smaller.

    Args:
        plan: As from ``plan_network``.
        experiment: The design.
        free: Memory that is free, in bytes.

    Returns:
        ``fits``, ``tight`` (it fits, but may take up to twice the estimate) or ``too big``, and
        a sentence about it.
    """
    memory = training_memory(plan, experiment)
    need = f"training needs about {gigabytes(memory.total)}"
    room = f"{gigabytes(free)} of memory are free here"
    if 2 * memory.total <= free:
        return "fits", f"Fits: {need}, and {room}."
    if memory.activations > memory.total / 2:
        most = plan.loc[plan["output"].map(math.prod).idxmax()]
        why = (
            f"Most of it is for the values between the layers, for {experiment.batch_size:,}"
            f" images at a time; {most['layer']} alone hands on {math.prod(most['output']):,}"
            " for each image. A smaller batch size or fewer filters help."
        )
    else:
        most = plan.loc[plan["parameters"].idxmax()]
        helps = "fewer filters or a smaller kernel help."
        if most["kind"] == "Dense":
            helps = "fewer units help."
            if most["layer"] == plan.loc[plan["kind"] == "Dense", "layer"].iloc[0]:
                helps = "fewer units, one more block, or the head “average” help."
        why = f"Most of it is for {most['layer']}, {most['parameters']:,} parameters: {helps}"
    if memory.total <= free:
        return "tight", f"Tight: {need}, at times up to twice as much, and {room}. {why}"
    return "too big", f"Too big for this machine: {need}, but only {room}. {why}"


def gigabytes(count: int) -> str:
    """A number of bytes as people say it.

    Args:
        count: Bytes.

    Returns:
        Such as ``25 MB`` or ``4.3 GB``.
    """
    return f"{count / 1e9:,.1f} GB" if count >= 1e9 else f"{max(count / 1e6, 0.1):.3g} MB"


def measuring_batch(image_shape: tuple[int, ...]) -> int:
    """How many images to predict at a time: many are faster, large images need memory.

    Args:
        image_shape: Height, width and channels; or a number of features.

    Returns:
        512 up to 64 x 64 pixels, then fewer, at least 8.
    """
    return int(np.clip(2**21 // math.prod(image_shape[:2]), 8, 512))


def predict_probabilities(model: Any, images: np.ndarray) -> np.ndarray:
    """Class probabilities of images.

    Args:
        model: A Keras model, or anything else whose ``predict`` takes images.
        images: ``uint8`` array of shape ``(n, height, width, channels)``, 0 to 255.

    Returns:
        Array of shape ``(n, classes)``; rows add up to 1.

    Raises:
        InputError: If the model gives values that are not numbers.
    """
    # The pipeline that the ``predict`` of Keras makes costs more than it gives: see ``feed``.
    answer = getattr(model, "predict_on_batch", model.predict)
    many = measuring_batch(images.shape[1:])  # read at a time, so that memory stays flat
    parts = []
    for start in range(0, len(images), many):
        some = images[start : start + many]
        missing = many - len(some) if start else 0  # filled up: Keras compiles for one shape only
        filled = np.concatenate([some, np.repeat(some[-1:], missing, axis=0)])
        parts.append(np.asarray(answer(filled))[: len(some)])
    probabilities = np.concatenate(parts)
    if not np.isfinite(probabilities).all():
        raise InputError(
            "The model's probabilities are not numbers: its weights are damaged",
            do="Train it again with a lower learning_rate",
        )
    return probabilities
