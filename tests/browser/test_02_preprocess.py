"""Notebook 02 in a real browser: the augmentation preview by mouse and keyboard, an exercise."""

from playwright.sync_api import expect

HALF = """(element, which) => {
    const image = element.querySelector("img");
    const canvas = document.createElement("canvas");
    canvas.width = image.naturalWidth;
    canvas.height = Math.floor(image.naturalHeight / 2);
    canvas.getContext("2d").drawImage(image, 0, -which * canvas.height);
    return canvas.toDataURL();
}"""


def test_preprocess(open_notebook) -> None:
    notebook = open_notebook("02_preprocess")
    notebook.run_all(600)
    preview = notebook.live("Augment eight images")
    call = preview.locator("code")
    expect(call).to_have_text("Experiment(shift=0.08, zoom=0.1)")
    notebook.shoot("02-preview", preview)
    size = preview.locator("img").bounding_box()
    digest = notebook.picture(preview)
    before, after = (preview.evaluate(HALF, which) for which in (0, 1))

    def changed() -> None:
        """The lower row is another one, the upper row is not."""
        nonlocal digest, after
        digest = notebook.wait_for_change(preview, digest)
        notebook.wait_until_idle(30)
        digest = notebook.picture(preview)
        assert preview.evaluate(HALF, 0) == before
        assert preview.evaluate(HALF, 1) != after
        after = preview.evaluate(HALF, 1)

    # A slider by mouse, another one by arrow keys, a menu.
    notebook.drag(notebook.slider(preview, "rotate"), 0.8)
    expect(call).to_contain_text("rotate=")
    changed()
    notebook.press_arrow(notebook.slider(preview, "erase"), times=30)
    expect(call).to_contain_text("random_erasing=0.3")
    changed()
    preview.get_by_label("mirror (flip)").select_option("both")
    expect(call).to_contain_text("flip='both'")
    changed()

    # Another throw of the dice: by mouse, and by keyboard. The call stays the same.
    said = call.inner_text()
    dice = preview.get_by_role("button", name="Another throw of the dice")
    dice.click()
    changed()
    dice.focus()
    notebook.page.keyboard.press("Enter")
    changed()
    assert call.inner_text() == said
    now = preview.locator("img").bounding_box()
    assert (now["width"], now["height"]) == (size["width"], size["height"])
    notebook.shoot("02-preview-strong", preview)
    notebook.page.set_viewport_size({"width": 720, "height": 1100})
    notebook.page.wait_for_timeout(500)
    assert preview.evaluate("element => element.scrollWidth <= element.clientWidth")
    preview.screenshot(path=notebook.shots / "02-preview-narrow.png")
    notebook.page.set_viewport_size(notebook.window)

    # A function: left open at first, then wrong in a typical way, then right.
    cell = notebook.cell("exercises.shift.check")
    expect(cell.locator(".jp-OutputArea-output")).to_contain_text("Not answered yet")
    rolled = "return np.roll(images, right, axis=2)"
    notebook.retype(cell, "return ...  # the shifted images", rolled)
    expect(cell.locator(".jp-OutputArea-output")).to_contain_text("np.roll does that")
    padded = "return np.pad(images, ((0, 0), (0, 0), (right, 0), (0, 0)))[:, :, :images.shape[2]]"
    notebook.retype(cell, rolled, padded)
    expect(cell.locator(".jp-OutputArea-output")).to_contain_text("✓ Right.")
    notebook.shoot("02-exercise", cell)
    notebook.check()
