"""The exercises of notebook 08: bits of hashes, leaks, bursts, weights, and a fix list."""

from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from imgclf_lib.course.exercises.exercise import (
    Mistake,
    array,
    call,
    judge_function,
    judge_number,
    question,
)
from imgclf_lib.data import assign_groups

HASHES = [  # pairs of perceptual hashes as they stand in a table
    ("9f172786e71f1e00", "9f172706e71f1e03"),
    ("00000000000000ff", "0000000000000f0f"),
    ("0123456789abcdef", "fedcba9876543210"),
    ("8000000000000000", "0000000000000000"),
    ("ffffffffffffffff", "0000000000000000"),
    ("ff00ff00ff00ff00", "ff00ff00ff00ff00"),
]
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
file_names = [path for burst in BURSTS for path in burst]


def _solve_hamming():
    def hamming(first, second):
        different = int(first, 16) ^ int(second, 16)  # XOR: a 1 wherever the two differ
        return different.bit_count()

    return hamming


@question(
    "How far apart are two hashes?",
    tests=["bits and hexadecimal digits", "the Hamming distance"],
    hints=[
        "One hexadecimal digit is four bits. int(text, 16) turns all 16 digits into one number.",
        "a ^ b is the XOR of two numbers: its bits are 1 where those of a and b differ.",
        'Count the ones: (a ^ b).bit_count(), or bin(a ^ b).count("1").',
    ],
    solve=_solve_hamming,
    explanation="int(text, 16) reads hexadecimal digits. XOR leaves a 1 wherever two bits differ,"
    " and bit_count() counts the ones.",
)
def hamming(answer: Any) -> str:
    right = _solve_hamming()
    return judge_function(
        answer,
        right,
        HASHES,
        "0 for equal hashes, 64 for opposite ones. Two unrelated pictures differ in about 32.",
        lambda a, b: {
            "That says whether they differ. In how many of their bits?": int(a != b),
            "You have counted the digits that differ. One hexadecimal digit holds four bits: f and"
            " 0 differ in all four of them.": sum(x != y for x, y in zip(a, b, strict=True)),
            "That is the XOR itself: a 1 wherever the two differ. Count its ones.": (
                int(a, 16) ^ int(b, 16)
            ),
            "You have subtracted the two numbers. One bit at the front weighs as much as one at the"
            " end: compare bit by bit.": abs(int(a, 16) - int(b, 16)),
            "You have counted the bits that agree. Count those that differ.": 64 - right(a, b),
            "A share, yes. Here the count is wanted.": right(a, b) / 64,
        },
        lambda found, right, a, b: (
            f"For {a} and {b} it returns {found:g}; {right} of the 64 bits differ. Mind zeros at"
            " the front: bin() leaves them out."
        ),
        relative=0,
    )


def _solve_leaked(table):
    def leaking(table):
        used = table[table["problem"] == ""]
        train, exam = (used[used["split"] == name] for name in ("train", "test"))
        return train.loc[train["hash"].isin(exam["hash"]), "path"].tolist()

    return leaking


FILES = pd.DataFrame(
    [
        *(("a", "train", "1", ""), ("b", "test", "1", ""), ("c", "train", "2", "")),
        *(("d", "train", "2", ""), ("e", "val", "3", ""), ("f", "train", "3", "")),
        *(("g", "test", "4", ""), ("h", "test", "4", ""), ("i", "train", "1", "")),
        *(("j", "train", "5", "empty"), ("k", "test", "5", "empty"), ("m", "test", "6", "")),
        *(("n", "train", "7", ""), ("o", "train", "8", ""), ("p", "test", "8", "")),
    ],
    columns=["path", "split", "hash", "problem"],
)


def _texts(found: Any) -> set[str]:
    if isinstance(found, pd.DataFrame):
        if "path" not in found:
            raise Mistake("Return the paths, for example the column 'path' of the rows.")
        found = found["path"]
    try:
        return set(map(str, found))
    except TypeError:
        raise Mistake("A list of paths is wanted.") from None


