"""The pictures of the confusion explorer. Nothing here computes, seeds or shows."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imgclf_lib.figures import PALETTE, new_axes, plain
from imgclf_lib.plots import image_grid

COLUMNS, ROWS = 4, 3  # of one page of images
A_PAGE = COLUMNS * ROWS


def cell_images(cell: pd.DataFrame, images: np.ndarray, page: int = 0) -> Figure:
    """Images of one cell of a confusion matrix, with their probabilities; always of one size.

    Args:
        cell: As from ``evaluate.images_in_cell``.
        images: ``uint8`` array of shape ``(n, height, width, channels)``: all predicted images.
        page: Which twelve images to show, counted from 0.

    Returns:
        The figure.
    """
    shown = cell.iloc[page * A_PAGE : (page + 1) * A_PAGE]
    pictures = [np.asarray(images[row]) for row in shown.index]
    titles = [
        f"{row.probability:.1%}" + ("" if row.right else f"\ntrue {row.label_probability:.1%}")
        for row in shown.itertuples()
    ]
    empty = A_PAGE - len(pictures)
    blank = np.full((*images.shape[1:3], 1), 255, "uint8")
    title = "Probability: answer, and true class"
    return image_grid(
        [*pictures, *[blank] * empty],
        # Two lines, so that the pictures stay where they are.
        [each if "\n" in each else f"{each}\n" for each in [*titles, *[""] * empty]],
        columns=COLUMNS,
        size=0.8,
        title=title if len(shown) else "No image in this cell",
    )


def coverage(table: pd.DataFrame, answered: int, title: str = "", axes: Axes | None = None) -> Axes:
    """Accuracy of the answered images against their share, with one threshold marked.

    Args:
        table: As from ``evaluate.coverage_table``.
        answered: Images that are answered at the threshold to mark.
        title: What is shown.
        axes: Where to draw; new axes by default.

    Returns:
        The axes.
    """
    axes = axes or new_axes(4.4, 2.7)
    axes.plot(table["coverage"], table["accuracy"], color=PALETTE[0])
    here = table[table["answered"] == answered]
    if len(here):
        place = float(here["coverage"].iloc[0]), float(here["accuracy"].iloc[0])
        axes.plot(*place, "o", color=PALETTE[1], markersize=9, clip_on=False)
        axes.axvline(place[0], color=PALETTE[1], linewidth=1, linestyle=":")
    low = float(table["accuracy"].min())
    axes.set(
        title=plain(title, 100),
        xlabel="coverage (share of images answered)",
        ylabel="accuracy of the answered",
        xlim=(0, 1),
        ylim=(low - 0.05 * max(1 - low, 0.02), 1 + 0.05 * max(1 - low, 0.02)),
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return axes
