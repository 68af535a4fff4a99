"""What all live widgets are made of: frame, picture, heartbeat, canvas, field for a file, looks."""

import time
import traceback
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

import anywidget
import ipywidgets
import pandas as pd
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imgclf_lib.errors import ImgclfError
from imgclf_lib.plots import DOTS_PER_INCH, cut, png

STATIC = Path(__file__).parent / "static"
# The page tells the kernel every second that it is there. A hidden tab is slowed down by
# browsers to one beat a minute.
PATIENCE = {False: 8.0, True: 100.0}
# JupyterLab breaks the connection at a message of 10 MiB, so the page itself has to refuse.
MOST_BYTES = 9_000_000


class _Names(anywidget.AnyWidget):
    """An invisible widget: names for screen readers in the controls of its frame, and its style."""

    _esm = STATIC / "frame.js"
    _css = STATIC / "frame.css"

    def __init__(self) -> None:
        super().__init__()
        self.layout.display = "none"


class Frame(ipywidgets.VBox):
    """A live widget: a title, its controls and pictures, and a place for errors.

    In a headless run, on paper and on GitHub one sentence stands in its place.
    """

    def __init__(self, title: str, children: Sequence[ipywidgets.Widget] = ()) -> None:
        self.title = title
        self.problem = ipywidgets.HTML()
        self.heading = ipywidgets.HTML(f"<b>{escape(title)}</b>")
        self.names = _Names()
        super().__init__()
        self.fill(children)
        self.layout.border_left = "3px solid #0072B2"
        self.layout.padding = "4px 0 4px 12px"
        self.layout.max_width = "100%"
        self.add_class("imgclf-live")

    def fill(self, children: Sequence[ipywidgets.Widget]) -> None:
        """Put controls and pictures between the title and the place for errors."""
        self.children = (self.heading, *children, self.problem, self.names)

    def react(
        self, control: ipywidgets.Widget, function: Callable[[], Any], name: str = "value"
    ) -> None:
        """Call a function whenever a trait changes, or a button is clicked; show its errors."""
        if isinstance(control, ipywidgets.Button):
            control.on_click(lambda _: self.attempt(function))
        else:
            control.observe(lambda _: self.attempt(function), name)

    def attempt(self, function: Callable[[], Any]) -> None:
        """Clear the last error and call a function; show its error in the widget.

        It is cleared first: a thread that the function starts may fail before it returns.
        """
        self.problem.value = ""
        try:
            function()
        except Exception as error:
            self.show_error(error)

    def show_error(self, error: BaseException) -> None:
        """Show an error to the learner: our own as their message, others with their traceback."""
        message = escape(str(error) or type(error).__name__)
        if not isinstance(error, ImgclfError):
            lines = escape("".join(traceback.format_exception(error)))
            message = (
                f"{escape(type(error).__name__)}: {message}"
                f"<details><summary>Where it happened</summary><pre>{lines}</pre></details>"
            )
        self.problem.value = f'<div role="alert" class="imgclf-error"><b>✗</b> {message}</div>'

    def _repr_mimebundle_(self, **options: Any) -> Any:
        """The widget for a browser, and one sentence for everything else."""
        bundle = super()._repr_mimebundle_(**options)
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        if data:
            data["text/plain"] = f"(Live in JupyterLab: {self.title})"
        return bundle


class Picture(anywidget.AnyWidget):
    """A drawing that is replaced without a jump; its cells are chosen by mouse or arrow keys.

    The trait ``chosen`` is the row and column of the chosen cell.
    """

    _esm = STATIC / "picture.js"
    _css = STATIC / "picture.css"
    png = traitlets.Bytes().tag(sync=True)
    alt = traitlets.Unicode().tag(sync=True)
    size = traitlets.List([0, 0]).tag(sync=True)
    cells = traitlets.List([0, 0]).tag(sync=True)
    area = traitlets.List([0.0, 0.0, 1.0, 1.0]).tag(sync=True)
    chosen = traitlets.List([0, 0]).tag(sync=True)

    def __init__(self, drawing: Axes | Figure | None = None, alt: str = "", **options: Any) -> None:
        super().__init__(**options)
        if drawing is not None:
            self.show(drawing, alt)

    def show(self, drawing: Axes | Figure, alt: str) -> None:
        """Replace the picture, and the sentence or two that say what it shows."""
        figure = drawing if isinstance(drawing, Figure) else drawing.get_figure(root=True)
        assert figure is not None
        content = png(figure)
        with self.hold_sync():
            self.alt, self.png = alt, content
            self.size = [round(side * DOTS_PER_INCH) for side in figure.get_size_inches()]

    def offer_cells(self, axes: Axes, rows: int, columns: int) -> None:
        """Let people choose one of the cells of axes, after ``show`` has drawn their figure."""
        figure = axes.get_figure(root=True)
        assert figure is not None
        box = axes.get_window_extent().transformed(figure.transFigure.inverted())
        with self.hold_sync():
            self.area = [box.x0, 1 - box.y1, box.width, box.height]
            self.cells = [rows, columns]


