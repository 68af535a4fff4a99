"""Widgets about images: page through them, augment them, walk through what an audit found."""

from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from imgclf_lib.audit import FINDINGS, SEVERITIES, Audit, count_findings, suggest_fixes
from imgclf_lib.course.widgets.base import Frame, Picture, button, look, menu, row, short, status
from imgclf_lib.course.widgets.controls import Controls
from imgclf_lib.data import ACTIONS, ImageData, Split, captions, sort_images, write_fixes
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.network import AUGMENTATIONS, augment
from imgclf_lib.plots import image_grid

EVERY = ""  # the choice of all classes, kinds or severities
COLUMNS, LINES = 8, 3
PAGE = COLUMNS * LINES  # images on a page of the explorer
ORDERS = {
    "by chance": ("chance", False),
    "brightness: darkest first": ("brightness", False),
    "brightness: brightest first": ("brightness", True),
    "size of the file: smallest first": ("size", False),
    "size of the file: largest first": ("size", True),
    "distance from class mean: typical first": ("distance", False),
    "distance from class mean: unusual first": ("distance", True),
}
MEANINGS = {
    "chance": "the place of the image in the array",
    "brightness": "the mean of all pixels, 0 (black) to 255 (white)",
    "size": "the pixels of the file, width times height",
    "distance": "the distance from the mean training image of the class",
}
AUGMENTED = 8  # images
PLACES = 6  # images in the picture of a finding
EMPTY = [" \n \n "] * PLACES  # three lines above each image, so that the picture keeps its size


class ImageExplorer(Frame):
    """All training and validation images, page by page, in an order that one can choose.

    Args:
        source: The data set. Its test split stays closed.
        order: What is shown first: ``by chance``, or another line of the menu.
    """

    def __init__(self, source: ImageData, order: str = "by chance") -> None:
        super().__init__("Explore the images")
        self.source = source
        classes = [("all classes", EVERY), *zip(source.class_names, range(10**6), strict=False)]
        splits = [("training", "train"), ("validation", "val")]
        self.label = menu("class", classes, "18em", "4em")
        self.split = menu("split", splits, "13em", "4em")
        self.order = menu("order", list(ORDERS), "27em", "4em", value=order)
        closed = ipywidgets.HTML("The test split is not offered: it stays closed until the end.")
        self.page = ipywidgets.IntSlider(
            1, 1, 1, continuous_update=False, **look("page", "18em", "4em")
        )
        self.buttons = _turning_buttons(self, self.page, self._turn_to)
        self.status = ipywidgets.HTML(layout={"min_height": "2.8em"})
        self.picture = Picture()
        self.want_paths = ipywidgets.Checkbox(
            False, description="show the paths of these images", indent=False
        )
        self.paths = ipywidgets.HTML(layout={"display": "none"})
        first, previous, following, last = self.buttons.values()
        choices = row(self.label, self.split, self.order, closed)
        turns = row(first, previous, self.page, following, last)
        self.fill([choices, turns, self.status, self.picture, self.want_paths, self.paths])
        for control in (self.label, self.split, self.order):
            self.react(control, self._sort)
        self.react(self.page, self._draw)
        self.react(self.want_paths, self._list_paths)
        self.attempt(self._sort)

    @property
    def shown(self) -> pd.DataFrame:
        """The images on this page, a row each, as from ``sort_images``."""
        start = (self.page.value - 1) * PAGE
        return self.images.iloc[start : start + PAGE]

    def _sort(self) -> None:
        self.by, backwards = ORDERS[self.order.value]
        label = None if self.label.value == EVERY else self.label.value
        images = sort_images(self.source, self.split.value, label, self.by)
        self.images = images.iloc[::-1] if backwards else images
        before = self.page.value
        # The value first: a browser would cut it down to a smaller maximum, and tell us so.
        self.page.value = 1
        self.page.max = max(1, -(-len(images) // PAGE))
        if before == 1:  # otherwise the slider has moved, and drawn
            self._draw()

    def _turn_to(self, page: int) -> None:
        self.page.value = min(max(1, page), self.page.max)

    def _draw(self) -> None:
        part: Split = getattr(self.source, self.split.value)
        shown = self.shown
        pixels = np.full((PAGE, *part.images.shape[1:]), 255, "uint8")
        pixels[: len(shown)] = part.images[shown["row"].to_numpy()]
        # Always as many places, with as many lines above: the picture keeps its size.
        titles = [*captions(shown), *["\n\n"] * PAGE][:PAGE]
        start = (self.page.value - 1) * PAGE
        numbers = f"{start + 1:,} to {start + len(shown):,} of {len(self.images):,}"
        what = f"{self.split.label} images, {short(self.label.label)}"
        if len(shown):
            said = f"{numbers} {what}. Above each: its row, its class, and {MEANINGS[self.by]}."
        else:
            said = f"No images here: {what}."
        self.picture.show(image_grid(pixels, titles, COLUMNS, size=0.9), said)
        self.status.value = status(escape(said))
        self._list_paths()

    def _list_paths(self) -> None:
        lines = "".join(f"<li>{escape(path)}</li>" for path in self.shown["path"])
        start = (self.page.value - 1) * PAGE + 1
        self.paths.value = (
            f'<div class="imgclf-paths" tabindex="0"><ol start="{start}">{lines}</ol></div>'
        )
        self.paths.layout.display = None if self.want_paths.value else "none"


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
        self.before = np.array(pixels[:AUGMENTED], dtype="uint8")
        if not len(self.before):
            raise InputError("There is no image to augment", allowed="one image at least")
        self.start, self.throws = experiment, 0
        self.controls = Controls(experiment, AUGMENTATIONS)
        self.again = button("Another throw of the dice", width="16em")
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
                size=0.85,
            ),
            f"{len(self.before)} images before and after augmentation with {which}.",
        )
        self.call.value = (
            '<div style="line-height: 1.4">As an experiment: '
            f"<code>Experiment({escape(inside)})</code></div>"
        )


