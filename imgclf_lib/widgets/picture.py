"""A picture in a live widget: redrawn without a jump, described in words, with cells to choose."""

from typing import Any

import anywidget
import traitlets
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imgclf_lib.figures import DOTS_PER_INCH, png

SCRIPT = """
const ARROWS = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};

function render({ model, el }) {
  const frame = document.createElement("div");
  frame.className = "imgclf-picture";
  let image = document.createElement("img");
  const mark = document.createElement("div");
  mark.className = "imgclf-picture-mark";
  frame.append(image, mark);
  el.append(frame);

  const drawImage = () => {
    const next = document.createElement("img");
    next.alt = model.get("alt");
    [next.width, next.height] = model.get("size");
    const address = URL.createObjectURL(new Blob([model.get("png")], { type: "image/png" }));
    next.onload = () => {  // exchanged only when it is ready: no flicker, no jump
      image.replaceWith(next);
      image = next;
      URL.revokeObjectURL(address);
    };
    next.src = address;
    frame.style.maxWidth = model.get("size")[0] + "px";
  };
  const drawMark = () => {
    const [rows, columns] = model.get("cells");
    const chosen = rows > 0;
    mark.hidden = !chosen;
    frame.classList.toggle("imgclf-choosable", chosen);
    if (!chosen) return;
    frame.tabIndex = 0;
    frame.setAttribute("role", "application");
    frame.setAttribute("aria-label", model.get("alt") + " Choose a cell with the arrow keys.");
    const [left, top, width, height] = model.get("area");
    const [row, column] = model.get("chosen");
    Object.assign(mark.style, {
      left: 100 * (left + width * column / columns) + "%",
      top: 100 * (top + height * row / rows) + "%",
      width: 100 * width / columns + "%",
      height: 100 * height / rows + "%",
    });
  };
  const choose = (row, column) => {
    const [rows, columns] = model.get("cells");
    if (!(row >= 0 && row < rows && column >= 0 && column < columns)) return;
    model.set("chosen", [row, column]);
    model.save_changes();
  };
  frame.addEventListener("click", (event) => {
    const [rows, columns] = model.get("cells");
    if (!rows) return;
    const box = image.getBoundingClientRect();
    const [left, top, width, height] = model.get("area");
    const across = ((event.clientX - box.left) / box.width - left) / width;
    const down = ((event.clientY - box.top) / box.height - top) / height;
    choose(Math.floor(down * rows), Math.floor(across * columns));
  });
  frame.addEventListener("keydown", (event) => {
    const step = ARROWS[event.key];
    if (!step || !model.get("cells")[0]) return;
    event.preventDefault();
    event.stopPropagation();
    const [row, column] = model.get("chosen");
    choose(row + step[0], column + step[1]);
  });

  model.on("change:png", drawImage);
  model.on("change:cells", drawMark);
  model.on("change:area", drawMark);
  model.on("change:chosen", drawMark);
  drawImage();
  drawMark();
}
export default { render };
"""

STYLE = """
.imgclf-picture { position: relative; }
.imgclf-picture img { display: block; max-width: 100%; height: auto; }
.imgclf-choosable { cursor: pointer; outline-offset: 2px; }
.imgclf-choosable:focus-visible { outline: 3px solid #0072B2; }
.imgclf-picture-mark { position: absolute; box-sizing: border-box; pointer-events: none;
                       border: 3px solid #D55E00; box-shadow: 0 0 0 1px white; }
.imgclf-picture-mark[hidden] { display: none; }
"""


class Picture(anywidget.AnyWidget):
    """A drawing that can be replaced, and whose cells can be chosen by mouse or arrow keys.

    The trait ``chosen`` is the row and column of the chosen cell.

    Args:
        drawing: What to show first; nothing if not given.
        alt: What the picture shows, in a sentence or two.
    """

    _esm = SCRIPT
    _css = STYLE
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
        """Replace the picture.

        Args:
            drawing: Axes or a figure.
            alt: What the picture shows, in a sentence or two.
        """
        figure = drawing if isinstance(drawing, Figure) else drawing.get_figure(root=True)
        assert figure is not None
        content = png(figure)
        with self.hold_sync():
            self.alt, self.png = alt, content
            self.size = [round(side * DOTS_PER_INCH) for side in figure.get_size_inches()]

    def offer_cells(self, axes: Axes, rows: int, columns: int) -> None:
        """Let people choose one of the cells into which axes are divided evenly.

        Args:
            axes: The axes, after ``show`` has drawn their figure.
            rows: Cells from top to bottom.
            columns: Cells from left to right.
        """
        figure = axes.get_figure(root=True)
        assert figure is not None
        box = axes.get_window_extent().transformed(figure.transFigure.inverted())
        with self.hold_sync():
            self.area = [box.x0, 1 - box.y1, box.width, box.height]
            self.cells = [rows, columns]
