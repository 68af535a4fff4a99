"""The one pixel path: every image, from any file, becomes ``uint8`` in the same way.

Training, evaluation and prediction all decode here, so that they see the same pixels.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageOps, UnidentifiedImageError
from scipy.ndimage import binary_fill_holes, center_of_mass

MAXIMUM_BYTES = 500_000_000  # a larger file is no image that the pixel limit would let through
MAXIMUM_PIXELS = 89_000_000  # beyond this Pillow speaks of a decompression bomb
BACKGROUND = (255, 255, 255)  # what shows through transparent pixels, and around padded images
DRAWING = 280  # height and width of a drawing before the pixel path makes it small
INK = 32  # a pixel that differs more than this from the background is part of the thing


class Decoded(NamedTuple):
    """One decoded image.

    Args:
        pixels: ``uint8`` array of shape ``(size, size, channels)``, 0 to 255.
        width: Width in the file, after its orientation is applied, in pixels.
        height: Height in the file, likewise.
        mode: Pillow's mode of the file: ``L`` grey, ``RGB`` colour, and others.
    """

    pixels: np.ndarray
    width: int
    height: int
    mode: str


def decode(source: bytes | Path | Image.Image, size: int, channels: int, resize: str) -> Decoded:
    """Decode one image completely and bring it to the size and colours asked for.

    The orientation in its EXIF data is applied, 16-bit and float images are brought to 8 bits
    without clipping, transparent pixels show a white background, and shrinking is antialiased.

    Args:
        source: The bytes of a file, its path, or a Pillow image.
        size: Height and width of the result, in pixels.
        channels: 1 for grey, 3 for colour.
        resize: ``pad``, ``crop`` or ``squash``.

    Returns:
        The pixels and what the file said about itself.

    Raises:
        ValueError: If the image has more than 89 million pixels.
        OSError: If the data cannot be decoded. Pillow raises other exceptions for some damaged
            files too, so a caller that goes on with the next file catches ``Exception``.
    """
    image = open_image(source)
    mode = image.mode
    image = ImageOps.exif_transpose(image)
    width, height = image.size
    image = to_eight_bits(image).convert("RGB" if channels == 3 else "L")
    if image.size != (size, size):
        image = _resize(image, size, resize)
    pixels = np.asarray(image, "uint8").reshape(size, size, channels)
    return Decoded(pixels, width, height, mode)


def open_image(source: bytes | Path | Image.Image) -> Image.Image:
    """Open one image without decoding its pixels yet.

    Args:
        source: The bytes of a file, its path, or a Pillow image.

    Returns:
        A Pillow image that needs no open file.

    Raises:
        UnidentifiedImageError: If the data is no image.
        ValueError: If the file has more than 500 MB, or the image more than 89 million pixels.
    """
    if isinstance(source, Image.Image):
        image = source
    else:
        if isinstance(source, Path) and source.stat().st_size > MAXIMUM_BYTES:
            raise ValueError(f"a file of {source.stat().st_size / 1e6:,.0f} MB is too large")
        # From memory: Pillow leaves a file open when decoding it fails.
        raw = source if isinstance(source, bytes) else source.read_bytes()
        try:
            image = Image.open(io.BytesIO(raw))
        except UnidentifiedImageError:  # its message would name an address in memory
            raise UnidentifiedImageError("this is not an image that Pillow knows") from None
    if image.width * image.height > MAXIMUM_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels are too many to decode safely")
    return image


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Bring any mode of Pillow to ``L`` or ``RGB`` with 8 bits a channel.

    Args:
        image: An image in any mode.

    Returns:
        The image in mode ``L`` or ``RGB``. Integer images with values above 255 are taken as
        16-bit; float images are stretched from their own minimum and maximum.
    """
    if image.mode.startswith("I"):
        values = np.asarray(image).astype("float64")
        highest = values.max(initial=0)
        scale = 1 if highest <= 255 and image.mode == "I" else max(65535, highest) / 255
        return Image.fromarray((values.clip(0) / scale).round().astype("uint8"))
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image).astype("float64"), posinf=0, neginf=0)
        span = np.ptp(values) or 1
        return Image.fromarray(((values - values.min()) / span * 255).round().astype("uint8"))
    if "A" in image.mode or "a" in image.mode or "transparency" in image.info:
        image = image.convert("RGBA")
        below = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        return Image.alpha_composite(below, image).convert("RGB")
    return (
        image if image.mode in ("L", "RGB") else image.convert("L" if image.mode == "1" else "RGB")
    )


def _resize(image: Image.Image, size: int, how: str) -> Image.Image:
    box, filter = (size, size), Image.Resampling.BICUBIC
    if how == "crop":
        return ImageOps.fit(image, box, filter)
    if how == "pad":
        color = BACKGROUND if image.mode == "RGB" else BACKGROUND[0]
        return ImageOps.pad(image, box, filter, color)
    return image.resize(box, filter)


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
