"""Notebook 04 in a browser: train live, stop, compare, break it, leave it."""

import json
import re
import time
from pathlib import Path

SECOND = 1000
TITLE = "Train live"


def button(widget, name: str):
    return widget.locator("button", has_text=re.compile(f"{name}$"))


def press(widget, name: str) -> None:
    button(widget, name).click()


def told(widget) -> str:
    """The line that says how the present trial goes."""
    return widget.locator(".widget-html-content", has_text="Trial ").first.text_content()


def wait_for_words(notebook, widget, words: str, seconds: float = 400) -> float:
    """Wait until the line about the trial matches some words; returns the seconds it took."""
    start = time.monotonic()
    widget.locator(".widget-html-content", has_text=re.compile(words)).first.wait_for(
        timeout=seconds * SECOND
    )
    return time.monotonic() - start


def rows(widget) -> list[str]:
    return widget.locator("tbody tr").all_text_contents()


def wait_for_rows(notebook, widget, count: int) -> list[str]:
    for _ in range(100):
        if len(rows(widget)) == count:
            break
        notebook.page.wait_for_timeout(100)
    assert len(rows(widget)) == count
    return rows(widget)


def set_slider(notebook, widget, label: str, key: str, times: int) -> None:
    notebook.press_arrow(notebook.slider(widget, label), key, times)


def sticking_out(widget) -> list[str]:
    """Parts of a widget that reach beyond its right border."""
    script = """(element) => {
        const end = element.getBoundingClientRect().right + 1;
        const all = [...element.querySelectorAll("*")];
        return all.filter((each) => each.getBoundingClientRect().right > end)
            .map((each) => `${each.className} ${each.getBoundingClientRect().right - end}`);
    }"""
    return widget.evaluate(script)


def statuses(notebook) -> dict[Path, str]:
    """What each run folder says about itself."""
    folder = notebook.lab.home / "models"
    return {
        path.parent: json.loads(path.read_text())["status"]
        for path in folder.glob("*/metrics.json")
    }


