"""Arrays and tables in, Matplotlib axes out. Nothing here computes, seeds or shows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from imgclf_lib.plots.figures import (
    MARKERS,
    PALETTE,
    cut,
    new_axes,
    new_figure,
    plain,
    short_names,
)

MOST_NAMES = 40  # more class names than this are not written along an axis
MOST_CLASSES = 24  # more of them are not named in a scatter
THUMBNAIL = 13  # points, the side of a picture in a map
COLUMN = 0.07  # inches that a letter of small print takes


def image_grid(
    images: Sequence[np.ndarray] | np.ndarray,
    titles: Sequence[object] = (),
    columns: int = 8,
    title: str = "",
    rows: Sequence[object] = (),
    size: float = 1.05,
    limits: tuple[float, float] | None = None,
) -> Figure:
    """Images side by side.

    Args:
        images: Arrays of shape ``(height, width)``, ``(height, width, 1)`` or
            ``(height, width, 3)``: ``uint8`` of 0..255, or numbers that are shown in grey. With
            none of them the figure holds its title alone.
        titles: A text above each image.
        columns: Images in a row.
        title: Text above all.
        rows: A text left of each row.
        size: Height and width of one image, in inches.
        limits: Values shown as black and as white; by default 0 and 255 for ``uint8`` and the
            smallest and largest value of each image otherwise.

    Returns:
        The figure.
    """
    columns = max(1, min(columns, len(images)))
    lines = max(1, -(-len(images) // columns))
    titles = _fitting(titles, max(10, int(size / COLUMN)))  # no wider than an image
    rows = _fitting(rows, 24)
    lettering = 0.22 * (1 + max((str(each).count("\n") for each in titles), default=0))
    height = lines * (size + (lettering if titles else 0.03)) + (0.35 if title else 0)
    # A single image is narrower than its title.
    longest = max((len(line) for text in rows for line in text.split("\n")), default=0)
    room = max(0.9, COLUMN * longest) if rows else 0
    width = max(columns * (size + 0.06) + room, 0.08 * len(title))
    figure = new_figure(width, height)
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for number, image in enumerate(images):
        axes = grid[number // columns, number % columns]
        image = np.asarray(image)
        image = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
        low, high = limits or ((0, 255) if image.dtype == np.uint8 else (None, None))
        axes.imshow(image, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axes.spines[:].set(visible=True, color="0.8", linewidth=0.5)  # white on a white page
        if titles:
            axes.set_title(plain(titles[number]), fontsize=8, pad=3)
    for number, text in enumerate(rows):
        axes = grid[number, 0]
        axes.set_ylabel(plain(text), rotation=0, ha="right", va="center", fontsize=8)
    if title:
        figure.suptitle(plain(title, 100), fontsize=10)
    return figure


def bars(
    values: Mapping[str, float] | pd.Series,
    title: str,
    label: str,
    errors: Sequence[float] | np.ndarray | None = None,
    axes: Axes | None = None,
) -> Axes:
    """A horizontal bar for each name, the first on top, the values written beside.

    Args:
        values: Value by name.
        title: What is shown.
        label: What the values are, with their unit.
        errors: Half the length of an error bar for each.
        axes: Where to draw; new axes by default.

    Returns:
        The axes.
    """
    series = pd.Series(values)
    names, numbers = series.index.tolist(), series.to_numpy(dtype=float)
    axes = axes or new_axes(6.5, 0.9 + min(0.26 * max(len(names), 2), 8))
    drawn = axes.barh(range(len(names)), numbers, xerr=errors, color=PALETTE[0], height=0.7)
    if len(names) <= MOST_NAMES:
        axes.set_yticks(range(len(names)), [plain(name) for name in short_names(names)])
        whole = np.all(numbers == np.round(numbers)) and np.abs(numbers).max(initial=0) >= 2
        axes.bar_label(drawn, fmt="{:,.0f}" if whole else "{:.3f}", padding=4, fontsize=8)
        axes.margins(x=0.14)
    else:
        axes.set(yticks=[], ylabel=f"{len(names)} classes")
    axes.invert_yaxis()
    axes.set(title=plain(title, 100), xlabel=label)
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def histogram(
    values: Mapping[str, np.ndarray], title: str, label: str, axes: Axes | None = None
) -> Axes:
    """How often values occur; several groups are outlines, each in shares of its own size.

    Args:
        values: One-dimensional array by name of its group.
        title: What is shown.
        label: What the values are, with their unit.
        axes: Where to draw; new axes by default.

    Returns:
        The axes.
    """
    axes = axes or new_axes()
    everything = np.concatenate([np.asarray(each, dtype=float) for each in values.values()])
    edges = np.histogram_bin_edges(everything, bins=40)
    names = short_names(values)
    for number, each in enumerate(values.values()):
        axes.hist(
            each,
            bins=edges.tolist(),
            weights=None if len(values) == 1 else np.full(len(each), 1 / max(1, len(each))),
            histtype="stepfilled" if len(values) == 1 else "step",
            linewidth=1.8,
            linestyle=("-", "--", ":", "-.")[number % 4],
            color=PALETTE[number % len(PALETTE)],
            label=plain(names[number]),
        )
    up = "images" if len(values) == 1 else "share of each group's images"
    axes.set(title=plain(title, 100), xlabel=label, ylabel=up)
    axes.spines[["top", "right"]].set_visible(False)
    if len(values) > 1:
        axes.legend(frameon=False)
    return axes


def scatter(
    points: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    title: str,
    axis_labels: tuple[str, str] = ("first component", "second component"),
    axes: Axes | None = None,
    images: np.ndarray | None = None,
) -> Axes:
    """Points in the plane; every class has its own colour and marker, and its name in its middle.

    Args:
        points: Array of shape ``(n, 2)``.
        labels: ``int64`` array of shape ``(n,)``.
        class_names: Class names in label order; more than 24 are not written.
        title: What is shown.
        axis_labels: What the two coordinates are.
        axes: Where to draw; new axes by default.
        images: ``uint8`` array of shape ``(n, height, width, channels)``: drawn small in place of
            the points, in a frame of the colour of their class.

    Returns:
        The axes.
    """
    axes = axes or new_axes(8, 5)
    names = short_names(class_names, 30)
    for label in np.unique(labels):
        chosen = points[labels == label]
        axes.scatter(
            chosen[:, 0],
            chosen[:, 1],
            s=24,
            alpha=0.9,
            linewidths=0.5,
            edgecolors="0.2",  # the light colours need it on white
            color=PALETTE[label % len(PALETTE)],
            marker=MARKERS[(label // len(PALETTE) + label) % len(MARKERS)],
            label=plain(names[label]),
        )
    if images is not None:
        for place, image, label in zip(points, images, labels, strict=True):
            axes.add_artist(_thumbnail(place, image, PALETTE[label % len(PALETTE)]))
    few = len(class_names) <= MOST_CLASSES
    for label, (across, up) in _middles(points, labels).items() if few else ():
        style: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 8, "weight": "bold"}
        around = [withStroke(linewidth=2.5, foreground="white")]
        name = plain(cut(names[label], 16))
        axes.text(across, up, name, path_effects=around, zorder=5, **style).set_in_layout(False)
    axes.set(title=plain(title, 100), xlabel=axis_labels[0], ylabel=axis_labels[1])
    axes.spines[["top", "right"]].set_visible(False)
    if few:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=1.5)
    return axes


def lines(
    curves: Mapping[str, tuple[Sequence[float] | np.ndarray, Sequence[float] | np.ndarray]],
    title: str,
    labels: tuple[str, str],
    logarithmic: bool = False,
    axes: Axes | None = None,
) -> Axes:
    """Curves in one frame, told apart by colour and by line style.

    Args:
        curves: Horizontal and vertical values by name.
        title: What is shown.
        labels: What the two axes are, with their units.
        logarithmic: Whether the horizontal axis is logarithmic.
        axes: Where to draw; new axes by default.

    Returns:
        The axes.
    """
    axes = axes or new_axes()
    names = short_names(curves)
    for number, (across, up) in enumerate(curves.values()):
        axes.plot(
            across,
            up,
            linestyle=("-", "--", ":", "-.")[number % 4],
            marker=MARKERS[number % len(MARKERS)] if len(across) <= 30 else None,
            markersize=4,
            color=PALETTE[number % len(PALETTE)],
            label=plain(names[number]),
        )
    axes.set(title=plain(title, 100), xlabel=labels[0], ylabel=labels[1])
    if logarithmic:
        axes.set_xscale("log")
    elif all(np.asarray(across).dtype.kind in "iu" for across, _ in curves.values()):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    if len(curves) > 1:
        axes.legend(frameon=False)
    return axes


def _thumbnail(place: np.ndarray, image: np.ndarray, color: str) -> AnnotationBbox:
    """A small picture at a place, framed so that light colours are seen on white."""
    step = max(1, -(-max(image.shape[:2]) // (4 * THUMBNAIL)))  # no more pixels than are drawn
    image = image[::step, ::step].repeat(3 // image.shape[-1], axis=-1)
    around = [withStroke(linewidth=2.0, foreground="0.2")]
    frame = {"edgecolor": color, "linewidth": 1.4, "path_effects": around}
    box = OffsetImage(image, zoom=THUMBNAIL / max(image.shape[:2]))
    return AnnotationBbox(box, tuple(place), pad=0.05, bboxprops=frame)


def _middles(points: np.ndarray, labels: np.ndarray) -> dict[int, np.ndarray]:
    """For each class where its name stands: at its median, and not upon another name."""
    middles = {label: np.median(points[labels == label], axis=0) for label in np.unique(labels)}
    wide, high = np.ptp(points, axis=0)
    done: list[np.ndarray] = []
    for middle in sorted(middles.values(), key=lambda each: each[1]):
        for other in done:  # from the lowest up
            if abs(middle[0] - other[0]) < wide / 5:
                middle[1] = max(middle[1], other[1] + high / 20)
        done.append(middle)
    return middles


def _fitting(texts: Sequence[object], longest: int) -> list[str]:
    """Texts of one or more lines, each line shortened; different lines stay different."""
    given = [str(text).split("\n") for text in texts]
    lines = list(dict.fromkeys(line for text in given for line in text))
    short = dict(zip(lines, short_names(lines, longest), strict=True))
    return ["\n".join(short[line] for line in text) for text in given]
