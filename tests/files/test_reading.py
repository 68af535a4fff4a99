"""Files that may be anything: read without waiting, named by their bytes, refused with a reason."""

import io
import logging
import os
import socket
import struct
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image, UnidentifiedImageError

from imgclf_lib.files import BadImage, collect_warnings, image_suffixes, reading
from imgclf_lib.files.reading import contained, open_bytes, read_file, read_formats


def problem_of(act, *arguments) -> str:
    with pytest.raises(BadImage) as raised:
        act(*arguments)
    assert str(raised.value) == f"{raised.value.problem}: {raised.value.detail}."
    return raised.value.problem


def test_a_file_is_read(tmp_path):
    path = tmp_path / "one"
    path.write_bytes(b"content")
    assert read_file(path) == b"content"


@pytest.mark.parametrize("name", ["nowhere.png", "x" * 300, "nul\0.png", "\udcff.png"])
def test_files_that_are_not_there(name, tmp_path):
    assert problem_of(read_file, tmp_path / name) == "unreadable"


def test_special_files_do_not_block(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.png")
    assert problem_of(read_file, tmp_path / "pipe.png") == "special file"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.png")
    assert problem_of(read_file, tmp_path / "socket.png") == "special file"
    assert problem_of(read_file, tmp_path) == "special file"
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    assert problem_of(read_file, tmp_path / "zero.png") == "special file"


def test_a_file_that_becomes_a_pipe_meanwhile_does_not_block(tmp_path, monkeypatch):
    plain, pipe = tmp_path / "plain", tmp_path / "pipe"
    plain.write_bytes(b"content")
    os.mkfifo(pipe)
    looked = plain.stat()
    monkeypatch.setattr(reading.os, "stat", lambda path: looked)
    done = threading.Thread(target=lambda: problem_of(read_file, pipe), daemon=True)
    done.start()
    done.join(5)
    assert not done.is_alive()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_locked_file(tmp_path):
    path = tmp_path / "locked.png"
    path.write_bytes(b"content")
    path.chmod(0)
    assert problem_of(read_file, path) == "unreadable"


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "film.png"
    with path.open("wb") as file:
        file.truncate(reading.MAXIMUM_BYTES + 1)  # takes no room on disk
    assert problem_of(read_file, path) == "too large"


@pytest.mark.parametrize(
    ("error", "problem"), [(MemoryError(), "too large"), (RecursionError("deep"), "damaged")]
)
def test_errors_of_hostile_files_are_contained(error, problem):
    def act():
        with contained(b"\xff\xd8\xff\xe0" + bytes(40) + b"\xff\xd9"):
            raise error

    assert problem_of(act) == problem


def test_interrupts_are_not_contained():
    with pytest.raises(KeyboardInterrupt), contained(b""):
        raise KeyboardInterrupt


def refused(raw: bytes, error: Exception | None = None) -> BadImage:
    """Why bytes are refused that are decoded, or on which decoding raises an error."""

    def decode() -> None:
        with contained(raw):
            if error:
                raise error
            open_bytes(raw).load()

    with pytest.raises(BadImage) as raised:
        decode()
    return raised.value


def test_opening():
    assert open_bytes(encoded("PNG")).size == (40, 30)
    assert refused(b"").problem == "empty"
    assert refused(b"%!PS-Adobe-3.0 EPSF-3.0\n").problem == "unsupported format"


def encoded(kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.linear_gradient("L").resize((40, 30)).convert("RGB")
    image.save(buffer, kind, **options)
    return buffer.getvalue()


KINDS = ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "JPEG2000", "ICNS", "PPM", "ICO", "QOI")


@pytest.mark.parametrize("kind", KINDS)
def test_files_without_their_end_are_named_by_their_beginning(kind):
    whole = encoded(kind)
    for share in (0.3, 0.6):
        found = refused(whole[: int(share * len(whole))])
        assert found.problem == "damaged"
        assert found.detail.startswith(f"{kind}: ")


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "jpeg", "tiff_adobe_deflate"])
def test_tiff_files_without_their_end(compression):
    whole = encoded("TIFF", compression=compression)
    for length in range(8, len(whole) - 8, 50):
        assert refused(whole[:length]).problem == "damaged", length


