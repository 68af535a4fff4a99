"""The one pixel path: every image, from any file, becomes ``uint8`` in the same way.

Training, evaluation and prediction all decode here, so that they see the same pixels. And the
facts about one image file, or the true reason why it is none; no file makes this fail.
"""

import math
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import ExifTags, Image, ImageOps
from scipy.fft import dctn
from scipy.ndimage import laplace

from imgclf_lib.files.reading import (
    MAXIMUM_PIXELS,
    BadImage,
    check_pixels,
    collect_warnings,
    contained,
    image_suffixes,
    open_bytes,
    read_file,
)
from imgclf_lib.storage import digest

BACKGROUND = (255, 255, 255)  # what shows through transparent pixels, and around padded images
BITS = (10, 12, 14, 16)  # of those that grey values are stored in, so many may be used
FEW_LEVELS = 8  # a picture whose channels span fewer grey levels shows next to nothing
FAR = 16  # times as far apart as all others may be the few values at the ends of a stretched range
LEAST_SIDE = 128  # a JPEG is never decoded smaller than this, so that its sharpness can be told
TURNS = {  # what to do by EXIF value; whether across is then mirrored, and down
    2: (Image.Transpose.FLIP_LEFT_RIGHT, True, False),
    3: (Image.Transpose.ROTATE_180, True, True),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, False, True),
    5: (Image.Transpose.TRANSPOSE, False, False),
    6: (Image.Transpose.ROTATE_270, True, False),
    7: (Image.Transpose.TRANSVERSE, True, True),
    8: (Image.Transpose.ROTATE_90, False, True),
}
Box = tuple[float, float, float, float]  # left, top, right, bottom
CONTENT_PROBLEMS = {
    "empty": "The file has no bytes: copy it again from where it came.",
    "damaged": "The file is damaged or cut short: copy or download it again, or save it anew.",
    "not an image": "The name ends like an image, the content is something else: remove it.",
    "unknown extension": "Neither the name nor the content is an image: remove it, or let it be.",
    "unsupported format": "A kind of image that is not read here: convert it to JPEG or PNG.",
    "too large": "Decoding it would take too much memory: make it smaller, if it can be trusted.",
    "unreadable": "The file cannot be opened: look at its permissions, and whether it is there.",
    "special file": "Not a file but a folder, pipe, socket or device: remove it.",
}
THUMBNAIL = 64  # longest side, in pixels, of what perceptual hash and sharpness are taken from
COUNTED_BYTES = 1_000_000  # frames of a GIF or TIFF can only be counted by walking through them
SAME_FORMAT = {"MPO": "JPEG", "DIB": "BMP", "CUR": "ICO"}


class Decoded(NamedTuple):
    """One decoded image.

    Args:
        pixels: ``uint8`` array of shape ``(size, size, channels)``, 0 to 255.
        width: Width in the file, after its orientation is applied, in pixels.
        height: Height in the file, likewise.
        mode: Pillow's mode of the file: ``L`` grey, ``RGB`` colour, and others.
        whole: The upright image before it was resized, mode ``L`` or ``RGB``. Of a large JPEG a
            reduced one, see ``decode``.
        file: Pillow's image of the file, which names its format and its frames.
        remark: What is odd about the file although its pixels are fine, or "".
        deep: Whether Pillow itself reduced 16 bits a channel to 8.
        greatest: The largest value, if grey values are stored in 16 bits; else 0.
    """

    pixels: np.ndarray
    width: int
    height: int
    mode: str
    whole: Image.Image
    file: Image.Image
    remark: str
    deep: bool = False
    greatest: int = 0


