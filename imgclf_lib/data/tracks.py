"""Tracks: images that belong together by their names, as the frames of a film or of a burst do.

No hash finds frames that differ by more than it allows, but their names tell. A pattern for
``group`` is looked for whose groups hold near-duplicates, or the pictures that are most alike, far
more often than groups made by chance.
"""

import re
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imgclf_lib.data.duplicates import shrink
from imgclf_lib.data.splits import group_images

SAMPLE, CLASSES = 4000, 20  # images that are compared, and of how many classes
BESIDE = 20  # images that stand beside one another in the list are taken together
SHUFFLES = 199  # names dealt out by chance: the real ones must surpass all of them
FEWEST = 3  # tracks of a class: one each for training, validation and test
MARKS = "_- ."  # what stands between the parts of a name
NUMBERS = (
    *(r"(.*\D)\d+[^\d/]*$", r"(.*\D)\d+[^\d/]+\d+[^\d/]*$"),  # before the last number, or two
    *(
        rf"(.*\d){digits}[^\d/]*$" for digits in (r"\d", r"\d\d", r"\d\d\d")
    ),  # blocks of 10, 100 and 1000
)


class Tracks(NamedTuple):
    """Images that their names tie together.

    Args:
        pattern: A regular expression for ``group``.
        example: The path of one of them.
        detail: What was found, in words, with the flag to give.
    """

    pattern: str
    example: str
    detail: str


class _Evidence(NamedTuple):
    """Some images, and which two of them are alike: positions among them, and in which words."""

    rows: np.ndarray
    links: np.ndarray
    words: str


class _Match(NamedTuple):
    """How far a pattern explains what is alike."""

    pattern: str
    share: float
    chance: float
    evidence: _Evidence


def find_tracks(
    table: pd.DataFrame, pairs: np.ndarray, images: Any, places: np.ndarray
) -> Tracks | None:
    """Look for tracks among the images that are still to be divided into splits.

    ``table`` has a row a file, ``pairs`` are rows of near-duplicates, and ``places`` says for each
    row which of ``images`` it is. None is returned where names say nothing, where groups were given
    already, and where all splits were.
    """
    used = (table["problem"] == "").to_numpy() & (places >= 0)
    if {"val", "test"} <= set(table["split"][used]):
        return None
    rows = np.flatnonzero(used & table["split"].isin(["", "train"]).to_numpy())
    if (table["group"].iloc[rows] != "").mean() > 0.5:
        return None
    known = group_images(table, pairs)  # what stays together anyhow
    labels = pd.factorize(table["label"])[0]
    near = _near(table, labels, pairs, rows)
    generator = np.random.default_rng(0)
    sources = [_most_alike(_sample(labels, rows, generator), labels, known, images, places)]
    some = np.union1d(generator.permutation(rows)[:SAMPLE], near)
    words = "of {count:,} pairs of near-duplicates {share:.0%} are in one group"
    sources.append(_Evidence(some, np.searchsorted(some, near), words))
    paths = table["path"].to_numpy(object)
    for evidence in sources:
        best = None
        matches = _matches(evidence, paths, labels, generator)
        for match in sorted(matches, key=lambda match: match.chance - match.share):
            groups = _tracks(match.pattern, paths, labels, rows)
            found = _in_words(match, groups, table.iloc[rows], known[rows], near)
            if not found:  # all of each track stays together anyhow
                break
            best = best or found
            if not _scarce(groups, table["label"].iloc[rows]):
                return found
        if best:
            return best
    return None


