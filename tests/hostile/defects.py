"""A folder with every defect and oddity that this machine can make, and what is expected of each.

It proves that no file stops anything, and that every file that is not used has its true reason.
"""

import io
import os
import random
import socket
import struct
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance, ImageFilter, features

FRAMES = 3
NAMES = {  # of good images
    "Chinese, Japanese and Korean name": "猫の写真 고양이 喵.png",
    "emoji in the name": "🐈‍⬛ cat 👍🏽.png",
    "name from right to left": "قطة חתול.png",
    "combining letters in the name": "cafe\u0301 a\u0302\u0323.png",
    "spaces in the name": "  two  spaces .png",
    "quotes in the name": 'it\'s a "cat" `x`.png',
    "line break in the name": "two\nlines.png",
    "markup in the name": "<b>bold<!-- & &amp; $x_1^2$ %d {0} \\n.png",
    "formula in the name": "=1+1,;|.png",
    "very long name": "long" * 60 + ".png",
    "two endings in the name": "archive.tar.gz.png",
}


class Defect(NamedTuple):
    """A kind of file.

    Args:
        ending: Of its name, with the dot.
        problem: What ``inspection.inspect_file`` says of it; "" if the file can be used.
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


def write_defects(
    folder: Path,
    images: Sequence[np.ndarray],
    labels: Sequence[str],
    seed: int = 0,
    splits: bool = False,
) -> pd.DataFrame:
    """Write good images in class folders, and among them one file of each defect and oddity.

    Args:
        folder: Where to write; it must not exist yet.
        images: Good images: ``uint8`` arrays of shape ``(height, width, 3)``, at least 16 x 16.
        labels: The class of each image: names of folders, two or more different ones.
        seed: Decides which class gets which defect.
        splits: Whether everything goes into ``train``, with copies of some images in ``test``.

    Returns:
        A row a file, in the order of writing, with the columns ``path`` (relative to the folder,
        with ``/``), ``kind`` (what it is; "good" for the images), ``problem`` (the expected kind
        of problem, "" if the file can be used) and ``remark`` (what the detail should contain).
        What this machine cannot make has a row too, with an empty path and the reason as remark.
    """
    folder.mkdir(parents=True)
    writer = _Writer(folder / "train" if splits else folder, images, labels, seed)
    counts: dict[str, int] = {}
    for image, label in zip(images, labels, strict=True):
        counts[label] = counts.get(label, -1) + 1
        writer.write(f"{label}/{counts[label]:04}.png", "good", encoded(image))
    for kind, defect in defect_kinds().items():
        number, label = writer.choose()
        name = f"{label}/{kind.replace('/', ' ')}{defect.ending}"
        content = defect.make(images[number])
        writer.write(name, kind, content, defect.problem, defect.remark)
    for kind, name in NAMES.items():
        number, label = writer.choose()
        writer.write(f"{label}/{name}", kind, encoded(images[number]))
    _copies(writer)
    _places(writer)
    _no_files(writer)
    rows = writer.rows
    if splits:
        rows = [(path and f"train/{path}", *rest) for path, *rest in rows]
        for label in sorted(counts):  # leaks: training images once more
            number = list(labels).index(label)
            path = folder / "test" / label / "leaked.png"
            path.parent.mkdir(parents=True)
            path.write_bytes(encoded(images[number]))
            rows.append((f"test/{label}/leaked.png", "copy in another split", "", ""))
    return pd.DataFrame(rows, columns=["path", "kind", "problem", "remark"], dtype="str")


class _Writer:
    """Writes files and remembers what is expected of them."""

    def __init__(
        self, folder: Path, images: Sequence[np.ndarray], labels: Sequence[str], seed: int
    ) -> None:
        self.folder, self.images, self.labels = folder, images, list(labels)
        self.random = random.Random(seed)
        self.rows: list[tuple[str, ...]] = []

    def choose(self) -> tuple[int, str]:
        """A good image: its number and its class."""
        number = self.random.randrange(len(self.labels))
        return number, self.labels[number]

    def write(
        self, name: str, kind: str, content: bytes, problem: str = "", remark: str = ""
    ) -> None:
        self.make(name, kind, lambda path: path.write_bytes(content), problem, remark)

    def make(
        self,
        name: str,
        kind: str,
        act: Callable[[Path], object],
        problem: str = "",
        remark: str = "",
    ) -> None:
        """Let a function make the file; a system that refuses gives a row without a path."""
        path = self.folder / name
        text = os.fsencode(name).decode("utf-8", "backslashreplace")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            act(path)
        except (OSError, ValueError, AttributeError, NotImplementedError) as error:
            text, problem, remark = "", "", f"cannot be made here: {error}"
        self.rows.append((text, kind, problem, remark))


def _copies(writer: _Writer) -> None:
    """The same bytes under another name."""
    number, label = writer.choose()
    same = encoded(writer.images[number])
    writer.write(f"{label}/copy in the same class.png", "copy in the same class", same)
    for other in sorted(set(writer.labels) - {label})[:1]:
        writer.write(f"{other}/copy from another class.png", "copy in another class", same)


def _places(writer: _Writer) -> None:
    """Files that are not where images are looked for, or deeper."""
    number, label = writer.choose()
    good = encoded(writer.images[number])
    writer.write(f"{label}/.hidden.png", "hidden file", good, "hidden")
    writer.write(f"{label}/.thumbnails/small.png", "hidden folder", good, "hidden")
    finder = b"\x00\x00\x00\x01Bud1" + bytes(40)
    writer.write(f"{label}/.DS_Store", "folder view of macOS", finder, "hidden")
    writer.write(f"{label}/._0000.png", "side file of macOS", b"\0\5\x16\7" + bytes(40), "hidden")
    writer.write("loose.png", "image outside a class folder", good, "no class")
    writer.write("README.txt", "notes outside a class folder", b"Photos.\n", "unknown extension")
    writer.write(f"{label}/deeper/and deeper/nested.png", "nested folder", good)


def _no_files(writer: _Writer) -> None:
    """What a folder can hold beside plain files."""
    number, label = writer.choose()
    good = encoded(writer.images[number])
    odd_name = os.fsdecode(b"caf\xe9 \xff.png")
    writer.write(f"{label}/{odd_name}", "name that is not UTF-8", good, "bad name")
    target = writer.folder / label / "0000.png"
    writer.make(f"{label}/link.png", "link to a file", lambda path: path.symlink_to(target))
    writer.make(
        f"{label}/broken link.png",
        "broken link",
        lambda path: path.symlink_to("nowhere.png"),
        "unreadable",
    )
    writer.make(
        f"{label}/circle",
        "folder link in a circle",
        lambda path: path.symlink_to(writer.folder / label, target_is_directory=True),
        "link",
    )
    writer.make(f"{label}/pipe.png", "pipe", lambda path: os.mkfifo(path), "special file")
    writer.make(f"{label}/socket.png", "socket", _listen, "special file")

    def lock(path: Path) -> None:
        if os.name == "nt" or os.geteuid() == 0:
            raise OSError("this user may read every file")
        path.write_bytes(good)
        path.chmod(0)

    writer.make(f"{label}/locked.png", "no permission to read", lock, "unreadable")
    number, label = writer.choose()
    writer.make(f"{label}/empty folder", "empty folder", Path.mkdir)
    writer.rows.pop()  # no file, no row


def _listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def defect_kinds() -> dict[str, Defect]:
    """All the kinds of files that this machine can write, by name."""
    odd = {**_frames(), **_modes(), **_looks()}
    return {**_cut(), **_others(), **_damaged(), **_odd(), **odd}


def _cut() -> dict[str, Defect]:
    """Files whose end is missing."""

    def cut(image: np.ndarray, kind: str, share: float, **options: object) -> bytes:
        whole = encoded(image, kind, **options)
        return whole[: int(share * len(whole))]

    return {
        "no bytes": Defect(".jpg", "empty", "", partial(_always, b"")),
        **{
            f"{kind} cut at {share:.0%}": Defect(
                f".{kind.lower()}", "damaged", "", partial(cut, kind=kind, share=share)
            )
            for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")
            for share in (0.2, 0.5, 0.9)
        },
        "progressive JPEG cut in the middle": Defect(
            ".jpg", "damaged", "", partial(cut, kind="JPEG", share=0.6, progressive=True)
        ),
    }


def _others() -> dict[str, Defect]:
    """Something else behind the name of an image."""
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(range(256))
    svg = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
    eps = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n"
    page = b"<!DOCTYPE html>\n<html><body><h1>404 Not Found</h1></body></html>\n"
    rows = (  # name, ending, problem, remark, content
        ("text", ".jpg", "not an image", "text", b"This is no image.\n" * 20),
        ("HTML page", ".png", "not an image", "HTML", page),
        ("PDF", ".jpg", "not an image", "PDF", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"),
        ("zip archive", ".png", "not an image", "zip", b"PK\x03\x04\x14\0\0\0\x08\0" + bytes(40)),
        ("video", ".jpg", "not an image", "video", b"\0\0\0\x20ftypisom\0\0\2\0" + bytes(40)),
        ("zero bytes", ".jpg", "not an image", "zero bytes", bytes(4000)),
        ("Git LFS pointer", ".jpg", "not an image", "git lfs pull", b"version https://git-lfs\n"),
        ("HEIC photo", ".heic", "unsupported format", "convert them to JPEG", heic),
        ("HEIC named JPEG", ".jpg", "unsupported format", "convert them to JPEG", heic),
        ("SVG drawing", ".svg", "unsupported format", "SVG", svg),
        ("EPS drawing", ".eps", "unsupported format", "EPS", eps),
        ("WMF drawing", ".wmf", "unsupported format", "WMF", b"\xd7\xcd\xc6\x9a" + bytes(40)),
        ("HDF5 file", ".h5", "unsupported format", "HDF5", b"\x89HDF\r\n\x1a\n" + bytes(40)),
        ("notes", ".txt", "unknown extension", "text", b"Photos from Sunday.\n"),
        ("table", ".csv", "unknown extension", "text", b"file,label\n1.jpg,cat\n"),
        ("Thumbs.db", ".db", "unknown extension", "Thumbs.db", b"\xd0\xcf\x11\xe0" + bytes(600)),
    )
    kinds = {
        name: Defect(ending, problem, remark, partial(_always, content))
        for name, ending, problem, remark, content in rows
    }
    return {**kinds, "random bytes": Defect(".jpg", "not an image", "", lambda _: _random(3000))}


def _damaged() -> dict[str, Defect]:
    """Files that break the rules of their format, and bombs."""

    def flip(image: np.ndarray, kind: str, mark: bytes, first: int, count: int) -> bytes:
        content = bytearray(encoded(image, kind))
        start = content.index(mark) + first
        for place in range(start, start + count):
            content[place] ^= 0x55
        return bytes(content)

    def scan(image: np.ndarray) -> bytes:
        content = bytearray(encoded(image, "JPEG"))
        start = content.index(b"\xff\xda") + 20
        for place in range(start, len(content) - 2, 37):
            if content[place] not in (0, 0xFE, 0xFF) and content[place - 1] != 0xFF:
                content[place] ^= 1
        return bytes(content)

    checksum = partial(flip, kind="PNG", mark=b"IHDR", first=13, count=1)
    tables = partial(flip, kind="JPEG", mark=b"\xff\xc4", first=4, count=9)
    pixels = partial(flip, kind="PNG", mark=b"IDAT", first=4, count=9)
    claim = _png(60_000, 60_000, b"")
    bomb = _png(10_000, 10_000, b"\0" * 1251 * 10_000)
    return {
        "PNG with a wrong checksum": Defect(".png", "damaged", "checksum", checksum),
        "PNG with damaged pixels": Defect(".png", "damaged", "PNG", pixels),
        "JPEG with damaged tables": Defect(".jpg", "damaged", "JPEG", tables),
        "JPEG with flipped bits": Defect(".jpg", "", "", scan),
        "JPEG with bytes after its end": Defect(
            ".jpg", "", "", lambda image: encoded(image, "JPEG") + _random(500)
        ),
        "bomb in the header": Defect(".png", "too large", "60000", partial(_always, claim)),
        "bomb of a few kilobytes": Defect(".png", "too large", "10000", partial(_always, bomb)),
    }


def _odd() -> dict[str, Defect]:
    """Names that do not fit, and notes of cameras."""

    def turned(image: np.ndarray, value: int) -> bytes:
        exif = Image.Exif()
        exif[274] = value
        return encoded(image, "JPEG", exif=exif)

    def jpeg(image: np.ndarray) -> bytes:
        return encoded(image, "JPEG")

    broken = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(range(60))
    return {
        "PNG named JPEG": Defect(".jpg", "", "content is PNG", encoded),
        "JPEG named PNG": Defect(".png", "", "content is JPEG", jpeg),
        "JPEG without an ending": Defect("", "", "no ending", jpeg),
        "JPEG with an unknown ending": Defect(".photo", "", "ends in .photo", jpeg),
        "upper-case ending": Defect(".JPG", "", "", jpeg),
        **{
            f"EXIF orientation {value}": Defect(".jpg", "", "", partial(turned, value=value))
            for value in range(2, 9)
        },
        "broken EXIF data": Defect(
            ".jpg", "", "damaged metadata", lambda image: encoded(image, "JPEG", exif=broken)
        ),
    }


def _always(content: bytes, image: np.ndarray) -> bytes:
    return content


def _random(count: int) -> bytes:
    return np.random.default_rng(8).integers(0, 256, count, "uint8").tobytes()


def _png(width: int, height: int, rows: bytes) -> bytes:
    """A PNG file of one bit a pixel that claims a size, whatever it holds."""
    chunks = (
        b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0),
        b"IDAT" + zlib.compress(rows, 9),
        b"IEND",
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


def _frames() -> dict[str, Defect]:
    """More than one picture in a file."""

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


def _modes() -> dict[str, Defect]:
    """Ways to store colours. AVIF is left out where Pillow was built without it."""

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


def _looks() -> dict[str, Defect]:
    """Pictures that are good files, and yet not what a data set should hold."""

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
