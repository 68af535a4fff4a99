"""The one pixel path against hand-made oracles."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgclf_lib.pixels import (
    DRAWING,
    MAXIMUM_PIXELS,
    Manner,
    decode,
    draw_strokes,
    manner_of,
    open_image,
    to_eight_bits,
)

# What a viewer must do with the stored pixels, by the EXIF value: the standard's own words turned
# into NumPy (1: as it is; 2: mirrored left to right; 3: turned half; ... 8: turned a quarter).
ORIENTATIONS = {
    1: lambda stored: stored,
    2: lambda stored: stored[:, ::-1],
    3: lambda stored: stored[::-1, ::-1],
    4: lambda stored: stored[::-1],
    5: lambda stored: stored.swapaxes(0, 1),
    6: lambda stored: np.rot90(stored, -1),
    7: lambda stored: stored[::-1, ::-1].swapaxes(0, 1),
    8: lambda stored: np.rot90(stored, 1),
}


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def random_pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, shape, "uint8")


@pytest.mark.parametrize("value", ORIENTATIONS)
@pytest.mark.parametrize("square", [True, False])
def test_orientation(value, square):
    stored = random_pixels(6, 6 if square else 4, 3)
    exif = Image.Exif()
    exif[274] = value
    found = decode(encoded(Image.fromarray(stored), exif=exif), 6, 3, "squash")
    upright = ORIENTATIONS[value](stored)
    assert (found.height, found.width) == upright.shape[:2]
    wanted = Image.fromarray(np.ascontiguousarray(upright)).resize((6, 6), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(found.pixels, np.asarray(wanted))


def test_grey_stays_exact():
    pixels = random_pixels(8, 8)
    found = decode(encoded(Image.fromarray(pixels)), 8, 1, "pad")
    np.testing.assert_array_equal(found.pixels[..., 0], pixels)
    assert found.pixels.dtype == np.uint8
    assert (found.width, found.height, found.mode) == (8, 8, "L")


def test_color_stays_exact():
    pixels = random_pixels(8, 8, 3)
    found = decode(encoded(Image.fromarray(pixels)), 8, 3, "pad")
    np.testing.assert_array_equal(found.pixels, pixels)
    assert found.mode == "RGB"


def test_grey_from_color_is_luma():
    pixels = random_pixels(8, 8, 3)
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    found = decode(encoded(Image.fromarray(pixels)), 8, 1, "pad").pixels[..., 0]
    assert np.abs(found - luma).max() <= 1


def test_color_from_grey_repeats_it():
    pixels = random_pixels(8, 8)
    found = decode(encoded(Image.fromarray(pixels)), 8, 3, "pad").pixels
    np.testing.assert_array_equal(found, np.stack([pixels] * 3, -1))


def test_one_bit():
    bits = random_pixels(8, 8) > 127
    found = decode(encoded(Image.fromarray(bits)), 8, 1, "pad")
    assert found.mode == "1"
    np.testing.assert_array_equal(found.pixels[..., 0], np.where(bits, 255, 0))


def test_transparent_grey_shows_white():
    grey, alpha = random_pixels(8, 8), random_pixels(8, 8)[::-1]
    image = Image.fromarray(np.stack([grey, alpha], -1))
    assert image.mode == "LA"
    share = alpha / 255
    found = decode(encoded(image), 8, 1, "pad").pixels[..., 0]
    assert np.abs(found - (grey * share + 255 * (1 - share))).max() <= 1


def test_transparent_color_shows_white():
    pixels = random_pixels(8, 8, 4)
    share = pixels[..., 3:] / 255
    found = decode(encoded(Image.fromarray(pixels)), 8, 3, "pad").pixels
    assert np.abs(found - (pixels[..., :3] * share + 255 * (1 - share))).max() <= 1


def palette_image() -> tuple[Image.Image, np.ndarray, np.ndarray]:
    colors = random_pixels(4, 3)
    places = random_pixels(8, 8) % 4
    image = Image.new("P", (8, 8))
    image.putpalette(colors.tobytes())
    image.putdata(places.ravel().tolist())
    return image, places, colors


def test_palette():
    image, places, colors = palette_image()
    found = decode(encoded(image), 8, 3, "pad")
    assert found.mode == "P"
    np.testing.assert_array_equal(found.pixels, colors[places])


def test_palette_with_transparency_shows_white():
    image, places, colors = palette_image()
    colors[2] = 255
    found = decode(encoded(image, transparency=2), 8, 3, "pad").pixels
    np.testing.assert_array_equal(found, colors[places])


def test_cmyk():
    ink = random_pixels(8, 8, 4)
    image = Image.frombytes("CMYK", (8, 8), ink.tobytes())
    found = decode(encoded(image, "TIFF"), 8, 3, "pad")
    assert found.mode == "CMYK"
    shares = ink / 255
    wanted = 255 * (1 - shares[..., :3]) * (1 - shares[..., 3:])
    assert np.abs(found.pixels - wanted).max() <= 1.5


def test_sixteen_bits_are_scaled_not_clipped():
    values = np.linspace(0, 65535, 64).reshape(8, 8).round().astype("uint16")
    found = decode(encoded(Image.fromarray(values)), 8, 1, "pad")
    assert found.mode.startswith("I;16")
    np.testing.assert_array_equal(found.pixels[..., 0], (values / 257).round().astype("uint8"))
    # A dark picture stays dark: the scale does not depend on the picture.
    dark = decode(encoded(Image.fromarray(values // 100)), 8, 1, "pad").pixels
    assert dark.max() == round(655 / 257)


def test_thirty_two_bits():
    small = np.arange(64, dtype="int32").reshape(8, 8)
    np.testing.assert_array_equal(np.asarray(to_eight_bits(Image.fromarray(small))), small)
    wide = small * 1040
    found = np.asarray(to_eight_bits(Image.fromarray(wide)))
    np.testing.assert_array_equal(found, (wide / 257).round())
    huge = small * 10_000_000 - 5
    found = np.asarray(to_eight_bits(Image.fromarray(huge)))
    assert (found.min(), found.max()) == (0, 255)


def test_float_is_stretched():
    values = np.linspace(-2, 6, 64, dtype="float32").reshape(8, 8)
    found = decode(encoded(Image.fromarray(values), "TIFF"), 8, 1, "pad")
    assert found.mode == "F"
    np.testing.assert_allclose(found.pixels[..., 0], (values + 2) / 8 * 255, atol=0.51)
    flat = np.asarray(to_eight_bits(Image.fromarray(np.full((2, 2), np.nan, "float32"))))
    assert flat.tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I"])
def test_every_mode_gives_the_asked_channels(mode, channels):
    image = Image.fromarray(random_pixels(5, 9, 3)).convert("L" if mode == "I" else mode)
    image = image.convert("I") if mode == "I" else image
    found = decode(image, 4, channels, "crop")
    assert found.pixels.shape == (4, 4, channels)
    assert found.mode == mode


def test_pad_keeps_all_and_adds_white():
    pixels = random_pixels(4, 8, 3)
    found = decode(Image.fromarray(pixels), 8, 3, "pad").pixels
    np.testing.assert_array_equal(found[2:6], pixels)
    assert (found[:2] == 255).all()
    assert (found[6:] == 255).all()
    grey = decode(Image.fromarray(pixels[..., 0]), 8, 1, "pad").pixels
    np.testing.assert_array_equal(grey[2:6, :, 0], pixels[..., 0])
    assert (grey[:2] == 255).all()


def test_crop_keeps_the_middle():
    pixels = random_pixels(8, 4, 3)
    found = decode(Image.fromarray(pixels), 4, 3, "crop").pixels
    np.testing.assert_array_equal(found, pixels[2:6])


def test_squash_uses_all():
    pixels = np.repeat(np.repeat(random_pixels(4, 4), 2, 0), 6, 1)
    found = decode(Image.fromarray(pixels), 4, 1, "squash").pixels[..., 0]
    wanted = Image.fromarray(pixels).resize((4, 4), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(found, np.asarray(wanted))


def test_shrinking_is_antialiased():
    fine = np.tile(np.array([0, 255], "uint8"), (64, 32))
    found = decode(Image.fromarray(fine), 8, 1, "squash").pixels
    assert np.abs(found[:, 1:-1].astype(int) - 127).max() <= 2  # the border sees half a window


def test_bytes_path_and_image_agree(tmp_path):
    image = Image.fromarray(random_pixels(9, 7, 3))
    path = tmp_path / "one.png"
    image.save(path)
    ways = [decode(source, 6, 3, "pad") for source in (path, path.read_bytes(), image)]
    assert len({way.pixels.tobytes() for way in ways}) == 1
    assert len({way[1:] for way in ways}) == 1


def header(width: int, height: int) -> bytes:
    """A PNG file that claims a size and holds no pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    end = b"IEND"
    pieces = [
        struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each))
        for each in (chunk, b"IDAT" + zlib.compress(b""), end)
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces)


