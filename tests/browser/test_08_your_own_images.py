"""Notebook 08 in a real browser: the walk by menu, button and keyboard, decisions, a fix list."""

from playwright.sync_api import expect

from imgclf_lib.data import read_fixes


def test_your_own_images(open_notebook) -> None:
    notebook = open_notebook("08_your_own_images")
    notebook.run_all()
    walk = notebook.live("Walk through the findings")
    status = walk.get_by_role("status").first
    expect(status).to_contain_text("1 of ")
    notebook.shoot("08-walk", walk)
    size = walk.locator("img").bounding_box()

    # Menus: a kind by mouse, a severity by keyboard; the picture keeps its size.
    kind = walk.get_by_label("kind", exact=True)
    name = "near-duplicate across splits"
    option = kind.locator("option", has_text=name).first.inner_text()
    before = notebook.picture(walk)
    kind.select_option(option)
    expect(status).to_contain_text(name)
    before = notebook.wait_for_change(walk, before)
    notebook.shoot("08-walk-pair", walk)

    # Buttons by mouse and by keyboard, and the number by typing.
    walk.get_by_role("button", name="Next").click()
    expect(status).to_contain_text("2 of ")
    before = notebook.wait_for_change(walk, before)
    walk.get_by_role("button", name="Last").focus()
    notebook.page.keyboard.press("Enter")
    before = notebook.wait_for_change(walk, before)
    walk.get_by_role("button", name="First").click()
    before = notebook.wait_for_change(walk, before)
    number = walk.get_by_label("finding", exact=True)
    number.fill("3")
    number.press("Enter")
    expect(status).to_contain_text("3 of ")
    notebook.wait_for_change(walk, before)

    # A decision: relabel, with a class, by keyboard.
    path = status.locator("code").inner_text()
    decision = walk.get_by_label("decision", exact=True)
    decision.focus()
    notebook.page.keyboard.type("rel")
    expect(walk).to_contain_text("decided by you: 1")
    label = walk.get_by_label("new class", exact=True)
    expect(label).to_be_enabled()
    label.select_option("Bag")
    expect(walk).to_contain_text("relabel")
    walk.get_by_role("button", name="Next").click()
    expect(status).to_contain_text("4 of ")
    walk.get_by_role("button", name="Previous").click()
    expect(status).to_contain_text("3 of ")
    expect(decision).to_have_value("relabel")
    notebook.shoot("08-walk-decision", walk)

    # The list is written outside the images, and never over a file.
    place = walk.get_by_label("file", exact=True)
    place.fill("my_fixes.csv")
    place.press("Tab")
    walk.get_by_role("button", name="Write the fix list").click()
    expect(walk).to_contain_text("Use it with fixes=")
    listed = read_fixes(notebook.lab.home / "my_notebooks" / "my_fixes.csv").set_index("path")
    assert listed.loc[path, ["action", "label"]].tolist() == ["relabel", "Bag"]
    walk.get_by_role("button", name="Write the fix list").click()
    expect(walk.get_by_role("alert")).to_contain_text("is there already")
    now = walk.locator("img").bounding_box()
    assert (now["width"], now["height"]) == (size["width"], size["height"])

    # A file that cannot be shown says so; a narrow window cuts nothing off.
    damaged = kind.locator("option", has_text="damaged").first.inner_text()
    kind.select_option(damaged)
    expect(status).to_contain_text("damaged")
    notebook.shoot("08-walk-damaged", walk)
    notebook.page.set_viewport_size({"width": 720, "height": 1100})
    notebook.page.wait_for_timeout(500)
    assert walk.evaluate("element => element.scrollWidth <= element.clientWidth")
    walk.screenshot(path=notebook.shots / "08-walk-narrow.png")
    notebook.page.set_viewport_size(notebook.window)

    # An exercise, left open at first, then wrong, then right.
    cell = notebook.cell("exercises.bursts.check")
    expect(cell.locator(".jp-OutputArea-output").last).to_contain_text("Not answered yet")
    notebook.retype(cell, "pattern = ...", r'pattern = r"burst\d+"')
    expect(cell.locator(".jp-OutputArea-output").last).to_contain_text("of two bursts")
    notebook.retype(cell, r'pattern = r"burst\d+"', r'pattern = r"[^/]+_burst\d+"')
    expect(cell.locator(".jp-OutputArea-output").last).to_contain_text("✓ Right.")
    notebook.shoot("08-exercise", cell)
    notebook.check()
