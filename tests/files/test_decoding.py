"""The one pixel path against hand-made oracles; facts also about files that try to break it."""

import hashlib
import io
import struct
import time
import warnings
import zlib
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.ndimage import laplace

from imgclf_lib.files import (
    CONTENT_PROBLEMS,
    BadImage,
    bits_of,
    decode,
    decoding,
    inspect_file,
    measure_image,
    reading,
)
from imgclf_lib.files.decoding import _to_eight_bits
from imgclf_lib.files.reading import MAXIMUM_PIXELS

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
SECONDS = 3  # no small file may take longer
FLIPS = 60  # broken copies of each format


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
    np.testing.assert_array_equal(np.asarray(_to_eight_bits(Image.fromarray(small))), small)
    wide = small * 1040
    found = np.asarray(_to_eight_bits(Image.fromarray(wide)))
    np.testing.assert_array_equal(found, (wide / 257).round())
    huge = small * 10_000_000 - 5
    found = np.asarray(_to_eight_bits(Image.fromarray(huge)))
    assert (found.min(), found.max()) == (0, 255)


def test_float_is_stretched():
    values = np.linspace(-2, 6, 64, dtype="float32").reshape(8, 8)
    found = decode(encoded(Image.fromarray(values), "TIFF"), 8, 1, "pad")
    assert found.mode == "F"
    np.testing.assert_allclose(found.pixels[..., 0], (values + 2) / 8 * 255, atol=0.51)
    flat = np.asarray(_to_eight_bits(Image.fromarray(np.full((2, 2), np.nan, "float32"))))
    assert flat.tolist() == [[0, 0], [0, 0]]


def test_float_without_a_number():
    values = np.array([[0, 10, np.nan], [np.inf, -np.inf, 5]], "float32")
    found = np.asarray(_to_eight_bits(Image.fromarray(values)))
    assert found.tolist() == [[0, 255, 0], [255, 0, 128]]
    huge = np.array([[-3e38, 0, 3e38]], "float32")
    assert np.asarray(_to_eight_bits(Image.fromarray(huge))).tolist() == [[0, 128, 255]]


def test_negative_integers_are_stretched():
    values = np.array([[-100, 0, 155]], "int32")
    assert np.asarray(_to_eight_bits(Image.fromarray(values))).tolist() == [[0, 100, 255]]


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bit_tiff_of_both_byte_orders(order):
    values = np.linspace(0, 65535, 64).reshape(8, 8).round().astype("uint16")
    mode = "I;16" if order == "<" else "I;16B"
    image = Image.frombytes(mode, (8, 8), values.astype(f"{order}u2").tobytes())
    wanted = (values / 257).round()
    np.testing.assert_array_equal(np.asarray(_to_eight_bits(image)), wanted)
    found = decode(encoded(image, "TIFF"), 8, 1, "pad").pixels[..., 0]
    np.testing.assert_array_equal(found, wanted)


def test_dark_sixteen_bit_pgm_stays_dark():
    raw = b"P5 2 1 65535 " + np.array([200, 257], ">u2").tobytes()
    assert decode(raw, 2, 1, "squash").pixels.ravel().tolist() == [1, 1, 1, 1]


def test_sixteen_bit_color_png_keeps_its_high_bytes():
    rows = np.arange(0, 65536, 911, "uint16")[:48].reshape(4, 4, 3)
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in rows)
    raw = png(4, 4, zlib.compress(lines), depth=16, color=2)
    np.testing.assert_array_equal(decode(raw, 4, 3, "pad").pixels, rows >> 8)


def test_lab_and_inverted_cmyk():
    pixels = np.asarray(Image.fromarray(random_pixels(2, 2, 3)).resize((32, 32)))
    lab = Image.fromarray(pixels).convert("LAB")
    found = decode(encoded(lab, "TIFF"), 32, 3, "pad")
    assert found.mode == "LAB"
    assert np.abs(found.pixels.astype(int) - pixels).mean() < 3
    cmyk = encoded(Image.fromarray(pixels).convert("CMYK"), "JPEG", quality=98)
    assert b"Adobe" in cmyk  # Photoshop's way: the values are stored inverted
    found = decode(cmyk, 32, 3, "pad")
    assert found.mode == "CMYK"
    assert np.abs(found.pixels.astype(int) - pixels).mean() < 3


