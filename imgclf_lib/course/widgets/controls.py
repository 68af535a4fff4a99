"""Controls made from the fields of an experiment: their kind, range and help come from there."""

import math
import typing
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import ipywidgets
import traitlets

from imgclf_lib.course.widgets.base import look
from imgclf_lib.experiment import Experiment, field_types, scale_of

# What a slider offers where the whole allowed range would be of no use to a person.
RANGES: dict[str, tuple[float, float]] = {
    "learning_rate": (1e-5, 1.0),
    "epochs": (1, 20),
    "shift": (0.0, 0.3),
    "rotate": (0.0, 45.0),
    "zoom": (0.0, 0.4),
    "dropout": (0.0, 0.9),
    "weight_decay": (0.0, 0.1),
    "kernel_size": (1, 7),
    "convolutions": (1, 4),
    "limit": (100, 20_000),
    "seed": (0, 20),
}
POWERS = {"batch_size": range(3, 11), "image_size": range(4, 9)}  # of two, as many as help
SIZES = (4, 8, 16, 32, 64, 128, 256, 512)  # of one layer
CHOICES: dict[str, set[tuple[int, ...]]] = {
    "filters": {(4, 8), (8, 16), (16, 32), (32, 64)},
    "dense_units": {(), (32,), (64,), (128,)},
}
# 1, 2 and 5 of every power of ten: steps that are even on a logarithmic scale, nearly.
ROUND = [float(f"{digit}e{power}") for power in range(-5, 0) for digit in (1, 2, 5)] + [1.0]
LABEL_WIDTH = "10.5em"
WIDTH = "24em"
LABELS = {"flip": "mirror (flip)", "random_erasing": "erase a square", "filters": "block"}


def _label(name: str) -> str:
    return LABELS.get(name, name.replace("_", " "))


def _facts(name: str, value: Any) -> tuple[Any, str, float, float]:
    """The type of a field, its help, and the range of its control, widened to hold a value."""
    each = next(each for each in fields(Experiment) if each.name == name)
    kind = field_types()[name]
    if not isinstance(value, int | float):
        return kind, each.metadata["help"], 0, 0
    low, high = RANGES.get(name, (each.metadata["minimum"], each.metadata["maximum"]))
    return kind, each.metadata["help"], min(low, value), max(high, value)


def make_control(name: str, value: Any) -> ipywidgets.Widget:
    """The control of one field of ``Experiment``; its range is widened to hold the value.

    A choice becomes a menu, a number a slider (logarithmic for the learning rate, powers of two
    for the batch size), a list of layer sizes a ``LayerSizes``.
    """
    kind, tooltip, low, high = _facts(name, value)
    shared: dict[str, Any] = look(_label(name), WIDTH, LABEL_WIDTH) | {"tooltip": tooltip}
    if typing.get_origin(kind) is typing.Literal:
        return ipywidgets.Dropdown(options=typing.get_args(kind), value=value, **shared)
    if typing.get_origin(kind) is tuple:
        return LayerSizes(name, value)
    shared |= {"value": value, "continuous_update": False}
    if kind is str:
        return ipywidgets.Text(**shared)
    if scale_of(name) == "powers":
        options = sorted({2**power for power in POWERS[name]} | {value})
        return ipywidgets.SelectionSlider(options=options, **shared)
    if scale_of(name) == "log" and low > 0:
        ends = {"min": math.floor(math.log10(low)), "max": math.ceil(math.log10(high))}
        return ipywidgets.FloatLogSlider(base=10, step=0.25, readout_format=".2g", **ends, **shared)
    if kind is int:
        return ipywidgets.IntSlider(min=low, max=high, **shared)
    step, form = (1.0, ".0f") if high > 2 else (0.01, ".2f")
    return ipywidgets.FloatSlider(min=low, max=high, step=step, readout_format=form, **shared)


class LayerSizes(ipywidgets.VBox):
    """How many layers there are (``filters`` or ``dense_units``), and how large each of them is."""

    value = traitlets.Tuple()

    def __init__(self, name: str, value: Sequence[int], most: int = 4) -> None:
        most = max(most, len(value))
        noun = "blocks" if name == "filters" else "dense layers"
        unit = "filters in block" if name == "filters" else "units in layer"
        self.count = ipywidgets.IntSlider(
            len(value), 0, most, continuous_update=False, **look(noun, WIDTH, LABEL_WIDTH)
        )
        padded = [*value, *[32] * most][:most]
        self.sizes = [
            ipywidgets.SelectionSlider(
                options=sorted({*SIZES, each}),
                value=each,
                continuous_update=False,
                **look(f"{unit} {number}", WIDTH, LABEL_WIDTH),
            )
            for number, each in enumerate(padded, 1)
        ]
        super().__init__([self.count, *self.sizes])
        for control in (self.count, *self.sizes):
            control.observe(lambda _: self._gather(), "value")
        self._gather()

    def set(self, value: Sequence[int]) -> None:
        """Show other sizes."""
        self.count.value = len(value)
        for control, each in zip(self.sizes, value, strict=False):
            control.options = sorted({*control.options, each})
            control.value = each

    def _gather(self) -> None:
        for number, control in enumerate(self.sizes):
            control.layout.display = None if number < self.count.value else "none"
        self.value = tuple(control.value for control in self.sizes[: self.count.value])


