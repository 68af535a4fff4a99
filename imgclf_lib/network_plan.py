"""What a network would hold and cost: computed before anything is built."""

import math
from typing import NamedTuple

import pandas as pd

from imgclf_lib.convolutions import SMALLEST_MAP
from imgclf_lib.experiment import Experiment
from imgclf_lib.preprocess import PATCH

COLUMNS = ["layer", "kind", "output", "parameters", "multiply_adds", "receptive_field"]
NORMALIZATIONS = {  # the layer, and its numbers for each channel
    "batch": ("BatchNormalization", 4),
    "layer": ("LayerNormalization", 2),
    "group": ("GroupNormalization", 2),
}
POOLINGS = {"max": "MaxPooling2D", "average": "AveragePooling2D"}
# Numbers that the optimiser keeps beside each weight; Muon keeps 2 outside of convolutions.
MOMENTS = {"adam": 2, "adamw": 2, "sgd": 1, "rmsprop": 1, "muon": 1}


class Memory(NamedTuple):
    """Memory that training needs, in bytes.

    Counted are one copy of the weights, their gradients, what the optimiser keeps beside each
    weight, and the values that every layer hands on for one batch, because the way back needs
    them all. Not counted are the images, Python with its libraries (about half a gigabyte), and
    the scratch space of single operations. Four designs, trained, took 0.8 to 1.8 times the
    estimate.

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


def plan_network(
    experiment: Experiment, image_shape: tuple[int, int, int], classes: int
) -> pd.DataFrame:
    """The layers that ``build_model`` would make, without making them.

    However large the design is, this takes a moment and no memory.

    Args:
        experiment: The architecture. Augmentation, which holds no weights, is left out.
        image_shape: Height, width and channels.
        classes: Number of classes.

    Returns:
        The same table as ``layer_table`` of the built model.
    """
    plan = _Plan(image_shape)
    plan.add("pixels", "InputLayer")
    plan.add("scaling", "Rescaling")
    if experiment.stem == "whitened" and min(image_shape[:2]) >= PATCH:
        height, width, channels = plan.shape
        filters = 2 * PATCH**2 * channels
        weights = PATCH**2 * channels * filters
        shape = (height - PATCH + 1, width - PATCH + 1, filters)
        plan.slide(PATCH, 1)
        plan.add("whitening", "Conv2D", shape, weights, weights * shape[0] * shape[1])
        plan.add("activation0", "Activation")
    for number, filters in enumerate(experiment.filters, 1):
        _plan_block(plan, experiment, number, filters)
    if experiment.head != "flatten" and experiment.filters:
        plan.see_everything()
        kind = f"Global{POOLINGS[experiment.head]}"
        plan.add(experiment.head, kind, (plan.shape[-1],))
    else:
        height, width, channels = plan.shape
        plan.add("flatten", "Flatten", (height * width * channels,))
    for number, units in enumerate(experiment.dense_units, 1):
        if experiment.dropout:
            plan.add(f"dropout{number}", "Dropout")
        plan.add_dense(f"dense{number}", units)
    if experiment.dropout:
        plan.add("dropout", "Dropout")
    plan.add_dense("probabilities", classes)
    return pd.DataFrame(plan.rows, columns=COLUMNS)


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
    fixed = plan.loc[plan["layer"] == "whitening", "parameters"].sum()
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


class _Plan:
    """The rows so far, and what the next layer needs to know of them."""

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        self.rows: list[tuple] = []
        self.shape: tuple[int, ...] = image_shape
        self.side = max(image_shape[:2])
        self.field, self.step = 1, 1

    def add(
        self,
        name: str,
        kind: str,
        shape: tuple[int, ...] = (),
        parameters: int = 0,
        multiply_adds: int = 0,
    ) -> None:
        self.shape = shape or self.shape
        seen = min(self.field, self.side)
        self.rows.append((name, kind, self.shape, parameters, multiply_adds, seen))

    def add_dense(self, name: str, units: int) -> None:
        inputs = self.shape[0]
        self.see_everything()
        self.add(name, "Dense", (units,), (inputs + 1) * units, inputs * units)

    def slide(self, window: int, stride: int) -> None:
        self.field += (window - 1) * self.step
        self.step *= stride

    def see_everything(self) -> None:
        self.field = self.side


def _plan_block(plan: _Plan, experiment: Experiment, number: int, filters: int) -> None:
    """Convolutions of one width, then one halving of height and width."""
    kernel = experiment.kernel_size
    halve = min(plan.shape[:2]) >= 2 * SMALLEST_MAP
    first = experiment.pooling_place == "first"
    halving = 1 if first else experiment.convolutions

    def pool() -> None:
        height, width, channels = plan.shape
        plan.slide(2, 2)
        shape = (height // 2, width // 2, channels)
        plan.add(f"pooling{number}", POOLINGS[experiment.pooling], shape)

    for turn in range(1, experiment.convolutions + 1):
        stride = 2 if turn == halving and halve and experiment.pooling == "stride" else 1
        height, width, channels = plan.shape
        height, width = -(-height // stride), -(-width // stride)
        weights = kernel * kernel * channels * filters
        biases = filters if experiment.normalization in ("none", "group") else 0
        plan.slide(kernel, stride)
        name, shape = f"convolution{number}_{turn}", (height, width, filters)
        plan.add(name, "Conv2D", shape, weights + biases, weights * height * width)
        if first and turn == 1 and halve and experiment.pooling != "stride":
            pool()
        if experiment.normalization != "none":
            kind, numbers = NORMALIZATIONS[experiment.normalization]
            plan.add(f"normalization{number}_{turn}", kind, parameters=numbers * filters)
        plan.add(f"activation{number}_{turn}", "Activation")
    if not first and halve and experiment.pooling != "stride":
        pool()