@pytest.mark.parametrize("mode", ["La", "RGBa", "PA"])
def test_rare_modes_with_transparency_show_white(mode):
    image = Image.new("LA" if mode == "La" else "RGBA", (4, 4), 0).convert(mode)
    assert (decode(image, 4, 3, "pad").pixels == 255).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "mode",
    ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "I", "F"],
)
def test_every_mode_gives_the_asked_channels(mode, channels):
    image = Image.fromarray(random_pixels(5, 9, 3))
    image = image.convert("L" if mode in "IF" else "P" if mode == "PA" else "RGB").convert(mode)
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


@pytest.mark.parametrize("how", ["pad", "crop", "squash"])
@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1), (3, 2), (1, 300)])
def test_extreme_shapes(size, how):
    image = Image.fromarray(random_pixels(size[1], size[0], 3))
    for kind in ("PNG", "JPEG"):
        found = decode(encoded(image, kind), 16, 3, how)
        assert (found.width, found.height) == size
        if how == "pad" and max(size) > 1:
            assert (found.pixels != 255).any()


def smooth(width: int, height: int) -> Image.Image:
    return Image.fromarray(random_pixels(7, 9, 3)).resize((width, height))


@pytest.mark.parametrize("how", ["pad", "crop", "squash"])
@pytest.mark.parametrize("size", [16, 64, 100])
@pytest.mark.parametrize("sides", [(1200, 900), (900, 1200), (2000, 300), (640, 640), (700, 129)])
@pytest.mark.parametrize("turn", [1, 2, 3, 4, 5, 6, 7, 8])
def test_a_reduced_jpeg_looks_like_a_whole_one(how, size, sides, turn, monkeypatch):
    exif = Image.Exif()
    exif[274] = turn
    raw = encoded(smooth(*sides), "JPEG", quality=90, exif=exif)
    found = decode(raw, size, 3, how)
    monkeypatch.setattr("imgclf_lib.files.decoding._reduce", lambda image, *_: image.size)
    wanted = decode(raw, size, 3, how)
    assert found[1:4] == wanted[1:4]
    assert (found.width, found.height) == (sides if turn < 5 else sides[::-1])
    difference = np.abs(found.pixels.astype(int) - wanted.pixels)
    assert difference.max() <= 6
    assert difference.mean() <= 0.7
    used = found.whole.size
    assert max(used) >= 128
    scale = {"pad": max, "crop": min, "squash": min}[how](sides) / size
    assert (
        used == wanted.whole.size
        or min(
            one / (side / scale)
            for one, side in zip(used, (found.width, found.height), strict=True)
        )
        >= 1.99
    )  # at least twice the size that is needed


def test_large_jpegs_are_reduced():
    used = [decode(encoded(smooth(*sides), "JPEG"), 32, 3, "pad").whole.size
            for sides in ((1200, 900), (2400, 1800), (256, 192), (255, 192))]  # fmt: skip
    assert used == [(150, 113), (300, 225), (128, 96), (255, 192)]


def test_a_pillow_image_is_left_as_it_is():
    raw = encoded(smooth(1200, 900), "JPEG")
    image = Image.open(io.BytesIO(raw))
    found = decode(image, 16, 3, "pad")
    assert image.size == found.whole.size == (1200, 900)


def test_broken_exif_data_do_not_reject_an_image():
    image = Image.fromarray(random_pixels(16, 16, 3))
    for exif in (b"Exif\0\0junk", b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(60)):
        for kind in ("JPEG", "PNG", "WEBP"):
            found = decode(encoded(image, kind, exif=exif), 16, 3, "pad")
            assert found.remark == "damaged metadata", kind


@pytest.mark.parametrize("kind", ["ICO", "ICNS"])
def test_a_picture_inside_an_icon_may_not_be_a_bomb(kind):
    inner = png(10_000, 10_000, zlib.compress(bytes(1251 * 10_000)), depth=1, color=0)
    if kind == "ICO":
        raw = struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(inner), 22) + inner
    else:
        entry = b"ic08" + struct.pack(">I", len(inner) + 8) + inner
        raw = b"icns" + struct.pack(">I", len(entry) + 8) + entry
    with pytest.raises(BadImage) as raised:
        decode(raw, 8, 3, "pad")
    assert raised.value.problem == "too large"


def test_bytes_path_and_image_agree(tmp_path):
    image = Image.fromarray(random_pixels(9, 7, 3))
    path = tmp_path / "one.png"
    image.save(path)
    ways = [decode(source, 6, 3, "pad") for source in (path, path.read_bytes(), image)]
    assert len({way.pixels.tobytes() for way in ways}) == 1
    assert len({way[1:4] for way in ways}) == 1


