"""Notebook 09 in a browser: few images and many, features and pixels, an exercise."""

from playwright.sync_api import expect


def test_transfer_learning(open_notebook):
    notebook = open_notebook("09_transfer_learning")
    notebook.run_all(1_200)
    bench = notebook.live("Learn from a few images")
    text = bench.locator(".widget-html-content")
    before = notebook.picture(bench)

    # By keyboard: more images; by menu: pixels; by mouse: another draw.
    notebook.press_arrow(notebook.slider(bench, "images a class"), "ArrowRight", 2)
    notebook.wait_for_change(bench, before, 120)
    before = notebook.picture(bench)
    bench.locator("select").select_option("pixels")
    expect(text.filter(has_text="images, pixels:")).to_have_count(1, timeout=120_000)
    notebook.wait_for_change(bench, before, 120)
    before = notebook.picture(bench)
    notebook.drag(notebook.slider(bench, "which images"), 0.5)
    notebook.wait_for_change(bench, before, 120)
    expect(text.filter(has_text="Learned and measured in")).to_have_count(1)
    notebook.shoot("09-bench", bench)
    bench.get_by_role("button", name="Clear").click()
    expect(text.filter(has_text="a point appears")).to_have_count(1)

    cell = notebook.cell("exercises.average.check")
    notebook.retype(cell, "return ...", "return maps.mean(axis=3)")
    expect(cell.locator(".jp-OutputArea")).to_contain_text("over the channels", timeout=30_000)
    notebook.shoot("09-exercise", cell)
    notebook.check()