def test_train_live(open_notebook):
    notebook = open_notebook("04_train")
    notebook.run_all(600)
    widget = notebook.live(TITLE)
    notebook.shoot("04-live-before", widget)

    # The first point comes soon, and the curve grows.
    empty = notebook.picture(widget)
    press(widget, "Start")
    first = wait_for_words(notebook, widget, "training loss")
    one = notebook.wait_for_change(widget, empty)
    print(f"\nfirst point after {first:.1f} s")
    assert button(widget, "Start").is_disabled()
    two = notebook.wait_for_change(widget, one)
    notebook.wait_for_change(widget, two)

    # Another cell runs while it trains.
    cell = notebook.cell("largest difference below 0.0001")
    cell.locator(".cm-line").first.click()
    notebook.page.keyboard.press("Shift+Enter")
    notebook.page.wait_for_timeout(500)
    widget = notebook.live(TITLE)
    if "stopped" not in told(widget) and "completed" not in told(widget):
        assert "training loss" in told(widget)
    whole = wait_for_words(notebook, widget, "completed, best validation accuracy")
    print(f"default trial: {told(widget)} ({whole:.1f} s since the last look)")
    assert len(wait_for_rows(notebook, widget, 1)) == 1
    notebook.shoot("04-live-one", widget)

    # Stop midway, by keyboard, within a second.
    set_slider(notebook, widget, "learning rate", "ArrowRight", 2)
    set_slider(notebook, widget, "epochs", "ArrowRight", 14)
    set_slider(notebook, widget, "filters in block 2", "ArrowRight", 3)  # not done before the end
    known = set(statuses(notebook))
    press(widget, "Start")
    wait_for_words(notebook, widget, r"epoch ([2-9]|1\d) of 20")
    stop = button(widget, "Stop")
    stop.focus()
    before = time.monotonic()
    notebook.page.keyboard.press("Enter")
    wait_for_words(notebook, widget, "stopped after")
    print(f"stopped in the page after {time.monotonic() - before:.2f} s")
    for _ in range(100):
        if set(statuses(notebook)) - known:
            break
        notebook.page.wait_for_timeout(50)
    stopped = time.monotonic() - before
    print(f"training ended after {stopped:.2f} s")
    [new] = set(statuses(notebook)) - known
    assert statuses(notebook)[new] == "interrupted"
    assert stopped < 5  # one second on a quiet machine
    changed = wait_for_rows(notebook, widget, 2)[1]
    assert "learning rate 0.001 → 0.003162, epochs 6 → 20" in changed
    assert "stopped" in changed
    widget.get_by_text("with one seed, so it may be luck").wait_for()

    # Start with the same values goes on in the same row.
    press(widget, "Start")
    wait_for_words(notebook, widget, r"epoch ([3-9]|1\d) of 20")
    assert len(rows(widget)) == 2
    press(widget, "Stop")
    wait_for_words(notebook, widget, "stopped after")

    # A changed learning rate by mouse: a second whole curve and one more row.
    press(widget, "Reset values")
    notebook.wait_for_value(widget, "learning rate", "0.0010")
    notebook.drag(notebook.slider(widget, "learning rate"), 0.8)
    notebook.wait_for_value(widget, "learning rate", "0.10")
    before = notebook.picture(widget)
    press(widget, "Start")
    notebook.wait_for_change(widget, before)
    wait_for_words(notebook, widget, "completed, best validation accuracy")
    assert len(wait_for_rows(notebook, widget, 3)) == 3

    # The commands, as text.
    press(widget, "Show the commands")
    widget.get_by_text("imgclf run 04_train").wait_for()
    commands = widget.locator("pre").all_text_contents()
    assert commands[0].startswith("imgclf train --limit 2000 ")
    assert "--learning_rate 0.1" in commands[0]
    assert "-p learning_rate 0.1" in commands[1]
    print(*commands, sep="\n")
    notebook.shoot("04-live-three", widget)

    # A trial that breaks says why. Units that never fall silent are sure to break at this rate;
    # with relu they may all go out before the numbers overflow.
    cell = notebook.cell("LiveTraining(trial.replace(")
    notebook.retype(cell, "epochs=", 'activation="leaky_relu", epochs=')
    wait_for_rows(notebook, notebook.live(TITLE), 0)
    widget = notebook.live(TITLE)
    widget.get_by_label("optimizer").select_option("sgd")
    notebook.drag(notebook.slider(widget, "learning rate"), 1.0)
    press(widget, "Start")
    widget.get_by_role("alert").get_by_text("not a number").wait_for(timeout=400 * SECOND)
    assert "failed" in wait_for_rows(notebook, widget, 1)[0]
    notebook.shoot("04-live-failed", widget)
    press(widget, "Reset values")
    widget.get_by_role("alert").wait_for(state="detached")

    # Nothing is wider than the page, also beside an open side bar.
    assert sticking_out(widget) == []
    notebook.page.locator("body").press("Control+b")
    notebook.page.wait_for_timeout(SECOND)
    assert sticking_out(widget) == []
    notebook.shoot("04-live-narrow", widget)
    notebook.page.locator("body").press("Control+b")

    # An exercise: floor instead of ceiling, then right.
    cell = notebook.cell("exercises.steps.check")
    notebook.retype(cell, "answer = ...", "answer = len(dataset.train) // shared.batch_size")
    cell.get_by_text("Not yet.").wait_for()
    notebook.shoot("04-exercise-wrong", cell)
    cell = notebook.cell("exercises.steps.check")
    notebook.retype(cell, "//", "/")
    cell.get_by_text("no parts of a step").wait_for()
    notebook.retype(cell, "answer = len", "answer = -(-len(dataset.train) // shared.batch_size)  #")
    cell.get_by_text("✓ Right.").wait_for()
    notebook.shoot("04-exercise-right", cell)

    # Leaving ends the training.
    widget = notebook.live(TITLE)
    set_slider(notebook, widget, "learning rate", "ArrowLeft", 1)
    set_slider(notebook, widget, "epochs", "ArrowRight", 14)
    set_slider(notebook, widget, "filters in block 2", "ArrowRight", 3)  # not done before the end
    known = set(statuses(notebook))
    press(widget, "Start")
    wait_for_words(notebook, widget, r"epoch \d+ of 20")
    notebook.check()
    notebook.page.wait_for_timeout(3 * SECOND)
    notebook.close_tab()
    before = time.monotonic()
    while not (new := set(statuses(notebook)) - known):
        assert time.monotonic() - before < 60, "it goes on without anybody looking"
        notebook.page.wait_for_timeout(200)
    print(f"ended {time.monotonic() - before:.1f} s after the tab was closed")
    assert statuses(notebook)[new.pop()] == "interrupted"
