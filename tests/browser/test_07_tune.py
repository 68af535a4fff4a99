"""Notebook 07 in a browser: set ranges, search, stop, read which knob mattered."""

import re
import time

from playwright.sync_api import expect

SLOW = 240_000  # ms; the machine may be busy


def test_tune(open_notebook):
    notebook = open_notebook("07_tune")
    notebook.run_all(900)
    tuner = notebook.live("Tune: set the ranges")
    text = tuner.locator(".widget-html-content")
    rows = tuner.locator("table tbody tr")

    # Ranges: by mouse, by keyboard, and a tick.
    rate = tuner.locator(".widget-inline-hbox", has_text="learning rate").first
    readout = rate.locator(".widget-readout")
    before = readout.inner_text()
    notebook.drag(notebook.slider(tuner, "learning rate"), 0.4)
    expect(readout).not_to_have_text(before)
    before = readout.inner_text()
    notebook.press_arrow(rate.locator(".noUi-handle").nth(1), "ArrowRight", 2)
    expect(readout).not_to_have_text(before)
    expect(text.filter(has_text="Not varied: dropout")).to_have_count(1)
    vary = tuner.locator("input[type=checkbox]").nth(2)
    vary.focus()
    notebook.page.keyboard.press("Space")
    expect(text.filter(has_text="Not varied: dropout")).to_have_count(0)
    notebook.page.keyboard.press("Space")

    # A small search from beginning to end.
    notebook.press_arrow(notebook.slider(tuner, "trials"), "ArrowLeft", 2)
    notebook.drag(notebook.slider(tuner, "images of each"), 0.0)
    expect(text.filter(has_text=re.compile("6 trials, and trial 0.*about"))).to_have_count(1)
    empty = notebook.picture(tuner)
    tuner.get_by_role("button", name="Start").click()
    expect(rows.first).to_be_visible(timeout=SLOW)
    expect(text.filter(has_text="Done: 7 of 7")).to_have_count(1, timeout=SLOW)
    expect(rows).to_have_count(7)
    notebook.wait_for_change(tuner, empty)
    tuner.get_by_role("button", name="Command of the best").click()
    expect(tuner.locator("pre")).to_contain_text("imgclf train --limit")
    notebook.page.wait_for_timeout(1_000)
    notebook.shoot("07-tune", tuner)

    # A longer one, which leaves the kernel free for other cells, and is stopped midway.
    notebook.drag(notebook.slider(tuner, "epochs of each"), 1.0)
    notebook.drag(notebook.slider(tuner, "images of each"), 0.9)
    tuner.get_by_role("button", name="Start").click()
    expect(text.filter(has_text=re.compile("Trial 0 of 6: epoch"))).to_have_count(1, timeout=SLOW)
    cell = notebook.cell("exercises.grid_size.check")
    notebook.retype(cell, "...", "14")
    expect(cell.locator(".jp-OutputArea")).to_contain_text("You added", timeout=30_000)
    notebook.retype(cell, "14", "120")
    expect(cell.locator(".jp-OutputArea")).to_contain_text("✓ Right", timeout=30_000)
    notebook.shoot("07-exercise", cell)
    tuner = notebook.live("Tune: set the ranges")
    stop = tuner.get_by_role("button", name="Stop")
    expect(stop).to_be_enabled()
    pressed = time.monotonic()
    stop.click()
    expect(text.filter(has_text="Stopped:")).to_have_count(1)
    expect(stop).to_be_disabled()
    # A second, but for a trial that is just being built: that takes seconds on a slow machine.
    assert time.monotonic() - pressed < 15
    expect(rows.first).to_contain_text("stopped")
    notebook.shoot("07-stopped", tuner)

    # Nothing ticked: said in the widget.
    for _ in range(3):
        tuner.locator("input[type=checkbox]:checked").first.uncheck()
    tuner.get_by_role("button", name="Start").click()
    expect(tuner.get_by_role("alert")).to_contain_text("Tick a knob")
    notebook.check()
