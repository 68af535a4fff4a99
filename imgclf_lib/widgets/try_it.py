"""Give a trained model a picture: a file, an upload or a drawing."""

from pathlib import Path
from typing import Any

import ipywidgets
from PIL import Image

from imgclf_lib import evaluation_plots
from imgclf_lib.data import ImageData, load_data
from imgclf_lib.datasets import KNOWN
from imgclf_lib.errors import InputError
from imgclf_lib.figures import new_figure
from imgclf_lib.formats import image_suffixes
from imgclf_lib.predict import ImagePrediction, Manner, draw_strokes, manner_of, predict_image
from imgclf_lib.runs import Run
from imgclf_lib.widgets.controls import note
from imgclf_lib.widgets.frame import Frame
from imgclf_lib.widgets.picture import Picture
from imgclf_lib.widgets.sketch import Sketch
from imgclf_lib.widgets.upload import MOST_BYTES, Upload

OFFERED = 12  # validation images in the menu
STUDIED = 200  # training images that tell what a drawing should look like
MOST_FILES = 1000  # of one folder in the menu
LONGEST = 60  # letters of a name
DRAWING = "your drawing"
Source = bytes | Path | Image.Image


class TryIt(Frame):
    """What a trained model says about a picture of yours, decoded as training decoded its own.

    The trait values of ``menu``, ``path``, ``upload`` and ``sketch`` say where the picture comes
    from; ``prediction`` holds the last answer, None if the picture could not be decoded.

    Args:
        run: A finished run.
    """

    def __init__(self, run: Run) -> None:
        super().__init__("Try it: give the model a picture")
        self.run = run
        self.prediction: ImagePrediction | None = None
        self.offered: list[tuple[str, Source | None]] = []
        self._examples: list[tuple[str, Source | None]] = []
        self._remark, self._filling = "", False
        self.menu = ipywidgets.Dropdown(**_look("picture", "22em"))
        self.path = ipywidgets.Text(
            placeholder="a path on this machine",
            continuous_update=False,
            **_look("file or folder", "20em"),
        )
        self.upload = Upload()
        self.status, self.picture = ipywidgets.HTML(), Picture()
        manner = Manner(light_on_dark=True, extent=0.9, filled=True)
        problem: Exception | None = None
        try:
            data = load_data(run.experiment)
            manner = manner_of(data.train.sample(STUDIED).images)
            self._examples = _examples(data, run)
        except Exception as error:  # the run may have come here without its data
            problem = error
        self.manner = manner
        self.sketch = Sketch(manner.light_on_dark)
        self.brush = ipywidgets.FloatSlider(
            self.sketch.brush,
            min=0.02,
            max=0.16,
            step=0.01,
            continuous_update=False,
            **_look("brush width", "20em"),
        )
        self.fill_shape = ipywidgets.Checkbox(manner.filled, **_look("fill the shape"))
        self.invert = ipywidgets.Checkbox(False, **_look("invert light and dark"))
        self._arrange()
        self.react(self.menu, self._choose)
        self.react(self.path, self._read_path)
        self.react(self.upload, self._take_upload, "number")
        self.react(self.sketch, self._draw, "strokes")
        for control in (self.brush, self.fill_shape, self.invert):
            self.react(control, self._restyle)
        self.attempt(lambda: self._offer(self._examples))
        if problem is not None:
            self.show_error(problem)

    def _arrange(self) -> None:
        for part in (self.path, self.upload, self.sketch, self.picture):
            part.layout.flex = "0 0 auto"
        self.picture.layout.max_width = "100%"
        checks = ipywidgets.HBox([self.fill_shape, self.invert])
        sources = ipywidgets.HBox([self.menu, self.path, self.upload])
        answer = ipywidgets.VBox([self.status, self.picture, self.brush, checks])
        both = ipywidgets.HBox([answer, self.sketch])
        for box in (checks, sources, both):
            box.layout.flex_flow = "row wrap"
        # Where there is room for one column alone, the canvas stands above the answer.
        both.layout.flex_flow, both.layout.align_items = "row wrap-reverse", "flex-end"
        answer.layout.max_width = "100%"
        self.fill([sources, both])

    def _offer(self, sources: list[tuple[str, Source | None]]) -> None:
        """Fill the menu, and show its first picture."""
        self.offered, self._filling = sources, True
        try:
            self.menu.options = [(_short(name), number) for number, (name, _) in enumerate(sources)]
            self.menu.index = 0 if sources else None
        finally:
            self._filling = False
        self._choose()

    def _choose(self) -> None:
        """Predict the picture that the menu names."""
        if self._filling:
            return
        self.prediction = None
        try:
            if self.menu.value is not None:
                name, source = self.offered[self.menu.value]
                source = self._drawing() if source is None else source
                self.prediction = predict_image(self.run, source, repr(_short(name)))
        finally:
            self._show()

    def _show(self) -> None:
        if self.prediction is None:
            said, drawing = "No prediction.", new_figure(*evaluation_plots.PREDICTION_SIZE)
            alt = "No picture."
        else:
            title, said = self.offered[self.menu.value][0], f"{self.prediction}{self._remark}"
            drawing = evaluation_plots.prediction(*self.prediction, _short(title))
            alt = f"{_short(title)}: as given, as the network sees it, and bars: {said}."
        self.picture.show(drawing, alt)
        self.status.value = (
            '<div role="status" style="white-space: nowrap; overflow: hidden;'
            f' text-overflow: ellipsis; max-width: 560px"><b>{note(said)}</b></div>'
        )

    def _read_path(self) -> None:
        self._remark = ""
        if not self.path.value.strip():
            return self._offer(self._examples)
        path = Path(self.path.value.strip()).expanduser()
        if path.is_dir():
            suffixes = image_suffixes()
            inside = sorted(each for each in path.iterdir() if each.suffix.lower() in suffixes)
            if not inside:
                raise InputError(f"There is no image in the folder {_short(path)!r}")
            if len(inside) > MOST_FILES:
                self._remark = f" (the first {MOST_FILES:,} of {len(inside):,} files)"
            return self._offer([(each.name, each) for each in inside[:MOST_FILES]])
        if not path.is_file():
            raise InputError(
                f"There is no file or folder {_short(path)!r}",
                do="Relative paths begin in the folder of this notebook",
            )
        return self._offer([(path.name, path), *self._examples])

    def _take_upload(self) -> None:
        if self.upload.size > MOST_BYTES:
            raise InputError(
                f"{_short(self.upload.name)!r} is too large to upload:"
                f" {self.upload.size / 1e6:,.1f} MB",
                allowed=f"up to {MOST_BYTES / 1e6:,.0f} MB",
                do="Write its path into the field 'file or folder' instead",
            )
        self._offer([(self.upload.name, self.upload.content), *self.offered])

    def _drawing(self) -> Image.Image:
        manner = self.manner._replace(
            light_on_dark=self.sketch.dark, filled=bool(self.fill_shape.value)
        )
        return draw_strokes(self.sketch.strokes, manner, self.brush.value)

    def _draw(self) -> None:
        others = [each for each in self.offered if each[1] is not None]
        self._offer([(DRAWING, None), *others] if self.sketch.strokes else others or self._examples)

    def _restyle(self) -> None:
        self.sketch.brush = self.brush.value
        self.sketch.dark = self.manner.light_on_dark != self.invert.value
        if self.menu.value is not None and self.offered[self.menu.value][1] is None:
            self._choose()


def _look(description: str, width: str = "") -> dict[str, Any]:
    """How a control looks; without a width it is a box to tick, whose words need no column."""
    return {
        "description": description,
        "style": {"description_width": "6.5em" if width else "initial"},
        "layout": ipywidgets.Layout(width=width or "15em", max_width="98%"),
    }


def _short(name: object) -> str:
    """A name as one short line that can be sent to a browser, whatever bytes it was made of."""
    line = " ".join(str(name).encode("utf-8", "replace").decode().split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _examples(data: ImageData, run: Run) -> list[tuple[str, Source | None]]:
    """Some validation images: their files where they have one."""
    few = data.val.sample(OFFERED)
    folder = Path(run.experiment.data)
    examples: list[tuple[str, Source | None]] = []
    for number, (pixels, label, path) in enumerate(
        zip(few.images, few.labels, few.paths, strict=True), 1
    ):
        file = folder / path
        own = run.experiment.data not in KNOWN and file.is_file()
        name = f"validation {number}, in truth {run.class_names[label]}"
        examples.append((name, file if own else Image.fromarray(pixels.squeeze())))
    return examples