def header(width: int, height: int) -> bytes:
    """A PNG file that claims a size and holds no pixels."""
    return png(width, height, zlib.compress(b""))


def png(width: int, height: int, packed: bytes, depth: int = 8, color: int = 0) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    pieces = [
        struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each))
        for each in (chunk, b"IDAT" + packed, b"IEND")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(pieces)


@pytest.mark.parametrize("size", [(MAXIMUM_PIXELS + 1, 1), (20_000, 20_000), (10_000, 10_000)])
def test_too_many_pixels_are_refused_before_decoding(size):
    with pytest.raises(BadImage) as raised:
        decode(header(*size), 8, 1, "pad")
    assert raised.value.problem == "too large"


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"", "empty"), (b"no image", "not an image"), (header(8, 8), "damaged")],
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
    with pytest.raises(BadImage, match=r"^damaged: JPEG"):
        decode(whole[: len(whole) // 2], 8, 3, "pad")


def picture(width: int = 61, height: int = 40, seed: int = 0) -> Image.Image:
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), "uint8")
    return Image.fromarray(coarse).resize((width, height))


def saved(path, image: Image.Image, **options: object):
    image.save(path, **options)
    return path


def test_facts_of_a_good_file(tmp_path):
    path = saved(tmp_path / "one.png", picture())
    found = inspect_file(path, 16, 3, "pad")
    np.testing.assert_array_equal(found.pixels, decode(path, 16, 3, "pad").pixels)
    assert (found.width, found.height, found.mode) == (61, 40, "RGB")
    assert (found.problem, found.detail) == ("", "")
    assert found.hash == hashlib.blake2b(path.read_bytes(), digest_size=12).hexdigest()
    assert found.perceptual_hash == str(imagehash.phash(picture().convert("L")))
    assert found.brightness == pytest.approx(np.asarray(picture().convert("L")).mean())


def test_same_pixels_in_another_file_have_the_same_pixel_hash(tmp_path):
    files = [
        saved(tmp_path / "one.png", picture()),
        saved(tmp_path / "two.bmp", picture()),
        saved(tmp_path / "three.png", picture(seed=1)),
        saved(tmp_path / "four.png", picture(122, 80)),
    ]
    one, two, three, four = (inspect_file(path, 16, 3, "pad") for path in files)
    assert one.pixel_hash == two.pixel_hash
    assert one.hash != two.hash
    assert len({one.pixel_hash, three.pixel_hash, four.pixel_hash}) == 3


def test_turned_photos_count_as_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    path = saved(tmp_path / "one.jpg", picture(), exif=exif)
    found = inspect_file(path, 16, 3, "pad")
    assert (found.width, found.height) == (40, 61)


@pytest.mark.parametrize("size", [(48, 32), (64, 64), (5, 3)])
def test_sharpness_is_the_variance_of_the_laplacian(size):
    grey = np.asarray(picture(*size).convert("L"), "float32")
    wanted = laplace(grey)[1:-1, 1:-1].var()
    assert measure_image(picture(*size))[2] == pytest.approx(wanted, rel=1e-4)


def test_the_perceptual_hash_is_that_of_imagehash():
    pictures = [picture(*sides, seed) for seed in range(60) for sides in ((32, 32), (64, 40))]
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 48, 3), "uint8")
    pictures += [Image.fromarray(each) for each in noise]
    pictures += [Image.new("L", (40, 30), grey) for grey in (0, 1, 128, 255)]
    for each in pictures:
        assert measure_image(each)[0] == str(imagehash.phash(each.convert("L")))


def test_blur_and_light_are_measured():
    sharp = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120), "uint8"))
    values = [
        measure_image(sharp.filter(ImageFilter.GaussianBlur(radius))) for radius in (0, 1, 3, 9)
    ]
    sharpness = [value[2] for value in values]
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[0] > 20 * sharpness[-1]
    assert measure_image(Image.new("L", (1, 1), 9))[1:] == (9, 0)
    assert measure_image(Image.new("RGB", (300, 200), "white"))[1:] == (255, 0)


def test_sizes_can_be_compared():
    """The same picture at four times the size is about as sharp, and has the same hash."""
    large = picture(400, 300).filter(ImageFilter.GaussianBlur(3))
    small = large.resize((100, 75), Image.Resampling.BICUBIC)
    one, two = measure_image(large), measure_image(small)
    distance = imagehash.hex_to_hash(one[0]) - imagehash.hex_to_hash(two[0])
    assert distance <= 4
    assert one[2] == pytest.approx(two[2], rel=0.25)


