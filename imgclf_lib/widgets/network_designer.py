"""Design a network: its size, its work and its memory follow every move."""

import math

import ipywidgets
import pandas as pd
import psutil

from imgclf_lib.experiment import Experiment
from imgclf_lib.model import fit_to_memory, gigabytes, plan_network, training_memory
from imgclf_lib.network_plots import network
from imgclf_lib.widgets.controls import Controls, LayerSizes, cards, note
from imgclf_lib.widgets.frame import Frame
from imgclf_lib.widgets.picture import Picture

FIELDS = (
    *("filters", "dense_units", "convolutions", "kernel_size", "pooling"),
    *("normalization", "activation", "head", "batch_size"),
)
UNITS = (1024, 2048, 4096, 8192, 16_384)  # sizes of dense layers that may be too much
COLORS = {"fits": "#009E73", "tight": "#E69F00", "too big": "#D55E00"}
HEADS = {"layer": "layer", "output": "values it hands on", "parameters": "parameters"}
HEADS |= {"multiply_adds": "multiply-adds", "receptive_field": "receptive field"}


class NetworkDesigner(Frame):
    """Controls for the architecture; nothing is ever built, so no design is too big to try.

    Args:
        experiment: The design that is shown first.
        image_shape: Height, width and channels.
        classes: Number of classes.
    """

    def __init__(
        self, experiment: Experiment, image_shape: tuple[int, int, int], classes: int
    ) -> None:
        super().__init__("Design a network")
        self.start, self.image_shape, self.classes = experiment, image_shape, classes
        self.controls = Controls(experiment, FIELDS)
        self.totals, self.verdict, self.layers, self.code = (ipywidgets.HTML() for _ in range(4))
        self.drawing = Picture()
        self.reset = ipywidgets.Button(description="Start again")
        self._arrange()
        for control in self.controls.controls.values():
            self.react(control, self.update)
        self.react(self.reset, lambda: self.controls.set(self.start))
        self.attempt(self.update)

    @property
    def experiment(self) -> Experiment:
        """The experiment with the design that is shown, ready to be trained."""
        return self.controls.experiment

    def update(self) -> None:
        """Show what the present design is and costs."""
        experiment = self.experiment
        plan = plan_network(experiment, self.image_shape, self.classes)
        kind, words = fit_to_memory(plan, experiment, psutil.virtual_memory().available)
        memory = training_memory(plan, experiment)
        maps = plan[plan["output"].map(len) == 3]
        side = f"{maps['receptive_field'].iloc[-1]}"
        figures = {
            "parameters": f"{plan['parameters'].sum():,}",
            "multiply-adds for one image": f"{plan['multiply_adds'].sum():,}",
            "memory to train": gigabytes(memory.total),
            "receptive field in pixels": f"{side} × {side}",
        }
        self.totals.value = cards(figures)
        sign = "✓" if kind == "fits" else "⚠"
        self.verdict.value = (
            f'<div role="status" style="border-left: 4px solid {COLORS[kind]};'
            ' padding: 0 10px; line-height: 1.4; min-height: 2.8em">'
            f"<b>{sign}</b> {note(words)}</div>"
        )
        shapes = ", ".join(" by ".join(map(str, each)) for each in maps["output"].drop_duplicates())
        self.drawing.show(
            network(plan),
            f"The network: feature maps of {shapes}; {len(experiment.dense_units)} hidden dense"
            f" layers; {self.classes} classes.",
        )
        self.layers.value = _table(plan)
        changes = ", ".join(f"{name}={each!r}" for name, each in experiment.changes().items())
        self.code.value = f"As code: <code>{note(f'Experiment({changes})')}</code>"

    def _arrange(self) -> None:
        for control in self.controls.controls.values():
            if isinstance(control, LayerSizes):
                # Room for all its sliders, so that nothing moves when their number changes.
                control.layout.min_height = "150px"
                for slider in (control.count, *control.sizes):
                    slider.continuous_update = True
            elif hasattr(control, "continuous_update"):
                control.continuous_update = True
        for slider in self.controls.controls["dense_units"].sizes:
            value = slider.value
            slider.options = sorted({*slider.options, *UNITS})
            slider.value = value
        parts = [self.totals, self.verdict, self.drawing, self.controls, self.reset]
        self.fill([*parts, self.layers, self.code])  # the code may become longer: it is last


def _table(plan: pd.DataFrame) -> str:
    """The layers as a table that scrolls, so that its place stays the same."""
    shown = plan[list(HEADS)].rename(columns=HEADS)
    shapes = [" × ".join(map(str, each)) for each in plan["output"]]
    shown["values it hands on"] = [
        f"{shape} = {math.prod(each):,}" if len(each) > 1 else f"{each[0]:,}"
        for shape, each in zip(shapes, plan["output"], strict=True)
    ]
    shown["receptive field"] = [f"{side} × {side}" for side in plan["receptive_field"]]
    table = shown.to_html(
        index=False,
        border=0,
        formatters={"parameters": "{:,}".format, "multiply-adds": "{:,}".format},
    )
    for kind in ("td", "th"):
        table = table.replace(f"<{kind}>", f'<{kind} style="padding: 0 14px; text-align: right">')
    return (
        '<div tabindex="0" role="region" aria-label="Layers of the network"'
        f' style="height: 17em; overflow: auto; line-height: 1.4">{table}</div>'
    )