class Controls(ipywidgets.HBox):
    """Controls for some fields of an experiment; its other fields stay as they are."""

    def __init__(self, start: Experiment, names: Sequence[str]) -> None:
        self.start = start
        self.controls = {name: make_control(name, getattr(start, name)) for name in names}
        super().__init__(list(self.controls.values()))
        self.layout.flex_flow = "row wrap"

    @property
    def experiment(self) -> Experiment:
        """The experiment that the controls show now."""
        values = {name: _tidy(control.value) for name, control in self.controls.items()}
        return self.start.replace(**values)

    def set(self, experiment: Experiment) -> None:
        """Show the values of another experiment."""
        for name, control in self.controls.items():
            value = getattr(experiment, name)
            if isinstance(control, LayerSizes):
                control.set(value)
            else:
                control.value = value


class Ranges(ipywidgets.HBox):
    """A tick and a range for each of some fields: sliders, and beside them lists of choices.

    The values of the experiment lie within the first ranges.
    """

    def __init__(self, experiment: Experiment, names: Sequence[str], ticked: Sequence[str]) -> None:
        self.experiment = experiment
        self.spans = {name: _range_control(name, getattr(experiment, name)) for name in names}
        self.ticks = {
            name: ipywidgets.Checkbox(
                name in ticked,
                description="vary",
                indent=False,
                tooltip=f"Vary {_label(name)}",
                layout=ipywidgets.Layout(width="4em"),
            )
            for name in names
        }
        self.sliders, self.lists = ipywidgets.VBox(), ipywidgets.VBox()
        for name, span in self.spans.items():
            choosing = isinstance(span, ipywidgets.SelectMultiple)
            column = self.lists if choosing else self.sliders
            column.children += (ipywidgets.HBox([self.ticks[name], span]),)
        super().__init__([self.sliders, self.lists])
        self.layout.flex_flow = "row wrap"

    @property
    def ranges(self) -> dict[str, Any]:
        """The ranges of the ticked fields, as ``search.propose`` takes them."""
        return {
            name: list(span.value)
            if isinstance(span, ipywidgets.SelectMultiple)
            else tuple(_tidy(each) for each in span.value)
            for name, span in self.spans.items()
            if self.ticks[name].value
        }

    def show_ticks(self) -> str:
        """Switch ranges off that are not ticked; those fields with their values, in words."""
        fixed = []
        for name, tick in self.ticks.items():
            self.spans[name].disabled = not tick.value
            if not tick.value:
                value = getattr(self.experiment, name)
                words = ", ".join(map(str, value)) if isinstance(value, tuple) else value
                fixed.append(f"{name.replace('_', ' ')} {words if words != '' else 'none'}")
        return "; ".join(fixed)


def _range_control(name: str, value: Any) -> ipywidgets.Widget:
    """A control of pairs ``(low, high)`` around a value, or a ``SelectMultiple`` of choices."""
    kind, tooltip, low, high = _facts(name, value)
    shared: dict[str, Any] = look(_label(name), "25.5em", "7.5em") | {"tooltip": tooltip}
    shared["layout"].max_width = "85%"
    if typing.get_origin(kind) is tuple:
        shared["description"] = name.replace("_", " ")
        sizes = sorted({*CHOICES.get(name, set()), value}, key=lambda each: (len(each), each))
        options = [(", ".join(map(str, each)) or "none", each) for each in sizes]
        return ipywidgets.SelectMultiple(options=options, value=sizes, rows=4, **shared)
    if typing.get_origin(kind) is typing.Literal:
        choices = typing.get_args(kind)
        return ipywidgets.SelectMultiple(options=choices, value=choices, rows=4, **shared)
    shared["continuous_update"] = False
    if scale_of(name) != "linear":
        powers = scale_of(name) == "powers"
        numbers = [2**power for power in POWERS[name]] if powers else ROUND
        steps = sorted({*numbers, value} - {0})
        factor = 4 if powers else 10
        near = [step for step in steps if value / factor <= step * 1.001 <= value * factor * 1.01]
        first = (near[0], near[-1]) if value else (steps[0], steps[-1])
        options = [(f"{step:g}", step) for step in steps]
        return ipywidgets.SelectionRangeSlider(options=options, value=first, **shared)
    if kind is int:
        return ipywidgets.IntRangeSlider(value=(low, high), min=low, max=high, **shared)
    step, form = (1.0, ".0f") if high > 2 else (0.01 if high < 0.5 else 0.05, ".2f")
    middle = (low, max(value, low + round((high - low) * 0.6 / step) * step))
    return ipywidgets.FloatRangeSlider(
        value=middle, min=low, max=high, step=step, readout_format=form, **shared
    )


def _tidy(value: Any) -> Any:
    """Sliders give 0.30000000000000004 where a person reads 0.3."""
    return float(f"{value:.6g}") if isinstance(value, float) else value