def _near(
    table: pd.DataFrame, labels: np.ndarray, pairs: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Near-duplicates of one class that are not the very same picture; not too many of them."""
    pictures = pd.factorize(table["pixel_hash"])[0]
    pairs = pairs[np.isin(pairs, rows).all(1)]
    first, second = pairs.T
    pairs = pairs[(labels[first] == labels[second]) & (pictures[first] != pictures[second])]
    return np.random.default_rng(0).permutation(pairs)[:SAMPLE]


def _sample(labels: np.ndarray, rows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Some images of some classes, each with those beside it in the list."""
    classes = generator.permutation(np.unique(labels[rows]))[:CLASSES]
    chosen = [np.empty(0, "int64")]
    for each in classes:
        own = rows[labels[rows] == each]
        starts = generator.permutation(np.arange(0, len(own), BESIDE))
        for start in starts[: max(1, SAMPLE // len(classes) // BESIDE)]:
            chosen.append(own[start : start + BESIDE])
    return np.sort(np.concatenate(chosen))


def _most_alike(
    some: np.ndarray, labels: np.ndarray, known: np.ndarray, images: Any, places: np.ndarray
) -> _Evidence:
    """Each image with the one of its class that looks most like it and is not known as a twin."""
    links = [np.empty((0, 2), "int64")]
    for each in np.unique(labels[some]):
        at = np.flatnonzero(labels[some] == each)
        pixels = shrink(images, places[some[at]]).reshape(len(at), -1)
        squares = np.square(pixels).sum(1)
        distances = squares[:, None] + squares - 2 * pixels @ pixels.T
        own = known[some[at]]
        distances[own[:, None] == own] = np.inf
        there = np.isfinite(distances).any(1)
        links.append(np.column_stack([at, at[distances.argmin(1)]])[there])
    words = "of {count:,} images that were compared {share:.0%} are most like one of their group"
    return _Evidence(some, np.concatenate(links), words)


def _matches(
    evidence: _Evidence, paths: np.ndarray, labels: np.ndarray, generator: np.random.Generator
) -> Iterator[_Match]:
    """The patterns that explain more than half of what chance does not."""
    some, (first, second) = evidence.rows, evidence.links.T
    if not len(first):
        return
    # Orders in which the images of each class are dealt out among themselves.
    sorts = np.argsort(labels[some], kind="stable")
    orders = np.empty((SHUFFLES, len(some)), "int64")
    for order in orders:
        mixed = generator.permutation(len(some))
        order[sorts] = mixed[np.argsort(labels[some][mixed], kind="stable")]
    for pattern in _patterns(paths[some]):
        groups = _tracks(pattern, paths, labels, some)
        same = groups[first] == groups[second]
        shuffled = np.array([(groups[o[first]] == groups[o[second]]).mean() for o in orders])
        share, chance = same.mean(), shuffled.mean()
        # Most that are alike are in one group, of more than one; most that are not are in two.
        apart = chance < 0.5 and len(np.unique(groups[first[same]])) > 1
        if apart and share > shuffled.max() and share - chance > (1 - chance) / 2:
            yield _Match(pattern, float(share), float(chance), evidence)


def _patterns(paths: np.ndarray) -> Iterator[str]:
    """Regular expressions that take a part of the name, or its folder, for the track."""
    yield r"(.+)/[^/]*$"
    names = "\n".join(path.rpartition("/")[2].rpartition(".")[0] for path in paths)
    for mark in MARKS:
        if mark in names:
            sign, end = re.escape(mark) if mark == "." else mark, r"\.[^/]*$"
            for count in (1, 2, 3):
                yield "(.+)" + f"{sign}[^/]*" * count + (end if mark == "." else "$")
                yield f"^((?:.*/)?[^{mark}/]+{f'{sign}[^{mark}/]+' * (count - 1)}){sign}[^/]*$"
            if mark != ".":
                yield rf"{sign}([^{mark}/.]+)\.[^/]*$"
    yield from NUMBERS


def _tracks(pattern: str, paths: np.ndarray, labels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The number of each image's track, of its class alone; below 0 where the pattern fails."""
    found = [re.search(pattern, path) for path in paths[rows]]
    keys = [(label, match and match[1]) for label, match in zip(labels[rows], found, strict=True)]
    codes = pd.factorize(pd.MultiIndex.from_tuples(keys))[0] if keys else np.empty(0, "int64")
    return np.where([match is not None for match in found], codes, -1 - np.arange(len(rows)))


def _scarce(groups: np.ndarray, labels: pd.Series) -> list[str]:
    """Classes of too few tracks to have one in each split."""
    counts = pd.Series(groups, labels.index).groupby(labels).nunique()
    return sorted(counts.index[counts < FEWEST])


def _in_words(
    match: _Match, groups: np.ndarray, table: pd.DataFrame, known: np.ndarray, near: np.ndarray
) -> Tracks | None:
    """What is to be said; nothing if no track can be divided."""
    files = pd.DataFrame({"group": groups, "known": known, "path": table["path"]}, table.index)
    files = files[files["group"] >= 0]
    if "near-duplicates" in match.evidence.words:  # tracks without any may be none
        files = files[files["group"].isin(files["group"][files.index.isin(near.ravel())])]
    files = files[files.groupby("group")["known"].transform("nunique") > 1]
    if files.empty:
        return None
    example = files["path"].iloc[0]
    found = re.search(match.pattern, example)
    evidence = match.evidence.words.format(count=len(match.evidence.links), share=match.share)
    detail = (
        f"the names put {len(files):,} of {len(table):,} images into"
        f" {files['group'].nunique():,} groups, such as {found[1] if found else ''!r}, whose images"
        f" may be frames of one track; {evidence}, where chance gives {match.chance:.0%}. To keep"
        f" each group in one split, give --group {shlex.quote(match.pattern)}"
    )
    scarce = _scarce(groups, table["label"])
    if scarce:
        named = f"{', '.join(map(repr, scarce[:5]))}{', …' * (len(scarce) > 5)}"
        detail += f" (after adding images: of {named} there are fewer than {FEWEST} groups)"
    return Tracks(match.pattern, example, detail)
