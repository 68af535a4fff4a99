"""The tuner: ranges from the fields, a search in the background, a table and pictures of it."""

import threading
import time
from itertools import pairwise

import pytest

from imgclf_lib.errors import TrainingError
from imgclf_lib.experiment import Experiment
from imgclf_lib.search import propose, search
from imgclf_lib.widgets import tuner as module
from imgclf_lib.widgets.ranges import Ranges, range_control
from imgclf_lib.widgets.tuner import Tuner

NAMES = ("learning_rate", "batch_size", "filters", "dropout", "optimizer")


@pytest.fixture
def small(tiny, monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0.05)
    return Tuner(tiny.replace(epochs=1), NAMES)


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
    assert range_control("optimizer", "sgd").options == optimizers
    filters = range_control("filters", (5,))
    assert (5,) in filters.value
    assert range_control("dense_units", ()).options[0] == ("none", ())


def test_rates_move_in_factors():
    rates = [step for _, step in range_control("learning_rate", 0.001).options]
    assert rates[:4] == [1e-5, 2e-5, 5e-5, 1e-4]
    assert max(b / a for a, b in pairwise(rates)) < 2.6


def test_every_control_has_a_label(small):
    for span in small.ranges.spans.values():
        assert span.description
        assert span.tooltip
    for control in (*small.ranges.ticks.values(), small.count, small.epochs, small.limit):
        assert control.description


def test_what_is_not_ticked_is_off_and_named(small):
    assert "dropout 0.2" in small.plan.value
    assert small.ranges.spans["dropout"].disabled
    small.ranges.ticks["dropout"].value = True
    assert "dropout" not in small.plan.value
    assert not small.ranges.spans["dropout"].disabled
    assert set(small.ranges.ranges) == {"learning_rate", "batch_size", "filters", "dropout"}


def test_a_search_fills_table_and_pictures(small):
    before = small.points.png, small.effects.png
    small.count.value = 6
    small.ranges.spans["filters"].value = ((4, 8),)
    small.start_button.click()
    assert small.start_button.disabled
    assert not small.stop_button.disabled
    assert small.wait(400)
    assert small.problem.value == ""
    assert [each.status for each in small.trials] == ["completed"] * 7
    assert small.trials[0].experiment == small.base
    assert small.table.value.count("<tr>") >= 7
    assert "Done: 7 of 7" in small.status.value
    assert "about" in small.plan.value
    assert (small.points.png != before[0], small.effects.png != before[1]) == (True, True)
    assert not small.start_button.disabled
    assert not small.heart.wanted
    small.command_button.click()
    assert "imgclf train" in small.command.value
    assert "--learning_rate" in small.command.value
    small.clear_button.click()
    assert small.trials == []
    assert small.points.png == before[0]
    assert "completed" not in small.table.value
    assert small.command.value == ""


def test_stops_in_the_middle_of_a_trial(small):
    small.epochs.max = small.epochs.value = 5_000
    small.start_button.click()
    wait_until(lambda: small.trials and len(small.trials[0].history) > 0, 120)
    began = time.monotonic()
    small.stop_button.click()
    assert small.wait(60)
    assert time.monotonic() - began < 5  # less than a second where nothing else runs
    assert "Stopped" in small.status.value
    assert [each.status for each in small.trials] == ["stopped"]
    assert "stopped" in small.table.value
    assert not small.start_button.disabled


def test_a_closed_page_ends_the_search(small, monkeypatch):
    monkeypatch.setattr(type(small.heart), "abandoned", property(lambda _: True))
    small.start()
    assert small.wait(60)
    assert len(small.trials) <= 1


def test_starting_twice_is_one_search(small):
    small.start()
    first = small._thread
    small.start()
    assert small._thread is first
    small.clear()


def test_nothing_to_try_is_said(small):
    for tick in small.ranges.ticks.values():
        tick.value = False
    small.start_button.click()
    assert "Tick a knob" in small.problem.value
    assert not small.running


def test_no_command_without_a_trial(small):
    small.command_button.click()
    assert "No trial was completed" in small.problem.value


def test_failed_trials_are_rows_and_hostile_text_is_escaped(small, monkeypatch):
    def fails(*_):
        raise TrainingError("The <script>alert(1)</script> & $loss$ became not a number")

    monkeypatch.setattr("imgclf_lib.search.train", fails)
    small.count.value = 2
    small.ranges.spans["learning_rate"].value = (0.0005, 0.002)  # not the trials of other tests
    small.start_button.click()
    assert small.wait(60)
    assert "<script>" not in small.table.value
    assert "&lt;script&gt;" in small.table.value
    assert "None was completed" in small.status.value


def test_an_error_in_the_search_is_shown(small, monkeypatch):
    def breaks(*_):
        raise RuntimeError("odd")

    monkeypatch.setattr(module, "search", breaks)
    small.start_button.click()
    assert small.wait(30)
    assert "odd" in small.problem.value
    assert not small.start_button.disabled


def test_the_estimate_follows_the_controls(small):
    small.start_button.click()
    wait_until(lambda: len(small.trials) >= 3, 60)
    small.stop_button.click()
    assert small.wait(20)
    small.epochs.value = 1
    short = small.plan.value
    small.epochs.value, small.count.value = 20, 30
    assert small.plan.value != short


def test_equal_settings_are_the_same_trials(small):
    found = [propose(small.base, small.ranges.ranges, 4, small.base.seed) for _ in range(2)]
    assert found[0] == found[1]


def wait_until(what, seconds):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_stands_in_words_where_there_is_no_browser(small):
    bundle = small._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    assert data["text/plain"].startswith("(Live in JupyterLab: Tune")


def test_search_runs_beside_other_work(tiny):
    """The kernel stays free while a search goes on in a thread."""
    stop = threading.Event()
    thread = threading.Thread(target=search, args=([tiny.replace(epochs=9_999)], None, stop))
    thread.start()
    assert sum(range(1000)) == 499_500
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
