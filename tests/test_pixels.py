"""The one pixel path against hand-made oracles."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgclf_lib.image_files import MAXIMUM_PIXELS, BadImage
from imgclf_lib.pixels import decode, to_eight_bits

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
    assert len({way[1:4] for way in ways}) == 1


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
    with pytest.raises(BadImage) as raised:
        decode(header(*size), 8, 1, "pad")
    assert raised.value.problem == "too large"


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", "empty"), (b"no image", "not an image"), (header(8, 8), "truncated")],
    ids=["empty", "text", "header"],
)
def test_bad_data_raises_its_reason(content, problem, tmp_path):
    path = Path(tmp_path / "bad.png")
    path.write_bytes(content)
    for source in (content, path):
        with pytest.raises(BadImage, match=f"{problem}: ") as raised:
            decode(source, 8, 1, "pad")
        assert raised.value.problem == problem


def test_a_file_cut_short_raises():
    whole = encoded(Image.fromarray(random_pixels(64, 64, 3)), "JPEG")
    decode(whole, 8, 3, "pad")
    with pytest.raises(BadImage, match=r"^truncated: JPEG"):
        decode(whole[: len(whole) // 2], 8, 3, "pad")
