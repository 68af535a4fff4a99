"""Near-duplicates: nearly equal images, found without comparing every image with every other.

Candidates have nearly the same perceptual hash; each candidate is then compared pixel by pixel.
"""

from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

SIDE = 16  # images are compared at this height and width: enough to tell, too few for JPEG noise
SAME = (0.65, 0.93)  # range of the least correlation of near-duplicates, found by looking at pairs
ABOVE = (0.2, 2.5)  # and how it follows from that of unrelated images: an offset and a factor
COLOR = 20  # largest difference of their colours, in grey levels (root of the mean square)
LIGHT = 30  # largest difference of their mean brightness, in grey levels
CONTRAST = 1.3  # largest ratio of their contrasts
FLAT = 4  # an image of less contrast (standard deviation, grey levels) shows too little to compare
NOISE = 8  # grey levels by which copies of a flat image may differ in any pixel
SAMPLE = 3000  # images from which it is learned what all have in common
PIECE = 4_000_000  # pixels held as floats at a time
PART = 50_000  # candidates that are looked at before the next are chosen
ROUNDS = 32  # different images with one and the same hash that are told apart
BANDS = (0, 16, 32, 48)  # where the four parts of a hash begin, in bits
DISTANCES = (3, 7, 11)  # what is found for certain if 0, 1 or 2 bits of a part may differ
MOST_WORK = (10**11, 5 * 10**9, 3 * 10**8)  # comparisons of hashes for each of them, at most
MOST_TILES = 256  # 16 hashes each: with how many one is compared in one band

Pairs = tuple[np.ndarray, np.ndarray]


def similar_pairs(hashes: np.ndarray, images: Any) -> np.ndarray:
    """Find near-duplicates: copies that were compressed again, resized, brightened a little.

    Candidates have equal perceptual hashes or such that differ in a few bits. What counts in
    the end are the pixels: grey, 16 x 16, without mean and contrast, and whitened, which takes
    out what the images of the data set have in common (the outline of a shirt, the sky above).
    Their correlation must stand out from that of unrelated images of the same data set, so that
    two different shirts are not called the same; brightness and colours must be similar too.

    Of a thousand copies the result does not hold half a million pairs: it holds enough pairs to
    connect all of them. See ``components``.
    """
    hashes = np.asarray(hashes, "uint64")
    eyes = _Eyes(images)
    found, leaders = _equal_hashes(hashes, eyes)
    groups = np.arange(len(leaders))
    close = _close_hashes(hashes[leaders], 11 if eyes.least < 0.8 else 7)
    for first, second in _batches(close, len(leaders)):
        new = groups[first] != groups[second]  # those connected already need no look
        first, second = first[new], second[new]
        same = eyes.see(leaders[first], leaders[second])
        found.append(np.stack([leaders[first[same]], leaders[second[same]]], 1))
        if not same.any():
            continue
        joined = np.stack([groups[first[same]], groups[second[same]]], 1)
        groups = components(len(leaders), joined)[groups]
    pairs = np.sort(np.concatenate(found), 1)
    return np.unique(pairs, axis=0)


def components(count: int, pairs: np.ndarray) -> np.ndarray:
    """Number the groups of images that are connected by pairs.

    Args:
        count: How many images there are.
        pairs: Integer array of shape ``(m, 2)``: pairs of rows.

    Returns:
        ``int64`` array of shape ``(count,)``: the number of each image's group. Groups are
        numbered in the order of their first image; an image in no pair is a group of its own.
    """
    ones = np.ones(len(pairs), bool)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype("int64")


