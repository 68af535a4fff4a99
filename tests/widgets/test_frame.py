"""The frame: its errors are shown, and on paper one sentence stands for it."""

import ipywidgets

from imgclf_lib.errors import InputError
from imgclf_lib.widgets.frame import Frame


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
