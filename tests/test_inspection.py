"""Facts about single files, also about those that try to break it."""

import hashlib
import io
import time
import warnings

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageFilter
from scipy.ndimage import laplace

from imgclf_lib import inspection
from imgclf_lib.inspection import CONTENT_PROBLEMS, inspect_file, measure
from imgclf_lib.pixels import decode

SECONDS = 3  # no small file may take longer
FLIPS = 60  # broken copies of each format


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
    assert measure(picture(*size))[2] == pytest.approx(wanted, rel=1e-4)


def test_the_perceptual_hash_is_that_of_imagehash():
    pictures = [picture(*sides, seed) for seed in range(60) for sides in ((32, 32), (64, 40))]
    noise = np.random.default_rng(0).integers(0, 256, (40, 48, 48, 3), "uint8")
    pictures += [Image.fromarray(each) for each in noise]
    pictures += [Image.new("L", (40, 30), grey) for grey in (0, 1, 128, 255)]
    for each in pictures:
        assert measure(each)[0] == str(imagehash.phash(each.convert("L")))


def test_blur_and_light_are_measured():
    sharp = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120), "uint8"))
    values = [measure(sharp.filter(ImageFilter.GaussianBlur(radius))) for radius in (0, 1, 3, 9)]
    sharpness = [value[2] for value in values]
    assert sharpness == sorted(sharpness, reverse=True)
    assert sharpness[0] > 20 * sharpness[-1]
    assert measure(Image.new("L", (1, 1), 9))[1:] == (9, 0)
    assert measure(Image.new("RGB", (300, 200), "white"))[1:] == (255, 0)


def test_sizes_can_be_compared():
    """The same picture at four times the size is about as sharp, and has the same hash."""
    large = picture(400, 300).filter(ImageFilter.GaussianBlur(3))
    small = large.resize((100, 75), Image.Resampling.BICUBIC)
    one, two = measure(large), measure(small)
    distance = imagehash.hex_to_hash(one[0]) - imagehash.hex_to_hash(two[0])
    assert distance <= 4
    assert one[2] == pytest.approx(two[2], rel=0.25)


def test_frames_are_counted_only_in_small_files(tmp_path, monkeypatch):
    others = [picture(seed=seed) for seed in (1, 2)]
    path = saved(tmp_path / "one.gif", picture(), save_all=True, append_images=others)
    assert inspect_file(path, 8, 3, "pad").detail == "animation of 3 frames: the first is used"
    monkeypatch.setattr(inspection, "COUNTED_BYTES", 10)
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
