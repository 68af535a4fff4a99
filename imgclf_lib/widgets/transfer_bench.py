"""Choose how many images a classifier learns from and what it sees: pixels, or features."""

import time

import ipywidgets
import numpy as np

from imgclf_lib.baselines import predict_linear
from imgclf_lib.data import ImageData, Split
from imgclf_lib.training_plots import bench_points
from imgclf_lib.widgets.controls import note
from imgclf_lib.widgets.frame import Frame
from imgclf_lib.widgets.picture import Picture

SIGHTS = ("features", "pixels")
STEPS = (1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300, 500)
THINNED_SIDE = 32  # of large images the classifier sees every few pixels: enough for it
MOST_IMAGES = 5_000  # a choice shall take a second or two
TITLE = "Learn from a few images: choose how many, and what the classifier sees"


class TransferBench(Frame):
    """Softmax regression, trained anew at every choice, on features or on pixels.

    Args:
        dataset: The images.
        features: Features of its training and validation images, from ``cached_features``.
    """

    def __init__(self, dataset: ImageData, features: dict[str, Split]) -> None:
        super().__init__(TITLE)
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
        style, layout = {"description_width": "13em"}, {"width": "30em", "max_width": "98%"}
        self.count = ipywidgets.SelectionSlider(
            options=options,
            value=min(options, key=lambda each: abs(each - 10)),
            description="images a class",
            continuous_update=False,
            style=style,
            layout=layout,
        )
        self.sight = ipywidgets.Dropdown(
            options=SIGHTS, description="the classifier sees", style=style, layout=layout
        )
        self.draw = ipywidgets.IntSlider(
            0, 0, 9, description="which images (draw)", continuous_update=False,
            style=style, layout=layout,
        )  # fmt: skip
        self.clear_button = ipywidgets.Button(
            description="Clear", tooltip="Begin again with an empty picture"
        )
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
            self.status.value = note("These images are all of one class: choose more of them.")
            return
        accuracy = float((predict_linear(chosen, val.images) == val.labels).mean())
        seconds = time.perf_counter() - began
        self.rows.append((self.count.value, name, accuracy))
        text = (
            f"{len(chosen):,} training images, {name}: {accuracy:.3f} of {len(val):,} validation"
            f" images right. Learned and measured in {seconds:.1f} s."
        )
        self.status.value = note(text)
        self._draw()

    def clear(self) -> None:
        """Empty the picture."""
        self.rows, self.status.value = [], note("Move a control: a point appears.")
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
