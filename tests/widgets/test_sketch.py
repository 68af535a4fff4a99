"""The canvas: what it keeps, and what it promises in words. The drawing itself: tests/browser."""

import pytest

from imgclf_lib.predict import Manner, draw_strokes
from imgclf_lib.widgets.sketch import SCRIPT, Sketch

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
    assert promise in SCRIPT
    assert "innerHTML" not in SCRIPT
