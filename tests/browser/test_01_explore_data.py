"""Notebook 01 in a real browser: the explorer by menu, button and keyboard, and an exercise."""

from playwright.sync_api import expect


def test_explore_data(open_notebook) -> None:
    notebook = open_notebook("01_explore_data")
    notebook.run_all()
    explorer = notebook.live("Explore the images")
    expect(explorer.get_by_role("status")).to_contain_text("1 to 24 of 10,000 training images")
    expect(explorer.get_by_role("status")).to_contain_text("distance from the mean")
    notebook.shoot("01-explorer", explorer)
    size = explorer.locator("img").bounding_box()

    # Buttons turn the pages: by mouse, and by keyboard.
    picture = notebook.picture(explorer)
    explorer.get_by_role("button", name="Next").click()
    second = notebook.wait_for_change(explorer, picture)
    expect(explorer.get_by_role("status")).to_contain_text("25 to 48 of")
    explorer.get_by_role("button", name="Last").focus()
    notebook.page.keyboard.press("Enter")
    notebook.wait_for_change(explorer, second)
    expect(explorer.get_by_role("status")).to_contain_text("to 10,000 of 10,000")
    explorer.get_by_role("button", name="First").click()
    expect(explorer.get_by_role("status")).to_contain_text("1 to 24 of")

    # The slider too: by arrow keys, and dragged.
    page = notebook.slider(explorer, "page")
    notebook.press_arrow(page)
    expect(explorer.get_by_role("status")).to_contain_text("25 to 48 of")
    notebook.drag(page, 0.5)
    expect(explorer.get_by_role("status")).not_to_contain_text("25 to 48 of")

    # Menus: the class by mouse, the split and the order by keyboard.
    chosen = explorer.get_by_label("class", exact=True)
    name = chosen.locator("option").nth(4).inner_text()
    before = notebook.picture(explorer)
    chosen.select_option(name)
    expect(explorer.get_by_role("status")).to_contain_text(f"training images, {name}.")
    expect(explorer.get_by_role("status")).to_contain_text("1 to 24 of")
    before = notebook.wait_for_change(explorer, before)
    explorer.get_by_label("split", exact=True).focus()
    notebook.page.keyboard.press("ArrowDown")
    expect(explorer.get_by_role("status")).to_contain_text("validation images")
    before = notebook.wait_for_change(explorer, before)
    explorer.get_by_label("order", exact=True).focus()
    notebook.page.keyboard.type("brightness: br")
    expect(explorer.get_by_role("status")).to_contain_text("mean of all pixels")
    assert explorer.get_by_label("order", exact=True).input_value() == "brightness: brightest first"
    notebook.wait_for_change(explorer, before)

    # The paths, on request; the picture has kept its size through it all.
    explorer.get_by_label("show the paths of these images").check()
    expect(explorer.locator("li").first).to_contain_text("train/")
    assert explorer.locator("li").count() == 24
    now = explorer.locator("img").bounding_box()
    assert (now["width"], now["height"]) == (size["width"], size["height"])
    notebook.shoot("01-explorer-class", explorer)
    notebook.page.set_viewport_size({"width": 720, "height": 1100})
    notebook.page.wait_for_timeout(500)
    assert explorer.evaluate("element => element.scrollWidth <= element.clientWidth")
    explorer.screenshot(path=notebook.shots / "01-explorer-narrow.png")
    notebook.page.set_viewport_size(notebook.window)

    # An exercise, left open at first, then wrong, then right.
    cell = notebook.cell("exercises.largest_share.check")
    expect(cell.locator(".jp-OutputArea-output")).to_contain_text("Not answered yet")
    notebook.retype(cell, "answer = ...", "answer = sizes.max()")
    expect(cell.locator(".jp-OutputArea-output")).to_contain_text("Divide it by all")
    notebook.retype(cell, "answer = sizes.max()", "answer = sizes.max() / sizes.sum()")
    expect(cell.locator(".jp-OutputArea-output")).to_contain_text("✓ Right.")
    notebook.shoot("01-exercise", cell)
    notebook.check()