def decode(
    source: bytes | Path | Image.Image, size: int, channels: int, resize: str, bits: int = 16
) -> Decoded:
    """Decode one image completely and bring it to the size and colours asked for.

    The orientation in its EXIF data is applied, other modes are brought to 8 bits as
    ``_to_eight_bits`` says, and shrinking is antialiased. Of an animation the first frame is taken.

    A JPEG of more than twice the size is decoded at 1/2, 1/4 or 1/8 of it, which its format makes
    cheap, but to at least twice the size in both directions (and 128 pixels), from which it is
    resized as usual. A Pillow image is taken as it is, in full.

    Args:
        source: The bytes of a file, its path, or a Pillow image.
        size: Height and width of the result, in pixels.
        channels: 1 for grey, 3 for colour.
        resize: ``pad``, ``crop`` or ``squash``.
        bits: How many bits of grey values that are stored in 16 are used: of a camera perhaps 12.
            It belongs to a data set, not to an image; see ``bits_of``.

    Returns:
        The pixels and what the file said about itself.

    Raises:
        BadImage: If it cannot be decoded, for whatever reason; nothing else is raised for a file.
    """
    if isinstance(source, Path):
        source = read_file(source)
    with contained(source) as heard:
        image = source if isinstance(source, Image.Image) else open_bytes(source)
        mode, (width, height) = image.mode, image.size
        extent = _reduce(image, size, resize) if image is not source else image.size
        if image is not source:  # a progressive one is held in memory before it is reduced
            share = image.width * image.height / (width * height)
            check_pixels(image, int(MAXIMUM_PIXELS * (share if "progressive" in image.info else 1)))
        deep = any(_is_deep(tile.args) for tile in getattr(image, "tile", ()))
        image.load()
        value, remark = _orientation(image)
        upright, box = _turn(image, extent, value)
        if value > 4:
            width, height = height, width
        whole = _to_eight_bits(upright, heard, bits)
        if (deep or mode.startswith("I")) and (words := _hardly_used(whole, image, deep)):
            heard.append(words)
        asked = "RGB" if channels == 3 else "L"
        small = whole if whole.mode == asked else whole.convert(asked)
        if small.size != (size, size):
            small = _resize(small, size, resize, box)
        pixels = np.asarray(small, "uint8").reshape(size, size, channels)
        remarks = dict.fromkeys([*([remark] if remark else []), *heard])
        remark, greatest = "; ".join(remarks), _greatest(image)
        return Decoded(pixels, width, height, mode, whole, image, remark, deep, greatest)


def _is_deep(args: object) -> bool:
    """Whether a raw mode of Pillow has several channels of 16 bits, such as ``RGB;16B``."""
    name = str(args[0] if isinstance(args, tuple) and args else args)
    return name.startswith(("RGB", "CMYK", "LA")) and ";16" in name


def _greatest(image: Image.Image) -> int:
    """The largest value of an image that stores grey in 16 bits and does not say how many count."""
    if not image.mode.startswith("I") or image.format == "PPM":
        return 0
    values = np.asarray(image)
    least, greatest = int(values.min(initial=0)), int(values.max(initial=0))
    return greatest if least >= 0 and 255 * (image.mode == "I") < greatest <= 65535 else 0


def bits_of(greatest: Iterable[int]) -> int | None:
    """How many of the 16 bits of grey values a data set uses.

    Args:
        greatest: The largest value of each image, as in ``FileFacts``; 0 if it has not such bits.

    Returns:
        10, 12, 14 or 16; None if no image stores grey values in 16 bits.
    """
    most = max(greatest, default=0)
    return next(bits for bits in BITS if most < 1 << bits) if most else None


def _hardly_used(whole: Image.Image, image: Image.Image, deep: bool) -> str:
    """A remark if 16 bits leave next to nothing of a picture in 8, as 12 bits of a camera may."""
    brightest = max(np.asarray(whole).max(initial=0), 0)
    greatest = 257 * int(brightest) if deep else int(np.asarray(image).max(initial=0))
    if brightest >= 16 or not (deep or greatest > 255 or image.mode != "I"):
        return ""
    return f"16-bit values of which {greatest / 65535:.1%} of the range is used"


