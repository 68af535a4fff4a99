"""Facts about one image file, or the true reason why it is none; no file makes this fail."""

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from imgclf_lib.image_files import BadImage, collect_warnings, image_suffixes, read_file
from imgclf_lib.pixels import decode

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
# Rows of a discrete cosine transform of type 2: its 8 lowest frequencies on 32 values.
COSINES = 2 * np.cos(np.pi * np.arange(8)[:, np.newaxis] * (2 * np.arange(32) + 1) / 64)
SAME_FORMAT = {"MPO": "JPEG", "DIB": "BMP", "CUR": "ICO"}


class Inspected(NamedTuple):
    """What one file is.

    Args:
        pixels: ``uint8`` array of shape ``(size, size, channels)``, or None if it is not decoded.
        width: Width of the upright image, in pixels; 0 if it is not decoded.
        height: Its height, likewise.
        mode: Pillow's mode of the file, such as ``RGB``; "" if it is not decoded.
        hash: Digest of the bytes, 24 hex digits; "" if they could not be read.
        pixel_hash: Digest of ``pixels`` with width and height: the same for equal pictures.
        perceptual_hash: That of ``imagehash.phash``, 16 hex digits: it differs in few bits for
            pictures that look alike.
        brightness: Mean grey, 0 to 255; NaN if unknown.
        sharpness: Variance of the Laplacian of a grey thumbnail, low if blurred; NaN if unknown.
            The thumbnail has a longest side of 64 pixels, so that files of different sizes can be
            compared; smaller images are taken as they are.
        problem: "" if the file can be used, else a kind from ``CONTENT_PROBLEMS``.
        detail: What exactly the problem is; for a good file a remark, or "".
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


def inspect_file(path: Path, size: int, channels: int, resize: str) -> Inspected:
    """Decode and measure one file. It is only read, never waited for, and may hold anything.

    Args:
        path: The file.
        size: Height and width of the pixels wanted.
        channels: 1 for grey, 3 for colour.
        resize: ``pad``, ``crop`` or ``squash``.

    Returns:
        All that is known of it. A file that cannot be used has a ``problem``; nothing is raised.
    """
    raw, digest = b"", ""
    try:
        raw = read_file(path)
        digest = _digest(raw)
        decoded = decode(raw, size, channels, resize)
        remarks = [_ending_remark(path, decoded.file), _frames_remark(decoded.file, len(raw))]
        detail = "; ".join(filter(None, [*remarks, decoded.remark]))
        pixels, width, height, mode = decoded[:4]
        pixel_hash = _digest(np.ascontiguousarray(pixels), f"{width} x {height}".encode())
        facts = (width, height, mode, digest, pixel_hash, *measure(decoded.whole))
        return Inspected(pixels, *facts, problem="", detail=detail)
    except BadImage as error:
        problem, detail = error.problem, error.detail
    except Exception as error:  # of measuring, as when memory runs out
        problem, detail = "damaged", f"it cannot be measured ({type(error).__name__})"
    if problem == "not an image" and path.suffix.lower() not in image_suffixes():
        problem = "unknown extension"
    return Inspected(hash=digest, problem=problem, detail=detail)


def measure(image: Image.Image) -> tuple[str, float, float]:
    """Look at a picture as a whole.

    Args:
        image: A Pillow image in mode ``L`` or ``RGB``.

    Returns:
        Perceptual hash, brightness and sharpness, as ``Inspected`` describes them.
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
    small = grey.astype("float64")
    waves = (COSINES @ small @ COSINES.T).round(6).ravel()  # rounded: a flat picture has no waves
    middle = np.sort(waves)[31:33].sum() / 2
    return np.packbits(waves > middle).tobytes().hex()


def _sharpness(grey: np.ndarray) -> float:
    """Variance of the Laplacian (Pech-Pacheco and others, 2000) of all but the border."""
    middle, above, below = grey[1:-1, 1:-1], grey[:-2, 1:-1], grey[2:, 1:-1]
    if not middle.size:
        return 0.0
    edges = (above + below + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * middle).ravel()
    return float(edges @ edges) / edges.size - (float(edges.sum()) / edges.size) ** 2


def _digest(*parts: Any) -> str:
    digest = hashlib.blake2b(digest_size=12)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


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