class FindingWalk(Frame):
    """One finding at a time, with its pictures; a decision for its file; a list of all decisions.

    The list begins with the cautious suggestions of the audit; what one decides replaces them.

    Args:
        found: An audit.
        path: Where the fix list would be written; never inside the data.
    """

    def __init__(self, found: Audit, path: str = "fixes.csv") -> None:
        super().__init__("Walk through the findings")
        self.found = found
        self.fixes = suggest_fixes(found).set_index("path")
        self.decided: set[str] = set()
        self.shown, self._busy = found.findings, False
        self._make_controls(path)
        self.attempt(self._choose)
        self._count()

    @property
    def finding(self) -> Any:
        """The finding that is shown now, a row of ``Audit.findings``; None if there is none."""
        return self.shown.iloc[self.number.value - 1] if len(self.shown) else None

    def write(self) -> None:
        """Write the suggestions and decisions to the path in the text field.

        Raises:
            InputError: If the file exists already, or would lie inside the data.
        """
        if not self.place.value.strip():
            raise InputError("The fix list needs a name", do="Type one, such as fixes.csv")
        path = Path(self.place.value.strip()).expanduser()
        try:
            write_fixes(self.fixes.reset_index(), path, Path(self.found.place))
        except OSError as error:
            raise InputError(
                f"{str(path)!r} cannot be written ({error.strerror})", do="Choose another place"
            ) from error
        said = f"{len(self.fixes):,} files are in {path}. Use it with fixes={str(path)!r}."
        self.written.value = status(escape(said))

    def _choose(self) -> None:
        """Show the findings of the kind and severity in the menus, from the first one."""
        rows = self.found.findings
        if self.kind.value != EVERY:
            rows = rows[rows["problem"] == self.kind.value]
        if self.severity.value != EVERY:
            rows = rows[rows["severity"] == self.severity.value]
        self.shown = rows
        self._step_to(1)

    def _step_to(self, number: int) -> None:
        self._busy = True  # the number that is set here need not answer
        try:
            # The value first: a browser would cut it down to a smaller maximum, and tell us so.
            self.number.value = min(max(1, number), max(1, len(self.shown)))
            self.number.max = max(1, len(self.shown))
        finally:
            self._busy = False
        self._show()

    def _show(self) -> None:
        if self._busy:
            return
        first, previous, following, last = self.buttons.values()
        first.disabled = previous.disabled = self.number.value <= 1
        following.disabled = last.disabled = self.number.value >= self.number.max
        finding = self.finding
        if finding is None:
            said = "Nothing was found." if self.found.findings.empty else "No such finding."
            self.status.value = status(escape(said))
            self.picture.show(image_grid(_blank(self.found), EMPTY, PLACES, size=1.0), said)
        else:
            kind = FINDINGS[finding["problem"]]
            head = f"{self.number.value:,} of {len(self.shown):,}, {finding['severity']}"
            lines = [
                f"{head}: <b>{escape(finding['problem'])}</b>",
                f"<code>{escape(finding['path'])}</code>" if finding["path"] else "",
                escape(finding["detail"]),
                escape(f"{kind.meaning} {kind.do}"),
            ]
            self.status.value = status("<br>".join(filter(None, lines)))
            self.picture.show(*finding_picture(self.found, finding))
        self._show_decision()

    def _show_decision(self) -> None:
        """Set the controls of the decision, which need not answer to that."""
        finding = self.finding
        possible = finding is not None and finding["path"] in self.fixes.index
        self._busy = True
        try:
            self.action.disabled = not possible
            self.label.disabled = True
            self.origin.value = "" if finding is None else "Nothing can be decided for this one."
            if not possible:
                return
            action, label = (self.fixes.at[finding["path"], name] for name in ("action", "label"))
            self.action.value = action
            self.label.disabled = action != "relabel"
            if label in self.classes:
                self.label.value = label
            mine = finding["path"] in self.decided
            self.origin.value = "decided by you" if mine else "suggested by the audit"
        finally:
            self._busy = False

    def _decide(self) -> None:
        finding = self.finding
        if self._busy or finding is None:
            return
        action, path = self.action.value, finding["path"]
        label = self.label.value if action == "relabel" else ""
        self.fixes.loc[path, ["action", "label"]] = [action, label]
        self.decided.add(path)
        self._show_decision()
        self._count()

    def _count(self) -> None:
        counts = self.fixes["action"].value_counts()
        parts = ", ".join(f"{name} {counts.get(name, 0):,}" for name in ACTIONS)
        self.counts.value = f"On the list: {parts}; decided by you: {len(self.decided):,}."

    def _make_controls(self, path: str) -> None:
        findings = self.found.findings
        counts = count_findings(findings)[["problem", "count"]].itertuples(index=False)
        by_severity = findings["severity"].value_counts()
        everything = (f"all ({len(findings):,})", EVERY)
        kinds = [(f"{one} ({number:,})", one) for one, number in counts]
        severities = [(f"{one} ({by_severity.get(one, 0):,})", one) for one in SEVERITIES]
        self.classes = sorted(set(self.found.table["label"]) - {""})
        self.kind = menu("kind", [everything, *kinds], "26em", "5em")
        self.severity = menu("severity", [everything, *severities], "15em", "5em")
        self.number = ipywidgets.BoundedIntText(1, min=1, max=1, **look("finding", "11em", "5em"))
        self.buttons = _turning_buttons(self, self.number, self._step_to)
        self.status, self.picture = ipywidgets.HTML(layout={"min_height": "8.5em"}), Picture()
        self.action = menu("decision", ACTIONS, "13em", "5em")
        classes = [(short(each), each) for each in self.classes]
        self.label = menu("new class", classes, "22em", "5em")
        self.origin, self.counts, self.written = (ipywidgets.HTML() for _ in range(3))
        self.place = ipywidgets.Text(path, **look("file", "24em", "5em"))
        self.save = button("Write the fix list", width="11em")
        for control in (self.kind, self.severity):
            self.react(control, self._choose)
        self.react(self.number, self._show)
        for control in (self.action, self.label):
            self.react(control, self._decide)
        self.react(self.save, self.write)
        first, previous, following, last = self.buttons.values()
        self.fill(
            [
                row(self.kind, self.severity),
                row(first, previous, self.number, following, last),
                *(self.status, self.picture),
                row(self.action, self.label, self.origin),
                self.counts,
                row(self.place, self.save),
                self.written,
            ]
        )


