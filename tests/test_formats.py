"""What files hold is told from their bytes."""

import io
import subprocess
import sys

import pytest
from PIL import Image, UnidentifiedImageError

from imgclf_lib.formats import explain, format_of, image_suffixes, is_cut, read_formats


def encoded(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.linear_gradient("L").resize((40, 30)).convert("RGB")
    image.save(buffer, kind, **options)
    return buffer.getvalue()


KINDS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "ICNS", "PPM", "ICO", "QOI")


@pytest.mark.parametrize("kind", KINDS)
def test_formats_are_told_by_their_first_bytes(kind):
    assert format_of(encoded(kind)[:16]) == kind
    assert format_of(b"no image at all, is it?") == ""


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "ICNS"])
def test_files_without_their_end(kind):
    whole = encoded(kind)
    assert not is_cut(whole, kind)
    for share in (0.3, 0.6, 0.95):
        assert is_cut(whole[: int(share * len(whole))], kind)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "jpeg", "tiff_adobe_deflate"])
def test_tiff_files_without_their_end(compression):
    whole = encoded("TIFF", compression=compression)
    assert not is_cut(whole, "TIFF")
    assert all(is_cut(whole[:length], "TIFF") for length in range(8, len(whole) - 8, 50))


@pytest.mark.parametrize("kind", KINDS)
def test_the_shortest_files_have_a_reason(kind):
    for length in range(1, 20):
        raw = encoded(kind)[:length]
        problem, detail = explain(UnidentifiedImageError("x"), raw)
        assert problem in ("truncated", "not an image"), (length, detail)
        assert length < 16 or problem == "truncated", (length, detail)


def test_nothing_that_starts_a_program_is_read():
    assert not {"EPS", "WMF", "IPTC", "FITS", "SPIDER", "MPEG", "HDF5"} & set(read_formats())
    assert {"JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"} <= set(read_formats())


def test_suffixes_are_those_of_images():
    suffixes = image_suffixes()
    assert {".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".heic"} <= set(suffixes)
    assert not {"", ".txt", ".pdf", ".json", ".zip", ".csv"} & set(suffixes)
    assert suffixes[".jpg"] == "JPEG"


@pytest.mark.parametrize(
    ("error", "raw", "problem", "detail"),
    [
        (OSError("image file is truncated"), b"", "truncated", "truncated"),
        (ValueError("Decompressed data too large"), b"", "too large", "too large"),
        (KeyError(135), b"", "damaged", "KeyError: 135"),
        (OSError("Unsupported BMP compression (9)"), b"", "unsupported format", "compression"),
        (UnidentifiedImageError("x"), b"\1\2\3\4\5\6\7\x80", "not an image", "no kind of image"),
        (UnidentifiedImageError("x"), b"BMW is a car", "not an image", "text"),
        (UnidentifiedImageError("x"), b"\0\0\0\x1cftypheix" + bytes(20), *("unsupported format",),
         "HEIC photos are not read; convert them to JPEG"),
    ],
)  # fmt: skip
def test_reasons(error, raw, problem, detail):
    found = explain(error, raw)
    assert found[0] == problem
    assert detail in found[1]


def test_no_address_in_memory_is_told():
    assert "0x" not in explain(OSError("cannot read <_io.BytesIO object at 0x7f>"), b"")[1]


def test_importing_is_cheap():
    """Pillow loads the readers of rare formats only when they are needed."""
    code = "import sys, imgclf_lib.pixels; print('imagehash' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