def _to_eight_bits(
    image: Image.Image, heard: list[str] | None = None, bits: int = 16
) -> Image.Image:
    """Bring any mode of Pillow to ``L`` or ``RGB`` with 8 bits a channel, without clipping.

    ========================================  ===================================================
    integers of 16 bits (``I;16``)            divided by 257, so that dark images stay dark
    integers of 32 bits (``I``), 0 to 255     as they are
    integers of 32 bits, 0 to 65535           divided by 257
    both, where all of a data set use fewer   divided by the greatest value of 10, 12 or 14 bits
    bits                                      and multiplied by 255
    other integers, and floats (``F``)        stretched from their least to their greatest value;
                                              infinite values become 0 and 255, and NaN 0; a
                                              thousandth at each end is clipped if it is far off
    transparent pixels                        show white; black where white leaves nothing to see
    pictures that are transparent everywhere  as if they were not
    palettes, CMYK, YCbCr, LAB, HSV, 1 bit    as Pillow converts them
    ========================================  ===================================================

    Pillow itself reduces colour of 16 bits a channel to 8 when it decodes. What was done that one
    may want to know is added to ``heard``.
    """
    mode, heard = image.mode, [] if heard is None else heard
    if mode in ("L", "RGB") and "transparency" not in image.info:
        return image
    if mode.startswith("I"):
        values = np.asarray(image)
        least, greatest = int(values.min(initial=0)), int(values.max(initial=0))
        if least >= 0 and greatest <= 65535:
            if image.format == "PPM":  # it says itself how many bits count
                bits = 16
            wide = mode != "I" or greatest > 255 or image.format == "PPM" or bits < 16
            share = ((1 << bits) - 1) / 255 if wide else 1
            table = (np.arange(65536) / share).round().clip(0, 255).astype("uint8")
            return Image.fromarray(table[values])
        return _stretch(values.astype("float32"), heard)
    if mode == "F":
        return _stretch(np.array(image, "float32"), heard)
    if ("A" in mode and mode != "LAB") or "a" in mode or "transparency" in image.info:
        image = image.convert("LA") if mode == "La" else image
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        return _without_alpha(image, heard)
    return image.convert("L" if mode == "1" else "RGB")


def _without_alpha(image: Image.Image, heard: list[str]) -> Image.Image:
    """Mode ``RGBA`` on white, or on what lets something be seen where white does not."""
    below = Image.new("RGB", image.size, BACKGROUND)
    below.paste(image, mask=image.getchannel("A"))
    if _levels(below) >= FEW_LEVELS:
        return below
    if image.getchannel("A").getextrema() == (0, 0):
        other, words = image.convert("RGB"), "transparent everywhere: its colours are shown"
    else:
        other, words = Image.new("RGB", image.size), "light on nothing: it is shown on black"
        other.paste(image, mask=image.getchannel("A"))
    if _levels(other) <= _levels(below):
        return below
    heard.append(words)
    return other


def _levels(image: Image.Image) -> int:
    """How far apart the values of a channel are at most, in mode ``RGB``."""
    return max(high - low for low, high in image.getextrema())  # type: ignore[misc]