def finding_picture(found: Audit, finding: pd.Series) -> tuple[Figure, str]:
    """The images that a finding is about: its own first, then those that it names.

    Args:
        found: An audit.
        finding: A row of its findings.

    Returns:
        A figure that always has room for six images, and what it shows, in words.
    """
    path, table = finding["path"], found.table
    paths = [path, *finding["related"]][:PLACES]
    if not (table["path"] == path).any():  # about a class: some of its images
        inside = table["path"].str.startswith(f"{path}/") | (table["label"] == path)
        paths = table.loc[inside & (table["problem"] == ""), "path"].head(PLACES).tolist()
    rows = table[table["path"].isin(paths)].drop_duplicates("path").set_index("path")
    pixels, titles, count = _blank(found), list(EMPTY), 0
    for place, each in enumerate(paths):
        picture, lines = found.picture(each), ["no picture"]
        if picture is not None:
            pixels[place], count = picture, count + 1
            lines = [text for text in rows.loc[each, ["split", "label"]] if text]
        lines = [" ".join(text.split()) or " " for text in (each.split("/")[-1], *lines, "", "")]
        titles[place] = "\n".join(lines[:3])
    shown = f"{count} image{'' if count == 1 else 's'}" if count else "No picture"
    alt = f"{shown}. {finding['problem']}: {path}. {finding['detail']}"
    figure = image_grid(pixels, titles, PLACES, size=1.0)
    for axes in figure.axes[len(paths) :]:  # no frame round nothing
        axes.set_axis_off()
    return figure, alt


def _blank(found: Audit) -> np.ndarray:
    return np.full((PLACES, *found.images.shape[1:]), 255, "uint8")


def _turning_buttons(
    frame: Frame, number: ipywidgets.Widget, turn_to: Callable[[int], None]
) -> dict[str, ipywidgets.Button]:
    """Buttons that lead to the first, previous, next and last value of a number."""
    turns: dict[str, Callable[[], None]] = {
        "First": lambda: turn_to(1),
        "Previous": lambda: turn_to(number.value - 1),
        "Next": lambda: turn_to(number.value + 1),
        "Last": lambda: turn_to(number.max),
    }
    buttons = {name: button(name, width="6em") for name in turns}
    for name, turn in turns.items():
        frame.react(buttons[name], turn)
    return buttons
