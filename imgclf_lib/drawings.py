"""Drawings that look like the images of a data set, so that a network can be tried by hand."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw
from scipy.ndimage import binary_fill_holes, center_of_mass

DRAWING = 280  # height and width of a drawing before the pixel path makes it small
INK = 32  # a pixel that differs more than this from the background is part of the thing


class Manner(NamedTuple):
    """How the things on the images of a data set look, so that a drawing can look like them.

    Args:
        light_on_dark: Whether they are lighter than their background.
        extent: How much of the frame their longer side takes, 0 to 1.
        filled: Whether they are areas rather than lines.
    """

    light_on_dark: bool
    extent: float
    filled: bool


def manner_of(images: np.ndarray) -> Manner:
    """Find out how things are shown on images: read from their borders and their ink.

    Args:
        images: ``uint8`` array of shape ``(n, height, width, channels)``; some hundred are enough.

    Returns:
        The manner of most of them.
    """
    grey = images.mean(-1)
    border = np.concatenate([grey[:, [0, -1]].ravel(), grey[:, :, [0, -1]].ravel()])
    background = np.median(border)
    ink = abs(grey - background) > INK
    ink = ink[ink.any((1, 2))]
    if not len(ink):  # every image is as its border
        return Manner(bool(background < 128), 1.0, False)
    sides = [ink.any(3 - axis).sum(1) / ink.shape[axis] for axis in (1, 2)]
    share = ink.mean((1, 2)) / (sides[0] * sides[1])
    extent = float(np.median(np.maximum(*sides)))
    return Manner(bool(background < 128), extent, bool(np.median(share) > 0.5))


def draw_strokes(
    strokes: Sequence[Sequence[Sequence[float]]],
    manner: Manner,
    brush: float = 0.06,
) -> Image.Image:
    """Turn strokes of a pen into a picture like those that a network was trained on.

    The recipe of MNIST: the drawing is enlarged or reduced to the usual size, and its centre of
    mass is moved to the middle.

    Args:
        strokes: Each a list of points ``(x, y)``, 0 to 1 from the left and from the top.
        manner: How the pictures look.
        brush: Thickness of a line, as a fraction of the frame.

    Returns:
        Grey Pillow image, 280 pixels high and wide.
    """
    ground, ink = (0, 255) if manner.light_on_dark else (255, 0)
    lines = [np.asarray(stroke, float).reshape(-1, 2) for stroke in strokes if len(stroke)]
    if not lines:
        return Image.new("L", (DRAWING, DRAWING), ground)
    every = np.concatenate(lines)
    low, high = every.min(0), every.max(0)
    span = max((high - low).max(), 0.05)  # a dot stays a dot
    scale = max(manner.extent - brush, 0.1) / span
    placed = [(each - (low + high) / 2) * scale + 0.5 for each in lines]
    drawn = _draw(placed, brush, manner.filled)
    down, across = center_of_mass(drawn)
    # No further than the frame: nothing may be cut off.
    room = np.maximum(0.5 - (high - low) * scale / 2 - brush / 2, 0)
    step = np.clip(0.5 - (np.array([across, down]) + 0.5) / DRAWING, -room, room)
    drawn = _draw([each + step for each in placed], brush, manner.filled)
    return Image.fromarray(np.where(drawn, ink, ground).astype("uint8"))


def _draw(lines: Sequence[np.ndarray], brush: float, filled: bool) -> np.ndarray:
    """Where ink is: bool array of shape ``(DRAWING, DRAWING)``."""
    image = Image.new("1", (DRAWING, DRAWING))
    pen, width = ImageDraw.Draw(image), max(1, round(brush * DRAWING))
    for line in lines:
        points = [tuple(point) for point in line * DRAWING]
        if filled and len(points) > 2:
            pen.polygon(points, fill=1)
        pen.line(points, fill=1, width=width, joint="curve")
        for x, y in (points[0], points[-1]):  # round ends; a single point is a dot
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=1)
    drawn = np.asarray(image)
    return binary_fill_holes(drawn) if filled else drawn
