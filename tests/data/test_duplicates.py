"""Near-duplicates: their pairs against all comparisons, on images where the answer is known."""

import io
import time
import tracemalloc

import imagehash
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy.ndimage import gaussian_filter

from imgclf_lib.data import components
from imgclf_lib.data.duplicates import _close_hashes, similar_pairs
from imgclf_lib.data.sources import load_known

SIDE = 48


def photo(generator: np.random.Generator) -> Image.Image:
    """A random scene with large and small shapes, like no other."""
    pixels = np.zeros((SIDE, SIDE, 3))
    for size in (12, 6, 3, 1.5):
        layer = gaussian_filter(generator.normal(size=(SIDE, SIDE, 3)), (size, size, 0.5))
        pixels += layer / layer.std() * size**0.7
    pixels = 128 + 50 * (pixels - pixels.mean()) / pixels.std()
    return Image.fromarray(pixels.clip(0, 255).astype("uint8"))


def compressed(image: Image.Image) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=40)
    return Image.open(file).convert("RGB")


def cropped(image: Image.Image) -> Image.Image:
    return image.crop((0, 1, SIDE - 1, SIDE)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)


CHANGES = {
    "compressed": compressed,
    "smaller": lambda image: image.resize((24, 24), Image.Resampling.BICUBIC).resize((SIDE, SIDE)),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.12),
    "cropped": cropped,
}


def hash_of(image: Image.Image) -> int:
    return int(str(imagehash.phash(image)), 16)


def arrays(images: list[Image.Image]) -> tuple[np.ndarray, np.ndarray]:
    hashes = np.array([hash_of(image) for image in images], "uint64")
    return hashes, np.stack([np.asarray(image).reshape(*image.size, -1) for image in images])


def truly(pairs: np.ndarray, wanted: set[tuple[int, int]]) -> tuple[float, float]:
    """Share of the wanted pairs that was found, and of the found ones that was wanted."""
    found = set(map(tuple, pairs.tolist()))
    return len(found & wanted) / len(wanted), len(found & wanted) / max(1, len(found))


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    generator = np.random.default_rng(0)
    return [photo(generator) for _ in range(200)]


@pytest.mark.parametrize("change", CHANGES)
def test_changed_copies_are_found_and_nothing_else(photos, change):
    copies = [CHANGES[change](image) for image in photos[:60]]
    pairs = similar_pairs(*arrays(photos + copies))
    found, right = truly(pairs, {(row, 200 + row) for row in range(60)})
    assert right == 1
    assert found >= (0.9 if change == "cropped" else 1)


def test_a_few_images_suffice(photos):
    pairs = similar_pairs(*arrays([*photos[:4], compressed(photos[1]), photos[2]]))
    assert pairs.tolist() == [[1, 4], [2, 5]]
    assert pairs.dtype == "int64"
    for count in (0, 1):
        hashes, images = arrays(photos[:2])
        assert similar_pairs(hashes[:count], images[:count]).shape == (0, 2)


def test_equal_hashes_of_different_pixels_are_no_pair(photos):
    _, images = arrays(photos)
    assert similar_pairs(np.zeros(200, "uint64"), images).shape == (0, 2)


def test_pixels_alone_are_no_pair_without_similar_hashes(photos):
    """So that the hashes are known to be used: all pairs are never compared."""
    _, images = arrays([photos[0]] * 2)
    assert len(similar_pairs(np.array([0, 2**64 - 1], "uint64"), images)) == 0
    for bits, found in ((0, 1), (7, 1), (10, 1), (12, 0)):
        hashes = np.array([0, (2**bits - 1) << 20], "uint64")
        assert len(similar_pairs(hashes, images)) == found, bits


