"""The picture of a network. Nothing here computes, seeds or shows."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

from imgclf_lib.figures import PALETTE, new_axes, plain

HIGH = 1.0  # the height of the image in the drawing
ROOM = 0.12  # between two parts


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
