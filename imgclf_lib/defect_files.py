"""Files with one defect or oddity each, made from a good image, to prove that all are met.

The folder around them, with odd names, links and pipes, is built by ``defects.write_defects``.
"""

import struct
import zlib
from functools import partial

import numpy as np
from PIL import Image

from imgclf_lib.odd_images import Defect, encoded, frame_kinds, look_kinds, mode_kinds


def defect_kinds() -> dict[str, Defect]:
    """All the kinds of files that this machine can write.

    Returns:
        The kinds by name.
    """
    odd = {**frame_kinds(), **mode_kinds(), **look_kinds()}
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
                f".{kind.lower()}", "truncated", "", partial(cut, kind=kind, share=share)
            )
            for kind in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP")
            for share in (0.2, 0.5, 0.9)
        },
        "progressive JPEG cut in the middle": Defect(
            ".jpg", "truncated", "", partial(cut, kind="JPEG", share=0.6, progressive=True)
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