class Heartbeat(anywidget.AnyWidget):
    """An invisible widget that knows whether its page is still open, so that work can end."""

    _esm = STATIC / "heartbeat.js"
    wanted = traitlets.Bool(False).tag(sync=True)
    hidden = traitlets.Bool(False).tag(sync=True)
    beat = traitlets.Int(0).tag(sync=True)

    def __init__(self) -> None:
        super().__init__()
        self.layout.display = "none"
        self._last, self._first = time.monotonic(), 0
        self.observe(self._remember, "beat")

    def begin(self) -> None:
        """Ask the page for its beats."""
        self._last, self._first = time.monotonic(), self.beat
        self.wanted = True

    def end(self) -> None:
        """Ask for no more beats."""
        self.wanted = False

    @property
    def abandoned(self) -> bool:
        """Whether a page that was there has gone; without any page, nobody can have left."""
        if self.beat == self._first:
            return False
        return time.monotonic() - self._last > PATIENCE[self.hidden]

    def _remember(self, _: object) -> None:
        self._last = time.monotonic()


class Upload(anywidget.AnyWidget):
    """A field for one file; its trait ``number`` grows by one with each file that comes.

    The traits ``name``, ``size`` and ``content`` belong to the last file. The content is empty
    if the file is too large: then it was not sent at all.
    """

    _esm = STATIC / "upload.js"
    _css = STATIC / "upload.css"
    description = traitlets.Unicode("upload").tag(sync=True)
    most_bytes = traitlets.Int(MOST_BYTES).tag(sync=True)
    name = traitlets.Unicode().tag(sync=True)
    size = traitlets.Int(0).tag(sync=True)
    content = traitlets.CBytes().tag(sync=True)
    number = traitlets.Int(0).tag(sync=True)


class Sketch(anywidget.AnyWidget):
    """A canvas to draw on, with a mouse, a pen, a finger or the keyboard.

    A stroke in ``strokes`` is a list of points ``[x, y]``, 0 to 1 from the left and from the top.
    It is drawn at once by the page, and sent to Python when the pen is lifted. ``dark`` says
    whether one draws with light on a dark ground; ``brush`` is a fraction of the canvas.
    """

    _esm = STATIC / "sketch.js"
    _css = STATIC / "sketch.css"
    strokes: traitlets.List = traitlets.List().tag(sync=True)
    dark = traitlets.Bool(True).tag(sync=True)
    brush = traitlets.Float(0.06).tag(sync=True)


def look(description: str, width: str, words: str = "initial") -> dict[str, Any]:
    """The words beside a control, its width and theirs; a shared layout would change for all."""
    layout = ipywidgets.Layout(width=width, max_width="98%")
    return {"description": description, "layout": layout, "style": {"description_width": words}}


def menu(
    description: str, options: Any, width: str, words: str, **more: Any
) -> ipywidgets.Dropdown:
    """A menu; its width and that of its words are lengths of CSS."""
    return ipywidgets.Dropdown(options=options, **look(description, width, words), **more)


def button(
    text: str, tooltip: str | None = None, icon: str = "", style: str = "", width: str = "auto"
) -> ipywidgets.Button:
    """A button, as wide as its text if no width is given."""
    layout = ipywidgets.Layout(width=width, max_width="98%")
    return ipywidgets.Button(
        description=text, tooltip=tooltip, icon=icon, button_style=style, layout=layout
    )


def row(*parts: ipywidgets.Widget) -> ipywidgets.HBox:
    """Controls side by side as far as there is room."""
    return ipywidgets.HBox(parts, layout={"flex_flow": "row wrap"})


def short(name: object, longest: int = 40) -> str:
    """A name as one short line that can be sent to a browser, whatever bytes it was made of."""
    return cut(" ".join(str(name).encode("utf-8", "replace").decode().split()), longest)


def status(markup: str, kind: str = "") -> str:
    """Escaped markup that screen readers say when it changes; a kind is a class of frame.css."""
    return f'<div role="status" class="imgclf-status {kind}">{markup}</div>'


def cards(figures: dict[str, str]) -> str:
    """The text of each figure by what it is, in large type and side by side, as HTML."""
    parts = "".join(
        f"<div><b>{escape(value)}</b><br>{escape(name)}</div>" for name, value in figures.items()
    )
    return f'<div class="imgclf-cards">{parts}</div>'


def command(line: str) -> str:
    """A line for a terminal as HTML."""
    return f'<pre class="imgclf-command">{escape(line)}</pre>'


def table(rows: pd.DataFrame, label: str, kind: str = "", **options: Any) -> str:
    """A table as HTML that scrolls, by mouse and keyboard; everything in it is escaped."""
    text = rows.to_html(index=False, border=0, **options)
    start = f'<div class="imgclf-table {kind}" tabindex="0" role="region" aria-label="{label}">'
    return f"{start}{text}</div>"
