"""Train live: turn the knobs, press Start, watch the curve grow, compare with the trials before."""

import html
import math
import threading
import time
from collections.abc import Sequence

import ipywidgets

from imgclf_lib.data import load_data
from imgclf_lib.errors import ImgclfError
from imgclf_lib.experiment import Experiment
from imgclf_lib.recipes import notebook_parameters
from imgclf_lib.search import (
    Trial,
    command_line,
    compare_trials,
    describe_change,
)
from imgclf_lib.training_plots import trial_curves
from imgclf_lib.widgets.controls import Controls, note
from imgclf_lib.widgets.frame import Frame
from imgclf_lib.widgets.heartbeat import Heartbeat
from imgclf_lib.widgets.picture import Picture

FIELDS = (
    *("learning_rate", "batch_size", "epochs", "optimizer", "dropout", "flip", "shift"),
    *("filters", "dense_units"),
)
NOTEBOOK = "04_train"  # whose parameters these fields are
MOST_CURVES = 7
PAUSE = 0.5  # seconds between two looks at a trial
# As wide as there is room, however wide the table is.
SCROLLS = "width: 0; min-width: 100%; max-height: 16em; overflow: auto; line-height: 1.4"
WRAP = "white-space: pre-wrap; word-break: normal; overflow-wrap: anywhere; margin: 0"


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
        self.heart = Heartbeat()
        self.controls, self.notebook = Controls(experiment, fields), notebook
        self.start_button = _button("Start", "Train with these values", "play", "primary")
        self.stop_button = _button("Stop", "Stop; Start with the same values goes on", "stop")
        self.reset_button = _button("Reset values", "All knobs back to where they stood first")
        self.clear_button = _button("Clear trials", "Forget the table and the curves")
        self.commands_button = _button("Show the commands", "The same without a widget", "terminal")
        self.status = ipywidgets.HTML(layout=ipywidgets.Layout(min_height="3.2em"))
        self.picture = Picture()
        self.table = ipywidgets.HTML()
        self.commands = ipywidgets.HTML()
        for button, function in (
            (self.start_button, self.start),
            (self.stop_button, self.stop),
            (self.reset_button, lambda: self.controls.set(experiment)),
            (self.clear_button, self._clear),
            (self.commands_button, self._show_commands),
        ):
            self.react(button, function)
        buttons = (self.start_button, self.stop_button, self.reset_button, self.clear_button)
        row = ipywidgets.HBox([*buttons, self.commands_button])
        row.layout.flex_flow = "row wrap"
        # Beside each other where there is room: knobs and curve are seen at the same time.
        self.controls.layout.flex = "1 1 24.5em"
        self.controls.layout.align_content = "flex-start"
        right = ipywidgets.VBox([self.status, self.picture])
        right.layout.flex, right.layout.min_width = "1000 1 30em", "0"
        both = ipywidgets.HBox([self.controls, right])
        both.layout.flex_flow = "row wrap"
        self.fill([row, both, self.table, self.commands, self.heart])
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
            self.table.value = _table(self.trials)
            state = [(len(each.points), len(each.history), id(each)) for each in self.trials]
            if state != self._drawn:
                self._drawn = state
                alt = "Loss and validation accuracy by epoch. " + html.unescape(self.status.value)
                self.picture.show(self._draw(), alt)

    def _draw(self):
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
        return note(f"Trial {len(self.trials)}: {words} ({trial.seconds:.0f} s)")

    def _show_commands(self) -> None:
        experiment = self.controls.experiment
        said = (
            "The same experiment without a widget. In a terminal:"
            f'<pre style="{WRAP}">{note(command_line(experiment))}</pre>'
        )
        if self.notebook:
            try:
                line = notebook_parameters(experiment, self.notebook)
            except ImgclfError as error:
                line = str(error)
            said += (
                "This whole notebook with these values (papermill parameters):"
                f'<pre style="{WRAP}">{note(line)}</pre>'
            )
        self.commands.value = said


def _button(text: str, tooltip: str, icon: str = "", style: str = "") -> ipywidgets.Button:
    layout = ipywidgets.Layout(width="auto")
    return ipywidgets.Button(
        description=text, tooltip=tooltip, icon=icon, button_style=style, layout=layout
    )


def _change(trials: list[Trial], number: int) -> str:
    if number == 1:
        return ""
    return describe_change(trials[number - 2].experiment, trials[number - 1].experiment)


def _table(trials: list[Trial]) -> str:
    """The table of trials as HTML; everything in it is escaped."""
    if not trials:
        return ""
    table = compare_trials(trials)
    shown = {
        "best val. accuracy": "{:.3f}".format,
        "difference": "{:+.3f}".format,
        "seconds": "{:.0f}".format,
    }
    text = table.to_html(index=False, border=0, formatters=shown, justify="left", na_rep="–")
    for kind in ("th", "td"):
        style = "padding: 2px 10px 2px 0; text-align: left; white-space: normal"
        text = text.replace(f"<{kind}>", f'<{kind} style="{style}">')
    return f'<div style="{SCROLLS}">{text}</div>'
