"""Files that may be anything: read without waiting, named by their bytes, refused with a reason."""

import ctypes
import io
import logging
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import PIL
from PIL import Image, ImageFile, ImagePalette, JpegImagePlugin, UnidentifiedImageError

from imgclf_lib.errors import InputError
from imgclf_lib.storage import stamp_of

MAXIMUM_BYTES = 500_000_000  # a larger file is no image that the pixel limit would let through
MAXIMUM_PIXELS = 89_000_000  # to be decoded; beyond this Pillow speaks of a decompression bomb
MAXIMUM_JPEG = (
    1_000_000_000  # pixels of a JPEG, of which a 64th is decoded; phones write 200 million
)
# What Pillow decodes by itself. Left out on purpose: formats that start another program (EPS), that
# open a file inside the file (IPTC), that have no signature and would take any bytes (SPIDER, IMT,
# PCD), that unpack without a bound (FITS), and those that Pillow only names.
READ = (
    *("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "AVIF", "JPEG2000", "PPM", "ICO", "CUR"),
    *("ICNS", "PSD", "DDS", "QOI", "SGI", "PCX", "DCX", "FLI", "DIB", "SUN", "MSP", "PIXAR"),
    *("XBM", "XPM", "XVTHUMB", "BLP", "FTEX", "GBR", "MCIDAS", "TGA"),
)
# Endings of pictures that Pillow does not know.
MORE_SUFFIXES = (".heic", ".heif", ".jxl", ".svg", ".dcm", ".psb", ".raw")
CONTENT = "its content is {}"
HEIC = "HEIC photos are not read; convert them to JPEG"
OTHERS = (  # where, signature, kind of problem, words
    (0, b"%!PS", "unsupported format", "EPS and PostScript are not read; export it as PNG"),
    (0, b"\xc5\xd0\xd3\xc6", "unsupported format", "EPS is not read; export it as PNG"),
    (0, b"\xd7\xcd\xc6\x9a", "unsupported format", "WMF is not read; export it as PNG"),
    (40, b" EMF", "unsupported format", "EMF is not read; export it as PNG"),
    (0, b"\xff\x0a", "unsupported format", "JPEG XL is not read; convert it to JPEG or PNG"),
    (4, b"JXL \r\n\x87\n", "unsupported format", "JPEG XL is not read; convert it to JPEG or PNG"),
    (128, b"DICM", "unsupported format", "DICOM is not read; export it as PNG"),
    (0, b"SIMPLE  =", "unsupported format", "FITS is not read; export it as TIFF"),
    (0, b"\x89HDF\r\n\x1a\n", "unsupported format", "HDF5 is not read; export its images as PNG"),
    (0, b"BUFR", "unsupported format", "BUFR is not read"),
    (0, b"GRIB", "unsupported format", "GRIB is not read"),
    (0, b"\x00\x00\x01\xb3", "unsupported format", "MPEG videos are not read; export frames"),
    (0, b"\x00\x00\x01\xba", "unsupported format", "MPEG videos are not read; export frames"),
    (0, b"%PDF", "not an image", CONTENT.format("a PDF document")),
    (0, b"PK\x03\x04", "not an image", CONTENT.format("a zip archive (or an office document)")),
    (0, b"PK\x05\x06", "not an image", CONTENT.format("an empty zip archive")),
    (0, b"\x1f\x8b", "not an image", CONTENT.format("gzip data")),
    (0, b"7z\xbc\xaf\x27\x1c", "not an image", CONTENT.format("a 7z archive")),
    (0, b"Rar!\x1a\x07", "not an image", CONTENT.format("a RAR archive")),
    (0, b"BZh", "not an image", CONTENT.format("bzip2 data")),
    (0, b"\xfd7zXZ\x00", "not an image", CONTENT.format("xz data")),
    (257, b"ustar", "not an image", CONTENT.format("a tar archive")),
    (0, b"\x1aE\xdf\xa3", "not an image", CONTENT.format("a video (Matroska or WebM)")),
    (8, b"AVI ", "not an image", CONTENT.format("a video (AVI)")),
    (8, b"WAVE", "not an image", CONTENT.format("sound (WAV)")),
    (0, b"OggS", "not an image", CONTENT.format("sound or video (Ogg)")),
    (0, b"ID3", "not an image", CONTENT.format("sound (MP3)")),
    (0, b"\x7fELF", "not an image", CONTENT.format("a program")),
    (0, b"\x93NUMPY", "not an image", CONTENT.format("a NumPy array")),
    (0, b"SQLite format 3", "not an image", CONTENT.format("an SQLite database")),
    (0, b"\x00\x05\x16\x07", "not an image", CONTENT.format("a side file of macOS")),
    (0, b"\x00\x00\x00\x01Bud1", "not an image", CONTENT.format("a folder view of macOS")),
    (0, b"\xd0\xcf\x11\xe0", "not an image", CONTENT.format("an OLE container, as Thumbs.db")),
    (0, b"version https://git-lfs", "not an image", "a Git LFS pointer; fetch with git lfs pull"),
)
BANDS = "More samples per pixel than can be decoded: "  # what Pillow logs about a TIFF
LOST = "damaged metadata"
LIBTIFF, MOST_HEARD = "libtiff", 5  # who speaks in a remark, and how many remarks on a file
UNREAD_WORDS = (
    *("unsupported", "not supported", "unknown", "unimplemented", "not available"),
    *("not implemented", "not configured", "cannot handle"),
)
# Compressions of TIFF that exist and that Pillow has no name for.
COMPRESSIONS = {
    **dict.fromkeys(("33003", "33004", "33005", "34712"), "JPEG 2000"),
    **dict.fromkeys(("50002", "52546"), "JPEG XL"),
    **{"32908": "PixarFilm", "32909": "PixarLog", "34661": "JBIG", "34887": "LERC"},
    **{"34892": "lossy JPEG", "34933": "PNG", "34934": "JPEG XR"},
}
# What follows the signature of a format, and tells it where that is mangled.
MANGLED = {b"IHDR": "PNG", b"JFIF\0": "JPEG", b"Exif\0\0": "JPEG", b"WEBP": "WEBP"}
LARGE_WORDS = ("too large", "decompression bomb", "exceeds limit")


class BadImage(InputError):
    """A file that did not become pixels.

    Args:
        problem: The kind, one of ``CONTENT_PROBLEMS``.
        detail: What exactly.
    """

    def __init__(self, problem: str, detail: str) -> None:
        super().__init__(f"{problem}: {detail}")
        self.problem, self.detail = problem, detail


@cache
def read_formats() -> tuple[str, ...]:
    """The formats that are read here.

    Returns:
        Those of ``READ`` that this version of Pillow has, the most frequent ones first.
    """
    Image.init()
    return tuple(name for name in READ if name in Image.OPEN)


@cache
def image_suffixes() -> dict[str, str]:
    """The file name endings of images.

    Returns:
        Name of the format by ending, in lower case with the dot: those that Pillow opens, also if
        this library does not read them, and a few more of pictures that nothing here reads.
    """
    Image.init()
    known = {
        ending: kind
        for ending, kind in Image.registered_extensions().items()
        if kind in Image.OPEN or kind == "MPO"
    }
    return {**dict.fromkeys(MORE_SUFFIXES, "other"), **known}


def open_bytes(raw: bytes) -> ImageFile.ImageFile:
    """Open one image without decoding its pixels yet; for use inside of ``contained``."""
    if not raw:
        raise BadImage("empty", "the file has no bytes")
    image = open_image(io.BytesIO(raw))
    check_pixels(
        image, MAXIMUM_JPEG if isinstance(image, JpegImagePlugin.JpegImageFile) else MAXIMUM_PIXELS
    )
    if image.format in ("BMP", "DIB"):
        _mend_palette(image, raw[14 * (image.format == "BMP") :][:16])
    return image


def open_image(source: Path | io.BytesIO) -> ImageFile.ImageFile:
    """Open one image without decoding its pixels yet.

    Args:
        source: A file or its bytes.

    Returns:
        Pillow's image of a format that is read here. A JPEG may be of any size, since it may be
        decoded at a fraction of it.

    Raises:
        Exception: Whatever Pillow raises, of many kinds.
    """
    try:
        return Image.open(source, formats=read_formats())
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        if isinstance(source, io.BytesIO):
            source.seek(0)
        try:
            return JpegImagePlugin.jpeg_factory(source)  # type: ignore[arg-type]
        except SyntaxError:
            pass  # no JPEG
        raise


def check_pixels(image: Image.Image, most: int) -> None:
    """Refuse what is too large to decode safely."""
    if image.width * image.height > most:
        size = f"{image.width} x {image.height} pixels"
        raise BadImage("too large", f"{size} are too many to decode safely")


def _mend_palette(image: ImageFile.ImageFile, header: bytes) -> None:
    """Pillow takes a grey palette for 1 or 8 bits a pixel, however many the file has."""
    bits = int.from_bytes(header[10:12] if header[:1] == b"\x0c" else header[14:16], "little")
    if image.mode not in ("1", "L") or bits == {"1": 1, "L": 8}[image.mode]:
        return
    greys = (0, 255) if image.mode == "1" else range(256)
    tile = image.tile[0]
    if tile.codec_name == "raw":
        name = {4: "P;4", 8: "P"}[bits]
        image.tile = [tile._replace(args=(name, *tile.args[1:]))]  # type: ignore[index]
    image.palette = ImagePalette.raw("RGB", bytes(v for grey in greys for v in 3 * [grey]))
    image._mode = "P"


def read_file(path: Path) -> bytes:
    """Read a file that may be anything, without waiting for anybody."""
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
            raw = file.readall()
            if stamp_of(os.fstat(file.fileno())) != stamp_of(state):
                raise BadImage("unreadable", "it changed while it was read")
            return raw
    except OSError as error:
        raise BadImage("unreadable", error.strerror or type(error).__name__) from error
    except ValueError as error:  # a name that no file can have
        raise BadImage("unreadable", str(error)) from error


@contextmanager
def contained(source: bytes | Image.Image) -> Iterator[list[str]]:
    """Collect Pillow's warnings, and turn whatever it raises into a ``BadImage``."""
    with collect_warnings() as heard:
        try:
            yield heard
        except BadImage:
            raise
        except Exception as error:  # Pillow raises many kinds for damaged files
            raw = source if isinstance(source, bytes) else b""
            raise BadImage(*_explain(error, raw, heard)) from error


@contextmanager
def collect_warnings() -> Iterator[list[str]]:
    """Collect what Pillow warns of, or logs, in this thread.

    ``warnings.catch_warnings`` changes the whole process and is not safe in threads: one that
    leaves early would let the warnings of the others be printed. So the first thread that comes
    in opens it, the last one out closes it, and each hears only its own warnings; those of other
    threads and other packages go on as before.

    Yields:
        A list that grows by the text of each warning; a warning of the module that reads EXIF and
        TIFF data becomes "damaged metadata".

    Raises:
        DecompressionBombWarning: If Pillow warns of one: only an error stops the decoding.
    """
    if getattr(_own, "heard", None) is not None:  # inside another of these
        yield _own.heard
        return
    _own.heard = []
    _listen_to_libtiff()
    _door.open()
    try:
        yield _own.heard
    finally:
        _door.leave()
        _own.heard = None


def _format_of(raw: bytes) -> str:
    """The format that the first bytes of a file promise, one of ``READ``; "" if none of these."""
    prefix = raw[:16].ljust(16, b"\0")  # some of Pillow's tests fail on a few bytes
    accepts = ((name, Image.OPEN[name][1]) for name in read_formats() if raw)
    return next((name for name, accept in accepts if accept and accept(prefix)), "")


def _explain(error: Exception, raw: bytes, heard: list[str]) -> tuple[str, str]:
    """The true reason why bytes did not become an image: kind of problem, and what exactly."""
    if isinstance(error, MemoryError):
        return "too large", "decoding it needs more memory than there is"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return "too large", _words(error).partition(" exceeds")[0] + ": too much to decode safely"
    name = _format_of(raw)
    if raw and (other := _other(raw, name)):
        return other
    if isinstance(error, UnidentifiedImageError):
        mangled = next((MANGLED[each] for each in MANGLED if each in raw[:40]), "")
        if not name and mangled:
            return (
                "damaged",
                f"{mangled}: its first bytes are mangled, as by a transfer as text",
            )
        if not name:
            return "not an image", CONTENT.format("of no kind of image that Pillow knows")
        error = _error_of(name, raw)
    bands = [each.removeprefix(BANDS) for each in heard if each.startswith(BANDS)]
    words = f"{bands[0]} bands are more than can be read" if bands else _words(error)
    if name == "TIFF" and isinstance(error, SyntaxError) and str(error).isdecimal():
        kind = COMPRESSIONS.get(str(error))
        words = f"compression {error}{f' ({kind})' if kind else ''} is not "
        words += "supported" if kind else "one that exists"
    words += "".join(f" ({each})" for each in [e for e in heard if e.startswith(LIBTIFF)][:1])
    detail, said = f"{name}: {words}" if name else words, words.lower()
    if any(word in said for word in LARGE_WORDS):
        return "too large", detail
    # A TIFF file that says not where its pixels are has lost its end, and so have lost values; what
    # a decompressor of libtiff does not know is not a format.
    lost = "data organization" in said or LOST in heard
    lost |= LIBTIFF in said and not any(word in said for word in UNREAD_WORDS if word != "unknown")
    if bands or (any(word in said for word in UNREAD_WORDS) and not lost):
        return "unsupported format", detail
    return "damaged", detail


def _other(raw: bytes, name: str) -> tuple[str, str] | None:
    """What the content is, if it is surely something else than an image that is read."""
    for where, signature, problem, words in OTHERS:
        if raw[where : where + len(signature)] == signature and name != "WEBP":
            return problem, words
    if raw[4:8] == b"ftyp" and raw[8:12] not in (b"avif", b"avis"):
        if raw[8:11] in (b"hei", b"hev") or raw[8:12] in (b"mif1", b"msf1"):
            return "unsupported format", HEIC
        return "not an image", CONTENT.format("a video (MP4 or QuickTime)")
    if not raw.strip(b"\0"):
        return "not an image", CONTENT.format("nothing but zero bytes")
    start = raw[:2048].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if b"<svg" in start and start.startswith(b"<"):
        return "unsupported format", "SVG drawings are not read; export it as PNG"
    if start.startswith((b"<!doctype html", b"<html")) or b"<html" in start[:512]:
        page = "an HTML page, often the error page of a failed download"
        return "not an image", CONTENT.format(page)
    if name not in ("PPM", "XPM", "XBM") and all(9 <= each < 127 for each in raw[:512]):
        return "not an image", CONTENT.format("text")
    return None


def _error_of(name: str, raw: bytes) -> Exception:
    """What the reader of one format says; ``Image.open`` keeps it to itself."""
    try:
        Image.OPEN[name][0](io.BytesIO(raw), "")
    except Exception as error:  # Pillow raises many kinds for damaged files
        return error
    return ValueError("it cannot be read")


def _words(error: Exception) -> str:
    """The message of an error in one line, without addresses in memory."""
    words = " ".join(str(error).split()).partition(" <_io.")[0]
    name = type(error).__name__
    return words[:300] if any(map(str.isalpha, words)) else f"{name}: {words}".rstrip(": ")


class _Door(logging.Handler):
    """Open while at least one thread is inside."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.guard, self.inside = threading.Lock(), 0
        self.context, self.before = warnings.catch_warnings(), warnings.showwarning

    def open(self) -> None:
        with self.guard:
            if not self.inside:
                self.context, self.before = warnings.catch_warnings(), warnings.showwarning
                self.context.__enter__()
                warnings.filterwarnings("always", module=r"PIL\.")
                warnings.showwarning = self.hear
                _logger.addHandler(self)
                _logger.propagate = False
            self.inside += 1

    def leave(self) -> None:
        with self.guard:
            self.inside -= 1
            if not self.inside:
                self.context.__exit__(None, None, None)
                _logger.removeHandler(self)
                _logger.propagate = True

    def emit(self, record: logging.LogRecord) -> None:
        heard = getattr(_own, "heard", None)
        if heard is None:  # of a thread that is not inside
            logging.getLogger().handle(record)
        elif record.getMessage() not in heard:
            heard.append(record.getMessage())

    def hear(self, message: Any, category: Any, filename: str, *more: Any, **rest: Any) -> None:
        heard = getattr(_own, "heard", None)
        if heard is None or Path(filename).parent.name != "PIL":
            self.before(message, category, filename, *more, **rest)
        elif issubclass(category, Image.DecompressionBombWarning):
            raise Image.DecompressionBombWarning(str(message))
        else:
            text = LOST if "TiffImagePlugin" in filename else str(message)
            if text not in heard:
                heard.append(text)


def _note(module: bytes, form: bytes, values: int) -> None:
    """What libtiff says, which would go to the terminal, is for whoever decodes in this thread."""
    text = ctypes.create_string_buffer(300)
    ctypes.CDLL(None).vsnprintf(text, 300, ctypes.c_char_p(form), ctypes.c_void_p(values))
    spoke = b"" if module == b"tempfile.tif" else module  # so Pillow calls every file
    words = b": ".join(filter(None, [LIBTIFF.encode(), spoke, text.value]))
    heard = getattr(_own, "heard", None)
    if heard is not None and len(heard) < MOST_HEARD:
        heard.append(" ".join(words.decode("ascii", "replace").split()))


_Note = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)
_note_errors, _note_nothing = _Note(_note), _Note(lambda *_: None)


@cache
def _listen_to_libtiff() -> None:
    """Redirect the errors of the libtiff that Pillow's wheels bring; its warnings are dropped."""
    home = Path(PIL.__file__).parent
    for path in [*home.parent.glob("pillow.libs/libtiff*"), *home.glob(".dylibs/libtiff*")]:
        library = ctypes.CDLL(str(path))
        library.TIFFSetErrorHandler(_note_errors)
        library.TIFFSetWarningHandler(_note_nothing)


_logger = logging.getLogger("PIL")
_own, _door = threading.local(), _Door()
