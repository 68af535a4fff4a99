"""Notebook 06 in a real browser: the model gets files, uploads and drawings."""

import re

from PIL import Image


def test_predict(open_notebook, lab):
    notebook = open_notebook("06_predict")
    page = notebook.page
    notebook.run_all()
    widget = notebook.live("Try it")
    said = widget.locator('[role="status"]').first
    canvas = widget.locator("canvas")
    problem = widget.locator('[role="alert"]')

    # At the opening the first validation image is there with its prediction.
    canvas.wait_for()
    canvas.scroll_into_view_if_needed()
    assert re.search(r"\d+\.\d%", said.inner_text())
    assert "validation 1," in widget.locator("img").get_attribute("alt")
    assert widget.evaluate("element => element.scrollWidth <= element.clientWidth")
    before = notebook.picture(widget)
    notebook.shoot("06-try-it-opening", widget)

    # Another one, by choosing and by the arrow key.
    menu = widget.get_by_label("picture", exact=True)
    menu.select_option(index=4)
    before = notebook.wait_for_change(widget, before)
    menu.focus()
    page.keyboard.press("ArrowDown")
    before = notebook.wait_for_change(widget, before)
    assert "validation 6," in widget.locator("img").get_attribute("alt")

    # A path on this machine: a file, a folder, nothing.
    folder = lab.home / "own"
    folder.mkdir()
    for name, color in {"grey.png": "grey", "<b>red.png": "red"}.items():
        Image.new("RGB", (60, 40), color).save(folder / name)
    path = widget.get_by_label("file or folder")
    path.fill(str(folder / "grey.png"))
    path.press("Enter")
    before = notebook.wait_for_change(widget, before)
    assert menu.locator("option").first.inner_text() == "grey.png"
    path.fill(str(folder))
    path.press("Enter")
    before = notebook.wait_for_change(widget, before)
    assert menu.locator("option").all_inner_texts() == ["<b>red.png", "grey.png"]
    path.fill("nowhere")
    path.press("Enter")
    problem.get_by_text("no file or folder").wait_for()
    path.fill("")
    path.press("Enter")
    before = notebook.wait_for_change(widget, before)
    assert problem.count() == 0

    # An upload: a good file, a broken one, one that is too large.
    (folder / "broken.png").write_bytes((folder / "grey.png").read_bytes()[:30])
    (folder / "large.png").write_bytes(bytes(12_000_000))
    upload = widget.get_by_label("upload")
    upload.set_input_files(folder / "<b>red.png")
    before = notebook.wait_for_change(widget, before)
    assert "<b>red.png" in widget.locator("img").get_attribute("alt")
    upload.set_input_files(folder / "broken.png")
    problem.get_by_text("'broken.png' cannot be decoded").wait_for()
    assert said.inner_text() == "No prediction."
    notebook.shoot("06-try-it-broken", widget)
    upload.set_input_files(folder / "large.png")
    problem.get_by_text("too large to upload: 12.0 MB").wait_for()
    before = notebook.picture(widget)

    # A drawing with the mouse: an outline, then another stroke.
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()

    def to(x, y, **options):
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], **options)

    def draw(*points):
        to(*points[0])
        page.mouse.down()
        for point in points[1:]:
            to(*point, steps=6)
        page.mouse.up()

    draw((0.35, 0.1), (0.65, 0.1), (0.7, 0.9), (0.55, 0.9), (0.5, 0.4), (0.45, 0.9), (0.3, 0.9))
    widget.get_by_text("1 stroke").wait_for()
    outline = notebook.wait_for_change(widget, before)
    assert "your drawing" in widget.locator("img").get_attribute("alt")
    assert problem.count() == 0
    words = said.inner_text()
    notebook.shoot("06-try-it-drawing", widget)
    widget.get_by_label("fill the shape").click()
    before = notebook.wait_for_change(widget, outline)
    assert said.inner_text() != words
    widget.get_by_label("invert").click()
    before = notebook.wait_for_change(widget, before)
    widget.get_by_label("invert").click()
    before = notebook.wait_for_change(widget, before)
    widget.get_by_label("fill the shape").click()
    before = notebook.wait_for_change(widget, before)
    notebook.press_arrow(notebook.slider(widget, "brush width"), times=3)
    before = notebook.wait_for_change(widget, before)
    notebook.drag(notebook.slider(widget, "brush width"), 0.9)
    before = notebook.wait_for_change(widget, before)
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    draw((0.1, 0.5), (0.9, 0.5))
    widget.get_by_text("2 strokes").wait_for()
    before = notebook.wait_for_change(widget, before)
    widget.get_by_role("button", name="Undo").click()
    before = notebook.wait_for_change(widget, before)
    widget.get_by_role("button", name="Clear").click()
    widget.get_by_text("0 strokes").wait_for()
    before = notebook.wait_for_change(widget, before)

    # The same by keyboard alone; the notebook's own shortcuts stay out of it.
    cells = page.locator(".jp-Cell").count()
    canvas.focus()
    for key in ("Space", *["ArrowRight"] * 6, *["ArrowDown"] * 5, "Space"):
        page.keyboard.press(key)
    widget.get_by_text("1 stroke, pen up").wait_for()
    before = notebook.wait_for_change(widget, before)
    for key in ("ArrowLeft", "Space", *["ArrowUp"] * 9):
        page.keyboard.press(key)
    widget.get_by_text("1 stroke, pen down").wait_for()
    notebook.shoot("06-try-it-keyboard", widget)
    page.keyboard.press("Space")
    widget.get_by_text("2 strokes, pen up").wait_for()
    before = notebook.wait_for_change(widget, before)
    page.keyboard.press("Backspace")
    widget.get_by_text("1 stroke, pen up").wait_for()
    before = notebook.wait_for_change(widget, before)
    page.keyboard.press("Escape")
    widget.get_by_text("0 strokes").wait_for()
    before = notebook.wait_for_change(widget, before)
    assert page.locator(".jp-Cell").count() == cells

    # With the side bar open there is less room, and still nothing to scroll sideways.
    menu.select_option(index=2)
    notebook.wait_for_change(widget, before)
    wide = widget.bounding_box()["width"]
    side_bar = page.locator('li[data-id="filebrowser"]')
    side_bar.click()
    page.wait_for_timeout(1000)
    widget.scroll_into_view_if_needed()
    assert widget.bounding_box()["width"] < wide
    assert widget.evaluate("element => element.scrollWidth <= element.clientWidth")
    notebook.shoot("06-try-it-narrow", widget)
    side_bar.click()

    # An exercise: wrong with a reason, then right.
    cell = notebook.cell("exercises.left_over.check")
    cell.get_by_text("Not answered yet").wait_for()
    three = "np.sort(probabilities)[probabilities.max(1).argmin(), -3:].sum()"
    notebook.retype(cell, "answer = ...", f"answer = {three}")
    cell.get_by_text("How much is missing to 1?").wait_for()
    notebook.retype(cell, "answer = np", "answer = 1 - np")
    cell.get_by_text("✓ Right.").wait_for()
    notebook.shoot("06-exercise", cell)
    notebook.check()
