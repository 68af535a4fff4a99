"""Multi-index hashing: hashes that differ in few bits, found without comparing all of them.

Norouzi, Punjani and Fleet, "Fast Search in Hamming Space with Multi-Index Hashing" (2012): if two
hashes of 64 bits differ in at most 10 bits, then one of four parts of 16 bits differs in at most
2. So only hashes are compared that have nearly the same part.
"""

from collections.abc import Iterator
from itertools import combinations, pairwise

import numpy as np

BANDS = (0, 16, 32, 48)  # where the four parts of a hash begin, in bits
DISTANCES = (3, 7, 11)  # what is found for certain if 0, 1 or 2 bits of a part may differ
MOST_WORK = (10**11, 5 * 10**9, 3 * 10**8)  # comparisons of hashes for each of them, at most
MOST_TILES = 256  # 16 hashes each: with how many one is compared in one band

Pairs = tuple[np.ndarray, np.ndarray]


def close_hashes(hashes: np.ndarray, most: int = 11) -> Iterator[Pairs]:
    """Find hashes that differ in a few bits.

    Where so many hashes are nearly equal that it would take minutes to find up to 11 differing
    bits, up to 7 or up to 3 are found.

    Args:
        hashes: ``uint64`` array of shape ``(n,)``.
        most: How many bits may differ: 3, 7 or 11.

    Yields:
        Two integer arrays of places: pairs of hashes, in pieces. A pair may come repeatedly and
        in either order; equal hashes are no pair.
    """
    keys = [(hashes >> np.uint64(band) & np.uint64(0xFFFF)).astype("int64") for band in BANDS]
    counts = [np.bincount(key, minlength=1 << 16) for key in keys]
    every = np.arange(1 << 16)
    flips, distance = [0], DISTANCES[0]
    for bits in (1, 2):
        more = [sum(1 << bit for bit in some) for some in combinations(range(16), bits)]
        work = sum(int((each * each[every ^ flip]).sum()) for each in counts for flip in more) / 2
        if work > MOST_WORK[bits] or DISTANCES[bits] > most:
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
