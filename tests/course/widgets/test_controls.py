"""Controls are made from the fields of an experiment, and give values that it takes."""

from dataclasses import fields
from itertools import pairwise

import ipywidgets
import pytest

from imgclf_lib.course.widgets.controls import Controls, LayerSizes, Ranges, make_control
from imgclf_lib.experiment import PRESETS, Experiment, preset
from imgclf_lib.training import propose

NAMES = [each.name for each in fields(Experiment)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("start", PRESETS)
def test_every_field_has_a_control_that_shows_its_value(name: str, start: str) -> None:
    experiment = preset(start)
    control = make_control(name, getattr(experiment, name))
    shown = Controls(experiment, [name]).experiment
    assert getattr(shown, name) == pytest.approx(getattr(experiment, name))
    assert control.description if not isinstance(control, LayerSizes) else control.count.description


@pytest.mark.parametrize("name", NAMES)
def test_both_ends_of_every_slider_are_allowed(name: str) -> None:
    controls = Controls(Experiment(), [name])
    control = controls.controls[name]
    if isinstance(control, ipywidgets.Dropdown | ipywidgets.SelectionSlider):
        ends = [control.options[0], control.options[-1]]
    elif isinstance(control, ipywidgets.FloatLogSlider):
        ends = [control.base**control.min, control.base**control.max]
    elif isinstance(control, ipywidgets.IntSlider | ipywidgets.FloatSlider):
        ends = [control.min, control.max]
    else:
        return
    for end in ends:
        control.value = end
        assert getattr(controls.experiment, name) == pytest.approx(end)


def test_values_outside_the_usual_range_widen_it() -> None:
    assert make_control("epochs", 400).value == 400
    assert make_control("dropout", 0.95).value == 0.95
    assert make_control("learning_rate", 10.0).value == 10.0
    assert make_control("learning_rate", 1e-7).value == 1e-7
    assert (make_control("learning_rate", 0.001).min, make_control("learning_rate", 1).max) == (
        -5,
        0,
    )
    assert make_control("batch_size", 100).value == 100
    assert make_control("filters", (7, 13)).value == (7, 13)


def test_layers_can_be_added_and_taken_away() -> None:
    sizes = LayerSizes("filters", (32, 64))
    assert sizes.value == (32, 64)
    assert [each.layout.display for each in sizes.sizes] == [None, None, "none", "none"]
    sizes.count.value = 3
    assert sizes.value == (32, 64, 32)
    sizes.sizes[0].value = 8
    assert sizes.value == (8, 64, 32)
    sizes.count.value = 0
    assert sizes.value == ()
    sizes.set((5, 6))
    assert sizes.value == (5, 6)


def test_controls_change_only_their_own_fields() -> None:
    start = preset("deep").replace(seed=7)
    controls = Controls(start, ["learning_rate", "dropout", "filters"])
    controls.controls["dropout"].value = 0.3 + 1e-17
    controls.controls["learning_rate"].value = 0.01
    assert controls.experiment == start.replace(dropout=0.3, learning_rate=0.01)
    controls.set(start)
    assert controls.experiment == start


def test_controls_do_not_share_their_layout() -> None:
    controls = Controls(Experiment(), ["epochs", "seed"]).controls
    assert controls["epochs"].layout is not controls["seed"].layout


def span(name: str, value: object):
    """The control of the range of one field."""
    return Ranges(Experiment(**{name: value}), [name], [name]).spans[name]


@pytest.mark.parametrize(
    "name", ["learning_rate", "weight_decay", "batch_size", "dropout", "shift"]
)
@pytest.mark.parametrize("value", ["default", "lowest", "highest"])
def test_first_ranges_can_be_searched(name, value):
    facts = Experiment.__dataclass_fields__[name]
    value = {
        "default": facts.default,
        "lowest": type(facts.default)(facts.metadata["minimum"]),
        "highest": type(facts.default)(min(facts.metadata["maximum"], 1000)),
    }[value]
    base = Experiment().replace(**{name: value})
    ranges = Ranges(base, [name], [name]).ranges
    low, high = ranges[name]
    assert low <= high
    assert value == 0 or low <= value <= high
    assert propose(base, ranges, 3)


def test_choices_come_from_the_field():
    optimizers = ("adam", "adamw", "sgd", "rmsprop", "muon")
    assert span("optimizer", "sgd").options == optimizers
    filters = span("filters", (5,))
    assert (5,) in filters.value
    assert span("dense_units", ()).options[0] == ("none", ())


def test_rates_move_in_factors():
    rates = [step for _, step in span("learning_rate", 0.001).options]
    assert rates[:4] == [1e-5, 2e-5, 5e-5, 1e-4]
    assert max(b / a for a, b in pairwise(rates)) < 2.6
