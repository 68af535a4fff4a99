"""Notebook 05 as a learner uses it: cells of the matrix, the threshold, and an exercise."""

import re

from playwright.sync_api import expect

SOON = 30_000  # milliseconds


def test_evaluate(open_notebook):
    notebook = open_notebook("05_evaluate")
    notebook.run_all()

    widget = notebook.live("Explore the confusions")
    status = widget.get_by_role("status")
    true, said = (widget.get_by_label(name, exact=True) for name in ("true class", "taken for"))
    expect(status).to_contain_text(re.compile(r"\d+ images? of .+ taken for .+ 1 to \d+"))
    notebook.shoot("05-explorer", widget)

    # The mouse: from the last cell of the diagonal to the first one.
    matrix = widget.get_by_role("application")
    mark = widget.locator(".imgclf-picture-mark").first
    names = true.locator("option").all_inner_texts()
    true.select_option(index=0)
    said.select_option(index=0)
    expect(status).to_contain_text(f"of {names[0]}, answered right", timeout=SOON)
    notebook.wait_until_still(widget)
    corner, whole = mark.bounding_box(), matrix.bounding_box()
    inside = {axis: corner[axis] - whole[axis] + 10 for axis in ("x", "y")}
    true.select_option(index=len(names) - 1)
    expect(status).to_contain_text(f"of {names[-1]} taken for {names[0]}", timeout=SOON)
    notebook.wait_until_still(widget)
    matrix.click(position=inside)
    expect(status).to_contain_text(f"of {names[0]}, answered right", timeout=SOON)
    expect(true).to_have_value(names[0])
    notebook.wait_until_still(widget)

    # The keyboard: one cell to the right, two down.
    matrix.focus()
    notebook.page.keyboard.press("ArrowRight")
    expect(status).to_contain_text(f"of {names[0]} taken for {names[1]}", timeout=SOON)
    notebook.wait_until_still(widget)
    for _ in range(2):
        notebook.page.keyboard.press("ArrowDown")
    expect(status).to_contain_text(f"of {names[2]} taken for {names[1]}", timeout=SOON)

    # A long list, page by page.
    said.select_option(index=2)
    expect(status).to_contain_text("1 to 12, the most confident first", timeout=SOON)
    before = notebook.picture(widget)
    widget.get_by_role("button", name="Next images").click()
    expect(status).to_contain_text("13 to 24", timeout=SOON)
    notebook.wait_for_change(widget, before)
    notebook.shoot("05-explorer-right", widget)

    # The threshold: by mouse, then by keyboard.
    place = widget.locator("img").first.bounding_box()
    expect(widget).to_contain_text("100.0%coverage")
    handle = notebook.slider(widget, "threshold")
    notebook.drag(handle, 0.8)
    expect(widget).not_to_contain_text("100.0%coverage", timeout=SOON)
    notebook.page.wait_for_timeout(3000)
    share = coverage(widget)
    assert 30 < share < 99
    notebook.press_arrow(handle, "ArrowRight", 5)
    notebook.page.wait_for_timeout(3000)
    assert coverage(widget) < share
    now = widget.locator("img").first.bounding_box()
    assert (place["width"], place["height"]) == (now["width"], now["height"]), "nothing jumps"
    notebook.shoot("05-explorer-threshold", widget)

    # An exercise, first with a typical mistake, then right.
    cell = notebook.cell("exercises.precision_of_a_class.check")
    notebook.retype(cell, "answer = ...  # a share between 0 and 1", "answer = 60 / 100")
    verdict = cell.get_by_role("status")
    expect(verdict).to_contain_text("That is the recall", timeout=SOON)
    notebook.retype(cell, "answer = 60 / 100", "answer = 60 / (60 + 20)")
    expect(verdict).to_contain_text("✓ Right.", timeout=SOON)
    notebook.shoot("05-exercise", cell)
    notebook.check()


def coverage(widget) -> float:
    return float(re.search(r"([\d.]+)%\s*coverage", widget.inner_text())[1])
