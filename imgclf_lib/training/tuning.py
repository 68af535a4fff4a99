"""Search for good settings: propose experiments, try them all, ask which setting mattered.

Points are spread by a low-discrepancy sequence: like random search (Bergstra and Bengio, "Random
Search for Hyper-Parameter Optimization", 2012) each trial tries a new value of every knob, and
the points leave no large holes.
"""

import math
import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from threading import Event
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import kruskal, permutation_test, qmc

from imgclf_lib.backend import load_keras
from imgclf_lib.data import load_data, with_whole_paths
from imgclf_lib.errors import ImgclfError, InputError
from imgclf_lib.experiment import Experiment, field_types, in_words, scale_of
from imgclf_lib.training.runs import Run, run_folder
from imgclf_lib.training.trainer import train

POINTS_AN_EPOCH = 20  # how finely the training curve is drawn
# Keras seeds the whole process when it builds a network, so trials take turns.
_TURN = threading.Lock()
FEWEST_TRIALS = 6  # with fewer, nothing can be said about single knobs
SHUFFLES = 2000
RARE = 0.05  # as in evaluation/luck.py: of all that is looked at, in so few cases one by luck alone


class _Point(NamedTuple):
    """Loss and accuracy since the point before; ``epoch`` with the fraction of the present one."""

    epoch: float
    loss: float
    accuracy: float


