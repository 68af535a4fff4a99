"""Widgets about training: watch one trial after another grow, or search through many."""

import math
import threading
import time
from collections.abc import Sequence
from html import escape, unescape

import ipywidgets
import pandas as pd
from matplotlib.figure import Figure

from imgclf_lib.course.widgets.base import Frame, Heartbeat, Picture, button, command, row, table
from imgclf_lib.course.widgets.controls import Controls, Ranges, make_control
from imgclf_lib.data import load_data
from imgclf_lib.errors import ImgclfError, InputError
from imgclf_lib.experiment import Experiment
from imgclf_lib.plots import against_knobs, knob_bars, trial_curves
from imgclf_lib.training import (
    FEWEST_TRIALS,
    Run,
    Trial,
    about,
    best_trial,
    command_line,
    compare_trials,
    describe_change,
    importance,
    progress_line,
    propose,
    run_folder,
    search,
    table_html,
    trial_table,
)

FIELDS = (
    *("learning_rate", "batch_size", "epochs", "optimizer", "dropout", "flip", "shift"),
    *("filters", "dense_units"),
)
NOTEBOOK = "04_train"  # whose parameters these fields are
MOST_CURVES = 7
KNOBS = ("learning_rate", "batch_size", "dropout", "filters", "dense_units", "optimizer")
TICKED = ("learning_rate", "batch_size", "filters")
START_SECONDS = 1.5  # of every trial, before its first step
# No rule can tell luck from two single runs, so the table says so.
ONE_SEED = "Difference: to the trial before. Each was trained with one seed, so it may be luck."
PAUSE = 0.5  # seconds between two looks at the work in the background


class LiveTraining(Frame):
    """Sliders and menus for an experiment, and its training in the background.

    A finished trial is loaded, a stopped one is continued by Start with the same values. The
    training ends when the page is closed.

    Args:
        experiment: Where the controls stand first; its other fields stay as they are.
        fields: The fields that have a control.
        notebook: Whose parameters these fields are; the commands name it. None if empty.
    """

    def __init__(
        self,
        experiment: Experiment,
        fields: Sequence[str] = FIELDS,
        notebook: str = NOTEBOOK,
    ) -> None:
        super().__init__("Train live: turn a knob, press Start, and compare")
        self.trials: list[Trial] = []
        self._classes = len(load_data(experiment).class_names)
        self._painting = threading.Lock()  # handlers and painters run in different threads
        self._drawn: object = None
        self.heart, self.picture = Heartbeat(), Picture()
        self.controls, self.notebook = Controls(experiment, fields), notebook
        self.start_button = button("Start", "Train with these values", "play", "primary")
        self.stop_button = button("Stop", "Stop; Start with the same values goes on", "stop")
        self.reset_button = button("Reset values", "All knobs back to where they stood first")
        self.clear_button = button("Clear trials", "Forget the table and the curves")
        self.commands_button = button("Show the commands", "The same without a widget", "terminal")
        self.status = ipywidgets.HTML(layout=ipywidgets.Layout(min_height="3.2em"))
        self.table, self.commands = ipywidgets.HTML(), ipywidgets.HTML()
        actions = {
            self.start_button: self.start,
            self.stop_button: self.stop,
            self.reset_button: lambda: self.controls.set(experiment),
            self.clear_button: self._clear,
            self.commands_button: self._show_commands,
        }
        for each, function in actions.items():
            self.react(each, function)
        # Beside each other where there is room: knobs and curve are seen at the same time.
        self.controls.layout.flex = "1 1 24.5em"
        self.controls.layout.align_content = "flex-start"
        right = ipywidgets.VBox([self.status, self.picture])
        right.layout.flex, right.layout.min_width = "1000 1 30em", "0"
        both = row(self.controls, right)
        self.fill([row(*actions), both, self.table, self.commands, self.heart])
        self._paint()

    @property
    def trial(self) -> Trial | None:
        """The last trial, if there is one."""
        return self.trials[-1] if self.trials else None

    def start(self) -> None:
        """Begin a trial with the values that the controls show, unless one is running."""
        with self._painting:
            before = self.trial
            if before and before.status == "running":
                return
            trial = Trial(self.controls.experiment)
            if before and before.status == "stopped" and before.experiment == trial.experiment:
                trial.history, trial.points = before.history, list(before.points)
                trial.spent = before.seconds
                self.trials.pop()
            self.trials.append(trial)
            self.heart.begin()
            trial.start()
        self._paint()
        threading.Thread(
            target=self._watch, args=(trial,), daemon=True, name="imgclf-painter"
        ).start()

    def stop(self) -> None:
        """Stop the trial that is running."""
        if self.trial:
            self.trial.stop()
        self._paint()

    def _clear(self) -> None:
        with self._painting:
            if not (self.trial and self.trial.status == "running"):
                self.trials.clear()
        self._paint()

    def _watch(self, trial: Trial) -> None:
        """Redraw while a trial goes on; this is the work of a thread of its own."""
        ended, pause = False, PAUSE
        while not ended:
            ended = trial.wait(pause)
            if self.heart.abandoned:
                trial.stop()
            before = time.perf_counter()
            try:
                self._paint()
            except Exception as error:
                self.show_error(error)
            # On a busy machine most of the time belongs to the training.
            pause = max(PAUSE, 3 * (time.perf_counter() - before))
        if trial is self.trial:
            self.heart.end()
        if trial.error:
            self.show_error(trial.error)

    def _paint(self) -> None:
        """Show the present state of the trials."""
        with self._painting:
            trial = self.trial
            running = bool(trial and trial.status == "running")
            self.start_button.disabled, self.stop_button.disabled = running, not running
            self.clear_button.disabled = running or not self.trials
            self.status.value = self._tell()
            self.table.value = _table_of_trials(self.trials)
            state = [(len(each.points), len(each.history), id(each)) for each in self.trials]
            if state != self._drawn:
                self._drawn = state
                alt = "Loss and validation accuracy by epoch. " + unescape(self.status.value)
                self.picture.show(self._draw(), alt)

    def _draw(self) -> Figure:
        names = [
            f"{number}: {_change(self.trials, number) or 'the first'}"
            for number in range(1, len(self.trials) + 1)
        ]
        skipped = max(0, len(self.trials) - MOST_CURVES)
        shown = list(zip(names, self.trials, strict=True))[skipped:]
        return trial_curves(
            {name: each.history for name, each in shown},
            list(self.trials[-1].points) if self.trials else (),
            (self.trial.experiment if self.trial else self.controls.start).epochs,
            self._classes,
            skipped,
        )

    def _tell(self) -> str:
        """The state of the last trial as HTML."""
        trial = self.trial
        if trial is None:
            return "Choose values, and press Start."
        points, epochs = trial.points, trial.experiment.epochs
        best = "" if math.isnan(trial.best) else f", best validation accuracy {trial.best:.3f}"
        words = {
            "running": "getting ready …",
            "completed": f"{'trained before, loaded' if trial.loaded else 'completed'}{best}",
            "stopped": f"stopped after {len(trial.history)} of {epochs} epochs{best}."
            " Start with the same values goes on",
            "failed": "failed",
        }[trial.status]
        if trial.status == "running" and points:
            epoch = min(math.ceil(points[-1].epoch), epochs)
            words = f"epoch {epoch} of {epochs}, training loss {points[-1].loss:.3f}{best}"
        return escape(f"Trial {len(self.trials)}: {words} ({trial.seconds:.0f} s)")

    def _show_commands(self) -> None:
        experiment = self.controls.experiment
        said = "The same experiment without a widget. In a terminal:"
        said += command(command_line(experiment))
        if self.notebook:
            from imgclf_lib.course import notebook_parameters

            try:
                line = notebook_parameters(experiment, self.notebook)
            except ImgclfError as error:
                line = str(error)
            said += "This whole notebook with these values (papermill parameters):" + command(line)
        self.commands.value = said


