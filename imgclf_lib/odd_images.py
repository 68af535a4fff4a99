"""Image files with an oddity each, made from a good image: frames, colours, looks.

All of them can be used; ``defect_files`` has those that cannot.
"""

import io
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter, features

FRAMES = 3


class Defect(NamedTuple):
    """A kind of file.

    Args:
        ending: Of its name, with the dot.
        problem: What ``pixels.inspect_file`` says of it; "" if the file can be used.
        remark: What its detail contains.
        make: Gives the bytes for an image: ``uint8`` array of shape ``(height, width, 3)``.
    """

    ending: str
    problem: str
    remark: str
    make: Callable[[np.ndarray], bytes]


def encoded(image: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """An image as the bytes of a file.

    Args:
        image: ``uint8`` array of shape ``(height, width)`` or ``(height, width, 3)``, or a Pillow
            image.
        kind: Pillow's name of the format.
        **options: For Pillow.

    Returns:
        The bytes.
    """
    buffer = io.BytesIO()
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def frame_kinds() -> dict[str, Defect]:
    """More than one picture in a file.

    Returns:
        The kinds by name.
    """

    def film(image: np.ndarray, kind: str) -> bytes:
        first, *others = (Image.fromarray(np.roll(image, 3 * k, 1)) for k in range(FRAMES))
        return encoded(first, kind, save_all=True, append_images=others)

    moving = f"animation of {FRAMES} frames"
    pages = f"{FRAMES} pictures in one file"
    return {
        "animated GIF": Defect(".gif", "", moving, partial(film, kind="GIF")),
        "animated WEBP": Defect(".webp", "", moving, partial(film, kind="WEBP")),
        "animated PNG": Defect(".png", "", moving, partial(film, kind="PNG")),
        "TIFF of several pages": Defect(".tif", "", pages, partial(film, kind="TIFF")),
        "MPO of several pictures": Defect(".mpo", "", pages, partial(film, kind="MPO")),
    }


def mode_kinds() -> dict[str, Defect]:
    """Ways to store colours.

    Returns:
        The kinds by name. AVIF is left out where Pillow was built without it.
    """

    def stored(image: np.ndarray, mode: str, kind: str, **options: object) -> bytes:
        # Without its colour profile, which would hold the time of day.
        return encoded(Image.fromarray(image).convert(mode), kind, icc_profile=None, **options)

    def values(image: np.ndarray, dtype: str, factor: float, kind: str) -> bytes:
        return encoded(
            Image.fromarray((image[..., 0].astype("float64") * factor).astype(dtype)), kind
        )

    rows = (  # name, mode, format, ending
        ("grey", "L", "PNG", ".png"),
        ("1 bit", "1", "PNG", ".png"),
        ("grey with alpha", "LA", "PNG", ".png"),
        ("colour with alpha", "RGBA", "PNG", ".png"),
        ("palette", "P", "PNG", ".png"),
        ("CMYK JPEG", "CMYK", "JPEG", ".jpg"),
        ("CMYK TIFF", "CMYK", "TIFF", ".tif"),
        ("LAB TIFF", "LAB", "TIFF", ".tif"),
        ("GIF", "P", "GIF", ".gif"),
        ("ICO", "RGBA", "ICO", ".ico"),
        ("AVIF", "RGB", "AVIF", ".avif"),
        ("JPEG 2000", "RGB", "JPEG2000", ".jp2"),
        ("TGA", "RGB", "TGA", ".tga"),
        ("PPM", "RGB", "PPM", ".ppm"),
    )
    clear = partial(stored, mode="P", kind="PNG", transparency=0)
    numbers = (
        ("16-bit PNG", "uint16", 257, "PNG", ".png"),
        ("16-bit TIFF", "uint16", 257, "TIFF", ".tif"),
        ("32-bit TIFF", "int32", 70000, "TIFF", ".tif"),
        ("float TIFF", "float32", 1 / 255, "TIFF", ".tif"),
    )
    return {
        "palette with transparency": Defect(".png", "", "", clear),
        **{
            name: Defect(ending, "", "", partial(stored, mode=mode, kind=kind))
            for name, mode, kind, ending in rows
            if kind != "AVIF" or features.check("avif")
        },
        **{
            name: Defect(ending, "", "", partial(values, dtype=dtype, factor=factor, kind=kind))
            for name, dtype, factor, kind, ending in numbers
        },
    }


def look_kinds() -> dict[str, Defect]:
    """Pictures that are good files, and yet not what a data set should hold.

    Returns:
        The kinds by name.
    """

    def changed(image: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> bytes:
        return encoded(change(Image.fromarray(image)))

    def resized(width: int, height: int) -> Callable[[Image.Image], Image.Image]:
        return lambda image: image.resize((width, height))

    changes: dict[str, Callable[[Image.Image], Image.Image]] = {
        "same picture, smaller": lambda image: image.resize((image.width // 2, image.height // 2)),
        "same picture, brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.2),
        "black": lambda image: image.point(lambda value: 0),
        "white": lambda image: image.point(lambda value: 255),
        "blurred": lambda image: image.filter(ImageFilter.GaussianBlur(image.width / 12)),
        "very wide": resized(5000, 1),
        "very high": resized(1, 5000),
        "one pixel": resized(1, 1),
        "many pixels": lambda image: image.convert("1").resize((6000, 4000)),
    }
    return {
        **{
            name: Defect(".png", "", "", partial(changed, change=it))
            for name, it in changes.items()
        },
        "same picture, recompressed": Defect(
            ".jpg", "", "", lambda image: encoded(image, "JPEG", quality=30)
        ),
        "same pixels, other format": Defect(".bmp", "", "", lambda image: encoded(image, "BMP")),
    }
