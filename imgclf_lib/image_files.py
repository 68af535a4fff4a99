"""Files that may be anything: read without waiting, opened without trust, refused with a reason."""

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image, ImageFile

from imgclf_lib.errors import InputError
from imgclf_lib.formats import explain, read_formats
from imgclf_lib.pillow_warnings import collect_warnings

MAXIMUM_BYTES = 500_000_000  # a larger file is no image that the pixel limit would let through
MAXIMUM_PIXELS = 89_000_000  # beyond this Pillow speaks of a decompression bomb


class BadImage(InputError):
    """A file that did not become pixels.

    Args:
        problem: The kind, one of ``pixels.CONTENT_PROBLEMS``.
        detail: What exactly.
    """

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(f"{problem}: {detail}")
        self.problem, self.detail = problem, detail


def open_image(source: bytes | Path) -> ImageFile.ImageFile:
    """Open one image without decoding its pixels yet.

    Args:
        source: The bytes of a file, or its path.

    Returns:
        A Pillow image that needs no open file.

    Raises:
        BadImage: If it is no image, or has more than 500 MB or 89 million pixels.
    """
    # From memory: Pillow leaves a file open when decoding it fails.
    raw = source if isinstance(source, bytes) else read_file(source)
    with contained(raw):
        return open_bytes(raw)


def open_bytes(raw: bytes) -> ImageFile.ImageFile:
    """As ``open_image``, for use inside of ``contained``.

    Args:
        raw: The bytes of a file.

    Returns:
        A Pillow image.

    Raises:
        BadImage: If there are no bytes, or the image has more than 89 million pixels. Pillow
            raises many other kinds of errors.
    """
    if not raw:
        raise BadImage("empty", "the file has no bytes")
    image = Image.open(io.BytesIO(raw), formats=read_formats())
    if image.width * image.height > MAXIMUM_PIXELS:
        size = f"{image.width} x {image.height} pixels"
        raise BadImage("too large", f"{size} are too many to decode safely")
    return image


def read_file(path: Path) -> bytes:
    """Read a file that may be anything, without waiting for anybody.

    Args:
        path: The file.

    Returns:
        Its bytes.

    Raises:
        BadImage: If it cannot be read, is a pipe, a socket or a device, or has more than 500 MB.
    """
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  faster, for many files
            raise BadImage("special file", "a folder, pipe, socket or device, not a file")
        # Should it have become a pipe meanwhile, opening it must not wait for a writer.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with open(os.open(path, flags), "rb", buffering=0) as file:  # noqa: PTH123  has no path
            state = os.fstat(file.fileno())
            if not stat.S_ISREG(state.st_mode):
                raise BadImage("special file", "a folder, pipe, socket or device, not a file")
            if state.st_size > MAXIMUM_BYTES:
                raise BadImage("too large", f"a file of {state.st_size / 1e6:,.0f} MB")
            return file.readall()
    except OSError as error:
        raise BadImage("unreadable", error.strerror or type(error).__name__) from error
    except ValueError as error:  # a name that no file can have
        raise BadImage("unreadable", str(error)) from error


@contextmanager
def contained(source: bytes | Image.Image) -> Iterator[list[str]]:
    """Collect Pillow's warnings, and turn whatever it raises into a ``BadImage``.

    Args:
        source: The bytes that are decoded, for the reason; or a Pillow image.

    Yields:
        A list that grows by each warning.

    Raises:
        BadImage: If the block raises any ``Exception``.
    """
    try:
        with collect_warnings() as heard:
            yield heard
    except BadImage:
        raise
    except Exception as error:  # Pillow raises many kinds for damaged files
        raw = source if isinstance(source, bytes) else b""
        raise BadImage(*explain(error, raw)) from error
