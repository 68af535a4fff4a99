"""Near-duplicates: nearly equal images, found without comparing every image with every other.

Candidates have nearly the same perceptual hash; each candidate is then compared pixel by pixel.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

DISTANCE = 7  # bits of 64 in which the hashes of candidates may differ
BANDS = (0, 16, 32, 48)  # where the four parts of a hash begin, in bits
SIDE = (
    16  # images are compared at this height and width; fine enough to tell, coarse enough for JPEG
)
SAME = 0.9  # least correlation of near-duplicates, chosen by looking at pairs of two data sets
COLOR = 20  # largest difference of their colours, in grey levels (root of the mean square)
NOISE = 8  # levels by which copies of a flat image may differ in any pixel
FLAT = 4  # an image with a smaller standard deviation shows too little to be told apart
ROUNDS = 32  # different images with one and the same hash that are told apart
MOST_TILES = 256  # 16 images each: what an image is compared with in one band
MOST_WORK = 5_000_000_000  # comparisons of hashes, beyond which less similar ones are left out


def similar_pairs(hashes: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Find near-duplicates: copies that were compressed again, resized, brightened a little.

    Equal hashes are found by sorting, hashes that differ in up to 7 bits by multi-index hashing
    (Norouzi, Punjani and Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", 2012):
    one of four parts of 16 bits then differs in at most one bit. What counts in the end are the
    pixels. They are compared without what all images of the data set have in common (the
    outline of a shirt, the sky above), so that two different shirts are not called the same.

    Of a thousand copies the result does not hold half a million pairs: it holds enough pairs to
    connect all of them. See ``components``.

    Args:
        hashes: ``uint64`` array of shape ``(n,)``: ``imagehash.phash`` of each image.
        images: ``uint8`` array of shape ``(n, height, width, channels)``; it may be
            memory-mapped, as only rows that are needed are read.

    Returns:
        ``int64`` array of shape ``(m, 2)``: pairs of rows, the smaller one first, sorted.
    """
    hashes = np.asarray(hashes, "uint64")
    eyes = _Eyes(images)
    found, leaders = _equal_hashes(hashes, eyes)
    groups = np.arange(len(leaders))
    for first, second in _batches(_close_hashes(hashes[leaders]), len(leaders)):
        new = groups[first] != groups[second]  # those connected already need no look
        first, second = first[new], second[new]
        same = eyes.see(leaders[first], leaders[second])
        found.append(np.stack([leaders[first[same]], leaders[second[same]]], 1))
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

    def __init__(self, images: np.ndarray) -> None:
        self.images = images
        height, width = images.shape[1:3]
        self.down = _averaging(height, min(height, SIDE))
        self.across = _averaging(width, min(width, SIDE))
        self.places = np.full(len(images), -1, "int32")
        self.shapes = np.zeros((0, self.down.shape[0] * self.across.shape[0]), "int8")
        self.colors = np.zeros((0, 32), "int8")
        self.flat = np.zeros(0, bool)
        self.whiten = self._common()

    def see(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Whether the images of each pair of rows look the same."""
        self._remember(np.union1d(first, second))
        parts = [np.zeros(0, bool)]
        for start in range(0, len(first), 8192):
            rows = first[start : start + 8192], second[start : start + 8192]
            one, two = self.places[rows[0]], self.places[rows[1]]
            shapes = self.shapes[one].astype("float32"), self.shapes[two].astype("float32")
            lengths = np.linalg.norm(shapes[0], axis=1) * np.linalg.norm(shapes[1], axis=1)
            alike = np.vecdot(*shapes) >= SAME * lengths
            colors = self.colors[one].astype("float32") - self.colors[two]
            alike &= np.sqrt(np.square(2 * colors).mean(1)) <= COLOR
            flat = self.flat[one] | self.flat[two]
            alike &= ~flat
            for place in np.flatnonzero(flat & (self.flat[one] == self.flat[two])):
                pixels = (self.images[each[place]].astype("int16") for each in rows)
                alike[place] = np.abs(np.subtract(*pixels)).max(initial=0) <= NOISE
            parts.append(alike)
        return np.concatenate(parts)

    def _remember(self, rows: np.ndarray) -> None:
        rows = rows[self.places[rows] < 0]
        self.places[rows] = len(self.flat) + np.arange(len(rows))
        shapes, colors, flats = [self.shapes], [self.colors], [self.flat]
        for start in range(0, len(rows), 1024):
            small = self._small(rows[start : start + 1024])
            grey, flat = _normal(small)
            white = grey @ self.whiten
            scale = 127 / np.abs(white).max(1, keepdims=True).clip(1e-9)
            shapes.append((white * scale).round().astype("int8"))
            colors.append(_colors(small))
            flats.append(flat)
        self.shapes, self.colors = np.concatenate(shapes), np.concatenate(colors)
        self.flat = np.concatenate(flats)

    def _small(self, rows: np.ndarray) -> np.ndarray:
        """Float array of shape ``(n, SIDE, SIDE, channels)``."""
        pixels = self.images[rows].astype("float32")
        return np.einsum("ai,nijc,bj->nabc", self.down, pixels, self.across, optimize=True)

    def _common(self) -> np.ndarray:
        """A matrix that takes out what the images have in common (whitening)."""
        count = len(self.images)
        rows = np.unique(np.linspace(0, max(0, count - 1), min(count, 3000)).astype("int64"))
        grey, flat = _normal(self._small(rows))
        grey = grey[~flat]
        # A few images tell too little: neighbouring pixels are alike in any photograph.
        y, x = np.indices((len(self.down), len(self.across))).reshape(2, -1)
        apart = np.hypot(y[:, None] - y, x[:, None] - x)
        usual = np.exp(-apart / 4) / len(y)
        weight = len(y)
        covariance = (grey.T @ grey + weight * usual) / (len(grey) + weight)
        values, vectors = np.linalg.eigh(covariance)
        return (vectors / np.sqrt(values.clip(0) + 1e-3 * values[-1])).astype("float32")


def _normal(small: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Grey pixels without mean and contrast, a row an image, and which images are flat."""
    grey = small.mean(-1).reshape(len(small), -1)
    grey = grey - grey.mean(1, keepdims=True)
    length = np.linalg.norm(grey, axis=1, keepdims=True)
    return grey / length.clip(1e-6), length[:, 0] < FLAT * np.sqrt(grey.shape[1])


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


def _close_hashes(hashes: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of places with different hashes of at most 7 bits difference, some repeatedly."""
    keys = [(hashes >> np.uint64(band) & np.uint64(0xFFFF)).astype("int64") for band in BANDS]
    counts = [np.bincount(key, minlength=1 << 16) for key in keys]
    near = [1 << bit for bit in range(16)]
    every = np.arange(1 << 16)
    work = sum(int((each * each[every ^ flip]).sum()) for each in counts for flip in near)
    flips = [0, *(near if work / 2 <= MOST_WORK else [])]
    for key, count in zip(keys, counts, strict=True):
        yield from _in_band(hashes, key, count, flips)


def _in_band(
    hashes: np.ndarray, keys: np.ndarray, counts: np.ndarray, flips: list[int]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs whose keys are equal or differ by one of ``flips``.

    Images with the same key stand together in tiles; whole tiles are compared at once.
    """
    crowd = float(np.square(counts).sum()) / max(1, len(keys))
    side = 16 if crowd > 12 else 4 if crowd > 3 else 1
    tiles = -(-counts // side)
    begin = np.cumsum(tiles) - tiles
    order = np.argsort(keys, kind="stable")
    rank = np.arange(len(keys)) - np.repeat(np.cumsum(counts) - counts, counts)
    members = np.full(int(tiles.sum()) * side, -1, "int32")
    members[begin[keys[order]] * side + rank] = order
    empty = members < 0
    left = np.where(empty, np.uint64(0), hashes[members]).reshape(-1, side, 1)
    right = np.where(empty, ~np.uint64(0), hashes[members]).reshape(-1, 1, side)
    members = members.reshape(-1, side)
    key_of = np.repeat(np.arange(1 << 16), tiles)
    for flip in flips:
        other = key_of ^ flip
        start = np.arange(len(key_of)) if flip == 0 else begin[other]
        number = (begin[other] + tiles[other] - start).clip(max=MOST_TILES)
        number[key_of > other] = 0
        for one, two in _ranges(start, number, 400_000 // side**2):
            bits = np.bitwise_count(left[one] ^ right[two])
            which, row, column = np.nonzero((bits <= DISTANCE) & (bits > 0))
            first, second = members[one[which], row], members[two[which], column]
            real = (first >= 0) & (second >= 0)
            if flip == 0:  # within one tile every pair comes twice
                real &= (one[which] != two[which]) | (row < column)
            yield first[real], second[real]


def _ranges(
    start: np.ndarray, number: np.ndarray, most: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each place with each of ``number`` places from ``start``, about ``most`` at a time."""
    total = np.append(0, np.cumsum(number))
    cuts = np.unique([*np.searchsorted(total, np.arange(0, total[-1], most)), len(number)])
    for low, high in pairwise(cuts):
        many = number[low:high]
        ramp = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        yield np.repeat(np.arange(low, high), many), np.repeat(start[low:high], many) + ramp


def _batches(
    pieces: Iterator[tuple[np.ndarray, np.ndarray]], count: int, least: int = 200_000
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pieces put together, each pair once in a batch."""
    held: list[np.ndarray] = []
    for first, second in pieces:
        held.append(np.minimum(first, second).astype("int64") * count + np.maximum(first, second))
        if sum(map(len, held)) >= least:
            yield np.divmod(np.unique(np.concatenate(held)), count)
            held = []
    if held:
        yield np.divmod(np.unique(np.concatenate(held)), count)
