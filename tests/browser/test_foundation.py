"""What every live widget shares: labels, keyboard, cells to choose, errors, and the last page."""

import time
from pathlib import Path

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

KERNEL = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
SOURCE = """
import threading, time
from pathlib import Path
import ipywidgets
import numpy as np
from imgclf_lib.experiment import Experiment
from imgclf_lib.course.widgets.base import Frame, Heartbeat, Picture
from imgclf_lib.plots import confusion_matrix
from imgclf_lib.course.widgets.controls import Controls

names = ["learning_rate", "batch_size", "epochs", "filters", "dropout", "flip", "optimizer"]
controls, said, heart = Controls(Experiment(), names), ipywidgets.HTML(), Heartbeat()
axes = confusion_matrix(np.arange(25).reshape(5, 5), list("abcde"))
picture = Picture(axes, "A matrix.")
picture.offer_cells(axes, 5, 5)
frame = Frame("Everything <b>shared</b>", [controls, picture, said, heart])

def tell():
    now = controls.experiment
    said.value = f"rate {now.learning_rate} filters {now.filters} cell {picture.chosen}"
    picture.alt = f"A matrix, cell {picture.chosen}."
    if picture.chosen == [4, 4]:
        raise ValueError("the <i>last</i> cell")

for control in controls.controls.values():
    frame.react(control, tell)
frame.react(picture, tell, "chosen")

def watch():
    heart.begin()
    while not heart.abandoned:
        time.sleep(0.1)
    Path("left.txt").write_text("nobody looks any more")

threading.Thread(target=watch, daemon=True).start()
frame
"""
FIGURE = """
from imgclf_lib.course import for_report
from imgclf_lib.plots import show

show(axes, 'The "same" <matrix>.')
for_report("result", axes, "Errors", alt="The matrix again.")
"""
NAMELESS = """element => [...element.querySelectorAll(
    "[role=slider], select, button, input, canvas, [role=application]")]
    .filter(each => each.offsetParent !== null)
    .filter(each => !(each.getAttribute("aria-label") || each.getAttribute("aria-labelledby")
        || (each.labels && each.labels.length) || each.textContent.trim() || each.title))
    .map(each => each.outerHTML)"""


def test_what_widgets_share(lab, open_notebook) -> None:
    cells = [new_markdown_cell("# 99 Scratch"), *map(new_code_cell, (SOURCE, FIGURE, "1 + 1"))]
    path: Path = lab.home / "my_notebooks" / "99_scratch.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": KERNEL}), path)
    notebook = open_notebook("99_scratch")
    notebook.run_all()
    page, widget = notebook.page, notebook.live("Everything")
    assert "Everything <b>shared</b>" in widget.inner_text(), "the title is text, not markup"
    page.wait_for_timeout(500)
    assert widget.evaluate(NAMELESS) == []
    handle = page.get_by_role("slider", name="learning rate")
    assert handle.get_attribute("aria-valuetext") == "0.0010", "the value, not its exponent"

    notebook.press_arrow(notebook.slider(widget, "learning rate"), "ArrowRight", 2)
    page.get_by_text("rate 0.00316228").wait_for()
    notebook.drag(notebook.slider(widget, "filters in block 1"), 0.9)
    page.get_by_text("filters (256, 64)").wait_for()

    choosable = widget.locator(".imgclf-choosable")
    choosable.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowUp"):
        page.keyboard.press(key)
    page.get_by_text("cell [1, 1]").wait_for()
    page.get_by_alt_text("A matrix, cell [1, 1].").wait_for()
    box = choosable.bounding_box()
    choosable.click(position={"x": box["width"] * 0.4, "y": box["height"] * 0.4})
    page.get_by_text("cell [2, 2]").wait_for()
    assert widget.get_by_role("alert").count() == 0
    for key in ("ArrowDown", "ArrowDown", "ArrowRight", "ArrowRight"):
        page.keyboard.press(key)
    alert = widget.get_by_role("alert")
    alert.wait_for()
    assert "ValueError: the <i>last</i> cell" in alert.inner_text()
    notebook.shoot("shared", widget)
    page.keyboard.press("ArrowUp")
    alert.wait_for(state="detached")

    figures = page.locator(".jp-RenderedHTML img")
    assert figures.evaluate_all("all => all.map(each => each.alt)") == [
        'The "same" <matrix>.',
        "The matrix again.",
    ]
    assert figures.first.evaluate("each => each.width === each.naturalWidth"), "as large as it is"
    notebook.choose_theme("JupyterLab Dark")
    notebook.check()
    notebook.choose_theme("JupyterLab Light")
    notebook.check()
    notebook.close_tab()
    end = time.monotonic() + 30
    while not (path.parent / "left.txt").exists():
        assert time.monotonic() < end, "the kernel did not notice that the notebook was closed"
        page.wait_for_timeout(200)
