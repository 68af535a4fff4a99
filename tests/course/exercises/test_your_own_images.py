"""Notebook 08: right answers of every form pass, and each typical mistake has its own message."""

import imagehash
import numpy as np
import pandas as pd
import pytest

from imgclf_lib.course.exercises import your_own_images as exercises
from imgclf_lib.course.exercises.exercise import Mistake, Unanswered
from imgclf_lib.errors import InputError

TABLE = pd.DataFrame(
    [
        ("x", "train", "1", ""),
        ("y", "test", "1", ""),
        ("z", "val", "2", ""),
        ("w", "train", "3", "damaged"),
    ],
    columns=["path", "split", "hash", "problem"],
)


def mistake(exercise, answer, *facts) -> str:
    with pytest.raises(Mistake) as caught:
        exercise.judge(answer, *facts)
    return str(caught.value)


def bits(text: str) -> np.ndarray:
    return np.array(list(f"{int(text, 16):064b}")) == "1"


def test_hamming_in_every_form():
    exercises.hamming.judge(exercises.hamming.solve())
    for answer in (
        lambda a, b: bin(int(a, 16) ^ int(b, 16)).count("1"),
        lambda a, b: imagehash.hex_to_hash(a) - imagehash.hex_to_hash(b),
        lambda a, b: (bits(a) != bits(b)).sum(),
    ):
        assert "0 for equal hashes" in exercises.hamming.judge(answer)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda a, b: sum(x != y for x, y in zip(a, b, strict=True)), "holds four bits"),
        (lambda a, b: int(a, 16) ^ int(b, 16), "Count its ones"),
        (lambda a, b: abs(int(a, 16) - int(b, 16)), "compare bit by bit"),
        (lambda a, b: int((bits(a) == bits(b)).sum()), "bits that agree"),
        (lambda a, b: (bits(a) != bits(b)).mean(), "A share, yes"),
        (
            lambda a, b: sum(
                x != y for x, y in zip(bin(int(a, 16)), bin(int(b, 16)), strict=False)
            ),
            "zeros at the front",
        ),
        (lambda a, b: a != b, "says whether they differ"),
        (lambda a, b: None, "returned nothing"),
        (lambda a, b: "many", "A number is wanted"),
        (7, "A function is wanted"),
    ],
)
def test_hamming_mistakes(answer, why):
    assert why in mistake(exercises.hamming, answer)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (r"(?:roof|pond)_burst\d\d", "It gives dog/pond_burst1_001.jpg no group"),
        (r"/([a-z]+_burst\d+)_", "no group"),
        (r"/(.+_burst\d\d?)", "of two bursts"),
    ],
)
def test_names_that_nobody_saw_are_a_remark(answer, why):
    said = exercises.bursts.judge(answer)
    assert said.startswith("Every burst stays together")
    assert "I also tried others, that are not in the list" in said
    assert why in said


def test_leaked_in_every_form():
    right = exercises.leaked.solve(TABLE)
    assert right(TABLE) == ["x"]

    def as_rows(table):
        used = table.query("problem == ''")
        exam = set(used.loc[used["split"] == "test", "hash"])
        return used[(used["split"] == "train") & used["hash"].isin(exam)]

    def as_series(table):
        return as_rows(table)["path"]

    def merged(table):
        used = table[table["problem"] == ""]
        both = used[used["split"] == "train"].merge(used[used["split"] == "test"], on="hash")
        return both["path_x"].to_numpy()

    for answer in (right, as_rows, as_series, merged):
        assert "finds 1 training files" in exercises.leaked.judge(answer, TABLE)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda t: t.loc[t["hash"].duplicated(keep=False), "path"], "name test files too"),
        (
            lambda t: t.loc[t["hash"].duplicated(keep=False) & (t["split"] == "train"), "path"],
            "no leak",
        ),
        (
            lambda t: t.loc[
                (t["split"] == "train") & t["hash"].isin(t.loc[t["split"] == "test", "hash"]),
                "path",
            ],
            "not used",
        ),
        (
            lambda t: t.loc[
                (t["problem"] == "")
                & (t["split"] == "train")
                & t["hash"].isin(t.loc[(t["split"] != "train") & (t["problem"] == ""), "hash"]),
                "path",
            ],
            "a leak too",
        ),
        (lambda t: ["a"], "are missing"),
        (lambda t: [], "are missing"),
        (lambda t: ["n"], "the answer is a, i and o"),
        (lambda t: t[["hash"]], "Return the paths"),
        (lambda t: 3, "A list of paths"),
        (["a"], "A function is wanted"),
    ],
)
def test_leaked_mistakes(answer, why):
    assert why in mistake(exercises.leaked, answer, TABLE)


