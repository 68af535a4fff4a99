"""Notebook 10 in a browser: switch one idea off, train, compare; an exercise."""

import re

from playwright.sync_api import expect

MINUTE = 60_000


def test_go_fast(open_notebook):
    notebook = open_notebook("10_go_fast")
    notebook.run_all(1_200)
    live = notebook.live("Train live")
    text = live.locator(".widget-html-content")
    before = notebook.picture(live)
    live.locator("button", has_text=re.compile("Start$")).click()
    expect(text.filter(has_text="Trial 1: trained before, loaded")).to_have_count(1, timeout=MINUTE)
    notebook.wait_for_change(live, before)

    live.locator("select").first.select_option("adam")
    live.locator("button", has_text=re.compile("Start$")).click()
    expect(text.filter(has_text="Trial 2: completed")).to_have_count(1, timeout=3 * MINUTE)
    rows = live.locator("tbody tr").all_text_contents()
    assert len(rows) == 2
    assert "optimizer muon → adam" in rows[1]
    notebook.shoot("10-live", live)
    live.locator("button", has_text=re.compile("Show the commands$")).click()
    expect(text.filter(has_text="--stem whitened")).to_have_count(1)

    cell = notebook.cell("exercises.even.check")
    notebook.retype(cell, "return ...", "return step / np.linalg.norm(step)")
    expect(cell.locator(".jp-OutputArea")).to_contain_text(
        "directions still differ", timeout=30_000
    )
    notebook.shoot("10-exercise", cell)
    notebook.check()
