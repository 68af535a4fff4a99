"""The pictures of training: curves, a search, transfer learning. Nothing here computes or shows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from imgclf_lib.experiment import in_words, scale_of
from imgclf_lib.plots.charts import bars, lines
from imgclf_lib.plots.figures import MARKERS, PALETTE, new_axes, new_figure, plain

VALIDATION = ("val_loss", "val_accuracy")
MOST_COLUMNS = 4  # frames in a row
LABELS = ("training images a class, on average (logarithmic)", "validation accuracy")
HIGH = 1.0  # the height of the image in the drawing
ROOM = 0.12  # between two parts


def learning_curves(
    histories: Mapping[str, pd.DataFrame], title: str = "Learning curves"
) -> Figure:
    """Loss and accuracy by epoch; validation solid, training dashed, one colour a run.

    Args:
        histories: ``Run.history`` by name of the run.
        title: Text above both frames.

    Returns:
        The figure.
    """
    figure = new_figure(9, 3.6)
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for number, (name, history) in enumerate(histories.items()):
            color, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
            before = f"{plain(name)}: " if len(histories) > 1 else ""
            style = {"color": color, "marker": marker, "markersize": 4}
            epochs = history["epoch"]
            axes.plot(
                epochs, history[quantity], "--", **style, alpha=0.6, label=f"{before}training"
            )
            axes.plot(epochs, history[f"val_{quantity}"], **style, label=f"{before}validation")
        unit = "cross-entropy, nats" if quantity == "loss" else "share of images"
        axes.set(xlabel="epoch", ylabel=f"{quantity} ({unit})")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    figure.axes[1].legend(frameon=False, fontsize=8)
    figure.suptitle(plain(title, 100), fontsize=11)
    return figure


def trial_curves(
    histories: Mapping[str, pd.DataFrame],
    points: Sequence[tuple[float, float, float]] = (),
    epochs: int = 0,
    classes: int = 0,
    skipped: int = 0,
) -> Figure:
    """What the last change did: one trial strong, the trials before it thin.

    Args:
        histories: ``Run.history`` by name of the trial; the last one is drawn strong, and may be
            empty as long as it has not finished an epoch.
        points: Its training curve so far: epoch with its fraction, loss, accuracy.
        epochs: How far the horizontal axis reaches at least.
        classes: Number of classes: marks the loss of a network that knows nothing, and cuts the
            axis off above; 0 leaves that out.
        skipped: Earlier trials that are not shown; the others keep their colours.

    Returns:
        The figure: loss above, validation accuracy below.
    """
    figure = new_figure(5.4, 4.2)
    figure.set_layout_engine(None)  # the frames stay in their places while the curves grow
    losses, accuracies = figure.subplots(2, 1, sharex=True)
    figure.subplots_adjust(left=0.12, right=0.98, top=0.84, bottom=0.11, hspace=0.08)
    shown: list[float] = []
    for number, (name, history) in enumerate(histories.items(), skipped):
        color, marker = PALETTE[number % len(PALETTE)], MARKERS[number % len(MARKERS)]
        present = number - skipped == len(histories) - 1
        width = {"linewidth": 2.6, "zorder": 3} if present else {"linewidth": 1.0, "alpha": 0.8}
        style = {"color": color, "marker": marker, "markersize": 6 if present else 4, **width}
        if present:
            style["markeredgecolor"] = "black"
        line = "-" if present else ("--", ":", "-.")[number % 3]
        if present:
            across, up = [each[0] for each in points], [each[1] for each in points]
            losses.plot(across, up, color="0.35", linewidth=1, label="training, last trial")
        table = history if len(history) else pd.DataFrame(columns=["epoch", *VALIDATION])
        losses.plot(table["epoch"], table["val_loss"], line, **style)
        accuracies.plot(table["epoch"], table["val_accuracy"], line, **style)
        losses.plot([], [], line, **style, label=plain(name, 36))
        shown += table["val_accuracy"].tolist()
        epochs = max(epochs, len(table))
    if classes:
        losses.axhline(np.log(classes), color="0.6", linewidth=1, linestyle=(0, (1, 3)))
        losses.set_ylim(0, 1.6 * np.log(classes))
    accuracies.set(xlim=(0, epochs + 0.1), xlabel="epoch", ylabel="validation accuracy")
    shown = shown or [0.0, 1.0]  # whole tenths: the axis moves seldom
    low, high = np.floor(10 * min(shown)) / 10, np.ceil(10 * max(shown)) / 10
    accuracies.set_ylim(low - 0.02, max(high, low + 0.1) + 0.02)
    losses.set_ylabel("loss (nats)")
    accuracies.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axes in (losses, accuracies):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        axes.yaxis.set_major_formatter("{x:.2f}")
    handles, labels = losses.get_legend_handles_labels()
    small = {"fontsize": 7.5, "labelspacing": 0.25, "columnspacing": 1.0, "handlelength": 2.6}
    figure.legend(handles, labels, loc="upper left", ncols=2, frameon=False, **small)
    return figure


def against_knobs(table: pd.DataFrame, knobs: Sequence[str], title: str = "") -> Figure:
    """Validation accuracy of every trial against each knob; the best completed one is a star.

    One bad trial would squash all others into a strip, so a frame ends where a box plot calls the
    rest outliers (Tukey, 1977): a trial below stands at the bottom, as a triangle.

    Args:
        table: As from ``search.trial_table``; failed trials are crosses at the bottom, others that
            were not completed are rings.
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
    known = table.loc[table["status"] != "failed", "val_accuracy"].astype(float).dropna()
    known = known if len(known) else pd.Series([0.0, 1.0])
    low, high = float(known.min()), float(known.max())
    first, third = known.quantile([0.25, 0.75])
    floor = max(low, first - 1.5 * (third - first)) if third > first else low
    for name, axes in zip(knobs, frames, strict=False):
        _frame(axes, table, name, floor)
    room = 0.08 * max(high - floor, 0.01)
    frames[0].set_ylim(floor - room, high + room)
    if floor > low:
        title += " (triangle: lower still)"
    if title:
        figure.suptitle(plain(title, 100), fontsize=11)
    return figure


