"""Live training and the tuner, driven without a browser."""

import re
import shlex
import threading
import time
from collections.abc import Callable

import ipywidgets
import nbformat
import numpy as np
import papermill
import pytest
from PIL import Image

from imgclf_lib.backend import backend_name
from imgclf_lib.cli import main
from imgclf_lib.course.widgets import LiveTraining, Tuner
from imgclf_lib.course.widgets import training as module
from imgclf_lib.course.widgets.training import FIELDS
from imgclf_lib.errors import TrainingError
from imgclf_lib.experiment import Experiment
from imgclf_lib.training import Run, command_line, propose, search

LONG = 120  # seconds; a busy machine is no failure


@pytest.fixture
def start(tiny: Experiment, tmp_path, monkeypatch) -> Experiment:
    """A small experiment that has never been trained."""
    monkeypatch.setenv("IMGCLF_MODELS", str(tmp_path / "models"))
    monkeypatch.setattr(module, "PAUSE", 0.05)
    return tiny.replace(epochs=2, learning_rate=0.01)


def wait_for(something: Callable[[], object], seconds: float = LONG) -> None:
    end = time.monotonic() + seconds
    while not something():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def painters() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "imgclf-painter"]


def train_one(widget: LiveTraining) -> None:
    widget.start_button.click()
    wait_for(lambda: widget.trial.wait(0) and not painters())


def test_controls_stand_where_the_experiment_is(start):
    widget = LiveTraining(start)
    assert tuple(widget.controls.controls) == FIELDS
    assert widget.controls.experiment == start
    assert widget.picture.png.startswith(b"\x89PNG")
    assert widget.stop_button.disabled
    assert not widget.start_button.disabled
    assert widget.problem.value == ""
    assert not painters()


def test_everything_has_a_visible_label(start):
    def inside(box):
        for each in getattr(box, "children", ()):
            yield each
            yield from inside(each)

    widget = LiveTraining(start)
    found = [each for each in inside(widget) if isinstance(each, ipywidgets.ValueWidget)]
    labelled = [each for each in found if not isinstance(each, ipywidgets.HTML | ipywidgets.VBox)]
    assert len(labelled) > 10
    assert all(each.description for each in labelled)
    assert widget.heart in widget.children  # it beats only where it is shown


def test_a_trial_is_drawn_while_it_grows(start, capfd):
    widget = LiveTraining(start.replace(epochs=400))
    before = widget.picture.png
    seen, told = set(), set()
    widget.picture.observe(lambda change: seen.add(bytes(change["new"])), "png")
    widget.status.observe(lambda change: told.add(change["new"]), "value")
    widget.start_button.click()
    assert widget.start_button.disabled
    assert not widget.stop_button.disabled
    wait_for(lambda: len(seen) > 3)
    widget.stop_button.click()
    assert widget.trial.status == "stopped"
    wait_for(lambda: not painters())
    assert before not in seen
    assert any(re.search("epoch [0-9]+ of 400, training loss", text) for text in told)
    assert "Trial 1: stopped after" in widget.status.value
    assert "Start with the same values goes on" in widget.status.value
    assert not widget.start_button.disabled
    assert widget.stop_button.disabled
    assert capfd.readouterr() == ("", "")


def test_a_stopped_trial_goes_on_in_its_own_row(start):
    widget = LiveTraining(start.replace(epochs=12))
    widget.start_button.click()
    wait_for(lambda: len(widget.trial.history) >= 1)
    widget.stop_button.click()
    first, kept = widget.trial, len(widget.trial.history)
    widget.start_button.click()  # at once: the thread of the first may still be there
    assert widget.trial is not first
    assert len(widget.trial.history) >= kept
    wait_for(lambda: widget.trial.wait(0) and not painters())
    assert len(widget.trials) == 1
    assert widget.trial.history["epoch"].tolist() == list(range(1, 13))
    assert "Trial 1: completed, best validation accuracy" in widget.status.value


def test_a_changed_trial_is_a_new_row_and_a_new_curve(start):
    widget = LiveTraining(start)
    train_one(widget)
    one = widget.picture.png
    widget.controls.controls["learning_rate"].value = 0.1
    widget.controls.controls["filters"].set((4,))
    train_one(widget)
    assert widget.picture.png != one
    assert widget.table.value.count("<tr") == 3  # with the head
    assert "filters 8 → 4, learning rate 0.01 → 0.1" in widget.table.value
    difference = widget.trials[1].best - widget.trials[0].best
    assert f"{difference:+.3f}" in widget.table.value
    assert "with one seed, so it may be luck" in widget.table.value


