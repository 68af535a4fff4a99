"""Figures of transfer learning: accuracy against the number of images a class."""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator

from imgclf_lib.figures import MARKERS, PALETTE, new_axes, plain
from imgclf_lib.plots import lines

LABELS = ("training images a class, on average (logarithmic)", "validation accuracy")


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
    _finish(axes, list(table.index), chance)
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
            markersize=7,
            label=plain(name),
        )
    if rows:
        last = rows[-1]
        axes.plot(
            [last[0]],
            [last[2]],
            "o",
            markersize=15,
            markerfacecolor="none",
            markeredgecolor="black",
            label="the last one",
        )
    axes.set(title=plain(title, 100), xlabel=LABELS[0], ylabel=LABELS[1], xscale="log")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    _finish(axes, sorted({images for images, _, _ in rows}), chance)
    return axes


def _finish(axes: Axes, images: Sequence[float], chance: float) -> None:
    axes.axhline(chance, color="0.5", linewidth=1, label="most frequent class")
    if len(images):
        axes.xaxis.set_major_locator(FixedLocator(list(images)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False, loc="lower right")