@pytest.mark.parametrize("size", [(MAXIMUM_PIXELS + 1, 1), (20_000, 20_000), (10_000, 10_000)])
def test_too_many_pixels_are_refused_before_decoding(size):
    with pytest.raises((ValueError, Image.DecompressionBombError, Image.DecompressionBombWarning)):
        decode(header(*size), 8, 1, "pad")


@pytest.mark.parametrize("content", [b"", b"no image", header(8, 8)])
def test_damaged_data_raises(content, tmp_path):
    path = Path(tmp_path / "bad.png")
    path.write_bytes(content)
    for source in (content, path):
        with pytest.raises((OSError, SyntaxError, ValueError)):
            decode(source, 8, 1, "pad")


def test_a_file_cut_short_raises():
    whole = encoded(Image.fromarray(random_pixels(64, 64, 3)), "JPEG")
    decode(whole, 8, 3, "pad")
    with pytest.raises(OSError, match="truncated"):
        decode(whole[: len(whole) // 2], 8, 3, "pad")


def test_a_huge_file_is_refused_before_it_is_read(tmp_path, monkeypatch):
    path = tmp_path / "film.png"
    path.write_bytes(encoded(Image.new("L", (4, 4))))
    assert open_image(path).size == (4, 4)
    monkeypatch.setattr("imgclf_lib.pixels.MAXIMUM_BYTES", 10)
    with pytest.raises(ValueError, match="too large"):
        open_image(path)


def things(ground, ink, extent, filled, channels=1):
    """Images with a square of this extent, as an area or as an outline."""
    size = 40
    images = np.full((5, size, size, channels), ground, "uint8")
    first = round(size * (1 - extent) / 2)
    inner = slice(first, size - first)
    images[:, inner, inner] = ink
    if not filled:
        hollow = slice(first + 2, size - first - 2)
        images[:, hollow, hollow] = ground
    return images


@pytest.mark.parametrize(("ground", "ink"), [(0, 255), (255, 0), (30, 160)])
@pytest.mark.parametrize(  # an area that fills the frame would be the background
    ("extent", "filled"), [(0.5, True), (0.5, False), (0.8, True), (0.8, False), (1.0, False)]
)
@pytest.mark.parametrize("channels", [1, 3])
def test_the_manner_of_images(ground, ink, extent, filled, channels):
    images = things(ground, ink, extent, filled, channels)
    if extent < 1:
        assert manner_of(images) == Manner(ground < ink, extent, filled)
    assert manner_of(images).extent == extent or extent == 1


def test_the_manner_of_empty_images():
    assert manner_of(np.full((3, 8, 8, 1), 9, "uint8")) == Manner(True, 1.0, False)


LINE = [[0.1, 0.1], [0.1, 0.4]]
BOX = [[0.1, 0.1], [0.3, 0.1], [0.3, 0.3], [0.1, 0.3], [0.1, 0.1]]


@pytest.mark.parametrize("strokes", [[LINE], [BOX], [BOX, LINE], [[[0.9, 0.9]]]])
@pytest.mark.parametrize("manner", [Manner(True, 0.7, False), Manner(False, 0.7, True)])
def test_a_drawing_has_the_usual_size_and_stands_in_the_middle(strokes, manner):
    pixels = np.asarray(draw_strokes(strokes, manner))
    assert pixels.shape == (DRAWING, DRAWING)
    ink = pixels == (255 if manner.light_on_dark else 0)
    down, across = np.nonzero(ink)
    assert abs(down.mean() - DRAWING / 2) < 3
    assert abs(across.mean() - DRAWING / 2) < 3
    if len(strokes[0]) > 1:
        longer = max(np.ptp(down), np.ptp(across)) / DRAWING
        assert abs(longer - 0.7) < 0.02


def test_a_shape_is_filled_even_if_it_is_not_quite_closed():
    open_box = [BOX[:-1]]
    outline = np.asarray(draw_strokes(open_box, Manner(True, 0.8, False)))
    filled = np.asarray(draw_strokes(open_box, Manner(True, 0.8, True)))
    assert outline[DRAWING // 2, DRAWING // 2] == 0
    assert filled[DRAWING // 2, DRAWING // 2] == 255
    two = [[[0.2, 0.2], [0.8, 0.2], [0.8, 0.8]], [[0.2, 0.2], [0.2, 0.8], [0.8, 0.8]]]
    assert np.asarray(draw_strokes(two, Manner(True, 0.8, True)))[DRAWING // 2, DRAWING // 2]


def test_a_thicker_brush_leaves_more_ink():
    thin, thick = (
        np.asarray(draw_strokes([LINE], Manner(True, 0.8, False), brush)).mean()
        for brush in (0.03, 0.12)
    )
    assert thick > 2 * thin


def test_nothing_of_a_lopsided_drawing_is_cut_off():
    heavy = [*[[[0.1, 0.1 + step / 50], [0.2, 0.1 + step / 50]] for step in range(10)]]
    pixels = np.asarray(draw_strokes([*heavy, [[0.1, 0.1], [0.9, 0.9]]], Manner(True, 1.0, False)))
    down, across = np.nonzero(pixels)
    assert np.ptp(down) > 0.97 * DRAWING
    assert np.ptp(across) > 0.97 * DRAWING


def test_no_strokes_are_an_empty_picture():
    assert draw_strokes([], Manner(True, 1.0, True)).getextrema() == (0, 0)
    assert draw_strokes([[]], Manner(False, 1.0, True)).getextrema() == (255, 255)
