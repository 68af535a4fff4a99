"""Copies and near-duplicates in words: within and across splits, with one label or several."""

import time

import numpy as np
import pandas as pd
import pytest

from imgclf_lib.twins import number_pictures, twin_findings

NO_PAIRS = np.empty((0, 2), "int64")


def table(*rows: tuple[str, str, str, str, str]) -> pd.DataFrame:
    """Rows of path, label, split, hash and pixel hash."""
    columns = ["path", "label", "split", "hash", "pixel_hash"]
    return pd.DataFrame(rows, columns=columns, dtype="str").assign(problem="")


def by_path(findings: pd.DataFrame, kind: str) -> pd.DataFrame:
    return findings[findings["problem"].str.startswith(kind)].set_index("path")


def test_copies_within_a_split_keep_the_first():
    files = table(
        ("a/1", "a", "", "h1", "p1"),
        ("a/2", "a", "", "h1", "p1"),
        ("a/3", "a", "", "h2", "p1"),
        ("a/4", "a", "", "h3", "p3"),
        ("b/5", "b", "", "h4", "p4"),
        ("b/6", "b", "", "h4", "p4"),
    )
    found = by_path(twin_findings(files, NO_PAIRS), "duplicate")
    assert found["problem"].unique().tolist() == ["duplicate"]
    assert found["action"].to_dict() == {
        **{"a/1": "keep", "a/2": "exclude", "a/3": "exclude"},
        **{"b/5": "keep", "b/6": "exclude"},
    }
    assert found.loc["a/2", "related"] == ("a/1", "a/3")
    assert found.loc["a/2", "detail"] == "same pixels as a/1, a/3"
    assert found.loc["b/5", "detail"] == "same bytes as b/6"


def test_leaks_leave_training_and_never_the_test():
    files = table(
        ("test/a/1", "a", "test", "h1", "p1"),
        ("test/a/2", "a", "test", "h1", "p1"),
        ("train/a/3", "a", "train", "h1", "p1"),
        ("train/a/4", "a", "train", "h2", "p2"),
        ("val/a/5", "a", "val", "h1", "p1"),
        ("val/a/6", "a", "val", "h2", "p2"),
    )
    found = twin_findings(files, NO_PAIRS).set_index("path")
    assert found["problem"].unique().tolist() == ["duplicate across splits"]
    assert found["action"].to_dict() == {
        **{"test/a/1": "keep", "test/a/2": "keep", "train/a/3": "exclude"},
        **{"train/a/4": "exclude", "val/a/5": "exclude", "val/a/6": "keep"},
    }
    assert found.loc["train/a/4", "detail"] == "same bytes as val/a/6; splits train, val"


def test_conflicting_labels_are_left_to_a_person():
    files = table(
        ("test/b/1", "b", "test", "h1", "p1"),
        ("train/a/2", "a", "train", "h1", "p1"),
        ("train/a/3", "a", "train", "h1", "p1"),
    )
    found = twin_findings(files, NO_PAIRS).set_index("path")
    assert found["problem"].unique().tolist() == ["duplicate with conflicting labels"]
    assert found["action"].unique().tolist() == ["keep"]
    said = found.loc["train/a/3", "detail"]
    assert said.endswith("labels a, b; splits test, train")
    assert found["severity"].unique().tolist() == ["error"]


def test_near_duplicates_hang_together():
    files = table(
        ("test/a/0", "a", "test", "h0", "p0"),
        ("train/a/1", "a", "train", "h1", "p1"),
        ("train/a/2", "a", "train", "h2", "p2"),
        ("train/b/3", "b", "train", "h3", "p3"),
        ("train/a/4", "a", "train", "h4", "p4"),
        ("train/a/5", "a", "train", "h5", "p5"),
        ("train/a/6", "a", "train", "h6", "p6"),
    )
    found = twin_findings(files, np.array([[0, 1], [1, 2], [3, 4], [5, 6]])).set_index("path")
    assert found["problem"].to_dict() == {
        "test/a/0": "near-duplicate across splits",
        "train/a/1": "near-duplicate across splits",
        "train/a/2": "near-duplicate across splits",
        "train/b/3": "near-duplicate with conflicting labels",
        "train/a/4": "near-duplicate with conflicting labels",
        "train/a/5": "near-duplicate",
        "train/a/6": "near-duplicate",
    }
    assert found["action"].tolist() == [
        "keep",
        "exclude",
        "exclude",
        "keep",
        "keep",
        "keep",
        "keep",
    ]
    assert found.loc["train/a/2", "related"] == ("test/a/0", "train/a/1")


def test_copies_among_near_duplicates_are_told_once_as_each():
    files = table(
        ("a/1", "a", "", "h1", "p1"),
        ("a/2", "a", "", "h1", "p1"),
        ("a/3", "a", "", "h3", "p3"),
    )
    found = twin_findings(files, np.array([[0, 1], [0, 2]]))  # exact pairs may be among them
    assert by_path(found, "duplicate").index.tolist() == ["a/1", "a/2"]
    near = by_path(found, "near")
    assert near["detail"].to_dict() == {
        "a/1": "nearly the same as a/3",
        "a/2": "nearly the same as a/3",
        "a/3": "nearly the same as a/1",
    }


def test_rejected_files_and_empty_hashes_have_no_twins():
    files = table(
        ("a/1", "a", "", "h1", "p1"),
        ("a/2", "a", "", "h1", "p1"),
        ("a/3", "a", "", "", ""),
        ("a/4", "a", "", "", ""),
        ("a/5", "a", "", "h5", ""),
        ("a/6", "a", "", "h5", ""),
    )
    files.loc[1, "problem"] = "excluded"
    assert number_pictures(files)[[1, 2, 3]].tolist() == [-1, -1, -1]
    found = twin_findings(files, np.array([[0, 1]]))
    assert found["path"].tolist() == ["a/5", "a/6"]
    assert twin_findings(files.iloc[:0], NO_PAIRS).empty


@pytest.mark.parametrize("copies", [2, 60_000])
def test_a_large_folder_takes_seconds(copies):
    """Pairs everywhere, or one picture sixty thousand times."""
    numbers = np.arange(60_000)
    files = pd.DataFrame(
        {
            "path": [f"train/a/{number:05}.jpg" for number in numbers],
            "label": np.where(numbers % 7 == 0, "b", "a"),
            "split": np.where(numbers % 5 == 0, "test", "train"),
            "hash": [f"h{number // copies}" for number in numbers],
            "pixel_hash": [f"p{number // copies}" for number in numbers],
            "problem": "",
        }
    )
    pairs = np.column_stack([numbers[:-copies:2], numbers[copies::2]])
    started = time.process_time()
    found = twin_findings(files, pairs)
    assert time.process_time() - started < 10
    assert (found["problem"].str.startswith("duplicate")).sum() == 60_000
    assert found["related"].map(len).max() <= 20
    assert found["detail"].str.len().max() < 400
