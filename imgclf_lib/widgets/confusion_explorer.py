"""Explore the confusions: choose a cell of the matrix, and see its images."""

import ipywidgets
import numpy as np

from imgclf_lib.evaluate import (
    Evaluation,
    classes_to_show,
    confused_pairs,
    coverage_table,
    images_in_cell,
)
from imgclf_lib.evaluation_plots import A_PAGE, cell_images, confusion_matrix, coverage
from imgclf_lib.figures import new_axes
from imgclf_lib.widgets.controls import cards, note
from imgclf_lib.widgets.frame import Frame
from imgclf_lib.widgets.picture import Picture

MOST_CLASSES = 12  # a larger matrix is cut to the classes that are mixed up most
LONGEST = 13  # characters of a name beside the matrix


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
        names = [self._name(label, LONGEST) for label in self.shown]
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
        self.status.value = (
            '<div role="status" style="min-height: 4.2em; line-height: 1.4;'
            f' overflow-wrap: anywhere">{note(text)}</div>'
        )
        self.images.show(cell_images(cell, self.evaluation.split.images, self.page), text)
        self.previous.disabled = self.page == 0
        self.following.disabled = last >= len(cell)

    def _count(self, chosen: np.ndarray) -> np.ndarray:
        classes = len(self.evaluation.class_names)
        counts = np.zeros((classes, classes), int)
        np.add.at(counts, (self.labels[chosen], self.predicted[chosen]), 1)
        return counts

    def _name(self, label: int, longest: int = 40) -> str:
        name = str(self.evaluation.class_names[label])
        return name if len(name) <= longest else name[: longest - 1] + "…"

    def _make_controls(self, true: int, said: int) -> None:
        names = [(self._name(label), label) for label in range(len(self.evaluation.class_names))]
        pairs = [
            (f"{self._name(one, 24)} taken for {self._name(two, 24)} ({count:,})", (one, two))
            for one, two, count in self.pairs
        ]
        neutral = "choose …" if pairs else "there are no mistakes"

        def menu(description, options, value, width, left):
            layout = ipywidgets.Layout(width=width, max_width="98%")
            style = {"description_width": left}
            return ipywidgets.Dropdown(
                description=description, options=options, value=value, layout=layout, style=style
            )

        self.often = menu("often mixed up", [(neutral, ()), *pairs], (), "27em", "8.5em")
        self.true = menu("true class", names, true, "16.5em", "5.5em")
        self.said = menu("taken for", names, said, "16.5em", "5.5em")
        self.threshold = ipywidgets.FloatSlider(
            value=0.0,
            min=0.0,
            max=1.0,
            step=0.01,
            description="threshold",
            tooltip="Only images with at least this confidence are answered",
            layout=ipywidgets.Layout(width="24em", max_width="98%"),
            style={"description_width": "5.5em"},
        )
        self.matrix, self.images, self.coverage = Picture(), Picture(), Picture()
        self.status, self.figures = ipywidgets.HTML(), ipywidgets.HTML()
        self.previous = ipywidgets.Button(description="Previous images")
        self.following = ipywidgets.Button(description="Next images")
        for control in (self.true, self.said):
            self.react(control, lambda: self.choose(self.true.value, self.said.value))
        self.react(self.often, self._choose_in_list)
        self.react(self.matrix, self._choose_in_matrix, "chosen")
        self.react(self.threshold, self._move_threshold)
        self.react(self.previous, lambda: self._turn(-1))
        self.react(self.following, lambda: self._turn(1))
        cell = ipywidgets.VBox(
            [self.status, self.images, ipywidgets.HBox([self.previous, self.following])]
        )
        cell.layout.max_width = "360px"
        sure = ipywidgets.VBox([self.threshold, self.figures])
        sure.layout.width, sure.layout.max_width = "340px", "98%"
        self.fill(
            [
                _row(self.often, self.true, self.said),
                _row(self.matrix, cell),
                _row(sure, self.coverage),
            ]
        )

    def _choose_in_list(self) -> None:
        if self.often.value:
            self.choose(*self.often.value)

    def _choose_in_matrix(self) -> None:
        row, column = self.matrix.chosen
        self.choose(self.shown[row], self.shown[column])


def _row(*parts: ipywidgets.Widget) -> ipywidgets.HBox:
    row = ipywidgets.HBox(parts)
    row.layout.flex_flow = "row wrap"
    return row
