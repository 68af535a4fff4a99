"""Notebook 03 as a learner uses it: the designer by mouse and keyboard, and two exercises."""

import re

import psutil
from playwright.sync_api import expect

from imgclf_lib.experiment import Experiment
from imgclf_lib.network import plan_network, training_memory

SOON = 30_000  # milliseconds


def parameters(**changes) -> str:
    plan = plan_network(Experiment(**changes), (28, 28, 1), 10)
    return f"{plan['parameters'].sum():,}"


def test_build_model(open_notebook):
    notebook = open_notebook("03_build_model")
    notebook.run_all()

    widget = notebook.live("Design a network")
    expect(widget).to_contain_text(parameters(), timeout=SOON)
    before = notebook.picture(widget)

    # The keyboard: one convolution more in each block.
    notebook.press_arrow(notebook.slider(widget, "convolutions"))
    expect(widget).to_contain_text(parameters(convolutions=2), timeout=SOON)
    before = notebook.wait_for_change(widget, before)
    notebook.press_arrow(notebook.slider(widget, "convolutions"), "ArrowLeft")
    expect(widget).to_contain_text(parameters(), timeout=SOON)
    notebook.shoot("03-designer", widget)

    # The mouse: two blocks more; the controls of the others stay where they are.
    place = notebook.slider(widget, "kernel size").bounding_box()
    notebook.drag(notebook.slider(widget, "blocks"), 1.0)
    design = {"filters": (32, 64, 32, 32)}
    expect(widget).to_contain_text(parameters(**design), timeout=SOON)
    after = notebook.slider(widget, "kernel size").bounding_box()
    assert abs(place["x"] - after["x"]) < 2
    notebook.wait_for_change(widget, before)

    # A menu, by keyboard.
    widget.get_by_label("head").select_option("average")
    design["head"] = "average"
    expect(widget).to_contain_text(parameters(**design), timeout=SOON)
    expect(widget.locator("table")).to_contain_text("average")
    notebook.shoot("03-designer-deep", widget)

    # A design that is too big for most machines is announced, not built.
    widget.get_by_role("button", name="Start again").click()
    expect(widget).to_contain_text(parameters(), timeout=SOON)
    notebook.drag(notebook.slider(widget, "blocks"), 0.25)
    notebook.drag(notebook.slider(widget, "filters in block 1"), 1.0)
    notebook.drag(notebook.slider(widget, "dense layers"), 1.0)
    for number in range(1, 5):
        handle = notebook.slider(widget, f"units in layer {number}")
        expect(handle).to_be_visible(timeout=SOON)
        notebook.press_arrow(handle, "End")
    notebook.drag(notebook.slider(widget, "batch size"), 1.0)
    huge = {"filters": (512,), "dense_units": (16_384,) * 4, "batch_size": 1024}
    expect(widget).to_contain_text(parameters(**huge), timeout=SOON)
    memory = training_memory(plan_network(Experiment(**huge), (28, 28, 1), 10), Experiment(**huge))
    said = widget.get_by_role("status")
    if memory.total > 1.1 * psutil.virtual_memory().available:
        expect(said).to_contain_text("Too big for this machine")
        expect(said).to_contain_text("dense1, 1,644,183,552 parameters")
    else:
        expect(said).to_contain_text(re.compile("Tight|Fits|Too big"))
    notebook.shoot("03-designer-too-big", widget)

    # An exercise, first with a typical mistake, then right.
    cell = notebook.cell("exercises.convolution_parameters.check")
    notebook.retype(cell, "answer = ...  # a number of parameters", "answer = 5 * 5 * 8 * 16")
    verdict = cell.get_by_role("status")
    expect(verdict).to_contain_text("these are the weights", timeout=SOON)
    notebook.retype(cell, "answer = 5 * 5 * 8 * 16", "answer = (5 * 5 * 8 + 1) * 16")
    expect(verdict).to_contain_text("✓ Right.", timeout=SOON)
    notebook.shoot("03-exercise", cell)

    # A design of one's own: too many parameters, then one that beats the baseline.
    cell = notebook.cell("exercises.small_network.check")
    notebook.retype(cell, "answer = ...  # an Experiment", "answer = designer.experiment  #")
    verdict = cell.get_by_role("status")
    expect(verdict).to_contain_text("parameters are too many", timeout=SOON)
    notebook.check()
