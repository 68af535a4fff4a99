"""The pictures of a search. Nothing here computes, seeds or shows."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imgclf_lib.figures import PALETTE, new_figure, plain
from imgclf_lib.plots import bars
from imgclf_lib.search import LOGARITHMIC, POWERS

MOST_COLUMNS = 4  # frames in a row


def against_knobs(table: pd.DataFrame, knobs: Sequence[str], title: str = "") -> Figure:
    """Validation accuracy of every trial against each knob; the best one is a star.

    Args:
        table: As from ``search.trial_table``; failed trials are crosses at the bottom.
        knobs: The fields to show, a frame each.
        title: Text above all.

    Returns:
        The figure; its size depends on the number of knobs alone.
    """
    lines = max(1, -(-len(knobs) // MOST_COLUMNS))
    columns = max(1, -(-len(knobs) // lines))
    figure = new_figure(8.4, 2.5 * lines + 0.3)
    frames = figure.subplots(lines, columns, squeeze=False, sharey=True)
    for axes in frames[:, 0]:
        axes.set_ylabel("validation accuracy", fontsize=9)
    frames = frames.ravel()
    for axes in frames[max(len(knobs), 1) :]:
        axes.set_visible(False)
    for axes in frames:
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.tick_params(labelsize=8)
    for name, axes in zip(knobs, frames, strict=False):
        _frame(axes, table, name)
    if title:
        figure.suptitle(plain(title, 100), fontsize=11)
    return figure


def knob_bars(effects: pd.DataFrame, title: str, axes: Axes | None = None) -> Axes:
    """How much each knob explains, beside what luck alone would give.

    Args:
        effects: As from ``search.knob_effects``.
        title: What is shown.
        axes: Where to draw; new axes by default.

    Returns:
        The axes.
    """
    names = {name: name.replace("_", " ") for name in effects.index}
    axes = bars(
        effects["share"].rename(names), title, "share of the order of the trials, 0 to 1", axes=axes
    )
    for text, luck in zip(axes.texts, effects["by_luck"], strict=False):
        text.xy = (max(text.xy[0], luck), text.xy[1])  # type: ignore[attr-defined]
        text.set_visible(luck > 0)  # otherwise nothing is known yet
    rows = np.arange(len(effects))
    axes.vlines(effects["by_luck"], rows - 0.42, rows + 0.42, color=PALETTE[1], linewidth=2.5)
    axes.plot([], [], color=PALETTE[1], linewidth=2.5, label="luck alone, on average")
    axes.set_xlim(0, 1.15)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return axes


def _frame(axes: Axes, table: pd.DataFrame, name: str) -> None:
    values, accuracy = table[name], table["val_accuracy"].astype(float)
    if values.dtype.kind in "iuf":
        places = values.astype(float)
        if name in (*LOGARITHMIC, *POWERS) and (places > 0).all() and len(places):
            axes.set_xscale("log", base=2 if name in POWERS else 10)
        axes.xaxis.set_major_formatter("{x:g}")
    else:
        written = values.map(_written)
        choices = sorted(values.unique(), key=lambda each: (str(type(each)), each))
        known = [_written(each) for each in choices]
        places = written.map({text: float(place) for place, text in enumerate(known)})
        axes.set_xticks(range(len(known)), [plain(text, 12) for text in known])
        axes.set_xlim(-0.5, max(len(known), 1) - 0.5)
    failed = table["status"] == "failed"
    seen = accuracy.notna() & ~failed
    axes.scatter(places[seen], accuracy[seen], s=26, color=PALETTE[0], alpha=0.75, linewidths=0)
    lost, floor = places[failed], float(accuracy[seen].min()) if seen.any() else 0.0
    axes.scatter(lost, np.full(len(lost), floor), s=40, marker="x", color=PALETTE[1])
    done = accuracy[table["status"] == "completed"]
    if done.notna().any():
        best = done.idxmax()
        axes.scatter(places[best], accuracy[best], s=150, marker="*", color=PALETTE[1], zorder=3)
    axes.set_xlabel(name.replace("_", " "), fontsize=9)


def _written(value: object) -> str:
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return str(value)
