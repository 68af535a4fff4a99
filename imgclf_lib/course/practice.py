"""A messy folder to practise on: images of a known data set, and what goes wrong in real folders.

A known data set is clean. To learn to find copies, leaks, wrong labels and broken files, one
needs a folder that has them, and a list of what was planted, to compare with what was found.
"""

import io
import os
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageEnhance
from PIL.ImageFilter import GaussianBlur

from imgclf_lib.data import ImageData
from imgclf_lib.errors import InputError

TEST_SHARE = 0.25  # honest test images for each training image
LEAKED_SHARE = 0.1  # training images that are test images too: half as copies, half as JPEG
WRONG_SHARE = 0.02  # training images in the folder of another class
RARE_SHARE = 0.2  # images of the last class that are kept
_NO_EXIF = b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(range(60))


def write_practice(folder: Path, source: ImageData, count: int, seed: int = 0) -> pd.DataFrame:
    """Write images into ``folder/train/CLASS`` and ``folder/test/CLASS``, and faults among them.

    Planted are broken and odd files, copies, images in the folder of another class, a class with
    few images, and training images that are in the test folders too. The test folders are filled
    with validation images: the test split of the data set stays closed.

    Args:
        folder: Where to write; it is made if it does not exist, and must be empty.
        source: The data set.
        count: Training images that are taken of it.
        seed: Seed of every choice.

    Returns:
        A row a file with the columns ``path`` (relative to the folder, with ``/``), ``kind``
        (``good``, ``wrong label``, ``leaked copy``, ``leaked JPEG``, or what is odd about the
        file), ``label`` (the true class of good, mislabelled and leaked images, else "") and
        ``problem`` (the expected one; "" if the file can be used).

    Raises:
        InputError: If the folder is not empty.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InputError(f"The folder {str(folder)!r} is not empty", do="Name a new folder")
    generator = np.random.default_rng(seed)
    names = [
        name.replace("/", " or ").strip(". ") or f"class {label}"
        for label, name in enumerate(source.class_names)
    ]
    train, val = source.train.sample(count, seed), source.val.sample(round(TEST_SHARE * count))
    rare = train.labels == len(names) - 1
    kept = np.flatnonzero(~rare | (np.cumsum(rare) <= max(4, RARE_SHARE * rare.sum())))
    images, labels = [_picture(image) for image in train.images[kept]], train.labels[kept]
    wrong = generator.choice(len(kept), max(2, round(WRONG_SHARE * len(kept))), replace=False)
    given = labels.copy()
    given[wrong] = (given[wrong] + generator.integers(1, len(names), len(wrong))) % len(names)
    leaked = generator.choice(len(kept), max(2, round(LEAKED_SHARE * len(kept))), replace=False)

    classes = [names[label] for label in given]  # as the folders say, not as it is
    rows: list[tuple[str, str, str, str]] = []

    def write(path: str, kind: str, content: bytes, label: str = "", problem: str = "") -> None:
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
        rows.append((path, kind, label, problem))

    for row, image in enumerate(images):
        kind = "wrong label" if row in wrong else "good"
        write(f"train/{classes[row]}/{row:04}.png", kind, _encoded(image), names[labels[row]])
    chosen = generator.integers(len(images), size=len(_FAULTS) + 1)
    for row, (name, problem, made) in zip(chosen, _FAULTS, strict=False):
        content = made if isinstance(made, bytes) else made(images[row])
        write(f"train/{classes[row]}/{name}", Path(name).stem, content, "", problem)
    good, inside = _encoded(images[chosen[-1]]), classes[chosen[-1]]
    other = next(name for name in names if name != inside)
    write(f"train/{inside}/copy in the same class.png", "copy", good)
    write(f"train/{other}/copy from another class.png", "copy", good)
    write("train/loose.png", "loose", good, "", "no class")
    rows += _no_files(folder, f"train/{inside}", good)
    for turn, row in enumerate(leaked):
        path, label = f"test/{classes[row]}/again {turn:03}", names[labels[row]]
        if turn % 2:
            write(f"{path}.jpg", "leaked JPEG", _encoded(images[row], "JPEG", quality=60), label)
        else:
            write(f"{path}.png", "leaked copy", _encoded(images[row]), label)
    for number, (pixels, truth) in enumerate(zip(val.images, val.labels, strict=True)):
        path = f"test/{names[truth]}/{number:04}.png"
        write(path, "good", _encoded(_picture(pixels)), names[truth])
    return pd.DataFrame(rows, columns=["path", "kind", "label", "problem"], dtype="str")


def _picture(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)).copy())


def _encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _cut(image: Image.Image) -> bytes:
    whole = _encoded(image, "JPEG")
    return whole[: len(whole) * 9 // 10]


def _flipped(image: Image.Image) -> bytes:
    """A PNG file with some wrong bytes among its pixels."""
    whole = bytearray(_encoded(image))
    start = whole.index(b"IDAT") + 4
    whole[start : start + 9] = bytes(each ^ 0x55 for each in whole[start : start + 9])
    return bytes(whole)


def _film(image: Image.Image) -> bytes:
    others = [image.rotate(90), image.rotate(180)]
    return _encoded(image, "GIF", save_all=True, append_images=others)


def _bomb(image: Image.Image) -> bytes:
    """A PNG file whose header claims 60,000 x 60,000 pixels."""
    whole = bytearray(_encoded(image))
    whole[16:24] = struct.pack(">II", 60_000, 60_000)
    whole[29:33] = struct.pack(">I", zlib.crc32(whole[12:29]))
    return bytes(whole)


# Name of the file, the expected problem, and its content, which may be made of a good image.
_FAULTS: tuple[tuple[str, str, bytes | Callable[[Image.Image], bytes]], ...] = (
    ("no bytes.jpg", "empty", b""),
    ("JPEG cut short.jpg", "damaged", _cut),
    ("PNG with damaged pixels.png", "damaged", _flipped),
    ("bomb in the header.png", "too large", _bomb),
    ("HTML page.png", "not an image", b"<!DOCTYPE html>\n<html>404 Not Found</html>\n"),
    ("PDF.jpg", "not an image", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"),
    ("HEIC photo.heic", "unsupported format", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
    ("notes.txt", "unknown extension", b"Photos from Sunday.\n"),
    (".DS_Store", "hidden", b"\x00\x00\x00\x01Bud1" + bytes(40)),
    ("PNG named JPEG.jpg", "", _encoded),
    ("猫の写真 고양이 喵.png", "", _encoded),
    ("animated GIF.gif", "", _film),
    ("broken EXIF data.jpg", "", lambda image: _encoded(image, "JPEG", exif=_NO_EXIF)),
    ("brighter.png", "", lambda image: _encoded(ImageEnhance.Brightness(image).enhance(1.2))),
    ("white.png", "", lambda image: _encoded(Image.new("RGB", image.size, "white"))),
    ("blurred.png", "", lambda image: _encoded(image.filter(GaussianBlur(image.width / 12)))),
    ("very wide.png", "", lambda image: _encoded(image.resize((5000, 1)))),
    ("many pixels.png", "", lambda image: _encoded(image.convert("1").resize((6000, 4000)))),
)


def _no_files(folder: Path, inside: str, good: bytes) -> list[tuple[str, str, str, str]]:
    """Links, a pipe, and a name that is no text: as many of them as this system can make."""
    acts: tuple[tuple[str, str, Callable[[Path], object]], ...] = (
        ("broken link.png", "unreadable", lambda path: path.symlink_to("nowhere.png")),
        ("circle", "link", lambda path: path.symlink_to(".", target_is_directory=True)),
        ("pipe.png", "special file", lambda path: os.mkfifo(path)),
        ("caf\udce9.png", "bad name", lambda path: path.write_bytes(good)),  # Latin-1, not UTF-8
    )
    rows = []
    for name, problem, act in acts:
        with suppress(OSError, ValueError, AttributeError, NotImplementedError):
            act(folder / inside / name)
            text = os.fsencode(name).decode("utf-8", "backslashreplace")
            rows.append((f"{inside}/{text}", problem, "", problem))
    return rows