def test_leaked_may_be_open_and_may_not_spoil_the_table():
    with pytest.raises(Unanswered):
        exercises.leaked.judge(lambda table: ..., TABLE)
    before = TABLE.copy()

    def careless(table):
        found = exercises.leaked.solve(table)(table)
        table["split"] = ""
        return found

    exercises.leaked.judge(careless, TABLE)
    pd.testing.assert_frame_equal(TABLE, before)


@pytest.mark.parametrize(
    "answer",
    [
        r"([^/]+_burst\d+)_\d+",
        r"[^/]*_burst\d+",
        r"/(.+)_\d+\.",
        r"([a-z_]+_burst[0-9]+)_",
        r"[^/]+burst\d+(?=_)",
    ],
)
def test_patterns(answer):
    assert "stays together" in exercises.bursts.judge(answer)
    assert "stays together" in exercises.bursts.judge(exercises.bursts.solve())


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (r"burst\d+", "of two bursts"),
        (r"[a-z]+_burst", "of two bursts"),
        (r"(.+)_\d+\.", "leave the folder out"),
        (r".+", "group of its own"),
        (r"[^/]+", "are of one burst"),
        (r"/(roof)", "no group"),
        (r"/([a-z]+)_burst\d", "of two bursts"),
        (3, "A text is wanted"),
    ],
)
def test_pattern_mistakes(answer, why):
    assert why in mistake(exercises.bursts, answer)


def test_what_is_no_pattern_is_said_in_the_words_of_the_library(capsys):
    with pytest.raises(InputError, match="not a regular expression"):
        exercises.bursts.judge("(")
    with pytest.raises(InputError, match="matches no path"):
        exercises.bursts.judge("nowhere")


def test_weights_in_every_form():
    right = exercises.weights.solve()
    assert (right(np.array([10, 40])) * [10, 40]).sum() == 50
    for answer in (
        right,
        lambda n: 1 / n,
        lambda n: n.max() / n,
        lambda n: [1000 / each for each in n.tolist()],
        lambda n: pd.Series(1 / n),
    ):
        assert "same for every class" in exercises.weights.judge(answer)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (lambda n: n / n.sum(), "other way round"),
        (lambda n: np.ones(len(n)), "still rule"),
        (lambda n: 1 / np.sqrt(n), "With the root"),
        (lambda n: n.max() - n, "Subtracting is not enough"),
        (lambda n: 1 - n / n.sum(), "Subtracting is not enough"),
        (lambda n: 1 / np.log(n), "should be equal"),
        (lambda n: 1 / n[0], "one a class"),
        (lambda n: n - n.max(), "greater than 0"),
        (lambda n: "large", "Numbers are wanted"),
        ([1, 2], "A function is wanted"),
    ],
)
def test_weights_mistakes(answer, why):
    assert why in mistake(exercises.weights, answer)


@pytest.fixture
def listed():
    problems = [""] * 10 + ["damaged"] * 5
    table = pd.DataFrame({"path": [f"{n}" for n in range(15)], "problem": problems})
    actions = {"0": "exclude", "1": "exclude", "2": "relabel", "3": "keep", "4": "keep"}
    actions |= {"10": "exclude", "11": "exclude", "12": "exclude", "13": "exclude"}
    return table, pd.DataFrame({"path": actions.keys(), "action": actions.values()})


def test_remaining(listed):
    assert exercises.remaining.solve(*listed) == 8
    for answer in (8, np.int64(8), "8", [8]):
        assert "are 8" in exercises.remaining.judge(answer, *listed)


def test_remaining_mistakes(listed):
    for answer, why in {
        10: "without the list",
        4: "a second time",
        9: "Those that were rejected",
        1: "Not every row",
        7: "A relabelled file stays",
        2: "How many stay?",
        6: "How many files stay?",
        100: "Begin with the accepted files",
        "some": "A number is wanted",
    }.items():
        assert why in mistake(exercises.remaining, answer, *listed)


def test_remaining_where_the_list_is_empty(listed):
    empty = listed[1].head(0)
    assert exercises.remaining.solve(listed[0], empty) == 10
    assert "are 10" in exercises.remaining.judge(10, listed[0], empty)
