"""Controls for the ranges of fields: from where to where, or which choices."""

import typing
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import ipywidgets

from imgclf_lib.experiment import LOGARITHMIC, POWERS, Experiment
from imgclf_lib.widgets.controls import RANGES, label_of

CHOICES: dict[str, set[tuple[int, ...]]] = {
    "filters": {(4, 8), (8, 16), (16, 32), (32, 64)},
    "dense_units": {(), (32,), (64,), (128,)},
}
# 1, 2 and 5 of every power of ten: steps that are even on a logarithmic scale, nearly.
ROUND = [float(f"{digit}e{power}") for power in range(-5, 0) for digit in (1, 2, 5)] + [1.0]


class Ranges(ipywidgets.HBox):
    """A tick and a range for each of some fields: sliders, and beside them lists of choices.

    Args:
        experiment: Its values lie within the first ranges.
        names: The fields.
        ticked: Those that are varied at first.
    """

    def __init__(self, experiment: Experiment, names: Sequence[str], ticked: Sequence[str]) -> None:
        self.experiment = experiment
        self.spans = {name: range_control(name, getattr(experiment, name)) for name in names}
        self.ticks = {
            name: ipywidgets.Checkbox(
                name in ticked,
                description="vary",
                indent=False,
                tooltip=f"Vary {label_of(name)}",
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
        spans = {name: self.spans[name] for name, tick in self.ticks.items() if tick.value}
        return {
            name: list(span.value)
            if isinstance(span, ipywidgets.SelectMultiple)
            else tuple(
                float(f"{each:.6g}") if isinstance(each, float) else each for each in span.value
            )
            for name, span in spans.items()
        }

    def show_ticks(self) -> str:
        """Switch the ranges of fields off that are not ticked.

        Returns:
            Those fields with their values, in words.
        """
        fixed = []
        for name, tick in self.ticks.items():
            self.spans[name].disabled = not tick.value
            if not tick.value:
                value = getattr(self.experiment, name)
                words = ", ".join(map(str, value)) if isinstance(value, tuple) else value
                fixed.append(f"{name.replace('_', ' ')} {words if words != '' else 'none'}")
        return "; ".join(fixed)


def range_control(name: str, value: Any) -> ipywidgets.Widget:
    """The control of the range of one field of ``Experiment``.

    Args:
        name: A field that is a number, a list of layer sizes, or a choice.
        value: A value that lies within the first range.

    Returns:
        A control whose ``value`` is a pair ``(low, high)``, or a tuple of choices if it is a
        ``SelectMultiple``.
    """
    each = next(each for each in fields(Experiment) if each.name == name)
    kind = typing.get_type_hints(Experiment)[name]
    shared: dict[str, Any] = {
        "description": label_of(name),
        "tooltip": each.metadata["help"],
        "style": {"description_width": "7.5em"},
        "layout": ipywidgets.Layout(width="25.5em", max_width="85%"),
    }
    if typing.get_origin(kind) is tuple:
        shared["description"] = name.replace("_", " ")
        sizes = sorted({*CHOICES.get(name, set()), value}, key=lambda each: (len(each), each))
        options = [(", ".join(map(str, each)) or "none", each) for each in sizes]
        return ipywidgets.SelectMultiple(options=options, value=sizes, rows=4, **shared)
    if typing.get_origin(kind) is typing.Literal:
        choices = typing.get_args(kind)
        return ipywidgets.SelectMultiple(options=choices, value=choices, rows=4, **shared)
    shared["continuous_update"] = False
    if name in (*LOGARITHMIC, *POWERS):
        numbers = [2**power for power in range(3, 11)] if name in POWERS else ROUND
        steps = sorted({*numbers, value} - {0})
        factor = 4 if name in POWERS else 10
        near = [step for step in steps if value / factor <= step * 1.001 <= value * factor * 1.01]
        first = (near[0], near[-1]) if value else (steps[0], steps[-1])
        options = [(f"{step:g}", step) for step in steps]
        return ipywidgets.SelectionRangeSlider(options=options, value=first, **shared)
    low, high = RANGES.get(name, (each.metadata["minimum"], each.metadata["maximum"]))
    low, high = min(low, value), max(high, value)
    if kind is int:
        return ipywidgets.IntRangeSlider(value=(low, high), min=low, max=high, **shared)
    step, form = (1.0, ".0f") if high > 2 else (0.01 if high < 0.5 else 0.05, ".2f")
    middle = (low, max(value, low + round((high - low) * 0.6 / step) * step))
    return ipywidgets.FloatRangeSlider(
        value=middle, min=low, max=high, step=step, readout_format=form, **shared
    )
