"""What all widgets share. That pages refuse large files and draw is tested in the browser."""

import io
import re
import threading

import ipywidgets
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imgclf_lib.course.widgets.base import (
    MOST_BYTES,
    PATIENCE,
    STATIC,
    Frame,
    Heartbeat,
    Picture,
    Sketch,
    Upload,
    cards,
    command,
    short,
    table,
)
from imgclf_lib.errors import InputError
from imgclf_lib.evaluation import Manner, draw_strokes
from imgclf_lib.plots import confusion_matrix, lines


def test_a_change_calls_the_function() -> None:
    frame, slider, seen = Frame("Try"), ipywidgets.IntSlider(1), []
    frame.react(slider, lambda: seen.append(slider.value))
    slider.value = 4
    assert seen == [4]


def test_a_click_calls_the_function() -> None:
    frame, button, seen = Frame("Try"), ipywidgets.Button(), []
    frame.react(button, lambda: seen.append("clicked"))
    button.click()
    assert seen == ["clicked"]


def test_errors_are_shown_and_go_away() -> None:
    frame, slider = Frame("Try"), ipywidgets.IntSlider(1)

    def work() -> None:
        if slider.value == 2:
            raise InputError("Too <b>big</b>", allowed="1")
        if slider.value == 3:
            raise ValueError("<script>")

    frame.react(slider, work)
    slider.value = 2
    assert "Too &lt;b&gt;big&lt;/b&gt;. Allowed: 1." in frame.problem.value
    assert "Where it happened" not in frame.problem.value
    slider.value = 3
    assert "ValueError: &lt;script&gt;" in frame.problem.value
    assert "Where it happened" in frame.problem.value
    assert "<script>" not in frame.problem.value
    slider.value = 4
    assert frame.problem.value == ""


def test_a_thread_may_fail_before_its_click_is_over() -> None:
    frame, button = Frame("Try"), ipywidgets.Button()

    def start() -> None:
        thread = threading.Thread(target=frame.show_error, args=(ValueError("odd"),))
        thread.start()
        thread.join()

    frame.react(button, start)
    button.click()
    assert "odd" in frame.problem.value


def test_children_stand_between_title_and_errors() -> None:
    frame = Frame("A <title>")
    label = ipywidgets.Label("hello")
    frame.fill([label])
    assert frame.children[0].value == "<b>A &lt;title&gt;</b>"
    assert frame.children[1:] == (label, frame.problem, frame.names)


def test_on_paper_one_sentence_stands_for_it() -> None:
    bundle = Frame("Try this")._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"] == "(Live in JupyterLab: Try this)"
    assert "application/vnd.jupyter.widget-view+json" in data


def test_a_drawing_is_sent_with_its_size_and_words() -> None:
    picture = Picture(lines({"a": ([1, 2], [3, 4])}, "A", ("x", "y")), "A line.")
    drawn = Image.open(io.BytesIO(picture.png))
    assert list(drawn.size) == picture.size
    assert picture.alt == "A line."
    before = picture.png
    picture.show(lines({"a": ([1, 2], [4, 3])}, "A", ("x", "y")), "Another line.")
    assert picture.png != before
    assert picture.alt == "Another line."


@pytest.mark.parametrize("classes", [2, 5, 12])
def test_cells_lie_where_the_matrix_is_drawn(classes: int) -> None:
    counts = np.zeros((classes, classes), int)
    counts[1, 0] = 9  # the only dark cell: second row, first column
    axes = confusion_matrix(counts, [f"class {number}" for number in range(classes)])
    picture = Picture(axes, "A matrix.")
    picture.offer_cells(axes, classes, classes)
    assert picture.cells == [classes, classes]
    image = np.asarray(Image.open(io.BytesIO(picture.png)).convert("RGB")).astype(int)
    left, top, width, height = picture.area
    for row in range(classes):
        for column in range(classes):
            across = round((left + width * (column + 0.25) / classes) * image.shape[1])
            down = round((top + height * (row + 0.25) / classes) * image.shape[0])
            dark = image[down, across].sum() < 250
            assert dark == ((row, column) == (1, 0)), (row, column)


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("imgclf_lib.course.widgets.base.time.monotonic", lambda: now[0])
    return now


def test_without_a_page_nobody_can_leave(clock) -> None:
    heart = Heartbeat()
    heart.begin()
    clock[0] += 10_000
    assert not heart.abandoned


