"""Controls made from the fields of an experiment: their kind, range and help come from there."""

import html
import math
import typing
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import ipywidgets
import traitlets

from imgclf_lib.experiment import Experiment

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
POWERS = {"batch_size": range(3, 11), "image_size": range(4, 9)}  # offered as powers of two
SIZES = (4, 8, 16, 32, 64, 128, 256, 512)  # of one layer
LABEL_WIDTH = "10.5em"
WIDTH = "24em"
LABELS = {"flip": "mirror (flip)", "random_erasing": "erase a square", "filters": "block"}


def _layout() -> ipywidgets.Layout:
    """A layout for each control alone: a shared one would change for all at once."""
    return ipywidgets.Layout(width=WIDTH, max_width="98%")


def label_of(name: str) -> str:
    """The words beside a control.

    Args:
        name: A field of ``Experiment``.

    Returns:
        The name of the field as words.
    """
    return LABELS.get(name, name.replace("_", " "))


def make_control(name: str, value: Any) -> ipywidgets.Widget:
    """The control of one field of ``Experiment``.

    A choice becomes a menu, a number a slider (logarithmic for the learning rate, powers of two
    for the batch size), a list of layer sizes a ``LayerSizes``.

    Args:
        name: The field.
        value: What the control shows first; the range is widened where it is outside.

    Returns:
        A control whose ``value`` is a value of the field.
    """
    each = next(each for each in fields(Experiment) if each.name == name)
    kind = typing.get_type_hints(Experiment)[name]
    shared: dict[str, Any] = {
        "description": label_of(name),
        "tooltip": each.metadata["help"],
        "style": {"description_width": LABEL_WIDTH},
        "layout": _layout(),
    }
    if typing.get_origin(kind) is typing.Literal:
        return ipywidgets.Dropdown(options=typing.get_args(kind), value=value, **shared)
    if typing.get_origin(kind) is tuple:
        return LayerSizes(name, value)
    if kind is str:
        return ipywidgets.Text(value=value, continuous_update=False, **shared)
    if name in POWERS:
        options = sorted({2**power for power in POWERS[name]} | {value})
        return ipywidgets.SelectionSlider(
            options=options, value=value, continuous_update=False, **shared
        )
    low, high = RANGES.get(name, (each.metadata["minimum"], each.metadata["maximum"]))
    low, high = min(low, value), max(high, value)
    if name == "learning_rate":
        return ipywidgets.FloatLogSlider(
            value=value,
            base=10,
            min=math.floor(math.log10(low)),
            max=math.ceil(math.log10(high)),
            step=0.25,
            readout_format=".2g",
            continuous_update=False,
            **shared,
        )
    if kind is int:
        return ipywidgets.IntSlider(value, low, high, continuous_update=False, **shared)
    step = 1.0 if high > 2 else 0.01
    form = ".0f" if high > 2 else ".2f"
    return ipywidgets.FloatSlider(
        value=value,
        min=low,
        max=high,
        step=step,
        readout_format=form,
        continuous_update=False,
        **shared,
    )


class LayerSizes(ipywidgets.VBox):
    """How many layers there are, and how large each of them is.

    Args:
        name: ``filters`` or ``dense_units``.
        value: The sizes that it shows first.
        most: Largest number of layers.
    """

    value = traitlets.Tuple()

    def __init__(self, name: str, value: Sequence[int], most: int = 4) -> None:
        most = max(most, len(value))
        noun = "blocks" if name == "filters" else "dense layers"
        unit = "filters in block" if name == "filters" else "units in layer"
        shared: dict[str, Any] = {
            "style": {"description_width": LABEL_WIDTH},
            "continuous_update": False,
        }
        self.count = ipywidgets.IntSlider(
            len(value), 0, most, description=noun, layout=_layout(), **shared
        )
        padded = [*value, *[32] * most][:most]
        self.sizes = [
            ipywidgets.SelectionSlider(
                options=sorted({*SIZES, each}),
                value=each,
                description=f"{unit} {number}",
                layout=_layout(),
                **shared,
            )
            for number, each in enumerate(padded, 1)
        ]
        super().__init__([self.count, *self.sizes])
        for control in (self.count, *self.sizes):
            control.observe(lambda _: self._gather(), "value")
        self._gather()

    def set(self, value: Sequence[int]) -> None:
        """Show other sizes.

        Args:
            value: The sizes.
        """
        self.count.value = len(value)
        for control, each in zip(self.sizes, value, strict=False):
            control.options = sorted({*control.options, each})
            control.value = each

    def _gather(self) -> None:
        for number, control in enumerate(self.sizes):
            control.layout.display = None if number < self.count.value else "none"
        self.value = tuple(control.value for control in self.sizes[: self.count.value])


class Controls(ipywidgets.HBox):
    """Controls for some fields of an experiment, side by side as far as there is room.

    Args:
        start: The experiment that is shown first; its other fields stay as they are.
        names: The fields that have a control, in order.
    """

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
        """Show the values of another experiment.

        Args:
            experiment: The experiment.
        """
        for name, control in self.controls.items():
            value = getattr(experiment, name)
            control.set(value) if isinstance(control, LayerSizes) else setattr(
                control, "value", value
            )


def _tidy(value: Any) -> Any:
    """Sliders give 0.30000000000000004 where a person reads 0.3."""
    return float(f"{value:.6g}") if isinstance(value, float) else value


def note(text: str) -> str:
    """Plain text as HTML: untrusted names in it are shown, never interpreted.

    Args:
        text: Anything.

    Returns:
        Escaped text.
    """
    return html.escape(str(text))


def cards(figures: dict[str, str]) -> str:
    """Figures in large type, side by side as far as there is room, as HTML.

    Args:
        figures: Text of each figure by what it is.

    Returns:
        Escaped HTML.
    """
    box, large = "min-width: 10.5em; flex: 1; line-height: 1.35", "font-size: 1.6em"
    parts = "".join(
        f'<div style="{box}"><b style="{large}">{note(value)}</b><br>{note(name)}</div>'
        for name, value in figures.items()
    )
    return f'<div style="display: flex; flex-wrap: wrap; gap: 2px 14px">{parts}</div>'