def _change(trials: list[Trial], number: int) -> str:
    if number == 1:
        return ""
    return describe_change(trials[number - 2].experiment, trials[number - 1].experiment)


def _table_of_trials(trials: list[Trial]) -> str:
    if not trials:
        return ""
    shown = {
        "best val. accuracy": "{:.3f}".format,
        "difference": "{:+.3f}".format,
        "seconds": "{:.0f}".format,
    }
    text = table(compare_trials(trials), "Trials", formatters=shown, justify="left", na_rep="–")
    return f"{text}<p>{ONE_SEED}</p>" if len(trials) > 1 else text


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
        self.start_button = button(
            "Start", "Try as many settings as you asked for", "play", "primary"
        )
        self.stop_button = button("Stop", "Stop now; what is finished is kept", "stop")
        self.clear_button = button("Clear", "Forget the table; trained runs stay on disk")
        self.command_button = button("Command of the best", "Train it in a terminal", "terminal")
        self.plan, self.status = ipywidgets.HTML(), ipywidgets.HTML()
        self.table, self.command = ipywidgets.HTML(), ipywidgets.HTML()
        self.points, self.effects = Picture(), Picture()
        actions = {
            self.start_button: self.start,
            self.stop_button: self.stop,
            self.clear_button: self.clear,
            self.command_button: self._show_command,
        }
        for control in (*self.ranges.ticks.values(), self.count, self.epochs, self.limit):
            self.react(control, self._describe)
        for each, function in actions.items():
            self.react(each, function)
        self.ranges.sliders.children += (self.count, self.epochs, self.limit)
        shown = [self.status, self.command, self.table, self.points, self.effects, self.heart]
        self.fill([self.ranges, self.plan, row(*actions), *shown])
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
        self.plan.value = escape(text + (f" Not varied: {fixed}." if fixed else ""))

    def _work_of(self, experiment: Experiment) -> int:
        return min(experiment.limit or self._images, self._images) * experiment.epochs

    def _tell(self, again: bool = True) -> None:
        if not self.trials:
            return
        table = self._found()
        self.status.value = escape(progress_line(self.trials, self._planned, table))
        if again:
            self.table.value = table_html(table, self._knobs)

    def _draw(self) -> None:
        table = self._found()
        if not self.trials:
            self.table.value = table_html(table, self._knobs)
        best = table.loc[table["status"] == "completed", "val_accuracy"].max()
        reached = f"the best reaches {best:.3f}" if best == best else "none has ended yet"
        title = "Every trial against every knob (star: the best; ring: not completed)"
        self.points.show(
            against_knobs(table, self._knobs, title),
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
        self.command.value = command(command_line(best))
