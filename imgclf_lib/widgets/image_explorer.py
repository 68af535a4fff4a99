"""Page through the images: choose class, split and order."""

import ipywidgets
import numpy as np
import pandas as pd

from imgclf_lib.data import ImageData, Split, captions, sort_images
from imgclf_lib.plots import image_grid
from imgclf_lib.widgets.controls import note
from imgclf_lib.widgets.frame import Frame
from imgclf_lib.widgets.picture import Picture

COLUMNS, LINES = 8, 3
PAGE = COLUMNS * LINES  # images on a page
SIZE = 0.9  # of one image, in inches
EVERY = -1  # the choice of all classes
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
NOTE_STYLE = "line-height: 1.4; overflow-wrap: anywhere"
LIST_STYLE = f"{NOTE_STYLE}; height: 12em; overflow-y: auto"
MOST_LETTERS = 40  # of a class name in the line above the picture


class ImageExplorer(Frame):
    """All training and validation images, page by page, in an order that one can choose.

    Args:
        source: The data set. Its test split stays closed.
        order: What is shown first: ``by chance``, or another line of the menu.
    """

    def __init__(self, source: ImageData, order: str = "by chance") -> None:
        super().__init__("Explore the images")
        self.source = source
        wide = {"description_width": "4em"}
        wrap = {"flex_flow": "row wrap"}
        classes = [("all classes", EVERY), *zip(source.class_names, range(10**6), strict=False)]
        self.label = ipywidgets.Dropdown(
            options=classes, description="class", style=wide, layout=_layout("18em")
        )
        self.split = ipywidgets.Dropdown(
            options=[("training", "train"), ("validation", "val")],
            description="split",
            style=wide,
            layout=_layout("13em"),
        )
        self.order = ipywidgets.Dropdown(
            options=list(ORDERS),
            value=order,
            description="order",
            style=wide,
            layout=_layout("27em"),
        )
        closed = ipywidgets.HTML("The test split is not offered: it stays closed until the end.")
        self.page = ipywidgets.IntSlider(
            1, 1, 1, description="page", continuous_update=False, style=wide, layout=_layout("18em")
        )
        self.buttons = {
            name: ipywidgets.Button(description=name, layout=_layout("6em"))
            for name in ("First", "Previous", "Next", "Last")
        }
        self.status = ipywidgets.HTML(layout={"min_height": "2.8em"})
        self.picture = Picture()
        self.want_paths = ipywidgets.Checkbox(
            False, description="show the paths of these images", indent=False
        )
        self.paths = ipywidgets.HTML(layout={"display": "none"})
        choices = [self.label, self.split, self.order, closed]
        first, previous, following, last = self.buttons.values()
        turns = [first, previous, self.page, following, last]
        rows = [ipywidgets.HBox(each, layout=wrap) for each in (choices, turns)]
        self.fill([*rows, self.status, self.picture, self.want_paths, self.paths])
        for control in (self.label, self.split, self.order):
            self.react(control, self._sort)
        self.react(self.page, self._draw)
        self.react(self.want_paths, self._list_paths)
        self.react(first, lambda: self._turn_to(1))
        self.react(previous, lambda: self._turn_to(self.page.value - 1))
        self.react(following, lambda: self._turn_to(self.page.value + 1))
        self.react(last, lambda: self._turn_to(self.page.max))
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
        titles = [*captions(shown), *["\n"] * PAGE][:PAGE]
        start = (self.page.value - 1) * PAGE
        numbers = f"{start + 1:,} to {start + len(shown):,} of {len(self.images):,}"
        name = " ".join(self.label.label.split())
        name = name if len(name) <= MOST_LETTERS else name[: MOST_LETTERS - 1] + "…"
        what = f"{self.split.label} images, {name}"
        if len(shown):
            said = f"{numbers} {what}. The number at each image is {MEANINGS[self.by]}."
        else:
            said = f"No images here: {what}."
        self.picture.show(image_grid(pixels, titles, COLUMNS, size=SIZE), said)
        self.status.value = f'<div style="{NOTE_STYLE}" role="status">{note(said)}</div>'
        self._list_paths()

    def _list_paths(self) -> None:
        lines = "".join(f"<li>{note(path)}</li>" for path in self.shown["path"])
        start = (self.page.value - 1) * PAGE + 1
        columns = f'<ol start="{start}" style="columns: 20em 2; margin: 0">{lines}</ol>'
        self.paths.value = f'<div style="{LIST_STYLE}" tabindex="0">{columns}</div>'
        self.paths.layout.display = None if self.want_paths.value else "none"


def _layout(width: str) -> ipywidgets.Layout:
    return ipywidgets.Layout(width=width, max_width="98%")