@pytest.mark.parametrize("kind", KINDS)
def test_the_shortest_files_have_a_reason(kind):
    for length in range(1, 20):
        found = refused(encoded(kind)[:length], UnidentifiedImageError("x"))
        assert found.problem in ("damaged", "not an image"), (length, found)
        assert length < 16 or found.problem == "damaged", (length, found)


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
        (OSError("image file is truncated"), b"", "damaged", "truncated"),
        (ValueError("Decompressed data too large"), b"", "too large", "too large"),
        (KeyError(135), b"", "damaged", "KeyError: 135"),
        (OSError("Unsupported BMP compression (9)"), b"", "unsupported format", "compression"),
        (UnidentifiedImageError("x"), b"\1\2\3\4\5\6\7\x80", "not an image", "no kind of image"),
        (UnidentifiedImageError("x"), b"BMW is a car", "not an image", "text"),
        (UnidentifiedImageError("x"), b"\x89PNG\n\x1a\n\0\0\0\rIHDR" + bytes(9), *("damaged",),
         "PNG: its first bytes are mangled"),
        (UnidentifiedImageError("x"), b"\xef\xbf\xbd\0\x10JFIF\0" + bytes(9), *("damaged",),
         "JPEG: its first bytes are mangled"),
        (SyntaxError(34712), b"II*\0" + bytes(9), "unsupported format", "34712 (JPEG 2000)"),
        (SyntaxError(57600), b"II*\0" + bytes(9), "damaged", "57600 is not one that exists"),
        (OSError("cannot handle 12-bit layers"), b"", "unsupported format", "12-bit"),
        (UnidentifiedImageError("x"), b"\0\0\0\x1cftypheix" + bytes(20), *("unsupported format",),
         "HEIC photos are not read; convert them to JPEG"),
    ],
)  # fmt: skip
def test_reasons(error, raw, problem, detail):
    found = refused(raw, error)
    assert found.problem == problem
    assert detail in found.detail


def test_no_address_in_memory_is_told():
    error = OSError("cannot read <_io.BytesIO object at 0x7f>")
    assert "0x" not in refused(b"", error).detail


def test_importing_is_cheap():
    """Pillow loads the readers of rare formats only when they are needed."""
    code = "import sys, imgclf_lib.files.decoding; print('imagehash' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def warn_as(module: str, text: str) -> None:
    """Warn from a file of Pillow."""
    category, file = UserWarning, f"/somewhere/PIL/{module}.py"
    warnings.warn_explicit(text, category, file, 1, f"PIL.{module}", {})


def test_what_pillow_says_is_collected_and_not_shown():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with collect_warnings() as heard:
            warn_as("PngImagePlugin", "odd")
            warn_as("PngImagePlugin", "odd")
            warn_as("TiffImagePlugin", "Corrupt EXIF data")
        assert heard == ["odd", "damaged metadata"]
        assert shown == []
        warn_as("PngImagePlugin", "after")
        assert [str(each.message) for each in shown] == ["after"]


def test_other_warnings_go_on():
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with collect_warnings() as heard:
            warnings.warn("not of Pillow", UserWarning, stacklevel=1)
    assert heard == []
    assert [str(each.message) for each in shown] == ["not of Pillow"]


def test_filters_are_as_before():
    before = (list(warnings.filters), warnings.showwarning)
    with collect_warnings(), collect_warnings():
        pass
    with pytest.raises(ValueError, match="it"), collect_warnings():
        raise ValueError("it")
    assert (list(warnings.filters), warnings.showwarning) == before


