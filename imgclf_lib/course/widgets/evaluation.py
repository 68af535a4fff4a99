"""Widgets about a trained model: open its confusions, and give it pictures of one's own."""

from html import escape
from pathlib import Path

import ipywidgets
import numpy as np
from PIL import Image

from imgclf_lib.course.widgets.base import (
    MOST_BYTES,
    Frame,
    Picture,
    Sketch,
    Upload,
    button,
    cards,
    look,
    menu,
    row,
    short,
    status,
)
from imgclf_lib.data import KNOWN, ImageData, load_data
from imgclf_lib.errors import InputError
from imgclf_lib.evaluation import (
    Evaluation,
    ImagePrediction,
    Manner,
    classes_to_show,
    confused_pairs,
    coverage_table,
    draw_strokes,
    images_in_cell,
    manner_of,
    predict_image,
)
from imgclf_lib.files import image_suffixes
from imgclf_lib.plots import (
    A_PAGE,
    PREDICTION_SIZE,
    cell_images,
    confusion_matrix,
    coverage,
    new_axes,
    new_figure,
    prediction,
)
from imgclf_lib.training import Run

MOST_CLASSES = 12  # a larger matrix is cut to the classes that are mixed up most
OFFERED = 12  # validation images in the menu
STUDIED = 200  # training images that tell what a drawing should look like
MOST_FILES = 1000  # of one folder in the menu
LONGEST = 60  # letters of the name of a picture
DRAWING = "your drawing"
# A name and a picture; None stands for the drawing.
_Offer = tuple[str, bytes | Path | Image.Image | None]


