"""What augmentation does to eight images, at once, as the sliders move."""

import ipywidgets
import numpy as np

from imgclf_lib.data import Split
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.plots import image_grid
from imgclf_lib.preprocess import AUGMENTATIONS, augment
from imgclf_lib.widgets.controls import Controls, note
from imgclf_lib.widgets.frame import Frame
from imgclf_lib.widgets.picture import Picture

COUNT = 8  # images
SIZE = 0.85  # of one image, in inches


class AugmentationPreview(Frame):
    """The same images before and after augmentation, by what training uses.

    Args:
        experiment: Its augmentation is shown first; its seed throws the dice.
        images: A split or a ``uint8`` array of shape ``(n, height, width, channels)``; the first
            eight are shown.

    Raises:
        InputError: If there is no image.
    """

    def __init__(self, experiment: Experiment, images: np.ndarray | Split) -> None:
        super().__init__("Augment eight images")
        pixels = images.images if isinstance(images, Split) else images
        self.before = np.array(pixels[:COUNT], dtype="uint8")
        if not len(self.before):
            raise InputError("There is no image to augment", allowed="one image at least")
        self.start, self.throws = experiment, 0
        self.controls = Controls(experiment, AUGMENTATIONS)
        self.again = ipywidgets.Button(
            description="Another throw of the dice", layout={"width": "16em", "max_width": "98%"}
        )
        self.call = ipywidgets.HTML(layout={"min_height": "2.8em"})
        self.picture = Picture()
        self.fill([self.controls, self.again, self.picture, self.call])
        for control in self.controls.controls.values():
            if hasattr(control, "continuous_update"):
                control.continuous_update = True  # fast enough to follow the hand
            self.react(control, self._draw)
        self.react(self.again, self._throw)
        self.attempt(self._draw)

    @property
    def experiment(self) -> Experiment:
        """The experiment that trains with what the sliders show."""
        return self.controls.experiment

    def _throw(self) -> None:
        self.throws += 1
        self._draw()

    def _draw(self) -> None:
        seed = (self.start.seed + self.throws) % 2**31
        self.after = augment(self.before, self.experiment.replace(seed=seed))
        changes = self.experiment.changes()
        chosen = {name: changes[name] for name in AUGMENTATIONS if name in changes}
        inside = ", ".join(f"{name}={value!r}" for name, value in chosen.items())
        which = ", ".join(chosen) or "nothing"
        self.picture.show(
            image_grid(
                np.concatenate([self.before, self.after]),
                columns=len(self.before),
                rows=["before", "after"],
                size=SIZE,
            ),
            f"{len(self.before)} images before and after augmentation with {which}.",
        )
        self.call.value = (
            '<div style="line-height: 1.4">As an experiment: '
            f"<code>Experiment({note(inside)})</code></div>"
        )