def test_looking_for_the_reason_prints_no_warning():
    """Pillow warns of cut TIFF files; the filters of the tests would make errors of that."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        assert "data organization" in refused(encoded("TIFF")[:60]).detail
    assert shown == []


def test_a_bomb_stops_the_decoding():
    with collect_warnings(), pytest.raises(Image.DecompressionBombWarning):
        warnings.warn_explicit(
            "large", Image.DecompressionBombWarning, "/x/PIL/Image.py", 1, "PIL.Image", {}
        )


def test_threads_hear_their_own():
    """They enter and leave in every order; nothing is shown, and nothing is left behind."""
    before = (list(warnings.filters), warnings.showwarning)
    gate = threading.Barrier(4)

    def work(number: int) -> list[str]:
        gate.wait()
        said = []
        for turn in range(200):
            with collect_warnings() as heard:
                warn_as("PngImagePlugin", f"{number}-{turn}")
            said += heard
        return said

    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        with ThreadPoolExecutor(4) as pool:
            results = list(pool.map(work, range(4)))
    assert shown == []
    assert results == [[f"{number}-{turn}" for turn in range(200)] for number in range(4)]
    assert (list(warnings.filters), warnings.showwarning) == before


def many_bands(count: int) -> bytes:
    """A TIFF of 2 x 2 pixels with many bands, written by hand."""
    pixels = bytes(4 * count)
    tags = [(256, 2), (257, 2), (258, 8), (259, 1), (262, 1), (273, 0), (277, count), (278, 2)]
    tags += [(279, len(pixels)), (284, 1)]
    start = 8 + 2 + 12 * len(tags) + 4
    body = b"".join(
        struct.pack("<HHIHH", tag, 3, 1, start if tag == 273 else value, 0) for tag, value in tags
    )
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + body + bytes(4) + pixels


def test_a_tiff_with_many_bands_is_unsupported_and_pillow_logs_nothing(capfd):
    with pytest.raises(BadImage) as caught, contained(many_bands(13)):
        open_bytes(many_bands(13))
    assert caught.value.problem == "unsupported format"
    assert caught.value.detail == "TIFF: 13 bands are more than can be read"
    assert capfd.readouterr() == ("", "")


def test_what_is_logged_elsewhere_goes_on(caplog):
    pillow = logging.getLogger("PIL.TiffImagePlugin")

    def shout() -> None:
        pillow.error("it is outside")

    with collect_warnings() as heard:
        pillow.error("it is inside")
        thread = threading.Thread(target=shout)
        thread.start()
        thread.join()
    assert heard == ["it is inside"]
    assert [record.getMessage() for record in caplog.records] == ["it is outside"]
    assert logging.getLogger("PIL").propagate


def tiff(**changes: tuple[int, int, int]) -> bytes:
    """A TIFF of raw pixels in which some tags have another type, count and value."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(buffer, "TIFF")
    raw = bytearray(buffer.getvalue())
    start = struct.unpack("<I", raw[4:8])[0]
    for place in range(start + 2, start + 2 + 12 * raw[start], 12):
        tag = str(struct.unpack("<H", raw[place : place + 2])[0])
        if tag in changes:
            raw[place + 2 : place + 12] = struct.pack("<HII", *changes[tag])
    return bytes(raw)


@pytest.mark.parametrize(
    ("changes", "problem", "words"),
    [
        ({"258": (3, 3, 10**7)}, "damaged", "unknown"),  # a value beyond the end
        ({"262": (3, 10**5, 10**7)}, "damaged", "unknown"),
        ({"259": (3, 1, 50000)}, "damaged", "ZSTD"),  # a good kind, and other bytes
        ({"259": (3, 1, 34661)}, "unsupported format", "JBIG"),
        ({"259": (3, 1, 60000)}, "damaged", "compression 60000 is not one that exists"),
    ],
)
def test_reasons_of_a_tiff_are_true(changes, problem, words, capfd):
    raw = tiff(**changes)
    with pytest.raises(BadImage) as caught, contained(raw):
        open_bytes(raw).load()
    assert caught.value.problem == problem
    assert words in caught.value.detail
    assert "tempfile" not in caught.value.detail
    assert capfd.readouterr() == ("", "")


def test_a_compression_that_libtiff_lacks_is_unsupported(capfd):
    if not list(Path(Image.__file__).parent.parent.glob("pillow.libs/libtiff*")):
        pytest.skip("not a wheel of Pillow for Linux")
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), "red").save(buffer, "TIFF", compression="tiff_lzw")
    lzw, webp = (struct.pack("<HHIHH", 259, 3, 1, number, 0) for number in (5, 50001))
    assert buffer.getvalue().count(lzw) == 1
    raw = buffer.getvalue().replace(lzw, webp)  # WebP inside of TIFF
    with pytest.raises(BadImage) as caught, contained(raw):
        open_bytes(raw).load()
    assert caught.value.problem == "unsupported format"
    assert capfd.readouterr() == ("", "")


def test_a_file_that_changes_while_it_is_read_gives_no_mixture(tmp_path, monkeypatch):
    path, fstat = tmp_path / "a.png", os.fstat
    path.write_bytes(b"old" * 100)

    def write_behind(number: int) -> os.stat_result:
        state = fstat(number)
        with path.open("r+b") as file:
            file.write(b"new" * 50)  # of the same length
        return state

    monkeypatch.setattr(os, "fstat", write_behind)
    with pytest.raises(BadImage, match="it changed while it was read") as caught:
        read_file(path)
    assert caught.value.problem == "unreadable"