class Trial:
    """One experiment, trained in the background.

    ``status`` is ``waiting``, ``running``, ``completed``, ``stopped`` or ``failed``. ``points``
    holds the training curve, ``history`` the finished epochs as in ``Run.history``, ``run`` the
    finished run, ``error`` what went wrong, ``loaded`` whether it had been trained before.

    Args:
        experiment: What to train. A finished run of it is loaded, a stopped one continued.
    """

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.status, self.loaded = "waiting", False
        self.points: list[_Point] = []
        self.history = pd.DataFrame()
        self.run: Run | None = None
        self.error: Exception | None = None
        self._stop, self._lock = threading.Event(), threading.Lock()
        self.spent = self._started = self._ended = 0.0
        # A daemon thread ends with the kernel.
        self._thread = threading.Thread(target=self._work, daemon=True, name="imgclf-trial")

    @property
    def seconds(self) -> float:
        """Seconds since the start, up to the end, and those that were ``spent`` before it."""
        if not self._started:
            return self.spent
        return self.spent + (self._ended or time.perf_counter()) - self._started

    @property
    def best(self) -> float:
        """The best validation accuracy so far; not a number before the end of an epoch."""
        history = self.history
        return float("nan") if history.empty else float(history["val_accuracy"].max())

    def start(self) -> None:
        """Begin to train; this returns at once. A trial begins only once."""
        with self._lock:
            if self.status != "waiting":
                return
            self.status, self._started = "running", time.perf_counter()
        self._thread.start()

    def stop(self) -> None:
        """End the training after the present step; what is complete is kept."""
        self._stop.set()
        self._end("stopped")

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the thread has ended.

        Args:
            seconds: At most so long; for ever if None.

        Returns:
            Whether it has ended.
        """
        if self._started:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        try:
            with _TURN:
                self._obey()
                run = Run(run_folder(self.experiment, load_data(self.experiment)))
                # A map makes the callback, which needs Keras, only when the training begins.
                callbacks = map(_watcher, [self], [run])
                self.run = train(self.experiment, None, True, "none", callbacks)
        except KeyboardInterrupt:
            self._end("stopped")
        except Exception as error:  # shown where the trial is watched
            self.error = error
            self._end("failed")
        else:
            self.loaded = not self.points
            self._remember(self.run.history)
            self._end("completed")

    def _obey(self) -> None:
        if self._stop.is_set():
            raise KeyboardInterrupt

    def _remember(self, history: pd.DataFrame) -> None:
        """Take over finished epochs; a curve that has no points yet gets one for each."""
        if not self.points and len(history):
            columns = history[["epoch", "loss", "accuracy"]]
            self.points = [_Point(*map(float, row)) for row in columns.to_numpy()]
        self.history = history

    def _end(self, status: str) -> None:
        with self._lock:
            # Whoever stops it at the very end finds a finished run.
            if self.status in ("waiting", "running") or status == "completed":
                self.status, self._ended = status, self._ended or time.perf_counter()


def _watcher(trial: Trial, run: Run) -> Any:
    """A Keras callback that fills the trial, and ends the training when it is told to."""
    keras = load_keras(trial.experiment.backend)

    class Watcher(keras.callbacks.Callback):  # type: ignore[name-defined]
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            trial._obey()
            # A run that is continued begins after its last complete epoch.
            trial.points = [point for point in trial.points if point.epoch <= epoch]
            trial._remember(run.history.head(epoch))
            self.epoch, self.before = epoch, (0, 0.0, 0.0)

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            trial._obey()
            steps, done = self.params["steps"], batch + 1
            if done % max(1, steps // POINTS_AN_EPOCH) and done != steps:
                return
            # Keras reports means since the start of the epoch; the curve shows the last steps.
            loss, accuracy = (float(logs[name]) * done for name in ("loss", "accuracy"))
            since, old_loss, old_accuracy = self.before
            self.before = (done, loss, accuracy)
            trial.points.append(
                _Point(
                    self.epoch + done / steps,
                    (loss - old_loss) / (done - since),
                    (accuracy - old_accuracy) / (done - since),
                )
            )

        def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
            trial._obey()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            trial._remember(run.history)

    return Watcher()


def propose(
    base: Experiment, ranges: Mapping[str, Sequence[Any]], count: int, seed: int = 0
) -> list[Experiment]:
    """Experiments that are spread evenly over ranges.

    Args:
        base: The experiment; fields without a range stay as they are.
        ranges: By field: a pair ``(low, high)`` for all values between, both included; or a list
            of choices. Learning rate and weight decay are spread by their logarithm, batch sizes
            are powers of two.
        count: How many experiments.
        seed: Other seeds give other experiments. The first ones of a longer list are those of a
            shorter one.

    Returns:
        Different experiments; fewer than ``count`` where the ranges hold no more.

    Raises:
        InputError: If a field is unknown, or a range is empty or not allowed.
    """
    for name, span in ranges.items():
        _check(base, name, span)
    if not ranges:
        return [base]
    points = qmc.Halton(len(ranges), rng=seed).random(20 * count)
    proposed: dict[Experiment, None] = {}
    for point in points:
        values = {
            name: _value(name, span, share)
            for (name, span), share in zip(ranges.items(), point, strict=True)
        }
        proposed.setdefault(base.replace(**values))
        if len(proposed) == count:
            break
    return list(proposed)


def search(
    experiments: Sequence[Experiment],
    on_trial: Callable[[Trial], Any] | None = None,
    stop: Event | None = None,
) -> pd.DataFrame:
    """Train experiments one after the other. One that fails does not end the search.

    Args:
        experiments: What to try. Those that are finished already are only loaded.
        on_trial: Called with each trial just before it starts.
        stop: Ends the search when it is set, in the middle of a trial too.

    Returns:
        As from ``trial_table``; trials that were not begun are missing.
    """
    trials: list[Trial] = []
    for experiment in experiments:
        if stop is not None and stop.is_set():
            break
        trial = Trial(experiment)
        trials.append(trial)
        if on_trial is not None:
            on_trial(trial)
        trial.start()
        try:
            while trial.status == "running" and not (stop is not None and stop.is_set()):
                trial.wait(0.1)
        finally:
            trial.stop()  # says nothing to a trial that has ended
    return trial_table(trials, varied(experiments))


def varied(experiments: Sequence[Experiment]) -> list[str]:
    """The fields in which experiments differ."""
    names = (each.name for each in fields(Experiment))
    return [name for name in names if len({getattr(each, name) for each in experiments}) > 1]


def trial_table(trials: Sequence[Trial], names: Sequence[str]) -> pd.DataFrame:
    """What came out of trials, finished or not.

    Args:
        trials: The trials.
        names: The fields to show: the knobs.

    Returns:
        A row a trial, counted from 0, in the order of the trials: a column for each knob, then
        ``val_accuracy`` (best epoch), ``train_accuracy``, ``epochs_run``, ``seconds``,
        ``parameters``, ``status`` as in ``Trial`` and ``problem``: what went wrong.
    """
    results = ["val_accuracy", "train_accuracy", "epochs_run", "seconds", "parameters"]
    rows = []
    for trial in trials:
        found = trial.run.metrics if trial.run else {}
        knobs = {name: getattr(trial.experiment, name) for name in names}
        figures = {
            "val_accuracy": trial.best,
            "train_accuracy": found.get("train_accuracy", math.nan),
            "epochs_run": len(trial.history),
            "seconds": round(found.get("train_seconds", trial.seconds), 1),
            "parameters": found.get("parameters"),
        }
        kind = "" if isinstance(trial.error, ImgclfError) else f"{type(trial.error).__name__}: "
        problem = f"{kind}{trial.error}" if trial.error else ""
        rows.append({**knobs, **figures, "status": trial.status, "problem": problem})
    table = pd.DataFrame(rows, columns=[*names, *results, "status", "problem"])
    return table.astype({"parameters": "Int64"}).rename_axis("trial")


def best_trial(table: pd.DataFrame) -> int:
    """The trial with the highest validation accuracy.

    Args:
        table: As from ``trial_table``.

    Returns:
        Its number; the first one of several equal ones.

    Raises:
        InputError: If no trial was completed.
    """
    done = table.loc[table["status"] == "completed", "val_accuracy"]
    if done.empty:
        raise InputError("No trial was completed", do="Run the search for longer, or read why")
    return int(done.idxmax())


def importance(table: pd.DataFrame) -> pd.DataFrame:
    """How much of the order of the trials each knob explains, taken alone.

    The trials are put into groups by the knob (lowest, middle and highest third, or one group a
    choice) and ranked by validation accuracy; failed ones come last. The share is that part of
    the variation of ranks which lies between the groups: the statistic of Kruskal and Wallis
    (1952). In spirit this follows Hutter, Hoos and Leyton-Brown, "An Efficient Approach for
    Assessing Hyperparameter Importance" (2014). Groups differ by chance too, so the ranks are
    also shuffled among the trials, in every way or 2,000 times. Effects of knobs on each other
    are not seen.

    Args:
        table: As from ``trial_table``.

    Returns:
        A row a knob, the largest share first, with the columns ``share`` (0 to 1), ``by_luck``
        (mean share after shuffling), ``p_value`` (how often the largest of so many knobs is as
        large by shuffling; at most: after Bonferroni) and ``verdict`` (``clear`` or ``may be
        luck``). Empty with fewer than 6 trials.
    """
    done = table[table["status"].isin(["completed", "failed"])]
    columns = ["share", "by_luck", "p_value", "verdict"]
    if len(done) < FEWEST_TRIALS:
        return pd.DataFrame(columns=columns).rename_axis("knob")
    accuracy = done["val_accuracy"].where(done["status"] == "completed", -1.0)
    known = {each.name for each in fields(Experiment)}
    knobs, rows = [each for each in table.columns if each in known], {}
    for name in knobs:
        groups = _groups(done[name])
        if len(groups) < 2 or accuracy.nunique() < 2:  # no test is defined
            rows[name] = (0.0, 0.0, 1.0, "may be luck")
            continue
        found = permutation_test(
            [accuracy.to_numpy()],
            partial(_share, groups=groups),
            permutation_type="pairings",  # a group may be a single trial
            vectorized=True,
            n_resamples=SHUFFLES,
            alternative="greater",
            rng=0,
        )
        p_value = min(1.0, found.pvalue * len(knobs))
        verdict = "clear" if p_value < RARE else "may be luck"
        rows[name] = (found.statistic, found.null_distribution.mean(), p_value, verdict)
    effects = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return effects.sort_values("share", ascending=False, kind="stable").rename_axis("knob")


def _check(base: Experiment, name: str, span: Any) -> None:
    kind = field_types().get(name)
    where = f"The range of {name!r} cannot be used"
    ranged = kind in (int, float) and not isinstance(span, list)
    if not span or (kind is not None and not ranged and not isinstance(span, list)):
        raise InputError(where, allowed="a list of choices", received=span)
    if ranged and len(span) != 2:
        raise InputError(where, allowed="a pair (low, high), or a list of choices", received=span)
    for value in span:  # says so too where there is no such field
        base.replace(**{name: value})
    if not ranged:
        return
    low, high = span
    logarithmic = scale_of(name) == "log"
    if low > high or (logarithmic and low <= 0):
        least = "0 < low <= high" if logarithmic else "low <= high"
        raise InputError(where, allowed=f"(low, high) with {least}", received=span)
    if scale_of(name) == "powers" and not _powers(low, high):
        raise InputError(where, allowed="a range that holds a power of two", received=span)


def _powers(low: float, high: float) -> list[int]:
    first, last = math.ceil(math.log2(max(low, 1))), math.floor(math.log2(max(high, 0.5)))
    return [2**each for each in range(first, last + 1)]


def _value(name: str, span: Sequence[Any], share: float) -> Any:
    """The value that lies at a share, 0 to 1, of the way through a range."""
    scale = scale_of(name)
    choices = span if isinstance(span, list) else _powers(*span) if scale == "powers" else []
    if choices:
        return choices[int(share * len(choices))]
    low, high = span
    if field_types()[name] is int:
        return int(low + math.floor(share * (high - low + 1)))
    value = low * (high / low) ** share if scale == "log" else low + share * (high - low)
    return min(max(float(f"{value:.3g}"), low), high)


def _groups(values: pd.Series) -> list[np.ndarray]:
    """The places of the trials of each group."""
    if values.dtype.kind in "iuf" and values.nunique() > 3:
        values = pd.qcut(values, 3, labels=False, duplicates="drop")
    return list(values.groupby(values.astype(str)).indices.values())


def _share(accuracy: np.ndarray, axis: int, groups: list[np.ndarray]) -> np.ndarray:
    """Share of the variation of ranks that lies between groups of trials."""
    samples = [accuracy.take(places, axis) for places in groups]
    return kruskal(*samples, axis=axis).statistic / (accuracy.shape[axis] - 1)


def describe_change(before: Experiment, after: Experiment) -> str:
    """What differs between two experiments, in words.

    Args:
        before: The first one.
        after: The second one.

    Returns:
        Such as ``learning rate 0.001 → 0.01``; empty if they are equal.
    """
    pairs = {
        each.name: (getattr(before, each.name), getattr(after, each.name)) for each in fields(after)
    }
    return ", ".join(
        f"{name.replace('_', ' ')} {_words(old)} → {_words(new)}"
        for name, (old, new) in pairs.items()
        if old != new
    )


def _words(value: Any) -> str:
    if isinstance(value, tuple):
        return " + ".join(map(str, value)) or "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def compare_trials(trials: Sequence[Trial]) -> pd.DataFrame:
    """What each trial changed, and what came of it.

    Args:
        trials: In the order in which they were made.

    Returns:
        A row a trial. ``change`` and ``difference`` compare it with the trial before.
    """
    rows = []
    for number, trial in enumerate(trials, 1):
        before = trials[number - 2] if number > 1 else trial
        change = describe_change(before.experiment, trial.experiment)
        rows.append(
            {
                "trial": number,
                "change": change or ("nothing" if number > 1 else "the first"),
                "epochs": f"{len(trial.history)} of {trial.experiment.epochs}",
                "best val. accuracy": trial.best,
                "difference": trial.best - before.best if number > 1 else float("nan"),
                "seconds": trial.seconds,
                "status": "loaded" if trial.loaded else trial.status,
            }
        )
    return pd.DataFrame(rows)


def command_line(experiment: Experiment) -> str:
    """The command that trains an experiment.

    Args:
        experiment: The experiment.

    Returns:
        A line for a terminal, with the values that differ from the defaults.
    """
    words = ["imgclf", "train"]
    # Whole paths: the command may be typed in another folder.
    for name, value in with_whole_paths(experiment).changes().items():
        words += [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]
    return shlex.join(words)


def _sorted_table(table: pd.DataFrame, knobs: Sequence[str]) -> pd.DataFrame:
    """The trials for people to read, the best first, and what went wrong beside the status."""
    shown = table.sort_values("val_accuracy", ascending=False, kind="stable").reset_index()
    for name in knobs:
        shown[name] = shown[name].map(in_words).astype(str)
    shown["status"] += shown["problem"].map(lambda text: text and f": {text}")
    shown = shown.drop(columns=["train_accuracy", "problem"])
    return shown.rename(columns=lambda name: name.replace("_", " "))


def table_html(table: pd.DataFrame, knobs: Sequence[str]) -> str:
    """The trials as an HTML table, the best first; all text in it is escaped.

    Args:
        table: As from ``trial_table``.
        knobs: Its columns that were varied.

    Returns:
        HTML of a constant height, which scrolls by mouse and keyboard.
    """
    shown = _sorted_table(table, knobs)
    forms = {"val accuracy": "{:.3f}", "seconds": "{:.0f}", "parameters": "{:,}"}
    for name, form in forms.items():
        shown[name] = ["–" if pd.isna(each) else form.format(each) for each in shown[name]]
    with pd.option_context("display.max_colwidth", None):  # a problem is told whole
        text = shown.to_html(index=False, border=0, justify="left")
    style = "height: 13em; overflow: auto; border: 1px solid #ccc; overflow-wrap: anywhere"
    label = "Trials, the best first"
    return f'<div style="{style}" tabindex="0" role="region" aria-label="{label}">{text}</div>'


def progress_line(trials: Sequence[Trial], planned: int, table: pd.DataFrame) -> str:
    """Where a search is, or what it found.

    Args:
        trials: The trials so far, at least one.
        planned: How many there will be.
        table: Their table, as from ``trial_table``.

    Returns:
        One or two sentences. Trial 0 is taken for the settings that the search has to beat.
    """
    last, number = trials[-1], len(trials) - 1
    seconds = sum(trial.seconds for trial in trials)
    if last.status == "running" or (last.status != "stopped" and len(trials) < planned):
        points, where = last.points, "getting ready"
        if points:
            where = f"epoch {points[-1].epoch:.1f} of {last.experiment.epochs}"
            where += f", training accuracy {points[-1].accuracy:.3f}"
        return f"Trial {number} of {planned - 1}: {where} ({seconds:.0f} s so far)."
    verb = "Stopped" if last.status == "stopped" else "Done"
    text = f"{verb}: {len(trials)} of {planned} trials in {seconds:.0f} s."
    if not (table["status"] == "completed").any():
        return f"{text} None was completed."
    best, reached = best_trial(table), table["val_accuracy"]
    text += f" Best: trial {best}, validation accuracy {reached[best]:.3f}."
    return text + (f" Trial 0, your settings: {reached[0]:.3f}." if best else " These are yours.")


def about(seconds: float) -> str:
    """A duration in words, no more exact than an estimate is.

    Args:
        seconds: The duration.

    Returns:
        Such as ``about 40 seconds`` or ``about 3 minutes``.
    """
    if seconds < 100:
        return f"about {max(5, 5 * round(seconds / 5))} seconds"
    return f"about {round(seconds / 60)} minutes"
