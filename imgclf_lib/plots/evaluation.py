"""The pictures of an evaluation. Nothing here computes, seeds or shows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imgclf_lib.plots.charts import MOST_NAMES, bars, image_grid
from imgclf_lib.plots.figures import PALETTE, new_axes, new_figure, plain, save, short_names

PREDICTION_SIZE = (5.6, 2.4)  # inches
MOST_NUMBERS = 15  # a confusion matrix of more classes has no numbers in its cells
COLUMNS, ROWS = 4, 3  # of one page of images
A_PAGE = COLUMNS * ROWS
MOST_MISTAKES = 32


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


def save_evaluation_figures(
    folder: Path,
    counts: Sequence[Sequence[int]] | np.ndarray,
    class_names: Sequence[str],
    bins: pd.DataFrame,
    predictions: pd.DataFrame,
    images: np.ndarray,
) -> list[Path]:
    """Write confusion matrix, calibration and the most confident mistakes as PNG files.

    Args:
        folder: Where to; usually the run folder.
        counts: Array of shape ``(classes, classes)``: rows true, columns predicted.
        class_names: Class names in label order.
        bins: As from ``evaluate.calibration_table``.
        predictions: As from ``evaluate.prediction_table``.
        images: ``uint8`` array of shape ``(n, height, width, channels)``: the predicted images.

    Returns:
        The files: ``confusion_matrix.png``, ``calibration.png`` and, if the model made any,
        ``mistakes.png``.
    """
    drawings: dict[str, Axes | Figure] = {
        "confusion_matrix": confusion_matrix(counts, class_names),
        "calibration": calibration(bins, "Calibration"),
    }
    worst = predictions[~predictions["right"]].nlargest(MOST_MISTAKES, "probability")
    if len(worst):
        titles = [
            f"is {row.label}\nsaid {row.predicted}\n{row.probability:.2f}"
            for row in worst.itertuples()
        ]
        drawings["mistakes"] = image_grid(
            images[worst.index.to_numpy()], titles, title="Most confident mistakes"
        )
    paths = []
    for name, drawing in drawings.items():
        paths.append(folder / f"{name}.png")
        save(drawing, paths[-1])
    return paths
