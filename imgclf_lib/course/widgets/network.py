"""Widgets about networks: design one and see what it costs, learn from the features of another."""

import math
import time
from html import escape

import ipywidgets
import numpy as np
import pandas as pd
import psutil

from imgclf_lib.course.widgets.base import Frame, Picture, button, cards, look, menu, status, table
from imgclf_lib.course.widgets.controls import Controls, LayerSizes
from imgclf_lib.data import ImageData, Split
from imgclf_lib.evaluation import predict_linear
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import fit_to_memory, gigabytes, plan_network, training_memory
from imgclf_lib.plots import bench_points, network

FIELDS = (
    *("filters", "dense_units", "convolutions", "kernel_size", "pooling"),
    *("normalization", "activation", "head", "batch_size"),
)
UNITS = (1024, 2048, 4096, 8192, 16_384)  # sizes of dense layers that may be too much
HEADS = {"layer": "layer", "output": "values it hands on", "parameters": "parameters"}


HEADS |= {"multiply_adds": "multiply-adds", "receptive_field": "receptive field"}


SIGHTS = ("features", "pixels")
STEPS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500)
THINNED_SIDE = 32  # of large images the classifier sees every few pixels: enough for it
MOST_IMAGES = 5_000  # a choice shall take a second or two


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
        self.drawing, self.reset = Picture(), button("Start again")
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
        looks = f"imgclf-verdict imgclf-{kind.replace(' ', '-')}"
        self.verdict.value = status(f"<b>{sign}</b> {escape(words)}", looks)
        shapes = ", ".join(" by ".join(map(str, each)) for each in maps["output"].drop_duplicates())
        self.drawing.show(
            network(plan),
            f"The network: feature maps of {shapes}; {len(experiment.dense_units)} hidden dense"
            f" layers; {self.classes} classes.",
        )
        self.layers.value = _layer_table(plan)
        changes = ", ".join(f"{name}={each!r}" for name, each in experiment.changes().items())
        self.code.value = f"As code: <code>{escape(f'Experiment({changes})')}</code>"

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


def _layer_table(plan: pd.DataFrame) -> str:
    shown = plan[list(HEADS)].rename(columns=HEADS)
    shapes = [" × ".join(map(str, each)) for each in plan["output"]]
    shown["values it hands on"] = [
        f"{shape} = {math.prod(each):,}" if len(each) > 1 else f"{each[0]:,}"
        for shape, each in zip(shapes, plan["output"], strict=True)
    ]
    shown["receptive field"] = [f"{side} × {side}" for side in plan["receptive_field"]]
    forms = {"parameters": "{:,}".format, "multiply-adds": "{:,}".format}
    return table(shown, "Layers of the network", "imgclf-layers", formatters=forms)


class TransferBench(Frame):
    """Softmax regression, trained anew at every choice, on features or on pixels.

    Args:
        dataset: The images.
        features: Features of its training and validation images, from ``cached_features``.
    """

    def __init__(self, dataset: ImageData, features: dict[str, Split]) -> None:
        super().__init__("Learn from a few images: choose how many, and what the classifier sees")
        self.class_names = dataset.class_names
        self.rows: list[tuple[float, str, float]] = []
        places = {path: row for row, path in enumerate(dataset.val.paths)}
        seen = np.array([places[path] for path in features["val"].paths])
        self.sights = {
            SIGHTS[0]: (features["train"], features["val"]),
            SIGHTS[1]: (_thinned(dataset.train), _thinned(dataset.val).take(seen)),
        }
        labels = features["val"].labels
        counts = np.bincount(features["train"].labels, minlength=len(self.class_names))
        self.chance = float((labels == counts.argmax()).mean())
        most = min(len(features["train"]), MOST_IMAGES) // len(self.class_names)
        options = sorted({each for each in STEPS if each < most} | {max(1, most)})
        self.count = ipywidgets.SelectionSlider(
            options=options,
            value=min(options, key=lambda each: abs(each - 10)),
            continuous_update=False,
            **look("images a class", "30em", "13em"),
        )
        self.sight = menu("the classifier sees", SIGHTS, "30em", "13em")
        self.draw = ipywidgets.IntSlider(
            0, 0, 9, continuous_update=False, **look("which images (draw)", "30em", "13em")
        )
        self.clear_button = button("Clear", "Begin again with an empty picture")
        self.status, self.picture = ipywidgets.HTML(), Picture()
        for control in (self.count, self.sight, self.draw):
            self.react(control, self.learn)
        self.react(self.clear_button, self.clear)
        self.fill([self.count, self.sight, self.draw, self.clear_button, self.status, self.picture])
        self.learn()

    def learn(self) -> None:
        """Train on the chosen images, and add the point."""
        began, name = time.perf_counter(), self.sight.value
        train, val = self.sights[name]
        chosen = train.sample(self.count.value * len(self.class_names), self.draw.value)
        if len(np.unique(chosen.labels)) < 2:
            self.status.value = "These images are all of one class: choose more of them."
            return
        accuracy = float((predict_linear(chosen, val.images) == val.labels).mean())
        seconds = time.perf_counter() - began
        self.rows.append((self.count.value, name, accuracy))
        self.status.value = (
            f"{len(chosen):,} training images, {name}: {accuracy:.3f} of {len(val):,} validation"
            f" images right. Learned and measured in {seconds:.1f} s."
        )
        self._draw()

    def clear(self) -> None:
        """Empty the picture."""
        self.rows, self.status.value = [], "Move a control: a point appears."
        self._draw()

    def _draw(self) -> None:
        title = "The same classifier on features and on pixels"
        words = "; ".join(f"{name}, {images:g}: {right:.2f}" for images, name, right in self.rows)
        self.picture.show(
            bench_points(self.rows, self.chance, title),
            f"Validation accuracy by images a class. {words or 'Nothing yet.'}",
        )


def _thinned(split: Split) -> Split:
    step = max(1, split.images.shape[1] // THINNED_SIDE)
    return Split(split.name, split.images[:, ::step, ::step], split.labels, split.paths)
