"""Judges of functions and patterns about a folder of images: any right one passes."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from imgclf_lib.catalog import assign_groups
from imgclf_lib.exercises.exercise import Mistake, array, call, number

HASHES = (  # pairs of perceptual hashes as they stand in a table
    ("9f172786e71f1e00", "9f172706e71f1e03"),
    ("00000000000000ff", "0000000000000f0f"),
    ("0123456789abcdef", "fedcba9876543210"),
    ("8000000000000000", "0000000000000000"),
    ("ffffffffffffffff", "0000000000000000"),
    ("ff00ff00ff00ff00", "ff00ff00ff00ff00"),
)
# The bursts that a pattern is tried on: every line is one, across class folders.
BURSTS = (
    ("cat/roof_burst07_001.jpg", "cat/roof_burst07_002.jpg", "dog/roof_burst07_003.jpg"),
    ("cat/pond_burst07_001.jpg",),
    ("cat/pond_burst12_001.jpg", "dog/pond_burst12_002.jpg"),
    ("dog/roof_burst12_001.jpg", "dog/roof_burst12_002.jpg"),
)
MORE_BURSTS = (
    ("dog/pond_burst1_001.jpg", "cat/pond_burst1_0002.png"),
    ("cat/red_gate_burst104_010.jpg", "cat/red_gate_burst104_011.jpg"),
    ("dog/gate_burst104_010.jpg",),
    ("cat/red_gate_burst10_003.jpg",),
)


def judge_hamming(answer: Any) -> str:
    """Try a function that counts the bits in which two hashes differ.

    Args:
        answer: A function of two texts of 16 hexadecimal digits.

    Returns:
        What to say about a right function.

    Raises:
        Mistake: If it counts something else.
    """
    for one, two in HASHES:
        found, both = number(call(answer, one, two)), (int(one, 16), int(two, 16))
        right = (both[0] ^ both[1]).bit_count()
        if found == right:
            continue
        wrong = {
            sum(a != b for a, b in zip(one, two, strict=True)): "You have counted the digits that"
            " differ. One hexadecimal digit holds four bits: f and 0 differ in all four of them.",
            both[0] ^ both[1]: "That is the XOR itself: a 1 wherever the two differ. Count its"
            " ones.",
            abs(both[0] - both[1]): "You have subtracted the two numbers. One bit at the front"
            " weighs as much as one at the end: compare bit by bit.",
            64 - right: "You have counted the bits that agree. Count those that differ.",
            right / 64: "A share, yes. Here the count is wanted.",
        }
        raise Mistake(
            wrong.get(
                found,
                f"For {one} and {two} it returns {found:g}; {right} of the 64 bits differ. Mind"
                " zeros at the front: bin() leaves them out.",
            )
        )
    return "0 for equal hashes, 64 for opposite ones. Two unrelated pictures differ in about 32."


def judge_leaked(answer: Any, table: pd.DataFrame) -> str:
    """Try a function that names the training files whose picture is in the test split too.

    Args:
        answer: A function of a table with the columns ``path``, ``split``, ``hash`` and
            ``problem``; it returns paths.
        table: The table of the notebook.

    Returns:
        What to say about a right function.

    Raises:
        Mistake: If it names too many or too few.
    """
    rows = [
        *(("a", "train", "1", ""), ("b", "test", "1", ""), ("c", "train", "2", "")),
        *(("d", "train", "2", ""), ("e", "val", "3", ""), ("f", "train", "3", "")),
        *(("g", "test", "4", ""), ("h", "test", "4", ""), ("i", "train", "1", "")),
        *(("j", "train", "5", "empty"), ("k", "test", "5", "empty"), ("m", "test", "6", "")),
        *(("n", "train", "7", ""), ("o", "train", "8", ""), ("p", "test", "8", "")),
    ]
    columns = ["path", "split", "hash", "problem"]
    for seed in (0, 1):
        example = pd.DataFrame(rows, columns=columns).sample(frac=1, random_state=seed)
        given = example.copy()
        found = set(_texts(call(answer, given)))
        right = {"a", "i", "o"}
        if found == right:
            continue
        if found == right | {"j"}:
            raise Mistake(
                "Nearly. Two empty files are equal too, but files with a problem are not used:"
                " keep only rows whose problem is empty."
            )
        if found & set(example.loc[example["split"] == "test", "path"]):
            raise Mistake(
                "You name test files too. The test stays as it is; the copies in training leave."
            )
        if found & {"c", "d"}:
            raise Mistake("c and d are equal, but both are for training: that is no leak.")
        if found & {"e", "f"}:
            raise Mistake("f is equal to a validation file. That is a leak too, but not this one.")
        if found < right:
            raise Mistake(
                f"{', '.join(sorted(right - found))} are missing: one test file can have several"
                " copies, and equal files need not stand side by side."
            )
        raise Mistake(
            "For a table of 15 files the answer is a, i and o;"
            f" yours is {', '.join(sorted(found)) or 'empty'}."
        )
    count = len(_texts(call(answer, table.copy())))
    return f"In the table of this notebook it finds {count:,} training files that leave."


def _texts(found: Any) -> list[str]:
    if isinstance(found, pd.DataFrame):
        if "path" not in found:
            raise Mistake("Return the paths, for example the column 'path' of the rows.")
        found = found["path"]
    try:
        return [str(each) for each in found]
    except TypeError:
        raise Mistake("A list of paths is wanted.") from None


def judge_pattern(answer: Any) -> str:
    """Try a regular expression that puts the images of a burst into one group.

    Args:
        answer: The pattern, as for ``Experiment.group``.

    Returns:
        What to say about a right pattern.

    Raises:
        Mistake: If it divides a burst, or puts two of them together.
    """
    if not isinstance(answer, str):
        raise Mistake('A text is wanted: a regular expression such as r"(cat|dog)".')
    for bursts in (BURSTS, BURSTS + MORE_BURSTS):
        paths = [path for burst in bursts for path in burst]
        table = assign_groups(pd.DataFrame({"path": paths, "group": ""}), answer)
        group = dict(zip(table["path"], table["group"], strict=True))
        nothing = [path for path in paths if not group[path]]
        if nothing:
            raise Mistake(f"It gives {nothing[0]} no group.")
        if len(set(group.values())) == len(paths):
            raise Mistake("Each image is a group of its own. Leave the number of the image out.")
        for burst in bursts:
            for one, two in pairwise(burst):
                if group[one] == group[two]:
                    continue
                why = f"{one} and {two} are of one burst, in the groups {group[one]!r} and"
                why += f" {group[two]!r}."
                if one.split("/")[0] != two.split("/")[0] and "/" in group[one]:
                    why += " A burst may go across class folders: leave the folder out."
                raise Mistake(why)
        firsts: dict[str, str] = {}
        for burst in bursts:
            other = firsts.setdefault(group[burst[0]], burst[0])
            if other != burst[0]:
                raise Mistake(
                    f"{other} and {burst[0]} are of two bursts, and both get the group"
                    f" {group[other]!r}. What tells bursts apart is the place and its number."
                )
    return "Every burst stays together, also across class folders, and no two of them mix."


def judge_weights(answer: Any) -> str:
    """Try a function that gives every class the same total weight.

    Args:
        answer: A function of the images of each class; it returns a weight for each.

    Returns:
        What to say about a right function.

    Raises:
        Mistake: If some class weighs more than another in the end.
    """
    for counts in ([100, 50, 25], [10, 1000], [7, 7, 7, 7], [300, 20, 150]):
        given = np.array(counts)
        found = array(call(answer, given.copy())).astype(float)
        if found.shape != given.shape:
            raise Mistake(f"{len(counts)} weights are wanted, one a class; not {found.size}.")
        if not (np.isfinite(found).all() and (found > 0).all()):
            raise Mistake("A weight is a number greater than 0.")
        total = found * given
        if np.allclose(total, total[0], rtol=1e-3):
            continue
        raise Mistake(_why_uneven(found, given, counts))
    return (
        "Images times weight is the same for every class. Whatever the common factor is, only the"
        " proportions count; the library chooses it so that the mean weight of an image is 1."
    )


def _why_uneven(found: np.ndarray, given: np.ndarray, counts: list[int]) -> str:
    shapes: list[tuple[Callable[[np.ndarray], np.ndarray], str]] = [
        (lambda n: n, "The large classes get the large weights. It must be the other way round."),
        (lambda n: np.ones(len(n)), "All weights are equal: then the large classes still rule."),
        (lambda n: 1 / np.sqrt(n), "With the root the large classes still weigh more. Leave it."),
        (lambda n: n.sum() - n, "Subtracting is not enough: divide. Twice the images, half the"
         " weight."),
    ]  # fmt: skip
    for shape, why in shapes:
        wanted = shape(given.astype(float))
        if np.allclose(found / found.sum(), wanted / wanted.sum(), rtol=1e-3):
            return why
    totals = ", ".join(f"{each:.4g}" for each in found * given)
    return f"For classes of {counts} images the total weights are {totals}: they should be equal."