def test_frames_are_counted_only_in_small_files(tmp_path, monkeypatch):
    others = [picture(seed=seed) for seed in (1, 2)]
    path = saved(tmp_path / "one.gif", picture(), save_all=True, append_images=others)
    assert inspect_file(path, 8, 3, "pad").detail == "animation of 3 frames: the first is used"
    monkeypatch.setattr("imgclf_lib.files.decoding.COUNTED_BYTES", 10)
    found = inspect_file(path, 8, 3, "pad")
    assert found.detail == "animation of several frames: the first is used"


def test_remarks_are_joined(tmp_path):
    image = picture()
    image.save(tmp_path / "film.jpg", "GIF", save_all=True, append_images=[picture(seed=1)])
    assert inspect_file(tmp_path / "film.jpg", 8, 3, "pad").detail == (
        "content is GIF, the name ends in .jpg; animation of 2 frames: the first is used"
    )


def test_every_problem_has_its_sentence():
    for kind, sentence in CONTENT_PROBLEMS.items():
        assert kind == kind.lower()
        assert sentence.endswith(".")


def seeds() -> dict[str, bytes]:
    """A small file of each format, and of some variants."""
    image, found = picture(), {}
    exif = Image.Exif()
    exif[274], exif[305] = 8, "camera"
    variants = [
        ("JPEG", {}), ("JPEG", {"exif": exif, "progressive": True}), ("PNG", {}), ("GIF", {}),
        ("WEBP", {}), ("WEBP", {"lossless": True, "exif": exif}), ("BMP", {}), ("TIFF", {}),
        ("TIFF", {"compression": "tiff_adobe_deflate", "exif": exif}), ("JPEG2000", {}),
        ("PPM", {}), ("ICO", {}), ("TGA", {}), ("PCX", {}), ("SGI", {}), ("DDS", {}), ("QOI", {}),
        ("GIF", {"save_all": True, "append_images": [picture(seed=1)]}),
        ("PNG", {"save_all": True, "append_images": [picture(seed=1)], "exif": exif}),
        ("MPO", {"save_all": True, "append_images": [picture(seed=1)]}),
    ]  # fmt: skip
    for kind, options in variants:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        found[f"{kind}-{len(options)}"] = buffer.getvalue()
    return found


@pytest.mark.parametrize("name", seeds())
def test_broken_files_never_raise_warn_hang_or_change(name, tmp_path, capfd):
    content = seeds()[name]
    generator = np.random.default_rng(len(content))
    path = tmp_path / "one.jpg"
    for number in range(FLIPS):
        broken = bytearray(content)
        if number % 2:
            del broken[generator.integers(len(broken)) :]
        else:
            reach = min(len(broken), int(generator.choice([40, 400, 10**6])))
            for place in generator.integers(0, reach, generator.choice([1, 3, 20])):
                broken[place] = generator.integers(256)
        path.write_bytes(broken)
        before = path.stat()
        started = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = inspect_file(path, 8, 3, "pad")
        assert time.perf_counter() - started < SECONDS
        assert path.read_bytes() == broken
        assert path.stat().st_mtime_ns == before.st_mtime_ns
        assert found.problem in {"", *CONTENT_PROBLEMS}
        assert (found.pixels is None) == bool(found.problem)
        assert "cannot be measured" not in found.detail
        assert str(tmp_path) not in found.detail
        assert bool(found.detail) or not found.problem
    out, err = capfd.readouterr()
    assert out == ""
    assert name.startswith("TIFF") or err == ""  # libtiff writes to standard error by itself


def drawing(ink: int) -> np.ndarray:
    """A disc of ink on nothing: all of the picture is in the alpha channel."""
    y, x = np.mgrid[:20, :20]
    pixels = np.full((20, 20, 4), ink, "uint8")
    pixels[..., 3] = np.where((y - 9) ** 2 + (x - 7) ** 2 < 30, 255, 0)
    return pixels


@pytest.mark.parametrize("ink", [255, 250])
def test_light_drawings_on_nothing_are_shown_on_black(ink, tmp_path):
    pixels = drawing(ink)
    found = inspect_file(saved(tmp_path / "a.png", Image.fromarray(pixels)), 20, 1, "pad")
    np.testing.assert_array_equal(found.pixels[..., 0], np.where(pixels[..., 3], ink, 0))
    assert found.detail == "light on nothing: it is shown on black"