def test_a_finished_trial_is_loaded_and_says_so(start):
    train_one(LiveTraining(start))
    again = LiveTraining(start)
    train_one(again)
    assert "trained before, loaded" in again.status.value
    assert "loaded" in again.table.value
    assert len(again.trial.points) == 2


def test_three_doors_give_equal_weights(start, tmp_path):
    """The widget, the command line and a notebook's parameters are one experiment."""
    widget = LiveTraining(start)
    train_one(widget)
    assert main([*shlex.split(command_line(start))[1:], "--out", str(tmp_path / "line")]) == 0
    changes = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in start.changes().items()
    }
    lesson = f"""from imgclf_lib import Experiment
from imgclf_lib.training import train
given = {{name: globals()[name] for name in {list(changes)}}}
train(Experiment(**given), {str(tmp_path / "notebook")!r}, progress="none")"""
    notebook = nbformat.v4.new_notebook(metadata={"language_info": {"name": "python"}})
    defaults = "\n".join(f"{name} = None" for name in changes)
    notebook.cells = [nbformat.v4.new_code_cell(each) for each in (defaults, lesson)]
    notebook.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(notebook, tmp_path / "lesson.ipynb")
    papermill.execute_notebook(
        tmp_path / "lesson.ipynb",
        None,
        changes,
        engine_name="imgclf",
        kernel_name="python3",
        progress_bar=False,
    )
    weights = [
        Run(folder).model.get_weights()
        for folder in (widget.trial.run.folder, tmp_path / "line", tmp_path / "notebook")
    ]
    assert weights[0]
    for others in weights[1:]:
        for ours, theirs in zip(weights[0], others, strict=True):
            if backend_name() == "tensorflow":
                np.testing.assert_array_equal(ours, theirs)
            else:
                np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5)


def test_start_does_nothing_while_a_trial_runs(start):
    widget = LiveTraining(start.replace(epochs=50))
    widget.start_button.click()
    widget.controls.controls["learning_rate"].value = 0.1
    widget.start_button.click()
    widget.clear_button.click()
    assert len(widget.trials) == 1
    assert len(painters()) == 1
    widget.stop_button.click()
    wait_for(lambda: not painters())


def test_stop_before_any_trial_does_nothing(start):
    widget = LiveTraining(start)
    widget.stop_button.click()
    assert widget.problem.value == ""
    assert not widget.trials


def test_reset_and_clear(start):
    widget = LiveTraining(start)
    empty = widget.picture.png
    widget.controls.controls["learning_rate"].value = 0.1
    widget.controls.controls["dense_units"].set((4, 8))
    train_one(widget)
    widget.reset_button.click()
    assert widget.controls.experiment == start
    assert len(widget.trials) == 1
    widget.clear_button.click()
    assert not widget.trials
    assert widget.table.value == ""
    assert widget.picture.png == empty


def test_a_failed_trial_is_shown_and_is_a_row(start):
    # With relu all units may fall silent before the numbers overflow.
    widget = LiveTraining(start.replace(normalization="none", activation="leaky_relu"))
    widget.controls.set(
        start.replace(optimizer="sgd", learning_rate=1.0, dense_units=(512,) * 4, shift=0.0)
    )
    train_one(widget)
    if widget.trial.status == "completed" and backend_name() == "torch":
        pytest.skip("PyTorch keeps these numbers finite")
    assert widget.trial.status == "failed"
    assert "not a number" in widget.problem.value
    assert "Traceback" not in widget.problem.value
    assert "failed" in widget.table.value
    widget.reset_button.click()
    assert widget.problem.value == ""
    train_one(widget)
    assert widget.trial.status == "completed"


def test_a_lost_page_ends_the_training(start, monkeypatch):
    widget = LiveTraining(start.replace(epochs=500))
    monkeypatch.setattr("imgclf_lib.course.widgets.base.PATIENCE", {False: 0.2, True: 0.2})
    widget.start_button.click()
    assert widget.heart.wanted
    wait_for(lambda: widget.trial.points)
    assert widget.trial.status == "running"  # no page was ever there, so none has gone
    widget.heart.beat += 1
    wait_for(lambda: not painters())
    assert widget.trial.status == "stopped"
    assert widget.trial.wait(LONG)
    assert not widget.heart.wanted