@question(
    "Which files must leave?",
    tests=["finding equal files in a table", "which side of a leak leaves"],
    hints=[
        'Keep the used rows first: table[table["problem"] == ""].',
        "Then two parts: the rows of training, and those of the test.",
        'train["hash"].isin(...) is True where a hash is in another list.',
    ],
    solve=_solve_leaked,
    explanation="Only used files count. A training file leaks if its hash is also that of a test"
    " file. It leaves training; the test stays as it is, so that scores can still be compared.",
)
def leaked(answer: Any, table: pd.DataFrame) -> str:
    right = {"a", "i", "o"}
    for seed in (0, 1):
        found = _texts(call(answer, FILES.sample(frac=1, random_state=seed).copy()))
        if found == right:
            continue
        if found == right | {"j"}:
            raise Mistake(
                "Nearly. Two empty files are equal too, but files with a problem are not used:"
                " keep only rows whose problem is empty."
            )
        if found & set(FILES.loc[FILES["split"] == "test", "path"]):
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


def _solve_bursts():
    return r"([^/]+_burst\d+)_\d+"


@question(
    "Keep bursts together",
    tests=["regular expressions", "what belongs into one split"],
    hints=[
        "Which part of the name is the same within a burst, and different between two bursts?",
        r"\d+ is one or more digits, and [^/]+ is anything without a slash.",
        "What stands in the first parentheses is the group. All else may be there to lead to it.",
    ],
    place="pattern",
    solve=_solve_bursts,
    explanation="[^/]+ is the name of the place, without the folder; _burst and digits follow. The"
    " parentheses say which part is the group; the number of the image stays outside.",
)
def bursts(answer: Any) -> str:
    if not isinstance(answer, str):
        raise Mistake('A text is wanted: a regular expression such as r"(cat|dog)".')
    _judge_groups(answer, BURSTS)
    said = "Every burst stays together, also across class folders, and no two of them mix."
    try:
        _judge_groups(answer, BURSTS + MORE_BURSTS)
    except Mistake as mistake:
        return (
            f"{said} It fits these names; I also tried others, that are not in the list. {mistake}"
        )
    return said


def _judge_groups(pattern: str, bursts: tuple[tuple[str, ...], ...]) -> None:
    paths = [path for burst in bursts for path in burst]
    table = assign_groups(pd.DataFrame({"path": paths, "group": ""}), pattern)
    group = dict(zip(table["path"], table["group"], strict=True))
    nothing = [path for path in paths if not group[path]]
    if nothing:
        raise Mistake(f"It gives {nothing[0]} no group.")
    if len(set(group.values())) == len(paths):
        raise Mistake("Each image is a group of its own. Leave the number of the image out.")
    for one, two in (pair for burst in bursts for pair in pairwise(burst)):
        if group[one] == group[two]:
            continue
        why = f"{one} and {two} are of one burst, in the groups {group[one]!r} and"
        why += f" {group[two]!r}."
        if one.split("/")[0] != two.split("/")[0] and "/" in group[one]:
            why += " A burst may go across class folders: leave the folder out."
        raise Mistake(why)
    firsts: dict[str, str] = {}
    for first, *_ in bursts:
        other = firsts.setdefault(group[first], first)
        if other != first:
            raise Mistake(
                f"{other} and {first} are of two bursts, and both get the group"
                f" {group[other]!r}. What tells bursts apart is the place and its number."
            )


def _solve_remaining(table, rows):
    usable = table.loc[table["problem"] == "", "path"]
    excluded = rows.loc[rows["action"] == "exclude", "path"]
    return (~usable.isin(excluded)).sum()