def _stretch(values: np.ndarray, heard: list[str]) -> Image.Image:
    """``float32`` array of any values, which is overwritten, to 0 to 255."""
    finite = values[np.isfinite(values)]
    least, greatest = (finite.min(), finite.max()) if finite.size else (0, 0)
    few = max(1, finite.size // 1000)
    if finite.size > 2 * few:
        low, high = np.partition(finite, (few, finite.size - 1 - few))[[few, -1 - few]]
        if high > low and float(greatest) - float(least) > FAR * (float(high) - float(low)):
            heard.append(
                f"values from {least:.4g} to {greatest:.4g} clipped to {low:.4g}, {high:.4g}"
            )
            np.clip(values, low, high, out=values)
            least, greatest = low, high
    np.nan_to_num(values, copy=False, nan=least, posinf=greatest, neginf=least)
    half = np.float32(0.5)  # the span of large values may be infinite, half of it is not
    values *= half
    values -= least * half
    values *= 255 / (float(greatest) / 2 - float(least) / 2 or 1)
    return Image.fromarray(values.round().clip(0, 255).astype("uint8"))


def _reduce(image: Image.Image, size: int, how: str) -> tuple[float, float]:
    """Let a JPEG be decoded at a fraction of its size, no less than twice what is needed."""
    longest, shortest = max(image.size), min(image.size)
    share = {"pad": longest, "crop": shortest, "squash": shortest}[how] / size / 2
    share = min(share, longest / LEAST_SIDE)
    if share >= 2:
        width, height = (math.ceil(side / share - 1e-9) for side in image.size)
        reduced = image.draft(None, (width, height))
        if reduced is not None:
            return reduced[1][2:]
    return image.size


def _orientation(image: Image.Image) -> tuple[int, str]:
    """The EXIF value, 1 to 8, and a remark if the EXIF data cannot be read."""
    value = None
    try:
        if "exif" in image.info:  # not getexif(), which keeps a first failure to itself
            exif = Image.Exif()
            exif.load(image.info["exif"])
            value = exif.get(ExifTags.Base.Orientation)
        if value is None:
            value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Pillow raises many kinds; the pixels are fine nevertheless
        return 1, "damaged metadata"
    return value if isinstance(value, int) and value in TURNS else 1, ""


def _turn(image: Image.Image, extent: tuple[float, float], value: int) -> tuple[Image.Image, Box]:
    """The upright image, and where in it the picture is."""
    if value == 1:
        return image, (0, 0, *extent)
    method, across, down = TURNS[value]
    image = image.transpose(method)
    width, height = extent if value < 5 else extent[::-1]
    left = image.width - width if across else 0
    top = image.height - height if down else 0
    return image, (left, top, left + width, top + height)


def _resize(image: Image.Image, size: int, how: str, box: Box) -> Image.Image:
    whole, filter = (size, size), Image.Resampling.BICUBIC
    left, top, right, bottom = box
    width, height = right - left, bottom - top
    if how == "crop":
        side = min(width, height)
        left, top = left + (width - side) / 2, top + (height - side) / 2
        return image.resize(whole, filter, (left, top, left + side, top + side))
    if how == "pad":
        share = size / max(width, height)
        inner = (max(1, round(width * share)), max(1, round(height * share)))
        color = BACKGROUND if image.mode == "RGB" else BACKGROUND[0]
        return ImageOps.pad(image.resize(inner, filter, box), whole, filter, color)
    return image.resize(whole, filter, box)


class FileFacts(NamedTuple):
    """What one file is.

    Args:
        pixels: ``uint8`` array of shape ``(size, size, channels)``, or None if it is not decoded.
        width: Width of the upright image, in pixels; 0 if it is not decoded.
        height: Its height, likewise.
        mode: Pillow's mode of the file, such as ``RGB``; "" if it is not decoded.
        hash: Digest of the bytes, 24 hex digits; "" if they could not be read.
        pixel_hash: Digest of all pixels of the file: the same for equal pictures, whatever is left
            of them in ``pixels``.
        perceptual_hash: That of ``imagehash.phash``, 16 hex digits: it differs in few bits for
            pictures that look alike.
        brightness: Mean grey, 0 to 255; NaN if unknown.
        sharpness: Variance of the Laplacian of a grey thumbnail, low if blurred; NaN if unknown.
            The thumbnail has a longest side of 64 pixels, so that files of different sizes can be
            compared; smaller images are taken as they are.
        problem: "" if the file can be used, else a kind from ``CONTENT_PROBLEMS``.
        detail: What exactly the problem is; for a good file a remark, or "".
        greatest: The largest value, if grey values are stored in 16 bits; else 0.
    """

    pixels: np.ndarray | None = None
    width: int = 0
    height: int = 0
    mode: str = ""
    hash: str = ""
    pixel_hash: str = ""
    perceptual_hash: str = ""
    brightness: float = float("nan")
    sharpness: float = float("nan")
    problem: str = ""
    detail: str = ""
    greatest: int = 0


def inspect_file(path: Path, size: int, channels: int, resize: str, bits: int = 16) -> FileFacts:
    """Decode and measure one file. It is only read, never waited for, and may hold anything.

    Args:
        path: The file.
        size: Height and width of the pixels wanted.
        channels: 1 for grey, 3 for colour.
        resize: ``pad``, ``crop`` or ``squash``.
        bits: As for ``decode``.

    Returns:
        All that is known of it. A file that cannot be used has a ``problem``; nothing is raised.
    """
    raw, key = b"", ""
    try:
        raw = read_file(path)
        key = digest(raw, end=b"")
        decoded = decode(raw, size, channels, resize, bits)
        remarks = [_ending_remark(path, decoded.file), _frames_remark(decoded.file, len(raw))]
        detail = "; ".join(filter(None, [*remarks, decoded.remark]))
        pixels, width, height, mode = decoded[:4]
        seen = decoded.whole.convert("RGB").tobytes()
        pixel_hash = digest(seen, f"{width} x {height}", _unseen(decoded, raw), end=b"")
        facts = (width, height, mode, key, pixel_hash, *measure_image(decoded.whole))
        return FileFacts(pixels, *facts, problem="", detail=detail, greatest=decoded.greatest)
    except BadImage as error:
        problem, detail = error.problem, error.detail
    except Exception as error:  # of measuring, as when memory runs out
        problem, detail = "damaged", f"it cannot be measured ({type(error).__name__})"
    if problem == "not an image" and path.suffix.lower() not in image_suffixes():
        problem = "unknown extension"
    return FileFacts(hash=key, problem=problem, detail=detail)


def _unseen(decoded: Decoded, raw: bytes) -> bytes:
    """What tells apart files whose ``whole`` pictures are equal because they were reduced."""
    file = decoded.file
    if decoded.whole.size != (decoded.width, decoded.height):
        return raw[_end_of_metadata(raw) :]
    if decoded.deep:
        return raw
    if file.mode.startswith("I") or file.mode == "F":
        return file.tobytes()
    if file.has_transparency_data:
        return file.convert("RGBA").tobytes()
    return b""


def _end_of_metadata(raw: bytes) -> int:
    """Where in a JPEG the segments of applications and the comments have ended."""
    at = 2
    while raw[at : at + 1] == b"\xff" and (raw[at + 1] == 0xFE or 0xE0 <= raw[at + 1] <= 0xEF):
        at += 2 + int.from_bytes(raw[at + 2 : at + 4], "big")
    return at


def measure_image(image: Image.Image) -> tuple[str, float, float]:
    """Look at a picture as a whole.

    Args:
        image: A Pillow image in mode ``L`` or ``RGB``.

    Returns:
        Perceptual hash, brightness and sharpness, as ``FileFacts`` describes them.
    """
    share = THUMBNAIL / max(image.size)
    if share < 1:
        box = [max(1, round(side * share)) for side in image.size]
        image = image.resize((box[0], box[1]), Image.Resampling.BICUBIC, reducing_gap=3)
    image = image.convert("L")
    grey = np.asarray(image, "float32")
    return _perceptual_hash(image, grey), float(grey.sum()) / grey.size, _sharpness(grey)


def _perceptual_hash(image: Image.Image, grey: np.ndarray) -> str:
    """The bits of ``imagehash.phash`` (J. Buchner), which takes 6 times as long.

    N. Krawetz, "Looks like it": the lowest frequencies of a picture of 32 x 32 pixels, each
    compared with their median.
    """
    if image.size != (32, 32):
        grey = np.asarray(image.resize((32, 32), Image.Resampling.LANCZOS))
    waves = dctn(grey.astype("float64"))[:8, :8]
    waves = waves.round(6).ravel()  # rounded: a flat picture has no waves
    middle = np.sort(waves)[31:33].sum() / 2
    return np.packbits(waves > middle).tobytes().hex()


def _sharpness(grey: np.ndarray) -> float:
    """Variance of the Laplacian (Pech-Pacheco and others, 2000) of all but the border."""
    if min(grey.shape) < 3:
        return 0.0
    edges = laplace(grey)[1:-1, 1:-1].ravel()
    return float(edges @ edges) / edges.size - (float(edges.sum()) / edges.size) ** 2


def _ending_remark(path: Path, file: Image.Image) -> str:
    """Whether the ending of the name says something else than the content."""
    kind, ending = file.format or "", os.path.splitext(path)[1].lower()  # noqa: PTH122  faster
    named = image_suffixes().get(ending, "")
    if SAME_FORMAT.get(kind, kind) == SAME_FORMAT.get(named, named):
        return ""
    return f"content is {kind}, the name {f'ends in {ending}' if ending else 'has no ending'}"


def _frames_remark(file: Image.Image, length: int) -> str:
    """Whether there is more in the file than its first frame."""
    if file.format == "JPEG":  # the most frequent one has no frames
        return ""
    counted = "several"
    try:
        with collect_warnings():
            if not getattr(file, "is_animated", False):
                return ""
            if file.format not in ("GIF", "TIFF") or length <= COUNTED_BYTES:
                counted = str(getattr(file, "n_frames", counted))
    except Exception:  # the later frames are damaged: only the first is used anyway
        counted = "several"
    if file.format in ("GIF", "PNG", "WEBP", "AVIF", "FLI"):
        return f"animation of {counted} frames: the first is used"
    return f"{counted} pictures in one file: the first is used"
