"""The exercises of notebook 08: bits of hashes, leaks, bursts, weights, and a fix list."""

from typing import Any

import pandas as pd

from imgclf_lib.exercises.exercise import Exercise, Mistake, number
from imgclf_lib.exercises.own_images_judge import (
    BURSTS,
    judge_hamming,
    judge_leaked,
    judge_pattern,
    judge_weights,
)

file_names = [path for burst in BURSTS for path in burst]


def _solve_hamming():
    def hamming(first, second):
        different = int(first, 16) ^ int(second, 16)  # XOR: a 1 wherever the two differ
        return different.bit_count()

    return hamming


hamming = Exercise(
    "hamming",
    "How far apart are two hashes?",
    ["bits and hexadecimal digits", "the Hamming distance"],
    judge_hamming,
    _solve_hamming,
    "int(text, 16) reads hexadecimal digits. XOR leaves a 1 wherever two bits differ, and"
    " bit_count() counts the ones.",
    [
        "One hexadecimal digit is four bits. int(text, 16) turns all 16 digits into one number.",
        "a ^ b is the XOR of two numbers: its bits are 1 where those of a and b differ.",
        'Count the ones: (a ^ b).bit_count(), or bin(a ^ b).count("1").',
    ],
)


def _solve_leaked(table):
    def leaked(files):
        used = files[files["problem"] == ""]
        train, exam = (used[used["split"] == name] for name in ("train", "test"))
        return train.loc[train["hash"].isin(exam["hash"]), "path"].tolist()

    return leaked


leaked = Exercise(
    "leaked",
    "Which files must leave?",
    ["finding equal files in a table", "which side of a leak leaves"],
    judge_leaked,
    _solve_leaked,
    "Only used files count. A training file leaks if its hash is also that of a test file. It"
    " leaves training; the test stays as it is, so that scores can still be compared.",
    [
        'Keep the used rows first: table[table["problem"] == ""].',
        "Then two parts: the rows of training, and those of the test.",
        'train["hash"].isin(...) is True where a hash is in another list.',
    ],
)


def _solve_bursts():
    return r"([^/]+_burst\d+)_\d+"


bursts = Exercise(
    "bursts",
    "Keep bursts together",
    ["regular expressions", "what belongs into one split"],
    judge_pattern,
    _solve_bursts,
    "[^/]+ is the name of the place, without the folder; _burst and digits follow. The parentheses"
    " say which part is the group; the number of the image stays outside.",
    [
        "Which part of the name is the same within a burst, and different between two bursts?",
        r"\d+ is one or more digits, and [^/]+ is anything without a slash.",
        "What stands in the first parentheses is the group. All else may be there to lead to it.",
    ],
)


def _judge_remaining(answer: Any, table: pd.DataFrame, fixes: pd.DataFrame) -> str:
    usable = set(table.loc[table["problem"] == "", "path"])
    excluded = set(fixes.loc[fixes["action"] == "exclude", "path"])
    changed = set(fixes.loc[fixes["action"] == "relabel", "path"])
    right, found = len(usable - excluded), number(answer)
    if found == right:
        return (
            f"{len(usable):,} accepted files without the {len(usable & excluded):,} of them that"
            f" the list excludes are {right:,}."
        )
    wrong = [
        (len(usable), "So many are accepted without the list. What does it take away?"),
        (
            len(usable) - len(excluded),
            "Some files that the list excludes were not accepted in the first place: they cannot"
            " leave a second time.",
        ),
        (
            len(table) - len(excluded),
            "You began with all files. Those that were rejected are no images to train with.",
        ),
        (len(usable) - len(fixes), "Not every row takes a file away: look at the column action."),
        (
            len(usable - excluded - changed),
            "A relabelled file stays; only its class is another one.",
        ),
        (len(usable & excluded), "So many leave. How many stay?"),
        (len(excluded), "So many rows say exclude. How many files stay?"),
    ]
    for value, message in wrong:
        if found == value:
            raise Mistake(message)
    raise Mistake("Begin with the accepted files, and leave out those that the list excludes.")


def _solve_remaining(table, fixes):
    usable = table.loc[table["problem"] == "", "path"]
    excluded = fixes.loc[fixes["action"] == "exclude", "path"]
    return (~usable.isin(excluded)).sum()


remaining = Exercise(
    "remaining",
    "What a fix list leaves",
    ["reading a fix list", "accepted, rejected and excluded files"],
    _judge_remaining,
    _solve_remaining,
    "Only accepted files can leave: the list also names files that cannot be read, so that it"
    " tells the whole story, but those were never in.",
    [
        'The accepted files are those with an empty problem: table["problem"] == "".',
        'Their paths that are in fixes[fixes["action"] == "exclude"]["path"] leave.',
        "usable.isin(excluded) is True for those that leave; count the others.",
    ],
)


def _solve_weights():
    def weights(counts):
        return counts.sum() / (len(counts) * counts)

    return weights


weights = Exercise(
    "weights",
    "Weights for uneven classes",
    ["why accuracy and loss follow the large classes", "inverse weights"],
    judge_weights,
    _solve_weights,
    "A weight of 1 / images makes images times weight equal for all classes. The factor in front"
    " makes the mean weight of an image 1, so that the loss keeps its scale.",
    [
        "Twice the images should mean half the weight.",
        "Try 1 / counts first. Is counts times weight the same for every class?",
    ],
)
