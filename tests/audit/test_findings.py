"""The kinds of findings, their table, its order and its counts."""

import pytest

from imgclf_lib.audit import FINDINGS, SEVERITIES, count_findings
from imgclf_lib.audit.findings import FINDING_COLUMNS, make_findings, sort_findings
from imgclf_lib.data import PROBLEMS


@pytest.mark.parametrize("name", FINDINGS)
def test_each_kind_says_what_it_means_and_what_to_do(name):
    kind = FINDINGS[name]
    assert kind.severity in SEVERITIES
    for sentence in (kind.meaning, kind.do):
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert ".." not in sentence


def test_every_reason_of_the_catalogue_is_a_kind():
    assert set(PROBLEMS) <= set(FINDINGS)
    assert FINDINGS["damaged"].severity == "error"
    assert FINDINGS["hidden"].severity == "remark"


def test_findings_are_sorted_by_severity_then_kind_then_path():
    parts = [
        make_findings("near-duplicate", ["a"], ["nearly"], [("b",)], "keep"),
        make_findings(["damaged", "duplicate across splits"], ["z", "y"], ["1", "2"]),
        make_findings("damaged", ["a"], ["3"]),
        make_findings("duplicate", ["b", "a"], ["", ""]),
    ]
    table = sort_findings(parts)
    assert list(table.columns) == list(FINDING_COLUMNS)
    assert table["problem"].tolist() == [
        *("duplicate across splits", "damaged", "damaged"),
        *("duplicate", "duplicate", "near-duplicate"),
    ]
    assert table["path"].tolist() == ["y", "a", "z", "a", "b", "a"]
    assert table["related"].tolist() == [(), (), (), (), (), ("b",)]
    assert table.index.tolist() == list(range(6))
    counts = count_findings(table)
    assert counts["count"].tolist() == [1, 2, 2, 1]
    assert counts["path"].tolist() == ["y", "a", "a", "a"]
    assert counts["meaning"].iloc[1] == FINDINGS["damaged"].meaning


def test_nothing_found_is_an_empty_table():
    table = sort_findings([])
    assert table.empty
    assert list(table.columns) == list(FINDING_COLUMNS)
    assert count_findings(table).empty