class _Eyes:
    """Compares images pixel by pixel, and remembers how each looked."""

    def __init__(self, images: Any) -> None:
        self.images = images
        self.height, self.width = (min(side, SIDE) for side in images.shape[1:3])
        self.places = np.full(len(images), -1, "int32")
        self.shapes = np.zeros((0, self.height * self.width), "int8")
        self.colors = np.zeros((0, 32), "int8")
        self.lights = np.zeros((0, 2), "float32")
        self.whiten, self.least = self._common()

    def see(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Whether the images of each pair of rows look the same."""
        self._remember(np.union1d(first, second))
        parts = [np.zeros(0, bool)]
        for start in range(0, len(first), 8192):
            rows = first[start : start + 8192], second[start : start + 8192]
            one, two = self.places[rows[0]], self.places[rows[1]]
            shapes = self.shapes[one].astype("float32"), self.shapes[two].astype("float32")
            lengths = np.linalg.norm(shapes[0], axis=1) * np.linalg.norm(shapes[1], axis=1)
            alike = np.vecdot(*shapes) >= self.least * lengths
            colors = 2 * (self.colors[one].astype("float32") - self.colors[two])
            alike &= np.sqrt(np.square(colors).mean(1)) <= COLOR
            means, contrasts = self.lights[[one, two]].transpose(2, 0, 1)
            alike &= abs(means[0] - means[1]) <= LIGHT
            alike &= contrasts.max(0) <= CONTRAST * contrasts.min(0)
            flat = contrasts.min(0) < FLAT
            alike &= ~flat
            for place in np.flatnonzero(flat & (abs(means[0] - means[1]) <= NOISE)):
                pixels = (self.images[each[place]].astype("int16") for each in rows)
                alike[place] = np.abs(np.subtract(*pixels)).max(initial=0) <= NOISE
            parts.append(alike)
        return np.concatenate(parts)

    def _remember(self, rows: np.ndarray) -> None:
        rows = rows[self.places[rows] < 0]
        self.places[rows] = len(self.lights) + np.arange(len(rows))
        shapes, colors, lights = [self.shapes], [self.colors], [self.lights]
        for start in range(0, len(rows), 1024):
            small = shrink(self.images, rows[start : start + 1024])
            grey, light = _normal(small)
            white = grey @ self.whiten
            scale = 127 / np.abs(white).max(1, keepdims=True).clip(1e-9)
            shapes.append((white * scale).round().astype("int8"))
            colors.append(_colors(small))
            lights.append(light)
        self.shapes, self.colors = np.concatenate(shapes), np.concatenate(colors)
        self.lights = np.concatenate(lights)

    def _common(self) -> tuple[np.ndarray, float]:
        """What takes out that which images have in common, and the least correlation of copies."""
        count = len(self.images)
        rows = np.unique(np.linspace(0, max(0, count - 1), min(count, SAMPLE)).astype("int64"))
        grey, light = _normal(shrink(self.images, rows))
        grey = grey[light[:, 1] >= FLAT]
        # A few images tell too little: in any photograph neighbouring pixels are alike.
        y, x = np.indices((self.height, self.width)).reshape(2, -1)
        apart = np.hypot(y[:, None] - y, x[:, None] - x)
        usual = np.exp(-apart / 4) / len(y)
        weight = len(y)
        covariance = (grey.T @ grey + weight * usual) / (len(grey) + weight)
        values, vectors = np.linalg.eigh(covariance)
        whiten = (vectors / np.sqrt(values.clip(0) + 1e-3 * values[-1])).astype("float32")
        white = grey @ whiten
        white /= np.linalg.norm(white, axis=1, keepdims=True).clip(1e-9)
        white = white[:: -(-len(white) // 1000) or 1]
        others = np.sort((white @ white.T)[np.triu_indices(len(white), 1)])
        # One in a hundred; of a few images each may have a copy, which is no unrelated pair.
        spared = max(len(white) // 2, len(others) // 100) + 1
        unrelated = others[-spared] if len(others) >= spared else 0.0
        return whiten, float(np.clip(ABOVE[0] + ABOVE[1] * unrelated, *SAME))


def shrink(images: Any, rows: np.ndarray) -> np.ndarray:
    """Float array of shape ``(n, SIDE, SIDE, channels)``; few pixels are read at a time."""
    height, width = images.shape[1:3]
    down, across = (_averaging(side, min(side, SIDE)) for side in (height, width))
    length = max(1, PIECE // max(1, int(np.prod(images.shape[1:]))))
    parts = [np.zeros((0, len(down), len(across), images.shape[3]), "float32")]
    for start in range(0, len(rows), length):
        pixels = images[rows[start : start + length]].astype("float32")
        parts.append(np.einsum("ai,nijc,bj->nabc", down, pixels, across, optimize=True))
    return np.concatenate(parts)


def _normal(small: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grey pixels without mean and contrast, a row an image; and these two."""
    grey = small.mean(-1).reshape(len(small), small.shape[1] * small.shape[2])
    mean = grey.mean(1, keepdims=True)
    grey = grey - mean
    contrast = grey.std(1, keepdims=True)
    unit = grey / (contrast * np.sqrt(grey.shape[1])).clip(1e-6)
    return unit, np.concatenate([mean, contrast], 1)


def _colors(small: np.ndarray) -> np.ndarray:
    """Differences of the colour channels in 16 parts of each image, a quarter as large."""
    count, height, width, channels = small.shape
    if channels == 1:
        return np.zeros((count, 32), "int8")
    down, across = _averaging(height, 4), _averaging(width, 4)
    parts = np.einsum("ai,nijc,bj->nabc", down, small, across, optimize=True)
    differences = parts[..., [0, 2]] - parts[..., [1]]
    return (differences / 2).round().astype("int8").reshape(count, 32)


def _averaging(length: int, parts: int) -> np.ndarray:
    """Matrix that averages ``length`` numbers to ``parts`` numbers by the area they cover."""
    edges = np.linspace(0, length, parts + 1)
    pixels = np.arange(length)
    cover = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (cover.clip(0) * parts / length).astype("float32")


def _equal_hashes(hashes: np.ndarray, eyes: _Eyes) -> tuple[list[np.ndarray], np.ndarray]:
    """Pairs with equal hashes, and one image for each different look, sorted by row."""
    rows = np.argsort(hashes, kind="stable")
    found, leaders = [np.zeros((0, 2), "int64")], [rows[:0]]
    for _ in range(ROUNDS):
        if not len(rows):
            break
        new = np.append(True, hashes[rows[1:]] != hashes[rows[:-1]])
        leaders.append(rows[new])
        leader = rows[np.flatnonzero(new)[np.cumsum(new) - 1]][~new]
        rows = rows[~new]
        same = eyes.see(leader, rows)
        found.append(np.stack([leader[same], rows[same]], 1))
        rows = rows[~same]
    return found, np.sort(np.concatenate(leaders))


def _batches(pieces: Iterator[Pairs], count: int) -> Iterator[Pairs]:
    """Pieces put together and each pair once, then cut into parts of one size."""
    held: list[np.ndarray] = []
    for first, second in pieces:
        low, high = np.minimum(first, second).astype("int64"), np.maximum(first, second)
        held.append(low * count + high)
        if sum(map(len, held)) >= 4 * PART:
            yield from _parts(held, count)
            held = []
    if held:
        yield from _parts(held, count)


def _parts(held: list[np.ndarray], count: int) -> Iterator[Pairs]:
    pairs = np.unique(np.concatenate(held))
    for start in range(0, len(pairs), PART):
        yield np.divmod(pairs[start : start + PART], count)


def _close_hashes(
    hashes: np.ndarray, most: int = 11, work: tuple[int, ...] = MOST_WORK
) -> Iterator[Pairs]:
    """Pairs of different hashes that differ in at most 3, 7 or 11 bits, in pieces.

    Multi-index hashing (Norouzi, Punjani and Fleet, "Fast Search in Hamming Space with Multi-Index
    Hashing", 2012): if two hashes of 64 bits differ in at most 10 bits, then one of four parts of
    16 bits differs in at most 2. So only hashes are compared that have nearly the same part. A pair
    may come repeatedly, in either order. Where so many hashes are nearly equal that it would take
    minutes to find up to 11 differing bits, up to 7 or up to 3 are found.
    """
    keys = [(hashes >> np.uint64(band) & np.uint64(0xFFFF)).astype("int64") for band in BANDS]
    counts = [np.bincount(key, minlength=1 << 16) for key in keys]
    every = np.arange(1 << 16)
    flips, distance = [0], DISTANCES[0]
    for bits in (1, 2):
        more = [sum(1 << bit for bit in some) for some in combinations(range(16), bits)]
        pairs = sum(int((each * each[every ^ flip]).sum()) for each in counts for flip in more) / 2
        if pairs > work[bits] or DISTANCES[bits] > most:
            break
        flips, distance = flips + more, DISTANCES[bits]
    for key, count in zip(keys, counts, strict=True):
        yield from _in_band(hashes, key, count, flips, distance)


def _in_band(
    hashes: np.ndarray, keys: np.ndarray, counts: np.ndarray, flips: list[int], distance: int
) -> Iterator[Pairs]:
    """Pairs whose keys are equal or differ by one of ``flips``.

    Images with the same key stand together in tiles; whole tiles are compared at once.
    """
    crowd = float(np.square(counts).sum()) / max(1, len(keys))
    side = 16 if crowd > 12 else 4 if crowd > 3 else 1
    tiles = -(-counts // side)
    begin = np.cumsum(tiles) - tiles
    order = np.argsort(keys, kind="stable")
    rank = np.arange(len(keys)) - np.repeat(np.cumsum(counts) - counts, counts)
    slots = np.full(int(tiles.sum()) * side, -1, "int32")
    slots[begin[keys[order]] * side + rank] = order
    empty = slots < 0
    left = np.where(empty, np.uint64(0), hashes[slots]).reshape(-1, side, 1)
    right = np.where(empty, ~np.uint64(0), hashes[slots]).reshape(-1, 1, side)
    members = slots.reshape(-1, side)
    key_of = np.repeat(np.arange(1 << 16), tiles)
    for flip in flips:
        other = key_of ^ flip
        start = np.arange(len(key_of)) if flip == 0 else begin[other]
        number = (begin[other] + tiles[other] - start).clip(max=MOST_TILES)
        number[key_of > other] = 0
        for one, two in _ranges(start, number, 400_000 // side**2):
            bits = np.bitwise_count(left[one] ^ right[two])
            which, row, column = np.nonzero((bits <= distance) & (bits > 0))
            first, second = members[one[which], row], members[two[which], column]
            real = (first >= 0) & (second >= 0)
            if flip == 0:  # within one tile every pair comes twice
                real &= (one[which] != two[which]) | (row < column)
            yield first[real], second[real]


def _ranges(start: np.ndarray, number: np.ndarray, most: int) -> Iterator[Pairs]:
    """Each place with each of ``number`` places from ``start``, about ``most`` at a time."""
    total = np.append(0, np.cumsum(number))
    cuts = np.unique([*np.searchsorted(total, np.arange(0, total[-1], most)), len(number)])
    for low, high in pairwise(cuts):
        many = number[low:high]
        ramp = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        yield np.repeat(np.arange(low, high), many), np.repeat(start[low:high], many) + ramp