@pytest.mark.parametrize("ink", [0, 128])
def test_dark_drawings_stay_on_white(ink):
    found = decode(encoded(Image.fromarray(drawing(ink))), 20, 1, "pad")
    assert set(np.unique(found.pixels)) == {ink, 255}
    assert found.remark == ""


def test_a_fourth_channel_that_is_zero_everywhere_is_no_alpha():
    pixels = random_pixels(12, 12, 4)
    pixels[..., 3] = 0
    found = decode(encoded(Image.fromarray(pixels)), 12, 3, "pad")
    np.testing.assert_array_equal(found.pixels, pixels[..., :3])
    assert "transparent everywhere" in found.remark


def test_nothing_at_all_stays_white():
    assert (decode(encoded(Image.new("RGBA", (5, 5))), 5, 3, "pad").pixels == 255).all()


def test_one_hot_pixel_does_not_hide_the_others(tmp_path):
    generator = np.random.default_rng(0)
    values = generator.uniform(0.2, 0.8, (40, 40)).astype("float32")
    values[0, 0] = 1e6
    found = inspect_file(saved(tmp_path / "a.tif", Image.fromarray(values)), 40, 1, "pad")
    assert len(np.unique(found.pixels)) > 200
    assert found.pixels[0, 0, 0] == 255
    assert "values from 0.2" in found.detail
    assert " to 1e+06 clipped to 0.2" in found.detail
    values[0, 0] = 3  # not so far that the others would vanish
    assert decode(encoded(Image.fromarray(values), "TIFF"), 40, 1, "pad").remark == ""