def test_a_page_that_falls_silent_has_gone(clock) -> None:
    heart = Heartbeat()
    heart.begin()
    for _ in range(5):
        clock[0] += 1
        heart.beat += 1
        assert not heart.abandoned
    clock[0] += PATIENCE[False] + 1
    assert heart.abandoned


def test_a_hidden_tab_is_given_more_time(clock) -> None:
    heart = Heartbeat()
    heart.begin()
    heart.hidden, heart.beat = True, 1
    clock[0] += 61  # browsers slow a hidden tab down to one beat a minute
    assert not heart.abandoned
    clock[0] += PATIENCE[True]
    assert heart.abandoned


def test_beats_of_the_work_before_do_not_count(clock) -> None:
    heart = Heartbeat()
    heart.begin()
    heart.beat = 3
    heart.end()
    assert not heart.wanted
    clock[0] += 1000
    heart.begin()
    assert not heart.abandoned


def test_bytes_come_as_bytes() -> None:
    upload, seen = Upload(), []
    upload.observe(lambda change: seen.append(upload.content), "number")
    state = {"name": "a.png", "size": 3, "content": memoryview(b"abc"), "number": 1}
    upload.set_state(state)
    assert seen == [b"abc"]
    upload.set_state({**state, "number": 2})  # the same file once more
    assert seen == [b"abc", b"abc"]


def test_the_limit_lies_below_that_of_the_connection() -> None:
    assert Upload().most_bytes == MOST_BYTES < 10 * 2**20


LINE = [[0.2, 0.5], [0.8, 0.5]]


def test_begins_empty() -> None:
    sketch = Sketch(dark=False, brush=0.1)
    assert (sketch.strokes, sketch.dark, sketch.brush) == ([], False, 0.1)


def test_strokes_come_from_the_page_and_can_be_observed() -> None:
    sketch, seen = Sketch(), []
    sketch.observe(lambda change: seen.append(change["new"]), "strokes")
    sketch.set_state({"strokes": [LINE]})  # as the page sends it
    assert seen == [[LINE]]
    assert draw_strokes(sketch.strokes, Manner(True, 1.0, False)).getextrema() == (0, 255)


@pytest.mark.parametrize(
    "promise", ["aria-label", "arrow keys", "Backspace", "Escape", "role", "tabIndex", "Undo"]
)
def test_can_be_used_without_a_mouse(promise: str) -> None:
    assert promise in str(Sketch._esm)
    assert "innerHTML" not in str(Sketch._esm)


def test_names_are_shown_never_interpreted() -> None:
    figures = {"<b>what": "<img src=x> & co"}
    assert "&lt;b&gt;what" in cards(figures)
    assert "&lt;img src=x&gt; &amp; co" in cards(figures)
    assert "&lt;b&gt;" in command("<b>")
    assert "&lt;i&gt;" in table(pd.DataFrame({"a": ["<i>"]}), "A table")


def test_a_long_name_is_one_short_line_that_can_be_sent() -> None:
    assert short("two\n  lines") == "two lines"
    assert short("x" * 50) == "x" * 39 + "…"
    assert short("bad\udcff", 60).encode("utf-8") == b"bad?"


def test_what_the_browser_gets_lies_in_files() -> None:
    for kind in (Picture, Heartbeat, Upload, Sketch):
        for name in ("_esm", "_css"):
            if hasattr(kind, name):
                assert getattr(kind(), name) == str(getattr(kind, name)) != ""
    names = Frame("Try").names
    assert ".imgclf-error" in names._css
    assert "export default { render };" in names._esm


def test_the_files_are_read_without_a_thread_or_a_warning() -> None:
    before = threading.active_count()
    for kind in (Picture, Heartbeat, Upload, Sketch):
        assert kind._esm._background_thread is None
        kind()
    assert threading.active_count() == before


def test_every_style_that_a_widget_names_exists() -> None:
    styles = "".join(path.read_text("utf-8") for path in STATIC.glob("*.css"))
    code = "".join(path.read_text("utf-8") for path in STATIC.parent.glob("*.py"))
    named = set(re.findall(r"imgclf-[a-z]+(?:-[a-z]+)*", code)) - {"imgclf-painter"}  # a thread
    assert len(named) > 8
    for name in (*named, "imgclf-fits", "imgclf-tight", "imgclf-too-big"):
        assert f".{name} " in styles