def test_an_error_while_painting_is_shown(start, monkeypatch):
    widget = LiveTraining(start)

    def broken(*arguments):
        raise ValueError("<b>no picture</b>")

    monkeypatch.setattr(module, "trial_curves", broken)
    train_one(widget)
    assert "&lt;b&gt;no picture" in widget.problem.value
    assert widget.trial.status == "completed"


def test_the_commands_are_shown_as_text(start):
    widget = LiveTraining(Experiment(limit=500, batch_size=64))
    widget.controls.controls["learning_rate"].value = 0.1
    widget.controls.controls["filters"].set(())
    widget.commands_button.click()
    assert "imgclf train --limit 500 --filters --learning_rate 0.1 " in widget.commands.value
    parameters = "-p limit 500 -p filters &#x27;[]&#x27; -p learning_rate 0.1"
    assert f"imgclf run 04_train {parameters}</pre>" in widget.commands.value


def test_what_the_notebook_cannot_be_given_is_said(start):
    widget = LiveTraining(start)
    widget.commands_button.click()
    assert "--normalization batch" in widget.commands.value
    assert "04_train has no parameter validation_fraction, normalization" in widget.commands.value


def test_names_of_folders_are_escaped(make_images, tmp_path):
    folder = make_images(tmp_path / "<script>alert(1)<" / "$a$", 12)
    widget = LiveTraining(Experiment(data=str(folder)))
    widget.commands_button.click()
    assert "&lt;script&gt;" in widget.commands.value
    assert "<script>" not in widget.commands.value


def test_many_classes_and_two(tmp_path):
    for count in (2, 200):
        for number in range(count):
            folder = tmp_path / f"of_{count}" / f"<i>{number:03}$"
            folder.mkdir(parents=True)
            for each in range(4):
                Image.new("RGB", (8, 8), (number, each * 9, number // 3)).save(
                    folder / f"{each}.png"
                )
        widget = LiveTraining(Experiment(data=str(tmp_path / f"of_{count}")))
        assert widget.picture.png
        assert widget.problem.value == ""


def test_only_the_last_curves_are_drawn(start, monkeypatch):
    drawn = []
    real = module.trial_curves

    def spy(histories, *rest):
        drawn.append((list(histories), rest[-1]))
        return real(histories, *rest)

    monkeypatch.setattr(module, "trial_curves", spy)
    monkeypatch.setattr(module, "MOST_CURVES", 2)
    widget = LiveTraining(start.replace(epochs=1))
    for rate in (0.01, 0.02, 0.03):
        widget.controls.controls["learning_rate"].value = rate
        train_one(widget)
    assert drawn[-1][1] == 1
    assert drawn[-1][0] == ["2: learning rate 0.01 → 0.02", "3: learning rate 0.02 → 0.03"]


NAMES = ("learning_rate", "batch_size", "filters", "dropout", "optimizer")


@pytest.fixture
def small(tiny, monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0.05)
    return Tuner(tiny.replace(epochs=1), NAMES)


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
    small.count.value = 5  # with trial 0 the fewest that show what mattered
    small.ranges.spans["filters"].value = ((4, 8),)
    small.start_button.click()
    assert small.start_button.disabled
    assert not small.stop_button.disabled
    assert small.wait(400)
    assert small.problem.value == ""
    assert [each.status for each in small.trials] == ["completed"] * 6
    assert small.trials[0].experiment == small.base
    assert small.table.value.count("<tr>") >= 6
    assert "Done: 6 of 6" in small.status.value
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
    wait_for(lambda: small.trials and len(small.trials[0].history) > 0, 120)
    small.stop_button.click()
    assert small.wait(LONG)
    assert len(small.trials[0].history) < 5_000
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

    monkeypatch.setattr("imgclf_lib.training.tuning.train", fails)
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
    wait_for(lambda: len(small.trials) >= 3, 60)
    small.stop_button.click()
    assert small.wait(20)
    small.epochs.value = 1
    short = small.plan.value
    small.epochs.value, small.count.value = 20, 30
    assert small.plan.value != short


def test_equal_settings_are_the_same_trials(small):
    found = [propose(small.base, small.ranges.ranges, 4, small.base.seed) for _ in range(2)]
    assert found[0] == found[1]


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