@question(
    "What a fix list leaves",
    tests=["reading a fix list", "accepted, rejected and excluded files"],
    hints=[
        'The accepted files are those with an empty problem: table["problem"] == "".',
        'Their paths that are in fixes[fixes["action"] == "exclude"]["path"] leave.',
        "usable.isin(excluded) is True for those that leave; count the others.",
    ],
    solve=_solve_remaining,
    explanation="Only accepted files can leave: the list also names files that cannot be read, so"
    " that it tells the whole story, but those were never in.",
)
def remaining(answer: Any, table: pd.DataFrame, fixes: pd.DataFrame) -> str:
    usable = set(table.loc[table["problem"] == "", "path"])
    excluded = set(fixes.loc[fixes["action"] == "exclude", "path"])
    changed = set(fixes.loc[fixes["action"] == "relabel", "path"])
    right = len(usable - excluded)
    return judge_number(
        answer,
        right,
        f"{len(usable):,} accepted files without the {len(usable & excluded):,} of them that the"
        f" list excludes are {right:,}.",
        {
            "So many are accepted without the list. What does it take away?": len(usable),
            "Some files that the list excludes were not accepted in the first place: they cannot"
            " leave a second time.": len(usable) - len(excluded),
            "You began with all files. Those that were rejected are no images to train with.": (
                len(table) - len(excluded)
            ),
            "Not every row takes a file away: look at the column action.": (
                len(usable) - len(fixes)
            ),
            "A relabelled file stays; only its class is another one.": (
                len(usable - excluded - changed)
            ),
            "So many leave. How many stay?": len(usable & excluded),
            "So many rows say exclude. How many files stay?": len(excluded),
        },
        "Begin with the accepted files, and leave out those that the list excludes.",
    )


def _solve_weights():
    def weights(counts):
        return counts.sum() / (len(counts) * counts)

    return weights


def _why_uneven(found: np.ndarray, counts: np.ndarray) -> str:
    shapes = {
        "The large classes get the large weights. It must be the other way round.": counts,
        "All weights are equal: then the large classes still rule.": np.ones(len(counts)),
        "With the root the large classes still weigh more. Leave it.": counts**-0.5,
        "Subtracting is not enough: divide. Twice the images, half the weight.": (
            counts.sum() - counts
        ),
    }
    for why, wanted in shapes.items():
        if np.allclose(found / found.sum(), wanted / wanted.sum(), rtol=1e-3):
            return why
    return (
        f"For classes of {counts.astype(int).tolist()} images the total weights are"
        f" {', '.join(f'{each:.4g}' for each in found * counts)}: they should be equal."
    )


@question(
    "Weights for uneven classes",
    tests=["why accuracy and loss follow the large classes", "inverse weights"],
    hints=[
        "Twice the images should mean half the weight.",
        "Try 1 / counts first. Is counts times weight the same for every class?",
    ],
    solve=_solve_weights,
    explanation="A weight of 1 / images makes images times weight equal for all classes. The factor"
    " in front makes the mean weight of an image 1, so that the loss keeps its scale.",
)
def weights(answer: Any) -> str:
    for counts in map(np.array, ([100, 50, 25], [10, 1000], [7, 7, 7, 7], [300, 20, 150])):
        found = array(call(answer, counts.copy())).astype(float)
        if found.shape != counts.shape:
            raise Mistake(f"{len(counts)} weights are wanted, one a class; not {found.size}.")
        if np.allclose(found, counts.max() - counts) and np.ptp(counts):
            raise Mistake("Subtracting is not enough: divide. Twice the images, half the weight.")
        if not (np.isfinite(found).all() and (found > 0).all()):
            raise Mistake("A weight is a number greater than 0.")
        total = found * counts
        if not np.allclose(total, total[0], rtol=1e-3):
            raise Mistake(_why_uneven(found, counts.astype(float)))
    return (
        "Images times weight is the same for every class. Whatever the common factor is, only the"
        " proportions count; the library chooses it so that the mean weight of an image is 1."
    )
