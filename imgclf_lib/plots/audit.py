"""Figures of an audit: tables and arrays in, Matplotlib axes or figures out."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from imgclf_lib.plots.charts import COLUMN, MOST_NAMES
from imgclf_lib.plots.figures import PALETTE, new_axes, new_figure, plain, short_names

# Each severity and split has its colour, and a hatch for print without colours.
LOOKS = {"error": (PALETTE[1], "///"), "warning": (PALETTE[4], ""), "remark": (PALETTE[5], "..")}
SPLIT_LOOKS = {
    **{"": (PALETTE[0], ""), "train": (PALETTE[0], "")},
    **{"val": (PALETTE[4], "///"), "test": (PALETTE[2], "..")},
}
ODD = ("odd size", "odd shape")
MOST_POINTS = 5000  # more usual images than this are thinned out in a scatter


def finding_bars(counts: pd.DataFrame, title: str, axes: Axes | None = None) -> Axes:
    """How often each kind was found, coloured by severity.

    Args:
        counts: As from ``findings.count_findings``.
        title: What is shown.
        axes: Where to draw; new axes by default.

    Returns:
        The axes; the horizontal one is logarithmic.
    """
    axes = axes or new_axes(7.5, 1.2 + 0.26 * max(len(counts), 2))
    names, numbers = counts["problem"].tolist(), counts["count"].to_numpy()
    for severity, (color, hatch) in LOOKS.items():
        rows = np.flatnonzero(counts["severity"] == severity)
        if not len(rows):
            continue
        drawn = axes.barh(
            *(rows, numbers[rows]), color=color, hatch=hatch, edgecolor="white", label=severity
        )
        axes.bar_label(drawn, fmt="{:,.0f}", padding=4, fontsize=8)
    axes.set_yticks(range(len(names)), [plain(name) for name in names])
    axes.set_xscale("log")
    axes.set_xlim(0.7, max(10, 3 * numbers.max(initial=1)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.invert_yaxis()
    axes.set(title=plain(title, 100), xlabel="findings (logarithmic)")
    axes.spines[["top", "right"]].set_visible(False)
    if len(counts):
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(1, 0), fontsize=8)
    return axes


def class_bars(table: pd.DataFrame, title: str, axes: Axes | None = None) -> Axes:
    """How many images each class has, in each split that is given; the largest class on top.

    Args:
        table: A row a file, with the columns ``label``, ``split`` and ``problem``.
        title: What is shown.
        axes: Where to draw; new axes by default.

    Returns:
        The axes.
    """
    used = table[table["problem"] == ""]
    counts = used.groupby(["label", "split"]).size().unstack(fill_value=0)
    counts = counts.loc[counts.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    axes = axes or new_axes(6.5, 1.1 + min(0.26 * max(len(counts), 2), 8))
    left = np.zeros(len(counts))
    for split, (color, hatch) in SPLIT_LOOKS.items():
        if split in counts:
            numbers = counts[split].to_numpy()
            drawn = axes.barh(
                *(range(len(counts)), numbers, 0.75, left),
                color=color,
                hatch=hatch,
                edgecolor="white",
                label=split or "images",
            )
            left += numbers
    if len(counts) <= MOST_NAMES:
        axes.set_yticks(range(len(counts)), [plain(each) for each in short_names(counts.index)])
        if len(counts):
            axes.bar_label(drawn, [f"{total:,.0f}" for total in left], padding=4, fontsize=8)
        axes.margins(x=0.12)
    else:
        axes.set(yticks=[], ylabel=f"{len(counts)} classes")
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(title=plain(title, 100), xlabel="images")
    axes.spines[["top", "right"]].set_visible(False)
    if len(counts.columns) > 1:
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(1, 0), fontsize=8)
    return axes


def size_scatter(
    table: pd.DataFrame, findings: pd.DataFrame, title: str, axes: Axes | None = None
) -> Axes:
    """Width and height of every image in the file; those of odd size or shape are marked.

    Args:
        table: A row a file, with the columns ``path``, ``width``, ``height`` and ``problem``.
        findings: As from ``findings.sort_findings``.
        title: What is shown.
        axes: Where to draw; new axes by default.

    Returns:
        The axes; both are logarithmic, and square images lie on the dashed line.
    """
    axes = axes or new_axes(7, 4.2)
    used = table[table["problem"] == ""]
    sizes = used.groupby(["width", "height"]).size().reset_index(name="images")
    sizes = sizes.iloc[:: max(1, len(sizes) // MOST_POINTS)]
    area = 10 + 150 * np.sqrt(sizes["images"] / sizes["images"].max())
    axes.scatter(
        sizes["width"], sizes["height"], area, alpha=0.4, color=PALETTE[0], linewidths=0,
        label=f"{len(used):,} images; a larger dot is more of them",
    )  # fmt: skip
    for kind, color, marker in zip(ODD, (PALETTE[1], PALETTE[6]), ("s", "^"), strict=True):
        paths = findings.loc[findings["problem"] == kind, "path"]
        odd = used[used["path"].isin(paths)]
        if len(odd):
            axes.scatter(
                odd["width"], odd["height"], 45, marker=marker, facecolors="none", edgecolors=color,
                linewidths=1.5, label=f"{kind}: {len(odd):,}",
            )  # fmt: skip
    if len(used):
        ends = used[["width", "height"]].to_numpy()
        low, high = ends.min() / 2.2, ends.max() * 2.2
        axes.plot([low, high], [low, high], "--", color="0.6", linewidth=1, zorder=0)
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(2))
            axis.set_minor_locator(NullLocator())
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    axes.set(title=plain(title, 100), xlabel="width (pixels)", ylabel="height (pixels)")
    axes.spines[["top", "right"]].set_visible(False)
    return axes


def measure_histograms(table: pd.DataFrame, findings: pd.DataFrame, title: str) -> Figure:
    """How bright and how sharp the images are; those that stand out are marked on the axis.

    Args:
        table: A row a file, with the columns ``path``, ``brightness``, ``sharpness`` and
            ``problem``.
        findings: As from ``findings.sort_findings``.
        title: What is shown.

    Returns:
        A figure of two axes.
    """
    figure = new_figure(8, 3.2)
    used = table[table["problem"] == ""]
    for axes, (name, label, kinds) in zip(
        figure.subplots(1, 2),
        (
            ("brightness", "mean grey (0 black, 255 white)", ("very dark", "very bright")),
            ("sharpness", "variance of the Laplacian", ("blurred", "nearly constant")),
        ),
        strict=True,
    ):
        values = used[name].dropna()
        if name == "sharpness":
            values = values.clip(lower=0.1)  # a logarithm has no place for 0
            low, high = (values.min(), values.max()) if len(values) else (1, 1)
            edges = np.geomspace(low / 2, high * 2, 41)
            axes.set_xscale("log")
        else:
            edges = np.linspace(0, 255, 52)
        axes.hist(values, edges.tolist(), color=PALETTE[0])
        axes.set_yscale("symlog", linthresh=10)
        for kind, color, marker in zip(kinds, (PALETTE[6], PALETTE[1]), ("^", "s"), strict=True):
            odd = values[used["path"].isin(findings.loc[findings["problem"] == kind, "path"])]
            if len(odd):
                axes.scatter(
                    *(odd, np.full(len(odd), 0.5)), marker=marker, color=color, s=30, zorder=3,
                    label=f"{kind}: {len(odd):,}",
                )  # fmt: skip
                axes.legend(frameon=False, fontsize=8)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axes.set(xlabel=label, ylabel="images (logarithmic)")
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(plain(title, 100), fontsize=10)
    return figure


def pair_grid(
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    captions: Sequence[object],
    title: str = "",
    columns: int = 3,
) -> Figure:
    """Pairs of images, the two of each side by side.

    Args:
        pairs: Two ``uint8`` arrays each, of the same shape ``(height, width, channels)``.
        captions: A text above each pair.
        title: Text above all.
        columns: Pairs in a row.

    Returns:
        The figure.
    """
    columns = max(1, min(columns, len(pairs)))
    lines = max(1, -(-len(pairs) // columns))
    lettering = 0.2 * (1 + max((str(each).count("\n") for each in captions), default=0))
    figure = new_figure(2.4 * columns, lines * (1.2 + lettering) + (0.35 if title else 0))
    grid = figure.subplots(lines, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, (one, two), caption in zip(grid.flat, pairs, captions, strict=False):
        gap = np.full((one.shape[0], max(1, one.shape[1] // 12), one.shape[2]), 255, "uint8")
        both = np.concatenate([one, gap, two], 1)
        both = both[..., 0] if both.shape[2] == 1 else both
        axes.imshow(both, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set_title(plain(caption, int(2.3 / COLUMN)), fontsize=8, pad=3)
    if title:
        figure.suptitle(plain(title, 100), fontsize=10)
    return figure