class ConfusionExplorer(Frame):
    """A confusion matrix whose cells open, and a threshold below which nothing is answered.

    Args:
        evaluation: As from ``evaluate.evaluate``.
    """

    def __init__(self, evaluation: Evaluation) -> None:
        super().__init__("Explore the confusions")
        self.evaluation, self.page, self._busy = evaluation, 0, False
        self.labels = evaluation.split.labels
        self.predicted = evaluation.probabilities.argmax(1)
        self.confidence = evaluation.probabilities.max(1)
        self.curve = coverage_table(evaluation.probabilities, self.labels)
        self.pairs = confused_pairs(self._count(np.full(len(self.labels), True)))
        start = self.pairs[0][:2] if self.pairs else (0, 0)
        self.shown: list[int] = []
        self._make_controls(*start)
        self.attempt(lambda: self.choose(*start))
        self.attempt(self.show_threshold)

    def choose(self, true: int, predicted: int) -> None:
        """Open a cell of the matrix.

        Args:
            true: The true class.
            predicted: The class that the model said.
        """
        if self._busy:
            return
        self._busy = True  # the controls that are set here need not answer
        try:
            self.true.value, self.said.value = true, predicted
            known = [value for _, value in self.often.options]
            self.often.value = (true, predicted) if (true, predicted) in known else ()
            self.page = 0
            if true not in self.shown or predicted not in self.shown:
                everything = self._count(np.full(len(self.labels), True))
                self.shown = classes_to_show(everything, MOST_CLASSES, (true, predicted))
                self._show_matrix()
            self.matrix.chosen = [self.shown.index(true), self.shown.index(predicted)]
            self._show_cell()
        finally:
            self._busy = False

    def show_threshold(self) -> None:
        """Answer only the images of which the model is sure enough."""
        answered = self.answered
        right = (self.predicted == self.labels)[answered]
        accuracy = f"{right.mean():.1%}" if len(right) else "nothing is answered"
        self.figures.value = cards(
            {
                "coverage": f"{answered.mean():.1%}",
                f"of {len(answered):,} images": f"{answered.sum():,}",
                "accuracy of the answered": accuracy,
            }
        )
        self.coverage.show(
            coverage(self.curve, int(answered.sum())),
            f"Accuracy of the answered images against their share; the mark is at a coverage of"
            f" {answered.mean():.1%}, accuracy: {accuracy}.",
        )

    @property
    def answered(self) -> np.ndarray:
        """Which images are answered at the present threshold."""
        return self.confidence >= self.threshold.value

    def _move_threshold(self) -> None:
        self.page = 0
        self.show_threshold()
        self._show_matrix()
        self._show_cell()

    def _turn(self, step: int) -> None:
        self.page += step
        self._show_cell()

    def _show_matrix(self) -> None:
        counts = self._count(self.answered)[np.ix_(self.shown, self.shown)]
        names = [self._name(label, 13) for label in self.shown]
        classes = len(self.evaluation.class_names)
        title = f"{len(names)} of {classes} classes" if len(names) < classes else "Confusions"
        axes = confusion_matrix(counts, names, title, new_axes(4.4, 4.2))
        self.matrix.show(axes, f"Confusion matrix of {len(names)} classes, true classes in rows.")
        self.matrix.offer_cells(axes, len(names), len(names))

    def _show_cell(self) -> None:
        names, true, said = self.evaluation.class_names, self.true.value, self.said.value
        chosen = self.evaluation.predictions[self.answered]
        cell = images_in_cell(chosen, names[true], names[said])
        label, answer = self._name(true), self._name(said)
        kind = f"of {label}, answered right" if true == said else f"of {label} taken for {answer}"
        count = f"{len(cell):,}" if len(cell) else "No"
        first, last = self.page * A_PAGE + 1, min((self.page + 1) * A_PAGE, len(cell))
        where = f"{first:,} to {last:,}, the most confident first." if len(cell) else ""
        text = f"{count} image{'' if len(cell) == 1 else 's'} {kind}. {where}"
        self.status.value = status(escape(text))
        self.images.show(cell_images(cell, self.evaluation.split.images, self.page), text)
        self.previous.disabled = self.page == 0
        self.following.disabled = last >= len(cell)

    def _count(self, chosen: np.ndarray) -> np.ndarray:
        classes = len(self.evaluation.class_names)
        counts = np.zeros((classes, classes), int)
        np.add.at(counts, (self.labels[chosen], self.predicted[chosen]), 1)
        return counts

    def _name(self, label: int, longest: int = 40) -> str:
        return short(self.evaluation.class_names[label], longest)

    def _make_controls(self, true: int, said: int) -> None:
        names = [(self._name(label), label) for label in range(len(self.evaluation.class_names))]
        pairs = [
            (f"{self._name(one, 24)} taken for {self._name(two, 24)} ({count:,})", (one, two))
            for one, two, count in self.pairs
        ]
        neutral = "choose …" if pairs else "there are no mistakes"
        self.often = menu("often mixed up", [(neutral, ()), *pairs], "27em", "8.5em", value=())
        self.true = menu("true class", names, "16.5em", "5.5em", value=true)
        self.said = menu("taken for", names, "16.5em", "5.5em", value=said)
        self.threshold = ipywidgets.FloatSlider(
            0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="Only images with at least this confidence are answered",
            **look("threshold", "24em", "5.5em"),
        )
        self.matrix, self.images, self.coverage = Picture(), Picture(), Picture()
        self.status = ipywidgets.HTML(layout={"min_height": "4.2em"})
        self.figures = ipywidgets.HTML()
        self.previous, self.following = button("Previous images"), button("Next images")
        for control in (self.true, self.said):
            self.react(control, lambda: self.choose(self.true.value, self.said.value))
        self.react(self.often, self._choose_in_list)
        self.react(self.matrix, self._choose_in_matrix, "chosen")
        self.react(self.threshold, self._move_threshold)
        self.react(self.previous, lambda: self._turn(-1))
        self.react(self.following, lambda: self._turn(1))
        turns = ipywidgets.HBox([self.previous, self.following])
        cell = ipywidgets.VBox([self.status, self.images, turns], layout={"max_width": "360px"})
        sure = ipywidgets.VBox([self.threshold, self.figures])
        sure.layout.width, sure.layout.max_width = "340px", "98%"
        choices = row(self.often, self.true, self.said)
        self.fill([choices, row(self.matrix, cell), row(sure, self.coverage)])

    def _choose_in_list(self) -> None:
        if self.often.value:
            self.choose(*self.often.value)

    def _choose_in_matrix(self) -> None:
        true, said = self.matrix.chosen
        self.choose(self.shown[true], self.shown[said])


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
        self.offered: list[_Offer] = []
        self._examples: list[_Offer] = []
        self._remark, self._filling = "", False
        self.menu = menu("picture", [], "22em", "6.5em")
        self.path = ipywidgets.Text(
            placeholder="a path on this machine",
            continuous_update=False,
            **look("file or folder", "20em", "6.5em"),
        )
        self.upload = Upload()
        self.status, self.picture = ipywidgets.HTML(), Picture()
        self.manner = Manner(light_on_dark=True, extent=0.9, filled=True)
        problem: Exception | None = None
        try:
            data = load_data(run.experiment)
            self.manner = manner_of(data.train.sample(STUDIED).images)
            self._examples = _examples(data, run)
        except Exception as error:  # the run may have come here without its data
            problem = error
        self.sketch = Sketch(dark=self.manner.light_on_dark)
        self.brush = ipywidgets.FloatSlider(
            self.sketch.brush,
            min=0.02,
            max=0.16,
            step=0.01,
            continuous_update=False,
            **look("brush width", "20em", "6.5em"),
        )
        self.fill_shape = ipywidgets.Checkbox(self.manner.filled, **look("fill the shape", "15em"))
        self.invert = ipywidgets.Checkbox(False, **look("invert light and dark", "15em"))
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
        checks = row(self.fill_shape, self.invert)
        answer = ipywidgets.VBox([self.status, self.picture, self.brush, checks])
        answer.layout.max_width = "100%"
        both = row(answer, self.sketch)
        # Where there is room for one column alone, the canvas stands above the answer.
        both.layout.flex_flow, both.layout.align_items = "row wrap-reverse", "flex-end"
        self.fill([row(self.menu, self.path, self.upload), both])

    def _offer(self, sources: list[_Offer]) -> None:
        """Fill the menu, and show its first picture."""
        self.offered, self._filling = sources, True
        try:
            names = [short(name, LONGEST) for name, _ in sources]
            self.menu.options = [(name, number) for number, name in enumerate(names)]
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
                _, source = self.offered[self.menu.value]
                source = self._drawing() if source is None else source
                self.prediction = predict_image(self.run, source, repr(self.menu.label))
        finally:
            self._show()

    def _show(self) -> None:
        if self.prediction is None:
            said, drawing, alt = "No prediction.", new_figure(*PREDICTION_SIZE), "No picture."
        else:
            said, title = f"{self.prediction}{self._remark}", self.menu.label
            drawing = prediction(*self.prediction, title)
            alt = f"{title}: as given, as the network sees it, and bars: {said}."
        self.picture.show(drawing, alt)
        self.status.value = status(f"<b>{escape(said)}</b>", "imgclf-one-line")

    def _read_path(self) -> None:
        self._remark = ""
        if not self.path.value.strip():
            return self._offer(self._examples)
        path = Path(self.path.value.strip()).expanduser()
        if path.is_dir():
            suffixes = image_suffixes()
            inside = sorted(each for each in path.iterdir() if each.suffix.lower() in suffixes)
            if not inside:
                raise InputError(f"There is no image in the folder {short(path, LONGEST)!r}")
            if len(inside) > MOST_FILES:
                self._remark = f" (the first {MOST_FILES:,} of {len(inside):,} files)"
            return self._offer([(each.name, each) for each in inside[:MOST_FILES]])
        if not path.is_file():
            raise InputError(
                f"There is no file or folder {short(path, LONGEST)!r}",
                do="Relative paths begin in the folder of this notebook",
            )
        return self._offer([(path.name, path), *self._examples])

    def _take_upload(self) -> None:
        if self.upload.size > MOST_BYTES:
            raise InputError(
                f"{short(self.upload.name, LONGEST)!r} is too large to upload:"
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


def _examples(data: ImageData, run: Run) -> list[_Offer]:
    """Some validation images: their files where they have one."""
    few = data.val.sample(OFFERED)
    folder = Path(run.experiment.data)
    examples: list[_Offer] = []
    for number, (pixels, label, path) in enumerate(
        zip(few.images, few.labels, few.paths, strict=True), 1
    ):
        file = folder / path
        own = run.experiment.data not in KNOWN and file.is_file()
        name = f"validation {number}, in truth {run.class_names[label]}"
        examples.append((name, file if own else Image.fromarray(pixels.squeeze())))
    return examples
