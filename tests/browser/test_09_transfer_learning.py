"""Notebook 09 in a browser: few images and many, features and pixels, an exercise."""

from playwright.sync_api import expect


def test_transfer_learning(open_notebook):
    notebook = open_notebook("09_transfer_learning")
    notebook.run_all(1_200)
    bench = notebook.live("Learn from a few images")
    expect(bench).to_contain_text("100 training images, features:")

    # By keyboard: more images; by menu: pixels; by mouse: another draw.
    before = notebook.picture(bench)
    notebook.press_arrow(notebook.slider(bench, "images a class"), "ArrowRight", 2)
    expect(bench).to_contain_text("300 training images, features:", timeout=120_000)
    before = notebook.wait_for_change(bench, before)
    bench.locator("select").select_option("pixels")
    expect(bench).to_contain_text("300 training images, pixels:", timeout=120_000)
    before = notebook.wait_for_change(bench, before)
    notebook.drag(notebook.slider(bench, "which images"), 0.5)
    notebook.wait_for_change(bench, before, 120)
    expect(bench).to_contain_text("Learned and measured in")
    notebook.shoot("09-bench", bench)
    bench.get_by_role("button", name="Clear").click()
    expect(bench).to_contain_text("a point appears")

    cell = notebook.cell("exercises.average.check")
    notebook.retype(cell, "return ...", "return maps.mean(axis=3)")
    expect(cell.locator(".jp-OutputArea")).to_contain_text("over the channels", timeout=30_000)
    notebook.shoot("09-exercise", cell)
    notebook.check()
