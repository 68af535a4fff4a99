"""Set the ranges of a small search, watch it, and see which knob mattered."""

import threading
from collections.abc import Sequence

import ipywidgets
import pandas as pd

from imgclf_lib.data import load_data
from imgclf_lib.errors import InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.runs import Run, run_folder
from imgclf_lib.search import (
    FEWEST_TRIALS,
    Trial,
    about,
    best_trial,
    command_line,
    importance,
    progress_line,
    propose,
    search,
    table_html,
    trial_table,
)
from imgclf_lib.training_plots import against_knobs, knob_bars
from imgclf_lib.widgets.controls import make_control, note
from imgclf_lib.widgets.frame import Frame
from imgclf_lib.widgets.heartbeat import Heartbeat
from imgclf_lib.widgets.picture import Picture
from imgclf_lib.widgets.ranges import Ranges

KNOBS = ("learning_rate", "batch_size", "dropout", "filters", "dense_units", "optimizer")
TICKED = ("learning_rate", "batch_size", "filters")
START_SECONDS = 1.5  # of every trial, before its first step
PAUSE = 0.5  # seconds between two looks at the search
WRAP = "white-space: pre-wrap; overflow-wrap: anywhere; user-select: text; margin: 0"


class Tuner(Frame):
    """Ranges for some fields of an experiment, and a search through them in the background.

    Finished trials are only loaded. The search ends when the page is closed.

    Args:
        experiment: The settings to improve; they are tried too, as trial 0.
        names: The fields that can be searched.
    """

    def __init__(self, experiment: Experiment, names: Sequence[str] = KNOBS) -> None:
        super().__init__("Tune: set the ranges of a small search, and press Start")
        self.experiment = experiment
        self.trials: list[Trial] = []
        self._knobs, self._planned, self._stop = list(TICKED), 0, threading.Event()
        self._thread: threading.Thread | None = None
        data = load_data(experiment.replace(limit=0))
        self._images = len(data.train)
        before = Run(run_folder(experiment, load_data(experiment))).metrics
        self._speed = before.get("images_per_second") or 0.0
        self.heart = Heartbeat()
        self.ranges = Ranges(experiment, names, TICKED)
        self.count = ipywidgets.IntSlider(8, 2, 30, description="trials", continuous_update=False)
        self.epochs = make_control("epochs", experiment.epochs)
        self.limit = make_control("limit", min(experiment.limit or self._images, self._images))
        self.epochs.description, self.limit.description = "epochs of each", "images of each"
        self.limit.step = 100
        for control in (self.count, self.epochs, self.limit):
            control.style.description_width, control.layout.width = "12em", "29.5em"
        self.start_button = _button("Start", "Try as many settings as you asked for", "play")
        self.stop_button = _button("Stop", "Stop now; what is finished is kept", "stop")
        self.clear_button = _button("Clear", "Forget the table; trained runs stay on disk")
        self.command_button = _button("Command of the best", "Train it in a terminal", "terminal")
        self.start_button.button_style = "primary"
        self.plan, self.status = ipywidgets.HTML(), ipywidgets.HTML()
        self.table, self.command = ipywidgets.HTML(), ipywidgets.HTML()
        self.points, self.effects = Picture(), Picture()
        for control in (*self.ranges.ticks.values(), self.count, self.epochs, self.limit):
            self.react(control, self._describe)
        for button, function in (
            (self.start_button, self.start),
            (self.stop_button, self.stop),
            (self.clear_button, self.clear),
            (self.command_button, self._show_command),
        ):
            self.react(button, function)
        self.ranges.sliders.children += (self.count, self.epochs, self.limit)
        self.fill(
            [
                *(self.ranges, self.plan),
                _row(self.start_button, self.stop_button, self.clear_button, self.command_button),
                *(self.status, self.command, self.table, self.points, self.effects, self.heart),
            ]
        )
        self.clear()

    @property
    def base(self) -> Experiment:
        """The settings to improve, with the epochs and images that the controls show."""
        limit = 0 if self.limit.value >= self._images else self.limit.value
        return self.experiment.replace(epochs=self.epochs.value, limit=limit)

    @property
    def running(self) -> bool:
        """Whether a search is going on."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin a search in place of the last one.

        Raises:
            InputError: If the ranges hold nothing to try.
        """
        if self.running:
            return
        base, ranges = self.base, self.ranges.ranges
        proposed = propose(base, ranges, self.count.value, base.seed)
        experiments = [base, *(each for each in proposed if each != base)]
        if len(experiments) == 1:
            raise InputError("There is nothing to try", do="Tick a knob, and give it a range")
        self.clear()
        self._knobs, self._planned, self._stop = list(ranges), len(experiments), threading.Event()
        self.start_button.disabled, self.stop_button.disabled = True, False
        self.status.value = "Getting ready …"
        self.heart.begin()
        self._thread = threading.Thread(target=self._work, args=(experiments,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the search now; finished trials are kept."""
        self._stop.set()
        for trial in self.trials[-1:]:
            trial.stop()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the search has ended and is shown.

        Args:
            seconds: At most so long; for ever if None.

        Returns:
            Whether it has ended.
        """
        if self._thread is not None:
            self._thread.join(seconds)
        return not self.running

    def clear(self) -> None:
        """Stop, and empty the table and the pictures; trained runs stay on disk."""
        self.stop()
        self.wait()
        self.trials, self.command.value = [], ""
        self.status.value = "Press Start."
        self._knobs = list(self.ranges.ranges)
        self.start_button.disabled, self.stop_button.disabled = False, True
        self._describe()
        self._draw()

    def _work(self, experiments: list[Experiment]) -> None:
        """Search, and show the search while it goes on; this is the work of a thread."""
        searching = threading.Thread(target=self._search, args=(experiments,), daemon=True)
        searching.start()
        shown = None
        try:
            while searching.is_alive():
                if self.heart.abandoned:
                    self.stop()
                state = [(each.status, len(each.history)) for each in self.trials]
                self._tell(again=state != shown)
                if shown is None or len(state) != len(shown):
                    self._draw()
                shown = state
                searching.join(PAUSE)
            self._tell()
            self._draw()
            self._describe()
        except Exception as error:
            self.show_error(error)
        finally:
            self.heart.end()
            self.start_button.disabled, self.stop_button.disabled = False, True

    def _search(self, experiments: list[Experiment]) -> None:
        try:
            search(experiments, self.trials.append, self._stop)
        except Exception as error:
            self.show_error(error)

    def _found(self) -> pd.DataFrame:
        return trial_table(self.trials, self._knobs)

    def _describe(self) -> None:
        """Say what a search would do, about how long it takes, and what stays as it is."""
        fixed = self.ranges.show_ticks()
        fresh = [each for each in self.trials if each.status == "completed" and not each.loaded]
        work, count = self._work_of(self.base), self.count.value + 1
        if fresh:
            done = sum(self._work_of(each.experiment) for each in fresh)
            time = about(count * work / done * sum(each.seconds for each in fresh))
        elif self._speed:
            time = about(count * (START_SECONDS + work / self._speed))
        else:
            time = "the first search will tell"
        text = f"{self.count.value} trials, and trial 0 with the settings as they are: {time}."
        self.plan.value = note(text + (f" Not varied: {fixed}." if fixed else ""))

    def _work_of(self, experiment: Experiment) -> int:
        return min(experiment.limit or self._images, self._images) * experiment.epochs

    def _tell(self, again: bool = True) -> None:
        if not self.trials:
            return
        table = self._found()
        self.status.value = note(progress_line(self.trials, self._planned, table))
        if again:
            self.table.value = table_html(table, self._knobs)

    def _draw(self) -> None:
        table = self._found()
        if not self.trials:
            self.table.value = table_html(table, self._knobs)
        best = table["val_accuracy"].max()
        reached = f"the best reaches {best:.3f}" if best == best else "none has ended yet"
        self.points.show(
            against_knobs(table, self._knobs, "Every trial against every knob (star: the best)"),
            f"Validation accuracy of {len(table)} trials; {reached}.",
        )
        effects, title = importance(table), "Which knob mattered?"
        if effects.empty:
            title += f" {FEWEST_TRIALS} trials and more can tell"
            effects = pd.DataFrame(0.0, self._knobs, ["share", "by_luck"])
        words = "; ".join(f"{name} {row['share']:.2f}" for name, row in effects.iterrows())
        self.effects.show(knob_bars(effects, title), f"{title} {words}.")

    def _show_command(self) -> None:
        best = self.trials[best_trial(self._found())].experiment
        self.command.value = f'<pre style="{WRAP}">{note(command_line(best))}</pre>'


def _button(text: str, tooltip: str, icon: str = "") -> ipywidgets.Button:
    layout = ipywidgets.Layout(width="auto")
    return ipywidgets.Button(description=text, tooltip=tooltip, icon=icon, layout=layout)


def _row(*children: ipywidgets.Widget) -> ipywidgets.HBox:
    return ipywidgets.HBox(list(children), layout=ipywidgets.Layout(flex_flow="row wrap"))
