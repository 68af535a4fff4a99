"""The pictures of training and evaluation. Nothing here computes, seeds or shows."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from imgclf_lib.figures import MARKERS, PALETTE, new_axes, new_figure, plain
from imgclf_lib.glyphs import short_names
from imgclf_lib.plots import MOST_NAMES, bars

VALIDATION = ("val_loss", "val_accuracy")
PREDICTION_SIZE = (5.6, 2.4)  # inches
MOST_NUMBERS = 15  # a confusion matrix of more classes has no numbers in its cells


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


def confusion_matrix(
    counts: Sequence[Sequence[int]] | np.ndarray,
    class_names: Sequence[str],
    title: str = "Confusion matrix",
    axes: Axes | None = None,
) -> Axes:
    """What each class was taken for; a row is a true class, its shades add up to one.

    Args:
        counts: Array of shape ``(classes, classes)``: rows true, columns predicted.
        class_names: Class names in label order.
        title: What is shown.
        axes: Where to draw; new axes by default.

    Returns:
        The axes.
    """
    matrix = np.asarray(counts)
    side = min(3.2 + 0.42 * len(matrix), 9)
    axes = axes or new_axes(side + 0.8, side)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    drawn = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.figure.colorbar(drawn, ax=axes, label="share of the true class", shrink=0.75)
    axes.set(title=plain(title, 100), xlabel="predicted class", ylabel="true class")
    if len(matrix) <= MOST_NAMES:
        names = [plain(name) for name in short_names(class_names, 24)]
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(names)), names)
    else:
        axes.set(xlabel="predicted class, by its number", ylabel="true class, by its number")
    if len(matrix) <= MOST_NUMBERS:
        for (row, column), count in np.ndenumerate(matrix):
            color = "white" if shares[row, column] > 0.5 else "black"
            axes.text(column, row, f"{count:,}", ha="center", va="center", color=color, fontsize=8)
    return axes


def calibration(table: pd.DataFrame, title: str, axes: Axes | None = None) -> Axes:
    """How often the model is right when it is so sure; on the diagonal it is honest.

    Args:
        table: As from ``evaluate.calibration_table``.
        title: What is shown.
        axes: Where to draw; new axes by default.

    Returns:
        The axes.
    """
    axes = axes or new_axes(5, 4.4)
    axes.plot([0, 1], [0, 1], "--", color="0.5", label="perfectly calibrated")
    sizes = 20 + 180 * table["count"] / table["count"].max()
    axes.scatter(table["confidence"], table["accuracy"], s=sizes, color=PALETTE[0], zorder=3)
    axes.plot(table["confidence"], table["accuracy"], color=PALETTE[0], label="this model")
    axes.set(
        title=plain(title, 100),
        xlabel="confidence (highest probability)",
        ylabel="accuracy (share of right answers)",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return axes


def prediction(
    given: np.ndarray, seen: np.ndarray, probabilities: pd.Series, title: str = "", top: int = 5
) -> Figure:
    """An image as it came, what the network sees of it, and what it says.

    Args:
        given: ``uint8`` array of shape ``(height, width)`` or ``(height, width, 3)``.
        seen: ``uint8`` array of shape ``(size, size, channels)``.
        probabilities: Probability by class name, the highest first.
        title: Text above all.
        top: How many classes get a bar.

    Returns:
        The figure; always of the same size.
    """
    figure = new_figure(*PREDICTION_SIZE)
    frames = figure.subplots(1, 3, width_ratios=[1, 1, 1.35])
    for axes, image, text in zip(
        frames, (given, seen), ("as given", "what the network sees"), strict=False
    ):
        axes.imshow(np.squeeze(image), cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set(xticks=[], yticks=[], anchor="N")
        axes.set_title(text, fontsize=9)
    best = probabilities.head(top)
    best.index = pd.Index(short_names(best.index, 14))
    bars(best, "", "probability", axes=frames[2])
    frames[2].set(xlim=(0, 1.3), ylim=(top - 0.4, -0.6), xticks=[0, 0.5, 1])
    frames[2].set_title("what it says", fontsize=9)
    figure.suptitle(plain(title, 64), fontsize=10)
    return figure