def test_other_colors_other_light_other_thing(photos):
    recolored = Image.fromarray(np.asarray(photos[0])[..., [1, 2, 0]])
    grey = Image.fromarray(np.asarray(photos[1]) // 3)
    assert len(similar_pairs(*arrays([*photos, recolored, grey]))) == 0


def test_much_less_contrast_is_another_picture(photos):
    grey = [image.convert("L") for image in photos]  # so that colours do not tell
    pixels = np.asarray(grey[0]).astype(float)
    weak = [Image.fromarray((128 + (pixels - 128) * part).astype("uint8")) for part in (0.9, 0.5)]
    assert similar_pairs(*arrays([*grey, *weak])).tolist() == [[0, 200]]


def test_flat_images_are_compared_pixel_by_pixel():
    """They have no pattern to compare, and their hashes mean nothing."""
    images = np.full((7, SIDE, SIDE, 3), 100, "uint8")
    images[1] += 20  # a little lighter
    images[2, 5:8, 5:8] = 120  # a faint spot
    images[3, 30:33, 30:33] = 120  # the same elsewhere
    images[4] = images[2] + 2
    images[5] += 3
    images[6, ::2] += 9  # stripes
    pairs = similar_pairs(np.zeros(7, "uint64"), images)
    assert pairs.tolist() == [[0, 5], [2, 4]]


def test_thousands_of_blank_images_make_a_chain_not_millions_of_pairs(photos):
    blank = [Image.new("RGB", (SIDE, SIDE), color) for color in ("white", "black", "red")]
    faint = Image.new("RGB", (SIDE, SIDE), "white")
    faint.putpixel((10, 10), (0, 0, 0))  # one small star is a difference
    images = [*photos[:20], *(blank * 1000), faint]
    pairs = similar_pairs(*arrays(images))
    assert len(pairs) == 3 * 999
    groups = components(len(images), pairs)
    assert np.bincount(groups).max() == 1000
    for color in range(3):
        assert len(np.unique(groups[20 + color : -1 : 3])) == 1
    assert (groups == groups[-1]).sum() == 1


def test_nearly_equal_hashes_of_many_copies_are_connected(photos):
    generator = np.random.default_rng(1)
    _, images = arrays([*photos[1:], *[photos[0]] * 1000])
    hashes = arrays(photos[1:])[0]
    flips = np.uint64(1) << generator.integers(0, 64, 1000).astype("uint64")
    hashes = np.append(hashes, hash_of(photos[0]) ^ flips ^ np.roll(flips, 1))
    pairs = similar_pairs(hashes, images)
    groups = components(len(images), pairs)
    assert len(np.unique(groups[199:])) == 1
    assert len(np.unique(groups)) == 200
    assert len(pairs) < 100_000  # of half a million


def test_the_result_is_the_same_again_and_in_order(photos):
    hashes, images = arrays([compressed(image) for image in photos] + photos)
    pairs = similar_pairs(hashes, images)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert pairs.tolist() == sorted(pairs.tolist())
    np.testing.assert_array_equal(pairs, similar_pairs(hashes, images))


def test_different_shirts_are_not_near_duplicates():
    """Fashion-MNIST: all images are centred and alike; chains must not grow."""
    known = load_known("fashion_mnist")
    images = known.train_images[:6_000]
    hashes = np.array([hash_of(Image.fromarray(each.squeeze())) for each in images], "uint64")
    groups = components(len(images), similar_pairs(hashes, images))
    assert np.bincount(groups).max() <= 4
    assert len(images) - len(np.unique(groups)) < 20


@pytest.mark.slow
def test_many_rows_take_seconds_and_little_memory(photos):
    class Images:
        """100,000 images, as a memory-mapped array would give them."""

        shape = (100_000, SIDE, SIDE, 3)

        def __len__(self) -> int:
            return len(hashes)

        def __getitem__(self, rows):
            return stored[np.asarray(rows) % 200]

    _, stored = arrays(photos)
    generator = np.random.default_rng(0)
    hashes = generator.integers(0, 2**63, 100_000).astype("uint64")
    hashes[:10_000] >>= 20  # some skew: a tenth shares one band
    hashes[50_000:70_000] = hashes[70_000:90_000]  # row r and r + 20,000 are the same image
    tracemalloc.start()
    start = time.monotonic()
    pairs = similar_pairs(hashes, Images())
    seconds = time.monotonic() - start
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(pairs) >= 20_000
    assert seconds < 60  # about 3 where nothing else runs
    assert peak < 150e6


def test_components_are_numbered_by_their_first_image():
    pairs = np.array([[1, 4], [4, 5], [0, 2]])
    assert components(6, pairs).tolist() == [0, 1, 0, 2, 1, 1]
    assert components(3, np.zeros((0, 2), "int64")).tolist() == [0, 1, 2]


def all_pairs(hashes: np.ndarray, distance: int) -> set[tuple[int, int]]:
    bits = np.bitwise_count(hashes[:, None] ^ hashes)
    first, second = np.nonzero(np.triu((bits <= distance) & (bits > 0)))
    return set(zip(first.tolist(), second.tolist(), strict=True))


def found(hashes: np.ndarray, most: int, *work: tuple[int, ...]) -> set[tuple[int, int]]:
    return {
        (min(pair), max(pair))
        for first, second in _close_hashes(hashes, most, *work)
        for pair in zip(first.tolist(), second.tolist(), strict=True)
    }


def crowded(count: int, few: int, seed: int = 0) -> np.ndarray:
    """Hashes around ``few`` centres, each with up to 3 bits changed."""
    generator = np.random.default_rng(seed)
    centres = generator.integers(0, 2**64, few, "uint64", endpoint=False)
    hashes = centres[generator.integers(0, few, count)]
    for _ in range(3):
        hashes = hashes ^ (np.uint64(1) << generator.integers(0, 64, count).astype("uint64"))
    return hashes


@pytest.mark.parametrize("most", [3, 7, 11])
@pytest.mark.parametrize("few", [1, 20, 600])  # tiles of 16, 4 and 1
def test_all_close_pairs_are_found_and_no_others(most, few):
    hashes = crowded(1500 if few > 1 else 300, few)
    wanted = all_pairs(hashes, most)
    assert len(wanted) > 5
    assert found(hashes, most) == wanted


def test_hashes_that_look_like_padding():
    hashes = np.array([0, 1, 3, 2**64 - 1, 2**64 - 2, 2**63], "uint64")
    assert found(hashes, 3) == all_pairs(hashes, 3)
    assert found(hashes[:1], 11) == found(hashes[:0], 11) == set()


def test_too_much_work_is_cut_down():
    hashes = crowded(1500, 20)
    assert found(hashes, 11, (10**11, 10**9, 10)) == all_pairs(hashes, 7)
    assert found(hashes, 11, (10**11, 10, 10)) == all_pairs(hashes, 3)
