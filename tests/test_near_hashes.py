"""Multi-index hashing, against comparing every hash with every other."""

import numpy as np
import pytest

from imgclf_lib.near_hashes import close_hashes


def all_pairs(hashes: np.ndarray, distance: int) -> set[tuple[int, int]]:
    bits = np.bitwise_count(hashes[:, None] ^ hashes)
    first, second = np.nonzero(np.triu((bits <= distance) & (bits > 0)))
    return set(zip(first.tolist(), second.tolist(), strict=True))


def found(hashes: np.ndarray, most: int) -> set[tuple[int, int]]:
    return {
        (min(pair), max(pair))
        for first, second in close_hashes(hashes, most)
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


def test_too_much_work_is_cut_down(monkeypatch):
    hashes = crowded(1500, 20)
    monkeypatch.setattr("imgclf_lib.near_hashes.MOST_WORK", (10**11, 10**9, 10))
    assert found(hashes, 11) == all_pairs(hashes, 7)
    monkeypatch.setattr("imgclf_lib.near_hashes.MOST_WORK", (10**11, 10, 10))
    assert found(hashes, 11) == all_pairs(hashes, 3)