def twelve_bits(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(900, 1300, (30, 30), "uint16"))


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
@pytest.mark.parametrize("bits", [10, 12, 14, 16])
def test_of_sixteen_bits_as_many_count_as_the_data_set_uses(bits, mode, tmp_path):
    values = np.linspace(0, (1 << bits) - 1, 64).round().reshape(8, 8)
    stored = {"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}[mode]
    image = Image.frombytes(mode, (8, 8), values.astype(stored).tobytes())
    path = saved(tmp_path / "a.tif", image)
    found = inspect_file(path, 8, 1, "pad", bits)
    wanted = np.linspace(0, 255, 64).reshape(8, 8)
    assert np.abs(found.pixels[..., 0] - wanted).max() <= 1
    assert found.greatest == (1 << bits) - 1
    assert bits_of([0, found.greatest, 300]) == bits
    assert inspect_file(path, 8, 1, "pad", 10).pixels.max() == 255, "more is cut off, not turned"


def test_other_images_have_no_such_bits(tmp_path):
    grey = saved(tmp_path / "a.png", Image.new("L", (8, 8), 200))
    mask = saved(tmp_path / "b.tif", Image.fromarray(np.eye(8, dtype="int32")))
    (tmp_path / "c.pgm").write_bytes(b"P5 2 1 4095 " + np.array([0, 4095], ">u2").tobytes())
    found = [inspect_file(path, 8, 1, "squash", 12) for path in (grey, tmp_path / "c.pgm")]
    assert [each.pixels.max() for each in found] == [200, 255]
    assert [each.greatest for each in (*found, inspect_file(mask, 8, 1, "pad"))] == [0, 0, 0]
    assert bits_of([0, 0]) is None


def test_sixteen_bits_that_are_hardly_used_are_told_and_no_copies(tmp_path):
    one, two = (saved(tmp_path / f"{seed}.png", twelve_bits(seed)) for seed in range(2))
    found = inspect_file(one, 30, 1, "pad")
    assert found.detail == "16-bit values of which 2.0% of the range is used"
    assert found.pixel_hash != inspect_file(two, 30, 1, "pad").pixel_hash
    assert (
        found.pixel_hash == inspect_file(saved(tmp_path / "a.tif", twelve_bits(0)), 8, 1, "pad")[5]
    )
    wide = Image.fromarray(np.random.default_rng(0).integers(900, 60_000, (30, 30), "uint16"))
    assert decode(encoded(wide), 30, 1, "pad").remark == ""
    mask = Image.fromarray(np.eye(30, dtype="int32"))  # 32 bits as they are
    assert decode(encoded(mask, "TIFF"), 30, 1, "pad").remark == ""


def test_pixels_that_only_shrinking_makes_equal_are_no_copies(tmp_path):
    pixels = np.full((1, 3000, 3), 200, "uint8")
    pixels[0, 0] = 199
    paths = [saved(tmp_path / f"{i}.png", Image.fromarray(np.roll(pixels, i, 1))) for i in range(2)]
    one, two = (inspect_file(path, 1, 3, "pad") for path in paths)
    np.testing.assert_array_equal(one.pixels, two.pixels)
    assert one.pixel_hash != two.pixel_hash


def test_copies_of_large_jpegs_differ_in_metadata_only(tmp_path):
    large = Image.fromarray(random_pixels(8, 8, 3)).resize((900, 700))
    one = saved(tmp_path / "one.jpg", large)
    two = saved(tmp_path / "two.jpg", large, comment=b"the same")
    large.putpixel((3, 3), (255, 0, 255))
    three = saved(tmp_path / "three.jpg", large)
    found = [inspect_file(path, 16, 3, "pad") for path in (one, two, three)]
    assert len({each.hash for each in found}) == 3
    assert [each.pixel_hash == found[0].pixel_hash for each in found] == [True, True, False]


def test_the_limit_is_on_what_is_decoded(monkeypatch):
    """Phones write 200 million pixels; at an eighth of each side that is little."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100_000)
    monkeypatch.setattr(reading, "MAXIMUM_PIXELS", 100_000)
    monkeypatch.setattr(decoding, "MAXIMUM_PIXELS", 100_000)
    photo = Image.fromarray(random_pixels(8, 8, 3)).resize((1200, 900))
    found = decode(encoded(photo, "JPEG"), 32, 3, "pad")
    assert (found.width, found.height) == (1200, 900)
    assert found.whole.width < 400
    for raw in (encoded(photo, "PNG"), encoded(photo, "JPEG", progressive=True)):
        with pytest.raises(BadImage, match="too large"):
            decode(raw, 32, 3, "pad")
    with pytest.raises(BadImage, match="too large: 1200 x 900 pixels are too many"):
        decode(encoded(photo, "JPEG"), 500, 3, "pad")
    monkeypatch.setattr(reading, "MAXIMUM_JPEG", 1_000_000)
    with pytest.raises(BadImage, match="too large"):
        decode(encoded(photo, "JPEG"), 32, 3, "pad")


def bmp(pixels: np.ndarray, bits: int, greys: tuple[int, ...]) -> bytes:
    """A BMP with a palette, written by hand."""
    rows = b""
    for row in pixels[::-1].tolist():
        text = "".join(format(value, f"0{bits}b") for value in row)
        packed = int(text, 2).to_bytes(len(text) // 8, "big")
        rows += packed.ljust(-(-len(packed) // 4) * 4, b"\0")
    palette = b"".join(bytes([grey, grey, grey, 0]) for grey in greys)
    start = 54 + len(palette)
    height, width = pixels.shape
    size = (40, width, height, 1, bits, 0, len(rows), 0, 0, len(greys), 0)
    head = struct.pack("<HIHHI", 0x4D42, start + len(rows), 0, 0, start)
    return head + struct.pack("<IiiHHIIiiII", *size) + palette + rows


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("greys", [(0, 255), (255, 0), (0, 1), (0, 1, 2, 3)])
def test_grey_palettes_of_a_bitmap(bits, greys):
    """Pillow reads black and white of 4 or 8 bits a pixel as if each had one bit."""
    chosen = greys[:2] if bits == 1 else greys
    pixels = np.random.default_rng(0).integers(0, len(chosen), (6, 16))
    found = decode(bmp(pixels, bits, chosen), 16, 1, "pad").pixels[5:11, :, 0]
    np.testing.assert_array_equal(found, np.array(chosen)[pixels])


def test_what_libtiff_says_is_told_with_the_file_and_not_in_the_terminal(tmp_path, capfd):
    if not list(Path(Image.__file__).parent.parent.glob("pillow.libs/libtiff*")):
        pytest.skip("not a wheel of Pillow for Linux")
    raw = encoded(Image.fromarray(random_pixels(64, 64, 3)), "TIFF", compression="tiff_lzw")
    raw = raw[:60] + bytes(400) + raw[460:]  # not the end, where the tags are
    path = tmp_path / "one.tif"
    path.write_bytes(raw)
    found = inspect_file(path, 16, 3, "pad")
    assert "LZW" in found.detail
    assert capfd.readouterr() == ("", "")
