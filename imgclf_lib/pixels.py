"""The one pixel path: every image, from any file, becomes ``uint8`` in the same way.

Training, evaluation and prediction all decode here, so that they see the same pixels.
"""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

MAXIMUM_PIXELS = 89_000_000  # beyond this Pillow speaks of a decompression bomb
BACKGROUND = (255, 255, 255)  # what shows through transparent pixels, and around padded images


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
    if isinstance(source, Image.Image):
        image = source
    else:
        # From memory: Pillow leaves a file open when decoding it fails.
        raw = source if isinstance(source, bytes) else source.read_bytes()
        try:
            image = Image.open(io.BytesIO(raw))
        except UnidentifiedImageError:  # its message would name an address in memory
            raise UnidentifiedImageError("this is not an image that Pillow knows") from None
    if image.width * image.height > MAXIMUM_PIXELS:
        raise ValueError(f"{image.width} x {image.height} pixels are too many to decode safely")
    mode = image.mode
    image = ImageOps.exif_transpose(image)
    width, height = image.size
    image = to_eight_bits(image).convert("RGB" if channels == 3 else "L")
    if image.size != (size, size):
        image = _resize(image, size, resize)
    pixels = np.asarray(image, "uint8").reshape(size, size, channels)
    return Decoded(pixels, width, height, mode)


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