def knob_bars(effects: pd.DataFrame, title: str, axes: Axes | None = None) -> Axes:
    """How much each knob explains, beside what luck alone would give.

    Args:
        effects: As from ``search.importance``.
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


def _frame(axes: Axes, table: pd.DataFrame, name: str, floor: float) -> None:
    values, accuracy = table[name], table["val_accuracy"].astype(float)
    if values.dtype.kind in "iuf":
        places = values.astype(float)
        if scale_of(name) != "linear" and (places > 0).all() and len(places):
            axes.set_xscale("log", base=2 if scale_of(name) == "powers" else 10)
        axes.xaxis.set_major_formatter("{x:g}")
    else:
        written = values.map(in_words)
        choices = sorted(values.unique(), key=lambda each: (str(type(each)), each))
        known = [in_words(each) for each in choices]
        places = written.map({text: float(place) for place, text in enumerate(known)})
        axes.set_xticks(range(len(known)), [plain(text, 12) for text in known])
        axes.set_xlim(-0.5, max(len(known), 1) - 0.5)
    failed, completed = (table["status"] == each for each in ("failed", "completed"))
    seen = accuracy.notna() & ~failed
    inside, below = seen & (accuracy >= floor), seen & (accuracy < floor)
    blue = PALETTE[0]
    for rows, face, edge in ((completed, blue, "none"), (~completed, "none", blue)):
        across, up = places[inside & rows], accuracy[inside & rows]
        axes.scatter(across, up, s=26, facecolors=face, edgecolors=edge, alpha=0.75)
    for rows, marker, color in ((below, "v", blue), (failed, "x", PALETTE[1])):
        axes.scatter(places[rows], np.full(rows.sum(), floor), s=40, marker=marker, color=color)
    done = accuracy[completed]
    if done.notna().any():
        best = done.idxmax()
        axes.scatter(places[best], accuracy[best], s=150, marker="*", color=PALETTE[1], zorder=3)
    axes.set_xlabel(name.replace("_", " "), fontsize=9)


def few_images(table: pd.DataFrame, chance: float, title: str) -> Axes:
    """One line for each way of training, over the number of images it had.

    Args:
        table: Accuracies, 0 to 1: a row for each number of images a class, a column for each way.
        chance: Accuracy of always answering the most frequent class, 0 to 1.
        title: What is shown.

    Returns:
        The axes.
    """
    curves = {str(name): (table.index.to_numpy(), table[name].to_numpy()) for name in table}
    axes = lines(curves, title, LABELS, logarithmic=True, axes=new_axes(7.0, 3.8))
    _finish(axes, list(table.index), chance, table.to_numpy(dtype=float))
    return axes


def bench_points(rows: Sequence[tuple[float, str, float]], chance: float, title: str) -> Axes:
    """A point for each trial; the last one is ringed.

    Args:
        rows: Images a class, the name of what the classifier saw, and its accuracy.
        chance: Accuracy of always answering the most frequent class, 0 to 1.
        title: What is shown.

    Returns:
        The axes.
    """
    axes = new_axes(7.0, 3.8)
    names = list(dict.fromkeys(name for _, name, _ in rows))
    for number, name in enumerate(names):
        across = [images for images, each, _ in rows if each == name]
        up = [accuracy for _, each, accuracy in rows if each == name]
        axes.plot(
            across,
            up,
            MARKERS[number % len(MARKERS)],
            color=PALETTE[number % len(PALETTE)],
            markersize=7 + 4 * number,
            markerfacecolor="none" if number else None,  # what lies below is seen
            markeredgewidth=1.8,
            label=plain(name),
        )
    if rows:
        last = rows[-1]
        axes.plot(
            [last[0]],
            [last[2]],
            "o",
            markersize=19,
            markerfacecolor="none",
            markeredgecolor="black",
            label="the last one",
        )
    axes.set(title=plain(title, 100), xlabel=LABELS[0], ylabel=LABELS[1], xscale="log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    shown = np.array([accuracy for _, _, accuracy in rows])
    _finish(axes, sorted({images for images, _, _ in rows}), chance, shown)
    return axes


def _finish(axes: Axes, images: Sequence[float], chance: float, shown: np.ndarray) -> None:
    """The axis holds what is shown and not more; whole tenths, so that it moves seldom."""
    axes.axhline(chance, color="0.5", linewidth=1, label=f"most frequent class: {chance:.2f}")
    if len(images):
        axes.xaxis.set_major_locator(FixedLocator(list(images)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_locator(NullLocator())
    shown = shown[np.isfinite(shown)] if np.isfinite(shown).any() else np.array([0.0, 1.0])
    low, high = np.floor(10 * shown.min()) / 10, np.ceil(10 * shown.max()) / 10
    axes.set_ylim(low - 0.02, max(high, low + 0.1) + 0.02)
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), labelspacing=0.9)


def network(plan: pd.DataFrame, title: str = "", axes: Axes | None = None) -> Axes:
    """A network from left to right: the image, the map after each block, the dense layers.

    A box is as high as its feature map, and wider and darker with more channels. Bars are dense
    layers, higher with more units. The square in the image is what one value of the last
    feature map sees.

    Args:
        plan: As from ``plan_network``.
        title: What is shown.
        axes: Where to draw; new axes by default.

    Returns:
        The axes.
    """
    axes = axes or new_axes(8.6, 2.5)
    stages = _stages(plan)
    sides = [shape[0] for _, shape, _ in stages if len(shape) == 3]
    place = before = 0.0  # the left edge of the next part, the right edge of the last
    for number, (name, shape, _) in enumerate(stages):
        if len(shape) == 3:
            width = 0.05 + 0.075 * np.log2(1 + shape[-1])
            height = max(HIGH * shape[0] / sides[0], 0.03)
            shade = min(0.12 + 0.075 * np.log2(shape[-1]), 0.9)
            color = colormaps["Blues"](shade) if number else "0.85"
            words = " × ".join(map(str, shape))
        else:
            width, height = 0.07, min(0.12 + 0.075 * np.log2(shape[0]), HIGH * 1.15)
            color = PALETTE[2] if number == len(stages) - 1 else PALETTE[4]
            words = f"{shape[0]:,}"
        if number == 0:
            width = HIGH * shape[1] / shape[0]
        # Every part has room for its words, and the parts stay where they are.
        room = max(width, 0.062 * max(len(words), len(name)))
        left = place + (room - width) / 2
        axes.add_patch(
            Rectangle((left, -height / 2), width, height, facecolor=color, edgecolor="0.3")
        )
        if number == 0 and len(sides) > 1:
            _mark_receptive_field(axes, stages, (left, width, height))
        middle = place + room / 2
        style: dict[str, Any] = {"ha": "center", "fontsize": 8.5}
        axes.text(middle, height / 2 + 0.04, words, va="bottom", **style)
        axes.text(middle, -0.66, plain(name), va="top", color="0.25", **style)
        if number:
            axes.annotate(
                "",
                (left - 0.02, 0),
                (before + 0.02, 0),
                arrowprops={"arrowstyle": "->", "color": "0.5"},
            )
        before = left + width
        place += room + ROOM
    if len(sides) > 1:
        words = "orange square: what one value of the last feature map sees of the image"
        axes.text(0, -0.96, words, fontsize=8.5, color=PALETTE[1])
    axes.set(xlim=(-0.05, max(place, 5.2)), ylim=(-1.0, 0.78), title=plain(title, 100))
    axes.set_aspect("equal", anchor="W")
    axes.set_axis_off()
    return axes


def _mark_receptive_field(axes: Axes, stages: list, box: tuple[float, float, float]) -> None:
    """The square of the image that one value of the last feature map sees."""
    left, width, height = box
    shape = stages[0][1]
    last = [field for _, output, field in stages if len(output) == 3][-1]
    across, down = width * min(last / shape[1], 1), height * min(last / shape[0], 1)
    corner = (left + (width - across) / 2, -down / 2)
    axes.add_patch(Rectangle(corner, across, down, fill=False, edgecolor=PALETTE[1], linewidth=2))


def _stages(plan: pd.DataFrame) -> list[tuple[str, tuple[int, ...], int]]:
    """Name, shape and receptive field of each part, as its last layer leaves them."""
    last = plan[plan["part"] != ""].drop_duplicates("part", keep="last")
    return list(zip(last["part"], last["output"], last["receptive_field"], strict=True))
